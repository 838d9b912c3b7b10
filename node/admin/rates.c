#include "rates.h"

#include <string.h>

void rates_add(struct rates *r, int64_t now_ms, const int64_t sum[RATES])
{
    if (r->count > 0 && now_ms <= r->sample[r->newest].at_ms)
        return;
    r->newest = r->count > 0 ? (r->newest + 1) % RATES_SAMPLES : 0;
    r->count += r->count < RATES_SAMPLES;
    r->sample[r->newest].at_ms = now_ms;
    memcpy(r->sample[r->newest].sum, sum, sizeof r->sample[r->newest].sum);
}

/* The oldest sample within the span, a little more if it comes late; the newest if it is alone. */
static unsigned oldest(const struct rates *r)
{
    unsigned found = r->newest;

    for (unsigned back = 1; back < r->count; back++) {
        unsigned i = (r->newest + RATES_SAMPLES - back) % RATES_SAMPLES;

        if (r->sample[r->newest].at_ms - r->sample[i].at_ms > RATES_SPAN_MS + 500)
            break;
        found = i;
    }
    return found;
}

int64_t rates_growth(const struct rates *r, enum rate which)
{
    int64_t growth = r->sample[r->newest].sum[which] - r->sample[oldest(r)].sum[which];

    return growth > 0 ? growth : 0;
}

double rates_per_s(const struct rates *r, enum rate which)
{
    int64_t span_ms = r->sample[r->newest].at_ms - r->sample[oldest(r)].at_ms;

    return span_ms > 0 ? (double)rates_growth(r, which) * 1000 / (double)span_ms : 0;
}
