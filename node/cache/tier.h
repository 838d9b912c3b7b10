/*
 * tier.h - the memory tier: stored responses by cache key, shared by all threads, within a hard
 * limit.
 *
 * Eviction is S3-FIFO ("FIFO queues are all you need for cache eviction", SOSP 2023): new ones
 * enter a small queue of a tenth of the bytes; those used again before they reach its end move to
 * the main queue, the others leave a fingerprint (ghost) by which, should they come back soon, they
 * enter main at once. A hit moves nothing, it counts to three.
 *
 * Forms (stored.h) hang on responses in the tier and are charged with them. When room is needed,
 * the form that was not used for the longest time goes before any response does; one that was used
 * since it was looked at last is passed over once, so that a full tier does not make its busy forms
 * again and again.
 *
 * The limit covers every byte a response costs, its share of the index, and responses that were
 * evicted or replaced but are still referenced ("pinned", being sent). It is never exceeded; a put
 * that cannot make room by bounded work is refused.
 *
 * The limit covers every byte that grows with what is stored; the empty tables of the shards, some
 * 128 KiB, come on top.
 *
 * All functions may be called from any thread. No lock is held for longer than a bounded step; the
 * work of tier_put is bounded by the size of the response, that of tier_flush, tier_resize and
 * tier_free grows with what is stored.
 */
#ifndef TIER_H
#define TIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/hash.h"
#include "weir/span.h"

#include "http_coding.h"

struct purge_table;
struct stored_form;
struct stored_response;
struct tier;

struct tier_options {
    size_t memory_bytes;        /* hard limit; 0 keeps nothing */
    size_t object_max_bytes;    /* responses that cost more are refused; 0 = no such limit */
    unsigned variants;          /* per key, the oldest are dropped; 0 = 16 */
    unsigned shards;            /* a power of two up to 4096; 0 = 256 */
    struct purge_table *purges; /* borrowed: what it says is dead is dropped when it is found; NULL:
                                   nothing is */
};

struct tier *tier_new(const struct tier_options *o, struct weir_err *err);
/* No other thread may use the tier any more; references handed out stay valid. NULL is fine. */
void tier_free(struct tier *t);

/*
 * Does this stored response (or marker: the caller looks at its time too) serve the request in
 * `arg`? Runs under a lock: must be cheap and must not call into the tier.
 */
typedef bool tier_match(const struct stored_response *r, void *arg);

/*
 * The newest stored response or marker with this key for which match (NULL: any) says yes (RFC
 * 9111 4.1 prefers the most recent). What was purged for good is not found any more; what was
 * purged softly is (ask purge_check()), but a marker is not. Returns owned (a reference), or NULL.
 * *variants_seen (may be NULL): stored responses with this key, markers left out, that were looked
 * at; after NULL, 0 means uri-miss and more vary-miss.
 */
struct stored_response *tier_find(struct tier *t, struct weir_hash128 hash, struct weir_span key,
                                  tier_match *match, void *arg, unsigned *variants_seen);

/*
 * Keeps a reference to r until it is replaced, removed or evicted. Replaces what has the same key,
 * vary and variant (and inherits its standing in the queues). A put of what is already in does
 * nothing. false: too large, or no room; the caller still owns its reference and may serve from it.
 */
bool tier_put(struct tier *t, struct stored_response *r);

/* One of those stored under a key, as tier_list() found it. */
struct tier_seen {
    struct stored_response *response; /* a reference, the caller's */
    bool main;                        /* in the main queue rather than the small one */
    unsigned uses;                    /* counted by the queues: at most 3 */
};

/* The stored responses and markers under a key, newest first, at most `max`: for who wants to see
 * them. Counts as no use, hit or miss. Returns how many. */
size_t tier_list(struct tier *t, struct weir_hash128 hash, struct weir_span key,
                 struct tier_seen *out, size_t max);

/* Drops one stored response if it, or another head over the same content, is in the tier. */
bool tier_drop(struct tier *t, struct stored_response *r);
/* Drops everything stored under the key, markers too; returns how many. */
size_t tier_remove(struct tier *t, struct weir_hash128 hash, struct weir_span key);
/* Drops everything and forgets the ghosts; returns how many responses. */
size_t tier_flush(struct tier *t);
/* New limits (reload). Evicts until what is stored fits; pinned bytes may take longer to go. */
void tier_resize(struct tier *t, size_t memory_bytes, size_t object_max_bytes);

/* ---- forms ---- */

/*
 * Calls look(r, arg) under the lock that guards the forms of r's content: there, and in a
 * tier_match, stored_form_take() may be called. Must be cheap and must not call into the tier.
 */
void tier_look(struct tier *t, const struct stored_response *r,
               void (*look)(const struct stored_response *r, void *arg), void *arg);
/*
 * Keeps f (a reference) as a form of r's content until it is dropped for room, or the last head
 * over the content leaves the tier: r, or what a validation made of it. false: no head is in any
 * more, there is a form in this coding already, or no room. f may be sent in any case.
 */
bool tier_put_form(struct tier *t, const struct stored_response *r, struct stored_form *f);
/* Remembers with r's content that this coding gains nothing or cannot be made. */
void tier_put_useless(struct tier *t, const struct stored_response *r, enum coding c);
/* The head over r's content that is in the tier now, as a reference, or NULL. r must have forms. */
struct stored_response *tier_holder(struct tier *t, const struct stored_response *r);
/* As tier_put(r), but only in place of `old`, if that is still in. */
bool tier_replace(struct tier *t, struct stored_response *old, struct stored_response *r);
/* References to the forms of r's content, for who wants to see them. Counts as no use. */
size_t tier_forms(struct tier *t, const struct stored_response *r,
                  struct stored_form *out[CODINGS]);

struct tier_stats {
    size_t limit_bytes;
    size_t bytes;                   /* charged: stored and pinned */
    size_t stored_bytes;            /* reachable by look-up */
    size_t small_bytes, main_bytes; /* the parts of stored_bytes */
    uint64_t responses;             /* reachable by look-up, markers included */
    uint64_t markers;               /* of these */
    uint64_t hits, misses;          /* of tier_find */
    uint64_t puts, refused;
    size_t form_bytes;   /* charged for forms, beside stored_bytes */
    uint64_t forms;      /* now */
    uint64_t form_drops; /* dropped for room */
    uint64_t evictions;  /* for room; not those replaced, removed or flushed */
    uint64_t ghost_hits; /* puts that went to the main queue at once */
    uint64_t purged;     /* dropped by tier_find, for a purge covered them */
};

/* A sum over the shards, each consistent in itself. */
void tier_stats(struct tier *t, struct tier_stats *out);

#endif
