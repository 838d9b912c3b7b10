#include <errno.h>
#include <string.h>

#include "h1_conn.h"
#include "http_text.h"

/*
 * The response is a queue of iovecs: head, extra fields, framing, then rounds of body parts as they
 * can be pulled. One sendmsg carries the head and the first round. When the socket is full nothing
 * is pulled, so a slow client holds a round of parts and no more.
 */

#define ROUND_PARTS 12
#define FLAT_MAX    4096
#define KEEP_FREE                                                                                  \
    9 /* iovecs around a round: the head's three, a chunk's two, the end's three, one interim */

static struct net_loop *loop_of(const struct h1_stream *s)
{
    return s->x.loop;
}

static const struct client_settings *settings_of(const struct h1_stream *s)
{
    return s->x.site->site->source.client;
}

static struct h1_stream *stream_of(struct weir_exchange *x)
{
    return (struct h1_stream *)(void *)x;
}

static void queue(struct h1_stream *s, const char *ptr, size_t len)
{
    if (len > 0)
        s->iov[s->iov_count++] = (struct iovec){(void *)(uintptr_t)ptr, len};
}

/* What has gone out makes room. */
static void queue_reset(struct h1_stream *s)
{
    if (s->iov_at < s->iov_count)
        return;
    s->iov_at = s->iov_count = 0;
    for (unsigned i = 0; i < s->blob_count; i++)
        weir_blob_unref(s->blobs[i]);
    s->blob_count = 0;
}

/* ---- framing ---- */

static bool keeps_alive(const struct h1_stream *s)
{
    const struct h1_conn *c = s->conn;

    return s->x.started && s->x.framing.keep_alive && !s->x.response.close && !s->close_after &&
           !c->server->clients->polite && !h1_body_expected(s) &&
           c->requests < settings_of(s)->requests_per_connection;
}

static void put_length(struct h1_stream *s, struct http_text *t)
{
    const struct exchange_response *r = &s->x.response;

    if (r->length >= 0 && r->status != 204 && r->status >= 200) {
        http_text_lit(t, "Content-Length: ");
        http_text_u64(t, (uint64_t)r->length);
        http_text_lit(t, "\r\n");
        s->content_left = r->bodiless ? 0 : (uint64_t)r->length;
    } else if (r->bodiless) {
        s->content_left = 0;
    } else if (s->x.req.minor == 1 || !s->x.started) {
        http_text_lit(t, "Transfer-Encoding: chunked\r\n");
        s->chunked_out = true;
    } else {
        s->close_after = true; /* HTTP/1.0 and no length: the end is the end of the connection */
    }
}

static void put_framing(struct h1_stream *s)
{
    struct http_text t;

    http_text_init(&t, s->frame, sizeof s->frame);
    s->content_left = UINT64_MAX;
    put_length(s, &t);
    if (!keeps_alive(s)) {
        s->close_after = true;
        http_text_lit(&t, "Connection: close\r\n");
    } else if (s->x.req.minor == 0) {
        http_text_lit(&t, "Connection: keep-alive\r\n");
    }
    http_text_lit(&t, "\r\n");
    queue(s, s->frame, http_text_len(&t));
}

static void queue_head(struct h1_stream *s)
{
    const struct exchange_response *r = &s->x.response;

    queue(s, r->head.ptr, r->head.len);
    queue(s, r->extra.ptr, r->extra.len);
    put_framing(s);
    s->head_queued = s->first_round = true;
}

/* ---- the body ---- */

/* The body has ended. An announced length that was not reached must not look complete. */
static bool queue_end(struct h1_stream *s)
{
    struct weir_span trailers = exchange_trailers(&s->x);

    s->ended = true;
    if (s->content_left != UINT64_MAX && s->content_left > 0)
        return false;
    if (!s->chunked_out)
        return true;
    if (trailers.len == 0) {
        queue(s, HTTP_CHUNK_LAST, sizeof HTTP_CHUNK_LAST - 1);
    } else {
        queue(s, "0\r\n", 3);
        queue(s, trailers.ptr, trailers.len);
        queue(s, "\r\n", 2);
    }
    return true;
}

static bool queue_parts(struct h1_stream *s, const struct exchange_part *part, unsigned n)
{
    uint64_t total = 0;
    char *header = s->frame + 96; /* framing fields, queued in the same round, end before */

    for (unsigned i = 0; i < n; i++) {
        total += part[i].len;
        if (part[i].blob != NULL)
            s->blobs[s->blob_count++] = part[i].blob;
    }
    if (s->content_left != UINT64_MAX) {
        if (total > s->content_left)
            return false;
        s->content_left -= total;
    }
    if (s->chunked_out && total > 0) {
        size_t len = http_chunk_header(header, total);

        queue(s, header, len);
    }
    for (unsigned i = 0; i < n; i++)
        queue(s, part[i].ptr, part[i].len);
    if (s->chunked_out && total > 0)
        queue(s, "\r\n", 2);
    s->x.sent_bytes += total;
    return true;
}

/* One more round (chunk headers of the last are written over: it must be out). false: the body
 * broke off. */
static bool refill(struct h1_stream *s)
{
    struct exchange_part part[ROUND_PARTS];
    unsigned n = 0;

    switch (exchange_pull(&s->x, part, ROUND_PARTS, &n)) {
    case PULL_DATA:
        if (!queue_parts(s, part, n))
            return false;
        /* The end goes with the last bytes: no round, and no system call, for it alone. */
        if (s->content_left == 0)
            s->ended = true;
        else if (exchange_pulled_all(&s->x))
            return queue_end(s);
        return true;
    case PULL_WAIT:
        s->waiting_body = true;
        return true;
    case PULL_END:
        return queue_end(s);
    case PULL_FAILED:
        break;
    }
    return false;
}

/* ---- the socket ---- */

static void want_write(struct h1_stream *s, bool on)
{
    int64_t now = net_now_ms(loop_of(s));

    if (s->want_write == on)
        return;
    s->want_write = on;
    if (on) {
        event_add(&s->writable, NULL);
        s->blocked_since_ms = now;
    } else {
        event_del(&s->writable);
        s->blocked_ms += now - s->blocked_since_ms;
    }
}

static void advance(struct h1_stream *s, size_t n)
{
    while (n > 0) {
        struct iovec *v = &s->iov[s->iov_at];

        if (n < v->iov_len) {
            v->iov_base = (char *)v->iov_base + n;
            v->iov_len -= n;
            return;
        }
        n -= v->iov_len;
        s->iov_at++;
    }
}

/* A client that takes less than the least rate keeps memory and origins busy for nothing. */
static bool takes_too_little(const struct h1_stream *s)
{
    return net_client_too_slow(settings_of(s), s->blocked_ms, s->x.sent_bytes);
}

/*
 * One system call. Little bytes in many pieces cost the kernel more than a copy costs us: they go
 * as one piece.
 */
static ssize_t send_queued(struct h1_stream *s)
{
    struct net_chan *chan = &s->conn->client.chan;
    const struct iovec *iov = s->iov + s->iov_at;
    unsigned count = s->iov_count - s->iov_at;
    char flat[FLAT_MAX];
    struct iovec one = {flat, 0};

    for (unsigned i = 0; i < count; i++) {
        if (iov[i].iov_len > sizeof flat - one.iov_len)
            return net_chan_send(chan, iov, count);
        memcpy(flat + one.iov_len, iov[i].iov_base, iov[i].iov_len);
        one.iov_len += iov[i].iov_len;
    }
    return net_chan_send(chan, &one, 1);
}

static int wait_for_room(struct h1_stream *s)
{
    want_write(s, true);
    h1_conn_expect(s->conn, H1_SEND, settings_of(s)->send_timeout_ms);
    return takes_too_little(s) ? -1 : 0;
}

/* What a layer has taken and the socket has not. */
static int flush_layer(struct h1_stream *s)
{
    int out = net_chan_flush(&s->conn->client.chan);

    return out == 0 ? wait_for_room(s) : out;
}

/* Sends what is queued. 1: all out; 0: the socket is full; -1: broken. */
static int flush(struct h1_stream *s)
{
    while (s->iov_at < s->iov_count) {
        ssize_t n = send_queued(s);

        if (n >= 0) {
            weir_metric_add(s->x.w->metrics, WEIR_M_bytes_out, n);
            advance(s, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return wait_for_room(s);
        } else if (errno != EINTR) {
            return -1;
        }
    }
    queue_reset(s);
    return net_chan_unsent(&s->conn->client.chan) ? flush_layer(s) : 1;
}

bool h1_send_push(struct h1_stream *s)
{
    struct h1_conn *c = s->conn;

    if (c->closed) /* the exchange hears of it at the end of the turn, and may be woken before */
        return false;
    for (;;) {
        /* The first round goes with the head; later ones when the one before is out. */
        bool room = (s->iov_count == 0 && !net_chan_unsent(&c->client.chan)) || s->first_round;
        int out = 1;

        if (s->head_queued && !s->ended && !s->waiting_body && room) {
            s->first_round = false;
            out = refill(s) ? 1 : -1;
        }
        if (out > 0)
            out = flush(s);
        if (out < 0) { /* the client must see that this is not the whole */
            h1_conn_close(c, true);
            return false;
        }
        if (out == 0)
            return true;
        want_write(s, false);
        if (s->ended) {
            h1_conn_response_done(s);
            return true;
        }
        if (s->waiting_body || !s->head_queued) {
            if (c->wait == H1_SEND || !h1_body_expected(s))
                h1_body_expect(s);
            return true;
        }
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct h1_stream *s = arg;

    (void)fd;
    (void)what;
    net_loop_enter(loop_of(s));
    want_write(s, false);
    h1_send_push(s);
}

void h1_send_begin(struct h1_stream *s)
{
    s->want_write = s->head_queued = s->ended = s->chunked_out = s->close_after = false;
    s->waiting_body = s->first_round = false;
    s->iov_at = s->iov_count = s->blob_count = 0;
    s->blocked_ms = 0;
    event_assign(&s->writable, loop_of(s)->base, s->conn->client.chan.fd, EV_WRITE | EV_PERSIST,
                 on_writable, s);
}

void h1_send_end(struct h1_stream *s)
{
    if (s->want_write)
        event_del(&s->writable);
    s->want_write = false;
    s->iov_at = s->iov_count;
    queue_reset(s);
}

/* ---- what the exchange asks for ---- */

static void respond(struct weir_exchange *x)
{
    struct h1_stream *s = stream_of(x);

    queue_head(s);
    if (x->response.bodiless || (x->response.body.source == NULL && !s->chunked_out))
        s->ended = true;
    h1_send_push(s);
}

static void more(struct weir_exchange *x)
{
    struct h1_stream *s = stream_of(x);

    if (!s->waiting_body)
        return;
    s->waiting_body = false;
    if (!s->want_write)
        h1_send_push(s);
}

/* Interim responses are small; their bytes live in the exchange's arena until they are out. */
static void send_interim(struct h1_stream *s, struct weir_span bytes)
{
    if (s->conn->closed || s->head_queued || s->iov_count > H1_IOV - ROUND_PARTS - KEEP_FREE)
        return;
    queue(s, bytes.ptr, bytes.len);
    if (flush(s) < 0)
        h1_conn_close(s->conn, true);
}

static void interim(struct weir_exchange *x, const struct http_head *head)
{
    struct h1_stream *s = stream_of(x);
    size_t room = http_fields_bytes(head) + 64;
    struct http_text t;
    char *buf;

    if (x->req.minor == 0) /* HTTP/1.0 knows no interim responses (RFC 9110 15.2) */
        return;
    buf = weir_arena_alloc(&x->arena, room);
    if (buf == NULL)
        return; /* not essential */
    http_text_init(&t, buf, room);
    http_text_status_line(&t, head->status, WEIR_SPAN_NONE);
    for (uint32_t i = 0; i < head->count; i++) {
        const struct http_field *f = &head->fields[i];

        if (!(f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING)) &&
            !(http_head_has(head, HTTP_F_CONNECTION) && !(f->flags & HTTP_FF_PROTECTED) &&
              http_connection_names(head, f->name)))
            http_text_field(&t, f->name, f->value);
    }
    http_text_lit(&t, "\r\n");
    send_interim(s, http_text_span(&t));
}

void h1_send_continue(struct h1_stream *s)
{
    send_interim(s, WEIR_SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* ---- switching protocols ---- */

static void on_tunnel_end(void *arg, const struct net_tunnel_end *end)
{
    struct h1_stream *s = arg;

    s->x.received_bytes = end->bytes_in;
    s->x.sent_bytes = end->bytes_out;
    s->conn->tunnel = NULL;
    h1_conn_close(s->conn, false);
}

static bool write_switch(struct h1_stream *s, const struct http_head *head)
{
    struct weir_exchange *x = &s->x;
    size_t room = http_fields_bytes(head) + 256;
    char *buf = weir_arena_alloc(&x->arena, room);
    struct http_text t;
    struct iovec iov;

    if (buf == NULL)
        return false;
    http_text_init(&t, buf, room);
    http_text_status_line(&t, 101, WEIR_SPAN_NONE);
    http_text_lit(&t, "Connection: upgrade\r\nUpgrade: websocket\r\n");
    for (uint32_t i = 0; i < head->count; i++)
        if (!(head->fields[i].flags & (HTTP_FF_HOP | HTTP_FF_FRAMING)))
            http_text_field(&t, head->fields[i].name, head->fields[i].value);
    http_text_bytes(&t, x->site->site->via,
                    x->site->site->source.forward->via ? x->site->site->via_len : 0);
    http_text_lit(&t, "\r\n");
    /* The first bytes on an otherwise idle connection: they fit, or it is broken. */
    iov = (struct iovec){buf, http_text_len(&t)};
    return http_text_ok(&t) &&
           net_chan_send(&s->conn->client.chan, &iov, 1) == (ssize_t)iov.iov_len;
}

static void upgraded(struct weir_exchange *x, struct net_chan origin, const struct http_head *head,
                     struct weir_span surplus)
{
    struct h1_stream *s = stream_of(x);
    struct h1_conn *c = s->conn;
    struct weir_span early = weir_span(c->in, c->in_len);

    x->waiting = false;
    x->responded = true;
    x->response.status = 101;
    s->total_due_ms = 0; /* a tunnel lives by its idle time */
    h1_conn_read(c, false);
    h1_conn_expect(c, H1_RESPONSE, 0);
    /* An interim response that is still stuck would get in between. */
    if (!c->closed && s->iov_count == 0 && write_switch(s, head))
        c->tunnel = net_tunnel_start(loop_of(s), &c->client.chan, origin, early, surplus,
                                     settings_of(s)->tunnel_idle_ms, on_tunnel_end, s);
    if (c->tunnel == NULL) {
        net_chan_close(&origin, true);
        h1_conn_close(c, true);
        return;
    }
    weir_metric_add(x->w->metrics, WEIR_M_tunnels, 1);
}

const struct exchange_client h1_client = {interim, respond, more, upgraded};
