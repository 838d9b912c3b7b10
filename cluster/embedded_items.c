#include "embedded_items.h"

#include <assert.h>

#include "weir/alloc.h"
#include "shared_engine.h"

#define BUCKETS_FIRST 64
/* What an item costs beside its own bytes: the allocator's header and rounding, its share of
 * buckets and heap (both double when full). */
#define ITEM_EXTRA 56

/* ---- by key ---- */

static struct embedded_item **bucket_of(const struct embedded_shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->bucket_count - 1)];
}

static uint64_t hash_of(const struct embedded_place *place, struct weir_span bytes)
{
    return weir_hash64(&place->secret, bytes.ptr, bytes.len);
}

static void grow_buckets(struct embedded_shard *s)
{
    struct embedded_item **old = s->buckets;
    size_t old_count = s->bucket_count, i;
    struct embedded_item **wider = weir_calloc(old_count * 2, sizeof(struct embedded_item *));

    if (wider == NULL)
        return; /* longer chains do no harm */
    s->buckets = wider;
    s->bucket_count = old_count * 2;
    for (i = 0; i < old_count; i++)
        while (old[i] != NULL) {
            struct embedded_item *it = old[i], **to = bucket_of(s, it->hash);

            old[i] = it->chain;
            it->chain = *to;
            *to = it;
        }
    weir_free(old);
}

/* ---- by time: a binary heap ---- */

static void heap_set(struct embedded_shard *s, size_t at, struct embedded_item *it)
{
    s->heap[at] = it;
    it->heap_at = at;
}

static void heap_settle(struct embedded_shard *s, size_t at)
{
    struct embedded_item *it = s->heap[at];

    while (at > 0 && s->heap[(at - 1) / 2]->expires_ms > it->expires_ms) {
        heap_set(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < s->heap_count &&
            s->heap[child + 1]->expires_ms < s->heap[child]->expires_ms)
            child++;
        if (child >= s->heap_count || s->heap[child]->expires_ms >= it->expires_ms)
            break;
        heap_set(s, at, s->heap[child]);
        at = child;
    }
    heap_set(s, at, it);
}

static void heap_remove(struct embedded_shard *s, struct embedded_item *it)
{
    size_t at = it->heap_at;
    struct embedded_item *last;

    if (at == SIZE_MAX)
        return;
    last = s->heap[--s->heap_count];
    it->heap_at = SIZE_MAX;
    if (last == it)
        return;
    heap_set(s, at, last);
    heap_settle(s, at);
}

/* Room for one more, so that heap_add() cannot fail. */
static bool heap_reserve(struct embedded_shard *s)
{
    size_t cap = s->heap_cap > 0 ? s->heap_cap * 2 : BUCKETS_FIRST;
    struct embedded_item **wider;

    if (s->heap_count < s->heap_cap)
        return true;
    wider = weir_realloc(s->heap, cap * sizeof(struct embedded_item *));
    if (wider == NULL)
        return false;
    s->heap = wider;
    s->heap_cap = cap;
    return true;
}

static void heap_add(struct embedded_shard *s, struct embedded_item *it)
{
    if (it->expires_ms == EMBEDDED_NEVER)
        return;
    heap_set(s, s->heap_count++, it);
    heap_settle(s, it->heap_at);
}

/* ---- by use ---- */

static void use_unlink(struct embedded_shard *s, struct embedded_item *it)
{
    *(it->newer != NULL ? &it->newer->older : &s->newest) = it->older;
    *(it->older != NULL ? &it->older->newer : &s->oldest) = it->newer;
}

static void use_link(struct embedded_place *place, struct embedded_shard *s,
                     struct embedded_item *it)
{
    it->used = atomic_fetch_add_explicit(&place->uses, 1, memory_order_relaxed);
    it->newer = NULL;
    it->older = s->newest;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = it;
    s->newest = it;
}

/* ---- room ---- */

/* Takes `bytes` of the place's room, or notes that they are lacking. */
static bool room_take(struct embedded_visit *v, size_t bytes)
{
    size_t had = atomic_load(&v->place->bytes);

    do {
        if (had + bytes > v->place->bytes_max) {
            v->lacking = bytes;
            return false;
        }
    } while (!atomic_compare_exchange_weak(&v->place->bytes, &had, had + bytes));
    return true;
}

static void room_give(struct embedded_place *place, size_t bytes)
{
    atomic_fetch_sub(&place->bytes, bytes);
}

static void drop_item(struct embedded_place *place, struct embedded_shard *s,
                      struct embedded_item *it)
{
    struct embedded_item **at = bucket_of(s, it->hash);

    while (*at != it)
        at = &(*at)->chain;
    *at = it->chain;
    s->count--;
    heap_remove(s, it);
    use_unlink(s, it);
    room_give(place, it->cost);
    it->drop(it);
}

static size_t drop_expired(struct embedded_place *place, struct embedded_shard *s, int64_t now_ms)
{
    size_t freed = 0;

    while (s->heap_count > 0 && s->heap[0]->expires_ms <= now_ms) {
        freed += s->heap[0]->cost;
        drop_item(place, s, s->heap[0]);
    }
    return freed;
}

static size_t sweep(struct embedded_place *place, int64_t now_ms)
{
    size_t freed = 0, i;

    for (i = 0; i < EMBEDDED_SHARDS; i++) {
        struct embedded_shard *s = &place->shards[i];

        pthread_mutex_lock(&s->lock);
        freed += drop_expired(place, s, now_ms);
        pthread_mutex_unlock(&s->lock);
    }
    return freed;
}

static struct embedded_shard *shard_of_oldest(struct embedded_place *place)
{
    struct embedded_shard *found = NULL;
    uint64_t least = UINT64_MAX;
    size_t i;

    for (i = 0; i < EMBEDDED_SHARDS; i++) {
        struct embedded_shard *s = &place->shards[i];

        pthread_mutex_lock(&s->lock);
        if (s->oldest != NULL && s->oldest->used < least) {
            least = s->oldest->used;
            found = s;
        }
        pthread_mutex_unlock(&s->lock);
    }
    return found;
}

/* Drops what was not used for the longest time; 0: there is nothing. */
static size_t evict_one(struct embedded_place *place)
{
    struct embedded_shard *s = shard_of_oldest(place);
    size_t freed = 0;

    if (s == NULL)
        return 0;
    pthread_mutex_lock(&s->lock);
    if (s->oldest != NULL) { /* else another thread was faster, and there is room now */
        freed = s->oldest->cost;
        drop_item(place, s, s->oldest);
    }
    pthread_mutex_unlock(&s->lock);
    return freed > 0 ? freed : 1;
}

static bool make_room(struct embedded_visit *v)
{
    size_t freed, one;

    if (v->lacking > v->place->bytes_max)
        return false; /* all of it would be thrown out in vain */
    freed = sweep(v->place, v->now_ms);
    while (v->place->evicts && freed < v->lacking && (one = evict_one(v->place)) > 0)
        freed += one;
    return freed > 0;
}

/* ---- the place ---- */

static bool shard_init(struct embedded_shard *s)
{
    s->buckets = weir_calloc(BUCKETS_FIRST, sizeof(struct embedded_item *));
    if (s->buckets == NULL)
        return false;
    s->bucket_count = BUCKETS_FIRST;
    pthread_mutex_init(&s->lock, NULL);
    return true;
}

bool embedded_place_init(struct embedded_place *place, size_t bytes_max, bool evicts,
                         struct weir_err *err)
{
    size_t i;

    *place = (struct embedded_place){.bytes_max = bytes_max, .evicts = evicts};
    if (!weir_hash_secret_draw(&place->secret, err))
        return false;
    for (i = 0; i < EMBEDDED_SHARDS; i++)
        if (!shard_init(&place->shards[i]))
            return weir_fail(err, WEIR_E_MEMORY, "shared: embedded", 0);
    return true;
}

void embedded_place_close(struct embedded_place *place)
{
    size_t i;

    for (i = 0; i < EMBEDDED_SHARDS; i++) {
        struct embedded_shard *s = &place->shards[i];

        if (s->buckets == NULL)
            continue; /* it was never made */
        while (s->oldest != NULL)
            drop_item(place, s, s->oldest);
        weir_free(s->buckets);
        weir_free(s->heap);
        s->buckets = NULL;
        pthread_mutex_destroy(&s->lock);
    }
}

void embedded_visit(struct embedded_visit *v, struct embedded_place *place, struct weir_span key,
                    int64_t now_ms)
{
    *v = (struct embedded_visit){.place = place, .now_ms = now_ms};
    v->shard = &place->shards[hash_of(place, shared_tag(key)) >> 32 & (EMBEDDED_SHARDS - 1)];
}

void embedded_lock(struct embedded_visit *v)
{
    v->lacking = 0;
    pthread_mutex_lock(&v->shard->lock);
    drop_expired(v->place, v->shard, v->now_ms);
}

bool embedded_unlock_again(struct embedded_visit *v)
{
    pthread_mutex_unlock(&v->shard->lock);
    return v->lacking > 0 && make_room(v);
}

static struct embedded_item *look_up(const struct embedded_shard *s, uint64_t hash,
                                     struct weir_span key)
{
    struct embedded_item *it = *bucket_of(s, hash);

    while (it != NULL && !(it->hash == hash && weir_span_eq(it->key, key)))
        it = it->chain;
    return it;
}

struct embedded_item *embedded_find(struct embedded_visit *v, struct weir_span key)
{
    struct embedded_item *it = look_up(v->shard, hash_of(v->place, key), key);

    if (it != NULL) {
        use_unlink(v->shard, it);
        use_link(v->place, v->shard, it);
    }
    return it;
}

struct embedded_item *embedded_item_new(size_t size, struct weir_span key, enum embedded_kind kind,
                                        size_t extra, void (*drop)(struct embedded_item *it))
{
    char *bytes = weir_calloc(1, size + key.len);
    struct embedded_item *it = (struct embedded_item *)(void *)bytes;

    if (it == NULL)
        return NULL;
    memcpy(bytes + size, key.ptr, key.len);
    it->key = weir_span(bytes + size, key.len);
    it->kind = kind;
    it->drop = drop;
    it->cost = size + key.len + extra + ITEM_EXTRA;
    it->heap_at = SIZE_MAX;
    return it;
}

bool embedded_insert(struct embedded_visit *v, struct embedded_item *it, int64_t expires_ms)
{
    struct embedded_shard *s = v->shard;
    struct embedded_item *old, **bucket;

    it->hash = hash_of(v->place, it->key);
    it->expires_ms = expires_ms;
    old = look_up(s, it->hash, it->key);
    if (!heap_reserve(s) || (it->cost > (old != NULL ? old->cost : 0) &&
                             !room_take(v, it->cost - (old != NULL ? old->cost : 0))))
        return false;
    if (old != NULL) {
        if (old->cost > it->cost)
            room_give(v->place, old->cost - it->cost);
        old->cost = 0; /* its room is the new one's */
        drop_item(v->place, s, old);
    }
    if (s->count >= s->bucket_count)
        grow_buckets(s);
    bucket = bucket_of(s, it->hash);
    it->chain = *bucket;
    *bucket = it;
    s->count++;
    heap_add(s, it);
    use_link(v->place, s, it);
    return true;
}

void embedded_remove(struct embedded_visit *v, struct embedded_item *it)
{
    drop_item(v->place, v->shard, it);
}

void embedded_set_expiry(struct embedded_visit *v, struct embedded_item *it, int64_t expires_ms)
{
    assert(it->heap_at != SIZE_MAX && expires_ms != EMBEDDED_NEVER);
    it->expires_ms = expires_ms;
    heap_settle(v->shard, it->heap_at);
}

bool embedded_grow(struct embedded_visit *v, struct embedded_item *it, size_t bytes)
{
    if (!room_take(v, bytes))
        return false;
    it->cost += bytes;
    return true;
}

void embedded_shrink(struct embedded_visit *v, struct embedded_item *it, size_t bytes)
{
    it->cost -= bytes;
    room_give(v->place, bytes);
}
