/*
 * store_own.h - the inside of the store of objects: for shared_store.c, store_read.c, store_put.c
 * and store_freshen.c alone.
 */
#ifndef STORE_OWN_H
#define STORE_OWN_H

#include <event2/event_struct.h>

#include "store_record.h"
#include "weir/shared_store.h"

#define STORE_TASKS_MAX 128   /* what is cleaned up at one time; beyond it, things expire instead */
#define STORE_BULK      16384 /* a value from here on goes the way of the large ones */

struct store_task;

struct store {
    struct shared_port *port;
    struct shared_loop loop;
    struct store_settings set;
    struct store_task *tasks; /* removals under way */
    unsigned task_count;
};

/* ---- cleaning up: nobody waits for it, nobody is told ---- */

/* The record under a key, if it still holds `bytes` (at most 16) at `offset`. */
void store_clean_record(struct store *s, struct weir_span key, size_t offset,
                        struct weir_span bytes);
/* The record of a generation under a key. */
void store_clean_generation(struct store *s, struct weir_span key, uint64_t generation);
/* `count` chunks of a body that no meta leads to. */
void store_clean_chunks(struct store *s, const struct store_name *name, uint64_t generation,
                        uint64_t count);

/* First in each callback of the loop that is the store's own. */
void store_enter(const struct store *s);
static inline int64_t store_now_ms(const struct store *s)
{
    return s->loop.clock->mono_ms;
}

/* What a read has found, for who freshens it. */
struct store_whole {
    const struct store_name *name;
    uint64_t generation, body_bytes, chunk_bytes;
    bool chunked;
    struct weir_slice body; /* not chunked: borrowed */
};

/* The object that r has found must be whole (asserted). */
void store_read_whole(const struct store_read *r, struct store_whole *out);

#endif
