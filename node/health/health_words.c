#include "health_own.h"

#include <stdlib.h>
#include <string.h>

/* words_list() is in this order. */
static int compare_words(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    int order = (x->target > y->target) - (x->target < y->target);

    if (order == 0)
        order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->url, y->url);
}

/* A state and a weight may stand beside each other for one target: both, if they are there. */
static void find(const struct word *words, size_t count, const struct word *wanted,
                 struct health_orders *out)
{
    const struct word *w = bsearch(wanted, words, count, sizeof *words, compare_words);

    if (w == NULL)
        return;
    while (w > words && compare_words(w - 1, wanted) == 0)
        w--;
    for (; w < words + count && compare_words(w, wanted) == 0; w++) {
        if (w->kind == WORD_WEIGHT)
            out->weight = w;
        else
            out->word = w;
    }
}

static struct health_orders orders_for(const struct word *words, size_t count,
                                       const struct health_item *it)
{
    struct word wanted = {.target = WORD_UPSTREAM, .name = it->state->upstream, .url = ""};
    struct health_orders of_upstream = {0}, own = {0};

    if (count == 0)
        return own;
    find(words, count, &wanted, &of_upstream);
    wanted.target = WORD_ORIGIN;
    wanted.url = it->state->url;
    find(words, count, &wanted, &own);
    if (of_upstream.word != NULL && of_upstream.word->kind == WORD_MAINTENANCE)
        own.word = of_upstream.word; /* of all: no origin is asked, whatever was said of it */
    return own;
}

struct health_orders health_words_of(struct health *h, const struct health_item *it)
{
    const struct word *words = NULL;
    const size_t count = h->options.words != NULL ? words_list(h->options.words, &words) : 0;

    return orders_for(words, count, it);
}

static int meaning(const struct word *w)
{
    switch (w != NULL ? w->kind : WORD_NOTHING) {
    case WORD_DRAIN:
        return ORIGIN_DRAIN;
    case WORD_DISABLE:
    case WORD_MAINTENANCE:
        return ORIGIN_DISABLED;
    case WORD_UP:
        return ORIGIN_UP;
    default:
        return ORIGIN_NO_WORD;
    }
}

void health_words_apply(struct health *h)
{
    const struct word *words = NULL;
    const size_t count = h->options.words != NULL ? words_list(h->options.words, &words) : 0;

    for (size_t i = 0; i < h->count; i++) {
        const struct health_orders o = orders_for(words, count, h->items[i]);

        origin_state_set_word(h->items[i]->state, meaning(o.word),
                              o.weight != NULL ? o.weight->weight : 0, h->loop->clock.mono_us);
    }
}
