#include "inflight.h"

#include <pthread.h>
#include <string.h>

#include "weir/alloc.h"

#define SHARDS  64
#define BUCKETS 64

struct shard {
    pthread_mutex_t lock;
    struct fill *bucket[BUCKETS];
};

struct inflight {
    struct shard shard[SHARDS];
};

struct inflight *inflight_new(struct weir_err *err)
{
    struct inflight *t = weir_calloc(1, sizeof *t);

    if (t == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "inflight: create", 0);
        return NULL;
    }
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&t->shard[i].lock, NULL);
    return t;
}

void inflight_free(struct inflight *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&t->shard[i].lock);
    weir_free(t);
}

static struct shard *shard_of(struct inflight *t, struct weir_hash128 hash)
{
    return &t->shard[hash.hi % SHARDS];
}

static struct fill **bucket_of(struct shard *s, struct weir_hash128 hash)
{
    return &s->bucket[hash.lo % BUCKETS];
}

static bool has_key(const struct fill *f, struct weir_hash128 hash, struct weir_span key)
{
    return f->hash.lo == hash.lo && f->hash.hi == hash.hi && weir_span_eq(f->key, key);
}

/* The shard is locked. */
static void link_fill(struct fill **head, struct fill *f)
{
    f->shared = true;
    f->next_inflight = *head;
    *head = fill_ref(f);
    f->joinable = true;
}

/* Was it begun before a purge that covers it? Its response may be older than that. */
static bool is_purged(struct fill *f)
{
    int64_t since_s;

    return f->purges != NULL && purge_check(f->purges, &f->purge, &since_s) != PURGE_VALID;
}

struct fill *inflight_join(struct inflight *t, struct fill *fresh, const struct http_head *request)
{
    struct shard *s = shard_of(t, fresh->hash);
    struct fill **head = bucket_of(s, fresh->hash), *f;

    pthread_mutex_lock(&s->lock);
    for (f = *head; f != NULL; f = f->next_inflight)
        if (has_key(f, fresh->hash, fresh->key) &&
            (f->variant.ptr == NULL || vary_matches(f->variant, request)) && !is_purged(f))
            break;
    if (f != NULL)
        fill_ref(f);
    else
        link_fill(head, fresh);
    pthread_mutex_unlock(&s->lock);
    return f;
}

/* The shard is locked; f is in it. */
static void unlink_fill(struct shard *s, struct fill *f)
{
    struct fill **at = bucket_of(s, f->hash);

    while (*at != f)
        at = &(*at)->next_inflight;
    *at = f->next_inflight;
    f->joinable = false;
}

bool inflight_remove(struct inflight *t, struct fill *f)
{
    struct shard *s = shard_of(t, f->hash);

    if (!f->joinable) /* only the owner, who calls this, changes it */
        return false;
    pthread_mutex_lock(&s->lock);
    unlink_fill(s, f);
    pthread_mutex_unlock(&s->lock);
    fill_unref(f);
    return true;
}

size_t inflight_count(struct inflight *t)
{
    size_t n = 0;

    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&t->shard[i].lock);
        for (int b = 0; b < BUCKETS; b++)
            for (struct fill *f = t->shard[i].bucket[b]; f != NULL; f = f->next_inflight)
                n++;
        pthread_mutex_unlock(&t->shard[i].lock);
    }
    return n;
}

void inflight_tags(struct inflight *t, struct fill *f, const uint64_t *tags, uint32_t count)
{
    struct shard *s = shard_of(t, f->hash);

    pthread_mutex_lock(&s->lock);
    f->purge.tags = tags;
    f->purge.tag_count = count;
    /* What was found valid without them was found too early. */
    atomic_store_explicit(&f->purge.checked, 0, memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
}

/* Enters it where its key says; takes a reference. */
static void enter(struct inflight *t, struct fill *f)
{
    struct shard *s = shard_of(t, f->hash);

    pthread_mutex_lock(&s->lock);
    link_fill(bucket_of(s, f->hash), f);
    pthread_mutex_unlock(&s->lock);
}

bool inflight_move(struct inflight *t, struct fill *f, const struct cache_key *key,
                   struct weir_span asked, uint64_t url)
{
    char *copy = f->joinable || f->alone ? weir_malloc(key->bytes.len + asked.len + 1) : NULL;

    if (copy == NULL)
        return false;
    fill_ref(f); /* the table may have held the last but one */
    memcpy(copy, key->bytes.ptr, key->bytes.len);
    if (asked.len > 0)
        memcpy(copy + key->bytes.len, asked.ptr, asked.len);
    inflight_remove(t, f);
    /* Nobody finds it now, and who reads it does not look at its key before it is open. */
    f->key = weir_span(copy, key->bytes.len);
    f->hash = key->hash;
    f->asked = weir_span(asked.ptr != NULL ? copy + key->bytes.len : NULL, asked.len);
    f->moved = copy;
    if (f->purges != NULL) {
        purge_watch(f->purges, url);
        purge_unwatch(f->purges, f->purge.url);
        f->purge.url = url;
        atomic_store_explicit(&f->purge.checked, 0, memory_order_relaxed);
    }
    if (!f->alone)
        enter(t, f);
    fill_unref(f);
    return true;
}

bool inflight_variant(struct inflight *t, struct fill *f, const struct vary_spec *vary,
                      struct weir_span variant)
{
    struct shard *s = shard_of(t, f->hash);
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = fill_set_variant(f, vary, variant);
    pthread_mutex_unlock(&s->lock);
    if (!ok)
        inflight_remove(t, f);
    else if (f->alone)
        enter(t, f);
    f->alone = f->alone && !ok;
    return ok;
}
