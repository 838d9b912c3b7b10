#include "route_lifetime.h"

#include "cache_settings.h"
#include "control.h"
#include "freshness.h"
#include "http_status.h"

static void say(struct freshness_facts *f, int64_t lifetime)
{
    f->route_says = true;
    f->route_lifetime = lifetime;
}

/* So long from now on: what the response has aged already is added. */
static void say_from_arrival(struct freshness_facts *f, int64_t seconds)
{
    if (seconds > 0)
        say(f, seconds + freshness_initial_age(f));
}

static int64_t bounded(int64_t lifetime, const struct cache_ttl_settings *ttl)
{
    if (lifetime < ttl->min)
        lifetime = ttl->min;
    return ttl->max > 0 && lifetime > ttl->max ? ttl->max : lifetime;
}

/* An error that one client provokes by what is in no key, such as a field that is too large, must
 * not become everybody's by a range that was meant for other errors. */
static bool covers(const struct cache_status_ttl *row, int status)
{
    if (http_status_blames_request(status) && row->first != row->last)
        return false;
    return (uint32_t)status >= row->first && (uint32_t)status <= row->last;
}

static const struct cache_status_ttl *row_of(const struct cache_ttl_settings *ttl, int status)
{
    for (size_t i = 0; i < ttl->status_count; i++)
        if (covers(&ttl->status[i], status))
            return &ttl->status[i];
    return NULL;
}

static void unnamed(struct freshness_facts *f, const struct control *c, int status,
                    const struct cache_ttl_settings *ttl)
{
    const struct cache_status_ttl *row = row_of(ttl, status);
    int64_t guess = freshness_lifetime(f);

    if (row != NULL)
        say_from_arrival(f, row->seconds);
    else if (guess > 0 && ttl->max > 0 && guess > ttl->max)
        say(f, ttl->max);
    else if (guess == 0 && (c->cc.public_ || http_status_heuristic(status)))
        say_from_arrival(f, ttl->otherwise);
}

void route_lifetime_apply(struct freshness_facts *f, const struct control *c, int status,
                          const struct route_cache_settings *route)
{
    if (route->despite.ttl > 0 && !http_status_blames_request(status))
        say_from_arrival(f, route->despite.ttl);
    else if (!freshness_explicit(f))
        unnamed(f, c, status, &route->ttl);
    else if (route->ttl.min > 0 || route->ttl.max > 0)
        say(f, bounded(freshness_lifetime(f), &route->ttl));
}
