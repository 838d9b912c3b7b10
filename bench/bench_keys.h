/*
 * bench_keys.h - what the two clients that ask Redis for known keys have in common.
 */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define KEYS_MAX 1000000

/* Of CLOCK_MONOTONIC or CLOCK_PROCESS_CPUTIME_ID. */
double seconds(clockid_t clock);
/* One key a line from standard input, at most KEYS_MAX; returns how many. */
size_t read_keys(char **keys);
/* The next number of a xorshift; *state is never 0. */
uint64_t draw(uint64_t *state);

#endif
