#include "tier.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "weir/alloc.h"

#include "purge.h"
#include "stored.h"

/*
 * Why mutexes and not RCU on the look-up path: an uncontended lock costs two atomic operations, no
 * more than taking the reference does; 256 shards keep it uncontended; and ThreadSanitizer can
 * prove it right.
 *
 * Why the queues are cut into shards but judged as a whole: bodies differ by four orders of
 * magnitude, so a fixed share of the bytes for each shard would throw a large response out for
 * where its hash fell. Instead the queue to evict from is chosen by the sums over all shards, and
 * the hand that evicts goes round the shards that hold at least their share of that queue's
 * responses, which keeps the order near that of one queue.
 *
 * Locks are never nested: a shard's lock is held for one bounded step on that shard, and what the
 * step drops is released after it.
 */

#define SHARDS_DEFAULT   256
#define SHARDS_MAX       4096
#define VARIANTS_DEFAULT 16

#define FREQ_MAX      3
#define LARGE_BYTES   65536 /* beyond it one use more is asked for before promotion */
#define SMALL_DIVISOR 10    /* the small queue's part of the bytes */
#define SMALL_FLOOR   64    /* responses it may always hold, but no more than half of all */

/* Evictions one put may cause: some, and one more for each so many bytes of the response, so that
 * the work stays below that of having received it. */
#define EVICTIONS_PER_PUT  8
#define BYTES_PER_EVICTION 4096
#define STEPS_MAX          256 /* per eviction; then the next in line goes whatever its uses */

#define DEAD_PER_FIND 4 /* dropped at most by one look-up */

#define BUCKETS_START 16 /* a power of two, at least GHOST_WAYS */
#define GHOST_WAYS    8  /* slots of one set: a cache line */

enum { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN, QUEUE_LEFT, QUEUES };

struct queue {
    struct stored_response *newest, *oldest;
    atomic_size_t count; /* written under the lock, read by the evicting hand without it */
};

struct ghost_slot {
    uint32_t fingerprint; /* 0: never used */
    uint32_t when;        /* shard.ghosts when it left */
};

/* One allocation: `size` buckets and as many ghost slots. */
struct shard_index {
    size_t size;
    struct ghost_slot *ghost;
    struct stored_response *bucket[];
};

/* Forms of the responses in one shard. A use only marks; the hand that drops moves. */
struct form_list {
    struct stored_form *newest, *oldest;
    atomic_size_t count; /* as in struct queue */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct shard_index *index;
    size_t count;
    size_t markers;             /* of `count` */
    struct queue queue[QUEUES]; /* SMALL and MAIN are used */
    uint32_t ghosts;            /* left so far: the ghosts' clock */
    struct form_list forms;
    uint64_t hits, misses, puts, evictions, ghost_hits, purged, form_drops;
};

struct tier {
    struct stored_account *account;
    struct purge_table *purges; /* NULL: none */
    atomic_size_t object_max_bytes;
    unsigned variants;
    unsigned shard_count;
    unsigned shard_shift; /* the highest bits of hash.hi are the shard's number */
    void *shard_memory;
    struct shard *shard; /* in shard_memory, on a cache line */

    char apart[64];              /* from what a look-up reads: a put writes the rest */
    atomic_size_t bytes[QUEUES]; /* sums over the shards */
    atomic_size_t count[QUEUES];
    atomic_size_t form_bytes, form_count;
    atomic_size_t hand;      /* shard that evicts next */
    atomic_size_t form_hand; /* shard that drops a form next */
    atomic_ullong refused;
};

static size_t get(const atomic_size_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add(atomic_size_t *n, size_t by)
{
    atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

static void sub(atomic_size_t *n, size_t by)
{
    atomic_fetch_sub_explicit(n, by, memory_order_relaxed);
}

static struct shard *shard_of(struct tier *t, struct weir_hash128 hash)
{
    return &t->shard[t->shard_count > 1 ? hash.hi >> t->shard_shift : 0];
}

static bool same_key(const struct stored_response *r, struct weir_hash128 hash,
                     struct weir_span key)
{
    return r->hash.lo == hash.lo && r->hash.hi == hash.hi && weir_span_eq(r->key, key);
}

/* ---- queues ---- */

static void queue_push(struct tier *t, struct shard *s, struct stored_response *r, uint8_t which)
{
    struct queue *q = &s->queue[which];

    r->links.queue = which;
    r->links.newer = NULL;
    r->links.older = q->newest;
    if (q->newest != NULL)
        q->newest->links.newer = r;
    else
        q->oldest = r;
    q->newest = r;
    add(&q->count, 1);
    add(&t->count[which], 1);
    add(&t->bytes[which], r->cost_bytes);
}

static void queue_remove(struct tier *t, struct shard *s, struct stored_response *r)
{
    struct queue *q = &s->queue[r->links.queue];

    if (r->links.newer != NULL)
        r->links.newer->links.older = r->links.older;
    else
        q->newest = r->links.older;
    if (r->links.older != NULL)
        r->links.older->links.newer = r->links.newer;
    else
        q->oldest = r->links.newer;
    sub(&q->count, 1);
    sub(&t->count[r->links.queue], 1);
    sub(&t->bytes[r->links.queue], r->cost_bytes);
}

/* ---- ghosts: who left the small queue lately ---- */

/* By key, not by variant: a key worth keeping is worth it in each of its forms. */
static uint32_t fingerprint_of(struct weir_hash128 hash)
{
    uint32_t f = (uint32_t)hash.hi;

    return f != 0 ? f : 1;
}

static struct ghost_slot *ghost_set(const struct shard_index *x, uint32_t fingerprint)
{
    return x->ghost + (fingerprint & (x->size / GHOST_WAYS - 1)) * GHOST_WAYS;
}

/* Worth 90 % of what is stored. (Of main alone there would be none while main is still empty.) */
static uint32_t ghost_capacity(const struct shard *s)
{
    return (uint32_t)(s->count - s->count / 10);
}

/* Into the slot of this set that has been out of use the longest. */
static void ghost_put(struct shard_index *x, uint32_t now, struct ghost_slot g)
{
    struct ghost_slot *set = ghost_set(x, g.fingerprint), *to = set;

    for (int i = 0; i < GHOST_WAYS && to->fingerprint != 0; i++)
        if (set[i].fingerprint == 0 || now - set[i].when > now - to->when)
            to = &set[i];
    *to = g;
}

static void ghost_add(struct shard *s, uint32_t fingerprint)
{
    s->ghosts++;
    ghost_put(s->index, s->ghosts, (struct ghost_slot){fingerprint, s->ghosts});
}

/* True if it is remembered; it is forgotten then. */
static bool ghost_take(struct shard *s, uint32_t fingerprint)
{
    struct ghost_slot *set = ghost_set(s->index, fingerprint);

    for (int i = 0; i < GHOST_WAYS; i++) {
        if (set[i].fingerprint != fingerprint || s->ghosts - set[i].when >= ghost_capacity(s))
            continue;
        set[i].fingerprint = 0;
        return true;
    }
    return false;
}

/* ---- index ---- */

static struct shard_index *index_new(size_t size)
{
    size_t ghosts_at =
        offsetof(struct shard_index, bucket) + size * sizeof(struct stored_response *);
    struct shard_index *x = weir_calloc(1, ghosts_at + size * sizeof(struct ghost_slot));

    if (x == NULL)
        return NULL;
    x->size = size;
    x->ghost = (struct ghost_slot *)((char *)x + ghosts_at);
    return x;
}

static struct stored_response **bucket_of(struct shard_index *x, struct weir_hash128 hash)
{
    return &x->bucket[hash.lo & (x->size - 1)];
}

/* To the front: of one key, the newest is met first. */
static void index_add(struct shard *s, struct stored_response *r)
{
    struct stored_response **b = bucket_of(s->index, r->hash);

    r->links.chain = *b;
    *b = r;
    s->count++;
    s->markers += r->kind == STORED_MARKER;
}

static void index_remove(struct shard *s, struct stored_response *r)
{
    struct stored_response **at = bucket_of(s->index, r->hash);

    while (*at != r)
        at = &(*at)->links.chain;
    *at = r->links.chain;
    s->count--;
    s->markers -= r->kind == STORED_MARKER;
}

/* Splits each chain in two, keeping its order. */
static void index_move(struct shard_index *to, struct shard_index *from, uint32_t now)
{
    for (size_t i = 0; i < from->size; i++) {
        struct stored_response **low = &to->bucket[i], **high = &to->bucket[i + from->size];

        for (struct stored_response *r = from->bucket[i]; r != NULL; r = r->links.chain) {
            struct stored_response ***tail = (r->hash.lo & from->size) != 0 ? &high : &low;

            **tail = r;
            *tail = &r->links.chain;
        }
        *low = *high = NULL;
        if (from->ghost[i].fingerprint != 0)
            ghost_put(to, now, from->ghost[i]);
    }
}

/* Doubles the index of a shard that outgrew it. Without memory its chains just become longer. */
static void shard_grow(struct shard *s, size_t size)
{
    struct shard_index *bigger = index_new(size * 2), *spare = bigger;

    if (bigger == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    if (s->index->size == size) { /* else another thread was faster */
        spare = s->index;
        index_move(bigger, spare, s->ghosts);
        s->index = bigger;
    }
    pthread_mutex_unlock(&s->lock);
    weir_free(spare);
}

/* ---- forms ---- */

static void form_link(struct tier *t, struct shard *s, struct stored_forms *in,
                      struct stored_form *f)
{
    struct form_list *l = &s->forms;

    f->in = in;
    f->newer = NULL;
    f->older = l->newest;
    if (l->newest != NULL)
        l->newest->newer = f;
    else
        l->oldest = f;
    l->newest = f;
    add(&l->count, 1);
    add(&t->form_count, 1);
    add(&t->form_bytes, f->cost_bytes);
}

static void form_unlink(struct tier *t, struct shard *s, struct stored_form *f)
{
    struct form_list *l = &s->forms;

    if (f->newer != NULL)
        f->newer->older = f->older;
    else
        l->newest = f->older;
    if (f->older != NULL)
        f->older->newer = f->newer;
    else
        l->oldest = f->newer;
    f->in = NULL;
    sub(&l->count, 1);
    sub(&t->form_count, 1);
    sub(&t->form_bytes, f->cost_bytes);
}

/* r comes into the tier: the forms of its content come with it. */
static void forms_enter(struct tier *t, struct shard *s, struct stored_response *r)
{
    struct stored_forms *forms = r->forms;

    if (forms == NULL || forms->holder != NULL)
        return;
    forms->holder = r;
    for (int c = 0; c < CODINGS; c++)
        if (forms->form[c] != NULL)
            form_link(t, s, forms, forms->form[c]);
}

/* r leaves. Its forms stay with the content, for a head that may follow, or until that goes. */
static void forms_leave(struct tier *t, struct shard *s, struct stored_response *r)
{
    struct stored_forms *forms = r->forms;

    if (forms == NULL || forms->holder != r)
        return;
    forms->holder = NULL;
    for (int c = 0; c < CODINGS; c++)
        if (forms->form[c] != NULL)
            form_unlink(t, s, forms->form[c]);
}

/* Looks at the oldest form of a shard: returns it, out of the tier, or NULL if it earned to stay.
 */
static struct stored_form *form_drop_step(struct tier *t, struct shard *s)
{
    struct stored_form *f = s->forms.oldest;
    struct stored_forms *in = f != NULL ? f->in : NULL;

    if (f == NULL)
        return NULL;
    form_unlink(t, s, f);
    if (f->used) {
        f->used = false;
        form_link(t, s, in, f);
        return NULL;
    }
    in->form[f->coding] = NULL;
    s->form_drops++;
    return f;
}

/* Drops one form if the next in line was not used lately. */
static bool drop_form(struct tier *t)
{
    struct stored_form *f;
    struct shard *s = NULL;

    if (get(&t->form_count) == 0)
        return false;
    for (unsigned i = 0; i < t->shard_count && s == NULL; i++) {
        size_t at = atomic_fetch_add_explicit(&t->form_hand, 1, memory_order_relaxed);

        s = &t->shard[at & (t->shard_count - 1)];
        if (get(&s->forms.count) == 0)
            s = NULL;
    }
    if (s == NULL)
        return false;
    pthread_mutex_lock(&s->lock);
    f = form_drop_step(t, s);
    pthread_mutex_unlock(&s->lock);
    stored_form_unref(f);
    return f != NULL;
}

/* Takes it out for good; the caller releases the tier's reference when the lock is free again. */
static void unlink_response(struct tier *t, struct shard *s, struct stored_response *r)
{
    forms_leave(t, s, r);
    index_remove(s, r);
    queue_remove(t, s, r);
    r->links.queue = QUEUE_LEFT;
}

/* ---- eviction ---- */

static int queue_to_evict(const struct tier *t)
{
    size_t small = get(&t->count[QUEUE_SMALL]), main = get(&t->count[QUEUE_MAIN]);
    size_t limit = get(&t->account->limit_bytes);
    /* Half at most: what was just promoted must not be what is evicted next. */
    size_t floor = (small + main) / 2 < SMALL_FLOOR ? (small + main) / 2 : SMALL_FLOOR;

    if (small == 0)
        return main > 0 ? QUEUE_MAIN : QUEUE_NONE;
    if (main == 0)
        return QUEUE_SMALL;
    return get(&t->bytes[QUEUE_SMALL]) > limit / SMALL_DIVISOR && small > floor ? QUEUE_SMALL
                                                                                : QUEUE_MAIN;
}

/* The next shard in turn that holds its share of the queue; NULL if all are empty. */
static struct shard *shard_to_evict(struct tier *t, int which)
{
    size_t share = get(&t->count[which]) / t->shard_count;
    struct shard *some = NULL;

    for (unsigned i = 0; i < t->shard_count; i++) {
        size_t at = atomic_fetch_add_explicit(&t->hand, 1, memory_order_relaxed);
        struct shard *s = &t->shard[at & (t->shard_count - 1)];
        size_t count = get(&s->queue[which].count);

        if (count == 0)
            continue;
        if (count >= share)
            return s;
        some = s;
    }
    return some;
}

/* Looks at the oldest of a queue: returns it, out of the tier, or NULL if it earned to stay. */
static struct stored_response *evict_step(struct tier *t, struct shard *s, int which, bool force)
{
    struct stored_response *r = s->queue[which].oldest;
    int uses = r != NULL && r->cost_bytes > LARGE_BYTES && which == QUEUE_SMALL ? 2 : 1;

    if (r == NULL)
        return NULL;
    if (r->links.freq >= uses && !force) {
        queue_remove(t, s, r);
        r->links.freq = which == QUEUE_MAIN ? r->links.freq - 1 : 0;
        queue_push(t, s, r, QUEUE_MAIN);
        return NULL;
    }
    unlink_response(t, s, r);
    if (which == QUEUE_SMALL)
        ghost_add(s, fingerprint_of(r->hash));
    s->evictions++;
    return r;
}

/* False when there is nothing left to evict. */
static bool evict_one(struct tier *t)
{
    for (unsigned step = 1;; step++) {
        int which = queue_to_evict(t);
        struct shard *s = which != QUEUE_NONE ? shard_to_evict(t, which) : NULL;
        struct stored_response *r;

        if (s == NULL)
            return false;
        pthread_mutex_lock(&s->lock);
        r = evict_step(t, s, which, step >= STEPS_MAX);
        pthread_mutex_unlock(&s->lock);
        if (r != NULL) {
            stored_response_unref(r);
            return true;
        }
    }
}

/* What can be made again goes first. False when there is nothing left to drop or evict. */
static bool make_room(struct tier *t)
{
    return drop_form(t) || evict_one(t);
}

/* Could so many bytes fit if everything that can be evicted were? If not, evicting would only empty
 * the tier. */
static bool room_possible(const struct tier *t, size_t need)
{
    size_t limit = get(&t->account->limit_bytes), charged = get(&t->account->bytes);
    size_t stored = get(&t->bytes[QUEUE_SMALL]) + get(&t->bytes[QUEUE_MAIN]) + get(&t->form_bytes);
    size_t pinned = charged > stored ? charged - stored : 0;

    return need <= limit && pinned <= limit - need;
}

/* How many evictions something of this cost may cause. */
static size_t evictions_for(size_t cost)
{
    return EVICTIONS_PER_PUT + cost / BYTES_PER_EVICTION;
}

/* Charges r, evicting first what must go. */
static bool charge_with_room(struct tier *t, struct stored_response *r)
{
    size_t evictions = evictions_for(r->cost_bytes);

    while (!stored_response_charge(r, t->account))
        if (evictions-- == 0 || !room_possible(t, stored_response_uncharged(r)) || !make_room(t))
            return false;
    return true;
}

static bool charge_form_with_room(struct tier *t, struct stored_form *f)
{
    size_t evictions = evictions_for(f->cost_bytes);

    while (!stored_form_charge(f, t->account))
        if (evictions-- == 0 || !room_possible(t, stored_form_uncharged(f)) || !make_room(t))
            return false;
    return true;
}

/* ---- the door ---- */

/* Is it past all use? */
static bool is_dead(const struct tier *t, struct stored_response *r)
{
    int64_t since_s;

    if (t->purges == NULL)
        return false;
    switch (purge_check(t->purges, &r->purge, &since_s)) {
    case PURGE_DEAD:
        return true;
    case PURGE_STALE:
        return r->kind == STORED_MARKER;
    case PURGE_VALID:
        break;
    }
    return false;
}

struct stored_response *tier_find(struct tier *t, struct weir_hash128 hash, struct weir_span key,
                                  tier_match *match, void *arg, unsigned *variants_seen)
{
    struct shard *s = shard_of(t, hash);
    struct stored_response *r, *next, *dead[DEAD_PER_FIND];
    unsigned seen = 0, dead_count = 0;

    pthread_mutex_lock(&s->lock);
    for (r = *bucket_of(s->index, hash); r != NULL; r = next) {
        next = r->links.chain;
        if (!same_key(r, hash, key))
            continue;
        if (is_dead(t, r)) {
            if (dead_count == DEAD_PER_FIND)
                continue; /* somebody will pass again */
            unlink_response(t, s, r);
            s->purged++;
            dead[dead_count++] = r;
            continue;
        }
        seen += r->kind == STORED_RESPONSE;
        if (match == NULL || match(r, arg))
            break;
    }
    if (r != NULL) {
        stored_response_ref(r);
        if (r->links.freq < FREQ_MAX)
            r->links.freq++;
        s->hits++;
    } else {
        s->misses++;
    }
    pthread_mutex_unlock(&s->lock);
    while (dead_count > 0)
        stored_response_unref(dead[--dead_count]);
    if (variants_seen != NULL)
        *variants_seen = seen;
    return r;
}

size_t tier_list(struct tier *t, struct weir_hash128 hash, struct weir_span key,
                 struct tier_seen *out, size_t max)
{
    struct shard *s = shard_of(t, hash);
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    for (struct stored_response *r = *bucket_of(s->index, hash); r != NULL && n < max;
         r = r->links.chain)
        if (same_key(r, hash, key))
            out[n++] = (struct tier_seen){stored_response_ref(r), r->links.queue == QUEUE_MAIN,
                                          r->links.freq};
    pthread_mutex_unlock(&s->lock);
    return n;
}

/*
 * Makes place among those of r's key: takes out the one that r replaces (then *standing is what it
 * had reached), else the oldest, a marker before a response, if there are as many as may be.
 * Returns what was taken out, or NULL.
 */
static struct stored_response *make_place(struct tier *t, struct shard *s,
                                          const struct stored_response *r,
                                          struct stored_links *standing)
{
    struct stored_response *out = NULL;
    unsigned variants = 0;

    for (struct stored_response *at = *bucket_of(s->index, r->hash); at != NULL;
         at = at->links.chain) {
        if (!same_key(at, r->hash, r->key))
            continue;
        variants++;
        if (out == NULL || out->kind != STORED_MARKER || at->kind == STORED_MARKER)
            out = at;
        if (weir_span_eq(at->vary, r->vary) && weir_span_eq(at->variant, r->variant)) {
            *standing = at->links;
            unlink_response(t, s, at);
            return at;
        }
    }
    if (variants < t->variants)
        return NULL;
    assert(out != NULL); /* t->variants is at least 1 */
    unlink_response(t, s, out);
    return out;
}

/* Links r; returns what had to leave for it, or NULL. */
static struct stored_response *shard_put(struct tier *t, struct shard *s, struct stored_response *r)
{
    struct stored_links standing = {.queue = QUEUE_NONE};
    struct stored_response *out = make_place(t, s, r, &standing);

    if (standing.queue == QUEUE_NONE && ghost_take(s, fingerprint_of(r->hash))) {
        standing.queue = QUEUE_MAIN;
        s->ghost_hits++;
    }
    r->links.freq = standing.freq;
    index_add(s, stored_response_ref(r));
    queue_push(t, s, r, standing.queue == QUEUE_MAIN ? QUEUE_MAIN : QUEUE_SMALL);
    forms_enter(t, s, r);
    s->puts++;
    return out;
}

/* r can be looked up. */
static bool is_in(const struct stored_response *r)
{
    return r->links.queue == QUEUE_SMALL || r->links.queue == QUEUE_MAIN;
}

/* old NULL: whatever is there. */
static bool put(struct tier *t, struct stored_response *old, struct stored_response *r)
{
    struct shard *s = shard_of(t, r->hash);
    size_t max = get(&t->object_max_bytes), grow = 0;
    struct stored_response *out = NULL;
    bool in;

    if ((max != 0 && r->cost_bytes > max) || !charge_with_room(t, r)) {
        atomic_fetch_add_explicit(&t->refused, 1, memory_order_relaxed);
        return false;
    }
    pthread_mutex_lock(&s->lock);
    if (r->links.queue == QUEUE_NONE && (old == NULL || is_in(old)))
        out = shard_put(t, s, r);
    in = is_in(r);
    if (s->count > s->index->size)
        grow = s->index->size;
    pthread_mutex_unlock(&s->lock);
    stored_response_unref(out);
    if (grow != 0)
        shard_grow(s, grow);
    return in;
}

bool tier_put(struct tier *t, struct stored_response *r)
{
    return put(t, NULL, r);
}

bool tier_replace(struct tier *t, struct stored_response *old, struct stored_response *r)
{
    return put(t, old, r);
}

/* ---- forms: the door ---- */

void tier_look(struct tier *t, const struct stored_response *r,
               void (*look)(const struct stored_response *r, void *arg), void *arg)
{
    struct shard *s = shard_of(t, r->hash);

    pthread_mutex_lock(&s->lock);
    look(r, arg);
    pthread_mutex_unlock(&s->lock);
}

bool tier_put_form(struct tier *t, const struct stored_response *r, struct stored_form *f)
{
    struct shard *s = shard_of(t, r->hash);
    struct stored_forms *forms = r->forms;
    bool in;

    if (!charge_form_with_room(t, f))
        return false;
    pthread_mutex_lock(&s->lock);
    in = forms->holder != NULL && forms->form[f->coding] == NULL;
    if (in) {
        forms->form[f->coding] = stored_form_ref(f);
        form_link(t, s, forms, f);
    }
    pthread_mutex_unlock(&s->lock);
    return in;
}

void tier_put_useless(struct tier *t, const struct stored_response *r, enum coding c)
{
    struct shard *s = shard_of(t, r->hash);

    pthread_mutex_lock(&s->lock);
    r->forms->useless |= (uint8_t)(1U << c);
    pthread_mutex_unlock(&s->lock);
}

struct stored_response *tier_holder(struct tier *t, const struct stored_response *r)
{
    struct shard *s = shard_of(t, r->hash);
    struct stored_response *holder;

    pthread_mutex_lock(&s->lock);
    holder = r->forms->holder;
    if (holder != NULL)
        stored_response_ref(holder);
    pthread_mutex_unlock(&s->lock);
    return holder;
}

size_t tier_forms(struct tier *t, const struct stored_response *r, struct stored_form *out[CODINGS])
{
    struct shard *s = shard_of(t, r->hash);
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    for (int c = 0; r->forms != NULL && c < CODINGS; c++)
        if (r->forms->form[c] != NULL)
            out[n++] = stored_form_ref(r->forms->form[c]);
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- leaving ---- */

bool tier_drop(struct tier *t, struct stored_response *r)
{
    struct shard *s = shard_of(t, r->hash);
    bool was_in;

    pthread_mutex_lock(&s->lock);
    if (!is_in(r) && r->forms != NULL && r->forms->holder != NULL)
        r = r->forms->holder;
    was_in = is_in(r);
    if (was_in)
        unlink_response(t, s, r);
    pthread_mutex_unlock(&s->lock);
    if (was_in)
        stored_response_unref(r);
    return was_in;
}

/* What has left for good is nobody's but ours: its links may carry a list out of the lock. */
static struct stored_response *unlink_onto(struct tier *t, struct shard *s,
                                           struct stored_response *r, struct stored_response *list)
{
    unlink_response(t, s, r);
    r->links.older = list;
    return r;
}

static size_t unref_list(struct stored_response *list)
{
    size_t n = 0;

    while (list != NULL) {
        struct stored_response *r = list;

        list = r->links.older;
        stored_response_unref(r);
        n++;
    }
    return n;
}

size_t tier_remove(struct tier *t, struct weir_hash128 hash, struct weir_span key)
{
    struct shard *s = shard_of(t, hash);
    struct stored_response *list = NULL, *r, *next;

    pthread_mutex_lock(&s->lock);
    for (r = *bucket_of(s->index, hash); r != NULL; r = next) {
        next = r->links.chain;
        if (same_key(r, hash, key))
            list = unlink_onto(t, s, r, list);
    }
    pthread_mutex_unlock(&s->lock);
    return unref_list(list);
}

static size_t shard_flush(struct tier *t, struct shard *s)
{
    struct stored_response *list = NULL;

    pthread_mutex_lock(&s->lock);
    for (int which = QUEUE_SMALL; which <= QUEUE_MAIN; which++)
        while (s->queue[which].oldest != NULL)
            list = unlink_onto(t, s, s->queue[which].oldest, list);
    memset(s->index->ghost, 0, s->index->size * sizeof(s->index->ghost[0]));
    pthread_mutex_unlock(&s->lock);
    return unref_list(list);
}

size_t tier_flush(struct tier *t)
{
    size_t n = 0;

    for (unsigned i = 0; i < t->shard_count; i++)
        n += shard_flush(t, &t->shard[i]);
    return n;
}

void tier_resize(struct tier *t, size_t memory_bytes, size_t object_max_bytes)
{
    atomic_store_explicit(&t->object_max_bytes, object_max_bytes, memory_order_relaxed);
    atomic_store_explicit(&t->account->limit_bytes, memory_bytes, memory_order_relaxed);
    while (get(&t->account->bytes) > memory_bytes)
        if (!make_room(t))
            break;
}

void tier_stats(struct tier *t, struct tier_stats *out)
{
    *out = (struct tier_stats){
        .limit_bytes = get(&t->account->limit_bytes),
        .bytes = get(&t->account->bytes),
        .small_bytes = get(&t->bytes[QUEUE_SMALL]),
        .main_bytes = get(&t->bytes[QUEUE_MAIN]),
        .responses = get(&t->count[QUEUE_SMALL]) + get(&t->count[QUEUE_MAIN]),
        .form_bytes = get(&t->form_bytes),
        .forms = get(&t->form_count),
        .refused = atomic_load_explicit(&t->refused, memory_order_relaxed),
    };
    out->stored_bytes = out->small_bytes + out->main_bytes;
    for (unsigned i = 0; i < t->shard_count; i++) {
        struct shard *s = &t->shard[i];

        pthread_mutex_lock(&s->lock);
        out->hits += s->hits;
        out->misses += s->misses;
        out->puts += s->puts;
        out->evictions += s->evictions;
        out->ghost_hits += s->ghost_hits;
        out->form_drops += s->form_drops;
        out->purged += s->purged;
        out->markers += s->markers;
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- birth and death ---- */

static bool shards_init(struct tier *t)
{
    uintptr_t at;

    t->shard_memory = weir_calloc(t->shard_count + 1, sizeof(struct shard));
    if (t->shard_memory == NULL)
        return false;
    at = ((uintptr_t)t->shard_memory + 63) & ~(uintptr_t)63;
    t->shard = (struct shard *)at;
    for (unsigned i = 0; i < t->shard_count; i++) {
        t->shard[i].index = index_new(BUCKETS_START);
        if (t->shard[i].index == NULL)
            return false;
        pthread_mutex_init(&t->shard[i].lock, NULL); /* default kind: cannot fail on Linux */
    }
    return true;
}

struct tier *tier_new(const struct tier_options *o, struct weir_err *err)
{
    unsigned shards = o->shards != 0 ? o->shards : SHARDS_DEFAULT;
    struct tier *t;

    assert(shards <= SHARDS_MAX && (shards & (shards - 1)) == 0);
    t = weir_calloc(1, sizeof(*t));
    if (t == NULL)
        goto fail;
    t->shard_count = shards;
    t->shard_shift = 64 - (unsigned)__builtin_ctz(shards);
    t->purges = o->purges;
    t->variants = o->variants != 0 ? o->variants : VARIANTS_DEFAULT;
    atomic_init(&t->object_max_bytes, o->object_max_bytes);
    t->account = stored_account_new(o->memory_bytes, NULL);
    if (t->account == NULL || !shards_init(t))
        goto fail;
    return t;
fail:
    tier_free(t);
    weir_fail(err, WEIR_E_MEMORY, "tier: new", 0);
    return NULL;
}

void tier_free(struct tier *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; t->shard != NULL && i < t->shard_count && t->shard[i].index != NULL; i++) {
        shard_flush(t, &t->shard[i]);
        pthread_mutex_destroy(&t->shard[i].lock);
        weir_free(t->shard[i].index);
    }
    stored_account_unref(t->account); /* lives on while something is pinned */
    weir_free(t->shard_memory);
    weir_free(t);
}
