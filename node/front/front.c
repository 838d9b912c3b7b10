#include "front.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "front_conn.h"
#include "h2_server.h"
#include "netset.h"

#define LAST_CHANCE_MS 500 /* for who has not said anything yet, on a node that drains */
#define PREFACE        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" /* RFC 9113 3.4 */
#define PREFACE_LEN    24

static void on_event(evutil_socket_t fd, short what, void *arg);

static struct net_loop *loop_of(const struct front_conn *c)
{
    return c->front->w->loop;
}

static const struct client_settings *settings_of(const struct front *f)
{
    return f->w->site->site->source.client;
}

struct net_clients_limits front_limits(const struct front *f)
{
    const struct client_settings *s = settings_of(f);

    return (struct net_clients_limits){s->connections, s->connections_per_client};
}

/* ---- saying why ---- */

/* What strangers can cause a thousand times a second is not logged a thousand times. */
static bool may_log(struct front *f, enum weir_log_level level)
{
    int64_t second = net_now_ms(f->w->loop) / 1000;

    if (!weir_log_enabled(level))
        return false;
    if (second != f->log_second) {
        if (f->unlogged > 0)
            weir_log(level, "%u more connections failed before a request", f->unlogged);
        f->log_second = second;
        f->logged = f->unlogged = 0;
    }
    if (f->logged < FRONT_LOG_MAX) {
        f->logged++;
        return true;
    }
    f->unlogged++;
    return false;
}

static void say_why(struct front *f, enum weir_log_level level, const struct net_peer *peer,
                    const struct front_entry *entry, const struct weir_err *err)
{
    char ip[NET_TEXT_MAX], what[2 * NET_TEXT_MAX + 64];

    if (!may_log(f, level))
        return;
    net_peer_text(peer, ip);
    snprintf(what, sizeof what, "client %s at %s", ip, entry->address);
    weir_log_err(level, what, err);
}

void front_fail(struct front_conn *c, enum weir_log_level level, const struct weir_err *err)
{
    say_why(c->front, level, &c->client.peer, c->client.entry, err);
    front_close(c, false);
}

/* ---- opening and closing ---- */

static void free_conn(struct net_deferred *d)
{
    struct front_conn *c = WEIR_CONTAINER(d, struct front_conn, gone);

    net_chan_close(&c->client.chan, false);
    front_entry_unref(c->client.entry);
    weir_free(c);
}

/* Nothing more is awaited here. */
static void let_go(struct front_conn *c)
{
    c->closed = true;
    front_tls_leave(c);
    front_watch(c, 0);
    net_timer_stop(loop_of(c), &c->timer);
    net_defer(loop_of(c), &c->gone, free_conn);
}

void front_close(struct front_conn *c, bool reset)
{
    if (c->closed)
        return;
    let_go(c);
    net_chan_hang_up(&c->client.chan, reset);
    net_clients_leave(c->front->clients, &c->client);
}

static void close_client(struct net_client *client, bool reset)
{
    front_close(WEIR_CONTAINER(client, struct front_conn, client), reset);
}

/* Who has begun to speak goes on within his time; who has not may be about to. */
static void drain_client(struct net_client *client)
{
    struct front_conn *c = WEIR_CONTAINER(client, struct front_conn, client);

    if (!c->heard)
        front_expect(c, LAST_CHANCE_MS);
}

static const struct net_client_ops client_ops = {close_client, drain_client, NULL};

void front_watch(struct front_conn *c, short what)
{
    if (c->watching == what)
        return;
    if (c->watching != 0)
        event_del(&c->event);
    c->watching = what;
    if (what == 0)
        return;
    event_assign(&c->event, loop_of(c)->base, c->client.chan.fd, (short)(what | EV_PERSIST),
                 on_event, c);
    event_add(&c->event, NULL);
}

void front_expect(struct front_conn *c, int64_t ms)
{
    if (ms > 0)
        net_timer_start(loop_of(c), &c->timer, net_now_ms(loop_of(c)) + ms);
    else
        net_timer_stop(loop_of(c), &c->timer);
}

/* ---- from step to step ---- */

void front_hand_over(struct front_conn *c, bool http2, struct weir_span early)
{
    front_watch(c, 0);
    if (http2 ? h2_server_take(c->front->h2, &c->client, early)
              : h1_server_take(c->front->h1, &c->client, early))
        let_go(c);
    else
        front_close(c, true);
}

void front_next(struct front_conn *c)
{
    if (c->client.entry->tls == NULL && !c->client.entry->http2) {
        front_hand_over(c, false, WEIR_SPAN_NONE);
        return;
    }
    c->heard = false;
    net_clients_idle(c->front->clients, &c->client, true); /* it says nothing: first to go */
    if (c->client.entry->tls != NULL) {
        front_tls_begin(c);
        return;
    }
    c->phase = FRONT_PREFACE;
    c->have = 0;
    front_expect(c, settings_of(c->front)->first_timeout_ms);
}

/* By its first bytes: HTTP/2 begins with 24 that are no request of HTTP/1. */
static void preface_readable(struct front_conn *c)
{
    int fd = c->client.chan.fd;
    ssize_t n = recv(fd, c->buf + c->have, PREFACE_LEN - c->have, MSG_PEEK);
    size_t seen = c->have + (n > 0 ? (size_t)n : 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        front_close(c, false);
        return;
    }
    if (memcmp(c->buf, PREFACE, seen) != 0 || seen == PREFACE_LEN) {
        front_hand_over(c, seen == PREFACE_LEN && memcmp(c->buf, PREFACE, seen) == 0,
                        weir_span(c->buf, c->have));
        return;
    }
    /* Left where it is, it would be told of again and again. */
    if (recv(fd, c->buf + c->have, (size_t)n, 0) != n) {
        front_close(c, true);
        return;
    }
    if (c->have == 0)
        front_expect(c, settings_of(c->front)->head_timeout_ms);
    c->have = (uint16_t)seen;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct front_conn *c = arg;

    (void)fd;
    net_loop_enter(loop_of(c));
    if ((what & EV_READ) != 0 && !c->heard) {
        c->heard = true;
        net_clients_idle(c->front->clients, &c->client, false);
    }
    switch ((enum front_phase)c->phase) {
    case FRONT_PROXY:
        front_proxy_readable(c);
        break;
    case FRONT_PREFACE:
        preface_readable(c);
        break;
    case FRONT_TLS:
        front_tls_ready(c);
        break;
    case FRONT_WAITING: /* not watched */
        break;
    }
}

static void on_timer(struct net_timer *t)
{
    struct front_conn *c = WEIR_CONTAINER(t, struct front_conn, timer);
    struct weir_err late = {.code = WEIR_E_CLIENT_TIMEOUT, .where = "PROXY header"};

    if (c->phase == FRONT_PROXY && c->heard) {
        weir_metric_add(c->front->w->metrics, WEIR_M_proxy_errors, 1);
        front_fail(c, WEIR_LOG_INFO, &late);
    } else if ((c->phase == FRONT_WAITING || c->phase == FRONT_TLS) && c->heard) {
        front_tls_late(c);
    } else { /* it never said a word: nothing was late */
        front_close(c, false);
    }
}

/* ---- accepting ---- */

static void refuse_unlisted(struct front *f, const struct front_entry *entry,
                            const struct net_addr *addr)
{
    struct weir_err err = {0};
    struct net_peer peer;

    weir_fail(&err, WEIR_E_REQUEST_REFUSED, "not in proxy_protocol of this address", 0);
    net_peer_from(&peer, addr);
    weir_metric_add(f->w->metrics, WEIR_M_proxy_refused, 1);
    say_why(f, WEIR_LOG_WARN, &peer, entry, &err);
}

static bool let_in(struct front_conn *c)
{
    struct net_clients_limits limits = front_limits(c->front);

    if (c->phase == FRONT_PROXY) /* the peer speaks for many: they are counted by their own names */
        limits.per_client = 0;
    return net_clients_enter(c->front->clients, &c->client, limits);
}

static struct front_conn *conn_new(struct front *f, const struct net_addr *peer)
{
    struct front_conn *c = weir_malloc(sizeof *c);

    if (c == NULL)
        return NULL;
    memset(c, 0, offsetof(struct front_conn, buf));
    c->front = f;
    c->client.ops = &client_ops;
    c->client.chan = NET_CHAN_NONE;
    c->timer.fire = on_timer;
    net_peer_from(&c->client.peer, peer);
    return c;
}

void front_accept(struct front *f, const struct front_entry *entry, int fd,
                  const struct net_addr *peer)
{
    struct front_conn *c;

    if (entry->proxy == NULL && entry->tls == NULL && !entry->http2) {
        h1_server_accept(f->h1, entry, fd, peer);
        return;
    }
    if (entry->proxy != NULL && !netset_has(entry->proxy, &peer->sa.any)) {
        refuse_unlisted(f, entry, peer);
        close(fd);
        return;
    }
    c = conn_new(f, peer);
    if (c != NULL)
        c->phase = entry->proxy != NULL ? FRONT_PROXY : FRONT_PREFACE;
    if (c == NULL || !let_in(c)) {
        weir_free(c);
        close(fd);
        return;
    }
    c->client.chan = net_chan_plain(fd);
    c->client.entry = front_entry_ref(entry);
    front_watch(c, EV_READ);
    front_expect(c, FRONT_PROXY_MS);
    if (c->phase != FRONT_PROXY)
        front_next(c);
}
