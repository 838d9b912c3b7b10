/*
 * redis_cluster_own.h - what the files of the cluster client share with each other alone.
 *
 *     redis_call.c     calls: dispatched, sent, redirected, ended
 *     redis_node.c     one node: connections, breaker and its test, figures
 *     redis_refresh.c  when and whom to ask for the map, and what is done with it
 *     redis_cluster.c  the whole: made, freed, seen by operators
 *
 * Ownership: the cluster owns its nodes; a call points to a node only while an attempt is under way
 * on it, and a node with something under way is not freed but with the whole cluster.
 */
#ifndef REDIS_CLUSTER_OWN_H
#define REDIS_CLUSTER_OWN_H

#include "redis_cluster.h"
#include "redis_says.h"
#include "redis_voice.h"

#define REDIS_TOLD_MAX    32 /* nodes beyond those of map and settings, told of by MOVED and ASK */
#define REDIS_OVERLAY_MAX 64 /* shards that MOVED alone told of, until the next map */

/* What one node did; the figures of struct redis_node_stats. */
struct redis_node_counts {
    uint64_t calls, ok, timeouts, closed, refusals, full;
    uint64_t says[REDIS_SAYS_NONSENSE + 1];
};

struct redis_node {
    struct redis_node *next;
    struct redis_cluster *cluster;
    struct redis_address address;
    bool listed;   /* in the map in force, or pointed to by a MOVED since */
    bool replica;  /* in the map in force */
    bool seed;     /* of the settings: stays for ever */
    unsigned busy; /* commands under way that point here */
    struct redis_conn *lanes[2][REDIS_LANES]; /* [1]: with READONLY */
    struct redis_breaker breaker;
    struct redis_timer probe_timer; /* OPEN: when to test */
    struct redis_command probe;     /* PROBING: the PING */
    int64_t used_ms;
    int64_t full_until_ms;   /* after OOM */
    uint32_t rtt_us, var_us; /* smoothed as in RFC 6298 */
    struct redis_node_counts counts;
};

/* copies[0] is the master. */
struct redis_shard {
    struct redis_node *copies[1 + REDIS_REPLICAS_MAX];
    uint32_t count;
};

struct redis_refresh {
    struct redis_command cmd;
    struct redis_node *asked;    /* under way there; NULL: not */
    struct redis_timer timer;    /* the next one */
    bool wanted;                 /* something was wrong since the last one began */
    unsigned failed;             /* the last ones, in a row, brought no map */
    struct redis_address prefer; /* port 0: nobody */
    struct redis_address avoid;
    int64_t earliest_ms, ended_ms;
    uint32_t wait_ms;
    uint64_t count, failures;
};

struct redis_cluster {
    struct redis_loop *loop;
    struct redis_cluster_settings settings; /* without zeros */
    enum redis_mode mode;
    struct redis_map *map; /* NULL: none yet */
    uint64_t map_version;
    struct redis_node *nodes;
    struct redis_shard *shards; /* those of the map, then the overlay's */
    uint32_t shard_count, shard_cap;
    uint16_t route[REDIS_SLOTS]; /* slot -> shards: the map, patched by MOVED */
    struct redis_refresh refresh;
    struct redis_voice *own_voice;
    struct redis_address trouble_at; /* port 0: none */
    char trouble[256];
    struct redis_call *calls, **calls_end; /* in the order they were made */
    unsigned under_way, parked;
    struct redis_watch *watches;
    struct redis_later notify;
    struct redis_watch *notify_next; /* whom redis_cluster.c's notify() tells next */
    uint64_t results[REDIS_RESULTS];
    uint64_t hedged, hedges_won;
    uint64_t random;
    bool *freed; /* of notify(), while it calls: set when the cluster is freed */
    bool ready;
};

/* ---- redis_node.c ---- */

/* Found, or made; NULL without memory. */
struct redis_node *redis_node_at(struct redis_cluster *c, const struct redis_address *address);
/* The same, for an address that a redirection named: NULL as well when there are too many of these.
 */
struct redis_node *redis_node_told(struct redis_cluster *c, const struct redis_address *address);
/* Closes and frees it; it is in no list and nothing is under way but its PING. */
void redis_node_free(struct redis_node *n);
/* Frees nodes that are in no map, have nothing under way and were not used for a while; lets go of
 * connections that are over. */
void redis_nodes_sweep(struct redis_cluster *c);
/* A connection that is not DOWN, made if need be; NULL without memory. */
struct redis_conn *redis_node_lane(struct redis_node *n, enum redis_lane lane, bool readonly);
/* The first connection that is up, for questions to the node itself; else one that is made. */
struct redis_conn *redis_node_any_lane(struct redis_node *n);
bool redis_node_up(const struct redis_node *n);
/* For the breaker, and what follows from an opening: a test, a new map. */
void redis_node_note(struct redis_node *n, enum redis_outcome outcome);
/* It is in the map now (again): its breaker is tested, should it be open. */
void redis_node_watch_over(struct redis_node *n);
void redis_node_measured(struct redis_node *n, int64_t rtt_us);
/* It does not let us in: a wrong password, a certificate. In the log once a minute. */
void redis_node_complain(struct redis_node *n, enum redis_fault fault, struct weir_span why);

/* ---- redis_refresh.c ---- */

/* Ask for the map soon. prefer, avoid: NULL for nobody. */
void redis_refresh_want(struct redis_cluster *c, const struct redis_node *prefer,
                        const struct redis_node *avoid);
void redis_refresh_start(struct redis_cluster *c);
void redis_refresh_stop(struct redis_cluster *c);
/* MOVED: the slot is that node's from now on. */
void redis_route_patch(struct redis_cluster *c, uint16_t slot, struct redis_node *to);

/* ---- redis_call.c ---- */

/* The map changed, or could not be had: those that waited for it go on. */
void redis_calls_wake(struct redis_cluster *c);
/* Cluster's end: idle, without done(). */
void redis_call_drop(struct redis_call *call);

/* ---- redis_cluster.c ---- */

void redis_cluster_changed(struct redis_cluster *c); /* the routes: tell the watchers */
void redis_cluster_judge_ready(struct redis_cluster *c);
uint32_t redis_cluster_random(struct redis_cluster *c, uint32_t limit); /* below limit */

#endif
