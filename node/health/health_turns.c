#include "health_own.h"

#include <string.h>

#include "weir/container.h"

/*
 *            .--------------- unwanted: stop() ---------------.
 *            v                                                |
 *   idle --wanted: phase in--> timed --due--> asking --done--> timed ...
 *                                '--traffic is proof--> timed
 *
 * A new prober begins at a random time within the interval, and keeps that phase: whatever makes
 * many nodes begin at once, their probes stay apart.
 */

#define PROOF_SUCCESSES                                                                            \
    5 /* of requests, and no failure, in an interval (balancing-and-health 4.2) */
#define FAILS_ALARMING  2 /* in a row */
#define SKIPS_MAX       4 /* then one is made all the same: a check may know what requests do not */
#define LAPSE_INTERVALS 3 /* without a word on it a vote is given up */
#define DOUBT_SAMPLE    10 /* checks that a node in doubt of itself asks */

static void on_due(struct net_timer *t);
static void on_done(struct health_probe *p, const struct health_probe_result *r);

static uint64_t now_successes(const struct health_item *it)
{
    return atomic_load_explicit(&it->state->successes, memory_order_relaxed);
}

static uint64_t now_failures(const struct health_item *it)
{
    return atomic_load_explicit(&it->state->failures, memory_order_relaxed);
}

static void note_traffic(struct health_item *it)
{
    it->successes = now_successes(it);
    it->failures = now_failures(it);
}

/* ---- when ---- */

void health_turns_go_on(struct health_item *it)
{
    const int64_t now = health_now_ms(it->h);

    it->timer.fire = on_due;
    net_timer_start(it->h->loop, &it->timer, it->due_ms > now ? it->due_ms : now + 1);
}

static void wait_for_next(struct health_item *it)
{
    it->due_ms = it->began_ms + (tally_changing(&it->tally) ? it->fast_ms : it->interval_ms);
    health_turns_go_on(it);
}

static void due_by(struct health_item *it, int64_t at_ms)
{
    if (it->due_ms <= at_ms || health_probe_under_way(&it->probe))
        return;
    it->due_ms = at_ms;
    health_turns_go_on(it);
}

static int64_t random_up_to(struct health *h, int64_t ms)
{
    return (int64_t)(balance_rng_unit(&h->rng) * (double)ms);
}

/* ---- asking ---- */

/* What a probe or traffic says. */
static void tell(struct health_item *it, enum health_reason r)
{
    struct health *h = it->h;
    /* Until somebody calls it down it counts as up: one success is enough to say so. */
    const bool first = it->tally.vote == HEALTH_NONE && it->quorum.verdict != ORIGIN_DOWN;

    if (r != HEALTH_R_LOCAL)
        it->said_ms = health_now_ms(h);
    if (tally_add(&it->tally, r, first ? 1 : it->check->rise, it->check->fall)) {
        h->said_changed = true;
        health_look(h);
    }
}

static void begin(struct health_item *it)
{
    struct health *h = it->h;

    it->skipped = 0;
    it->probes++;
    h->probes_all++;
    h->under_way++;
    it->probe.check = it->check;
    it->probe.names = it->names;
    it->probe.done = on_done;
    health_probe_start(h->transport, &it->probe);
}

static void on_done(struct health_probe *p, const struct health_probe_result *r)
{
    struct health_item *it = WEIR_CONTAINER(p, struct health_item, probe);
    const bool failed = r->reason != HEALTH_R_ANSWERED && r->reason != HEALTH_R_LOCAL;

    it->h->under_way--;
    it->probes_failed += failed;
    it->h->probes_failed_all += failed;
    if (r->reason == HEALTH_R_ANSWERED)
        it->rtt_us = r->rtt_us;
    tell(it, r->reason);
    wait_for_next(it);
}

static bool proved_by_traffic(const struct health_item *it)
{
    return it->skipped < SKIPS_MAX && it->tally.vote != HEALTH_VOTE_DOWN &&
           !tally_changing(&it->tally) && now_successes(it) - it->successes >= PROOF_SUCCESSES &&
           now_failures(it) == it->failures;
}

static void on_due(struct net_timer *t)
{
    struct health_item *it = WEIR_CONTAINER(t, struct health_item, timer);
    const bool proved = proved_by_traffic(it);

    it->began_ms = health_now_ms(it->h);
    it->down_heard = it->votes.down;
    note_traffic(it);
    if (!proved) {
        begin(it);
        return;
    }
    it->skipped++;
    it->h->probes_skipped++;
    tell(it, HEALTH_R_TRAFFIC);
    wait_for_next(it);
}

void health_turns_stop(struct health_item *it)
{
    struct health *h = it->h;

    net_timer_stop(h->loop, &it->timer);
    if (health_probe_under_way(&it->probe)) {
        health_probe_cancel(&it->probe);
        h->under_way--;
    }
    it->wanted = false;
    it->skipped = 0;
    it->tally = (struct tally){0};
}

/* ---- which ---- */

struct wish {
    bool wanted;
    int64_t interval_ms, fast_ms;
    int64_t within_ms; /* a first probe: at a random time within it */
};

static struct wish as_configured(const struct health_item *it)
{
    return (struct wish){true, it->check->interval_ms, it->check->fast_interval_ms,
                         it->check->interval_ms};
}

/* All nodes ask at once: so seldom that it is not too much together. */
static struct wish for_oneself(const struct health_item *it)
{
    const int64_t share_ms = (int64_t)it->h->last_live * 1000 / HEALTH_RATE_MAX;

    if (share_ms <= it->check->interval_ms)
        return as_configured(it);
    return (struct wish){true, share_ms, share_ms, share_ms};
}

/* Down from here, and not for all: it is asked until it is up, whoever's turn it is. */
static struct wish at_once(const struct health_item *it)
{
    struct wish w = as_configured(it);

    w.within_ms = w.fast_ms;
    return w;
}

/* A few checks, others on each node, the same ones every time. */
static bool in_sample(const struct health *h, const struct health_item *it)
{
    const uint64_t mixed = (it->check->id ^ h->self_place) * UINT64_C(0x9e3779b97f4a7c15);

    return (mixed >> 32) % h->checked < DOUBT_SAMPLE;
}

static struct wish wish_for(const struct health *h, const struct health_item *it)
{
    if (h->autonomous)
        return for_oneself(it);
    if (it->prober)
        return as_configured(it);
    if (it->quorum.verdict != ORIGIN_DOWN && health_own_view(it) == HEALTH_VOTE_DOWN)
        return at_once(it);
    if (it->quorum.verdict == ORIGIN_UNKNOWN)
        return for_oneself(it);
    if (health_doubts(h) && in_sample(h, it))
        return at_once(it);
    return (struct wish){0};
}

static void start(struct health_item *it, const struct wish *w)
{
    it->wanted = true;
    note_traffic(it);
    it->said_ms = health_now_ms(it->h);
    it->due_ms = it->said_ms + random_up_to(it->h, w->within_ms);
    health_turns_go_on(it);
}

/* Others have begun to call it down, or requests fail in a row: no reason to wait for the turn.
 * Once for each piece of news, or a single dissenter would double the probes of all. */
static bool alarmed(const struct health_item *it)
{
    return it->tally.vote == HEALTH_VOTE_UP && it->quorum.verdict != ORIGIN_DOWN &&
           (it->votes.down > it->down_heard ||
            (now_failures(it) != it->failures &&
             atomic_load_explicit(&it->state->fails, memory_order_relaxed) >= FAILS_ALARMING));
}

static void keep_up(struct health_item *it, const struct wish *w)
{
    const int64_t now = health_now_ms(it->h);

    if (it->tally.vote != HEALTH_NONE &&
        now - it->said_ms > LAPSE_INTERVALS * w->interval_ms + it->check->timeout_ms) {
        it->tally = (struct tally){0};
        it->h->said_changed = true;
    }
    if (it->due_ms > now + w->interval_ms)
        due_by(it, now + random_up_to(it->h, w->interval_ms));
    if (alarmed(it))
        due_by(it, it->began_ms + w->fast_ms);
}

void health_turns_set(struct health *h)
{
    for (size_t i = 0; i < h->checked; i++) {
        struct health_item *it = h->by_id[i];
        const struct wish w = wish_for(h, it);

        it->interval_ms = w.interval_ms;
        it->fast_ms = w.fast_ms;
        if (!w.wanted && it->wanted) {
            health_turns_stop(it);
            h->said_changed = true;
        } else if (w.wanted && !it->wanted) {
            start(it, &w);
        } else if (w.wanted) {
            keep_up(it, &w);
        }
    }
}
