#include "probers.h"

#include <string.h>
#include <xxhash.h>

uint64_t probers_place(const char *id)
{
    return XXH3_64bits(id, strlen(id));
}

/* The finalizer of splitmix64 (Steele, Lea, Flood, 2014): every bit of the input moves every other.
 */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct ranked {
    uint64_t score, incarnation;
    uint32_t at;
};

static bool before(const struct ranked *a, const struct ranked *b)
{
    return a->score != b->score ? a->score > b->score : a->incarnation > b->incarnation;
}

void probers_pick(uint64_t check, const struct prober_candidate *candidates, size_t count,
                  struct probers *out)
{
    struct ranked best[HEALTH_PROBERS + 1];

    out->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ranked r = {mix(mix(check) ^ candidates[i].place), candidates[i].incarnation,
                                 (uint32_t)i};
        unsigned k = out->count;

        if (candidates[i].out)
            continue;
        for (; k > 0 && before(&r, &best[k - 1]); k--)
            best[k] = best[k - 1];
        best[k] = r;
        out->count += out->count < HEALTH_PROBERS;
    }
    for (unsigned k = 0; k < out->count; k++)
        out->at[k] = best[k].at;
}
