#include "redis_wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "redis_loop_own.h"
#include "redis_reply.h"
#include "redis_tls.h"
#include "weir/container.h"

#define WHY_MAX     256
#define IOV_MAX_OUT 16 /* pieces of one write */
#define IOV_MAX_IN  8
#define READS_MAX   4 /* of one connection before the loop turns to others */

static void try_next(struct redis_wire *w, const char *why);

void redis_wire_init(struct redis_wire *w)
{
    w->fd = -1;
    w->bev = NULL;
    w->stuck = NULL;
    w->open = false;
    w->count = w->current = 0;
    w->bytes_in = w->bytes_out = 0;
    memset(&w->attempt, 0, sizeof w->attempt);
}

static void close_fd(struct redis_wire *w)
{
    if (w->fd < 0)
        return;
    event_del(&w->readable);
    event_del(&w->writable);
    close(w->fd);
    w->fd = -1;
}

void redis_wire_close(struct redis_wire *w)
{
    redis_timer_stop(&w->attempt);
    close_fd(w);
    if (w->bev != NULL) {
        bufferevent_setcb(w->bev, NULL, NULL, NULL, NULL);
        bufferevent_free(w->bev); /* the descriptor and the SSL with it */
        w->bev = NULL;
    }
    w->stuck = NULL;
}

static void lose(struct redis_wire *w, enum redis_fault fault, const char *why)
{
    redis_wire_close(w);
    w->events->lost(fault, why, w->arg);
}

static void lose_errno(struct redis_wire *w, const char *what, int error)
{
    char why[WHY_MAX];

    snprintf(why, sizeof why, "%s: %s", what, strerror(error));
    lose(w, REDIS_FAULT_CLOSED, why);
}

/* ---- plain ---- */

/* One receive: first into the bulk under way, then into what all connections of the loop share.
 * false: nothing more to be had now, or the wire is closed. */
static bool receive(struct redis_wire *w)
{
    size_t room = 0;
    char *bulk = redis_reader_room(w->reader, &room);
    struct iovec v[2] = {{bulk, room}, {w->loop->receive, REDIS_RECEIVE_BYTES}};
    struct msghdr m = {.msg_iov = bulk != NULL ? v : v + 1,
                       .msg_iovlen = bulk == NULL || room >= REDIS_RECEIVE_BYTES ? 1 : 2};
    size_t wanted = m.msg_iov[0].iov_len + (m.msg_iovlen == 2 ? v[1].iov_len : 0), direct;
    ssize_t n = recvmsg(w->fd, &m, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        if (n == 0)
            lose(w, REDIS_FAULT_CLOSED, "closed by Redis");
        else
            lose_errno(w, "receive", errno);
        return false;
    }
    w->bytes_in += (uint64_t)n;
    direct = (size_t)n < room ? (size_t)n : room;
    if (direct > 0)
        redis_reader_filled(w->reader, direct);
    return w->events->bytes(weir_span(w->loop->receive, (size_t)n - direct), w->arg) &&
           (size_t)n == wanted;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    for (int i = 0; i < READS_MAX && receive(arg); i++)
        ;
}

static void write_plain(struct redis_wire *w, struct evbuffer *out)
{
    while (evbuffer_get_length(out) > 0) {
        struct evbuffer_iovec v[IOV_MAX_OUT];
        int count = evbuffer_peek(out, -1, NULL, v, IOV_MAX_OUT);
        struct msghdr m = {.msg_iov = v,
                           .msg_iovlen = (size_t)(count < IOV_MAX_OUT ? count : IOV_MAX_OUT)};
        ssize_t n = sendmsg(w->fd, &m, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            w->stuck = out;
            event_add(&w->writable, NULL);
            return;
        }
        if (n < 0) {
            lose_errno(w, "send", errno);
            return;
        }
        w->bytes_out += (uint64_t)n;
        evbuffer_drain(out, (size_t)n);
    }
}

/* ---- TLS ---- */

static bool tls_bytes(struct redis_wire *w, struct evbuffer *in)
{
    struct evbuffer_iovec v;
    size_t room;
    char *bulk;

    while (evbuffer_get_length(in) > 0) {
        size_t n;

        bulk = redis_reader_room(w->reader, &room);
        if (bulk != NULL) {
            int got = evbuffer_remove(in, bulk, room);

            n = got > 0 ? (size_t)got : 0;
            redis_reader_filled(w->reader, n);
            w->bytes_in += n;
            if (!w->events->bytes(WEIR_SPAN_NONE, w->arg))
                return false;
            continue;
        }
        evbuffer_peek(in, -1, NULL, &v, 1);
        n = v.iov_len;
        w->bytes_in += n;
        if (!w->events->bytes(weir_span(v.iov_base, n), w->arg))
            return false; /* and the buffer is gone */
        evbuffer_drain(in, n);
    }
    return true;
}

static void on_tls_readable(struct bufferevent *bev, void *arg)
{
    tls_bytes(arg, bufferevent_get_input(bev));
}

/* What ended the handshake or the connection: the certificate, OpenSSL, or the socket. */
static void tls_reason(struct redis_wire *w, bool open, short what, char *why, size_t size)
{
    SSL *ssl = bufferevent_openssl_get_ssl(w->bev);
    long verified = ssl != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;
    unsigned long error = bufferevent_get_openssl_error(w->bev);
    const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;

    if (!open && verified != X509_V_OK)
        snprintf(why, size, "certificate: %s", X509_verify_cert_error_string(verified));
    else if (reason != NULL)
        snprintf(why, size, "TLS: %s", reason);
    else if ((what & BEV_EVENT_EOF) != 0)
        snprintf(why, size, "%s", open ? "closed by Redis" : "closed by Redis in the handshake");
    else
        snprintf(why, size, "TLS: %s", strerror(EVUTIL_SOCKET_ERROR()));
}

static void on_tls_event(struct bufferevent *bev, short what, void *arg)
{
    struct redis_wire *w = arg;
    bool open = w->open;
    char why[WHY_MAX];

    if ((what & BEV_EVENT_CONNECTED) != 0) {
        w->open = true;
        w->events->open(w->arg);
        return;
    }
    tls_reason(w, open, what, why, sizeof why);
    /* What came before the end counts. */
    if (open && !tls_bytes(w, bufferevent_get_input(bev)))
        return;
    lose(w, open ? REDIS_FAULT_CLOSED : REDIS_FAULT_TLS, why);
}

static void begin_tls(struct redis_wire *w)
{
    SSL *ssl = redis_tls_session(w->tls, w->host);

    event_del(&w->readable);
    event_del(&w->writable);
    if (ssl == NULL) {
        lose(w, REDIS_FAULT_TLS, "TLS: the name cannot be checked, or no memory");
        return;
    }
    w->bev = bufferevent_openssl_socket_new(w->loop->base, w->fd, ssl, BUFFEREVENT_SSL_CONNECTING,
                                            BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (w->bev == NULL) {
        SSL_free(ssl);
        lose(w, REDIS_FAULT_TLS, "TLS: out of memory");
        return;
    }
    w->fd = -1; /* the bufferevent's now */
    /* Redis closes without close_notify; RESP says itself whether a reply is complete. */
    bufferevent_openssl_set_allow_dirty_shutdown(w->bev, 1);
    bufferevent_setcb(w->bev, on_tls_readable, NULL, on_tls_event, w);
    bufferevent_enable(w->bev, EV_READ | EV_WRITE);
}

static void write_tls(struct redis_wire *w, struct evbuffer *out)
{
    w->bytes_out += evbuffer_get_length(out);
    if (bufferevent_write_buffer(w->bev, out) != 0)
        lose(w, REDIS_FAULT_CLOSED, "TLS: out of memory");
}

/* ---- connecting ---- */

static void on_connected(struct redis_wire *w)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error != 0) {
        close_fd(w);
        try_next(w, strerror(error));
        return;
    }
    redis_timer_stop(&w->attempt);
    if (w->tls != NULL) {
        begin_tls(w);
        return;
    }
    w->open = true;
    event_add(&w->readable, NULL);
    w->events->open(w->arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct redis_wire *w = arg;
    struct evbuffer *out = w->stuck;

    (void)fd, (void)what;
    w->stuck = NULL;
    if (out != NULL)
        write_plain(w, out);
    else
        on_connected(w);
}

static void on_attempt_over(struct redis_timer *t)
{
    struct redis_wire *w = WEIR_CONTAINER(t, struct redis_wire, attempt);

    close_fd(w);
    try_next(w, strerror(ETIMEDOUT));
}

/* -1 with errno set. */
static int begin_connect(const struct redis_sockaddr *to)
{
    int one = 1;
    int fd = socket(to->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (to->u.any.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, &to->u.any, to->len) != 0 && errno != EINPROGRESS) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void try_address(struct redis_wire *w)
{
    unsigned left = w->count - w->current;
    int64_t now_ms = redis_now_ms();

    w->fd = begin_connect(&w->to[w->current]);
    if (w->fd < 0) {
        try_next(w, strerror(errno));
        return;
    }
    event_assign(&w->readable, w->loop->base, w->fd, EV_READ | EV_PERSIST, on_readable, w);
    event_assign(&w->writable, w->loop->base, w->fd, EV_WRITE, on_writable, w);
    w->attempt.fire = on_attempt_over;
    if (event_add(&w->writable, NULL) != 0) {
        lose(w, REDIS_FAULT_CONNECT, "the event loop takes no more descriptors");
        return;
    }
    if (left > 1) /* the last one may take what is left; its owner watches that */
        redis_timer_start(w->loop, &w->attempt, now_ms + (w->deadline_ms - now_ms) / left);
}

static void try_next(struct redis_wire *w, const char *reason)
{
    char why[WHY_MAX], to[REDIS_PEER_MAX * 2];

    redis_timer_stop(&w->attempt);
    if (w->current + 1 < w->count) {
        w->current++;
        try_address(w);
        return;
    }
    snprintf(why, sizeof why, "%s: %s", redis_sockaddr_str(&w->to[w->current], to, sizeof to),
             reason);
    lose(w, REDIS_FAULT_CONNECT, why);
}

void redis_wire_connect(struct redis_wire *w, const struct redis_sockaddr *to, unsigned count,
                        int64_t deadline_ms)
{
    memcpy(w->to, to, count * sizeof *to);
    w->count = count;
    w->current = 0;
    w->deadline_ms = deadline_ms;
    try_address(w);
}

/* ---- for both ---- */

void redis_wire_write(struct redis_wire *w, struct evbuffer *out)
{
    if (w->bev != NULL)
        write_tls(w, out);
    else if (w->stuck == NULL) /* else it goes with the rest */
        write_plain(w, out);
}

size_t redis_wire_queued(const struct redis_wire *w)
{
    return w->bev != NULL ? evbuffer_get_length(bufferevent_get_output(w->bev)) : 0;
}
