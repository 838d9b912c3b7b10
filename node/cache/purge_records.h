/*
 * purge_records.h - the exact part of the purge table: which hash was purged when, and how.
 *
 * Bounded: the oldest leaves for the newest. Of one hash only what can still matter is kept: a hard
 * purge replaces all before it, soft ones of the same second are one, and there are eight at most
 * (the two oldest then become one that begins with the older). Not thread-safe: purge.c locks.
 */
#ifndef PURGE_RECORDS_H
#define PURGE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "purge.h"

#define PURGE_SOFT_MAX 8 /* of one hash */

struct purge_kept {
    uint64_t hash;
    uint64_t sequence;
    int64_t time_s;
    enum purge_mode mode;
};

struct purge_slot {
    uint64_t hash, sequence;
    int64_t time_s;
    uint32_t chain;        /* next of its bucket, or of the free slots; 0: none */
    uint32_t newer, older; /* by sequence */
    uint32_t mode;
};

struct purge_records {
    struct purge_slot *slot; /* slot[0] is unused, so that 0 means none */
    uint32_t *bucket;        /* first slot of each; bucket_count of them, a power of two */
    size_t bucket_count;
    size_t cap, count, max; /* slots */
    uint32_t free, newest, oldest;
};

/* max: records that may be kept, at least 1. false without memory. */
bool purge_records_init(struct purge_records *p, size_t max);
void purge_records_free(struct purge_records *p);

/* Numbers must come in order. True if the oldest record had to leave: *out. */
bool purge_records_add(struct purge_records *p, const struct purge_kept *r, struct purge_kept *out);

/* Goes through the records of a hash: *at is 0 at first. false: no more. */
bool purge_records_next(const struct purge_records *p, uint64_t hash, uint32_t *at,
                        struct purge_kept *out);

/* Memory behind *p. */
size_t purge_records_bytes(const struct purge_records *p);

#endif
