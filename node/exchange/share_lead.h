/*
 * share_lead.h - the right to fetch one thing for all nodes of the farm, and the storing of what
 * comes of it.
 *
 *   new --take()--> TAKING --taken(OK)-------> held
 *                          --taken(REFUSED)--> may be taken again, or dropped
 *
 *   held --give_up()-------------------------------------------> RELEASING --> gone
 *        --marker()--------------------> put --done------------> RELEASING
 *        --store(): counted, coded-----> put --done------------> RELEASING
 *        --freshen(): looked at--------> put --done------------> RELEASING
 *        --stream(), append() ..., end(): put as it comes------> RELEASING
 *
 * While it is held the lease is renewed. A fetch that has given its lead the last word (give_up,
 * marker, store, end) has let go of it: it goes on by itself, beyond the fetch, and then is gone.
 * Nothing here ever fails a fetch: what cannot be stored is not stored, and those who wait are told
 * to ask for themselves.
 */
#ifndef SHARE_LEAD_H
#define SHARE_LEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/record.h"
#include "weir/shared_store.h"
#include "weir/span.h"
#include "share.h"

struct recoder_settings;
struct shared_cache_settings;
struct share_lead;
struct stored_response;

struct share_lead_events {
    /* After share_lead_take(). REFUSED: another has it, for left_ms at most. */
    void (*taken)(struct share_lead *l, enum shared_result result, uint32_t left_ms, void *arg);
    /* After share_lead_append() said false: go on. */
    void (*room)(struct share_lead *l, void *arg);
};

/* What is stored, and where. */
struct share_item {
    struct store_name name;
    struct weir_span stub; /* fields, where the name has a variant; borrowed for the call */
    int64_t ttl_ms;
};

/* Settings are copied. NULL: no memory. */
struct share_lead *share_lead_new(struct share *s, const struct store_name *name,
                                  const struct shared_cache_settings *settings,
                                  const struct share_lead_events *events, void *arg);
/* Asks for the lease: taken() follows. */
void share_lead_take(struct share_lead *l);
/* How often it was given out lately, this time included; 0: it is not held. */
uint64_t share_lead_fence(const struct share_lead *l);

/* Unsafe methods that go through other nodes are to know that this URL (of a purge_subject) may be
 * in the store from now on, for so long (purge_mark.h). */
void share_lead_mark(struct share_lead *l, uint64_t url, int64_t ttl_ms);

/* ---- last words: l must not be used afterwards ---- */

/* Lets go, in any state; a lease that is held, or may be, is released with this hint. NULL does
 * nothing. */
void share_lead_give_up(struct share_lead *l, enum share_hint hint);
/* Stores a marker with this meta; takes its fields. */
void share_lead_marker(struct share_lead *l, const struct share_item *item,
                       struct record_fields *meta);
/*
 * Stores r (keeps a reference): as zstd, if the recoder makes that of it (levels NULL: it is not
 * asked).
 */
void share_lead_store(struct share_lead *l, const struct share_item *item,
                      struct stored_response *r, const struct recoder_settings *levels);
/* The same of r that a validation has renewed: where its content lies in the store already, that
 * stays. */
void share_lead_freshen(struct share_lead *l, const struct share_item *item,
                        struct stored_response *r);
/* All bytes were appended: takes the fields of its meta. */
void share_lead_end(struct share_lead *l, struct record_fields *meta);

/* ---- storing while it comes ---- */

/* Begins; meta (taken): what other nodes see while it grows. zstd_level: what comes is coded so on
 * its way; 0: it is not. false: it is not stored. */
bool share_lead_stream(struct share_lead *l, const struct share_item *item,
                       struct record_fields *meta, unsigned zstd_level);
/* Is it being stored as it comes, and not lost? */
bool share_lead_streams(const struct share_lead *l);
/* append() said false, and room() has not come yet. */
bool share_lead_paused(const struct share_lead *l);
/* Keeps a reference. false: more than enough is waiting; room() follows. */
bool share_lead_append(struct share_lead *l, struct weir_slice s);

/* The worker stops: gone at once, nobody is told. */
void share_lead_cancel(struct share_lead *l);

#endif
