#include "purge_journal.h"

#include "weir/alloc.h"

#define CAP_START 64

void purge_journal_init(struct purge_journal *j, size_t max)
{
    *j = (struct purge_journal){.max = max};
}

void purge_journal_free(struct purge_journal *j)
{
    weir_free(j->entry);
    weir_free(j->bucket);
    *j = (struct purge_journal){.max = j->max};
}

/* ---- the index ---- */

static uint32_t *bucket_of(const struct purge_journal *j, uint64_t hash)
{
    return &j->bucket[(hash ^ hash >> 32) & (j->cap - 1)];
}

static void index_add(struct purge_journal *j, uint32_t i)
{
    uint32_t *b = bucket_of(j, j->entry[i].record.hash);

    j->entry[i].chain = *b;
    *b = i + 1;
}

static void index_remove(struct purge_journal *j, uint32_t i)
{
    uint32_t *at = bucket_of(j, j->entry[i].record.hash);

    while (*at != i + 1)
        at = &j->entry[*at - 1].chain;
    *at = j->entry[i].chain;
}

static bool same(const struct purge_record *a, const struct purge_record *b)
{
    return a->hash == b->hash && a->scope == b->scope && a->length == b->length;
}

static struct purge_pending *find(const struct purge_journal *j, const struct purge_record *r)
{
    uint32_t i = j->count > 0 ? *bucket_of(j, r->hash) : 0;

    while (i != 0 && !same(&j->entry[i - 1].record, r))
        i = j->entry[i - 1].chain;
    return i != 0 ? &j->entry[i - 1] : NULL;
}

static bool grow(struct purge_journal *j)
{
    size_t cap = j->cap != 0 ? j->cap * 2 : CAP_START;
    struct purge_pending *entry = weir_realloc(j->entry, cap * sizeof *entry);
    uint32_t *bucket;

    if (entry == NULL)
        return false;
    j->entry = entry;
    bucket = weir_calloc(cap, sizeof *bucket);
    if (bucket == NULL)
        return false;
    weir_free(j->bucket);
    j->bucket = bucket;
    j->cap = cap;
    for (uint32_t i = 0; i < j->count; i++)
        index_add(j, i);
    return true;
}

/* ---- adding, taking ---- */

/* Of two for the same, what purges more. */
static void merge(struct purge_pending *into, const struct purge_pending *p)
{
    if (p->record.mode == PURGE_HARD)
        into->record.mode = PURGE_HARD;
    if (p->record.time_s < into->record.time_s)
        into->record.time_s = p->record.time_s;
    if (into->record.also == 0)
        into->record.also = p->record.also;
    for (int i = 0; i < PURGE_TOKENS; i++)
        into->ahead[i] += p->ahead[i];
    into->again = into->again && p->again;
}

bool purge_journal_add(struct purge_journal *j, const struct purge_pending *p)
{
    struct purge_pending *there = find(j, &p->record);

    if (there != NULL) {
        merge(there, p);
        return true;
    }
    if (j->count >= j->max || (j->count == j->cap && !grow(j)))
        return false;
    j->entry[j->count] = *p;
    index_add(j, (uint32_t)j->count++);
    return true;
}

/* The last one takes its place. */
static void remove_at(struct purge_journal *j, uint32_t i)
{
    uint32_t last = (uint32_t)j->count - 1;

    index_remove(j, i);
    if (i != last) {
        index_remove(j, last);
        j->entry[i] = j->entry[last];
        index_add(j, i);
    }
    j->count--;
}

bool purge_journal_take(struct purge_journal *j, struct purge_pending *out)
{
    if (j->count == 0)
        return false;
    *out = j->entry[j->count - 1];
    remove_at(j, (uint32_t)j->count - 1);
    return true;
}

bool purge_journal_seen(struct purge_journal *j, const struct purge_record *r,
                        struct purge_pending *out)
{
    struct purge_pending *p = find(j, r);

    if (p == NULL || !p->again || p->record.mode > r->mode)
        return false;
    *out = *p;
    remove_at(j, (uint32_t)(p - j->entry));
    return true;
}
