/*
 * outlier.h - passive outlier detection: what real requests say of an origin.
 *
 * settings->max_fails consecutive failures, over all workers, eject an origin for base x n, at most
 * eject_max_ms; n is the number of its ejections, one fewer for each base it has stayed in since
 * its return. At most eject_percent of the pool is out at a time: at least one origin of a pool of
 * several may be, the only origin of a pool never. A returning origin is on probation: it gets a
 * trickle (slow start, balance.h), its first success clears it and its first failure ejects it
 * again.
 *
 * Lock-free, any thread. Outcomes of requests begun before the origin's return count for nothing,
 * so stragglers cannot eject it twice. The figures are members of struct origin_state.
 */
#ifndef OUTLIER_H
#define OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

#include "origin_settings.h"

struct origin_state;

/* The origin answered, and not with what counts as a failure. began_us: when the attempt began. */
void outlier_success(struct origin_state *s, int64_t began_us);

/*
 * An attempt at states[i] failed: connection refused (refused true), timed out, reset, malformed,
 * or, if settings->fail_on_5xx, answered 500, 502, 503 or 504. states: the pool, as many as
 * settings has origins. True if this failure ejected the origin: worth a log line.
 */
bool outlier_failure(const struct upstream_settings *settings, struct origin_state *const *states,
                     int i, int64_t began_us, int64_t now_us, bool refused);

#endif
