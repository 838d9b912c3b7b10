#include "net_tunnel.h"

#include <errno.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"

/*
 * One direction:
 *
 *   OPEN --eof from source, buffer empty--> SHUT      (end_direction)
 *
 * A side that fails ends the whole tunnel: what is in flight the other way could not be answered.
 */
struct direction {
    struct net_tunnel *t;
    struct net_chan *from, *to;
    struct event readable; /* on `from` */
    struct event writable; /* on `to` */
    struct net_deferred again;
    bool reading, again_due;
    uint32_t at, len; /* bytes[at..len) wait for `to` */
    bool source_ended, shut;
    uint64_t passed;
    uint32_t cap;
    char *bytes; /* behind the tunnel */
};

struct net_tunnel {
    struct net_loop *loop;
    struct net_timer idle;
    int64_t idle_ms;
    struct net_deferred end;
    bool ended, timed_out;
    void (*on_end)(void *arg, const struct net_tunnel_end *end);
    void *arg;
    struct net_chan origin;
    struct direction inbound, outbound; /* client -> origin, origin -> client */
};

static void finish(struct net_deferred *d)
{
    struct net_tunnel *t = WEIR_CONTAINER(d, struct net_tunnel, end);
    struct net_tunnel_end end = {t->inbound.passed, t->outbound.passed, t->timed_out};

    net_chan_close(&t->origin, false);
    t->on_end(t->arg, &end);
    weir_free(t);
}

static void drop_events(struct direction *d)
{
    event_del(&d->readable);
    event_del(&d->writable);
    d->reading = false;
}

static void read_again(struct net_deferred *again)
{
    struct direction *d = WEIR_CONTAINER(again, struct direction, again);

    d->again_due = false;
    if (d->reading)
        event_active(&d->readable, EV_READ, 0);
}

/* Of what a layer holds no event will tell. In the next turn: others on this loop have theirs. */
static void look_for_more(struct direction *d)
{
    if (!d->reading || d->again_due || !net_chan_pending(d->from))
        return;
    d->again_due = true;
    net_defer(d->t->loop, &d->again, read_again);
}

static void resume_reading(struct direction *d)
{
    event_add(&d->readable, NULL);
    d->reading = true;
    look_for_more(d);
}

static void wait_for_room(struct direction *d)
{
    event_del(&d->readable);
    d->reading = false;
    event_add(&d->writable, NULL);
}

/* reset: a side has failed, and the other must not take what came for all there was. */
static void end_tunnel(struct net_tunnel *t, bool reset)
{
    if (t->ended)
        return;
    t->ended = true;
    drop_events(&t->inbound);
    drop_events(&t->outbound);
    net_timer_stop(t->loop, &t->idle);
    net_chan_hang_up(t->inbound.from, reset);
    net_chan_hang_up(t->inbound.to, reset);
    net_defer(t->loop, &t->end, finish);
}

static void end_direction(struct direction *d)
{
    d->shut = true;
    drop_events(d);
    net_chan_shutdown(d->to);
    if (d->t->inbound.shut && d->t->outbound.shut)
        end_tunnel(d->t, false);
}

/* Sends what waits. True when the buffer is empty and the direction goes on. */
static bool drain(struct direction *d)
{
    while (d->at < d->len) {
        struct iovec iov = {d->bytes + d->at, d->len - d->at};
        ssize_t n = net_chan_send(d->to, &iov, 1);

        if (n > 0) {
            d->at += (uint32_t)n;
            d->passed += (uint64_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for_room(d);
            return false;
        } else if (errno != EINTR) {
            end_tunnel(d->t, true);
            return false;
        }
    }
    d->at = d->len = 0;
    if (net_chan_unsent(d->to)) {
        int out = net_chan_flush(d->to);

        if (out == 0)
            wait_for_room(d);
        else if (out < 0)
            end_tunnel(d->t, true);
        if (out <= 0)
            return false;
    }
    if (d->source_ended) {
        end_direction(d);
        return false;
    }
    return true;
}

static void touch(struct net_tunnel *t)
{
    net_timer_move(t->loop, &t->idle, net_now_ms(t->loop) + t->idle_ms);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct direction *d = arg;
    ssize_t n;

    (void)fd;
    (void)what;
    net_loop_enter(d->t->loop);
    touch(d->t);
    n = net_chan_recv(d->from, d->bytes, d->cap);
    if (n > 0)
        d->len = (uint32_t)n;
    else if (n == 0)
        d->source_ended = true;
    else if (errno == EAGAIN || errno == EINTR)
        return;
    else {
        end_tunnel(d->t, true);
        return;
    }
    if (drain(d))
        look_for_more(d);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct direction *d = arg;

    (void)fd;
    (void)what;
    net_loop_enter(d->t->loop);
    touch(d->t);
    event_del(&d->writable);
    if (drain(d))
        resume_reading(d);
}

static void on_idle(struct net_timer *timer)
{
    struct net_tunnel *t = WEIR_CONTAINER(timer, struct net_tunnel, idle);

    t->timed_out = true;
    end_tunnel(t, false);
}

/* What was read ahead is sent first, however much a single read brought. */
static uint32_t room_for(struct weir_span first)
{
    return first.len > NET_TUNNEL_BUFFER ? (uint32_t)first.len : NET_TUNNEL_BUFFER;
}

static void init_direction(struct net_tunnel *t, struct direction *d, struct net_chan *from,
                           struct net_chan *to, struct weir_span first, char *bytes)
{
    memset(d, 0, sizeof *d);
    d->cap = room_for(first);
    d->bytes = bytes;
    d->t = t;
    d->from = from;
    d->to = to;
    d->len = (uint32_t)first.len;
    if (d->len > 0)
        memcpy(d->bytes, first.ptr, d->len);
    event_assign(&d->readable, t->loop->base, from->fd, EV_READ | EV_PERSIST, on_readable, d);
    event_assign(&d->writable, t->loop->base, to->fd, EV_WRITE | EV_PERSIST, on_writable, d);
}

/* From the next turn on, so that `ended` never runs inside the call that starts the tunnel. */
static void start_direction(struct direction *d)
{
    if (d->len > 0 || net_chan_unsent(d->to))
        event_add(&d->writable, NULL);
    else
        resume_reading(d);
}

struct net_tunnel *net_tunnel_start(struct net_loop *loop, struct net_chan *client,
                                    struct net_chan origin, struct weir_span from_client,
                                    struct weir_span from_origin, int64_t idle_ms,
                                    void (*ended)(void *arg, const struct net_tunnel_end *end),
                                    void *arg)
{
    size_t in_cap = room_for(from_client), out_cap = room_for(from_origin);
    struct net_tunnel *t = weir_malloc(sizeof *t + in_cap + out_cap);
    char *bytes = (char *)(t + 1);

    if (t == NULL)
        return NULL;
    memset(t, 0, offsetof(struct net_tunnel, inbound));
    t->loop = loop;
    t->idle_ms = idle_ms > 0 ? idle_ms : INT64_MAX / 4;
    t->on_end = ended;
    t->arg = arg;
    t->idle.fire = on_idle;
    t->origin = origin;
    init_direction(t, &t->inbound, client, &t->origin, from_client, bytes);
    init_direction(t, &t->outbound, &t->origin, client, from_origin, bytes + in_cap);
    net_timer_start(loop, &t->idle, net_now_ms(loop) + t->idle_ms);
    start_direction(&t->inbound);
    start_direction(&t->outbound);
    return t;
}

void net_tunnel_abort(struct net_tunnel *t)
{
    end_tunnel(t, false);
}
