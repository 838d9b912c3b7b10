#include "limit_top.h"

#include <stdlib.h>
#include <string.h>

#define HALVE_MS 60000

void limit_top_init(struct limit_top *t)
{
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
}

void limit_top_end(struct limit_top *t)
{
    pthread_mutex_destroy(&t->lock);
}

static void halve(struct limit_top *t, int64_t now_ms)
{
    int64_t times = (now_ms - t->halved_ms) / HALVE_MS;
    unsigned kept = 0;

    if (times <= 0)
        return;
    t->halved_ms = now_ms;
    for (unsigned i = 0; i < t->count; i++) {
        t->entry[i].refused = times < 64 ? t->entry[i].refused >> times : 0;
        if (t->entry[i].refused > 0 && kept++ != i)
            t->entry[kept - 1] = t->entry[i];
    }
    t->count = kept;
}

static struct limit_top_entry *find(struct limit_top *t, const struct weir_hash128 *key)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->entry[i].key.lo == key->lo && t->entry[i].key.hi == key->hi)
            return &t->entry[i];
    return NULL;
}

/* A place for a new one, its count being what it inherits. */
static struct limit_top_entry *place(struct limit_top *t)
{
    struct limit_top_entry *least = &t->entry[0];

    if (t->count < LIMIT_TOP) {
        least = &t->entry[t->count++];
        least->refused = 0;
        return least;
    }
    for (unsigned i = 1; i < t->count; i++)
        if (t->entry[i].refused < least->refused)
            least = &t->entry[i];
    return least;
}

void limit_top_count(struct limit_top *t, int64_t now_ms, const char *limit,
                     const struct weir_hash128 *key, const struct limit_key_rule *rule,
                     const struct limit_subject *s)
{
    struct limit_top_entry *e;

    if (pthread_mutex_trylock(&t->lock) != 0)
        return;
    halve(t, now_ms);
    e = find(t, key);
    if (e == NULL) {
        e = place(t);
        e->limit = limit;
        e->key = *key;
        limit_key_text(rule, s, key, e->text);
    }
    e->refused++;
    pthread_mutex_unlock(&t->lock);
}

static int by_refused(const void *a, const void *b)
{
    const struct limit_top_entry *x = a, *y = b;

    return (x->refused < y->refused) - (x->refused > y->refused);
}

size_t limit_top_read(struct limit_top *t, int64_t now_ms, struct limit_top_entry out[LIMIT_TOP])
{
    size_t count;

    pthread_mutex_lock(&t->lock);
    halve(t, now_ms);
    count = t->count;
    memcpy(out, t->entry, count * sizeof *out);
    pthread_mutex_unlock(&t->lock);
    qsort(out, count, sizeof *out, by_refused);
    return count;
}
