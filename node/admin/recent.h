/*
 * recent.h - counters that only grow, as what they grew by lately: pure.
 *
 * A sample each quarter of a minute is kept for five minutes, so that what happened while nobody
 * was looking (a flood, a certificate that clients refuse) is seen by who looks next.
 */
#ifndef RECENT_H
#define RECENT_H

#include <stdint.h>

#include "weir/metrics.h"

#define RECENT_STEP_MS 15000
#define RECENT_SAMPLES 21 /* five minutes */

struct recent {
    struct {
        int64_t at_ms;
        int64_t sum[WEIR_METRICS];
    } sample[RECENT_SAMPLES];
    unsigned count, newest;
};

/* now_ms: monotonic. Kept if the last one that was kept is a step old. */
void recent_add(struct recent *r, int64_t now_ms, const int64_t sum[WEIR_METRICS]);
/* From the oldest sample to `sum`, which is now's; 0 before there is one, never negative. */
int64_t recent_growth(const struct recent *r, const int64_t sum[WEIR_METRICS],
                      enum weir_metric which);
/* How long ago the oldest is, in seconds. */
int64_t recent_span_s(const struct recent *r, int64_t now_ms);

#endif
