#include "reuse.h"

#include <stddef.h>

#include "cache_settings.h"
#include "control.h"
#include "http_cache_control.h"

static int64_t window(int64_t named, int64_t otherwise)
{
    return named != HTTP_CC_ABSENT ? named : otherwise;
}

/* Where the last `percent` of the lifetime begin. */
static int64_t refresh_age(int64_t lifetime, uint32_t percent)
{
    return percent > 0 ? lifetime - lifetime * percent / 100 : INT64_MAX;
}

void reuse_facts_from(struct reuse_facts *r, const struct freshness_facts *f,
                      const struct control *control, const struct route_cache_settings *route)
{
    const struct http_cache_control *cc = &control->cc;

    r->response_time = f->response_time;
    r->initial_age = freshness_initial_age(f);
    r->lifetime = freshness_lifetime(f);
    r->stale_while_revalidate = window(cc->stale_while_revalidate, route->stale_while_revalidate_s);
    r->stale_if_error = window(cc->stale_if_error, route->stale_if_error_s);
    r->no_cache = cc->no_cache;
    r->never_stale = control->never_stale;
    r->immutable = cc->immutable;
    r->refresh_age = refresh_age(r->lifetime, route->refresh_ahead_percent);
}

void reuse_soften(struct reuse_facts *out, const struct reuse_facts *r, int64_t since)
{
    /* The age it had then; before its own time that is less than it ever had. */
    int64_t age = r->initial_age + (since - r->response_time);

    *out = *r;
    if (out->lifetime > age)
        out->lifetime = age;
}

int64_t reuse_age(const struct reuse_facts *r, int64_t now)
{
    return now > r->response_time ? r->initial_age + (now - r->response_time) : r->initial_age;
}

/* Would the client rather have the origin asked, though the response were fresh? */
static bool client_objects(const struct reuse_facts *r, const struct http_cache_control *c,
                           const struct reuse *now)
{
    if (c->no_cache)
        return true;
    if (c->min_fresh != HTTP_CC_ABSENT && now->ttl < c->min_fresh)
        return true;
    if (c->max_age == 0) /* a reload: pointless for what never changes (RFC 8246 2) */
        return !r->immutable || now->ttl <= 0;
    return c->max_age != HTTP_CC_ABSENT && now->age > c->max_age;
}

/* max-stale, which also lifts max-age (RFC 9111 5.2.1.1), but not no-cache. */
static bool client_accepts_stale(const struct http_cache_control *c, const struct reuse *now)
{
    if (c->no_cache || c->min_fresh != HTTP_CC_ABSENT)
        return false;
    return c->max_stale_any || (c->max_stale != HTTP_CC_ABSENT && -now->ttl <= c->max_stale);
}

/* How long it has been stale; 0 for what is fresh but must be validated all the same. */
static int64_t staleness(int64_t ttl)
{
    return ttl < 0 ? -ttl : 0;
}

static enum reuse_verdict judge_stale(const struct reuse_facts *r,
                                      const struct http_cache_control *c, const struct reuse *now)
{
    if (r->never_stale)
        return REUSE_VALIDATE;
    if (c != NULL && client_accepts_stale(c, now))
        return REUSE_STALE;
    if (c != NULL && client_objects(r, c, now))
        return REUSE_VALIDATE;
    if (staleness(now->ttl) < r->stale_while_revalidate)
        return REUSE_STALE_WHILE_REVALIDATE;
    return REUSE_VALIDATE;
}

struct reuse reuse_check(const struct reuse_facts *r, const struct http_cache_control *c,
                         int64_t now)
{
    struct reuse out = {REUSE_FRESH, reuse_age(r, now), 0, FWD_NONE};

    out.ttl = r->lifetime - out.age;
    if (out.ttl <= 0 || r->no_cache) {
        out.verdict = judge_stale(r, c, &out);
        out.fwd = out.verdict == REUSE_VALIDATE ? FWD_STALE : FWD_NONE;
    } else if (c != NULL && client_objects(r, c, &out)) {
        out.verdict = REUSE_VALIDATE;
        out.fwd = FWD_REQUEST;
    }
    if (out.verdict == REUSE_VALIDATE && c != NULL && c->only_if_cached) {
        out.verdict = REUSE_GATEWAY_TIMEOUT;
        out.fwd = FWD_NONE;
    }
    return out;
}

bool reuse_on_error(const struct reuse_facts *r, int64_t now)
{
    int64_t ttl = r->lifetime - reuse_age(r, now);

    if (ttl > 0 && !r->no_cache) /* only the client wanted the origin asked */
        return true;
    return !r->never_stale && staleness(ttl) < r->stale_if_error;
}

bool reuse_status_is_error(int status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

bool reuse_only_if_cached(const struct http_cache_control *request_cc)
{
    return request_cc != NULL && request_cc->only_if_cached;
}
