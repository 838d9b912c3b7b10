/*
 * arena.h - memory that lives as long as its owner (an exchange, a settings snapshot) and is never
 * freed alone.
 *
 * Not thread-safe. Allocations are 16-byte aligned, uninitialised, and fail with NULL (never
 * abort). Under AddressSanitizer each allocation is its own block so that overruns show.
 */
#ifndef WEIR_ARENA_H
#define WEIR_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"

/* Every allocation takes whole units of this many bytes. */
#define WEIR_ARENA_UNIT 16

/* 1 in builds where each allocation is a block of its own. */
#if defined(__SANITIZE_ADDRESS__)
#define WEIR_ARENA_BLOCKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_ARENA_BLOCKS 1
#endif
#endif
#ifndef WEIR_ARENA_BLOCKS
#define WEIR_ARENA_BLOCKS 0
#endif

struct weir_arena_chunk;

struct weir_arena {
    struct weir_arena_chunk *chunk; /* current; older ones behind it */
    char *at, *end;                 /* free part of the current chunk, whole units; NULL if none */
    size_t held_bytes;              /* sum of all chunks */
    size_t limit_bytes;             /* of held_bytes, so whole 4 KiB chunks count; 0 = none */
};

/* All zero is an empty arena without limit. */
void weir_arena_init(struct weir_arena *a, size_t limit_bytes);
void *weir_arena_alloc_slow(struct weir_arena *a, size_t size); /* private: the chunk is used up */

/* NULL when memory or the limit is exhausted. size 0 gives a valid unique pointer. */
static inline void *weir_arena_alloc(struct weir_arena *a, size_t size)
{
    size_t room = (size_t)((uintptr_t)a->end - (uintptr_t)a->at);
    char *p = a->at;

    if (size - 1 >= room) /* size 0 wraps round and goes the slow way too */
        return weir_arena_alloc_slow(a, size);
    a->at += (size + WEIR_ARENA_UNIT - 1) / WEIR_ARENA_UNIT * WEIR_ARENA_UNIT;
    return p;
}

void *weir_arena_zalloc(struct weir_arena *a, size_t size);
/* Copies; the copy is followed by a NUL not counted in len. ptr is NULL on failure. */
struct weir_span weir_arena_dup(struct weir_arena *a, struct weir_span s);
char *weir_arena_printf(struct weir_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Forgets everything, keeps one standard chunk for reuse (so a recycled exchange allocates
 * nothing). */
void weir_arena_reset(struct weir_arena *a);
/* Gives all memory back. */
void weir_arena_free(struct weir_arena *a);

#endif
