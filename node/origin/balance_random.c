#include "balance_kinds.h"

int balance_random_pick(struct balancer *b, const struct balance_set *set,
                        const struct balance_hint *hint, int64_t now_us, struct balance_rng *rng)
{
    (void)b;
    (void)hint;
    (void)now_us;
    return set->index[balance_draw(set, rng)];
}
