/*
 * purge_trail.h - the records that were read last from the log, so that a log that has lost some of
 * them can be given them again.
 *
 * When it may have, the log is read once more from where the trail begins, and entry by entry
 * compared with the trail, which is rebuilt on the way: what stands in one of them alone is lost,
 * or was missed. Not thread-safe.
 */
#ifndef PURGE_TRAIL_H
#define PURGE_TRAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "purge.h"

#define PURGE_TRAIL_MAX 10000 /* records; 560 KB */

/* A ring; `sequence` of a record is the id of its entry. */
struct purge_trail {
    struct purge_record *record;
    size_t first, count, cap, max;
};

void purge_trail_init(struct purge_trail *t, size_t max);
void purge_trail_free(struct purge_trail *t);
/* Ids do not fall. Without memory the trail gets shorter. */
void purge_trail_add(struct purge_trail *t, const struct purge_record *r, uint64_t id);
/* The oldest one, or NULL. */
const struct purge_record *purge_trail_first(const struct purge_trail *t);
/* Removes it. */
void purge_trail_drop(struct purge_trail *t);

#endif
