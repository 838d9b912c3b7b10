#include "orders.h"

#include <string.h>

static bool is_for(const struct word *w, const char *id)
{
    return w->target == WORD_NODE && (w->name[0] == '\0' || strcmp(w->name, id) == 0);
}

void orders_begin(struct orders *o, uint64_t started)
{
    if (o->since == 0)
        o->since = started;
}

struct order orders_take(struct orders *o, const struct word *words, size_t count, const char *id)
{
    struct order found = {WORD_NOTHING, 0};
    uint64_t newest = o->since;

    if (o->since == 0)
        return found;
    for (size_t i = 0; i < count; i++) {
        const struct word *w = &words[i];

        if ((w->kind != WORD_DRAIN && w->kind != WORD_RELOAD) || !is_for(w, id) ||
            w->number <= o->since)
            continue;
        if (w->number > newest)
            newest = w->number;
        if (found.kind == WORD_NOTHING || (found.kind == w->kind && w->number > found.number) ||
            (found.kind == WORD_RELOAD && w->kind == WORD_DRAIN))
            found = (struct order){w->kind, w->number};
    }
    o->since = newest;
    return found;
}

bool orders_unready(const struct word *words, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].kind == WORD_UNREADY && is_for(&words[i], id))
            return true;
    return false;
}
