#include "net_tunnel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
    int from, to;
    struct event readable; /* on `from` */
    struct event writable; /* on `to` */
    uint32_t at, len;      /* bytes[at..len) wait for `to` */
    bool source_ended, shut;
    uint64_t passed;
    char bytes[NET_TUNNEL_BUFFER];
};

struct net_tunnel {
    struct net_loop *loop;
    struct net_timer idle;
    int64_t idle_ms;
    struct net_deferred end;
    bool ended, timed_out;
    void (*on_end)(void *arg, const struct net_tunnel_end *end);
    void *arg;
    struct direction inbound, outbound; /* client -> origin, origin -> client */
};

static void finish(struct net_deferred *d)
{
    struct net_tunnel *t = WEIR_CONTAINER(d, struct net_tunnel, end);
    struct net_tunnel_end end = {t->inbound.passed, t->outbound.passed, t->timed_out};

    t->on_end(t->arg, &end);
    weir_free(t);
}

static void drop_events(struct direction *d)
{
    event_del(&d->readable);
    event_del(&d->writable);
}

static void end_tunnel(struct net_tunnel *t)
{
    if (t->ended)
        return;
    t->ended = true;
    drop_events(&t->inbound);
    drop_events(&t->outbound);
    net_timer_stop(t->loop, &t->idle);
    close(t->inbound.from);
    close(t->inbound.to);
    net_defer(t->loop, &t->end, finish);
}

static void end_direction(struct direction *d)
{
    d->shut = true;
    drop_events(d);
    shutdown(d->to, SHUT_WR);
    if (d->t->inbound.shut && d->t->outbound.shut)
        end_tunnel(d->t);
}

/* Sends what waits. True when the buffer is empty and the direction goes on. */
static bool drain(struct direction *d)
{
    while (d->at < d->len) {
        ssize_t n = send(d->to, d->bytes + d->at, d->len - d->at, MSG_NOSIGNAL);

        if (n > 0) {
            d->at += (uint32_t)n;
            d->passed += (uint64_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            event_del(&d->readable);
            event_add(&d->writable, NULL);
            return false;
        } else if (errno != EINTR) {
            end_tunnel(d->t);
            return false;
        }
    }
    d->at = d->len = 0;
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

    (void)what;
    net_loop_enter(d->t->loop);
    touch(d->t);
    n = recv(fd, d->bytes, sizeof d->bytes, 0);
    if (n > 0)
        d->len = (uint32_t)n;
    else if (n == 0)
        d->source_ended = true;
    else if (errno == EAGAIN || errno == EINTR)
        return;
    else {
        end_tunnel(d->t);
        return;
    }
    drain(d);
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
        event_add(&d->readable, NULL);
}

static void on_idle(struct net_timer *timer)
{
    struct net_tunnel *t = WEIR_CONTAINER(timer, struct net_tunnel, idle);

    t->timed_out = true;
    end_tunnel(t);
}

static void init_direction(struct net_tunnel *t, struct direction *d, int from, int to,
                           struct weir_span first)
{
    d->t = t;
    d->from = from;
    d->to = to;
    d->len = first.len < sizeof d->bytes ? (uint32_t)first.len : sizeof d->bytes;
    if (d->len > 0)
        memcpy(d->bytes, first.ptr, d->len);
    event_assign(&d->readable, t->loop->base, from, EV_READ | EV_PERSIST, on_readable, d);
    event_assign(&d->writable, t->loop->base, to, EV_WRITE | EV_PERSIST, on_writable, d);
}

struct net_tunnel *net_tunnel_start(struct net_loop *loop, int client, int origin,
                                    struct weir_span from_client, struct weir_span from_origin,
                                    int64_t idle_ms,
                                    void (*ended)(void *arg, const struct net_tunnel_end *end),
                                    void *arg)
{
    struct net_tunnel *t = weir_malloc(sizeof *t);

    if (t == NULL)
        return NULL;
    memset(t, 0, offsetof(struct net_tunnel, inbound));
    memset(&t->inbound, 0, offsetof(struct direction, bytes));
    memset(&t->outbound, 0, offsetof(struct direction, bytes));
    t->loop = loop;
    t->idle_ms = idle_ms > 0 ? idle_ms : INT64_MAX / 4;
    t->on_end = ended;
    t->arg = arg;
    t->idle.fire = on_idle;
    init_direction(t, &t->inbound, client, origin, from_client);
    init_direction(t, &t->outbound, origin, client, from_origin);
    net_timer_start(loop, &t->idle, net_now_ms(loop) + t->idle_ms);
    /* From the next turn on, so that `ended` never runs inside this call. */
    event_add(t->inbound.len > 0 ? &t->inbound.writable : &t->inbound.readable, NULL);
    event_add(t->outbound.len > 0 ? &t->outbound.writable : &t->outbound.readable, NULL);
    return t;
}

void net_tunnel_abort(struct net_tunnel *t)
{
    end_tunnel(t);
}
