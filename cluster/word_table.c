#include "word_table.h"

#include <string.h>

#include "weir/alloc.h"

#define FIRST_CAP 16

static void known_free(struct word_known *k)
{
    if (k != NULL)
        weir_free(k->sealed);
    weir_free(k);
}

void word_table_free(struct word_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        known_free(t->known[i]);
    weir_free(t->known);
    weir_free(t->list);
    *t = (struct word_table){.known = NULL};
}

/* ---- finding ---- */

static int order(const struct word_said *a, const struct word_said *b)
{
    int c = (int)a->word.target - (int)b->word.target;

    if (c == 0)
        c = strcmp(a->word.name, b->word.name);
    if (c == 0)
        c = strcmp(a->word.url, b->word.url);
    return c != 0 ? c : (int)a->aspect - (int)b->aspect;
}

static size_t place_of(const struct word_table *t, const struct word_said *s, bool *found)
{
    size_t low = 0, high = t->count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = order(s, &t->known[middle]->said);

        if (c == 0) {
            *found = true;
            return middle;
        }
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* ---- taking ---- */

static bool grow(struct word_table *t)
{
    size_t cap = t->cap > 0 ? t->cap * 2 : FIRST_CAP;
    struct word_known **known;
    struct word *list;

    if (t->count < t->cap)
        return true;
    known = weir_realloc(t->known, cap * sizeof(struct word_known *));
    if (known == NULL)
        return false;
    t->known = known;
    list = weir_realloc(t->list, cap * sizeof *list);
    if (list == NULL)
        return false;
    t->list = list;
    t->cap = cap;
    return true;
}

static const char *moved(const char *text, struct weir_span from, const char *to)
{
    return to + (text - from.ptr);
}

/* A text that was not told lies nowhere in the bytes. */
static const char *text_in(const char *text, struct weir_span from, const char *to)
{
    return text[0] == '\0' ? "" : moved(text, from, to);
}

static struct word_known *known_new(const struct word_said *s, struct weir_span sealed)
{
    struct word_known *k = weir_calloc(1, sizeof *k);

    if (k == NULL)
        return NULL;
    k->sealed = weir_malloc(sealed.len);
    if (k->sealed == NULL) {
        known_free(k);
        return NULL;
    }
    memcpy(k->sealed, sealed.ptr, sealed.len);
    k->len = sealed.len;
    k->said = *s;
    k->said.word.name = text_in(s->word.name, sealed, k->sealed);
    k->said.word.url = text_in(s->word.url, sealed, k->sealed);
    k->said.word.author = text_in(s->word.author, sealed, k->sealed);
    k->said.word.reason = text_in(s->word.reason, sealed, k->sealed);
    return k;
}

/* < 0: the known one is older. */
static int compare(const struct word_known *k, const struct word_said *s, struct weir_span sealed)
{
    size_t len = k->len < sealed.len ? k->len : sealed.len;
    int c;

    if (k->said.word.number != s->word.number)
        return k->said.word.number < s->word.number ? -1 : 1;
    c = memcmp(k->sealed, sealed.ptr, len);
    return c != 0 ? c : (k->len > sealed.len) - (k->len < sealed.len);
}

static void note(struct word_table *t, const struct word_said *s)
{
    if (s->word.number > t->greatest)
        t->greatest = s->word.number;
    t->changed = true;
}

static enum word_news add(struct word_table *t, size_t at, const struct word_said *s,
                          struct weir_span sealed, struct word_known **k)
{
    if (t->count >= WORDS_MAX)
        return WORD_TOO_MANY;
    *k = grow(t) ? known_new(s, sealed) : NULL;
    if (*k == NULL)
        return WORD_NO_MEMORY;
    memmove(&t->known[at + 1], &t->known[at], (t->count - at) * sizeof(struct word_known *));
    t->known[at] = *k;
    t->count++;
    note(t, s);
    return WORD_NEWS;
}

enum word_news word_table_take(struct word_table *t, const struct word_said *s,
                               struct weir_span sealed, struct word_known **k)
{
    bool found;
    size_t at = place_of(t, s, &found);
    struct word_known *newer;
    int c;

    *k = NULL;
    if (!found)
        return add(t, at, s, sealed, k);
    *k = t->known[at];
    c = compare(*k, s, sealed);
    if (c >= 0)
        return c == 0 ? WORD_KNOWN : WORD_OLDER;
    newer = known_new(s, sealed);
    if (newer == NULL)
        return WORD_NO_MEMORY;
    known_free(*k);
    *k = t->known[at] = newer;
    note(t, s);
    return WORD_NEWS;
}

/* ---- ending ---- */

void word_table_drop(struct word_table *t, size_t at)
{
    if (t->known[at]->said.word.kind != WORD_NOTHING)
        t->changed = true;
    known_free(t->known[at]);
    t->count--;
    memmove(&t->known[at], &t->known[at + 1], (t->count - at) * sizeof(struct word_known *));
}

void word_table_expire(struct word_table *t, int64_t now_ms)
{
    for (size_t i = t->count; i-- > 0;) {
        int64_t until = t->known[i]->said.word.until_ms;

        if (until != 0 && now_ms >= until)
            word_table_drop(t, i);
    }
}

int64_t word_table_next_end(const struct word_table *t)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < t->count; i++) {
        int64_t until = t->known[i]->said.word.until_ms;

        if (until != 0 && until < next)
            next = until;
    }
    return next;
}

/* ---- seeing ---- */

size_t word_table_list(struct word_table *t, const struct word **out)
{
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        if (t->known[i]->said.word.kind != WORD_NOTHING)
            t->list[n++] = t->known[i]->said.word;
    *out = t->list;
    return n;
}

bool word_table_take_changed(struct word_table *t)
{
    bool changed = t->changed;

    t->changed = false;
    return changed;
}
