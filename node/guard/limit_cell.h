/*
 * limit_cell.h - what a node knows of one key of one limit: how many tokens it holds, or until when
 * there are none.
 *
 * A node alone counts exactly, by GCRA. In a farm the count is the farm's, and the node *leases*
 * tokens: as many as the key needs for 100 ms, so that a busy key costs about ten questions a
 * second, whatever its rate.
 *
 *              limit_cell_known()                                   limit_cell_answer()
 *   unknown --------false--------> ask (want) --tokens-------> leased    until used, 1 s at most
 *      ^                                |-------none---------> refused   until left_ms, or 100 ms
 *      |                                '--limit_cell_lost()-> local     for 1 s: the local share
 *      '------------------ when that is over ----------------------'
 *
 * The *local share* is what this node may let pass when nobody answers: the limit divided by the
 * members of the farm, and a fifth more, since clients do not come evenly. It is counted here too.
 *
 * Pure: no lock, no clock, no allocation. Times are microseconds of the node's monotonic clock.
 *
 * Source: redis.md 3.11, 3.12.
 */
#ifndef LIMIT_CELL_H
#define LIMIT_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/gcra.h"

#define LIMIT_LEASE_US  100000  /* what a lease should last */
#define LIMIT_LEASED_US 1000000 /* what is not used by then is given up */
#define LIMIT_LOCAL_US  1000000 /* without an answer: until the farm is asked again */
#define LIMIT_WAITERS   256     /* for one answer; more are judged by the local share */

struct limit_waiter; /* limit.c's */

struct limit_cell {
    int64_t tat_us; /* a node alone: the cell; in a farm: of the local share */
    int64_t leased_until_us, refused_until_us, local_until_us;
    int64_t asked_us; /* when the farm was asked last */
    uint32_t leased;  /* tokens in hand */
    uint32_t want;    /* tokens last asked for */
    uint32_t rest;    /* what the farm had left then */
    /* who waits for the answer, oldest first */
    uint32_t waiting;
    struct limit_waiter *first, **last; /* last is set when first is */
    bool asking;
};

/* Where a token came from, for who gives it back. */
enum limit_source { LIMIT_OF_NODE, LIMIT_OF_LEASE, LIMIT_OF_SHARE };

struct limit_said {
    bool allowed;
    enum limit_source source;
    uint32_t rest;   /* tokens that are left, as far as is known */
    int64_t wait_us; /* refused: until it makes sense to come again */
};

/* A node alone. */
void limit_cell_exact(struct limit_cell *c, const struct weir_gcra_rate *r, int64_t now_us,
                      struct limit_said *out);

/* In a farm: what can be said without asking. false: somebody must ask. */
bool limit_cell_known(struct limit_cell *c, const struct weir_gcra_rate *r, uint32_t members,
                      int64_t now_us, struct limit_said *out);
/* By the local share. */
void limit_cell_local(struct limit_cell *c, const struct weir_gcra_rate *r, uint32_t members,
                      int64_t now_us, struct limit_said *out);
/* How many tokens to ask for now: more while leases do not last, never less than there are
 * waiters. */
uint32_t limit_cell_want(struct limit_cell *c, const struct weir_gcra_rate *r, uint32_t members,
                         int64_t now_us);
/* granted 0: refused; left_us until there is one. */
void limit_cell_answer(struct limit_cell *c, const struct weir_gcra_rate *r, int64_t now_us,
                       uint32_t granted, int64_t left_us, uint32_t rest);
void limit_cell_lost(struct limit_cell *c, int64_t now_us);
/* One token that was taken from `source` was not needed. */
void limit_cell_give_back(struct limit_cell *c, const struct weir_gcra_rate *r, uint32_t members,
                          enum limit_source source, int64_t now_us);
/* Nothing is lost if it is forgotten. */
bool limit_cell_idle(const struct limit_cell *c, int64_t now_us);

#endif
