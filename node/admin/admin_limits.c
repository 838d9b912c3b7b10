#include "admin.h"
#include "admin_endpoints.h"
#include "limit.h"
#include "limit_rate.h"
#include "net_loop.h"
#include "site.h"

#define LOCAL_MS 2000 /* so long after a decision without the farm a limit counts as local */

static int64_t count_of(const atomic_uint_fast64_t *c)
{
    return (int64_t)atomic_load_explicit(c, memory_order_relaxed);
}

static void put_parts(struct admin_request *r, json_t *out, const struct limit_settings *s)
{
    json_t *parts = admin_put_array(r, out, "key");

    for (size_t i = 0; i < s->key_count; i++)
        admin_append(r, parts, admin_string(weir_span_str(s->key[i])));
}

static bool is_local(const struct admin_request *r, const struct limit_counts *c)
{
    int64_t at = atomic_load_explicit(&c->local_ms, memory_order_relaxed);

    return at != 0 && r->source->loop->clock.mono_ms - at < LOCAL_MS;
}

static json_t *limit_of(struct admin_request *r, const struct limit *l)
{
    const struct limit_counts *c = l->counts;
    json_t *out = json_object();

    admin_put_text(r, out, "name", l->settings->name);
    admin_put_text(r, out, "rate", l->settings->rate);
    admin_put_int(r, out, "burst", l->rate.burst);
    admin_put_int(r, out, "window_s", (int64_t)limit_rate_window_s(&l->rate));
    put_parts(r, out, l->settings);
    admin_put_int(r, out, "status", l->settings->status);
    admin_put_bool(r, out, "dry_run", l->settings->dry_run);
    admin_put_bool(r, out, "all_routes", l->settings->all_routes);
    admin_put_int(r, out, "allowed", count_of(&c->allowed));
    admin_put_int(r, out, "refused", count_of(&c->refused));
    admin_put_int(r, out, "would_refuse", count_of(&c->would_refuse));
    admin_put_int(r, out, "local", count_of(&c->local));
    admin_put_int(r, out, "late", count_of(&c->late));
    admin_put_int(r, out, "waiting", atomic_load_explicit(&c->waiting, memory_order_relaxed));
    admin_put_bool(r, out, "local_share", is_local(r, c));
    return out;
}

static void put_limits(struct admin_request *r, json_t *out)
{
    const struct limit_set *set = r->source->site(r->source->arg)->rate_limits;
    json_t *limits = admin_put_array(r, out, "limits");
    const struct limit *l;

    for (size_t i = 0; set != NULL && (l = limit_set_at(set, i)) != NULL; i++)
        admin_append(r, limits, limit_of(r, l));
}

static void put_top(struct admin_request *r, json_t *out)
{
    struct limit_top_entry top[LIMIT_TOP];
    size_t count = limit_node_top(r->source->limits, r->source->loop->clock.mono_ms, top);
    json_t *list = admin_put_array(r, out, "top"), *one;

    for (size_t i = 0; i < count; i++) {
        one = json_object();
        admin_put_text(r, one, "limit", top[i].limit);
        admin_put_text(r, one, "key", top[i].text);
        admin_put_int(r, one, "refused", (int64_t)top[i].refused);
        admin_append(r, list, one);
    }
}

void admin_limits(struct admin_request *r)
{
    json_t *out = json_object(), *cells;
    struct limit_node_stats s;

    limit_node_stats(r->source->limits, &s);
    admin_put_bool(r, out, "shared", s.farm);
    admin_put_int(r, out, "members", s.members);
    cells = admin_put_object(r, out, "cells");
    admin_put_int(r, cells, "used", (int64_t)s.cells.used);
    admin_put_int(r, cells, "max", (int64_t)s.cells.max);
    admin_put_int(r, cells, "evicted", (int64_t)s.cells.evicted);
    put_limits(r, out);
    put_top(r, out);
    admin_answer(r, 200, out);
}
