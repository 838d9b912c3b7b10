/* Leases and fences of the embedded engine. */
#include "embedded_own.h"

#include "weir/alloc.h"
#include "weir/container.h"

struct fence {
    struct embedded_item item;
    uint64_t number; /* the one given out last */
};

struct waiter {
    struct waiter *next;
    size_t len;
    char channel[];
};

struct lease {
    struct embedded_item item;
    uint64_t fence;
    size_t owner_len;
    char owner[SHARED_OWNER_MAX];
    struct waiter *waiters;
};

static struct lease *lease_of(struct embedded_item *it)
{
    return WEIR_CONTAINER(it, struct lease, item);
}

static struct fence *fence_of(struct embedded_item *it)
{
    return WEIR_CONTAINER(it, struct fence, item);
}

static size_t waiter_cost(const struct waiter *w)
{
    return sizeof(*w) + w->len;
}

static void waiters_free(struct waiter *w)
{
    while (w != NULL) {
        struct waiter *next = w->next;

        weir_free(w);
        w = next;
    }
}

static void lease_drop(struct embedded_item *it)
{
    waiters_free(lease_of(it)->waiters);
    weir_free(lease_of(it));
}

static void fence_drop(struct embedded_item *it)
{
    weir_free(fence_of(it));
}

/* ---- fences ---- */

enum shared_result embedded_fence_check(struct embedded_visit *v, struct weir_span key,
                                        uint64_t fence)
{
    struct embedded_item *it = embedded_find(v, key);

    if (it == NULL)
        return SHARED_OK;
    if (it->kind != EMBEDDED_FENCE)
        return SHARED_BAD;
    return fence_of(it)->number > fence ? SHARED_REFUSED : SHARED_OK;
}

/* The count of fences, made at 0 where there is none, for another fence_ttl_ms. */
static enum shared_result fence_open(struct embedded_visit *v, const struct shared_lease *l,
                                     struct fence **out)
{
    struct embedded_item *it = embedded_find(v, l->fence_key);
    int64_t expires_ms = v->now_ms + l->fence_ttl_ms;

    if (it != NULL && it->kind != EMBEDDED_FENCE)
        return SHARED_BAD;
    if (it != NULL) {
        embedded_set_expiry(v, it, expires_ms);
    } else {
        it = embedded_item_new(sizeof(struct fence), l->fence_key, EMBEDDED_FENCE, 0, fence_drop);
        if (it == NULL)
            return SHARED_FULL;
        if (!embedded_insert(v, it, expires_ms)) {
            fence_drop(it);
            return SHARED_FULL;
        }
    }
    *out = fence_of(it);
    return SHARED_OK;
}

/* ---- taking ---- */

static bool owned_by(const struct lease *held, struct weir_span owner)
{
    return weir_span_eq(weir_span(held->owner, held->owner_len), owner);
}

static bool waits(const struct lease *held, struct weir_span channel)
{
    const struct waiter *w;

    for (w = held->waiters; w != NULL; w = w->next)
        if (weir_span_eq(weir_span(w->channel, w->len), channel))
            return true;
    return false;
}

static bool remember(struct embedded_visit *v, struct lease *held, struct weir_span channel)
{
    struct waiter *w;

    if (channel.len == 0 || waits(held, channel))
        return true;
    w = weir_malloc(sizeof(*w) + channel.len);
    if (w == NULL)
        return false;
    w->len = channel.len;
    memcpy(w->channel, channel.ptr, channel.len);
    if (!embedded_grow(v, &held->item, waiter_cost(w))) {
        weir_free(w);
        return false;
    }
    w->next = held->waiters;
    held->waiters = w;
    return true;
}

static enum shared_result take_free(struct embedded_visit *v, struct shared_call *c,
                                    const struct shared_lease *l)
{
    struct embedded_item *it;
    struct fence *fence;
    enum shared_result result = fence_open(v, l, &fence);

    if (result != SHARED_OK)
        return result;
    it = embedded_item_new(sizeof(struct lease), l->key, EMBEDDED_LEASE, 0, lease_drop);
    if (it == NULL)
        return SHARED_FULL;
    lease_of(it)->owner_len = l->owner.len;
    memcpy(lease_of(it)->owner, l->owner.ptr, l->owner.len);
    if (!embedded_insert(v, it, v->now_ms + l->lease_ms)) {
        lease_drop(it);
        return SHARED_FULL; /* a fence of 0 may stay behind: the next one is 1, as without it */
    }
    lease_of(it)->fence = c->number = ++fence->number;
    return SHARED_OK;
}

/* Its own again: the same fence. The count must not end before that of a lease just taken. */
static enum shared_result take_again(struct embedded_visit *v, struct shared_call *c,
                                     struct lease *held, const struct shared_lease *l)
{
    struct fence *fence;
    enum shared_result result = fence_open(v, l, &fence);

    if (result != SHARED_OK)
        return result;
    if (fence->number < held->fence)
        fence->number = held->fence; /* it had run out in between */
    embedded_set_expiry(v, &held->item, v->now_ms + l->lease_ms);
    c->number = held->fence;
    return SHARED_OK;
}

static enum shared_result take(struct embedded_visit *v, struct shared_call *c,
                               const struct shared_lease *l)
{
    struct embedded_item *it = embedded_find(v, l->key);

    if (it == NULL)
        return take_free(v, c, l);
    if (it->kind != EMBEDDED_LEASE)
        return SHARED_BAD;
    if (owned_by(lease_of(it), l->owner))
        return take_again(v, c, lease_of(it), l);
    if (!remember(v, lease_of(it), l->channel))
        return SHARED_FULL;
    c->left_ms = (uint32_t)(it->expires_ms - v->now_ms);
    return SHARED_REFUSED;
}

/* ---- holding ---- */

static enum shared_result find_own(struct embedded_visit *v, const struct shared_lease *l,
                                   struct lease **out)
{
    struct embedded_item *it = embedded_find(v, l->key);

    if (it == NULL)
        return SHARED_REFUSED;
    if (it->kind != EMBEDDED_LEASE)
        return SHARED_BAD;
    *out = lease_of(it);
    return owned_by(*out, l->owner) ? SHARED_OK : SHARED_REFUSED;
}

static struct waiter *take_waiters(struct embedded_visit *v, struct lease *held)
{
    struct waiter *waiters = held->waiters, *w;

    held->waiters = NULL;
    for (w = waiters; w != NULL; w = w->next)
        embedded_shrink(v, &held->item, waiter_cost(w));
    return waiters;
}

static enum shared_result hold(struct embedded_visit *v, enum shared_lease_how how,
                               const struct shared_lease *l, struct waiter **woken)
{
    struct lease *held;
    enum shared_result result = find_own(v, l, &held);

    if (result != SHARED_OK)
        return result;
    if (how == SHARED_LEASE_RENEW) {
        embedded_set_expiry(v, &held->item, v->now_ms + l->lease_ms);
        return SHARED_OK;
    }
    *woken = take_waiters(v, held);
    if (how == SHARED_LEASE_RELEASE)
        embedded_remove(v, &held->item);
    return SHARED_OK;
}

void embedded_lease(struct shared_port *p, struct shared_call *c, enum shared_lease_how how,
                    const struct shared_lease *l, struct weir_span hint)
{
    struct waiter *woken = NULL, *w;
    enum shared_result result;
    struct embedded_visit v;

    embedded_visit_for(&v, p, c, l->key);
    do {
        embedded_lock(&v);
        result = how == SHARED_LEASE_TAKE ? take(&v, c, l) : hold(&v, how, l, &woken);
    } while (embedded_unlock_again(&v));
    for (w = woken; w != NULL; w = w->next) {
        embedded_say(&embedded_engine_of(p)->channels, c->area, weir_span(w->channel, w->len),
                     hint);
        c->number++;
    }
    waiters_free(woken);
    shared_complete(p, c, result);
}
