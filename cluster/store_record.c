#include "store_record.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

/* Fields of the store; all of them matter to a reader. */
enum {
    FIELD_GENERATION = 0x0001 | RECORD_CRITICAL,
    FIELD_CHECK = 0x0002 | RECORD_CRITICAL,
    FIELD_BODY_BYTES = 0x0003 | RECORD_CRITICAL,
    FIELD_CHUNK_BYTES = 0x0004 | RECORD_CRITICAL,
    FIELD_OURS_END = 0x0100, /* the meta's types begin here */
};

/* Flags of a record: the kind, and */
enum { FLAG_KIND = 0x0003, FLAG_GROWING = 0x0004, FLAG_CHUNKED = 0x0008 };

#define OWN_FIELDS_BYTES (4 * (RECORD_FIELD_BYTES + 8))

/* ---- metas ---- */

size_t store_record_bytes(size_t meta_bytes, size_t body_bytes)
{
    return RECORD_HEAD_BYTES + OWN_FIELDS_BYTES + meta_bytes + body_bytes + RECORD_TAIL_BYTES;
}

bool store_record_seal(unsigned version, const struct store_facts *facts, struct weir_span meta,
                       const struct weir_slice *body, size_t body_count, struct weir_slice *head,
                       struct weir_slice *tail)
{
    unsigned flags = (unsigned)facts->kind | (facts->growing ? FLAG_GROWING : 0u) |
                     (facts->chunked ? FLAG_CHUNKED : 0u);
    struct record_fields own = {0};
    bool ok;

    record_add_u64(&own, FIELD_GENERATION, facts->generation); /* first: STORE_GENERATION_AT */
    record_add_u64(&own, FIELD_CHECK, facts->check);
    if (facts->chunked) {
        record_add_u64(&own, FIELD_BODY_BYTES, facts->body_bytes);
        record_add_u64(&own, FIELD_CHUNK_BYTES, facts->chunk_bytes);
    }
    ok = !own.failed &&
         record_seal(version, flags, record_fields_span(&own), meta, body, body_count, head, tail);
    record_fields_free(&own);
    return ok;
}

/* false: a field of ours that is not known here, or is of the wrong size. */
static bool take_field(struct store_facts *facts, const struct record_field *f)
{
    switch (f->type | RECORD_CRITICAL) {
    case FIELD_GENERATION:
        return record_u64(f, &facts->generation);
    case FIELD_CHECK:
        return record_u64(f, &facts->check);
    case FIELD_BODY_BYTES:
        return record_u64(f, &facts->body_bytes);
    case FIELD_CHUNK_BYTES:
        return record_u64(f, &facts->chunk_bytes);
    default:
        return !f->critical;
    }
}

static bool chunks_sensible(const struct store_facts *facts)
{
    return facts->chunk_bytes > 0 && facts->chunk_bytes <= SHARED_VALUE_MAX - STORE_CHUNK_HEAD &&
           store_chunk_count(facts->body_bytes, facts->chunk_bytes) <= STORE_CHUNKS_MAX;
}

enum record_verdict store_record_open(struct weir_span bytes, struct store_facts *facts,
                                      struct weir_span *meta, struct weir_span *body)
{
    struct record_field f;
    struct weir_span rest;
    struct record r;
    enum record_verdict v = record_open(bytes, &r);

    if (v != RECORD_OK)
        return v;
    *facts = (struct store_facts){.kind = (enum store_kind)(r.flags & FLAG_KIND),
                                  .growing = (r.flags & FLAG_GROWING) != 0,
                                  .chunked = (r.flags & FLAG_CHUNKED) != 0};
    /* A newer program may say more; what is sound but not understood is left to those who do. */
    if ((r.flags & ~(FLAG_KIND | FLAG_GROWING | FLAG_CHUNKED)) != 0 || facts->kind == STORE_NOTHING)
        return RECORD_UNKNOWN;
    *meta = rest = r.fields;
    while (record_next(&rest, &f) && f.type < FIELD_OURS_END) {
        if (!take_field(facts, &f))
            return RECORD_UNKNOWN;
        *meta = rest;
    }
    if (facts->chunked && !chunks_sensible(facts))
        return RECORD_UNKNOWN;
    *body = r.body;
    return RECORD_OK;
}

/* ---- chunks ---- */

static const char chunk_magic[4] = {'W', 'R', 'K', '1'};

#define CHUNK_LAST 0x0001u
#define SUM_AT     (STORE_CHUNK_HEAD - 8)

/* As it lies in memory, in little-endian numbers. */
struct chunk_head {
    char magic[4];
    uint32_t index;
    uint64_t generation;
    uint32_t bytes;
    uint32_t flags;
    uint64_t sum;
};

_Static_assert(sizeof(struct chunk_head) == STORE_CHUNK_HEAD, "no padding");
_Static_assert(offsetof(struct chunk_head, sum) == SUM_AT, "the checksum comes last");

struct weir_blob *store_chunk_head(const struct store_chunk *c, const struct weir_slice *body,
                                   size_t count)
{
    struct weir_blob *b = weir_blob_new(STORE_CHUNK_HEAD);
    struct chunk_head h = {.index = htole32(c->index),
                           .generation = htole64(c->generation),
                           .bytes = htole32(c->bytes),
                           .flags = htole32(c->last ? CHUNK_LAST : 0)};
    XXH3_state_t state;
    size_t i;

    if (b == NULL)
        return NULL;
    memcpy(h.magic, chunk_magic, sizeof(h.magic));
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, &h, SUM_AT);
    for (i = 0; i < count; i++)
        XXH3_64bits_update(&state, weir_slice_ptr(body[i]), body[i].len);
    h.sum = htole64(XXH3_64bits_digest(&state));
    memcpy(b->bytes, &h, sizeof(h));
    b->len = sizeof(h);
    return b;
}

bool store_chunk_open(struct weir_span value, struct store_chunk *c)
{
    XXH3_state_t state;
    struct chunk_head h;

    if (value.len < sizeof(h))
        return false;
    memcpy(&h, value.ptr, sizeof(h));
    if (memcmp(h.magic, chunk_magic, sizeof(h.magic)) != 0 ||
        le32toh(h.bytes) != value.len - sizeof(h))
        return false;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, &h, SUM_AT);
    XXH3_64bits_update(&state, value.ptr + sizeof(h), value.len - sizeof(h));
    if (XXH3_64bits_digest(&state) != le64toh(h.sum))
        return false;
    c->generation = le64toh(h.generation);
    c->index = le32toh(h.index);
    c->bytes = le32toh(h.bytes);
    c->last = (le32toh(h.flags) & CHUNK_LAST) != 0;
    return true;
}

struct weir_span store_chunk_key(const struct store_name *name, uint64_t generation, uint64_t index,
                                 char buf[STORE_KEY_MAX])
{
    int len = snprintf(buf, STORE_KEY_MAX, "w1:{%.*s.%" PRIx64 ".%" PRIu64 "}:c", STORE_HASH_TEXT,
                       name->base, generation, index);

    return weir_span(buf, (size_t)len);
}
