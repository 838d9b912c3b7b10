/*
 * rates.h - sums that only grow, sampled each second, as means over the last ten: pure.
 */
#ifndef RATES_H
#define RATES_H

#include <stdint.h>

#define RATES_SPAN_MS 10000
#define RATES_SAMPLES 16 /* a turn may come early or late */

enum rate {
    RATE_REQUESTS,
    RATE_LOOKUPS,
    RATE_HITS,
    RATE_ERRORS,
    RATE_BYTES,
    RATE_CPU_US,
    RATE_TLS_FULL,
    RATE_TLS_RESUMED,
    RATE_TLS_FAILED,
    RATES,
};

struct rates {
    struct {
        int64_t at_ms;
        int64_t sum[RATES];
    } sample[RATES_SAMPLES];
    unsigned count, newest;
};

/* now_ms: monotonic, and later than that of the last one; else it is not taken. */
void rates_add(struct rates *r, int64_t now_ms, const int64_t sum[RATES]);
/* By how much it grew over the span; 0 before there are two samples. */
int64_t rates_growth(const struct rates *r, enum rate which);
/* The same, a second; never negative. */
double rates_per_s(const struct rates *r, enum rate which);

#endif
