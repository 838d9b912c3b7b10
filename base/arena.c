#include "weir/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"

/* glibc hands out 16n + 8 bytes: 4088 makes a chunk of exactly 4 KiB with malloc's own header. */
#define CHUNK_BYTES 4088

struct weir_arena_chunk {
    struct weir_arena_chunk *next; /* older */
    size_t bytes;                  /* of the whole chunk, this header included */
};

#define HEADER_BYTES 16
/* Room for allocations in a standard chunk; whole units, which the inline fast path relies on. */
#define CHUNK_ROOM ((CHUNK_BYTES - HEADER_BYTES) / WEIR_ARENA_UNIT * WEIR_ARENA_UNIT)
/* What does not fit the rest of a chunk and is larger than this gets a chunk of its own, so that
 * turning to a new standard chunk never wastes more than a quarter of the old one. */
#define SMALL_MAX (CHUNK_ROOM / 4)

_Static_assert(sizeof(struct weir_arena_chunk) <= HEADER_BYTES, "allocations stay 16-byte aligned");

void weir_arena_init(struct weir_arena *a, size_t limit_bytes)
{
    *a = (struct weir_arena){.limit_bytes = limit_bytes};
}

static char *chunk_room(struct weir_arena_chunk *c)
{
    return (char *)c + HEADER_BYTES;
}

static struct weir_arena_chunk *chunk_new(struct weir_arena *a, size_t bytes)
{
    struct weir_arena_chunk *c;

    if (a->limit_bytes != 0 &&
        (a->held_bytes > a->limit_bytes || bytes > a->limit_bytes - a->held_bytes))
        return NULL;
    c = weir_malloc(bytes);
    if (c == NULL)
        return NULL;
    c->next = NULL;
    c->bytes = bytes;
    a->held_bytes += bytes;
    return c;
}

/* The chunk in use stays in front, so that what is left of it serves the next allocation. */
static void *alloc_own_chunk(struct weir_arena *a, size_t size)
{
    struct weir_arena_chunk *c;

    if (size > SIZE_MAX - HEADER_BYTES)
        return NULL;
    c = chunk_new(a, HEADER_BYTES + size);
    if (c == NULL)
        return NULL;
    if (a->chunk == NULL) {
        a->chunk = c;
    } else {
        c->next = a->chunk->next;
        a->chunk->next = c;
    }
    return chunk_room(c);
}

static void use_chunk(struct weir_arena *a, struct weir_arena_chunk *c)
{
    c->next = a->chunk;
    a->chunk = c;
    a->at = chunk_room(c);
    a->end = a->at + CHUNK_ROOM;
}

void *weir_arena_alloc_slow(struct weir_arena *a, size_t size)
{
    size_t small_max = a->at == NULL ? CHUNK_ROOM : SMALL_MAX;
    struct weir_arena_chunk *c;

    if (size == 0)
        size = 1;
    if (WEIR_ARENA_BLOCKS || size > small_max)
        return alloc_own_chunk(a, size);
    c = chunk_new(a, CHUNK_BYTES);
    if (c == NULL)
        return NULL;
    use_chunk(a, c);
    return weir_arena_alloc(a, size);
}

void *weir_arena_zalloc(struct weir_arena *a, size_t size)
{
    void *p = weir_arena_alloc(a, size);

    if (p != NULL)
        memset(p, 0, size);
    return p;
}

struct weir_span weir_arena_dup(struct weir_arena *a, struct weir_span s)
{
    char *copy = s.len < SIZE_MAX ? weir_arena_alloc(a, s.len + 1) : NULL;

    if (copy == NULL)
        return WEIR_SPAN_NONE;
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return weir_span(copy, s.len);
}

char *weir_arena_printf(struct weir_arena *a, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        return NULL;
    text = weir_arena_alloc(a, (size_t)len + 1);
    if (text == NULL)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text;
}

void weir_arena_reset(struct weir_arena *a)
{
    struct weir_arena_chunk *c = a->chunk, *kept = NULL;

    a->chunk = NULL;
    a->at = a->end = NULL;
    a->held_bytes = 0;
    while (c != NULL) {
        struct weir_arena_chunk *older = c->next;

        if (!WEIR_ARENA_BLOCKS && kept == NULL && c->bytes == CHUNK_BYTES)
            kept = c;
        else
            weir_free(c);
        c = older;
    }
    if (kept != NULL) {
        a->held_bytes = CHUNK_BYTES;
        use_chunk(a, kept);
    }
}

void weir_arena_free(struct weir_arena *a)
{
    struct weir_arena_chunk *c = a->chunk;

    while (c != NULL) {
        struct weir_arena_chunk *older = c->next;

        weir_free(c);
        c = older;
    }
    weir_arena_init(a, a->limit_bytes);
}
