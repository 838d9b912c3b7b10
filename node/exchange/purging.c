#include "purging.h"

#include <string.h>

#include "purge.h"
#include "purge_feed.h"
#include "stored.h"
#include "tags.h"

/* ---- names ---- */

/* May several queries lead to the same key? */
static bool query_is_loose(const struct weir_exchange *x, const struct cache_key_parts *parts)
{
    const struct cache_key_settings *rules = &x->route->settings->cache.key;

    return rules->query != KEY_QUERY_ALL || rules->sort || parts->search.len > 0;
}

void purging_name(struct weir_exchange *x, struct fill *fill)
{
    struct purge_table *t = x->w->purges;
    struct cache_key_parts parts;
    struct weir_span path;
    uint64_t exact, loose = 0, host;

    if (t == NULL || !cache_key_read(x->key.bytes, &parts))
        return;
    path = weir_span(fill->key.ptr + (parts.path.ptr - x->key.bytes.ptr), parts.path.len);
    host = purge_host_hash(t, parts.authority);
    if (query_is_loose(x, &parts)) {
        fill_set_subject(fill, t, purge_loose_hash(t, parts.authority, parts.path), host, 0, path);
        return;
    }
    /* That it is loose may show only when its response comes. */
    if (parts.has_query && x->route->settings->cache.key.no_vary_search)
        loose = purge_loose_hash(t, parts.authority, parts.path);
    exact = purge_url_hash(t, parts.authority, parts.path,
                           parts.has_query ? parts.query : WEIR_SPAN_NONE);
    fill_set_subject(fill, t, exact, host, loose, path);
}

uint64_t purging_url(const struct fill *fill, struct weir_span key)
{
    struct cache_key_parts parts;

    if (fill->purges == NULL || !cache_key_has_search(key) || !cache_key_read(key, &parts))
        return fill->purge.url;
    return purge_loose_hash(fill->purges, parts.authority, parts.path);
}

/* ---- what is stored ---- */

bool purging_reuse(struct exchange_worker *w, struct stored_response *r, struct reuse_facts *out)
{
    int64_t since_s;

    *out = r->facts.reuse;
    if (w->purges == NULL)
        return true;
    switch (purge_check(w->purges, &r->purge, &since_s)) {
    case PURGE_DEAD:
        return false;
    case PURGE_STALE: /* the clock may have gone back meanwhile */
        reuse_soften(out, &r->facts.reuse,
                     since_s < w->loop->clock.wall_s ? since_s : w->loop->clock.wall_s);
        break;
    case PURGE_VALID:
        break;
    }
    return true;
}

bool purging_is_purged(struct exchange_worker *w, struct stored_response *r)
{
    int64_t since_s;

    return w->purges != NULL && purge_check(w->purges, &r->purge, &since_s) != PURGE_VALID;
}

/* ---- references ---- */

/* Cuts s at the first c: what is before it. *rest: what is behind it, ptr NULL if there is no c. */
static struct weir_span cut(struct weir_span s, char c, struct weir_span *rest)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;

    *rest = WEIR_SPAN_NONE;
    if (at == NULL)
        return s;
    *rest = weir_span(at + 1, s.len - (size_t)(at + 1 - s.ptr));
    return weir_span(s.ptr, (size_t)(at - s.ptr));
}

static bool starts_ignoring_case(struct weir_span s, struct weir_span prefix)
{
    return s.len >= prefix.len && weir_span_ieq(weir_span(s.ptr, prefix.len), prefix);
}

static struct weir_span behind(struct weir_span s, size_t n)
{
    return weir_span(s.ptr + n, s.len - n);
}

/* Takes "scheme:" off; true if there was none, or the target's own, http or https. */
static bool same_scheme(struct weir_span *ref, bool https)
{
    struct weir_span scheme = https ? WEIR_SPAN_LIT("https://") : WEIR_SPAN_LIT("http://");
    size_t first = 0;

    if (starts_ignoring_case(*ref, scheme)) {
        *ref = behind(*ref, scheme.len - 2);
        return true;
    }
    while (first < ref->len && strchr("/?#:", ref->ptr[first]) == NULL)
        first++;
    return first == ref->len || ref->ptr[first] != ':';
}

/* Takes "//authority" off; true if there was none, or the target's own. */
static bool same_authority(struct weir_span *ref, struct weir_exchange *x)
{
    struct http_target other = {.https = x->target.https};
    struct weir_err err;
    size_t n = 2;

    if (ref->len < 2 || memcmp(ref->ptr, "//", 2) != 0)
        return true;
    while (n < ref->len && ref->ptr[n] != '/' && ref->ptr[n] != '?')
        n++;
    if (!http_authority_parse(weir_span(ref->ptr + 2, n - 2), &x->arena, &other, &err) ||
        !weir_span_eq(other.authority, x->target.authority))
        return false;
    *ref = behind(*ref, n);
    if (ref->len == 0 || ref->ptr[0] == '?') /* "http://host" is "http://host/" */
        *ref = weir_span_str(weir_arena_printf(&x->arena, "/%.*s", (int)ref->len, ref->ptr));
    return ref->ptr != NULL;
}

/* What is left is path[?query], perhaps relative to the target's (RFC 3986 5.2). ptr NULL without
 * memory. */
static struct weir_span absolute(struct weir_span ref, struct weir_exchange *x)
{
    struct weir_span path = x->target.path;
    size_t keep = path.len;

    if (ref.ptr[0] == '/')
        return ref;
    if (ref.ptr[0] != '?')
        while (keep > 0 && path.ptr[keep - 1] != '/')
            keep--;
    return weir_span_str(
        weir_arena_printf(&x->arena, "%.*s%.*s", (int)keep, path.ptr, (int)ref.len, ref.ptr));
}

/* The URI a field refers to, if it is of x's origin. */
static bool resolve(struct weir_exchange *x, struct weir_span ref, struct http_target *out)
{
    struct weir_span fragment;
    struct weir_err err;

    ref = cut(ref, '#', &fragment);
    if (ref.len == 0 || !same_scheme(&ref, x->target.https) || !same_authority(&ref, x))
        return false;
    ref = absolute(ref, x);
    return ref.ptr != NULL && http_origin_form_parse(ref, &x->arena, out, &err);
}

/* ---- what is invalidated ---- */

/* Tells the farm. Without memory for what has to be purged, everything is. */
static void tell_farm(struct weir_exchange *x, const struct purge_record *r, int token)
{
    struct purge_submission *s = purge_submission_new();

    if (s == NULL || !purge_submission_add(s, r)) {
        purge_submission_free(s);
        purge_feed_submit_all(x->w->purge_feed);
        return;
    }
    s->token = token;
    s->ask = token < 0;
    purge_feed_submit(x->w->purge_feed, s);
}

/* What this node holds is gone before the client has its answer. What others may hold goes as soon
 * as the log says so; if nobody here holds it, it is asked first whether anybody does. */
static bool invalidate_farm(struct weir_exchange *x, const struct purge_target *target)
{
    struct purge_table *t = x->w->purges;
    struct purge_record r;
    int token = -1;

    if (!purge_record_make(t, target, x->loop->clock.wall_s, &r))
        return false;
    if (target->scope != PURGE_URL || purge_is_watched(t, &r))
        token = (int)purge_ahead(t, &r, 1);
    tell_farm(x, &r, token);
    return token >= 0;
}

static void invalidate(struct weir_exchange *x, struct weir_span path, struct weir_span query)
{
    const struct purge_target target = {.scope = PURGE_URL,
                                        .mode = PURGE_HARD,
                                        .authority = x->keyed.authority,
                                        .path = path,
                                        .query = query};
    bool done;

    if (x->w->purge_feed != NULL)
        done = invalidate_farm(x, &target);
    else
        done = purge_invalidate(x->w->purges, target.authority, path, query,
                                x->loop->clock.wall_s) > 0;
    if (done)
        weir_metric_add(x->w->metrics, WEIR_M_cache_invalidations, 1);
}

static void invalidate_named(struct weir_exchange *x, const struct http_head *response, uint16_t id)
{
    const struct http_field *f = http_head_first(response, id);
    struct http_target uri;

    for (; f != NULL; f = http_head_next(response, f))
        if (resolve(x, f->value, &uri))
            invalidate(x, uri.path, uri.query);
}

static void invalidate_group(struct weir_span group, void *arg)
{
    struct weir_exchange *x = arg;
    struct purge_target target = {
        .scope = PURGE_GROUP,
        .mode = PURGE_HARD,
        .scheme = weir_span_str(x->target.https ? "https" : "http"),
        .authority = x->keyed.authority,
        .tag = group,
    };

    if (x->w->purge_feed != NULL ? invalidate_farm(x, &target)
                                 : purge_add(x->w->purges, &target, x->loop->clock.wall_s) > 0)
        weir_metric_add(x->w->metrics, WEIR_M_cache_invalidations, 1);
}

void purging_by(struct weir_exchange *x, const struct http_head *response)
{
    if (x->w->purges == NULL || http_method_safe(x->req.method_id))
        return;
    tags_invalidated_groups(response, &x->arena, invalidate_group, x);
    if (response->status < 200 || response->status >= 400)
        return;
    invalidate(x, x->target.path, x->target.query);
    invalidate_named(x, response, HTTP_F_LOCATION);
    invalidate_named(x, response, HTTP_F_CONTENT_LOCATION);
}

void purging_drop(struct weir_exchange *x)
{
    if (x->w->purges != NULL)
        invalidate(x, x->target.path, x->target.query);
}
