/*
 * arena.h - memory that lives as long as its owner (an exchange, a settings snapshot) and is never freed alone.
 *
 * Not thread-safe. Allocations are 16-byte aligned, uninitialised, and fail with NULL (never abort).
 * Under AddressSanitizer each allocation is its own block so that overruns show.
 */
#ifndef WEIR_ARENA_H
#define WEIR_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"

struct weir_arena_chunk;

struct weir_arena {
    struct weir_arena_chunk *chunk; /* current; older ones behind it */
    char *at, *end;                 /* free part of the current chunk */
    size_t held_bytes;              /* sum of all chunks */
    size_t limit_bytes;             /* allocations beyond it fail; 0 = none */
};

void weir_arena_init(struct weir_arena *a, size_t limit_bytes);
/* NULL when memory or the limit is exhausted. size 0 gives a valid unique pointer. */
void *weir_arena_alloc(struct weir_arena *a, size_t size);
void *weir_arena_zalloc(struct weir_arena *a, size_t size);
/* Copies; the copy is followed by a NUL not counted in len. ptr is NULL on failure. */
struct weir_span weir_arena_dup(struct weir_arena *a, struct weir_span s);
char *weir_arena_printf(struct weir_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Forgets everything, keeps one standard chunk for reuse (so a recycled exchange allocates nothing). */
void weir_arena_reset(struct weir_arena *a);
/* Gives all memory back. */
void weir_arena_free(struct weir_arena *a);

#endif
