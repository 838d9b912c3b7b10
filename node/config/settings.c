#include "settings.h"

#include "weir/alloc.h"

struct settings *settings_ref(struct settings *s)
{
    if (s != NULL)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void settings_unref(struct settings *s)
{
    /* Acquire and release: whoever drops the last one must see all that the others have read. */
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    weir_arena_free(&s->arena);
    weir_free(s);
}
