#include "keyed.h"

#include <string.h>

#include "cache_key.h"
#include "cookie.h"
#include "http_list.h"
#include "key_query.h"
#include "search_key.h"

#define ADDRESS_CHARS "0123456789abcdefABCDEF.:,[]\" \t"

/* Counts first, then writes: `at` is NULL in the first round. */
struct pairs {
    char *at;
    size_t size;
};

static void put_pair(struct pairs *p, struct weir_span name, struct weir_span value)
{
    p->size += CACHE_KEY_PAIR_BYTES + name.len + value.len;
    if (p->at != NULL)
        p->at = cache_key_pair(p->at, name, value);
}

typedef void put_pairs(struct pairs *p, const struct weir_exchange *x);

/* The list that `put` makes, in the arena; empty if it makes none. */
static bool list_of(struct weir_exchange *x, put_pairs *put, struct weir_span *out)
{
    struct pairs counted = {NULL, 0}, written = {NULL, 0};
    char *buf;

    *out = WEIR_SPAN_NONE;
    put(&counted, x);
    if (counted.size == 0)
        return true;
    buf = written.at = weir_arena_alloc(&x->arena, counted.size);
    if (buf == NULL)
        return false;
    put(&written, x);
    *out = weir_span(buf, counted.size);
    return true;
}

/* ---- what a trusted peer says ---- */

/* Nothing but addresses and ports: what else is put there in an address's place might be shown, or
 * taken for something else, and counts. */
static bool only_addresses(struct weir_span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (memchr(ADDRESS_CHARS, value.ptr[i], sizeof ADDRESS_CHARS - 1) == NULL)
            return false;
    return true;
}

/* Of Forwarded (RFC 7239 4) what is no address. */
static void put_forwarded(struct pairs *p, const struct http_head *req)
{
    struct http_list list;
    struct weir_span member;
    struct http_param param;

    http_list_begin(&list, req, HTTP_F_FORWARDED);
    while (http_list_next(&list, &member)) {
        while (http_param_next(&member, ';', &param))
            if (!(weir_span_ieq(param.name, WEIR_SPAN_LIT("for")) ||
                  weir_span_ieq(param.name, WEIR_SPAN_LIT("by"))) ||
                !only_addresses(param.value))
                put_pair(p, param.name, param.value);
    }
}

/* The scheme says as much. */
static bool says_the_scheme(const struct weir_exchange *x, const struct http_field *f)
{
    return f->id == HTTP_F_X_FORWARDED_PROTO &&
           !http_head_repeats(&x->req, HTTP_F_X_FORWARDED_PROTO) &&
           weir_span_eq(f->value, weir_span_str(x->target.https ? "https" : "http"));
}

static bool peer_counts(const struct weir_exchange *x, const struct http_field *f)
{
    if ((f->flags & HTTP_FF_FORWARDING) == 0 || (f->flags & HTTP_FF_METHOD) != 0 ||
        f->id == HTTP_F_FORWARDED)
        return false;
    if ((f->flags & HTTP_FF_ADDRESS) != 0 && only_addresses(f->value))
        return false;
    return !says_the_scheme(x, f);
}

static void put_peer_says(struct pairs *p, const struct weir_exchange *x)
{
    for (uint32_t i = 0; i < x->req.count; i++) {
        const struct http_field *f = &x->req.fields[i];

        if (peer_counts(x, f))
            put_pair(p, f->id != HTTP_F_NONE ? http_field_name(f->id) : f->name, f->value);
    }
    if (http_head_has(&x->req, HTTP_F_FORWARDED))
        put_forwarded(p, &x->req);
}

/* ---- what the route's rules add ---- */

/* A peer's word that is not believed is not sent, so it does not count. */
static bool counts(const struct weir_exchange *x, const struct http_field *f)
{
    return (f->flags & HTTP_FF_FORWARDING) == 0 || x->peer_trusted;
}

static void put_field(struct pairs *p, const struct weir_exchange *x, struct weir_span name)
{
    bool found = false;

    for (uint32_t i = 0; i < x->req.count; i++) {
        const struct http_field *f = &x->req.fields[i];

        if (!weir_span_ieq(f->name, name) || !counts(x, f))
            continue;
        put_pair(p, name, f->value);
        found = true;
    }
    if (!found)
        put_pair(p, name, WEIR_SPAN_NONE);
}

/* Every cookie of the name: who knows which of several an application takes? */
static void put_cookie(struct pairs *p, const struct weir_exchange *x, struct weir_span name)
{
    const struct http_field *f;
    bool found = false;

    for (f = http_head_first(&x->req, HTTP_F_COOKIE); f != NULL; f = http_head_next(&x->req, f)) {
        struct weir_span rest = f->value, value;

        while (cookie_next_in(&rest, name, &value)) {
            put_pair(p, name, value);
            found = true;
        }
    }
    if (!found)
        put_pair(p, name, WEIR_SPAN_NONE);
}

static void put_selectors(struct pairs *p, const struct weir_exchange *x)
{
    const struct cache_key_settings *rules = &x->route->settings->cache.key;

    for (size_t i = 0; i < rules->field_count; i++)
        put_field(p, x, weir_span_str(rules->fields[i]));
    if (rules->cookie_count > 0) /* a cookie is no field of that name; no field has no name */
        put_pair(p, weir_span("", 0), WEIR_SPAN_LIT("cookies"));
    for (size_t i = 0; i < rules->cookie_count; i++)
        put_cookie(p, x, weir_span_str(rules->cookies[i]));
}

/* ---- the content of a QUERY ---- */

/* What tells how to read it (RFC 10008 2.7: the key holds the content and what describes it). */
static void put_description(struct pairs *p, const struct weir_exchange *x)
{
    static const uint16_t ids[] = {HTTP_F_CONTENT_TYPE, HTTP_F_CONTENT_ENCODING,
                                   HTTP_F_CONTENT_LANGUAGE, HTTP_F_CONTENT_LOCATION};
    const struct http_field *f;

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        for (f = http_head_first(&x->req, ids[i]); f != NULL; f = http_head_next(&x->req, f))
            put_pair(p, http_field_name(ids[i]), f->value);
}

/* The description, an end mark that no pair looks like, the content. */
static bool content_part(struct weir_exchange *x, struct weir_span *out)
{
    struct pairs described = {NULL, CACHE_KEY_PAIR_BYTES}; /* the end mark: a pair without name */
    uint32_t len = x->content != NULL ? x->content->len : 0;
    char *buf;

    put_description(&described, x);
    buf = weir_arena_alloc(&x->arena, described.size + len);
    if (buf == NULL)
        return false;
    *out = weir_span(buf, described.size + len);
    described.at = buf;
    put_description(&described, x);
    described.at = cache_key_pair(described.at, WEIR_SPAN_NONE, WEIR_SPAN_NONE);
    if (len > 0)
        memcpy(described.at, x->content->bytes, len);
    return true;
}

/* ---- all of it ---- */

/* Routes that go by who asks rather than by what is asked may lead to different things under one
 * URL. */
static bool keyed_by_route(const struct route_settings *r)
{
    return r->match.field_count + r->match.cookie_count + r->match.client_count > 0 ||
           (r->match.query_count > 0 && r->cache.key.query != KEY_QUERY_ALL);
}

static bool has_rules(const struct cache_key_settings *k)
{
    return k->query != KEY_QUERY_ALL || k->sort || k->host != NULL ||
           k->cookie_count + k->field_count > 0;
}

static bool apply_rules(struct weir_exchange *x, struct cache_key_parts *parts)
{
    const struct cache_key_settings *rules = &x->route->settings->cache.key;

    if (rules->host != NULL)
        x->keyed.authority = weir_span_str(rules->host);
    return key_query_apply(rules, x->target.query, &x->arena, &x->keyed.query) &&
           list_of(x, put_selectors, &parts->selectors);
}

bool keyed_build(struct weir_exchange *x)
{
    const struct route_settings *route = x->route->settings;
    struct cache_key_parts parts = {
        .class = CACHE_KEY_GET,
        .scheme = x->target.https ? WEIR_SPAN_LIT("https") : WEIR_SPAN_LIT("http"),
        .path = x->target.path,
        .route = keyed_by_route(route) ? weir_span_str(route->name) : WEIR_SPAN_NONE,
    };
    char slice[CACHE_KEY_SLICE_BYTES];

    if (x->req.method_id == HTTP_M_QUERY) {
        parts.class = CACHE_KEY_QUERY;
        if (!content_part(x, &parts.content))
            return weir_fail(&x->err, WEIR_E_MEMORY, "lookup: key", 0);
    }
    x->keyed.authority = x->target.authority;
    x->keyed.query = x->target.query;
    if ((has_rules(&route->cache.key) && !apply_rules(x, &parts)) ||
        (x->peer_trusted && !list_of(x, put_peer_says, &parts.forwarded)))
        return weir_fail(&x->err, WEIR_E_MEMORY, "lookup: key", 0);
    parts.authority = x->keyed.authority;
    parts.query = x->keyed.query;
    parts.has_query = x->keyed.query.ptr != NULL;
    if (x->slice.size > 0)
        parts.slice = cache_key_slice(slice, x->slice.number, x->slice.size);
    if (route->cache.key.no_vary_search && !search_key_apply(x, &parts))
        return weir_fail(&x->err, WEIR_E_MEMORY, "lookup: key", 0);
    return cache_key_build(&x->key, &parts, x->w->secret, x->key_buf, sizeof x->key_buf,
                           &x->arena) ||
           weir_fail(&x->err, WEIR_E_MEMORY, "lookup: key", 0);
}
