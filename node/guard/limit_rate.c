#include "limit_rate.h"

#include <string.h>

#define SECOND_US UINT64_C(1000000)

static uint64_t unit_of(char unit)
{
    switch (unit) {
    case 's':
        return SECOND_US;
    case 'm':
        return 60 * SECOND_US;
    case 'h':
        return 3600 * SECOND_US;
    case 'd':
        return 86400 * SECOND_US;
    default:
        return 0;
    }
}

bool limit_rate_split(struct weir_span text, uint64_t *count, uint64_t *unit_us)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    unsigned long long number;

    if (slash == NULL || slash + 2 != text.ptr + text.len || (*unit_us = unit_of(slash[1])) == 0 ||
        !weir_span_u64(weir_span(text.ptr, (size_t)(slash - text.ptr)), UINT64_MAX, &number))
        return false;
    *count = number;
    return true;
}

const char *limit_rate_parse(struct weir_span text, uint32_t burst, struct weir_gcra_rate *out)
{
    uint64_t count, unit_us;

    if (!limit_rate_split(text, &count, &unit_us))
        return "expected a rate such as 100/s, 1000/m, 5/h or 10000/d";
    if (count == 0)
        return "a rate of nothing refuses everybody: a route that responds 403 says so plainly";
    if (count > unit_us)
        return "is more than a million a second";
    out->interval_us = (unit_us + count - 1) / count;
    if (burst == 0)
        burst = count < WEIR_GCRA_BURST_MAX ? (uint32_t)count : WEIR_GCRA_BURST_MAX;
    out->burst = burst;
    return NULL;
}

uint64_t limit_rate_window_s(const struct weir_gcra_rate *r)
{
    return (r->interval_us * r->burst + SECOND_US - 1) / SECOND_US;
}
