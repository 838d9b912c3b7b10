#include "recent.h"

#include <string.h>

static unsigned oldest(const struct recent *r)
{
    return r->count < RECENT_SAMPLES ? 0 : (r->newest + 1) % RECENT_SAMPLES;
}

void recent_add(struct recent *r, int64_t now_ms, const int64_t sum[WEIR_METRICS])
{
    if (r->count > 0 && now_ms - r->sample[r->newest].at_ms < RECENT_STEP_MS)
        return;
    r->newest = r->count > 0 ? (r->newest + 1) % RECENT_SAMPLES : 0;
    r->count += r->count < RECENT_SAMPLES;
    r->sample[r->newest].at_ms = now_ms;
    memcpy(r->sample[r->newest].sum, sum, sizeof r->sample[r->newest].sum);
}

int64_t recent_growth(const struct recent *r, const int64_t sum[WEIR_METRICS],
                      enum weir_metric which)
{
    int64_t growth = r->count > 0 ? sum[which] - r->sample[oldest(r)].sum[which] : 0;

    return growth > 0 ? growth : 0;
}

int64_t recent_span_s(const struct recent *r, int64_t now_ms)
{
    int64_t ms = r->count > 0 ? now_ms - r->sample[oldest(r)].at_ms : 0;

    return ms > 0 ? (ms + 500) / 1000 : 0;
}
