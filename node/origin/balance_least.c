/* Fewest in flight by weight; among equals, by weight at random: else an idle pool would use its
 * first alone. */
#include "balance_kinds.h"

int balance_least_pick(struct balancer *b, const struct balance_set *set,
                       const struct balance_hint *hint, int64_t now_us, struct balance_rng *rng)
{
    const struct balance_origin *best = NULL;
    double best_load = 0, tied = 0;

    (void)hint;
    (void)now_us;
    for (size_t k = 0; k < set->count; k++) {
        const struct balance_origin *o = &b->origins[set->index[k]];
        const double load = o->in_flight / o->share;

        if (best != NULL && load > best_load)
            continue;
        tied = best != NULL && load == best_load ? tied + o->share : o->share;
        /* The newest of those tied wins with its part of their shares: one pass, no list. */
        if (best == NULL || load < best_load || balance_rng_unit(rng) * tied < o->share)
            best = o;
        best_load = load;
    }
    return (int)(best - b->origins);
}
