/*
 * ewma2: of two origins drawn by weight, the one with the smaller (Peak-EWMA of latency) x (in
 * flight + 1) / weight.
 *
 * In a farm each node has too few requests at one origin to see its queue; what it remembers of the
 * latency tells it just as much (measured: balancing-and-health 5, p99 102 ms against 851 ms for in
 * flight alone with 100 nodes). The peak is taken at once, good news is believed slowly: tau is 10
 * s.
 */
#include "balance_kinds.h"

#include <math.h>
#include <stdlib.h>

#define TAU_US 10e6

/* Idle origins are forgiven, or one peak would exile them for good: without requests, no news. */
static double remembered(const struct balance_origin *o, int64_t now_us)
{
    const double idle_us = o->in_flight == 0 ? (double)(now_us - o->latency_at_us) : 0;

    return idle_us > 0 ? o->latency_us * exp(-idle_us / TAU_US) : o->latency_us;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* What the known origins are like; < 0 if none is known. */
static double median(struct balancer *b, int64_t now_us)
{
    size_t known = 0;

    for (size_t i = 0; i < b->count; i++)
        if (b->origins[i].latency_us >= 0)
            b->scratch[known++] = remembered(&b->origins[i], now_us);
    if (known == 0)
        return -1;
    qsort(b->scratch, known, sizeof(*b->scratch), ascending);
    return b->scratch[known / 2];
}

/* An unknown origin starts at the median: at 0 every node of the farm would flood it. */
static void make_known(struct balancer *b, struct balance_origin *o, int64_t now_us)
{
    if (o->latency_us >= 0)
        return;
    o->latency_us = median(b, now_us);
    o->latency_at_us = now_us;
}

static double cost(const struct balance_origin *o, int64_t now_us)
{
    /* Nobody known yet: all alike. Below 1 us differences mean nothing and 0 would hide the load.
     */
    const double latency_us = o->latency_us < 0 ? 1 : fmax(remembered(o, now_us), 1);

    return latency_us * (o->in_flight + 1) / o->weight;
}

int balance_ewma2_pick(struct balancer *b, const struct balance_set *set,
                       const struct balance_hint *hint, int64_t now_us, struct balance_rng *rng)
{
    const size_t first = balance_draw(set, rng);
    struct balance_origin *one = &b->origins[set->index[first]], *other;

    (void)hint;
    if (set->count == 1)
        return set->index[first];
    other = &b->origins[set->index[balance_draw_other(set, first, rng)]];
    /*
     * In slow start an origin is only ever the first choice: so it gets at most its present share,
     * even when it looks best of all. As second choice an idle one would take every pair it is in.
     */
    if (other->warming && !one->warming)
        return set->index[first];
    make_known(b, one, now_us);
    make_known(b, other, now_us);
    return (int)((cost(other, now_us) < cost(one, now_us) ? other : one) - b->origins);
}

void balance_ewma2_observe(struct balancer *b, struct balance_origin *o, int64_t now_us,
                           int64_t latency_us, bool ok)
{
    const double seen = (double)latency_us;
    double keep;

    (void)b;
    /* Failing fast is no virtue: it would draw all requests to the one origin that is broken. */
    if (!ok && (o->latency_us < 0 || seen < o->latency_us))
        return;
    if (o->latency_us < 0 || seen >= o->latency_us) {
        o->latency_us = seen;
    } else {
        keep = exp(-(double)(now_us - o->latency_at_us) / TAU_US);
        o->latency_us = o->latency_us * keep + seen * (1 - keep);
    }
    o->latency_at_us = now_us;
}
