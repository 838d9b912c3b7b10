#include "purge_records.h"

#include "weir/alloc.h"

#define SLOTS_START 256

bool purge_records_init(struct purge_records *p, size_t max)
{
    size_t cap = max < SLOTS_START ? max : SLOTS_START;

    *p = (struct purge_records){.max = max, .cap = cap, .bucket_count = SLOTS_START};
    p->slot = weir_calloc(cap + 1, sizeof *p->slot);
    p->bucket = weir_calloc(p->bucket_count, sizeof *p->bucket);
    if (p->slot == NULL || p->bucket == NULL) {
        purge_records_free(p);
        return false;
    }
    for (size_t i = 1; i < cap; i++)
        p->slot[i].chain = (uint32_t)i + 1;
    p->free = 1;
    return true;
}

void purge_records_free(struct purge_records *p)
{
    weir_free(p->slot);
    weir_free(p->bucket);
    *p = (struct purge_records){0};
}

size_t purge_records_bytes(const struct purge_records *p)
{
    return (p->cap + 1) * sizeof *p->slot + p->bucket_count * sizeof *p->bucket;
}

/* ---- index and order ---- */

/* Not the bits by which purge.c chooses its buckets. */
static uint32_t *bucket_of(const struct purge_records *p, uint64_t hash)
{
    return &p->bucket[(hash >> 16) & (p->bucket_count - 1)];
}

static void index_add(struct purge_records *p, uint32_t i)
{
    uint32_t *b = bucket_of(p, p->slot[i].hash);

    p->slot[i].chain = *b;
    *b = i;
}

static void index_remove(struct purge_records *p, uint32_t i)
{
    uint32_t *at = bucket_of(p, p->slot[i].hash);

    while (*at != i)
        at = &p->slot[*at].chain;
    *at = p->slot[i].chain;
}

static void order_push(struct purge_records *p, uint32_t i)
{
    p->slot[i].newer = 0;
    p->slot[i].older = p->newest;
    if (p->newest != 0)
        p->slot[p->newest].newer = i;
    else
        p->oldest = i;
    p->newest = i;
}

static void order_remove(struct purge_records *p, uint32_t i)
{
    struct purge_slot *s = &p->slot[i];

    if (s->newer != 0)
        p->slot[s->newer].older = s->older;
    else
        p->newest = s->older;
    if (s->older != 0)
        p->slot[s->older].newer = s->newer;
    else
        p->oldest = s->newer;
}

static void drop(struct purge_records *p, uint32_t i)
{
    index_remove(p, i);
    order_remove(p, i);
    p->slot[i].chain = p->free;
    p->free = i;
    p->count--;
}

/* ---- room ---- */

/* Without memory the chains just become longer. */
static void grow_buckets(struct purge_records *p)
{
    size_t count = p->bucket_count * 2;
    uint32_t *bucket = weir_calloc(count, sizeof *bucket);

    if (bucket == NULL)
        return;
    weir_free(p->bucket);
    p->bucket = bucket;
    p->bucket_count = count;
    for (uint32_t i = p->oldest; i != 0; i = p->slot[i].newer)
        index_add(p, i);
}

/* Every slot is in use. */
static bool grow(struct purge_records *p)
{
    size_t cap = p->cap * 2 < p->max ? p->cap * 2 : p->max;
    struct purge_slot *slot;

    if (p->cap == p->max)
        return false;
    slot = weir_realloc(p->slot, (cap + 1) * sizeof *slot);
    if (slot == NULL)
        return false;
    for (size_t i = p->cap + 1; i < cap; i++)
        slot[i].chain = (uint32_t)i + 1;
    slot[cap].chain = 0;
    p->free = (uint32_t)p->cap + 1;
    p->slot = slot;
    p->cap = cap;
    if (p->bucket_count < cap)
        grow_buckets(p);
    return true;
}

static void get(const struct purge_records *p, uint32_t i, struct purge_kept *out)
{
    const struct purge_slot *s = &p->slot[i];

    *out = (struct purge_kept){s->hash, s->sequence, s->time_s, (enum purge_mode)s->mode};
}

/* ---- one hash ---- */

/* What is kept of a hash, as far as a new record for it may change that. */
struct standing {
    uint32_t same_second, oldest, second_oldest; /* soft ones; 0: none */
    unsigned soft;
};

static struct standing standing_of(const struct purge_records *p, const struct purge_kept *r)
{
    struct standing st = {0};

    for (uint32_t i = *bucket_of(p, r->hash); i != 0; i = p->slot[i].chain) {
        const struct purge_slot *s = &p->slot[i];

        if (s->hash != r->hash || s->mode != PURGE_SOFT)
            continue;
        st.soft++;
        if (s->time_s == r->time_s)
            st.same_second = i;
        if (st.oldest == 0 || s->sequence < p->slot[st.oldest].sequence) {
            st.second_oldest = st.oldest;
            st.oldest = i;
        } else if (st.second_oldest == 0 || s->sequence < p->slot[st.second_oldest].sequence) {
            st.second_oldest = i;
        }
    }
    return st;
}

static void drop_hash(struct purge_records *p, uint64_t hash)
{
    uint32_t next;

    for (uint32_t i = *bucket_of(p, hash); i != 0; i = next) {
        next = p->slot[i].chain;
        if (p->slot[i].hash == hash)
            drop(p, i);
    }
}

/* True if a record that is there already has become the new one. */
static bool coalesce(struct purge_records *p, const struct purge_kept *r)
{
    struct standing st = standing_of(p, r);
    struct purge_slot *second = &p->slot[st.second_oldest];

    if (st.same_second != 0) {
        p->slot[st.same_second].sequence = r->sequence;
        order_remove(p, st.same_second);
        order_push(p, st.same_second);
        return true;
    }
    if (st.soft >= PURGE_SOFT_MAX) {
        if (p->slot[st.oldest].time_s < second->time_s)
            second->time_s = p->slot[st.oldest].time_s;
        drop(p, st.oldest);
    }
    return false;
}

bool purge_records_add(struct purge_records *p, const struct purge_kept *r, struct purge_kept *out)
{
    bool left = false;
    uint32_t i;

    if (r->mode == PURGE_HARD)
        drop_hash(p, r->hash);
    else if (coalesce(p, r))
        return false;
    if (p->free == 0 && !grow(p)) {
        get(p, p->oldest, out);
        drop(p, p->oldest);
        left = true;
    }
    i = p->free;
    p->free = p->slot[i].chain;
    p->slot[i] = (struct purge_slot){.hash = r->hash,
                                     .sequence = r->sequence,
                                     .time_s = r->time_s,
                                     .mode = r->mode};
    index_add(p, i);
    order_push(p, i);
    p->count++;
    return left;
}

bool purge_records_next(const struct purge_records *p, uint64_t hash, uint32_t *at,
                        struct purge_kept *out)
{
    uint32_t i = *at != 0 ? p->slot[*at].chain : *bucket_of(p, hash);

    while (i != 0 && p->slot[i].hash != hash)
        i = p->slot[i].chain;
    *at = i;
    if (i == 0)
        return false;
    get(p, i, out);
    return true;
}
