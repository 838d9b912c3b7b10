/*
 * limit_rate.h - a rate as people write it: "100/s", "1000/m", "5/h", "10000/d".
 *
 * Pure.
 */
#ifndef LIMIT_RATE_H
#define LIMIT_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/gcra.h"
#include "weir/span.h"

/* NULL, or what is wrong with it (static). burst 0: as many as the rate says. A rate that does not
 * divide its unit into whole microseconds is rounded down, so less than 1 in 10^5 is lost below
 * ten a second. */
const char *limit_rate_parse(struct weir_span text, uint32_t burst, struct weir_gcra_rate *out);

/* The two words of it: 100 and 1000000 for "100/s". false: it is none. */
bool limit_rate_split(struct weir_span text, uint64_t *count, uint64_t *unit_us);

/* Seconds, rounded up, in which a burst comes back. */
uint64_t limit_rate_window_s(const struct weir_gcra_rate *r);

#endif
