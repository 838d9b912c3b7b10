#include "redis_cluster_own.h"

#include <stdio.h>

#include "weir/alloc.h"

static void fill_connections(struct redis_node_stats *out, const struct redis_node *n)
{
    for (int i = 0; i < 2 * REDIS_LANES; i++) {
        const struct redis_conn *lane = n->lanes[i / REDIS_LANES][i % REDIS_LANES];

        if (lane == NULL || redis_conn_state(lane) == REDIS_DOWN)
            continue;
        out->connections++;
        out->in_flight += redis_conn_in_flight(lane);
    }
}

static void fill_node(struct redis_node_stats *out, const struct redis_node *n, bool replica)
{
    const struct redis_node_counts *k = &n->counts;

    *out = (struct redis_node_stats){
        .replica = replica,
        .breaker = n->breaker.state,
        .why = n->breaker.why,
        .openings = n->breaker.opened,
        .refused = n->breaker.refused,
        .rtt_us = n->rtt_us,
        .calls = k->calls,
        .ok = k->says[REDIS_SAYS_ANSWER],
        .timeouts = k->timeouts,
        .closed = k->closed,
        .refusals = k->refusals,
        .full = k->full,
        .moved = k->says[REDIS_SAYS_MOVED],
        .ask = k->says[REDIS_SAYS_ASK],
        .tryagain = k->says[REDIS_SAYS_TRYAGAIN],
        .clusterdown = k->says[REDIS_SAYS_CLUSTERDOWN],
        .loading = k->says[REDIS_SAYS_LOADING],
        .readonly = k->says[REDIS_SAYS_READONLY],
        .oom = k->says[REDIS_SAYS_OOM],
        .denied = k->says[REDIS_SAYS_DENIED],
        .noscript = k->says[REDIS_SAYS_NOSCRIPT],
        .other = k->says[REDIS_SAYS_ERROR] + k->says[REDIS_SAYS_REFUSES] +
                 k->says[REDIS_SAYS_CLIENTS] + k->says[REDIS_SAYS_NONSENSE],
    };
    redis_address_text(&n->address, out->address);
    fill_connections(out, n);
}

static void fill_shards(struct redis_cluster_stats *s, const struct redis_cluster *c)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < c->shard_count; i++) {
        s->shards[i] = (struct redis_shard_stats){.first = at, .count = c->shards[i].count};
        for (uint32_t k = 0; k < c->shards[i].count; k++)
            fill_node(&s->nodes[at++], c->shards[i].copies[k], k > 0);
    }
    for (int slot = 0; slot < REDIS_SLOTS; slot++)
        if (c->route[slot] < c->shard_count) {
            s->shards[c->route[slot]].slots++;
            s->covered++;
        }
}

static void fill_trouble(struct redis_cluster_stats *s, const struct redis_cluster *c)
{
    char text[REDIS_ADDRESS_TEXT];

    if (c->trouble_at.port != 0)
        snprintf(s->trouble, sizeof(s->trouble), "%s: %s", redis_address_text(&c->trouble_at, text),
                 c->trouble);
}

struct redis_cluster_stats *redis_cluster_stats(const struct redis_cluster *c)
{
    struct redis_cluster_stats *s;
    uint32_t nodes = 0;

    for (uint32_t i = 0; i < c->shard_count; i++)
        nodes += c->shards[i].count;
    s = weir_calloc(1, sizeof(*s) + nodes * sizeof(s->nodes[0]) +
                           c->shard_count * sizeof(s->shards[0]));
    if (s == NULL)
        return NULL;
    s->mode = c->mode;
    s->map_version = c->map_version;
    s->kept = c->map != NULL ? c->map->kept : 0;
    s->refreshes = c->refresh.count;
    s->refreshes_failed = c->refresh.failures;
    s->under_way = c->under_way;
    s->parked = c->parked;
    memcpy(s->results, c->results, sizeof(s->results));
    s->hedged = c->hedged;
    s->hedges_won = c->hedges_won;
    fill_trouble(s, c);
    s->shard_count = c->shard_count;
    s->node_count = nodes;
    s->nodes = (struct redis_node_stats *)(s + 1);
    s->shards = (struct redis_shard_stats *)(s->nodes + nodes);
    fill_shards(s, c);
    return s;
}

const char *redis_mode_name(enum redis_mode m)
{
    switch (m) {
    case REDIS_MODE_UNKNOWN:
        return "unknown";
    case REDIS_MODE_CLUSTER:
        return "cluster";
    case REDIS_MODE_PLAIN:
        return "plain";
    }
    return "unknown";
}
