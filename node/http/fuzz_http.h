/*
 * fuzz_http.h - what the fuzz targets of this area share. Header only.
 */
#ifndef FUZZ_HTTP_H
#define FUZZ_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/span.h"
#include "http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert, but not to be mistaken for one that guards a release. */
#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #claim);                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy on the heap of exactly that size, so that AddressSanitizer sees a read beyond it. */
static inline char *exact_copy(const void *bytes, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    MUST(copy != NULL);
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

/* Where to cut: drawn from the input itself, so that a reproducer is one file. */
static inline uint32_t fuzz_seed(const uint8_t *data, size_t size)
{
    uint32_t seed = 2166136261u;

    for (size_t i = 0; i < size; i++)
        seed = (seed ^ data[i]) * 16777619u;
    return seed;
}

/* Length of the next piece: usually short, at times all. */
static inline size_t fuzz_piece(uint32_t *seed, size_t left)
{
    size_t piece;

    *seed = *seed * 1664525u + 1013904223u;
    piece = 1 + (*seed >> 16) % (*seed >> 24 & 1 ? 5 : 300);
    return piece < left ? piece : left;
}

static inline void must_be_equal_heads(const struct http_head *a, const struct http_head *b)
{
    MUST(a->method_id == b->method_id && weir_span_eq(a->method, b->method));
    MUST(weir_span_eq(a->target, b->target));
    MUST(a->status == b->status && weir_span_eq(a->reason, b->reason));
    MUST(a->minor == b->minor && a->dropped == b->dropped && a->count == b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        MUST(a->fields[i].id == b->fields[i].id && a->fields[i].flags == b->fields[i].flags);
        MUST(weir_span_eq(a->fields[i].name, b->fields[i].name));
        MUST(weir_span_eq(a->fields[i].value, b->fields[i].value));
    }
}

#endif
