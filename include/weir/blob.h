/*
 * blob.h - counted bytes: written once by whoever made them, immutable after they are shared.
 *
 * Any thread may hold and drop references. A blob is one allocation: this header, then cap bytes.
 */
#ifndef WEIR_BLOB_H
#define WEIR_BLOB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct weir_blob {
    atomic_uint refs;
    uint32_t cap; /* usable bytes */
    uint32_t len; /* bytes filled; grows only while the maker is alone or appends past what it has
                     shared */
    char bytes[];
};

/* A run of bytes inside a blob. Holds a reference wherever a header says *takes* or *keeps*. */
struct weir_slice {
    struct weir_blob *blob;
    uint32_t off;
    uint32_t len;
};

/* NULL without memory. cap may be rounded up; returns owned with one reference, len 0. */
struct weir_blob *weir_blob_new(size_t cap);
struct weir_blob *weir_blob_ref(struct weir_blob *b);
void weir_blob_unref(struct weir_blob *b); /* NULL does nothing */
/* What the allocation costs in memory, allocator rounding included. */
size_t weir_blob_cost(const struct weir_blob *b);

static inline const char *weir_slice_ptr(struct weir_slice s)
{
    return s.blob->bytes + s.off;
}

#endif
