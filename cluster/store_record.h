/*
 * store_record.h - the values of the store of objects: metas (records, weir/record.h) and chunks.
 *
 * Pure: values in, values out. A chunk is a head of 32 bytes and a piece of the body:
 *
 *     "WRK1"  u32 index  u64 generation  u32 length  u32 flags  u64 checksum | bytes
 *
 * all little-endian; the checksum is XXH3 over the head before it and the bytes.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "weir/record.h"
#include "weir/shared_store.h"

/* The generation is the first field of every record, so that a record can be removed on condition
 * that it is still the one that was read (shared_remove_if). */
#define STORE_GENERATION_AT (RECORD_HEAD_BYTES + RECORD_FIELD_BYTES)

#define STORE_CHUNK_HEAD 32
#define STORE_CHUNKS_MAX UINT32_MAX

/* What the store itself says in a record. */
struct store_facts {
    enum store_kind kind;
    bool growing;
    bool chunked; /* else the body lies in the record */
    uint64_t generation;
    uint64_t check;       /* of the name it lies under */
    uint64_t body_bytes;  /* chunked: all of it, or what is there if it grows */
    uint64_t chunk_bytes; /* chunked: of the body in each chunk but the last */
};

/* record_seal() with these facts before the meta. */
bool store_record_seal(unsigned version, const struct store_facts *facts, struct weir_span meta,
                       const struct weir_slice *body, size_t body_count, struct weir_slice *head,
                       struct weir_slice *tail);
/* How long a record with this meta and body is at most, head and tail included. */
size_t store_record_bytes(size_t meta_bytes, size_t body_bytes);

/* OK: facts, meta and an inline body. UNKNOWN: made by another version, to be left alone. */
enum record_verdict store_record_open(struct weir_span bytes, struct store_facts *facts,
                                      struct weir_span *meta, struct weir_span *body);

struct store_chunk {
    uint64_t generation;
    uint32_t index;
    bool last; /* known to be the end of the body: of those that grew */
    uint32_t bytes;
};

/* The head of a chunk, owned; NULL without memory. */
struct weir_blob *store_chunk_head(const struct store_chunk *c, const struct weir_slice *body,
                                   size_t count);
/* false: truncated or damaged. The bytes follow STORE_CHUNK_HEAD. */
bool store_chunk_open(struct weir_span value, struct store_chunk *c);
/* "w1:{H.g.i}:c": each chunk may lie in another slot. */
struct weir_span store_chunk_key(const struct store_name *name, uint64_t generation, uint64_t index,
                                 char buf[STORE_KEY_MAX]);

static inline uint64_t store_chunk_count(uint64_t body_bytes, uint64_t chunk_bytes)
{
    return body_bytes / chunk_bytes + (body_bytes % chunk_bytes != 0);
}

#endif
