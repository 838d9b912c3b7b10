/*
 * limit_table.h - the cells of all keys that are in use, shared by the node's workers.
 *
 * Sharded by the key's hash, a mutex a shard. Bounded: beyond it a new key takes the place of the
 * one that was not used for longest; of the last few the first that is idle goes, if one is. What
 * is idle is given back a little with each new key. A cell that somebody waits at stays.
 */
#ifndef LIMIT_TABLE_H
#define LIMIT_TABLE_H

#include <stddef.h>

#include "weir/err.h"
#include "weir/hash.h"
#include "limit_cell.h"

struct limit_shard;
struct limit_table;

#define LIMIT_CELLS_MAX 131072 /* about 19 MB */

/* cells_max: 64 at least. NULL: *err (MEMORY). */
struct limit_table *limit_table_new(size_t cells_max, struct weir_err *err);
void limit_table_free(struct limit_table *t); /* nobody may wait; NULL does nothing */

/* The key's shard, locked: cells are looked at and changed between the two. */
struct limit_shard *limit_table_enter(struct limit_table *t, const struct weir_hash128 *key);
void limit_shard_leave(struct limit_shard *s);

/* Found, or made; used now. NULL without memory. Valid until the shard is left, and as long as it
 * is asking. */
struct limit_cell *limit_shard_cell(struct limit_shard *s, const struct weir_hash128 *key,
                                    int64_t now_us);
/* Found, or NULL. */
struct limit_cell *limit_shard_find(struct limit_shard *s, const struct weir_hash128 *key);

struct limit_table_stats {
    size_t used, max;
    uint64_t evicted; /* that were not idle: their keys began anew */
};

void limit_table_stats(struct limit_table *t, struct limit_table_stats *out); /* any thread */

#endif
