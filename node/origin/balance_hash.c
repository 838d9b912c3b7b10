/*
 * Weighted rendezvous hashing with bounded load (Mirrokni et al. 2016; design: balancing-and-health
 * 5).
 *
 * Each origin draws a number from (request hash, its own hash); the best one gets the request, so
 * that an origin that comes or goes moves only its own keys. One whose load here would exceed c
 * times its fair part is passed over and the next best is taken: a popular key spills, in an order
 * every node agrees on.
 */
#include "balance_kinds.h"

#include <math.h>

#include "origin_state.h"

/* The finalizer of splitmix64: every bit of the input moves every bit of the result. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/*
 * Smallest wins. -ln(u) / weight is an exponential variable of rate weight: the chance that it is
 * the smallest is exactly the weight's part of all. With equal weights u decides alone: no
 * logarithm.
 */
static double rank(const struct balance_origin *o, uint64_t hash, bool equal)
{
    const uint64_t bits = mix(hash ^ mix(o->state->url_hash)) >> 11;
    const double u = ((double)bits + 0.5) / 9007199254740992.0; /* 2^53: never 0 or 1 */

    return equal ? -u : -log(u) / o->share;
}

static bool has_room(const struct balancer *b, const struct balance_origin *o, double all_shares)
{
    const double c = b->settings->hash_load_percent / 100.0;
    const double fair = (double)(b->in_flight + 1) * o->share / all_shares;

    return c == 0 || o->in_flight < ceil(c * fair);
}

int balance_hash_pick(struct balancer *b, const struct balance_set *set,
                      const struct balance_hint *hint, int64_t now_us, struct balance_rng *rng)
{
    const double all_shares = set->sum[set->count - 1];
    double best_rank = INFINITY, first_rank = INFINITY;
    int best = -1, first = -1;

    (void)now_us;
    (void)rng;
    for (size_t k = 0; k < set->count; k++) {
        const struct balance_origin *o = &b->origins[set->index[k]];
        const double r = rank(o, hint->hash, set->equal);

        if (r < first_rank) {
            first_rank = r;
            first = set->index[k];
        }
        if (r < best_rank && has_room(b, o, all_shares)) {
            best_rank = r;
            best = set->index[k];
        }
    }
    return best >= 0 ? best : first; /* nobody has room only if c < 1 */
}
