#include "retry_budget.h"

#include <string.h>

#define US_PER_S 1000000

void retry_budget_init(struct retry_budget *b, uint32_t percent, unsigned workers, int64_t now_us)
{
    memset(b, 0, sizeof(*b));
    b->percent = percent;
    b->floor = RETRY_BUDGET_FLOOR_PER_S * RETRY_BUDGET_BUCKETS / (workers > 0 ? workers : 1);
    if (b->floor == 0)
        b->floor = 1;
    b->second = now_us / US_PER_S;
}

/* Brings the window to now: empties the buckets that fell out of it. Returns the newest one. */
static unsigned slide(struct retry_budget *b, int64_t now_us)
{
    const int64_t second = now_us / US_PER_S;

    if (second - b->second > RETRY_BUDGET_BUCKETS) /* all of them, however long ago */
        b->second = second - RETRY_BUDGET_BUCKETS;
    while (b->second < second) {
        const unsigned oldest = (unsigned)(++b->second % RETRY_BUDGET_BUCKETS);

        b->requests_sum -= b->requests[oldest];
        b->retries_sum -= b->retries[oldest];
        b->requests[oldest] = 0;
        b->retries[oldest] = 0;
    }
    return (unsigned)(b->second % RETRY_BUDGET_BUCKETS);
}

void retry_budget_request(struct retry_budget *b, int64_t now_us)
{
    const unsigned newest = slide(b, now_us);

    b->requests[newest]++;
    b->requests_sum++;
}

bool retry_budget_take(struct retry_budget *b, int64_t now_us)
{
    const unsigned newest = slide(b, now_us);

    if (b->retries_sum >= b->requests_sum * b->percent / 100 + b->floor)
        return false;
    b->retries[newest]++;
    b->retries_sum++;
    return true;
}
