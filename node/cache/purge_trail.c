#include "purge_trail.h"

#include "weir/alloc.h"

#define CAP_START 64

void purge_trail_init(struct purge_trail *t, size_t max)
{
    *t = (struct purge_trail){.max = max};
}

void purge_trail_free(struct purge_trail *t)
{
    weir_free(t->record);
    *t = (struct purge_trail){.max = t->max};
}

static bool grow(struct purge_trail *t)
{
    size_t cap = t->cap != 0 ? t->cap * 2 : CAP_START;
    struct purge_record *record;

    if (t->cap == t->max)
        return false;
    if (cap > t->max)
        cap = t->max;
    record = weir_malloc(cap * sizeof *record);
    if (record == NULL)
        return false;
    for (size_t i = 0; i < t->count; i++)
        record[i] = t->record[(t->first + i) % t->cap];
    weir_free(t->record);
    t->record = record;
    t->cap = cap;
    t->first = 0;
    return true;
}

void purge_trail_add(struct purge_trail *t, const struct purge_record *r, uint64_t id)
{
    struct purge_record *to;

    if (t->count == t->cap && !grow(t)) {
        if (t->cap == 0)
            return;
        purge_trail_drop(t);
    }
    to = &t->record[(t->first + t->count++) % t->cap];
    *to = *r;
    to->sequence = id;
}

const struct purge_record *purge_trail_first(const struct purge_trail *t)
{
    return t->count > 0 ? &t->record[t->first] : NULL;
}

void purge_trail_drop(struct purge_trail *t)
{
    t->first = (t->first + 1) % t->cap;
    t->count--;
}
