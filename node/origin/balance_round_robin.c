/*
 * Smooth weighted round robin, as nginx has it: each turn everyone gains its weight, the richest is
 * chosen and pays the sum. {5,1,1} gives a a b a c a a, not a burst of five.
 */
#include "balance_kinds.h"

#include <assert.h>

int balance_round_robin_pick(struct balancer *b, const struct balance_set *set,
                             const struct balance_hint *hint, int64_t now_us,
                             struct balance_rng *rng)
{
    struct balance_origin *best = NULL;

    (void)hint;
    (void)now_us;
    (void)rng;
    for (size_t k = 0; k < set->count; k++) {
        struct balance_origin *o = &b->origins[set->index[k]];

        o->turn += o->share;
        if (best == NULL || o->turn > best->turn)
            best = o;
    }
    assert(best != NULL); /* the set is never empty */
    best->turn -= set->sum[set->count - 1];
    return (int)(best - b->origins);
}
