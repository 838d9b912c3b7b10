#include "limit.h"

#include "weir/alloc.h"
#include "limit_own.h"
#include "net_addr.h"
#include "netset.h"

void limit_taken_say(struct limit_taken *t, const struct limit_said *said)
{
    t->verdict = said->allowed ? LIMIT_ALLOWED : LIMIT_REFUSED;
    t->said = *said;
}

static bool exempt(const struct limit *l, const struct limit_subject *s)
{
    union net_sockaddr client;

    if (l->exempt == NULL)
        return false;
    net_peer_sockaddr(s->client, &client);
    return netset_has(l->exempt, &client.any);
}

/* ---- waiting ---- */

/* At the end of the cell's list. NULL without memory. */
static struct limit_waiter *wait_at(struct limit_cell *c, const struct limit_waiter *like)
{
    struct limit_waiter *w = weir_malloc(sizeof *w);

    if (w == NULL)
        return NULL;
    *w = *like;
    w->at = c->first != NULL ? c->last : &c->first;
    *w->at = w;
    c->last = &w->next;
    c->waiting++;
    return w;
}

static void stop_waiting(struct limit_cell *c, struct limit_waiter *w)
{
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    else
        c->last = w->at;
    w->at = NULL;
    c->waiting--;
}

void limit_cancel(struct limit_waiter *w)
{
    struct limit_shard *s = limit_table_enter(w->home->node->table, &w->taken.key);
    bool listed = w->at != NULL;

    /* The cell stays while somebody waits at it. */
    if (listed)
        stop_waiting(limit_shard_find(s, &w->taken.key), w);
    w->done = NULL;
    atomic_fetch_sub_explicit(&w->limit->counts->waiting, 1, memory_order_relaxed);
    limit_shard_leave(s);
    if (listed)
        weir_free(w); /* else when its answer arrives */
}

/* ---- taking ---- */

/* The farm is to be asked, or is being asked: the answer comes to the waiter. */
static enum limit_verdict begin_waiting(struct limit_worker *w, struct limit_cell *c,
                                        const struct limit_waiter *like, struct limit_waiter **out,
                                        struct limit_ask **ask)
{
    struct limit_waiter *waiter = wait_at(c, like);

    if (waiter == NULL)
        return LIMIT_FAILED;
    if (!c->asking && !limit_ask_begin(w, like->limit, c, &like->taken.key, ask)) {
        stop_waiting(c, waiter);
        weir_free(waiter);
        return LIMIT_FAILED;
    }
    atomic_fetch_add_explicit(&like->limit->counts->waiting, 1, memory_order_relaxed);
    weir_metric_add(w->metrics, WEIR_M_limit_waits, 1);
    *out = waiter;
    return LIMIT_WAIT;
}

/* In a farm. */
static enum limit_verdict take_shared(struct limit_worker *w, struct limit_cell *c,
                                      const struct limit_waiter *like, struct limit_waiter **out,
                                      struct limit_ask **ask)
{
    const struct limit *l = like->limit;
    const uint32_t members = limit_members(w->node);
    struct limit_said said;

    if (!limit_cell_known(c, &l->rate, members, w->clock->mono_us, &said)) {
        if (c->waiting < LIMIT_WAITERS && (c->asking || limit_may_ask(w)))
            return begin_waiting(w, c, like, out, ask);
        limit_cell_local(c, &l->rate, members, w->clock->mono_us, &said);
    }
    limit_taken_say(like->out, &said);
    return like->out->verdict;
}

static enum limit_verdict take_alone(struct limit_worker *w, struct limit_cell *c,
                                     const struct limit *l, struct limit_taken *out)
{
    struct limit_said said;

    limit_cell_exact(c, &l->rate, w->clock->mono_us, &said);
    limit_taken_say(out, &said);
    return out->verdict;
}

enum limit_verdict limit_take(struct limit_worker *w, const struct limit *l,
                              const struct limit_subject *s, struct limit_taken *out,
                              struct limit_waiter **waiter, void (*done)(void *arg), void *arg)
{
    struct limit_ask *ask = NULL;
    struct limit_shard *shard;
    struct limit_cell *c;

    *out = (struct limit_taken){.verdict = LIMIT_EXEMPT};
    if (exempt(l, s) || !limit_key(&l->key, s, w->node->secret, &out->key))
        return LIMIT_EXEMPT;
    shard = limit_table_enter(w->node->table, &out->key);
    c = limit_shard_cell(shard, &out->key, w->clock->mono_us);
    if (c == NULL) {
        out->verdict = LIMIT_FAILED;
    } else if (!w->node->farm) {
        out->verdict = take_alone(w, c, l, out);
    } else {
        const struct limit_waiter like = {
            .home = w, .limit = l, .out = out, .done = done, .arg = arg, .taken.key = out->key};

        out->verdict = take_shared(w, c, &like, waiter, &ask);
    }
    limit_shard_leave(shard);
    if (ask != NULL)
        limit_ask_go(ask);
    return out->verdict;
}

void limit_give_back(struct limit_worker *w, const struct limit *l, const struct limit_taken *t)
{
    struct limit_shard *shard;
    struct limit_cell *c;

    if (t->verdict != LIMIT_ALLOWED)
        return;
    shard = limit_table_enter(w->node->table, &t->key);
    c = limit_shard_find(shard, &t->key);
    if (c != NULL)
        limit_cell_give_back(c, &l->rate, limit_members(w->node), t->said.source,
                             w->clock->mono_us);
    limit_shard_leave(shard);
}

/* ---- counting ---- */

static void add(atomic_uint_fast64_t *to)
{
    atomic_fetch_add_explicit(to, 1, memory_order_relaxed);
}

void limit_count(struct limit_worker *w, const struct limit *l, const struct limit_subject *s,
                 const struct limit_taken *t)
{
    struct limit_counts *c = l->counts;

    if (t->verdict != LIMIT_ALLOWED && t->verdict != LIMIT_REFUSED)
        return;
    if (t->said.source == LIMIT_OF_SHARE) {
        add(&c->local);
        atomic_store_explicit(&c->local_ms, w->clock->mono_ms, memory_order_relaxed);
        weir_metric_add(w->metrics, WEIR_M_limit_local, 1);
    }
    if (t->verdict == LIMIT_ALLOWED) {
        add(&c->allowed);
        weir_metric_add(w->metrics, WEIR_M_limit_allowed, 1);
        return;
    }
    add(l->settings->dry_run ? &c->would_refuse : &c->refused);
    weir_metric_add(w->metrics,
                    l->settings->dry_run ? WEIR_M_limit_would_refuse : WEIR_M_limit_refused, 1);
    limit_top_count(&w->node->top, w->clock->mono_ms, c->name, &t->key, &l->key, s);
}
