/*
 * stored.h - one stored response (RFC 9111 2): immutable, counted, shared by all threads.
 *
 * A stored response is a head (start line and header section, serialized once), a body (counted,
 * possibly shared with other heads: a 304 makes a new head over the same body) and the facts that
 * decide whether it may be used. A *marker* has neither head nor body: it remembers for a while
 * that responses for its key cannot be stored, so that nobody waits for another's fetch.
 *
 * The body is kept in one coding, its `slices`; what clients need in another one is made when the
 * first asks, and kept beside it as a *form*. Forms belong to the content, not to the head: they
 * outlive a 304.
 *
 * Every span of a stored response lives exactly as long as the stored response.
 */
#ifndef STORED_H
#define STORED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/err.h"
#include "weir/hash.h"
#include "weir/span.h"

#include "freshness.h"
#include "http_coding.h"
#include "purge.h"
#include "reuse.h"

struct http_field;
struct http_head;
struct stored_body;
struct stored_response;

/* ---- account: what a group of stored responses may cost together ---- */

/*
 * A counted object of its own, since a stored response stays charged until it is really gone, which
 * may be later than its tier. `bytes` never exceeds the limit that held when it last grew.
 */
struct stored_account {
    atomic_uint refs;
    atomic_size_t bytes; /* charged now */
    atomic_size_t limit_bytes;
};

struct stored_account *stored_account_new(size_t limit_bytes, struct weir_err *err);
struct stored_account *stored_account_ref(struct stored_account *a);
void stored_account_unref(struct stored_account *a); /* NULL does nothing */

/* A stored response's share of the index of its tier, charged with it: at most two pointers of its
 * hash bucket and two slots of the ghost table (tables grow by doubling). */
#define STORED_INDEX_BYTES 32

/* Part of what can be charged. The account is NULL until charged, then stays until destruction. */
struct stored_charge {
    _Atomic(struct stored_account *) account;
    size_t bytes; /* allocator rounding included */
};

/* ---- forms ---- */

/* The content of a stored response in one more coding: immutable, counted. */
struct stored_form {
    atomic_uint refs;
    enum coding coding;
    uint32_t slice_count;
    const struct weir_slice *slices;
    uint64_t len;
    size_t cost_bytes;           /* struct and body; exact */
    struct stored_body *body;    /* private */
    struct stored_charge charge; /* private; all of cost_bytes but the body */
    /* tier.c's, under the lock of the shard */
    struct stored_form *newer, *older;
    struct stored_forms *in; /* NULL: in no tier */
    bool used;               /* since the hand that drops forms came by */
};

/*
 * All forms of one content, shared by the heads over it. Changes under the lock of the tier's shard
 * of their key, whoever changes it: in a tier_match, or through tier.h.
 */
struct stored_forms {
    atomic_uint refs;
    struct stored_response *holder;    /* the head that is in the tier; NULL: none */
    struct stored_form *form[CODINGS]; /* owned */
    uint8_t useless;       /* bits: codings that were tried and gain nothing, or failed */
    void *making[CODINGS]; /* recoder.c's, under its own lock */
};

/*
 * Takes the slices as one coding of a content. Copies what would waste memory, as
 * stored_response_new() does. NULL without memory (MEMORY); the slices are borrowed.
 */
struct stored_form *stored_form_new(enum coding c, const struct weir_slice *slices, size_t count,
                                    struct weir_err *err);
struct stored_form *stored_form_ref(struct stored_form *f);
void stored_form_unref(struct stored_form *f); /* NULL does nothing */
/* The form of r's content in this coding, as a reference; NULL: there is none. Only under the lock
 * of the tier (tier_match, tier_look()). Counts as a use. */
struct stored_form *stored_form_take(const struct stored_response *r, enum coding c);
/* As stored_response_charge() and stored_response_uncharged(). */
bool stored_form_charge(struct stored_form *f, struct stored_account *a);
size_t stored_form_uncharged(const struct stored_form *f);

/* ---- stored response ---- */

enum stored_kind { STORED_RESPONSE, STORED_MARKER };

/* What decides whether it may be used; made by the policy when it is stored or freshened. */
struct stored_facts {
    struct freshness_facts freshness;
    struct reuse_facts reuse;
};

/* Written by tier.c alone, under the lock of a shard. */
struct stored_links {
    struct stored_response *chain;         /* next in the index bucket, older ones later */
    struct stored_response *newer, *older; /* neighbours in the queue */
    uint8_t queue;                         /* 0: in no queue */
    uint8_t freq;                          /* uses since it entered the queue, at most 3 */
};

struct stored_response {
    atomic_uint refs;
    enum stored_kind kind;
    struct stored_links links; /* beside refs: what a hit touches is one cache line */
    struct weir_hash128 hash;
    struct weir_span key;     /* whole cache key, compared on look-up */
    struct weir_span vary;    /* names of the Vary fields as the caller spells them; may be empty */
    struct weir_span variant; /* values of those fields as the caller spells them; may be empty */
    struct weir_span tags; /* the tags it was given, a space between two (tags.h); may be empty */
    struct purge_subject purge; /* what purges name it by */

    int status; /* status code; 0 for a marker */
    /* Status line and field lines, each with CRLF, no empty line; NULL for a marker. */
    struct weir_blob *head;
    const struct http_field *fields; /* in the order of the head; name and value point into it */
    uint32_t field_count;
    uint32_t hidden_count; /* rows behind those, for this cache alone: never sent */
    uint32_t slice_count;
    const struct weir_slice *slices; /* body, in order */
    uint64_t body_len;               /* sum of the slices */
    enum coding coding;              /* of the slices */
    enum coding sent_coding;         /* as the origin sent it: what the head speaks of */
    uint64_t sent_len;               /* of the content as the origin sent it */
    struct stored_forms *forms;      /* NULL: it goes out in the coding it has, and no other */
    bool as_sent_only;               /* a 304 forbade other codings since: no-transform */
    uint32_t head_common;            /* bytes of head before ETag and Content-Encoding, which come
                                        last; 0: not known */
    struct weir_span etag;           /* value of ETag, inside head; ptr NULL if none */
    struct weir_span last_modified;  /* value of Last-Modified, inside head; ptr NULL if none */
    bool ranges_unsaid;              /* head has no Accept-Ranges */
    struct stored_facts facts;
    atomic_llong due_from_ms; /* monotonic; stored_due() is false before that */
    atomic_uint marker_tries; /* answers for a marked key that were looked at */
    int64_t marker_until_ms;  /* monotonic; the marker says nothing from then on */
    const char *why;          /* of a marker: static, why the response was not stored; NULL */

    struct purge_table *purges;  /* private: where it is watched, from making to destruction */
    struct stored_body *body;    /* private */
    size_t cost_bytes;           /* struct, key, fields, head, body, index share; exact */
    struct stored_charge charge; /* private; all of cost_bytes but the body */
};

/* What a fill knows when it is done. All borrowed for the call. */
struct stored_draft {
    struct weir_hash128 hash;
    struct weir_span key, vary, variant, tags;
    /* Where and as what it can be purged; its path is found in the key. NULL: it cannot be. Whoever
     * makes one stored response of another hands on the stamp too. */
    struct purge_table *purges;
    const struct purge_subject *purge;
    int status;
    struct weir_span head;           /* as stored_response.head; at most 4 GiB - 1 */
    const struct http_field *fields; /* names and values must lie inside `head` */
    size_t field_count;
    /* Behind `head` so many bytes, and behind `fields` so many rows: kept, but not sent. */
    size_t hidden_len, hidden_count;
    const struct weir_slice *slices; /* body; empty slices are allowed */
    size_t slice_count;
    struct weir_span etag, last_modified; /* inside `head`, or ptr NULL */
    uint32_t head_common;                 /* as in stored_response */
    enum coding coding;                   /* of the slices, and what the head says */
    bool recodable;                       /* may be sent in other codings: it gets forms */
    struct stored_facts facts;
    const char *why; /* of a marker: static, in a word; NULL */
};

/*
 * Copies key, variant, head and fields. The body's blobs are shared by reference, or copied where
 * they would hold more memory than they carry: up to 64 KiB into one blob of the right size, larger
 * ones into blobs of 64 KiB when less than 75 % of their memory is body. Returns owned with one
 * reference; NULL without memory (MEMORY).
 */
struct stored_response *stored_response_new(const struct stored_draft *d, struct weir_err *err);

/* Where the content is kept in another coding than the head speaks of: what was sent, and whether
 * it may go out in other codings now (as_sent_only). */
struct stored_sent {
    enum coding coding;
    uint64_t len;
    bool only;
};

/* As stored_response_new(), of what another node has stored: d->coding is that of the slices. */
struct stored_response *stored_response_restored(const struct stored_draft *d,
                                                 const struct stored_sent *sent,
                                                 struct weir_err *err);

/*
 * A response freshened by a 304 (RFC 9111 4.3.4): hash, key, status and body are those of `old`
 * (the body by reference), everything else is taken from the draft. `old` is borrowed.
 */
struct stored_response *stored_response_freshened(const struct stored_response *old,
                                                  const struct stored_draft *d,
                                                  struct weir_err *err);

/*
 * The same response over its content in another coding: head, facts, key and forms are those of
 * `old`, the body is the form's, by reference. old->forms must not be NULL.
 */
struct stored_response *stored_response_recoded(const struct stored_response *old,
                                                const struct stored_form *f, struct weir_err *err);

/* A marker for the draft's hash, key, vary and variant; the rest of the draft is ignored. */
struct stored_response *stored_marker_new(const struct stored_draft *d, int64_t until_ms,
                                          struct weir_err *err);

/* Bytes of the head behind what is sent. */
size_t stored_hidden_len(const struct stored_response *r);

/* True once in pause_ms, whoever asks: for what not every request shall cause. */
static inline bool stored_due(struct stored_response *r, int64_t now_ms, int64_t pause_ms)
{
    if (now_ms < atomic_load_explicit(&r->due_from_ms, memory_order_relaxed))
        return false;
    atomic_store_explicit(&r->due_from_ms, now_ms + pause_ms, memory_order_relaxed);
    return true;
}

struct stored_response *stored_response_ref(struct stored_response *r);
void stored_response_unref(struct stored_response *r); /* NULL does nothing */

/*
 * Charges r to the account, its body too unless another response over the same body already did;
 * once charged it does nothing. false when the limit would be exceeded (nothing is charged then).
 * What is charged comes off when r, and then its body, is destroyed. One account per response.
 */
bool stored_response_charge(struct stored_response *r, struct stored_account *a);
/* Bytes a charge of r would add now. */
size_t stored_response_uncharged(const struct stored_response *r);

#endif
