/* Rates of the embedded engine: weir/gcra.h at the time of the asking port's loop. */
#include "embedded_own.h"

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/gcra.h"

struct rate {
    struct embedded_item item;
    int64_t tat_us; /* monotonic */
};

static struct rate *rate_of(struct embedded_item *it)
{
    return WEIR_CONTAINER(it, struct rate, item);
}

static void rate_drop(struct embedded_item *it)
{
    weir_free(rate_of(it));
}

/* One of which nothing is owed, where there is none. Its life is set by who takes. */
static enum shared_result open_rate(struct embedded_visit *v, struct weir_span key,
                                    struct rate **out)
{
    struct embedded_item *it = embedded_find(v, key);

    if (it == NULL) {
        it = embedded_item_new(sizeof(struct rate), key, EMBEDDED_RATE, 0, rate_drop);
        if (it == NULL)
            return SHARED_FULL;
        if (!embedded_insert(v, it, EMBEDDED_LONG)) {
            rate_drop(it);
            return SHARED_FULL;
        }
    }
    if (it->kind != EMBEDDED_RATE)
        return SHARED_BAD;
    *out = rate_of(it);
    return SHARED_OK;
}

/* Rounded up. */
static int64_t ms_of(int64_t us)
{
    return us / 1000 + (us % 1000 > 0);
}

static enum shared_result take(struct embedded_visit *v, const struct shared_rate *r,
                               const struct weir_clock *clock, uint32_t want,
                               struct weir_gcra_answer *a)
{
    const struct weir_gcra_rate rate = {.interval_us = r->interval_us, .burst = r->burst};
    struct rate *found;
    enum shared_result result = open_rate(v, r->key, &found);
    bool some;

    if (result != SHARED_OK)
        return result;
    some = weir_gcra_take(&found->tat_us, &rate, clock->mono_us, want, a);
    embedded_set_expiry(v, &found->item, v->now_ms + ms_of(a->full_us));
    return some ? SHARED_OK : SHARED_REFUSED;
}

void embedded_tokens_take(struct shared_port *p, struct shared_call *c, const struct shared_rate *r,
                          uint32_t want)
{
    struct weir_gcra_answer a = {0};
    enum shared_result result;
    struct embedded_visit v;

    embedded_visit_for(&v, p, c, r->key);
    do {
        embedded_lock(&v);
        result = take(&v, r, p->loop.clock, want, &a);
    } while (embedded_unlock_again(&v));
    c->number = a.taken;
    c->rest = a.rest;
    c->left_ms = (uint32_t)ms_of(a.next_us); /* at most 10^9 */
    shared_complete(p, c, result);
}
