/*
 * balance_kinds.h - what balance.c and the balancers (balance_<name>.c) share; private to them.
 *
 * To add one: its file with a pick (and an observe, if it learns), a declaration here, a row in
 * balance.c.
 */
#ifndef BALANCE_KINDS_H
#define BALANCE_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance.h"
#include "origin_state.h"

/* One origin as this worker's balancer sees it. */
struct balance_origin {
    struct origin_state *state; /* one reference */
    uint32_t configured;        /* weight */
    uint32_t weight;            /* in force: an operator's, or as configured */
    bool backup;
    uint32_t in_flight; /* this worker's */

    /* Renewed when availability changes (balance.c). */
    double share;              /* weight as of now: less during slow start */
    bool warming;              /* in slow start */
    enum origin_verdict force; /* as last seen */
    bool healthy;              /* neither ejected nor down nor put aside by an operator */
    bool in_set;               /* member of balancer.set */
    int64_t out_until_us;      /* as last seen */

    double latency_us;     /* ewma2: the Peak-EWMA; < 0: unknown */
    int64_t latency_at_us; /* ewma2: when it was last renewed */
    double turn;           /* round robin: its current weight */
};

/* Whom a pick may choose among: indices, and the running sums of their shares. */
struct balance_set {
    size_t count;
    uint16_t *index;
    double *sum;
    bool equal; /* all shares are the same */
};

struct balance_row {
    const char *name; /* the word in the configuration */
    /* set is never empty; returns a member. */
    int (*pick)(struct balancer *b, const struct balance_set *set, const struct balance_hint *hint,
                int64_t now_us, struct balance_rng *rng);
    /* latency_us >= 0. NULL: learns nothing. */
    void (*observe)(struct balancer *b, struct balance_origin *o, int64_t now_us,
                    int64_t latency_us, bool ok);
};

struct balancer {
    const struct balance_row *row;
    const struct upstream_settings *settings; /* borrowed */
    size_t count;
    struct balance_origin *origins;
    uint64_t in_flight; /* sum over the origins */

    bool looked; /* the set is filled in */
    bool panic;
    unsigned changes;        /* of the registry, when last looked */
    int64_t look_again_us;   /* something expires then */
    struct balance_set set;  /* for a request that tried nothing yet */
    struct balance_set rest; /* scratch: the set without those tried */
    double *scratch;         /* count values */
};

/* A position in the set, drawn by share. */
size_t balance_draw(const struct balance_set *set, struct balance_rng *rng);
/* Another position than first, drawn by share; the set has at least two. */
size_t balance_draw_other(const struct balance_set *set, size_t first, struct balance_rng *rng);

int balance_ewma2_pick(struct balancer *b, const struct balance_set *set,
                       const struct balance_hint *hint, int64_t now_us, struct balance_rng *rng);
void balance_ewma2_observe(struct balancer *b, struct balance_origin *o, int64_t now_us,
                           int64_t latency_us, bool ok);
int balance_round_robin_pick(struct balancer *b, const struct balance_set *set,
                             const struct balance_hint *hint, int64_t now_us,
                             struct balance_rng *rng);
int balance_least_pick(struct balancer *b, const struct balance_set *set,
                       const struct balance_hint *hint, int64_t now_us, struct balance_rng *rng);
int balance_random_pick(struct balancer *b, const struct balance_set *set,
                        const struct balance_hint *hint, int64_t now_us, struct balance_rng *rng);
int balance_hash_pick(struct balancer *b, const struct balance_set *set,
                      const struct balance_hint *hint, int64_t now_us, struct balance_rng *rng);

#endif
