#include "origin_state.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <xxhash.h>

#include "weir/alloc.h"

/* A list is enough: it is walked when a configuration is loaded, not when a request comes. */
struct registry_slot {
    struct registry_slot *next;
    struct origin_state *state; /* the registry's own reference */
};

struct origin_registry {
    pthread_mutex_t lock;
    struct registry_slot *slots;
    atomic_uint changes; /* bumped by every change of availability; balancers compare it per pick */
};

struct origin_registry *origin_registry_new(struct weir_err *err)
{
    struct origin_registry *r = weir_calloc(1, sizeof(*r));

    if (r == NULL || pthread_mutex_init(&r->lock, NULL) != 0) {
        weir_fail(err, WEIR_E_MEMORY, "origin: registry", 0);
        weir_free(r);
        return NULL;
    }
    return r;
}

void origin_registry_free(struct origin_registry *r)
{
    if (r == NULL)
        return;
    for (struct registry_slot *slot = r->slots, *next; slot != NULL; slot = next) {
        next = slot->next;
        origin_state_unref(slot->state);
        weir_free(slot);
    }
    pthread_mutex_destroy(&r->lock);
    weir_free(r);
}

/* Holds both strings behind itself: one allocation, freed with the last reference. */
static struct origin_state *state_new(const char *upstream, const char *url, atomic_uint *changes)
{
    const size_t upstream_size = strlen(upstream) + 1;
    const size_t url_size = strlen(url) + 1;
    struct origin_state *s = weir_calloc(1, sizeof(*s) + upstream_size + url_size);
    char *text;

    if (s == NULL)
        return NULL;
    text = (char *)(s + 1);
    s->upstream = memcpy(text, upstream, upstream_size);
    s->url = memcpy(text + upstream_size, url, url_size);
    s->url_hash = XXH3_64bits(url, url_size - 1);
    s->changes = changes;
    atomic_init(&s->refs, 1);
    atomic_init(&s->verdict, ORIGIN_UP);
    atomic_init(&s->word, ORIGIN_NO_WORD);
    atomic_init(&s->refused_at_us, ORIGIN_NEVER);
    return s;
}

/* Under the lock. */
static struct origin_state *find_or_make(struct origin_registry *r, const char *upstream,
                                         const char *url)
{
    struct registry_slot *slot;

    for (slot = r->slots; slot != NULL; slot = slot->next)
        if (strcmp(slot->state->url, url) == 0 && strcmp(slot->state->upstream, upstream) == 0)
            return origin_state_ref(slot->state);
    slot = weir_malloc(sizeof(*slot));
    if (slot == NULL)
        return NULL;
    slot->state = state_new(upstream, url, &r->changes);
    if (slot->state == NULL) {
        weir_free(slot);
        return NULL;
    }
    slot->next = r->slots;
    r->slots = slot;
    return origin_state_ref(slot->state);
}

struct origin_state *origin_registry_get(struct origin_registry *r, const char *upstream,
                                         const char *url, struct weir_err *err)
{
    struct origin_state *s;

    pthread_mutex_lock(&r->lock);
    s = find_or_make(r, upstream, url);
    pthread_mutex_unlock(&r->lock);
    if (s == NULL)
        weir_fail(err, WEIR_E_MEMORY, "origin: state", 0);
    return s;
}

size_t origin_registry_prune(struct origin_registry *r)
{
    struct registry_slot **link = &r->slots;
    size_t gone = 0;

    pthread_mutex_lock(&r->lock);
    while (*link != NULL) {
        struct registry_slot *slot = *link;

        /* At one it is ours alone, and only origin_registry_get() could hand out more: it waits. */
        if (atomic_load_explicit(&slot->state->refs, memory_order_acquire) > 1) {
            link = &slot->next;
            continue;
        }
        *link = slot->next;
        origin_state_unref(slot->state);
        weir_free(slot);
        gone++;
    }
    pthread_mutex_unlock(&r->lock);
    return gone;
}

size_t origin_registry_count(struct origin_registry *r)
{
    size_t count = 0;

    pthread_mutex_lock(&r->lock);
    for (const struct registry_slot *slot = r->slots; slot != NULL; slot = slot->next)
        count++;
    pthread_mutex_unlock(&r->lock);
    return count;
}

uint64_t origin_hash(const void *bytes, size_t len)
{
    return XXH3_64bits(bytes, len);
}

struct origin_state *origin_state_ref(struct origin_state *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void origin_state_unref(struct origin_state *s)
{
    if (s != NULL && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        weir_free(s);
}

bool origin_state_connect(struct origin_state *s, uint32_t max)
{
    /* In one order with `waiting`: who finds no place and stands in line is seen by who gives one
     * up. */
    unsigned open = atomic_load(&s->connections);

    do {
        if (open >= max)
            return false;
    } while (!atomic_compare_exchange_weak(&s->connections, &open, open + 1));
    return true;
}

void origin_state_disconnect(struct origin_state *s)
{
    unsigned open = atomic_fetch_sub(&s->connections, 1);

    assert(open > 0);
}

void origin_state_changed(struct origin_state *s)
{
    /* Release: a balancer that sees the new count sees what was changed before it. */
    atomic_fetch_add_explicit(s->changes, 1, memory_order_release);
}

static bool is_out(enum origin_verdict v)
{
    return v == ORIGIN_DOWN || v == ORIGIN_DRAIN || v == ORIGIN_DISABLED;
}

/* Slow start counts from here, unless an ejection lasts longer. */
static void start_slowly(struct origin_state *s, int64_t now_us)
{
    long long until = atomic_load_explicit(&s->out_until_us, memory_order_relaxed);

    while (until < now_us &&
           !atomic_compare_exchange_weak_explicit(&s->out_until_us, &until, now_us,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void origin_state_set_verdict(struct origin_state *s, enum origin_verdict verdict, int64_t now_us)
{
    const enum origin_verdict before = origin_state_in_force(s);

    if (atomic_exchange_explicit(&s->verdict, verdict, memory_order_relaxed) == (int)verdict)
        return;
    if (is_out(before) && !is_out(origin_state_in_force(s)))
        start_slowly(s, now_us);
    origin_state_changed(s);
}

void origin_state_set_word(struct origin_state *s, int word, uint32_t weight, int64_t now_us)
{
    const enum origin_verdict before = origin_state_in_force(s);
    const int word_before = atomic_exchange_explicit(&s->word, word, memory_order_relaxed);
    const uint32_t weight_before =
        atomic_exchange_explicit(&s->weight, weight, memory_order_relaxed);

    if (word_before == word && weight_before == weight)
        return;
    if (is_out(before) && !is_out(origin_state_in_force(s)))
        start_slowly(s, now_us);
    origin_state_changed(s);
}

bool origin_state_ejected(const struct origin_state *s, int64_t now_us)
{
    return now_us < atomic_load_explicit(&s->out_until_us, memory_order_relaxed);
}
