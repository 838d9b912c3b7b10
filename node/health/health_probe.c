#include "health_probe.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "health_answer.h"
#include "origin_names.h"
#include "pattern.h"
#include "tls_session.h"
#include "weir/alloc.h"
#include "weir/container.h"

/* The loop itself was away for so long: what has come meanwhile is looked at before the clock. */
#define LOOP_LATE_MS 200

struct sockets {
    struct health_transport transport;
    struct net_loop *loop;
    struct tls_worker *tls;          /* made when a probe first needs it */
    struct pattern_scratch *scratch; /* matching is done at once, so that one serves all probes */
};

static void on_event(evutil_socket_t fd, short what, void *arg);

static struct sockets *sockets_of(const struct health_probe *p)
{
    return WEIR_CONTAINER(p->transport, struct sockets, transport);
}

static struct net_loop *loop_of(const struct health_probe *p)
{
    return sockets_of(p)->loop;
}

/* ---- the end ---- */

static void close_socket(struct health_probe *p)
{
    event_del(&p->event);
    tls_session_free(p->session);
    p->session = NULL;
    net_chan_close(&p->chan, false);
}

static void release(struct health_probe *p)
{
    close_socket(p);
    net_timer_stop(loop_of(p), &p->deadline);
    health_answer_free(p->answer);
    p->answer = NULL;
}

static void set_reason(struct health_probe *p, enum health_reason reason, int os)
{
    p->result.reason = reason;
    p->result.os = os;
}

static void finish(struct health_probe *p)
{
    if (p->answer != NULL)
        p->result.status = health_answer_status(p->answer);
    p->result.rtt_us = loop_of(p)->clock.mono_us - p->began_us;
    release(p);
    health_probe_end(p, &p->result);
}

static void finish_with(struct health_probe *p, enum health_reason reason, int os)
{
    set_reason(p, reason, os);
    finish(p);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    struct health_probe *p = arg;

    (void)fd;
    (void)what;
    net_loop_enter(loop_of(p));
    finish(p);
}

/* It was over before it began; told from the loop. */
static void finish_later(struct health_probe *p)
{
    event_assign(&p->event, loop_of(p)->base, -1, 0, on_later, p);
    event_active(&p->event, EV_TIMEOUT, 1);
}

/* ---- connecting ---- */

/* What a failed socket() or connect() tells: of this node, or of the way to the origin. */
static enum health_reason reason_of(int os)
{
    switch (os) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL: /* no port is left here */
        return HEALTH_R_LOCAL;
    case ECONNREFUSED:
    case ENOENT: /* no socket at this path: nobody listens */
        return HEALTH_R_REFUSED;
    default:
        return HEALTH_R_CONNECT;
    }
}

static void set_port(struct net_addr *a, uint16_t port)
{
    if (port == 0)
        return;
    if (a->sa.any.sa_family == AF_INET)
        a->sa.in.sin_port = htons(port);
    else if (a->sa.any.sa_family == AF_INET6)
        a->sa.in6.sin6_port = htons(port);
}

static int open_socket(const struct net_addr *a)
{
    int on = 1;
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int os;

    if (fd < 0)
        return -1;
    if (a->sa.any.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, &a->sa.any, a->len) == 0 || errno == EINPROGRESS)
        return fd;
    os = errno;
    close(fd);
    errno = os;
    return -1;
}

static bool wait_for(struct health_probe *p, short what)
{
    event_assign(&p->event, loop_of(p)->base, p->chan.fd, what, on_event, p);
    return event_add(&p->event, NULL) == 0;
}

/* The next of the origin's addresses; false: there is none left, and why is set. */
static bool connect_next(struct health_probe *p)
{
    struct net_addr addr;
    unsigned count = 0;

    while (origin_names_pick(p->names, p->turn, &addr, &count)) {
        if (p->tried >= count)
            return false; /* why: that of the last one */
        p->turn++;
        p->tried++;
        set_port(&addr, p->check->port);
        p->chan = net_chan_plain(open_socket(&addr));
        if (p->chan.fd >= 0 && wait_for(p, EV_WRITE))
            return true;
        set_reason(p, p->chan.fd >= 0 ? HEALTH_R_LOCAL : reason_of(errno), errno);
        if (p->result.reason == HEALTH_R_LOCAL)
            return false;
    }
    /* A name nobody has answered for yet says nothing. */
    set_reason(p, origin_names_settled(p->names) ? HEALTH_R_NAME : HEALTH_R_LOCAL, 0);
    return false;
}

/*
 * A port of this host that nobody listens on may be drawn as the local end of the very connection
 * to it, which then connects to itself: an origin that is away would look well.
 */
static bool connected_to_itself(int fd)
{
    struct net_addr here = {.len = sizeof(here.sa)}, there = {.len = sizeof(there.sa)};

    return getsockname(fd, &here.sa.any, &here.len) == 0 &&
           getpeername(fd, &there.sa.any, &there.len) == 0 && here.sa.any.sa_family != AF_UNIX &&
           here.len == there.len && memcmp(&here.sa, &there.sa, here.len) == 0;
}

/* ---- asking ---- */

/* All that is to be sent, the layer's part of it, too. */
static bool all_out(struct health_probe *p)
{
    return p->sent == p->check->request.len && !net_chan_unsent(&p->chan);
}

static void push_request(struct health_probe *p)
{
    const struct weir_span all = p->check->request;
    struct iovec rest = {(void *)(uintptr_t)(all.ptr + p->sent), all.len - p->sent};
    ssize_t n = rest.iov_len > 0 ? net_chan_send(&p->chan, &rest, 1) : net_chan_flush(&p->chan);
    bool broken = n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;

    if (n > 0 && rest.iov_len > 0)
        p->sent += (uint32_t)n;
    if (broken || all_out(p)) { /* it may have answered before it stopped reading */
        event_del(&p->event);
        if (!wait_for(p, EV_READ | EV_PERSIST))
            finish_with(p, HEALTH_R_LOCAL, errno);
    } else if (!wait_for(p, EV_WRITE)) {
        finish_with(p, HEALTH_R_LOCAL, errno);
    }
}

static void ask(struct health_probe *p)
{
    struct weir_err err = {0};

    if (p->check->kind == HEALTH_KIND_TCP) {
        finish_with(p, HEALTH_R_ANSWERED, 0);
        return;
    }
    p->answer = health_answer_new(p->check, sockets_of(p)->scratch, &err);
    if (p->answer == NULL)
        finish_with(p, HEALTH_R_LOCAL, ENOMEM);
    else
        push_request(p);
}

/* ---- TLS ---- */

static enum health_reason reason_of_tls(const struct weir_err *err)
{
    switch (err->code) {
    case WEIR_E_ORIGIN_CERTIFICATE:
        return HEALTH_R_CERTIFICATE;
    case WEIR_E_MEMORY:
        return HEALTH_R_LOCAL;
    default:
        return HEALTH_R_TLS;
    }
}

static void shake_hands(void *arg)
{
    struct health_probe *p = arg;
    struct weir_err err = {0};
    bool waiting = true;

    switch (tls_handshake(p->session, shake_hands, p, &err)) {
    case TLS_DONE:
        p->chan.layer = tls_session_layer(p->session);
        p->session = NULL;
        ask(p);
        return;
    case TLS_WANT_READ:
        waiting = wait_for(p, EV_READ);
        break;
    case TLS_WANT_WRITE:
        waiting = wait_for(p, EV_WRITE);
        break;
    case TLS_BUSY:
        break;
    case TLS_FAILED:
        finish_with(p, reason_of_tls(&err), err.os);
        return;
    }
    if (!waiting)
        finish_with(p, HEALTH_R_LOCAL, errno);
}

static void begin_tls(struct health_probe *p)
{
    struct sockets *s = sockets_of(p);
    struct weir_err err = {0};

    if (s->tls == NULL)
        s->tls = tls_worker_new(s->loop, NULL, NULL, &err);
    if (s->tls != NULL)
        p->session = tls_connect(s->tls, p->tls, p->chan.fd, p->tls_name, &err);
    if (p->session == NULL) {
        finish_with(p, HEALTH_R_LOCAL, ENOMEM);
        return;
    }
    tls_offer_http1(p->session);
    shake_hands(p);
}

static void connected(struct health_probe *p)
{
    const struct health_check *c = p->check;

    /* The first bytes of a connection always fit. */
    if (c->proxy_len > 0 &&
        send(p->chan.fd, c->proxy, c->proxy_len, MSG_NOSIGNAL | MSG_MORE) != (ssize_t)c->proxy_len)
        finish_with(p, HEALTH_R_CLOSED, errno);
    else if (p->tls != NULL)
        begin_tls(p);
    else
        ask(p);
}

static void connect_ended(struct health_probe *p)
{
    socklen_t len = sizeof(int);
    int os = 0;

    getsockopt(p->chan.fd, SOL_SOCKET, SO_ERROR, &os, &len);
    if (os == 0 && connected_to_itself(p->chan.fd))
        os = ECONNREFUSED;
    if (os == 0) {
        connected(p);
        return;
    }
    close_socket(p);
    set_reason(p, reason_of(os), os);
    if (!connect_next(p))
        finish(p);
}

/* ---- the answer ---- */

/* false: the probe is over. */
static bool read_once(struct health_probe *p)
{
    enum health_reason why;
    size_t room;
    char *to = health_answer_room(p->answer, &room);
    ssize_t n;

    if (to == NULL) {
        finish_with(p, HEALTH_R_LOCAL, ENOMEM);
        return false;
    }
    n = net_chan_recv(&p->chan, to, room);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return true;
    if (n > 0)
        why = health_answer_took(p->answer, (size_t)n);
    else
        why = health_answer_closed(p->answer, n == 0);
    if (why != HEALTH_R_NONE)
        finish_with(p, why, n < 0 ? errno : 0);
    return why == HEALTH_R_NONE;
}

/* An answer is read up to a bound, so what a layer holds can be read in one go. */
static void read_answer(struct health_probe *p)
{
    while (read_once(p) && net_chan_pending(&p->chan))
        ;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct health_probe *p = arg;

    (void)fd;
    net_loop_enter(loop_of(p));
    if (p->session != NULL)
        shake_hands(p);
    else if (p->answer == NULL)
        connect_ended(p);
    else if ((what & EV_WRITE) != 0)
        push_request(p);
    else
        read_answer(p);
}

static void on_deadline(struct net_timer *t)
{
    struct health_probe *p = WEIR_CONTAINER(t, struct health_probe, deadline);
    const int64_t now_ms = net_now_ms(loop_of(p));

    if (now_ms - t->due_ms > LOOP_LATE_MS)
        net_timer_start(loop_of(p), t, now_ms);
    else if (p->session != NULL)
        finish_with(p, HEALTH_R_TLS, ETIMEDOUT);
    else if (p->answer == NULL)
        finish_with(p, HEALTH_R_CONNECT, ETIMEDOUT);
    else
        finish_with(p, HEALTH_R_TIMEOUT, ETIMEDOUT);
}

/* ---- the transport ---- */

static void sockets_start(struct health_transport *t, struct health_probe *p)
{
    struct net_loop *loop = WEIR_CONTAINER(t, struct sockets, transport)->loop;

    p->tried = 0;
    p->chan = NET_CHAN_NONE;
    p->session = NULL;
    p->sent = 0;
    p->answer = NULL;
    p->began_us = loop->clock.mono_us;
    p->result = (struct health_probe_result){0};
    p->deadline = (struct net_timer){.fire = on_deadline};
    if (!connect_next(p)) {
        finish_later(p);
        return;
    }
    net_timer_start(loop, &p->deadline, net_now_ms(loop) + p->check->timeout_ms);
}

static void sockets_cancel(struct health_transport *t, struct health_probe *p)
{
    (void)t;
    release(p);
}

struct health_transport *health_sockets_new(struct net_loop *loop, struct weir_err *err)
{
    struct sockets *s = weir_calloc(1, sizeof(*s));

    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "health: probes", 0);
        return NULL;
    }
    s->scratch = pattern_scratch_new(err);
    if (s->scratch == NULL) {
        weir_free(s);
        return NULL;
    }
    s->transport.start = sockets_start;
    s->transport.cancel = sockets_cancel;
    s->loop = loop;
    return &s->transport;
}

void health_sockets_free(struct health_transport *t)
{
    struct sockets *s;

    if (t == NULL)
        return;
    s = WEIR_CONTAINER(t, struct sockets, transport);
    tls_worker_free(s->tls);
    pattern_scratch_free(s->scratch);
    weir_free(s);
}
