#include "tls_session_own.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "weir/alloc.h"

void tls_kept_free(struct tls_kept *k)
{
    weir_free(k->data);
    *k = (struct tls_kept){0};
}

bool tls_kept_append(struct tls_kept *k, const void *data, size_t len)
{
    size_t has = tls_kept_len(k);
    unsigned char *fresh;

    if (len == 0)
        return true;
    if (has + len > TLS_KEPT_MAX)
        return false; /* a peer that makes us answer and does not read */
    if (k->at > 0 && k->data != NULL)
        memmove(k->data, k->data + k->at, has);
    k->at = 0;
    k->len = has;
    fresh = weir_realloc(k->data, has + len);
    if (fresh == NULL)
        return false;
    k->data = fresh;
    memcpy(k->data + has, data, len);
    k->len = has + len;
    return true;
}

/* ---- what OpenSSL reads and writes ---- */

/* From the socket, once a turn. */
static void receive(struct tls_session *s)
{
    struct tls_worker *w = s->w;
    ssize_t n;

    do
        n = recv(s->fd, w->in, w->want, 0);
    while (n < 0 && errno == EINTR);
    w->want = 0;
    w->in_at = 0;
    w->in_len = n > 0 ? (size_t)n : 0;
    if (n == 0)
        s->eof = true;
    else if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        s->socket_error = errno;
}

static size_t take(const unsigned char *data, size_t *at, size_t len, char *buf, size_t want)
{
    size_t n = len - *at < want ? len - *at : want;

    memcpy(buf, data + *at, n);
    *at += n;
    return n;
}

static int wire_read(BIO *bio, char *buf, int want)
{
    struct tls_session *s = BIO_get_data(bio);
    struct tls_worker *w = s->w;
    size_t n;

    BIO_clear_retry_flags(bio);
    if (want <= 0)
        return 0;
    if (s->in.data != NULL) {
        n = take(s->in.data, &s->in.at, s->in.len, buf, (size_t)want);
        if (s->in.at == s->in.len)
            tls_kept_free(&s->in);
        return (int)n;
    }
    if (!s->elsewhere) {
        if (w->in_at == w->in_len && w->want > 0 && !s->eof && s->socket_error == 0)
            receive(s);
        if (w->in_at < w->in_len)
            return (int)take(w->in, &w->in_at, w->in_len, buf, (size_t)want);
    }
    if (s->eof)
        return 0;
    if (s->socket_error == 0) {
        s->starved = true;
        BIO_set_retry_read(bio);
    }
    return -1;
}

static int wire_write(BIO *bio, const char *data, int len)
{
    struct tls_session *s = BIO_get_data(bio);
    struct tls_worker *w = s->w;

    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    if (s->elsewhere)
        return tls_kept_append(&s->out, data, (size_t)len) ? len : -1;
    if ((size_t)len > TLS_OUT_BYTES - w->out_len)
        return -1; /* cannot be: a send stops before, and a flight of a handshake is smaller */
    memcpy(w->out + w->out_len, data, (size_t)len);
    w->out_len += (size_t)len;
    return len;
}

static long wire_ctrl(BIO *bio, int command, long number, void *arg)
{
    const struct tls_session *s = BIO_get_data(bio);

    (void)number;
    (void)arg;
    switch (command) {
    case BIO_CTRL_FLUSH: /* it is sent at the end of the turn */
        return 1;
    case BIO_CTRL_EOF:
        return s->eof;
    default:
        return 0;
    }
}

/* ---- workers ---- */

static BIO_METHOD *method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7f, "weir");

    if (m != NULL && BIO_meth_set_read(m, wire_read) == 1 &&
        BIO_meth_set_write(m, wire_write) == 1 && BIO_meth_set_ctrl(m, wire_ctrl) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

struct tls_worker *tls_worker_new(struct net_loop *loop, struct weir_metrics *metrics,
                                  struct weir_work_pool *pool, struct weir_err *err)
{
    struct tls_worker *w = weir_calloc(1, sizeof *w);

    if (w == NULL)
        goto failed;
    w->loop = loop;
    w->metrics = metrics;
    w->pool = pool;
    w->method = method_new();
    w->in = weir_malloc(TLS_IN_BYTES);
    w->out = weir_malloc(TLS_OUT_BYTES);
    w->plain = weir_malloc(TLS_RECORD_MAX);
    if (w->method != NULL && w->in != NULL && w->out != NULL && w->plain != NULL)
        return w;
failed:
    weir_fail(err, WEIR_E_MEMORY, "tls: worker", 0);
    tls_worker_free(w);
    return NULL;
}

bool tls_wire_open(struct tls_session *s)
{
    BIO *bio = BIO_new(s->w->method);

    if (bio == NULL)
        return false;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio); /* one reference serves both directions */
    return true;
}

/* ---- turns ---- */

void tls_wire_begin(struct tls_session *s, size_t want)
{
    struct tls_worker *w = s->w;

    s->starved = false;
    w->in_at = w->in_len = w->out_len = 0;
    w->want = want < TLS_IN_BYTES ? want : TLS_IN_BYTES;
}

bool tls_wire_more(const struct tls_session *s)
{
    return s->in.data != NULL || s->w->in_at < s->w->in_len;
}

/* How much of [data, len) the socket takes; -1: broken, errno. */
static ssize_t put(const struct tls_session *s, const unsigned char *data, size_t len)
{
    ssize_t n;

    do
        n = send(s->fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

bool tls_wire_flush(struct tls_session *s)
{
    ssize_t n;

    s->held = false;
    if (s->out.data == NULL)
        return true;
    n = put(s, s->out.data + s->out.at, tls_kept_len(&s->out));
    if (n < 0)
        return false;
    s->out.at += (size_t)n;
    if (s->out.at < s->out.len) {
        errno = EAGAIN;
        return false;
    }
    tls_kept_free(&s->out);
    return true;
}

void tls_wire_release(struct tls_session *s)
{
    struct tls_worker *w = s->w;
    size_t len = tls_kept_len(&s->out);

    if (s->held && len <= TLS_OUT_BYTES - TLS_SEND_MAX - TLS_RECORD_MAX) {
        memcpy(w->out + w->out_len, s->out.data + s->out.at, len);
        w->out_len += len;
        tls_kept_free(&s->out);
    }
    s->held = false;
}

static bool send_out(struct tls_session *s)
{
    struct tls_worker *w = s->w;
    ssize_t n = 0;

    if (w->out_len == 0)
        return true;
    /* Behind what is kept already: records have an order. */
    if (s->out.data == NULL && (n = put(s, w->out, w->out_len)) < 0)
        return false;
    if ((size_t)n == w->out_len)
        return true;
    if (!tls_kept_append(&s->out, w->out + n, w->out_len - (size_t)n)) {
        s->end = TLS_CUT;
        errno = ENOBUFS;
        return false;
    }
    errno = EAGAIN;
    return false;
}

static void keep_received(struct tls_session *s)
{
    struct tls_worker *w = s->w;

    if (w->in_at < w->in_len && !tls_kept_append(&s->in, w->in + w->in_at, w->in_len - w->in_at)) {
        s->end = TLS_CUT; /* what is lost cannot be made good */
        s->socket_error = ENOMEM;
    }
    w->in_at = w->in_len = 0;
}

bool tls_wire_end(struct tls_session *s)
{
    keep_received(s);
    return send_out(s);
}

bool tls_wire_hold(struct tls_session *s)
{
    struct tls_worker *w = s->w;

    if (w->out_len == 0 || !tls_kept_append(&s->out, w->out, w->out_len))
        return false;
    keep_received(s);
    return true;
}

/* ---- the end of a worker ---- */

void tls_worker_free(struct tls_worker *w)
{
    if (w == NULL)
        return;
    tls_slow_finish(w);
    BIO_meth_free(w->method);
    weir_free(w->in);
    weir_free(w->out);
    weir_free(w->plain);
    weir_free(w);
}
