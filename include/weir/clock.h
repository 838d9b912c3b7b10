/*
 * clock.h - time, read once per loop turn and then passed as a value.
 */
#ifndef WEIR_CLOCK_H
#define WEIR_CLOCK_H

#include <stdint.h>

struct weir_clock {
    int64_t mono_us; /* CLOCK_MONOTONIC; for durations and deadlines */
    int64_t mono_ms;
    int64_t wall_ms; /* CLOCK_REALTIME since the epoch */
    int64_t wall_s;
    char http_date[32]; /* IMF-fixdate of wall_s, 29 bytes and a NUL (RFC 9110 5.6.7); kept current
                         */
};

/* Reads both clocks (vDSO, no system call) and renews http_date when the second changed. */
void weir_clock_update(struct weir_clock *c);

#endif
