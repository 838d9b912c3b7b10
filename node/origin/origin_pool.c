#include "origin_pool.h"

#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "origin_dial.h"
#include "origin_fetch.h"
#include "origin_h1.h"
#include "origin_h2.h"
#include "origin_names.h"
#include "origin_state.h"
#include "tls_client.h"

#define DIAL_SHARED_MAX 100 /* streams that a connection of HTTP/2 usually allows */

struct origin_pool *origin_pool_get(struct origin_client *c, struct origin_state *state,
                                    struct origin_names *names, struct weir_err *err)
{
    struct origin_pool *p = c->pools;

    while (p != NULL && p->state != state)
        p = p->next;
    if (p == NULL) {
        p = weir_calloc(1, sizeof *p);
        if (p == NULL) {
            weir_fail(err, WEIR_E_MEMORY, "origin: pool", 0);
            return NULL;
        }
        p->client = c;
        p->state = origin_state_ref(state);
        p->last_waiting = &p->first_waiting;
        p->next = c->pools;
        c->pools = p;
    }
    if (p->names != names) { /* a reload may resolve anew */
        origin_names_ref(names);
        origin_names_unref(p->names);
        p->names = names;
    }
    p->users++;
    p->upstreams++;
    return p;
}

static void free_if_unused(struct origin_pool *p)
{
    struct origin_pool **at = &p->client->pools;

    if (p->users > 0)
        return;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    origin_state_unref(p->state);
    origin_names_unref(p->names);
    tls_client_context_unref(p->tls);
    weir_free(p);
}

static unsigned idle_h2(const struct origin_pool *p)
{
    unsigned n = 0;

    for (struct origin_h2 *h = p->h2; h != NULL; h = origin_h2_next(h))
        n += origin_h2_idle(h);
    return n;
}

static unsigned all_idle(const struct origin_pool *p)
{
    return p->idle_count + idle_h2(p);
}

/* One without a fetch. false: there is none. */
static bool close_idle_h2(struct origin_pool *p)
{
    for (struct origin_h2 *h = p->h2; h != NULL; h = origin_h2_next(h)) {
        if (!origin_h2_idle(h))
            continue;
        origin_h2_close(h);
        return true;
    }
    return false;
}

/* Those that fetches still are on close with the last of them. */
static void retire_h2(struct origin_pool *p)
{
    for (struct origin_h2 *h = p->h2; h != NULL; h = origin_h2_next(h))
        origin_h2_drain(h);
}

static void close_idle(struct origin_pool *p, unsigned keep)
{
    while (p->idle_count > keep) {
        struct origin_h1 *oldest = p->idle;

        while (oldest->next_idle != NULL)
            oldest = oldest->next_idle;
        origin_h1_close(oldest);
    }
    while (all_idle(p) > keep && close_idle_h2(p))
        ;
}

void origin_pool_release(struct origin_pool *p)
{
    p->upstreams--;
    if (p->upstreams == 0) { /* nobody sends here any more */
        close_idle(p, 0);
        retire_h2(p);
    }
    origin_pool_let_go(p);
}

void origin_pool_let_go(struct origin_pool *p)
{
    p->users--;
    free_if_unused(p);
}

static void unlink_idle(struct origin_h1 *conn)
{
    struct origin_h1 **at = &conn->pool->idle;

    while (*at != conn)
        at = &(*at)->next_idle;
    *at = conn->next_idle;
    conn->next_idle = NULL;
    conn->pool->idle_count--;
}

/* The idle connection that was used last and is still good; NULL: none. */
static struct origin_h1 *take_idle(struct origin_pool *p, bool careful)
{
    struct origin_h1 *conn;

    while ((conn = p->idle) != NULL) {
        unlink_idle(conn);
        conn->idle = false;
        if (origin_h1_quiet(conn, careful)) {
            weir_metric_add(p->client->metrics, WEIR_M_origin_reuses, 1);
            return conn;
        }
        origin_h1_close(conn); /* the loop has not got round to it yet */
    }
    return NULL;
}

/* A connection of HTTP/2 that can take one more; NULL: none. */
static struct origin_h2 *with_room(const struct origin_pool *p)
{
    struct origin_h2 *h = p->h2;

    while (h != NULL && !origin_h2_room(h))
        h = origin_h2_next(h);
    if (h != NULL)
        weir_metric_add(p->client->metrics, WEIR_M_origin_reuses, 1);
    return h;
}

/* A connection that is being made and may turn out to be one of HTTP/2, which carries many. */
static struct origin_dial *join_dial(const struct origin_pool *p)
{
    struct origin_dial *d = p->dials;

    if ((p->tls == NULL && !p->h2c) || p->speaks == ORIGIN_SPEAKS_HTTP1)
        return NULL;
    while (d != NULL && (d->http1 || d->waiting >= DIAL_SHARED_MAX))
        d = d->next;
    return d;
}

static struct origin_dial *dial(struct origin_pool *p, const struct origin_fetch *f,
                                struct weir_err *err)
{
    struct origin_dial *d;

    if (!origin_state_connect(p->state, p->max_connections))
        return NULL;
    d = origin_dial_open(p, f, err);
    if (d == NULL) {
        origin_state_disconnect(p->state);
        return NULL;
    }
    p->users++;
    weir_metric_add(p->client->metrics, WEIR_M_origin_connects, 1);
    weir_metric_add(p->client->metrics, WEIR_M_origin_connections_open, 1);
    return d;
}

struct origin_place origin_pool_acquire(struct origin_pool *p, const struct origin_fetch *f,
                                        bool careful, struct weir_err *err)
{
    struct origin_place place = {NULL, NULL, NULL};
    const bool alone = f->request.upgrade || p->proxy_protocol != ORIGIN_PROXY_OFF;

    err->code = WEIR_OK;
    if (f->request.upgrade && p->h2c) {
        weir_failf(err, WEIR_E_UPGRADE_FAILED, "origin: connect", 0, "%s speaks HTTP/2 alone",
                   p->state->url);
        return place;
    }
    if (!alone)
        place.h2 = with_room(p);
    if (place.h2 != NULL)
        return place;
    place.h1 = take_idle(p, careful || !http_method_safe(f->request.method));
    if (place.h1 == NULL && !alone)
        place.dial = join_dial(p);
    if (!origin_place_any(place))
        place.dial = dial(p, f, err);
    return place;
}

/* ---- standing in line ---- */

/* c itself too: a place may have come free between its look for one and its standing in line. */
static void kick_siblings(struct origin_client *c)
{
    for (unsigned i = 0; i < c->sibling_count; i++) {
        struct origin_client *other = c->siblings[i];

        if (!atomic_exchange(&other->kicked, true))
            weir_mailbox_post(&other->loop->box, &other->kick_mail);
    }
}

bool origin_pool_wait(struct origin_pool *p, struct origin_fetch *f)
{
    if (p->waiting_count >= p->queue_max)
        return false;
    f->waiting_pool = p;
    f->next_waiting = NULL;
    f->at_waiting = p->last_waiting;
    *p->last_waiting = f;
    p->last_waiting = &f->next_waiting;
    p->waiting_count++;
    atomic_fetch_add(&p->state->waiting, 1);
    weir_metric_add(p->client->metrics, WEIR_M_origin_queued, 1);
    kick_siblings(p->client);
    return true;
}

void origin_pool_unwait(struct origin_fetch *f)
{
    struct origin_pool *p = f->waiting_pool;

    if (p == NULL)
        return;
    *f->at_waiting = f->next_waiting;
    if (f->next_waiting != NULL)
        f->next_waiting->at_waiting = f->at_waiting;
    else
        p->last_waiting = f->at_waiting;
    f->waiting_pool = NULL;
    p->waiting_count--;
    atomic_fetch_sub(&p->state->waiting, 1);
}

/* Gives connections to those who wait, as far as there are any. */
static void serve_waiting(struct origin_pool *p)
{
    while (p->first_waiting != NULL) {
        struct weir_err err = {0};
        struct origin_place place = origin_pool_acquire(p, p->first_waiting, true, &err);
        struct origin_fetch *f = p->first_waiting;

        if (!origin_place_any(place) && err.code == WEIR_OK)
            return;
        origin_pool_unwait(f);
        origin_fetch_connected(f, place, &err);
    }
}

static void on_kick(struct weir_mail *mail)
{
    struct origin_client *c = WEIR_CONTAINER(mail, struct origin_client, kick_mail);

    atomic_store(&c->kicked, false);
    for (struct origin_pool *p = c->pools, *next; p != NULL; p = next) {
        unsigned waiting = atomic_load(&p->state->waiting);

        p->users++; /* closing and serving may let go of it */
        serve_waiting(p);
        if (waiting > p->waiting_count && all_idle(p) > 0) {
            unsigned others = waiting - p->waiting_count;

            close_idle(p, all_idle(p) > others ? all_idle(p) - others : 0);
        }
        p->users--;
        next = p->next;
        free_if_unused(p);
    }
}

void origin_pool_stream_free(struct origin_pool *p)
{
    p->users++;
    serve_waiting(p);
    origin_pool_let_go(p);
}

void origin_pool_put(struct origin_h1 *conn)
{
    struct origin_pool *p = conn->pool;
    unsigned waiting = atomic_load_explicit(&p->state->waiting, memory_order_relaxed);
    struct origin_fetch *f = p->first_waiting;

    if (f != NULL && !origin_h1_quiet(conn, true)) {
        origin_h1_close(conn); /* its place goes to who waits */
        return;
    }
    if (f != NULL) {
        struct weir_err none = {0};

        origin_pool_unwait(f);
        weir_metric_add(p->client->metrics, WEIR_M_origin_reuses, 1);
        origin_fetch_connected(f, (struct origin_place){.h1 = conn}, &none);
        return;
    }
    if (waiting > 0 || p->upstreams == 0 || p->max_idle == 0) {
        origin_h1_close(conn); /* another worker needs the place, or nobody this origin */
        return;
    }
    if (p->idle_count >= p->max_idle)
        close_idle(p, p->max_idle - 1);
    conn->idle = true;
    conn->next_idle = p->idle;
    p->idle = conn;
    p->idle_count++;
    net_timer_move(p->client->loop, &conn->timer, net_now_ms(p->client->loop) + p->idle_timeout_ms);
}

void origin_pool_freed(struct origin_pool *p)
{
    weir_metric_add(p->client->metrics, WEIR_M_origin_connections_open, -1);
    origin_state_disconnect(p->state);
    serve_waiting(p);
    if (atomic_load(&p->state->waiting) > p->waiting_count)
        kick_siblings(p->client);
    p->users--;
    free_if_unused(p);
}

/* ---- the worker's side ---- */

bool origin_client_init(struct origin_client *c, struct net_loop *loop,
                        struct weir_metrics *metrics, uint64_t seed, struct weir_err *err)
{
    memset(c, 0, sizeof *c);
    c->loop = loop;
    c->metrics = metrics;
    c->kick_mail.run = on_kick;
    balance_rng_seed(&c->rng, seed);
    c->scratch = weir_malloc(ORIGIN_FIELDS_MAX * sizeof *c->scratch);
    return c->scratch != NULL || weir_fail(err, WEIR_E_MEMORY, "origin: client", 0);
}

void origin_client_drain(struct origin_client *c)
{
    for (struct origin_pool *p = c->pools, *next; p != NULL; p = next) {
        p->users++;
        close_idle(p, 0);
        p->users--;
        next = p->next;
        free_if_unused(p);
    }
}

void origin_client_close(struct origin_client *c)
{
    origin_client_drain(c);
    weir_free(c->scratch);
    c->scratch = NULL;
}

/* A new context has read its files anew: what was agreed on under the old one ends, as it can. */
static void set_tls(struct origin_pool *p, const struct origin_settings *o,
                    struct tls_client_context *tls)
{
    struct tls_client_context *now = o->tls ? tls : NULL;

    p->h2c = o->h2c;
    snprintf(p->tls_name, sizeof p->tls_name, "%s", o->host != NULL ? o->host : "");
    if (p->tls == now)
        return;
    if (now != NULL)
        tls_client_context_ref(now);
    tls_client_context_unref(p->tls);
    p->tls = now;
    p->speaks = ORIGIN_SPEAKS_UNKNOWN;
    close_idle(p, 0);
    retire_h2(p);
}

struct origin_upstream *
origin_upstream_new(struct origin_client *c, const struct upstream_settings *settings,
                    struct origin_state **states, struct origin_names **names,
                    struct tls_client_context *tls, unsigned workers, struct weir_err *err)
{
    struct origin_upstream *u = weir_calloc(1, sizeof *u);

    if (u == NULL)
        goto no_memory;
    u->settings = settings;
    u->client = c;
    u->states = states;
    u->pools = weir_calloc(settings->origin_count, sizeof *u->pools);
    if (u->pools == NULL)
        goto no_memory;
    u->balancer = balancer_new(settings, states, err);
    if (u->balancer == NULL)
        goto fail;
    retry_budget_init(&u->budget, settings->retry_budget_percent, workers, c->loop->clock.mono_us);
    for (size_t i = 0; i < settings->origin_count; i++) {
        const struct origin_settings *o = &settings->origins[i];
        struct origin_pool *p = origin_pool_get(c, states[i], names[i], err);

        if (p == NULL)
            goto fail;
        p->max_connections =
            o->max_connections != 0 ? o->max_connections : settings->max_connections;
        p->max_idle = settings->max_idle;
        p->queue_max = settings->queue;
        p->idle_timeout_ms = settings->idle_timeout_ms;
        p->requests_per_connection = settings->requests_per_connection;
        p->streams = settings->streams;
        p->proxy_protocol = settings->proxy_protocol;
        set_tls(p, o, tls);
        u->pools[u->count++] = p;
    }
    return u;
no_memory:
    weir_fail(err, WEIR_E_MEMORY, "origin: upstream", 0);
fail:
    origin_upstream_free(u);
    return NULL;
}

void origin_upstream_free(struct origin_upstream *u)
{
    if (u == NULL)
        return;
    for (size_t i = 0; u->pools != NULL && i < u->count; i++)
        origin_pool_release(u->pools[i]);
    balancer_free(u->balancer);
    weir_free(u->pools);
    weir_free(u);
}
