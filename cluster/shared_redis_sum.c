#include "shared_redis_sum.h"

#include "weir/alloc.h"

/* ---- nodes ---- */

static int severity(enum redis_breaker_state s)
{
    static const int of[] = {
        [REDIS_BREAKER_CLOSED] = 0,
        [REDIS_BREAKER_RAMPING] = 1,
        [REDIS_BREAKER_PROBING] = 2,
        [REDIS_BREAKER_OPEN] = 3,
    };

    return of[s];
}

static void add_node(struct shared_redis_node *to, const struct redis_node_stats *from)
{
    struct redis_node_stats *sum = &to->sum;

    to->ports++;
    to->ports_open += from->breaker == REDIS_BREAKER_OPEN || from->breaker == REDIS_BREAKER_PROBING;
    if (severity(from->breaker) > severity(sum->breaker)) {
        sum->breaker = from->breaker;
        sum->why = from->why;
    }
    if (from->rtt_us > sum->rtt_us)
        sum->rtt_us = from->rtt_us;
#define ADD(member) sum->member += from->member
    ADD(openings);
    ADD(refused);
    ADD(connections);
    ADD(in_flight);
    ADD(calls);
    ADD(ok);
    ADD(timeouts);
    ADD(closed);
    ADD(refusals);
    ADD(moved);
    ADD(ask);
    ADD(tryagain);
    ADD(clusterdown);
    ADD(loading);
    ADD(readonly);
    ADD(oom);
    ADD(denied);
    ADD(noscript);
    ADD(full);
    ADD(other);
#undef ADD
}

static struct shared_redis_node *find(struct shared_redis_node *nodes, uint32_t count,
                                      const char *address)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(nodes[i].sum.address, address) == 0)
            return &nodes[i];
    return NULL;
}

/* The nodes of `from` in its order, without numbers yet. Returns how many. */
static uint32_t lay_out(struct shared_redis_node *nodes, const struct redis_cluster_stats *from)
{
    uint32_t n = 0;

    for (uint32_t s = 0; s < from->shard_count; s++)
        for (uint32_t i = 0; i < from->shards[s].count; i++, n++) {
            const struct redis_node_stats *node = &from->nodes[from->shards[s].first + i];

            memcpy(nodes[n].sum.address, node->address, sizeof node->address);
            nodes[n].sum.replica = node->replica;
            nodes[n].sum.why = node->why;
            nodes[n].shard = s;
            nodes[n].slots = from->shards[s].slots;
        }
    return n;
}

/* Moves the numbers that are known to the new table; a node that is in no map any more is dropped
 * with its numbers. */
static void carry_over(struct shared_redis_node *nodes, uint32_t count,
                       const struct shared_redis_endpoint *old)
{
    for (uint32_t i = 0; i < old->node_count; i++) {
        struct shared_redis_node *to = find(nodes, count, old->nodes[i].sum.address);

        if (to == NULL)
            continue;
        unsigned ports = to->ports, open = to->ports_open;

        add_node(to, &old->nodes[i].sum);
        to->ports = ports + old->nodes[i].ports;
        to->ports_open = open + old->nodes[i].ports_open;
    }
}

/* The port with the newest map says which nodes there are. */
static bool take_map(struct shared_redis_endpoint *to, const struct redis_cluster_stats *from)
{
    uint32_t most = 0;
    struct shared_redis_node *nodes;

    for (uint32_t s = 0; s < from->shard_count; s++)
        most += from->shards[s].count;
    nodes = weir_calloc(most > 0 ? most : 1, sizeof *nodes);
    if (nodes == NULL)
        return false;
    uint32_t count = lay_out(nodes, from);

    carry_over(nodes, count, to);
    weir_free(to->nodes);
    to->nodes = nodes;
    to->node_count = count;
    to->shard_count = from->shard_count;
    to->map_version = from->map_version;
    return true;
}

/* ---- an endpoint ---- */

static void add_counts(struct shared_redis_endpoint *to, const struct redis_cluster_stats *from)
{
    to->refreshes += from->refreshes;
    to->refreshes_failed += from->refreshes_failed;
    to->under_way += from->under_way;
    to->parked += from->parked;
    to->hedged += from->hedged;
    to->hedges_won += from->hedges_won;
    for (int r = 0; r < REDIS_RESULTS; r++)
        to->results[r] += from->results[r];
}

bool shared_redis_add(struct shared_redis_endpoint *to, const struct redis_cluster_stats *from)
{
    bool first = to->nodes == NULL;

    if ((first || from->map_version > to->map_version) && !take_map(to, from))
        return false;
    for (uint32_t i = 0; i < from->node_count; i++) {
        struct shared_redis_node *node = find(to->nodes, to->node_count, from->nodes[i].address);

        if (node != NULL)
            add_node(node, &from->nodes[i]);
    }
    if (from->mode != REDIS_MODE_UNKNOWN)
        to->mode = from->mode;
    if (first || from->covered < to->covered)
        to->covered = from->covered;
    if (from->trouble[0] != '\0')
        memcpy(to->trouble, from->trouble, sizeof to->trouble);
    if (from->kept > to->kept)
        to->kept = from->kept;
    add_counts(to, from);
    return true;
}

void shared_redis_add_heard(struct redis_sub_stats *to, const struct redis_sub_stats *from)
{
    to->topics += from->topics;
    to->live += from->live;
    to->connections += from->connections;
    to->messages += from->messages;
    to->subscriptions += from->subscriptions;
    to->lost += from->lost;
    to->errors += from->errors;
}

void shared_redis_sum_clear(struct shared_redis_stats *s)
{
    for (int i = 0; i < SHARED_AREAS; i++) {
        weir_free(s->endpoints[i].nodes);
        s->endpoints[i].nodes = NULL;
        s->endpoints[i].node_count = 0;
    }
}
