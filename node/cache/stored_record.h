/*
 * stored_record.h - a stored response as fields of a record (weir/record.h), for a store that other
 * nodes read, and back.
 *
 *     stored response, fill --> struct stored_record --stored_record_write()--> fields
 *     fields --stored_record_read()--> struct stored_record --> draft, head of a fill
 *
 * Everything that must survive is here, but the content: that lies beside the fields. The whole
 * cache key is among them: the reader compares it. Hashes that purges go by are those of the farm:
 * all its nodes key them with the same secret.
 *
 * Instants are seconds of the wall clock of the node that stored it. The nodes of a farm are
 * expected to agree within a few seconds; what they differ by makes a lifetime longer or shorter by
 * as much, as between any two caches (RFC 9111 4.2.3). What claims to come from further in the
 * future than STORED_RECORD_AHEAD_S is not used.
 *
 * Pure. Reading takes any bytes: what is not sound is refused as a whole.
 */
#ifndef STORED_RECORD_H
#define STORED_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/hash.h"
#include "weir/record.h"
#include "weir/span.h"

#include "http_coding.h"
#include "stored.h"
#include "vary.h"

#define STORED_RECORD_AHEAD_S 60

struct stored_record {
    enum stored_kind kind;
    struct weir_span key, variant;
    struct weir_span tags;      /* as stored_response.tags */
    uint64_t logged, url, host; /* as in purge_subject */
    uint64_t stamp;             /* here: of a record that was read, for purge_admit() to set */
    const uint64_t *hashes;     /* of tags and groups */
    uint32_t hash_count;

    /* a response */
    int status;
    struct weir_span head; /* as sent; what is hidden lies behind it */
    uint32_t hidden_len;
    const struct http_field *fields; /* into head */
    uint32_t field_count, hidden_count;
    struct weir_span etag, last_modified; /* into head, or ptr NULL */
    uint32_t head_common;
    enum coding coding;      /* of the content as it is stored */
    enum coding sent_coding; /* what the head speaks of */
    uint64_t sent_len;
    bool sent_len_open; /* it still grows: sent_len says nothing yet */
    bool recodable, as_sent_only;
    struct stored_facts facts;

    /* a marker */
    int64_t until_s; /* wall clock */
    const char *why; /* static; NULL */
};

/* Borrows from r. now_*: what a marker's time left is told by. */
void stored_record_of(struct stored_record *out, const struct stored_response *r, int64_t now_s,
                      int64_t now_ms);
/* Appends the fields. *out remembers whether that failed. */
void stored_record_write(struct record_fields *out, const struct stored_record *s);

/*
 * Borrows from `meta`; what cannot lies in the arena. false: damaged, or of a kind that is not
 * known here (a critical field), or no memory.
 */
bool stored_record_read(struct stored_record *out, struct weir_span meta, struct weir_arena *arena);

/*
 * The stored response (or marker) with this content (none for a marker), with one reference. hash:
 * of s->key, this node's own. purges: where it is watched; NULL: nowhere. NULL without memory.
 */
struct stored_response *stored_record_restore(const struct stored_record *s,
                                              struct weir_hash128 hash, struct purge_table *purges,
                                              const struct weir_slice *slices, size_t count,
                                              int64_t now_s, int64_t now_ms, struct weir_err *err);

/* What of it purges go by; borrows from s. `path` is found in the key. */
void stored_record_subject(const struct stored_record *s, struct purge_subject *out);

/* ---- stubs: how the variants of a key are told apart ---- */

void stored_record_write_vary(struct record_fields *out, const struct vary_spec *spec);
/* false: damaged, or not known. */
bool stored_record_read_vary(struct vary_spec *spec, struct weir_span meta);

#endif
