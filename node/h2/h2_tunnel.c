#include "h2_tunnel.h"

#include <errno.h>
#include <string.h>

#include "weir/alloc.h"

#define SLICES      8
#define HALF_END_MS 10000 /* without traffic, for a client that has been told the origin's end */

struct h2_tunnel {
    struct h2_stream *stream; /* NULL: it has gone */
    struct net_loop *loop;
    struct net_chan origin;
    struct event readable, writable;
    struct net_timer idle;
    struct net_deferred later; /* more than an event tells of; or: freed */
    int64_t idle_ms, touched_ms;
    bool reading, writing, again;
    bool origin_ended; /* nothing more comes from it */
    bool shut;         /* toward it */
    uint32_t at, len;  /* bytes[at..len) wait for the client */
    uint32_t cap;
    char bytes[];
};

static void read_origin(struct h2_tunnel *t);

/* ---- events ---- */

static void want_write(struct h2_tunnel *t, bool on)
{
    if (t->writing == on)
        return;
    t->writing = on;
    if (on)
        event_add(&t->writable, NULL);
    else
        event_del(&t->writable);
}

static void want_read(struct h2_tunnel *t, bool on)
{
    if (t->reading == on)
        return;
    t->reading = on;
    if (on)
        event_add(&t->readable, NULL);
    else
        event_del(&t->readable);
}

/* May it be the silence of the client alone that the tunnel lasts for? Who knows the origin's end
 * and says nothing may never say its own (Firefox does not). */
static bool only_client_is_left(const struct h2_tunnel *t)
{
    const struct net_pipe *p = &t->stream->pipe;

    return t->stream->out_ended && p->count == 0 && !p->ended;
}

static int64_t patience(const struct h2_tunnel *t, bool half)
{
    return half && t->idle_ms > HALF_END_MS ? HALF_END_MS : t->idle_ms;
}

/* From the origin's end on it is looked at early, since that may be out by then. */
static void touch(struct h2_tunnel *t)
{
    t->touched_ms = net_now_ms(t->loop);
    net_timer_move(t->loop, &t->idle, t->touched_ms + patience(t, t->origin_ended));
}

static void on_later(struct net_deferred *d)
{
    struct h2_tunnel *t = WEIR_CONTAINER(d, struct h2_tunnel, later);

    t->again = false;
    if (t->stream == NULL)
        weir_free(t);
    else if (t->reading)
        read_origin(t);
}

/* Reading is on where there is room; what a layer holds no event tells of. */
static void go_on_reading(struct h2_tunnel *t)
{
    want_read(t, t->at == t->len && !t->origin_ended);
    if (t->reading && !t->again && net_chan_pending(&t->origin)) {
        t->again = true;
        net_defer(t->loop, &t->later, on_later);
    }
}

/* ---- the end ---- */

void h2_tunnel_end(struct h2_stream *s)
{
    struct h2_tunnel *t = s->tunnel;

    if (t == NULL)
        return;
    s->tunnel = NULL;
    s->pipe.on_data = NULL;
    t->stream = NULL;
    want_read(t, false);
    want_write(t, false);
    net_timer_stop(t->loop, &t->idle);
    net_chan_close(&t->origin, !s->out_ended || !t->shut);
    if (!t->again)
        net_defer(t->loop, &t->later, on_later);
}

bool h2_tunnel_delivers(const struct h2_stream *s)
{
    return s->tunnel != NULL && !s->tunnel->shut && s->out_ended && s->body_done;
}

/* What is in flight the other way could not be answered (RFC 8441 5: RST is CANCEL). */
static void broken(struct h2_tunnel *t)
{
    struct h2_stream *s = t->stream;

    h2_stream_reset(s, NGHTTP2_CANCEL);
    h2_tunnel_end(s);
    if (s->closed)
        h2_stream_over(s);
}

static void on_idle(struct net_timer *timer)
{
    struct h2_tunnel *t = WEIR_CONTAINER(timer, struct h2_tunnel, idle);
    int64_t due_ms = t->touched_ms + patience(t, only_client_is_left(t));

    if (net_now_ms(t->loop) < due_ms)
        net_timer_move(t->loop, timer, due_ms);
    else
        broken(t);
}

/* ---- client to origin ---- */

/* false: broken, or the origin's socket is full. */
static bool send_some(struct h2_tunnel *t)
{
    struct net_pipe *p = &t->stream->pipe;
    struct weir_slice slice[SLICES];
    struct iovec iov[SLICES];
    unsigned n = net_pipe_peek(p, slice, SLICES);
    ssize_t sent;

    for (unsigned i = 0; i < n; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)weir_slice_ptr(slice[i]), slice[i].len};
    sent = net_chan_send(&t->origin, iov, n);
    if (sent >= 0) {
        net_pipe_took(p, (size_t)sent);
        return true;
    }
    if (errno == EINTR)
        return true;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        want_write(t, true);
    else
        broken(t);
    return false;
}

static void send_to_origin(struct h2_tunnel *t)
{
    struct net_pipe *p = &t->stream->pipe;
    int out;

    while (p->count > 0)
        if (!send_some(t))
            return;
    out = net_chan_flush(&t->origin);
    if (out < 0) {
        broken(t);
        return;
    }
    want_write(t, out == 0);
    if (out > 0 && p->ended && !t->shut) {
        t->shut = true;
        net_chan_shutdown(&t->origin);
        if (t->stream->closed) /* it was kept for this */
            h2_stream_over(t->stream);
    }
}

static void on_data(void *arg)
{
    struct h2_tunnel *t = arg;

    touch(t);
    if (t->stream->pipe.failed != WEIR_OK || t->shut)
        return; /* the stream ends, and ends the tunnel */
    if (!t->writing)
        send_to_origin(t);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct h2_tunnel *t = arg;

    (void)fd;
    (void)what;
    net_loop_enter(t->loop);
    touch(t);
    want_write(t, false);
    send_to_origin(t);
}

/* ---- origin to client ---- */

static void read_origin(struct h2_tunnel *t)
{
    ssize_t n = net_chan_recv(&t->origin, t->bytes, t->cap);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n < 0) {
        broken(t);
        return;
    }
    t->at = 0;
    t->len = (uint32_t)n;
    t->origin_ended = n == 0;
    touch(t);
    go_on_reading(t);
    h2_client.more(&t->stream->x);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct h2_tunnel *t = arg;

    (void)fd;
    (void)what;
    net_loop_enter(t->loop);
    read_origin(t);
}

size_t h2_tunnel_ready(const struct h2_stream *s, bool *ended)
{
    const struct h2_tunnel *t = s->tunnel;

    *ended = t->origin_ended;
    return t->len - t->at;
}

void h2_tunnel_put(struct h2_stream *s, struct h2_out *o, size_t len)
{
    struct h2_tunnel *t = s->tunnel;

    h2_out_copy(o, t->bytes + t->at, len);
    t->at += (uint32_t)len;
    go_on_reading(t);
}

/* ---- the beginning ---- */

bool h2_tunnel_start(struct h2_stream *s, struct net_chan origin, struct weir_span surplus)
{
    int64_t idle_ms = h2_conn_settings(s->conn)->tunnel_idle_ms;
    uint32_t cap = H2_TUNNEL_BUFFER;
    struct h2_tunnel *t;

    if (surplus.len > cap)
        cap = (uint32_t)surplus.len; /* of one read */
    t = weir_malloc(sizeof *t + cap);
    if (t == NULL)
        return false;
    memset(t, 0, sizeof *t);
    t->cap = cap;
    t->stream = s;
    t->loop = h2_loop(s->conn);
    t->origin = origin;
    t->idle_ms = idle_ms > 0 ? idle_ms : INT64_MAX / 4;
    t->idle.fire = on_idle;
    t->len = (uint32_t)surplus.len;
    if (surplus.len > 0)
        memcpy(t->bytes, surplus.ptr, surplus.len);
    event_assign(&t->readable, t->loop->base, origin.fd, EV_READ | EV_PERSIST, on_readable, t);
    event_assign(&t->writable, t->loop->base, origin.fd, EV_WRITE | EV_PERSIST, on_writable, t);
    t->touched_ms = net_now_ms(t->loop);
    net_timer_start(t->loop, &t->idle, t->touched_ms + t->idle_ms);
    s->tunnel = t;
    s->pipe.on_data = on_data;
    s->pipe.consumer = t;
    go_on_reading(t);
    if (s->pipe.count > 0 || s->pipe.ended)
        want_write(t, true); /* from the next turn on */
    return true;
}
