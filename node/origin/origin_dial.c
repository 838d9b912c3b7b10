#include "origin_dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "origin_fetch.h"
#include "origin_h1.h"
#include "origin_h2.h"
#include "origin_names.h"
#include "origin_pool.h"
#include "origin_state.h"
#include "tls_session.h"

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(struct net_timer *t);

static struct net_loop *loop_of(const struct origin_dial *d)
{
    return d->pool->client->loop;
}

/* ---- addresses ---- */

static int start_connect(struct origin_dial *d, const struct net_addr *a, struct weir_err *err)
{
    int on = 1;
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        weir_fail(err, errno == EMFILE || errno == ENFILE ? WEIR_E_DESCRIPTORS : WEIR_E_INTERNAL,
                  "origin: socket", errno);
        return -1;
    }
    if (a->sa.any.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, &a->sa.any, a->len) != 0) {
        if (errno != EINPROGRESS) {
            weir_failf(err, WEIR_E_ORIGIN_REFUSED, "origin: connect", errno, "%s",
                       d->pool->state->url);
            close(fd);
            return -1;
        }
        d->connecting = true;
    }
    return fd;
}

/* What is waited for from now on. */
static void await(struct origin_dial *d, bool reading, bool writing)
{
    if (d->want_read && !reading)
        event_del(&d->readable);
    if (d->want_write && !writing)
        event_del(&d->writable);
    if (!d->want_read && reading)
        event_add(&d->readable, NULL);
    if (!d->want_write && writing)
        event_add(&d->writable, NULL);
    d->want_read = reading;
    d->want_write = writing;
}

/* Tries the origin's addresses from the next in turn on, until one does not refuse at once. */
static bool connect_somewhere(struct origin_dial *d, struct weir_err *err)
{
    struct origin_pool *p = d->pool;
    struct net_addr addr;
    unsigned count = 0;

    while (d->chan.fd < 0) {
        if (!origin_names_pick(p->names, p->rotate, &addr, &count))
            return weir_failf(err, WEIR_E_ORIGIN_DNS, "origin: resolve", 0, "%s", p->state->url);
        if (d->addrs_tried >= count)
            return false; /* err is that of the last address */
        p->rotate++;
        d->addrs_tried++;
        d->chan.fd = start_connect(d, &addr, err);
        if (d->chan.fd < 0 && err->code == WEIR_E_DESCRIPTORS)
            return false;
    }
    event_assign(&d->readable, loop_of(d)->base, d->chan.fd, EV_READ | EV_PERSIST, on_readable, d);
    event_assign(&d->writable, loop_of(d)->base, d->chan.fd, EV_WRITE | EV_PERSIST, on_writable, d);
    await(d, false, d->connecting);
    return true;
}

/* ---- who waits ---- */

static void leave_line(struct origin_fetch *f)
{
    struct origin_dial *d = f->dial;

    *f->at_dialling = f->next_dialling;
    if (f->next_dialling != NULL)
        f->next_dialling->at_dialling = f->at_dialling;
    else
        d->last = f->at_dialling;
    f->dial = NULL;
    d->waiting--;
}

static struct origin_fetch *next_in_line(struct origin_dial *d)
{
    struct origin_fetch *f = d->first;

    if (f != NULL)
        leave_line(f);
    return f;
}

/* ---- the end of a dial ---- */

static void free_dial(struct net_deferred *gone)
{
    weir_free(WEIR_CONTAINER(gone, struct origin_dial, gone));
}

/* No more events; whoever waits still stands in its line. */
static void retire(struct origin_dial *d)
{
    struct origin_dial **at = &d->pool->dials;

    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    d->over = true;
    await(d, false, false);
    net_timer_stop(loop_of(d), &d->timer);
    net_defer(loop_of(d), &d->gone, free_dial);
}

static void give_up(struct origin_dial *d)
{
    retire(d);
    tls_session_free(d->tls);
    d->tls = NULL;
    net_chan_close(&d->chan, false);
    origin_pool_freed(d->pool);
}

static void fail(struct origin_dial *d, const struct weir_err *err)
{
    struct origin_fetch *f;

    give_up(d);
    while ((f = next_in_line(d)) != NULL)
        origin_fetch_failed(f, err, false, false);
}

/* A connection of HTTP/1.1: the first in line has it, the others look anew. */
static void up(struct origin_dial *d)
{
    struct weir_err err = {0};
    struct origin_pool *p = d->pool;
    struct origin_h1 *conn = origin_h1_new(p, d->chan, &err);
    struct origin_fetch *f;

    if (conn == NULL) {
        fail(d, &err);
        return;
    }
    conn->for_one = d->proxy_len > 0;
    conn->trust = d->trust;
    if (!d->http1)
        p->speaks = ORIGIN_SPEAKS_HTTP1;
    d->chan = NET_CHAN_NONE;
    retire(d);
    p->users++; /* whatever becomes of those who are served now */
    origin_h1_serve(conn, next_in_line(d));
    while ((f = next_in_line(d)) != NULL)
        origin_fetch_reconnect(f);
    origin_pool_let_go(p);
}

/* One of HTTP/2 serves all in line, as far as the origin allows. */
static void up_http2(struct origin_dial *d)
{
    struct weir_err err = {0};
    struct origin_pool *p = d->pool;
    struct origin_h2 *conn = origin_h2_new(p, d->chan, p->tls != NULL, &err);
    struct origin_fetch *f;

    if (conn == NULL) {
        fail(d, &err);
        return;
    }
    if (p->tls != NULL)
        p->speaks = ORIGIN_SPEAKS_HTTP2;
    d->chan = NET_CHAN_NONE;
    retire(d);
    p->users++; /* whatever becomes of those who are served now */
    while ((f = next_in_line(d)) != NULL) {
        if (origin_h2_room(conn))
            origin_h2_serve(conn, f);
        else
            origin_fetch_reconnect(f);
        if (d->proxy_len > 0) /* its header speaks of one client */
            origin_h2_drain(conn);
    }
    if (d->trust != p->tls) /* a reload came in between */
        origin_h2_drain(conn);
    origin_pool_let_go(p);
}

/* ---- TLS ---- */

static void fail_tls(struct origin_dial *d, const struct weir_err *why)
{
    struct weir_err err = {0};

    weir_metric_add(d->pool->client->metrics, WEIR_M_origin_tls_failures, 1);
    weir_failf(&err, why->code, "origin: TLS handshake", why->os, "%s: %s", d->pool->state->url,
               why->detail);
    fail(d, &err);
}

static void hands_shaken(struct origin_dial *d)
{
    bool http2 = strcmp(tls_session_facts(d->tls)->alpn, "h2") == 0;

    d->chan.layer = tls_session_layer(d->tls);
    d->tls = NULL; /* the channel's */
    await(d, false, false);
    if (http2)
        up_http2(d);
    else
        up(d);
}

static void shake_hands(void *arg)
{
    struct origin_dial *d = arg;
    struct weir_err err = {0};

    switch (tls_handshake(d->tls, shake_hands, d, &err)) {
    case TLS_DONE:
        hands_shaken(d);
        break;
    case TLS_WANT_READ:
        await(d, true, false);
        break;
    case TLS_WANT_WRITE:
        await(d, false, true);
        break;
    case TLS_BUSY:
        await(d, false, false);
        break;
    case TLS_FAILED:
        fail_tls(d, &err);
        break;
    }
}

static void begin_tls(struct origin_dial *d)
{
    struct origin_pool *p = d->pool;
    struct weir_err err = {0};

    if (p->client->tls == NULL) {
        weir_fail(&err, WEIR_E_INTERNAL, "origin: TLS is not there", 0);
        fail(d, &err);
        return;
    }
    d->trust = p->tls; /* which the session holds, so that no other has its address */
    d->tls = tls_connect(p->client->tls, p->tls, d->chan.fd, p->tls_name, &err);
    if (d->tls == NULL) {
        fail_tls(d, &err);
        return;
    }
    if (d->http1)
        tls_offer_http1(d->tls);
    shake_hands(d);
}

/* ---- connected ---- */

/* The first bytes of a connection always fit. With MSG_MORE they leave with those that follow. */
static bool say_whose(struct origin_dial *d, struct weir_err *err)
{
    ssize_t n = 0;

    if (d->proxy_len > 0)
        n = send(d->chan.fd, d->proxy, d->proxy_len, MSG_NOSIGNAL | MSG_MORE);
    return n == (ssize_t)d->proxy_len ||
           weir_failf(err, WEIR_E_ORIGIN_RESET, "origin: PROXY header", n < 0 ? errno : 0, "%s",
                      d->pool->state->url);
}

static void connected(struct origin_dial *d)
{
    struct weir_err err = {0};

    d->connecting = false;
    await(d, false, false);
    if (!say_whose(d, &err))
        fail(d, &err);
    else if (d->pool->tls != NULL)
        begin_tls(d);
    else if (d->pool->h2c)
        up_http2(d);
    else
        up(d);
}

/* ---- events ---- */

static void connect_failed(struct origin_dial *d, int os)
{
    struct weir_err err = {0};

    weir_failf(&err, WEIR_E_ORIGIN_REFUSED, "origin: connect", os, "%s", d->pool->state->url);
    await(d, false, false);
    net_chan_close(&d->chan, false);
    d->connecting = false;
    if (!connect_somewhere(d, &err))
        fail(d, &err);
    else if (!d->connecting)
        connected(d);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct origin_dial *d = arg;

    (void)fd;
    (void)what;
    net_loop_enter(loop_of(d));
    shake_hands(d);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct origin_dial *d = arg;
    socklen_t len = sizeof(int);
    int os = 0;

    (void)what;
    net_loop_enter(loop_of(d));
    if (!d->connecting) {
        shake_hands(d);
        return;
    }
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &os, &len);
    if (os != 0)
        connect_failed(d, os);
    else
        connected(d);
}

static void on_timer(struct net_timer *t)
{
    struct origin_dial *d = WEIR_CONTAINER(t, struct origin_dial, timer);
    struct weir_err err = {0};

    weir_failf(&err, WEIR_E_ORIGIN_CONNECT_TIMEOUT,
               d->connecting ? "origin: connect" : "origin: TLS handshake", 0, "%s",
               d->pool->state->url);
    fail(d, &err);
}

/* Whose connection it will be: told to the origin before all else. */
static void write_whose(struct origin_dial *d, const struct origin_request *r)
{
    if (d->pool->proxy_protocol == ORIGIN_PROXY_V1)
        d->proxy_len = net_proxy_write_v1(d->proxy, &r->from, &r->to);
    else if (d->pool->proxy_protocol == ORIGIN_PROXY_V2)
        d->proxy_len = net_proxy_write_v2(d->proxy, &r->from, &r->to);
}

struct origin_dial *origin_dial_open(struct origin_pool *p, const struct origin_fetch *f,
                                     struct weir_err *err)
{
    struct origin_dial *d = weir_calloc(1, sizeof *d);

    if (d == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "origin: connection", 0);
        return NULL;
    }
    d->pool = p;
    d->last = &d->first;
    d->chan = NET_CHAN_NONE;
    d->timer.fire = on_timer;
    d->http1 = f->request.upgrade || p->proxy_protocol != ORIGIN_PROXY_OFF;
    write_whose(d, &f->request);
    err->code = WEIR_OK;
    if (!connect_somewhere(d, err)) {
        weir_free(d);
        return NULL;
    }
    d->next = p->dials;
    p->dials = d;
    return d;
}

void origin_dial_join(struct origin_dial *d, struct origin_fetch *f)
{
    f->dial = d;
    f->next_dialling = NULL;
    f->at_dialling = d->last;
    *d->last = f;
    d->last = &f->next_dialling;
    if (d->waiting++ > 0)
        return;
    net_timer_start(loop_of(d), &d->timer,
                    net_now_ms(loop_of(d)) + f->up->settings->connect_timeout_ms);
    if (!d->connecting)
        connected(d);
}

void origin_dial_leave(struct origin_fetch *f)
{
    struct origin_dial *d = f->dial;

    if (d == NULL)
        return;
    leave_line(f);
    if (d->waiting == 0 && !d->over)
        give_up(d);
}
