/*
 * fetch_shared.h - a fetch asks the farm before it asks the origin. Private to fetch_shared.c and
 * fetch_shared_body.c.
 *
 *   begin --------------------------------------------------> LOOKING
 *
 *   LOOKING    found, of use --------------------------------> LOADING or STREAMING
 *              nothing, and the lease is ours already -------> origin, with a lead
 *              nothing --------------------------------------> LEASING
 *
 *   LEASING    ours, for the first time lately --------------> origin, with a lead
 *              ours, but somebody had it lately -------------> LOOKING, with the lease in hand
 *              another has it: what grows is looked for
 *                found --------------------------------------> STREAMING
 *                nothing ------------------------------------> WAITING
 *
 *   WAITING    hint: it is there, or grows; timer -----------> LOOKING
 *              hint: you were counted -----------------------> LEASING
 *              hint: ask for yourself; time is over ---------> origin, without a lead
 *
 *   LOADING, STREAMING: the fill is fed, or what was found is kept for a validation.
 *
 * No answer, in any state: the origin is asked as if there were no farm.
 */
#ifndef FETCH_SHARED_H
#define FETCH_SHARED_H

#include "fetch_parts.h"
#include "share.h"
#include "share_coding.h"
#include "share_lead.h"
#include "stored_record.h"

/* What becomes of a stored response that was found. */
enum shared_use {
    SHARED_ANSWERS,   /* fresh */
    SHARED_STALE_NOW, /* stale, may be served while it is refreshed */
    SHARED_VALIDATES, /* stale, for a condition, or if the origin fails */
};

#define SHARED_FEW 4 /* pieces of content that need no memory of their own */

struct fetch_shared {
    struct fetch *f;
    struct share *share;
    const struct shared_cache_settings *settings;
    struct share_lead *lead; /* asked for, or held and not yet given to the fetch */
    struct share_wait wait;
    struct net_timer timer;
    struct store_name base, name; /* name: of the variant, once it is known */
    enum store_which which;
    struct store_read *read;
    struct share_decoder *decoder; /* of what streams, where it is coded; else NULL */
    struct stored_record record;   /* points into what `read` has found, and the fetch's arena */
    uint64_t body_bytes;
    enum shared_use use;
    bool behind;    /* nobody waits: a refresh */
    bool forced;    /* the client wants the origin asked */
    bool varies;    /* the fetch's `vary` says how */
    bool leased;    /* looking once more, with the lease in hand */
    bool waiting;   /* in the table of those who wait */
    bool woken;     /* by whom it waited for: what comes is as new as the request */
    bool hinted;    /* `hint` came while it was not waiting */
    bool streaming; /* the fill is open, and fed from `read` */
    enum share_hint hint;
    int64_t wait_until_ms;
    uint32_t poll_ms;

    struct weir_slice *slices; /* LOADING; references; `few` as long as they fit there */
    size_t slice_count, slice_cap;
    struct weir_slice few[SHARED_FEW];
};

/* ---- fetch_shared.c ---- */

/* Nothing of use was found, or what was found cannot be had. */
void shared_nothing(struct fetch_shared *s);
/* The stored response that was found can be used no more than for asking the origin about it. */
void shared_lease(struct fetch_shared *s);
/* Lets go of the lease, with a hint, if it is held. */
void shared_release(struct fetch_shared *s, enum share_hint hint);

/* ---- fetch_shared_body.c ---- */

/* s->record has been found, and s->use decided: brings its content. */
void shared_bring(struct fetch_shared *s);
/* More has come. */
void shared_pump(struct fetch_shared *s);
void shared_drop_slices(struct fetch_shared *s);

#endif
