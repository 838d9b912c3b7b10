/*
 * redis_cluster.h - commands to a Redis Cluster, or to one Redis or Valkey: by whom a key is kept,
 * and what is done when that changes or fails.
 *
 * One for each thread and endpoint, on that thread's redis_loop. A caller names a key; the command
 * goes to the node that owns its slot. Redirections, node failures, new maps and missing scripts
 * are dealt with here (redis.md 3.3); a caller sees a reply, or one of a few results.
 *
 *     c->done = on_reply; c->kind = REDIS_READ; c->timeout_ms = 20;
 *     redis_call_command(cluster, c, key, argv, 2);
 *     ... later, from the loop: c->result, c->reply
 *
 * A *call* is embedded in what it is about. It ends exactly once: by done(), from the loop, never
 * from inside a function declared here; or by redis_call_cancel(); or by redis_cluster_free(),
 * after which done() is not called for what was under way. Every function may be called from inside
 * every callback, redis_cluster_free() included.
 *
 *     IDLE    is the caller's                               --redis_call_*()--> any below
 *     PARKED  waits for a map, or for a second try          --map, timer--> SENT, ENDED
 *     SENT    on one connection, or hedged on two           --reply, fault--> PARKED, ENDED
 *     ENDED   its result is known                           --end of the turn--> IDLE, done()
 *
 * A shard is one master and its replicas. Each *copy* has a breaker of its own (redis_breaker.h),
 * so that a lost master does not take the reads from its replicas with it: a shard refuses writes
 * when its master's breaker is open, reads when those of all copies are.
 */
#ifndef REDIS_CLUSTER_H
#define REDIS_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "redis_breaker.h"
#include "redis_conn.h"
#include "redis_slots.h"
#include "weir/err.h"
#include "weir/span.h"

struct redis_cluster;

/* Plain data; kept, with what it points to, until redis_cluster_free(). Zero: the default. */
struct redis_cluster_settings {
    const char *name;                      /* in logs: "cache", "state" */
    const struct redis_address *seeds;     /* nodes to ask first; the host may be the path of a unix
                                              socket ("/...") */
    size_t seed_count;                     /* at least 1 */
    const struct redis_settings *conn;     /* of every connection */
    struct redis_tls *tls;                 /* NULL: without */
    struct redis_breaker_settings breaker; /* ramp: for the cache alone */
    struct redis_voice *voice; /* of all threads of the endpoint; NULL: one of its own */
    bool replica_reads;        /* REDIS_READ may be answered by a replica, and may lag behind */
    uint32_t hedge_ms;   /* ask a second copy when the first has not answered for so long, or for
                            longer than it usually takes, whatever is later; 0 = never */
    uint32_t refresh_ms; /* 30000, +- a sixth: how often the map is asked for anyway */
    uint32_t refresh_least_ms; /* 100: between two of them when something is wrong; doubles ... */
    uint32_t refresh_most_ms;  /* 5000: ... up to this */
};

/* err: without memory. Connects to nobody before the end of the turn. */
struct redis_cluster *redis_cluster_new(struct redis_loop *loop,
                                        const struct redis_cluster_settings *settings,
                                        struct weir_err *err);
/* Closes all. Calls under way are dropped: done() is not called, and the calls are idle. NULL does
 * nothing. */
void redis_cluster_free(struct redis_cluster *c);

/* Is there a master whose breaker lets calls through? Before the first map is known: true until the
 * first attempt at it failed. One load. */
bool redis_cluster_ready(const struct redis_cluster *c);

/* ---- calls ---- */

enum redis_call_kind {
    REDIS_READ,        /* from any copy if settings->replica_reads; may be sent twice */
    REDIS_READ_MASTER, /* never from a replica; may be sent twice */
    REDIS_WRITE,       /* sent again only where it certainly was not executed */
    REDIS_STORE,       /* a write that needs room: refused for 1 s after a node answered OOM */
};

enum redis_result {
    REDIS_OK,     /* reply is set. It may be an error of the command itself: WRONGTYPE, CROSSSLOT, a
                     script's */
    REDIS_FULL,   /* too much is under way, or the node is out of memory: not executed */
    REDIS_LATE,   /* no answer by the deadline: it may have been, or yet be, executed */
    REDIS_LOST,   /* the connection ended, or what came makes no sense: may have been executed */
    REDIS_GONE,   /* nobody to ask, or whom to ask is known to be down: not executed */
    REDIS_DENIED, /* NOAUTH, NOPERM, WRONGPASS: a matter of configuration. Not executed */
    REDIS_RESULTS
};

const char *redis_result_name(enum redis_result r); /* "ok" "full" ... */

enum redis_lane {
    REDIS_LANE_SMALL,
    REDIS_LANE_BULK,    /* of a call with `bulk` */
    REDIS_LANE_CONFIRM, /* of a call with confirm_ms: WAIT holds up what comes after it */
    REDIS_LANES
};

#define REDIS_HOPS_MAX 2 /* MOVED and ASK followed for one call */

/* A script: sent by its SHA-1, with its source to a node that does not know it (NOSCRIPT). */
struct redis_script {
    const char *source; /* NUL-terminated; must stay */
    char sha1[41];
};

void redis_script_init(struct redis_script *s, const char *source);

/* Embedded; all zero = idle. Must stay where it is until it has ended. */
struct redis_call {
    /* the caller's */
    void (*done)(struct redis_call *c); /* c is idle: may be freed or used again */
    enum redis_call_kind kind;
    bool bulk;           /* a large argument or reply: must not stand in the way of small ones */
    uint32_t timeout_ms; /* > 0; for all of it, redirections and second tries included */
    uint32_t confirm_ms; /* > 0: followed by WAIT 1 confirm_ms on its connection */

    /* the answer: until done() returns */
    enum redis_result result;
    struct redis_reply *reply; /* OK: redis_reply_ref() keeps it. Else NULL */
    uint32_t confirmed;        /* confirm_ms: replicas that had it in time; 0: none, or unknown */
    bool alone;                /* confirm_ms: by the map there is no replica: WAIT was not sent */

    /* redis_cluster.c's */
    struct redis_cluster *cluster; /* NULL = idle */
    struct redis_call *next, **at; /* among all that are under way */
    struct redis_args *args;       /* copied, for sending again */
    uint64_t args_room[16];        /* ... here, if it is as short as a GET */
    const struct redis_script *script;
    int64_t deadline_ms;
    uint16_t slot;
    uint8_t state, hops, tries;
    bool reloading; /* the script goes with its source */
    bool waited;    /* TRYAGAIN, READONLY: only once */
    struct redis_attempt {
        struct redis_command cmd;
        struct redis_call *call;
        struct redis_node *node; /* NULL: not under way */
        int64_t sent_us;
        unsigned flags; /* sent with: REDIS_ASKING */
        bool readonly;
    } attempts[2];             /* the second one: the hedge */
    struct redis_command wait; /* WAIT */
    struct redis_reply *held;  /* the reply that waits for WAIT's */
    struct redis_timer timer;  /* PARKED: until when; SENT: when to hedge */
    struct redis_later later;  /* ENDED */
};

/*
 * One command. key: what the slot is made of; every key of the command must have that slot. Copies
 * key and the texts of argv, keeps references to their blobs. The call must be idle.
 */
void redis_call_command(struct redis_cluster *c, struct redis_call *call, struct weir_span key,
                        const struct redis_arg *argv, size_t argc);
/* EVALSHA script key_count argv...: the first key_count of argv are keys of one slot, the first of
 * them gives it; there is at least one. */
void redis_call_script(struct redis_cluster *c, struct redis_call *call,
                       const struct redis_script *script, size_t key_count,
                       const struct redis_arg *argv, size_t argc);
/* done() will not be called; what was asked may still happen. Idle: does nothing. */
void redis_call_cancel(struct redis_call *call);
static inline bool redis_call_idle(const struct redis_call *call)
{
    return call->cluster == NULL;
}

/* ---- where things are, for subscribers ---- */

/* The master of a slot; false as long as none is known. */
bool redis_cluster_owner(const struct redis_cluster *c, uint16_t slot, struct redis_address *out);
/* Something is wrong with this node (NULL: with the map): ask another for a new map, soon. */
void redis_cluster_suspect(struct redis_cluster *c, const struct redis_address *node);
/* Somebody was told MOVED: the slot is there now. */
void redis_cluster_moved(struct redis_cluster *c, uint16_t slot, const struct redis_address *to);
const struct redis_cluster_settings *redis_cluster_settings(const struct redis_cluster *c);
struct redis_loop *redis_cluster_loop(const struct redis_cluster *c);

enum redis_mode {
    REDIS_MODE_UNKNOWN, /* nobody has answered yet */
    REDIS_MODE_CLUSTER,
    REDIS_MODE_PLAIN, /* one Redis owns all slots */
};

enum redis_mode redis_cluster_mode(const struct redis_cluster *c);

/* Embedded; all zero = not watching. changed() comes after each new map, MOVED included, from the
 * loop. */
struct redis_watch {
    void (*changed)(struct redis_watch *w);
    struct redis_cluster *cluster;
    struct redis_watch *next, **at;
};

void redis_cluster_watch(struct redis_cluster *c, struct redis_watch *w);
void redis_cluster_unwatch(struct redis_watch *w); /* harmless twice, and after the cluster's end */

/* ---- for operators ---- */

#define REDIS_TROUBLE_MAX (REDIS_ADDRESS_TEXT + 256)

/* Of one node, since it is known. */
struct redis_node_stats {
    char address[REDIS_ADDRESS_TEXT];
    bool replica;
    enum redis_breaker_state breaker;
    enum redis_outcome why; /* it was opened last */
    uint64_t openings, refused;
    unsigned connections, in_flight;
    uint32_t rtt_us;                                /* smoothed */
    uint64_t calls, ok, timeouts, closed, refusals; /* refusals: no connection came about */
    uint64_t moved, ask, tryagain, clusterdown, loading, readonly, oom, denied, noscript, full,
        other; /* replies; other: errors that were handed on */
};

struct redis_shard_stats {
    uint32_t slots;
    uint32_t first, count; /* in `nodes`: the master first */
};

struct redis_cluster_stats {
    enum redis_mode mode;
    uint64_t map_version; /* counts the maps that differed from the one before */
    uint32_t covered;     /* slots that have an owner */
    uint32_t kept;        /* of these: by an older map alone */
    uint64_t refreshes, refreshes_failed;
    unsigned under_way, parked; /* calls */
    uint64_t results[REDIS_RESULTS];
    uint64_t hedged, hedges_won;
    char trouble[REDIS_TROUBLE_MAX]; /* why a node could not be connected to, until it can be: "" */
    uint32_t shard_count, node_count; /* nodes that have left the map are not among them */
    struct redis_shard_stats *shards;
    struct redis_node_stats *nodes;
};

/* On the cluster's thread. Returns owned, one allocation (weir_free()); NULL without memory. */
struct redis_cluster_stats *redis_cluster_stats(const struct redis_cluster *c);
const char *redis_mode_name(enum redis_mode m); /* "unknown" "cluster" "plain" */

#endif
