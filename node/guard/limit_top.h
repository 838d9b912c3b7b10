/*
 * limit_top.h - which keys are refused most: a few dozen counters that find the frequent ones among
 * any number (space-saving).
 *
 * A key that is not among them takes the place of the least, with its count, so a count is too high
 * by what it inherited at most. Counts are halved every minute: what is seen is lately. Shared by
 * all workers; while one counts, others' refusals are not, so nobody waits.
 *
 * Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in
 * Data Streams", 2005.
 */
#ifndef LIMIT_TOP_H
#define LIMIT_TOP_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/hash.h"
#include "limit_key.h"

#define LIMIT_TOP 32

struct limit_top_entry {
    uint64_t refused;
    const char *limit; /* as long as the node lives */
    struct weir_hash128 key;
    char text[LIMIT_KEY_TEXT_MAX];
};

struct limit_top {
    pthread_mutex_t lock;
    int64_t halved_ms;
    unsigned count;
    struct limit_top_entry entry[LIMIT_TOP];
};

void limit_top_init(struct limit_top *t);
void limit_top_end(struct limit_top *t);
void limit_top_count(struct limit_top *t, int64_t now_ms, const char *limit,
                     const struct weir_hash128 *key, const struct limit_key_rule *rule,
                     const struct limit_subject *s);
/* Copies those refused most, most first; returns how many. */
size_t limit_top_read(struct limit_top *t, int64_t now_ms, struct limit_top_entry out[LIMIT_TOP]);

#endif
