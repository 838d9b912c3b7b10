#include "health_own.h"

/* A view may be asked for between two looks: members are listed anew, and may have moved. */
static void show_probers(struct health *h, const struct health_item *it, struct health_view *v)
{
    if (it->check == NULL || h->autonomous || h->members == NULL)
        return;
    for (unsigned k = 0; k < it->probers.count; k++)
        v->probers[v->prober_count++] = h->members[it->probers.at[k]].id;
}

static const char *why_of(const struct health_item *it)
{
    if (atomic_load_explicit(&it->state->word, memory_order_relaxed) != ORIGIN_NO_WORD)
        return "operator";
    return it->why;
}

static void show_settings(struct health *h, const struct health_item *it, struct health_view *v)
{
    const struct origin_settings *o = &it->up->settings->origins[it->index];
    const struct health_orders orders = health_words_of(h, it);
    const unsigned ordered = atomic_load_explicit(&it->state->weight, memory_order_relaxed);

    v->backup = o->backup;
    v->weight_configured = balance_configured_weight(o);
    v->weight = ordered > 0 ? ordered : v->weight_configured;
    v->word = orders.word;
    v->weight_word = orders.weight;
}

static void show(struct health *h, const struct health_item *it, struct health_view *v)
{
    struct flaps flaps = it->flaps;

    v->upstream = it->state->upstream;
    v->url = it->state->url;
    v->checked = it->check != NULL;
    v->verdict = it->check != NULL ? it->quorum.verdict : ORIGIN_UP;
    v->in_force = origin_state_in_force(it->state);
    v->held = it->check != NULL && it->quorum.held && it->quorum.verdict != ORIGIN_UNKNOWN;
    v->why = why_of(it);
    v->reason = it->reason;
    v->since_ms = health_now_ms(h) - it->since_ms;
    v->prober = it->prober;
    v->probed = it->wanted;
    v->own = it->tally.vote;
    v->own_reason = it->tally.reason;
    v->rtt_us = it->rtt_us;
    v->votes_up = it->votes.up;
    v->votes_down = it->votes.down;
    v->ejected = origin_state_ejected(it->state, h->loop->clock.mono_us);
    v->flapping = flaps_look(&flaps, health_now_ms(h));
    v->penalty = flaps.penalty;
    v->probes = it->probes;
    v->probes_failed = it->probes_failed;
    v->state = it->state;
    show_settings(h, it, v);
    show_probers(h, it, v);
}

static bool in_panic(const struct health *h, const struct site_upstream *u)
{
    return balance_panics(u->settings, u->states, h->loop->clock.mono_us);
}

void health_each(struct health *h, void (*see)(void *arg, const struct health_view *v), void *arg)
{
    const struct site_upstream *last = NULL;
    bool panic = false;

    if (h->checked > 0 && !health_members_read(h))
        health_members_forget(h); /* whom the items name are not these */
    for (size_t i = 0; i < h->count; i++) {
        struct health_view v = {0};

        if (i == 0 || h->items[i]->up != last)
            panic = in_panic(h, h->items[i]->up);
        last = h->items[i]->up;
        v.panic = panic;
        show(h, h->items[i], &v);
        see(arg, &v);
    }
    health_members_forget(h);
}

void health_totals(const struct health *h, struct health_totals *out)
{
    *out = (struct health_totals){
        .probes = h->probes_all,
        .probes_skipped = h->probes_skipped,
        .probes_failed = h->probes_failed_all,
        .verdict_changes = h->verdict_changes,
        .checks = (unsigned)h->checked,
        .under_way = h->under_way,
    };
    for (size_t i = 0; i < h->checked; i++) {
        out->probed_here += h->by_id[i]->wanted;
        out->down += h->by_id[i]->verdict == ORIGIN_DOWN;
    }
    for (size_t u = 0; h->site != NULL && u < h->site->upstream_count; u++)
        out->panics += in_panic(h, &h->site->upstreams[u]);
}
