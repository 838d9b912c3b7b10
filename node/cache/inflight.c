#include "inflight.h"

#include <pthread.h>

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

static struct shard *shard_of(struct inflight *t, const struct fill *f)
{
    return &t->shard[f->hash.hi % SHARDS];
}

static struct fill **bucket_of(struct shard *s, const struct fill *f)
{
    return &s->bucket[f->hash.lo % BUCKETS];
}

static bool same_key(const struct fill *a, const struct fill *b)
{
    return a->hash.lo == b->hash.lo && a->hash.hi == b->hash.hi && weir_span_eq(a->key, b->key);
}

struct fill *inflight_join(struct inflight *t, struct fill *fresh, const struct http_head *request)
{
    struct shard *s = shard_of(t, fresh);
    struct fill **head = bucket_of(s, fresh), *f;

    pthread_mutex_lock(&s->lock);
    for (f = *head; f != NULL; f = f->next_inflight)
        if (same_key(f, fresh) && (f->variant.ptr == NULL || vary_matches(f->variant, request)))
            break;
    if (f != NULL) {
        fill_ref(f);
    } else {
        fresh->next_inflight = *head;
        *head = fill_ref(fresh);
        fresh->joinable = true;
    }
    pthread_mutex_unlock(&s->lock);
    return f;
}

/* The shard is locked. */
static bool unlink_fill(struct shard *s, struct fill *f)
{
    struct fill **at = bucket_of(s, f);

    if (!f->joinable)
        return false;
    while (*at != f)
        at = &(*at)->next_inflight;
    *at = f->next_inflight;
    f->joinable = false;
    return true;
}

void inflight_remove(struct inflight *t, struct fill *f)
{
    struct shard *s = shard_of(t, f);
    bool was_in;

    pthread_mutex_lock(&s->lock);
    was_in = unlink_fill(s, f);
    pthread_mutex_unlock(&s->lock);
    if (was_in)
        fill_unref(f);
}

bool inflight_variant(struct inflight *t, struct fill *f, const struct vary_spec *vary,
                      struct weir_span variant)
{
    struct shard *s = shard_of(t, f);
    bool ok, removed = false;

    pthread_mutex_lock(&s->lock);
    ok = fill_set_variant(f, vary, variant);
    if (!ok)
        removed = unlink_fill(s, f);
    pthread_mutex_unlock(&s->lock);
    if (removed)
        fill_unref(f);
    return ok;
}
