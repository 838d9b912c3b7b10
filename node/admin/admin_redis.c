#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/err.h"
#include "admin.h"
#include "admin_endpoints.h"
#include "shared_redis_stats.h"

/* One who asked: the ports are asked in turn, each on its own thread, and answer together. */
struct asking {
    struct admin_later later;
    struct shared_redis_ask *ask;
};

static void put_errors(struct admin_request *r, json_t *out, const struct redis_node_stats *s)
{
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {
        {"timeouts", s->timeouts},
        {"closed", s->closed},
        {"refused", s->refusals},
        {"moved", s->moved},
        {"ask", s->ask},
        {"tryagain", s->tryagain},
        {"clusterdown", s->clusterdown},
        {"loading", s->loading},
        {"readonly", s->readonly},
        {"out_of_memory", s->oom},
        {"denied", s->denied},
        {"noscript", s->noscript},
        {"full", s->full},
        {"other", s->other},
    };
    json_t *errors = admin_put_object(r, out, "events");

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        admin_put_int(r, errors, rows[i].name, (int64_t)rows[i].count);
}

static json_t *node_of(struct admin_request *r, const struct shared_redis_node *n)
{
    const struct redis_node_stats *s = &n->sum;
    json_t *out = json_object();

    admin_put_text(r, out, "address", s->address);
    admin_put_text(r, out, "role", s->replica ? "replica" : "master");
    admin_put_int(r, out, "shard", n->shard);
    admin_put_int(r, out, "slots", n->slots);
    admin_put_text(r, out, "breaker", redis_breaker_state_name(s->breaker));
    admin_put_span(r, out, "opened_by",
                   weir_span_str(s->openings > 0 ? redis_outcome_name(s->why) : NULL));
    admin_put_int(r, out, "openings", (int64_t)s->openings);
    admin_put_int(r, out, "ports", n->ports);
    admin_put_int(r, out, "ports_open", n->ports_open);
    admin_put_int(r, out, "connections", s->connections);
    admin_put_int(r, out, "in_flight", s->in_flight);
    admin_put_int(r, out, "rtt_us", s->rtt_us);
    admin_put_int(r, out, "calls", (int64_t)s->calls);
    admin_put_int(r, out, "ok", (int64_t)s->ok);
    put_errors(r, out, s);
    return out;
}

static json_t *endpoint_of(struct admin_request *r, const struct shared_redis_endpoint *e,
                           unsigned ports)
{
    json_t *out = json_object(), *results, *nodes;

    admin_put_text(r, out, "name", e->name);
    admin_put_text(r, out, "mode", redis_mode_name(e->mode));
    admin_put_int(r, out, "ports", ports);
    admin_put_int(r, out, "ports_ready", e->ports_ready);
    admin_put_int(r, out, "slots_covered", e->covered);
    admin_put_int(r, out, "slots_by_old_map", e->kept);
    admin_put_int(r, out, "map_version", (int64_t)e->map_version);
    admin_put_int(r, out, "map_refreshes", (int64_t)e->refreshes);
    admin_put_int(r, out, "map_refreshes_failed", (int64_t)e->refreshes_failed);
    admin_put_int(r, out, "under_way", e->under_way);
    admin_put_int(r, out, "parked", e->parked);
    admin_put_int(r, out, "hedged", (int64_t)e->hedged);
    admin_put_int(r, out, "hedges_won", (int64_t)e->hedges_won);
    admin_put_span(r, out, "trouble", weir_span_str(e->trouble[0] != '\0' ? e->trouble : NULL));
    results = admin_put_object(r, out, "results");
    for (int i = 0; i < REDIS_RESULTS; i++)
        admin_put_int(r, results, redis_result_name((enum redis_result)i), (int64_t)e->results[i]);
    nodes = admin_put_array(r, out, "nodes");
    for (uint32_t i = 0; i < e->node_count; i++)
        admin_append(r, nodes, node_of(r, &e->nodes[i]));
    return out;
}

static void put_operations(struct admin_request *r, json_t *out, const struct shared_redis_stats *s)
{
    static const char *const names[SHARED_AREAS] = {"cache", "state"};
    json_t *areas = admin_put_object(r, out, "operations");

    for (int a = 0; a < SHARED_AREAS; a++) {
        json_t *area = admin_put_object(r, areas, names[a]);

        for (int op = 0; op < REDIS_OPS; op++) {
            json_t *of = admin_put_object(r, area, redis_op_name((enum redis_op)op));

            for (int i = 0; i < SHARED_RESULTS; i++)
                if (s->ops[a][op][i] > 0)
                    admin_put_int(r, of, shared_result_text((enum shared_result)i),
                                  (int64_t)s->ops[a][op][i]);
        }
    }
}

static void on_told(const struct shared_redis_stats *s, void *arg)
{
    struct asking *a = arg;
    struct admin_request *r = &a->later.request;
    json_t *out, *endpoints;

    if (s == NULL) {
        admin_refuse(r, 503, "out of memory");
    } else {
        out = json_object();
        admin_put_text(r, out, "engine", "redis");
        admin_put_text(r, out, "farm", r->source->farm_name);
        endpoints = admin_put_array(r, out, "endpoints");
        for (unsigned i = 0; i < s->endpoint_count; i++)
            admin_append(r, endpoints, endpoint_of(r, &s->endpoints[i], s->ports));
        put_operations(r, out, s);
        admin_answer(r, 200, out);
    }
    admin_later_end(&a->later);
    weir_free(a);
}

static void cancel(struct admin_later *l)
{
    struct asking *a = WEIR_CONTAINER(l, struct asking, later);

    shared_redis_ask_cancel(a->ask);
    weir_free(a);
}

static void answer_embedded(struct admin_request *r)
{
    json_t *out = json_object();

    admin_put_text(r, out, "engine", "embedded");
    admin_put_span(r, out, "farm", WEIR_SPAN_NONE);
    admin_put_array(r, out, "endpoints");
    admin_answer(r, 200, out);
}

void admin_redis(struct admin_request *r)
{
    struct asking *a;

    if (r->source->farm_name == NULL) {
        answer_embedded(r);
        return;
    }
    a = weir_calloc(1, sizeof *a);
    if (a == NULL || (a->ask = shared_redis_ask(r->source->shared, on_told, a, NULL)) == NULL) {
        weir_free(a);
        admin_refuse(r, 503, "out of memory");
        return;
    }
    admin_defer(r, &a->later, cancel);
}
