/*
 * embedded_items.h - the keys of the embedded engine: found by hash, dropped when their time is up,
 * bounded in bytes.
 *
 * One *place* for each area, cut into shards with a mutex each. A key's shard is chosen by what
 * stands in its braces, so that what must lie together is under one lock. What may be done to a
 * shard is done in a visit, which is repeated when it lacked room and room could be made:
 *
 *     embedded_visit(&v, place, key, now_ms);
 *     do {
 *         embedded_lock(&v);
 *         result = put_locked(&v, ...);          all or nothing
 *     } while (embedded_unlock_again(&v));
 *
 * No two shards are ever locked at once.
 */
#ifndef EMBEDDED_ITEMS_H
#define EMBEDDED_ITEMS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir/hash.h"
#include "weir/span.h"

#define EMBEDDED_SHARDS 16
#define EMBEDDED_NEVER  INT64_MAX       /* expires_ms of what stays until it is removed, for good */
#define EMBEDDED_LONG   (INT64_MAX - 1) /* the same, but it may be given an end later */

enum embedded_kind {
    EMBEDDED_VALUE,
    EMBEDDED_FENCE,
    EMBEDDED_LEASE,
    EMBEDDED_LOG,
    EMBEDDED_BOARD,
    EMBEDDED_RATE,
};

/* The beginning of whatever a key stands for. */
struct embedded_item {
    struct embedded_item *chain;         /* of its bucket */
    struct embedded_item *newer, *older; /* by last use, in its shard */
    enum embedded_kind kind;
    uint64_t hash;
    uint64_t used;      /* when it was used last, counted in uses of the place */
    int64_t expires_ms; /* monotonic */
    size_t heap_at;     /* in the shard's heap; SIZE_MAX: not there, it never expires */
    size_t cost;        /* bytes, book-keeping included */
    void (*drop)(struct embedded_item *it); /* frees it and all it holds */
    struct weir_span key;                   /* the last bytes of its allocation */
};

struct embedded_shard {
    pthread_mutex_t lock;
    struct embedded_item **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    struct embedded_item **heap; /* the one that expires first on top */
    size_t heap_count, heap_cap;
    struct embedded_item *newest, *oldest; /* by last use */
};

struct embedded_place {
    struct weir_hash_secret secret;
    size_t bytes_max;
    bool evicts; /* makes room by dropping what was not used for long */
    atomic_size_t bytes;
    atomic_uint_fast64_t uses;
    struct embedded_shard shards[EMBEDDED_SHARDS];
};

struct embedded_visit {
    struct embedded_place *place;
    struct embedded_shard *shard;
    int64_t now_ms;
    size_t lacking; /* bytes that were not to be had */
};

bool embedded_place_init(struct embedded_place *place, size_t bytes_max, bool evicts,
                         struct weir_err *err);
void embedded_place_close(struct embedded_place *place);

void embedded_visit(struct embedded_visit *v, struct embedded_place *place, struct weir_span key,
                    int64_t now_ms);
void embedded_lock(struct embedded_visit *v);
/* Unlocks. True: what was done lacked room, and some has been made: try again. */
bool embedded_unlock_again(struct embedded_visit *v);

/* ---- while locked ---- */

/* Counts as a use. NULL: there is none, or its time is up. */
struct embedded_item *embedded_find(struct embedded_visit *v, struct weir_span key);
/*
 * `size` bytes, zero but for their beginning, and a copy of the key behind; `extra` bytes are what
 * it holds elsewhere. In no shard yet: drop() or embedded_insert(). NULL without memory. (Needs no
 * lock.)
 */
struct embedded_item *embedded_item_new(size_t size, struct weir_span key, enum embedded_kind kind,
                                        size_t extra, void (*drop)(struct embedded_item *it));
/*
 * Puts it in the place of whatever was under its key, which is dropped. False, and nothing has
 * changed: no memory, or no room. Else *it is the place's.
 */
bool embedded_insert(struct embedded_visit *v, struct embedded_item *it, int64_t expires_ms);
void embedded_remove(struct embedded_visit *v, struct embedded_item *it);
void embedded_set_expiry(struct embedded_visit *v, struct embedded_item *it, int64_t expires_ms);
/* What it holds elsewhere grows. False: no room, nothing has changed. */
bool embedded_grow(struct embedded_visit *v, struct embedded_item *it, size_t bytes);
void embedded_shrink(struct embedded_visit *v, struct embedded_item *it, size_t bytes);

#endif
