/*
 * share.h - one worker's side of what the nodes of a farm store together: the store, who waits here
 * for another node's fetch, and the fetches made here for all (share_lead.h).
 *
 * A node that waits is told by a *hint* on its channel. Hints may be lost; who waits looks again by
 * itself now and then.
 *
 * Source: redis.md 3.9.
 */
#ifndef SHARE_H
#define SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/shared.h"
#include "weir/shared_store.h"

struct exchange_worker;
struct share_lead;

#define SHARE_CHANNEL_MAX 64
#define SHARE_WAIT_SLOTS  256

/* What a hint says of the fetch that was waited for. */
enum share_hint {
    SHARE_LOOK = 'l',    /* there is something in the store now */
    SHARE_GROWING = 'g', /* it can be read while it grows */
    SHARE_ALONE = 'a',   /* it came to nothing for others: ask for yourself */
    SHARE_AGAIN = 'w',   /* you were counted; it goes on */
};

/* Embedded by who waits. `woken` may end any wait. */
struct share_wait {
    void (*woken)(struct share_wait *w, enum share_hint hint);
    struct store_name name;
    struct share_wait *next, **at; /* at NULL: does not wait */
    bool due;
};

struct share {
    struct exchange_worker *w;
    struct shared_port *port;
    struct store *store;
    struct store_names *names;
    char channel[SHARE_CHANNEL_MAX]; /* of this worker alone */
    size_t channel_len;
    struct shared_listener listener;
    bool listening;
    uint64_t owners; /* leases asked for so far: tells owners apart */
    struct share_wait *waits[SHARE_WAIT_SLOTS];
    struct share_lead *leads; /* all under way */
};

/* Sets w->share, where the worker has a store (which stays until share_close()). false: *err. */
bool share_open(struct exchange_worker *w, struct weir_err *err);
/* The worker stops, its fetches are cancelled: what is still being stored is given up. */
void share_cancel_all(struct exchange_worker *w);
/* Before store and port are freed. Harmless where w->share is NULL. */
void share_close(struct exchange_worker *w);

/* From now on w->woken(), from the loop, until share_wait_end(). */
void share_wait_begin(struct share *s, struct share_wait *w, const struct store_name *name);
void share_wait_end(struct share_wait *w); /* harmless when it does not wait */

#define SHARE_HINT_BYTES (2 * STORE_HASH_TEXT + 1)

/* A hint's bytes. */
void share_hint_write(char out[SHARE_HINT_BYTES], const struct store_name *name,
                      enum share_hint hint);
/* false: not a hint. */
bool share_hint_read(struct weir_span bytes, struct store_name *name, enum share_hint *hint);

#endif
