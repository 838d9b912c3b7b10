/*
 * record.h - how values are written into shared state: versioned, checksummed fields and a body.
 *
 *     "WRC1"  u16 version  u16 flags  u32 header length | fields | body | u64 checksum
 *
 * A field is u16 type, u32 length, bytes; integers are little-endian. The header length is that of
 * all fields. What is left up to the checksum (XXH3 over everything before it) is the body. A
 * reader skips fields it does not know, except those whose type has the critical bit: a record with
 * one of them must be treated as absent. A reader understands its own version and the one before;
 * a writer is told which one to write, so that nodes of two versions can share a cache.
 *
 * Pure; reading allocates nothing and points into the bytes that are read. Any bytes may be read.
 *
 * Source: redis.md 3.6.
 */
#ifndef WEIR_RECORD_H
#define WEIR_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/span.h"

#define RECORD_VERSION     1 /* the newest that this program reads and writes */
#define RECORD_VERSION_MIN 1 /* the oldest that was ever written */

#define RECORD_HEAD_BYTES  12
#define RECORD_FIELD_BYTES 6 /* before the bytes of each field */
#define RECORD_TAIL_BYTES  8

/* In a field's type: who does not know it must not use the record. */
#define RECORD_CRITICAL 0x8000

/*
 * Types are given out here, so that no two writers use one for different things:
 *   0x0001 - 0x00ff  the store of objects (shared_store.c)
 *   0x0100 - 0x01ff  stored responses (node/cache)
 *   0x0200 - 0x02ff  briefs of members (member_brief.c)
 *   0x0300 - 0x03ff  operators' words (word_codec.c)
 *   0x0500 - 0x05ff  certificates by ACME (acme_record.c)
 */

/* ---- reading ---- */

enum record_verdict {
    RECORD_OK,
    RECORD_FOREIGN, /* not a record at all */
    RECORD_UNKNOWN, /* a sound beginning, of a version that is not read here */
    RECORD_DAMAGED, /* truncated, or a bit is wrong */
};

struct record { /* points into what was read */
    uint16_t version;
    uint16_t flags;          /* what they mean is the caller's */
    struct weir_span fields; /* well formed: for record_next() */
    struct weir_span body;
};

/* Judges all of it: the checksum, and where each field ends. */
enum record_verdict record_open(struct weir_span bytes, struct record *out);
/* Does a program whose newest version is `newest` read `version`? */
bool record_version_read(unsigned version, unsigned newest);

struct record_field {
    uint16_t type; /* without the critical bit */
    bool critical;
    struct weir_span bytes;
};

/*
 * The next field of *rest, which is moved behind it. false: there is none, or *rest is not well
 * formed (never so for the fields of a record that was opened).
 *
 *     struct weir_span rest = record.fields;
 *     while (record_next(&rest, &f))
 *         switch (f.type) {
 *         ...
 *         default: if (f.critical) return false;
 *         }
 */
bool record_next(struct weir_span *rest, struct record_field *f);
/* A number as record_add_u64() writes it. false: the field is of another size. */
bool record_u64(const struct record_field *f, uint64_t *out);

/* ---- writing ---- */

/* Fields in the making. Start with all zero bytes. A failed allocation is remembered. */
struct record_fields {
    char *ptr;
    size_t len, cap;
    bool failed; /* no memory, or more than 4 GiB: the fields must not be used */
};

/* type may carry RECORD_CRITICAL. The bytes are copied. */
void record_add(struct record_fields *fs, unsigned type, struct weir_span bytes);
void record_add_u64(struct record_fields *fs, unsigned type, uint64_t value);
/* A field of len bytes for the caller to fill at once; NULL: failed. */
char *record_add_space(struct record_fields *fs, unsigned type, size_t len);
static inline struct weir_span record_fields_span(const struct record_fields *fs)
{
    return weir_span(fs->ptr, fs->len);
}
void record_fields_free(struct record_fields *fs);

/*
 * A record around a body that stays where it is: the caller sends head, body slices, tail. Both
 * blobs are returned owned, in slices. The fields are those of `first` and then of `second`, which
 * may be empty. false: no memory (or too large), nothing is returned.
 */
bool record_seal(unsigned version, unsigned flags, struct weir_span first, struct weir_span second,
                 const struct weir_slice *body, size_t body_count, struct weir_slice *head,
                 struct weir_slice *tail);

#endif
