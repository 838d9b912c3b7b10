#include "router.h"

#include <assert.h>

#include "conditions.h"
#include "router_table.h"

/* A search in progress. */
struct search {
    const struct router *r;
    const struct route_query *q;
    struct route_match *out;
};

static bool entry_matches(const struct search *s, const struct router_entry *e)
{
    enum pattern_result result = PATTERN_MATCH;

    s->out->tried++;
    if (e->pattern != NULL)
        result = pattern_match(e->pattern, s->q->path, s->q->scratch, &s->out->captures);
    if (result == PATTERN_LIMIT)
        s->out->limit_hit = true;
    if (result != PATTERN_MATCH)
        return false;
    if (conditions_hold(s->r->routes[e->route].conditions, s->q, s->out))
        return true;
    s->out->captures.count = 0; /* this match counts for nothing */
    return false;
}

static const struct route *first_in_list(const struct search *s, uint32_t last)
{
    uint32_t at = last;

    if (last == SEGTRIE_NONE)
        return NULL;
    do {
        at = s->r->entries[at].next;
        if (entry_matches(s, &s->r->entries[at]))
            return &s->r->routes[s->r->entries[at].route];
    } while (at != last);
    return NULL;
}

/* ---- paths ---- */

struct path_walk {
    uint32_t node; /* the deepest one */
    bool whole;    /* it stands for the whole path; else segments follow */
};

static struct path_walk walk_path(const struct segtrie *paths, uint32_t root, struct weir_span path)
{
    struct path_walk w = {root, false};
    size_t at = 0; /* at the '/' before the next segment */

    while (at < path.len && path.ptr[at] == '/') {
        const char *begin = path.ptr + at + 1;
        const char *end = memchr(begin, '/', path.len - at - 1);
        size_t len = end != NULL ? (size_t)(end - begin) : path.len - at - 1;
        uint32_t child = segtrie_child(paths, w.node, weir_span(begin, len));

        if (child == SEGTRIE_NONE)
            return w;
        w.node = child;
        at += 1 + len;
    }
    w.whole = at > 0; /* "*" walks nowhere */
    return w;
}

static const struct route *find_prefix(const struct search *s, struct path_walk w)
{
    const struct route *found = NULL;
    bool below = !w.whole;

    for (uint32_t n = w.node; found == NULL && n != SEGTRIE_NONE; n = s->r->paths.nodes[n].parent) {
        if (below)
            found = first_in_list(s, s->r->paths.nodes[n].slot[PATH_BELOW]);
        if (found == NULL)
            found = first_in_list(s, s->r->paths.nodes[n].slot[PATH_WHOLE]);
        below = true; /* for every node above there is more path */
    }
    return found;
}

static const struct route *find_in_site(const struct search *s, uint32_t site)
{
    const struct router_site *at = &s->r->sites[site];
    struct path_walk w = walk_path(&s->r->paths, at->root, s->q->path);
    const struct route *found = NULL;

    if (w.whole)
        found = first_in_list(s, s->r->paths.nodes[w.node].slot[PATH_EXACT]);
    if (found == NULL)
        found = first_in_list(s, at->patterns);
    return found != NULL ? found : find_prefix(s, w);
}

/* ---- hosts ---- */

struct host_walk {
    uint32_t node;
    bool whole;
};

/* From the last label to the first. host: lower case, not empty. */
static struct host_walk walk_host(const struct segtrie *hosts, struct weir_span host)
{
    struct host_walk w = {0, false};
    size_t end = host.len;

    for (;;) {
        const char *dot = end > 0 ? memrchr(host.ptr, '.', end) : NULL;
        size_t begin = dot != NULL ? (size_t)(dot - host.ptr) + 1 : 0;
        uint32_t child = segtrie_child(hosts, w.node, weir_span(host.ptr + begin, end - begin));

        if (child == SEGTRIE_NONE)
            return w;
        w.node = child;
        if (dot == NULL) {
            w.whole = true;
            return w;
        }
        end = begin - 1;
    }
}

static const struct route *try_site(const struct search *s, uint32_t site)
{
    if (site == SEGTRIE_NONE)
        return NULL;
    s->out->host_known = true;
    return find_in_site(s, site);
}

static const struct route *find_by_host(const struct search *s, struct weir_span host)
{
    const struct segtrie *hosts = &s->r->hosts;
    struct host_walk w = walk_host(hosts, host);
    const struct route *found = NULL;
    bool more = !w.whole;

    if (w.whole)
        found = try_site(s, hosts->nodes[w.node].slot[HOST_EXACT]);
    for (uint32_t n = w.node; found == NULL && n != SEGTRIE_NONE; n = hosts->nodes[n].parent) {
        if (more)
            found = try_site(s, hosts->nodes[n].slot[HOST_WILDCARD]);
        more = true; /* for every node above there are more labels */
    }
    return found;
}

const struct route *router_find(const struct router *r, const struct route_query *q,
                                struct route_match *out)
{
    struct search s = {r, q, out};
    char lower[ROUTER_HOST_MAX];
    const struct route *found = NULL;

    out->captures.count = 0;
    out->host_known = r->any_host;
    out->method_refused = false;
    out->limit_hit = false;
    out->tried = 0;
    if (q->host.len > 0 && q->host.len <= sizeof(lower)) {
        for (size_t i = 0; i < q->host.len; i++)
            lower[i] = weir_ascii_lower(q->host.ptr[i]);
        found = find_by_host(&s, weir_span(lower, q->host.len));
    }
    return found != NULL ? found : find_in_site(&s, 0);
}

size_t router_count(const struct router *r)
{
    return r->count;
}

const struct route *router_route(const struct router *r, size_t index)
{
    assert(index < r->count);
    return &r->routes[index];
}

uint32_t route_pick_upstream(const struct route *route, uint32_t random)
{
    /* Scales 32 random bits to the weights without a division and without a bias worth naming. */
    uint32_t point = (uint32_t)((uint64_t)random * route->weight_total >> 32);
    uint32_t low = 0, high = route->split_count - 1;

    assert(route->split_count > 0);
    while (low <
           high) { /* the first part that ends above the point; one without weight never does */
        uint32_t middle = low + (high - low) / 2;

        if (route->split[middle].below > point)
            high = middle;
        else
            low = middle + 1;
    }
    return route->split[low].upstream;
}
