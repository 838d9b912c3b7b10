#include "weir/blob.h"

#include <malloc.h>

#include "weir/alloc.h"
#include "weir/arena.h"

#define MALLOC_HEADER_BYTES 8 /* what glibc keeps before each allocation */

/* glibc hands out 16n + 8 bytes; asking for all of them makes the rounding usable. Not under
 * AddressSanitizer, where the byte after the last one asked for must stay poisoned. */
static size_t round_to_malloc(size_t bytes)
{
    return WEIR_ARENA_BLOCKS ? bytes : ((bytes + 7) & ~(size_t)15) + MALLOC_HEADER_BYTES;
}

struct weir_blob *weir_blob_new(size_t cap)
{
    const size_t head_bytes = offsetof(struct weir_blob, bytes);
    struct weir_blob *b;
    size_t bytes;

    if (cap > UINT32_MAX - 64)
        return NULL;
    bytes = round_to_malloc(head_bytes + cap);
    b = weir_malloc(bytes);
    if (b == NULL)
        return NULL;
    atomic_init(&b->refs, 1);
    b->cap = (uint32_t)(bytes - head_bytes);
    b->len = 0;
    return b;
}

struct weir_blob *weir_blob_ref(struct weir_blob *b)
{
    /* Relaxed: whoever takes a reference already holds one, or a lock under which one is held. */
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void weir_blob_unref(struct weir_blob *b)
{
    if (b == NULL)
        return;
    /* Each release happens before the free, wherever it was. */
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
        weir_free(b);
}

size_t weir_blob_cost(const struct weir_blob *b)
{
    return malloc_usable_size((void *)(uintptr_t)b) + MALLOC_HEADER_BYTES;
}
