#include "limit_table.h"

#include <pthread.h>
#include <string.h>

#include "weir/alloc.h"

#define SHARDS  64
#define BUCKETS 512 /* a shard: chains of four when the table is full */
#define LOOK    8   /* how many of the oldest are looked at for one that is idle */
#define SWEEP   2   /* idle ones that go when a new one comes */

struct entry {
    struct entry *next;          /* in its bucket */
    struct entry *older, *newer; /* by use */
    struct weir_hash128 key;
    struct limit_cell cell;
};

struct limit_shard {
    pthread_mutex_t lock;
    size_t count, max;
    uint64_t evicted;
    struct entry *oldest, *newest;
    struct entry *bucket[BUCKETS];
};

struct limit_table {
    struct limit_shard shard[SHARDS];
};

struct limit_table *limit_table_new(size_t cells_max, struct weir_err *err)
{
    struct limit_table *t = weir_calloc(1, sizeof *t);

    if (t == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "limits: table", 0);
        return NULL;
    }
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&t->shard[i].lock, NULL);
        t->shard[i].max = cells_max / SHARDS;
    }
    return t;
}

void limit_table_free(struct limit_table *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < SHARDS; i++) {
        for (struct entry *e = t->shard[i].oldest, *next; e != NULL; e = next) {
            next = e->newer;
            weir_free(e);
        }
        pthread_mutex_destroy(&t->shard[i].lock);
    }
    weir_free(t);
}

struct limit_shard *limit_table_enter(struct limit_table *t, const struct weir_hash128 *key)
{
    struct limit_shard *s = &t->shard[key->hi % SHARDS];

    pthread_mutex_lock(&s->lock);
    return s;
}

void limit_shard_leave(struct limit_shard *s)
{
    pthread_mutex_unlock(&s->lock);
}

/* ---- by use ---- */

static void unlink_use(struct limit_shard *s, struct entry *e)
{
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &s->newest) = e->older;
}

static void link_newest(struct limit_shard *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

/* ---- by key ---- */

static struct entry **place_of(struct limit_shard *s, const struct weir_hash128 *key)
{
    struct entry **at = &s->bucket[key->lo % BUCKETS];

    while (*at != NULL && ((*at)->key.lo != key->lo || (*at)->key.hi != key->hi))
        at = &(*at)->next;
    return at;
}

/* Out of the shard: the caller's. */
static void take_out(struct limit_shard *s, struct entry *e)
{
    struct entry **at = place_of(s, &e->key);

    *at = e->next;
    unlink_use(s, e);
    s->count--;
}

static bool pinned(const struct entry *e)
{
    return e->cell.asking || e->cell.first != NULL;
}

/* One of the oldest, if one may go: idle rather than not. */
static struct entry *victim(struct limit_shard *s, int64_t now_us)
{
    struct entry *e = s->oldest, *free_one = NULL;

    for (int i = 0; i < LOOK && e != NULL; i++, e = e->newer) {
        if (limit_cell_idle(&e->cell, now_us))
            return e;
        if (free_one == NULL && !pinned(e))
            free_one = e;
    }
    s->evicted += free_one != NULL;
    return free_one;
}

static void sweep(struct limit_shard *s, int64_t now_us)
{
    struct entry *e = s->oldest, *newer;

    for (int i = 0; i < SWEEP && e != NULL && limit_cell_idle(&e->cell, now_us); i++, e = newer) {
        newer = e->newer;
        take_out(s, e);
        weir_free(e);
    }
}

/* Memory for a new one: that of another, or fresh. */
static struct entry *room(struct limit_shard *s, int64_t now_us)
{
    struct entry *e;

    if (s->count < s->max) {
        sweep(s, now_us);
        return weir_malloc(sizeof *e);
    }
    e = victim(s, now_us);
    if (e != NULL)
        take_out(s, e);
    return e != NULL ? e : weir_malloc(sizeof *e); /* those that wait are few */
}

struct limit_cell *limit_shard_find(struct limit_shard *s, const struct weir_hash128 *key)
{
    struct entry *e = *place_of(s, key);

    return e != NULL ? &e->cell : NULL;
}

struct limit_cell *limit_shard_cell(struct limit_shard *s, const struct weir_hash128 *key,
                                    int64_t now_us)
{
    struct entry *e = *place_of(s, key), **at;

    if (e != NULL) {
        unlink_use(s, e);
        link_newest(s, e);
        return &e->cell;
    }
    e = room(s, now_us);
    if (e == NULL)
        return NULL;
    memset(e, 0, sizeof *e);
    e->key = *key;
    at = &s->bucket[key->lo % BUCKETS];
    e->next = *at;
    *at = e;
    link_newest(s, e);
    s->count++;
    return &e->cell;
}

void limit_table_stats(struct limit_table *t, struct limit_table_stats *out)
{
    *out = (struct limit_table_stats){0};
    for (int i = 0; i < SHARDS; i++) {
        struct limit_shard *s = &t->shard[i];

        pthread_mutex_lock(&s->lock);
        out->used += s->count;
        out->max += s->max;
        out->evicted += s->evicted;
        pthread_mutex_unlock(&s->lock);
    }
}
