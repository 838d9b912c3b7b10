#include "balance.h"

#include <assert.h>
#include <string.h>

#include "weir/alloc.h"

#include "balance_kinds.h"
#include "origin_state.h"

#define WARM_STEP_US 100000 /* how often weights are renewed during a slow start */

/* One row per balancer, in the order of enum balance_kind. */
static const struct balance_row rows[] = {
    [BALANCE_EWMA2] = {"ewma2", balance_ewma2_pick, balance_ewma2_observe},
    [BALANCE_ROUND_ROBIN] = {"round_robin", balance_round_robin_pick, NULL},
    [BALANCE_LEAST] = {"least", balance_least_pick, NULL},
    [BALANCE_RANDOM] = {"random", balance_random_pick, NULL},
    [BALANCE_HASH] = {"hash", balance_hash_pick, NULL},
};

const char *balance_kind_name(enum balance_kind kind)
{
    return (size_t)kind < sizeof(rows) / sizeof(*rows) ? rows[kind].name : NULL;
}

void balance_rng_seed(struct balance_rng *rng, uint64_t seed)
{
    rng->state = seed ^ UINT64_C(0x9e3779b97f4a7c15);
    if (rng->state == 0) /* the one state xorshift never leaves */
        rng->state = 1;
    for (int i = 0; i < 8; i++) /* seeds that differ in a bit drift apart */
        balance_rng_next(rng);
}

uint64_t balance_rng_next(struct balance_rng *rng)
{
    uint64_t x = rng->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    rng->state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

double balance_rng_unit(struct balance_rng *rng)
{
    return (double)(balance_rng_next(rng) >> 11) * 0x1p-53;
}

void balance_hint_tried(struct balance_hint *h, int i)
{
    assert(i >= 0 && i < BALANCE_ORIGINS_MAX);
    if (h->tried_count == BALANCE_TRIED_MAX)
        memmove(h->tried, h->tried + 1, --h->tried_count * sizeof(*h->tried));
    h->tried[h->tried_count++] = (uint16_t)i;
}

static bool was_tried(const struct balance_hint *h, size_t i)
{
    for (unsigned k = 0; k < h->tried_count; k++)
        if (h->tried[k] == i)
            return true;
    return false;
}

static bool set_init(struct balance_set *set, size_t count)
{
    set->index = weir_calloc(count, sizeof(*set->index));
    set->sum = weir_calloc(count, sizeof(*set->sum));
    return set->index != NULL && set->sum != NULL;
}

static void set_free(struct balance_set *set)
{
    weir_free(set->index);
    weir_free(set->sum);
}

static void set_empty(struct balance_set *set)
{
    set->count = 0;
    set->equal = true;
}

static void set_add(struct balance_set *set, const struct balancer *b, size_t i)
{
    const double share = b->origins[i].share;

    if (set->count > 0 && share != b->origins[set->index[0]].share)
        set->equal = false;
    set->sum[set->count] = share + (set->count > 0 ? set->sum[set->count - 1] : 0);
    set->index[set->count++] = (uint16_t)i;
}

size_t balance_draw(const struct balance_set *set, struct balance_rng *rng)
{
    const double at = balance_rng_unit(rng) * set->sum[set->count - 1];
    size_t low = 0, high = set->count - 1;

    if (set->equal) { /* the usual case needs no search */
        low = (size_t)(at / set->sum[0]);
        return low < high ? low : high;
    }
    while (low < high) { /* the first whose sum is beyond at */
        const size_t middle = low + (high - low) / 2;

        if (set->sum[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

size_t balance_draw_other(const struct balance_set *set, size_t first, struct balance_rng *rng)
{
    const double before = first > 0 ? set->sum[first - 1] : 0;
    const double own = set->sum[first] - before;
    const double at = balance_rng_unit(rng) * (set->sum[set->count - 1] - own);
    const double skip = at >= before ? own : 0; /* the first one's stretch is cut out */
    size_t low = 0, high = set->count - 1;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (set->sum[middle] > at + skip)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == first) /* rounding at an edge */
        low = first > 0 ? first - 1 : 1;
    return low;
}

struct balancer *balancer_new(const struct upstream_settings *settings,
                              struct origin_state *const *states, struct weir_err *err)
{
    const size_t count = settings->origin_count;
    struct balancer *b = weir_calloc(1, sizeof(*b));

    assert(count > 0 && count <= BALANCE_ORIGINS_MAX); /* the configuration is checked before */
    if (b == NULL)
        goto out;
    b->origins = weir_calloc(count, sizeof(*b->origins));
    b->scratch = weir_calloc(count, sizeof(*b->scratch));
    if (b->origins == NULL || b->scratch == NULL || !set_init(&b->set, count) ||
        !set_init(&b->rest, count))
        goto out;
    b->row = &rows[settings->balance];
    b->settings = settings;
    b->count = count;
    for (size_t i = 0; i < count; i++) {
        b->origins[i].state = origin_state_ref(states[i]);
        b->origins[i].configured = balance_configured_weight(&settings->origins[i]);
        b->origins[i].backup = settings->origins[i].backup;
        b->origins[i].latency_us = -1;
    }
    return b;
out:
    weir_fail(err, WEIR_E_MEMORY, "balance: new", 0);
    balancer_free(b);
    return NULL;
}

void balancer_free(struct balancer *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; b->origins != NULL && i < b->count; i++)
        origin_state_unref(b->origins[i].state);
    set_free(&b->set);
    set_free(&b->rest);
    weir_free(b->origins);
    weir_free(b->scratch);
    weir_free(b);
}

static void look_again_at(struct balancer *b, int64_t at_us)
{
    if (at_us < b->look_again_us)
        b->look_again_us = at_us;
}

/* weight(t) = max(10 %, t / 30 s) of it, t from the moment the origin returned. */
static void renew_share(struct balancer *b, struct balance_origin *o, int64_t now_us)
{
    const int64_t back_us = now_us - o->out_until_us;

    o->warming = o->out_until_us != 0 && back_us >= 0 && back_us < BALANCE_SLOW_START_US;
    o->share = o->weight;
    if (o->warming) {
        const double part = (double)back_us / BALANCE_SLOW_START_US;

        o->share *= part > BALANCE_SLOW_START_LEAST ? part : BALANCE_SLOW_START_LEAST;
        look_again_at(b, now_us + WARM_STEP_US);
    }
}

uint32_t balance_configured_weight(const struct origin_settings *o)
{
    return o->weight > 0 ? o->weight : 1;
}

static uint32_t weight_in_force(const struct origin_state *s, uint32_t configured)
{
    const unsigned ordered = atomic_load_explicit(&s->weight, memory_order_relaxed);

    return ordered > 0 ? ordered : configured;
}

/* An operator keeps new requests from it, panic or not. */
static bool put_aside(enum origin_verdict v)
{
    return v == ORIGIN_DRAIN || v == ORIGIN_DISABLED;
}

static bool is_healthy(enum origin_verdict v, int64_t out_until_us, int64_t now_us)
{
    return out_until_us <= now_us && v != ORIGIN_DOWN && !put_aside(v);
}

static void look_at(struct balancer *b, struct balance_origin *o, int64_t now_us)
{
    const int64_t until = atomic_load_explicit(&o->state->out_until_us, memory_order_relaxed);

    o->force = origin_state_in_force(o->state);
    o->weight = weight_in_force(o->state, o->configured);
    if (until != o->out_until_us) {
        o->out_until_us = until;
        o->latency_us = -1; /* what it was before it fell is no guide: it returns at the median */
    }
    if (until > now_us)
        look_again_at(b, until);
    o->healthy = is_healthy(o->force, until, now_us);
    o->in_set = false;
    renew_share(b, o, now_us);
}

static bool refused_lately(struct balancer *b, const struct balance_origin *o, int64_t now_us)
{
    const int64_t at = atomic_load_explicit(&o->state->refused_at_us, memory_order_relaxed);

    if (at == ORIGIN_NEVER || now_us - at >= BALANCE_REFUSED_US)
        return false;
    look_again_at(b, at + BALANCE_REFUSED_US);
    return true;
}

static void set_of_healthy(struct balancer *b, struct balance_set *set, bool backups)
{
    set_empty(set);
    for (size_t i = 0; i < b->count; i++)
        if (b->origins[i].backup == backups && b->origins[i].healthy)
            set_add(set, b, i);
}

/* Everyone of the kind an operator has not put aside; with refused false, without those that
 * refuse. */
static void set_of_panic(struct balancer *b, bool backups, bool refused, int64_t now_us)
{
    set_empty(&b->set);
    for (size_t i = 0; i < b->count; i++) {
        struct balance_origin *o = &b->origins[i];

        if (o->backup != backups || put_aside(o->force))
            continue;
        if (refused_lately(b, o, now_us) && !refused)
            continue;
        o->share = o->weight; /* no time for a slow start */
        o->warming = false;
        set_add(&b->set, b, i);
    }
}

static void panic(struct balancer *b, bool backups, int64_t now_us)
{
    b->panic = true;
    set_of_panic(b, backups, false, now_us);
    if (b->set.count == 0)
        set_of_panic(b, backups, true, now_us);
}

/* What a pool has, and what of it is well. */
struct balance_standing {
    uint64_t all, good;           /* weight of primaries that are not put aside; healthy */
    uint64_t backups, backups_ok; /* likewise */
};

static void stand(struct balance_standing *st, bool backup, enum origin_verdict force, bool healthy,
                  uint32_t weight)
{
    if (put_aside(force))
        return; /* on purpose: not missing */
    *(backup ? &st->backups : &st->all) += weight;
    if (healthy)
        *(backup ? &st->backups_ok : &st->good) += weight;
}

/* Too little is left, or nothing though there should be something. */
static bool is_panic(const struct balance_standing *st, uint32_t percent)
{
    if (st->good > 0)
        return st->good * 100 < st->all * percent;
    return st->backups_ok == 0 && st->all + st->backups > 0;
}

bool balance_panics(const struct upstream_settings *settings, struct origin_state *const *states,
                    int64_t now_us)
{
    struct balance_standing st = {0};

    for (size_t i = 0; i < settings->origin_count; i++) {
        const struct origin_settings *o = &settings->origins[i];
        const enum origin_verdict force = origin_state_in_force(states[i]);
        const int64_t until = atomic_load_explicit(&states[i]->out_until_us, memory_order_relaxed);

        stand(&st, o->backup, force, is_healthy(force, until, now_us),
              weight_in_force(states[i], balance_configured_weight(o)));
    }
    return is_panic(&st, settings->panic_percent);
}

/* Fills in who may be picked. Called when something changed, not for every pick. */
static void look(struct balancer *b, int64_t now_us)
{
    struct balance_standing st = {0};

    b->panic = false;
    b->look_again_us = INT64_MAX;
    for (size_t i = 0; i < b->count; i++) {
        struct balance_origin *o = &b->origins[i];

        look_at(b, o, now_us);
        stand(&st, o->backup, o->force, o->healthy, o->weight);
    }
    set_of_healthy(b, &b->set, st.good == 0);
    if (is_panic(&st, b->settings->panic_percent))
        panic(b, st.all == 0, now_us);
    for (size_t k = 0; k < b->set.count; k++)
        b->origins[b->set.index[k]].in_set = true;
    b->looked = true;
}

static void look_if_due(struct balancer *b, int64_t now_us)
{
    /* Read before the states: a change during the look is seen by the next. */
    const unsigned changes =
        atomic_load_explicit(b->origins[0].state->changes, memory_order_acquire);

    if (b->looked && changes == b->changes && now_us < b->look_again_us)
        return;
    b->changes = changes;
    look(b, now_us);
}

/* Members of from that were not tried. */
static void set_of_rest(struct balancer *b, const struct balance_set *from,
                        const struct balance_hint *hint)
{
    size_t count = from->count;

    set_empty(&b->rest); /* from may be rest itself: it is read ahead of what is written */
    for (size_t k = 0; k < count; k++) {
        const size_t i = from->index[k];

        if (!was_tried(hint, i))
            set_add(&b->rest, b, i);
    }
}

/* For a retry: the set without those tried, then the backups, for this request has no primary left.
 */
static const struct balance_set *untried(struct balancer *b, const struct balance_hint *hint)
{
    set_of_rest(b, &b->set, hint);
    if (b->rest.count == 0) {
        set_of_healthy(b, &b->rest, true);
        set_of_rest(b, &b->rest, hint);
    }
    return &b->rest;
}

/* Bound clients keep their origin while it drains, if it is well: that is what draining is for. */
static bool serves_bound(const struct balance_origin *o, int64_t now_us)
{
    return o->in_set ||
           (o->force == ORIGIN_DRAIN && o->out_until_us <= now_us &&
            atomic_load_explicit(&o->state->verdict, memory_order_relaxed) != ORIGIN_DOWN);
}

int balancer_pick(struct balancer *b, const struct balance_hint *hint, int64_t now_us,
                  struct balance_rng *rng)
{
    const struct balance_set *set = &b->set;
    const int bound = hint->sticky;

    look_if_due(b, now_us);
    if (bound >= 0 && (size_t)bound < b->count && !was_tried(hint, (size_t)bound) &&
        serves_bound(&b->origins[bound], now_us))
        return bound;
    if (hint->tried_count > 0)
        set = untried(b, hint);
    return set->count > 0 ? b->row->pick(b, set, hint, now_us, rng) : -1;
}

void balancer_begin(struct balancer *b, int i)
{
    struct balance_origin *o = &b->origins[i];

    assert(i >= 0 && (size_t)i < b->count);
    o->in_flight++;
    b->in_flight++;
    atomic_fetch_add_explicit(&o->state->in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&o->state->requests, 1, memory_order_relaxed);
}

void balancer_end(struct balancer *b, int i, int64_t now_us, int64_t latency_us, bool ok)
{
    struct balance_origin *o = &b->origins[i];

    assert(i >= 0 && (size_t)i < b->count && o->in_flight > 0);
    o->in_flight--;
    b->in_flight--;
    atomic_fetch_sub_explicit(&o->state->in_flight, 1, memory_order_relaxed);
    if (b->row->observe != NULL && latency_us >= 0)
        b->row->observe(b, o, now_us, latency_us, ok);
}

size_t balancer_count(const struct balancer *b)
{
    return b->count;
}

struct origin_state *balancer_state(const struct balancer *b, int i)
{
    return b->origins[i].state;
}

uint32_t balancer_in_flight(const struct balancer *b, int i)
{
    return b->origins[i].in_flight;
}

double balancer_latency_us(const struct balancer *b, int i)
{
    return b->origins[i].latency_us;
}

bool balancer_panics(struct balancer *b, int64_t now_us)
{
    look_if_due(b, now_us);
    return b->panic;
}
