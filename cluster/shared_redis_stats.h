/*
 * shared_redis_stats.h - what the redis engine tells operators: over all ports, for each endpoint.
 *
 * Every port's numbers belong to its thread. Whoever asks sends each port a mail, and gets the sum
 * when the last one has answered: no lock and no atomic on the way of a call.
 */
#ifndef SHARED_REDIS_STATS_H
#define SHARED_REDIS_STATS_H

#include "redis_answer.h"
#include "redis_cluster.h"
#include "redis_sub.h"
#include "weir/shared.h"

/* Of one node, over all ports that know it. */
struct shared_redis_node {
    struct redis_node_stats sum; /* breaker: the worst; rtt_us: the longest */
    unsigned ports, ports_open;  /* whose breaker for it is open or being tried */
    uint32_t slots;              /* of its shard */
    uint32_t shard;              /* number of its shard, in the newest map that a port has */
};

struct shared_redis_endpoint {
    const char *name;       /* as in the settings */
    unsigned ports_ready;   /* for which there is a master to ask */
    enum redis_mode mode;   /* as far as anyone knows */
    uint32_t covered, kept; /* slots: the fewest, the most of a port */
    uint64_t map_version;   /* the highest */
    uint64_t refreshes, refreshes_failed;
    unsigned under_way, parked;
    uint64_t results[REDIS_RESULTS];
    uint64_t hedged, hedges_won;
    char trouble[REDIS_TROUBLE_MAX]; /* of a port */
    uint32_t shard_count, node_count;
    struct shared_redis_node *nodes; /* in the order of shards, the master first */
    struct redis_sub_stats heard;    /* subscribers */
};

struct shared_redis_stats {
    unsigned ports;          /* that answered */
    unsigned endpoint_count; /* 1: it serves both areas */
    struct shared_redis_endpoint endpoints[SHARED_AREAS];
    uint64_t ops[SHARED_AREAS][REDIS_OPS][SHARED_RESULTS]; /* since the start, of ports that live */
};

struct shared_redis_ask;

/* stats: borrowed for the call; NULL without memory. Called on the asker's thread, from the loop;
 * must not free the asker. */
typedef void shared_redis_told_fn(const struct shared_redis_stats *stats, void *arg);

/* Asks all ports of the engine that `asker` belongs to, a redis engine. told() comes once, unless
 * it is cancelled or the asker is freed before. NULL: *err. A port whose loop stands still delays
 * the answer. */
struct shared_redis_ask *shared_redis_ask(struct shared_port *asker, shared_redis_told_fn *told,
                                          void *arg, struct weir_err *err);
/* told() will not be called. Not after it was. */
void shared_redis_ask_cancel(struct shared_redis_ask *ask);

#endif
