#include "site.h"

#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "access_log.h"
#include "exchange.h"
#include "limit.h"
#include "netset.h"
#include "origin_names.h"
#include "origin_state.h"
#include "router.h"
#include "sticky.h"
#include "tls_client.h"

static bool has_tls(const struct upstream_settings *s)
{
    for (size_t i = 0; i < s->origin_count; i++)
        if (s->origins[i].tls)
            return true;
    return false;
}

bool site_make_tls(const struct upstream_settings *s, const struct weir_opener *opener,
                   struct tls_client_context **out, struct weir_err *err)
{
    struct tls_client_settings tls = s->tls;

    *out = NULL;
    if (!has_tls(s))
        return true;
    if (s->proxy_protocol != ORIGIN_PROXY_OFF)
        tls.http2 = false; /* a connection is one client's */
    *out = tls_client_context_new(&tls, opener, err);
    return *out != NULL;
}

static bool build_upstream(struct site_upstream *u, const struct upstream_settings *s,
                           const struct site_tools *tools, struct weir_err *err)
{
    u->settings = s;
    u->states = weir_calloc(s->origin_count, sizeof *u->states);
    u->names = weir_calloc(s->origin_count, sizeof *u->names);
    if (u->states == NULL || u->names == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "site: upstream", 0);
    for (size_t i = 0; i < s->origin_count; i++) {
        u->states[i] = origin_registry_get(tools->registry, s->name, s->origins[i].url, err);
        u->names[i] = origin_names_new(&s->origins[i], s->resolve_interval_ms, tools->pool,
                                       tools->control, err);
        if (u->states[i] == NULL || u->names[i] == NULL)
            return false;
    }
    if (s->sticky_cookie != NULL)
        u->sticky = sticky_new(tools->secret, u->states, s->origin_count, err);
    return (s->sticky_cookie == NULL || u->sticky != NULL) &&
           site_make_tls(s, tools->opener, &u->tls, err);
}

static bool build_upstreams(struct site *site, const struct site_tools *tools, struct weir_err *err)
{
    site->upstreams = weir_calloc(site->source.upstream_count, sizeof *site->upstreams);
    if (site->upstreams == NULL && site->source.upstream_count > 0)
        return weir_fail(err, WEIR_E_MEMORY, "site: upstreams", 0);
    for (size_t i = 0; i < site->source.upstream_count; i++) {
        site->upstream_count = i + 1; /* counted first, so that a half-built one is freed */
        if (!build_upstream(&site->upstreams[i], &site->source.upstreams[i], tools, err))
            return false;
    }
    return true;
}

static bool build_router(struct site *site, struct weir_err *err)
{
    const char **names = weir_calloc(site->source.upstream_count + 1, sizeof *names);

    if (names == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "site: routes", 0);
    for (size_t i = 0; i < site->source.upstream_count; i++)
        names[i] = site->source.upstreams[i].name;
    site->router = router_compile(site->source.routes, site->source.route_count, names,
                                  site->source.upstream_count, NULL, err);
    weir_free(names);
    return site->router != NULL;
}

/* Which limits each route has. */
static bool build_limits(struct site *site, struct limit_node *node, struct weir_err *err)
{
    const struct site_source *s = &site->source;
    bool ok = true;

    if (s->limit_count == 0)
        return true;
    site->rate_limits = limit_set_new(node, s->limits, s->limit_count, err);
    if (site->rate_limits == NULL)
        return false;
    site->route_limits = weir_calloc(s->route_count + 1, sizeof *site->route_limits);
    if (site->route_limits == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "site: limits", 0);
    for (size_t i = 0; ok && i < s->route_count; i++)
        ok = limit_set_pick(site->rate_limits, s->routes[i].rates, s->routes[i].rate_count,
                            s->routes[i].action != ROUTE_HEALTH, &site->route_limits[i], err);
    return ok;
}

static bool build_words(struct site *site, struct weir_err *err)
{
    const struct forward_settings *f = site->source.forward;
    const struct head_settings *h = site->source.head;
    const struct cache_settings *c = site->source.cache;

    site->pseudonym = weir_span_str(f->pseudonym);
    site->via = weir_malloc(site->pseudonym.len + 16);
    if (site->via == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "site: words", 0);
    site->via_len = (uint32_t)sprintf(site->via, "Via: 1.1 %s\r\n", f->pseudonym);
    site->limits = http_request_limits;
    site->limits.head_bytes = h->head_bytes;
    site->limits.fields = h->fields;
    site->limits.field_bytes = h->field_bytes;
    site->limits.target_bytes = h->target_bytes;
    site->limits.underscores = h->underscores;
    site->trusted = netset_compile(f->trusted, f->trusted_count, err);
    if (site->trusted == NULL)
        return false;
    if (c->purge_client_count > 0)
        site->purge_clients = netset_compile(c->purge_clients, c->purge_client_count, err);
    if (c->debug_client_count > 0)
        site->debug_clients = netset_compile(c->debug_clients, c->debug_client_count, err);
    return (c->purge_client_count == 0 || site->purge_clients != NULL) &&
           (c->debug_client_count == 0 || site->debug_clients != NULL);
}

struct site *site_new(const struct site_source *source, const struct site_tools *tools,
                      struct weir_err *err)
{
    struct site *site = weir_calloc(1, sizeof *site);

    if (site == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "site: create", 0);
        return NULL;
    }
    atomic_init(&site->refs, 1);
    site->source = *source;
    site->challenges = source->challenges;
    if (!build_words(site, err) || !build_upstreams(site, tools, err) || !build_router(site, err) ||
        !build_limits(site, tools->limits, err) ||
        !access_format_new(source->log, &site->log, err)) {
        site->source.release = NULL; /* still the caller's */
        site_unref(site);
        return NULL;
    }
    return site;
}

struct site *site_ref(struct site *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static void free_upstream(struct site_upstream *u)
{
    for (size_t i = 0; i < u->settings->origin_count; i++) {
        if (u->states != NULL)
            origin_state_unref(u->states[i]);
        if (u->names != NULL)
            origin_names_unref(u->names[i]);
    }
    sticky_free(u->sticky);
    tls_client_context_unref(u->tls);
    weir_free(u->states);
    weir_free(u->names);
}

void site_unref(struct site *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->upstream_count; i++)
        free_upstream(&s->upstreams[i]);
    weir_free(s->upstreams);
    router_free(s->router);
    for (size_t i = 0; s->route_limits != NULL && i < s->source.route_count; i++)
        weir_free(s->route_limits[i]);
    weir_free(s->route_limits);
    limit_set_free(s->rate_limits);
    netset_free(s->trusted);
    netset_free(s->debug_clients);
    netset_free(s->purge_clients);
    access_format_free(s->log);
    weir_free(s->via);
    if (s->source.release != NULL)
        s->source.release(s->source.owner);
    weir_free(s);
}

void site_turn(struct site *s, int64_t now_ms)
{
    for (size_t i = 0; i < s->upstream_count; i++)
        for (size_t o = 0; o < s->upstreams[i].settings->origin_count; o++)
            origin_names_turn(s->upstreams[i].names[o], now_ms);
}

bool site_settled(struct site *s)
{
    for (size_t i = 0; i < s->upstream_count; i++)
        for (size_t o = 0; o < s->upstreams[i].settings->origin_count; o++)
            if (!origin_names_settled(s->upstreams[i].names[o]))
                return false;
    return true;
}

static bool origin_usable(const struct origin_state *o, int64_t now_us)
{
    enum origin_verdict v = origin_state_in_force(o);

    return (v == ORIGIN_UP || v == ORIGIN_UNKNOWN) && !origin_state_ejected(o, now_us);
}

bool site_usable(const struct site *s, int64_t now_us)
{
    size_t origins = 0;

    for (size_t i = 0; i < s->upstream_count; i++)
        for (size_t o = 0; o < s->upstreams[i].settings->origin_count; o++, origins++)
            if (origin_usable(s->upstreams[i].states[o], now_us))
                return true;
    return origins == 0;
}

/* ---- one worker's binding ---- */

static void free_binding(struct site_worker *b)
{
    struct site *site = b->site;
    void (*gone)(void *, struct site *) = b->gone;
    void *arg = b->gone_arg;

    for (size_t i = 0; i < site->upstream_count && b->upstreams != NULL; i++)
        origin_upstream_free(b->upstreams[i]);
    weir_free(b->upstreams);
    weir_free(b);
    if (gone != NULL)
        gone(arg, site);
    else
        site_unref(site);
}

struct site_worker *site_bind(struct site *site, struct exchange_worker *worker, unsigned workers,
                              struct weir_err *err)
{
    struct site_worker *b = weir_calloc(1, sizeof *b);

    if (b == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "site: bind", 0);
        return NULL;
    }
    b->site = site;
    b->worker = worker;
    b->upstreams = weir_calloc(site->upstream_count + 1, sizeof *b->upstreams);
    if (b->upstreams == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "site: bind", 0);
        goto fail;
    }
    for (size_t i = 0; i < site->upstream_count; i++) {
        struct site_upstream *u = &site->upstreams[i];

        b->upstreams[i] = origin_upstream_new(&worker->origins, u->settings, u->states, u->names,
                                              u->tls, workers, err);
        if (b->upstreams[i] == NULL)
            goto fail;
    }
    return b;
fail:
    site_ref(site); /* the caller keeps his */
    free_binding(b);
    return NULL;
}

static void free_if_done(struct site_worker *b)
{
    if (b->retired && b->users == 0)
        free_binding(b);
}

void site_leave(struct site_worker *b)
{
    b->users--;
    free_if_done(b);
}

void site_retire(struct site_worker *b)
{
    b->retired = true;
    free_if_done(b);
}
