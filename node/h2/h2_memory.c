#include "h2_memory.h"

#include <stdint.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/arena.h"

#define SMALLEST 64  /* of a piece, its head included; each class has twice the room */
#define FREE_MAX 512 /* of a class */
#define LARGE    16384

struct h2_piece {
    struct h2_piece *next, **at; /* of the session; next: of the free list */
    uint32_t size;               /* of the whole */
    int32_t class;               /* -1: too large for all */
    char bytes[];
};

static struct h2_piece *piece_of(void *p)
{
    return (struct h2_piece *)(void *)((char *)p - offsetof(struct h2_piece, bytes));
}

static int class_of(size_t size)
{
    size_t room = SMALLEST;

    for (int i = 0; i < H2_MEMORY_CLASSES; i++, room *= 2)
        if (size <= room)
            return i;
    return -1;
}

static struct h2_piece *recycled(struct h2_memory *m, int class)
{
    struct h2_piece *p = class >= 0 ? m->free[class] : NULL;

    if (p != NULL) {
        m->free[class] = p->next;
        m->count[class]--;
    }
    return p;
}

/* NULL: not asked for, or no memory. */
static void *frame_buffer(struct h2_session_memory *of, size_t len)
{
    struct h2_memory *m = of->memory;

    if (!of->making || len < LARGE)
        return NULL;
    if (m->frame == NULL) {
        m->frame = weir_malloc(len);
        m->frame_len = len;
    }
    return len <= m->frame_len ? m->frame : NULL;
}

void h2_memory_frame_over(struct h2_memory *m)
{
#ifdef WEIR_FAULTS
    if (m->frame != NULL)
        memset(m->frame, 0xa5, m->frame_len);
#else
    (void)m;
#endif
}

static void *get(size_t len, void *arg)
{
    struct h2_session_memory *of = arg;
    size_t size = len + sizeof(struct h2_piece);
    int class = class_of(size);
    struct h2_piece *p;
    void *shared = frame_buffer(of, len);

    if (shared != NULL)
        return shared;
    if (size > UINT32_MAX) {
        of->failed = true;
        return NULL;
    }
    p = recycled(of->memory, class);
    if (p == NULL) {
        size = class >= 0 ? (size_t)SMALLEST << class : size;
        p = weir_malloc(size);
        if (p == NULL) {
            of->failed = true;
            return NULL;
        }
        p->size = (uint32_t)size;
        p->class = class;
    }
    p->next = of->pieces;
    p->at = &of->pieces;
    if (p->next != NULL)
        p->next->at = &p->next;
    of->pieces = p;
    of->bytes += p->size;
    return p->bytes;
}

/* Where each allocation should be seen by itself nothing is recycled. */
static bool kept(const struct h2_memory *m, const struct h2_piece *p)
{
    return !WEIR_ARENA_BLOCKS && p->class >= 0 && m->count[p->class] < FREE_MAX;
}

static void put_back(struct h2_memory *m, struct h2_piece *p)
{
    if (!kept(m, p)) {
        weir_free(p);
        return;
    }
    p->next = m->free[p->class];
    m->free[p->class] = p;
    m->count[p->class]++;
}

static void release(void *bytes, void *arg)
{
    struct h2_session_memory *of = arg;
    struct h2_piece *p;

    if (bytes == NULL || bytes == of->memory->frame)
        return;
    p = piece_of(bytes);
    *p->at = p->next;
    if (p->next != NULL)
        p->next->at = p->at;
    of->bytes -= p->size;
    put_back(of->memory, p);
}

static void *get_zeroed(size_t n, size_t len, void *arg)
{
    size_t total;
    void *p;

    if (__builtin_mul_overflow(n, len, &total))
        return NULL;
    p = get(total, arg);
    if (p != NULL)
        memset(p, 0, total);
    return p;
}

static void *resize(void *bytes, size_t len, void *arg)
{
    struct h2_session_memory *of = arg;
    struct h2_piece *p;
    size_t room;
    void *fresh;

    if (bytes == NULL)
        return get(len, arg);
    if (bytes == of->memory->frame) { /* never: it has its size */
        of->failed = true;
        return NULL;
    }
    p = piece_of(bytes);
    room = p->size - sizeof *p;
    if (len <= room)
        return bytes;
    fresh = get(len, arg);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, bytes, room);
    release(bytes, arg);
    return fresh;
}

nghttp2_mem h2_memory_of(struct h2_session_memory *of, struct h2_memory *memory)
{
    *of = (struct h2_session_memory){.memory = memory, .making = true};
    return (nghttp2_mem){of, get, release, get_zeroed, resize};
}

void h2_memory_drop(struct h2_session_memory *of)
{
    struct h2_piece *next;

    for (struct h2_piece *p = of->pieces; p != NULL; p = next) {
        next = p->next;
        release(p->bytes, of);
    }
}

void h2_memory_close(struct h2_memory *m)
{
    for (unsigned i = 0; i < H2_MEMORY_CLASSES; i++)
        while (m->free[i] != NULL) {
            struct h2_piece *p = m->free[i];

            m->free[i] = p->next;
            weir_free(p);
        }
    weir_free(m->frame);
    *m = (struct h2_memory){0};
}
