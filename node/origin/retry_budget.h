/*
 * retry_budget.h - how many attempts may be repeats: a share of the requests of the last 10 s, so
 * that retries cannot multiply an outage.
 *
 * One per worker and upstream, not thread-safe, no allocation. Ten buckets of one second slide over
 * time; in the window retries <= percent of requests + a floor of 3/s of the node, of which each
 * worker has its part (after Finagle's RetryBudget; balancing-and-health 5). Time never has to be
 * steady: a clock that stands still keeps the window, one that jumps beyond it empties it.
 */
#ifndef RETRY_BUDGET_H
#define RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_BUDGET_BUCKETS     10 /* of one second each */
#define RETRY_BUDGET_FLOOR_PER_S 3

struct retry_budget {
    uint32_t percent;
    uint32_t floor; /* retries per window that are always allowed */
    int64_t second; /* of the newest bucket */
    uint32_t requests[RETRY_BUDGET_BUCKETS];
    uint32_t retries[RETRY_BUDGET_BUCKETS];
    uint64_t requests_sum;
    uint64_t retries_sum;
};

/* percent: upstream_settings.retry_budget_percent; workers >= 1 share the floor, each has at least
 * one. */
void retry_budget_init(struct retry_budget *b, uint32_t percent, unsigned workers, int64_t now_us);
/* A request arrived: its first attempt. */
void retry_budget_request(struct retry_budget *b, int64_t now_us);
/* True, and counted, if one more retry is within the budget. */
bool retry_budget_take(struct retry_budget *b, int64_t now_us);

#endif
