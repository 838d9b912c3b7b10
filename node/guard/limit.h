/*
 * limit.h - rate limits: how many requests may come, over all nodes of the farm.
 *
 *   settings --limit_set_new()--> limits of a site --limit_set_pick()--> those of a route
 *   request --limit_take()--> allowed or refused at once, or later, when the farm has answered
 *
 * What is counted belongs to the node (struct limit_node) and outlives configurations: cells
 * (limit_table.h), counts, the keys refused most. A node alone counts exactly and never waits. In a
 * farm tokens are leased through the door (weir/shared.h): one question under way for a key and
 * node, others wait for its answer; without an answer in time the local share decides
 * (limit_cell.h). What stands in Redis is a keyed hash of the key: nothing of a client.
 *
 * Source: redis.md 3.11, 3.12.
 */
#ifndef LIMIT_H
#define LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir/clock.h"
#include "weir/err.h"
#include "weir/gcra.h"
#include "weir/hash.h"
#include "weir/mailbox.h"
#include "weir/metrics.h"
#include "weir/seal.h"
#include "limit_cell.h"
#include "limit_key.h"
#include "limit_settings.h"
#include "limit_table.h"
#include "limit_top.h"

struct limit_ask;
struct limit_node;
struct limit_set;
struct limit_waiter;
struct netset;
struct shared_port;

#define LIMITS_OF_ROUTE  8  /* at most */
#define LIMIT_TIMEOUT_MS 40 /* for an answer of the farm */

/* ---- the node's ---- */

struct limit_options {
    const struct weir_hash_secret *secret; /* the farm's; outlives it */
    /* Names in Redis; copied. NULL: this node is alone, and what the door says is not asked. */
    const struct weir_seal_key *seal;
    uint32_t timeout_ms; /* for an answer of the farm */
    size_t cells_max;
};

/* NULL: *err. Small, as long as nobody has limits. */
struct limit_node *limit_node_new(const struct limit_options *o, struct weir_err *err);
/* After all sets, and all workers are closed. NULL does nothing. */
void limit_node_free(struct limit_node *n);
/* How many members the farm has; any thread. At least 1; 1 until it is told. */
void limit_node_members(struct limit_node *n, size_t members);

/* One worker's; set by who makes the worker. */
struct limit_worker {
    struct limit_node *node;
    struct shared_port *port;
    struct weir_mailbox *box;
    const struct weir_clock *clock;
    struct weir_metrics *metrics;
    struct limit_ask *asks; /* under way */
};

/* Before its port goes: forgets what it has asked. Nobody of this worker may wait. */
void limit_worker_close(struct limit_worker *w);

/* ---- a configuration's ---- */

/* Of one limit, by name, since the node's start; added to by any worker. */
struct limit_counts {
    struct limit_counts *next;
    char name[65];
    atomic_uint_fast64_t allowed, refused, would_refuse; /* the last: in a dry run */
    atomic_uint_fast64_t local;                          /* decided by the local share */
    atomic_uint_fast64_t late;                           /* questions without an answer in time */
    atomic_int_fast64_t waiting;
    atomic_int_fast64_t local_ms; /* when the local share decided last; 0: never */
};

struct limit {
    const struct limit_settings *settings; /* borrowed */
    struct weir_gcra_rate rate;
    struct limit_key_rule key;
    struct netset *exempt; /* NULL: nobody */
    struct limit_counts *counts;
};

/* Control thread; borrows the settings, which have been checked. NULL: *err (MEMORY). */
struct limit_set *limit_set_new(struct limit_node *n, const struct limit_settings *settings,
                                size_t count, struct weir_err *err);
void limit_set_free(struct limit_set *s); /* NULL does nothing */
/* n from 0; NULL: there are no more. */
const struct limit *limit_set_at(const struct limit_set *s, size_t n);

/* Those of one route, in order: those for all routes, then those that it names. */
struct limit_list {
    uint32_t count;
    bool fields; /* one of them is told of in answers */
    const struct limit *at[LIMITS_OF_ROUTE];
};

/* *out: owned, by weir_free(); NULL if there are none. false: *err (MEMORY). */
bool limit_set_pick(const struct limit_set *s, const char *const *names, size_t count,
                    bool all_routes, struct limit_list **out, struct weir_err *err);

/* ---- a request's ---- */

enum limit_verdict {
    LIMIT_ALLOWED,
    LIMIT_REFUSED, /* in a dry run too */
    LIMIT_EXEMPT,  /* the limit does not see this request */
    LIMIT_WAIT,    /* done() will be called, once, on this thread */
    LIMIT_FAILED,  /* no memory */
};

/* What was taken for a request from one limit. */
struct limit_taken {
    enum limit_verdict verdict;
    struct weir_hash128 key;
    struct limit_said said;
};

/*
 * Takes one token. After LIMIT_WAIT *waiter is set, and *out is written before done(arg) is called,
 * from the loop; both must stay until then or limit_cancel(). The subject is not kept.
 */
enum limit_verdict limit_take(struct limit_worker *w, const struct limit *l,
                              const struct limit_subject *s, struct limit_taken *out,
                              struct limit_waiter **waiter, void (*done)(void *arg), void *arg);
/* done() will not be called. */
void limit_cancel(struct limit_waiter *waiter);
/* Another limit has refused: nobody shall miss the token. */
void limit_give_back(struct limit_worker *w, const struct limit *l, const struct limit_taken *t);
/* Counts what became of it. */
void limit_count(struct limit_worker *w, const struct limit *l, const struct limit_subject *s,
                 const struct limit_taken *t);

/* ---- seeing: control thread ---- */

struct limit_node_stats {
    bool farm;
    uint32_t members;
    struct limit_table_stats cells;
};

void limit_node_stats(struct limit_node *n, struct limit_node_stats *out);
size_t limit_node_top(struct limit_node *n, int64_t now_ms, struct limit_top_entry out[LIMIT_TOP]);

#endif
