#include "health.h"

#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"

#include "health_own.h"
#include "origin_names.h"

/* ---- looking ---- */

static void look(struct health *h, bool words)
{
    if (h->site == NULL)
        return;
    if (words)
        health_words_apply(h);
    if (h->checked > 0 && health_members_read(h)) {
        health_judge(h);
        health_turns_set(h);
        health_members_forget(h);
    }
    for (size_t i = 0; i < h->count; i++)
        health_note_force(h->items[i]);
    if (h->said_changed && h->options.changed != NULL) {
        h->said_changed = false;
        h->options.changed(h->options.arg);
    }
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct health *h = arg;

    (void)fd;
    (void)what;
    net_loop_enter(h->loop);
    look(h, true);
}

static void on_turn(struct net_timer *t)
{
    struct health *h = WEIR_CONTAINER(t, struct health, turn);

    net_timer_start(h->loop, &h->turn, health_now_ms(h) + HEALTH_TURN_MS);
    look(h, false);
}

void health_look(struct health *h)
{
    event_active(&h->look, EV_TIMEOUT, 0);
}

/* ---- items ---- */

static void free_item(struct health_item *it)
{
    if (it == NULL)
        return;
    health_turns_stop(it);
    health_check_free(it->check);
    origin_names_unref(it->names);
    origin_state_unref(it->state);
    weir_free(it);
}

static struct health_item *new_item(struct health *h, const struct site_upstream *up, size_t index,
                                    struct weir_err *err)
{
    const struct upstream_settings *s = up->settings;
    struct health_item *it = weir_calloc(1, sizeof *it);

    if (it == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "health: watch", 0);
        return NULL;
    }
    it->h = h;
    it->up = up;
    it->index = index;
    it->state = origin_state_ref(up->states[index]);
    it->names = origin_names_ref(up->names[index]);
    it->rtt_us = -1;
    it->why = "not checked";
    it->verdict = atomic_load_explicit(&it->state->verdict, memory_order_relaxed);
    it->in_force = origin_state_in_force(it->state);
    it->since_ms = health_now_ms(h);
    quorum_begin(&it->quorum, it->verdict, it->since_ms);
    if (s->health.kind == HEALTH_KIND_OFF)
        return it;
    it->why = "no votes yet";
    if (s->origins[index].tls) {
        it->probe.tls = up->tls;
        it->probe.tls_name = s->origins[index].host;
    }
    it->check = health_check_new(s, &s->origins[index], err);
    if (it->check != NULL)
        return it;
    free_item(it);
    return NULL;
}

static void free_items(struct health_item **items, size_t count)
{
    for (size_t i = 0; i < count && items != NULL; i++)
        free_item(items[i]);
    weir_free(items);
}

/* ---- a new site ---- */

struct plan { /* what a site becomes, made whole before anything changes */
    struct health_item **items, **by_id;
    char *votes;
    size_t count, room, checked;
};

static void drop_plan(struct plan *p)
{
    free_items(p->items, p->count);
    weir_free(p->by_id);
    weir_free(p->votes);
}

static int by_check_id(const void *a, const void *b)
{
    const struct health_item *const *x = a, *const *y = b;

    return ((*x)->check->id > (*y)->check->id) - ((*x)->check->id < (*y)->check->id);
}

static bool make_plan(struct health *h, const struct site *site, struct plan *p,
                      struct weir_err *err)
{
    for (size_t u = 0; u < site->upstream_count; u++)
        p->room += site->upstreams[u].settings->origin_count;
    p->items = weir_calloc(p->room + 1, sizeof(struct health_item *));
    p->by_id = weir_calloc(p->room + 1, sizeof(struct health_item *));
    p->votes = weir_malloc(votes_bytes(p->room));
    if (p->items == NULL || p->by_id == NULL || p->votes == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "health: watch", 0);
    for (size_t u = 0; u < site->upstream_count; u++)
        for (size_t i = 0; i < site->upstreams[u].settings->origin_count; i++) {
            struct health_item *it = new_item(h, &site->upstreams[u], i, err);

            if (it == NULL)
                return false;
            p->items[p->count++] = it;
            if (it->check != NULL)
                p->by_id[p->checked++] = it;
        }
    qsort(p->by_id, p->checked, sizeof(struct health_item *), by_check_id);
    return true;
}

/* What is known of the origin goes over to its new item; of the check only if it is the same. */
static void inherit(struct health_item *it, const struct health_item *old)
{
    it->in_force = old->in_force;
    it->since_ms = old->since_ms;
    it->flaps = old->flaps;
    it->probes = old->probes;
    it->probes_failed = old->probes_failed;
    if (it->check == NULL || old->check == NULL || it->check->id != old->check->id)
        return; /* the verdict stands, held from now on */
    it->quorum = old->quorum;
    it->down = old->down;
    it->why = old->why;
    it->reason = old->reason;
    it->tally = old->tally;
    it->said_ms = old->said_ms;
    it->rtt_us = old->rtt_us;
    it->skipped = old->skipped;
    it->successes = old->successes;
    it->failures = old->failures;
    it->began_ms = old->began_ms;
    it->wanted = old->wanted;
    it->prober = old->prober; /* until it is looked: its vote must not go missing meanwhile */
    it->interval_ms = it->check->interval_ms;
    it->fast_ms = it->check->fast_interval_ms;
    it->due_ms = old->due_ms;
}

static int by_state(const void *a, const void *b)
{
    const struct health_item *const *x = a, *const *y = b;

    return ((*x)->state > (*y)->state) - ((*x)->state < (*y)->state);
}

/* The old items are put in another order: they go next. */
static void inherit_all(struct health *h, const struct plan *p)
{
    qsort(h->items, h->count, sizeof(struct health_item *), by_state);
    for (size_t i = 0; i < p->count; i++) {
        struct health_item **old = h->count == 0 ? NULL
                                                 : bsearch(&p->items[i], h->items, h->count,
                                                           sizeof(struct health_item *), by_state);

        if (old != NULL)
            inherit(p->items[i], *old);
    }
}

/* Without a check there is nobody to take a verdict back. */
static void leave_unchecked_up(struct health *h)
{
    for (size_t i = 0; i < h->count; i++) {
        struct health_item *it = h->items[i];

        if (it->check != NULL)
            continue;
        it->verdict = ORIGIN_UP;
        origin_state_set_verdict(it->state, ORIGIN_UP, h->loop->clock.mono_us);
    }
}

static void take_plan(struct health *h, struct site *site, struct plan *p)
{
    if (h->count > 0)
        inherit_all(h, p);
    free_items(h->items, h->count);
    weir_free(h->by_id);
    weir_free(h->votes);
    site_unref(h->site);
    h->site = site_ref(site);
    h->items = p->items;
    h->by_id = p->by_id;
    h->votes = p->votes;
    h->count = p->count;
    h->checked = p->checked;
    h->signature = 0; /* probers are picked anew */
    h->said_changed = true;
    leave_unchecked_up(h);
}

bool health_watch(struct health *h, struct site *site, struct weir_err *err)
{
    struct plan p = {0};

    if (!make_plan(h, site, &p, err)) {
        drop_plan(&p);
        return false;
    }
    take_plan(h, site, &p);
    for (size_t i = 0; i < h->count; i++)
        if (h->items[i]->wanted) /* the timer went with the old item */
            health_turns_go_on(h->items[i]);
    if (h->checked > 0)
        net_timer_start(h->loop, &h->turn, health_now_ms(h) + HEALTH_TURN_MS);
    else
        net_timer_stop(h->loop, &h->turn);
    health_look(h);
    return true;
}

/* ---- begin and end ---- */

struct health *health_new(const struct health_options *o, struct weir_err *err)
{
    struct health *h = weir_calloc(1, sizeof *h);

    if (h == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "health: create", 0);
        return NULL;
    }
    h->options = *o;
    h->loop = o->loop;
    h->transport = o->transport;
    if (h->transport == NULL) {
        h->transport = h->sockets = health_sockets_new(o->loop, err);
        if (h->sockets == NULL) {
            weir_free(h);
            return NULL;
        }
    }
    h->turn.fire = on_turn;
    h->last_live = 1;
    balance_rng_seed(&h->rng, o->seed);
    event_assign(&h->look, o->loop->base, -1, 0, on_look, h);
    return h;
}

void health_free(struct health *h)
{
    if (h == NULL)
        return;
    net_timer_stop(h->loop, &h->turn);
    event_del(&h->look);
    free_items(h->items, h->count);
    weir_free(h->by_id);
    weir_free(h->votes);
    weir_free(h->candidates);
    weir_free(h->read);
    site_unref(h->site);
    health_sockets_free(h->sockets);
    weir_free(h);
}

/* ---- what a brief says ---- */

size_t health_votes(struct health *h, const char **bytes)
{
    size_t count = 0;

    *bytes = h->votes;
    for (size_t i = 0; i < h->checked; i++) {
        const struct health_item *it = h->by_id[i];
        const struct vote v = {it->check->id, it->tally.vote, it->tally.reason, it->tally.run};

        if (it->prober && v.vote != HEALTH_NONE && votes_bytes(count + 1) <= MEMBER_VOTES_MAX)
            votes_put(&v, count++, h->votes);
    }
    return count == 0 ? 0 : votes_bytes(count);
}

bool health_suspects_self(const struct health *h)
{
    return h->suspicion.suspect;
}

bool health_autonomous(const struct health *h)
{
    return h->autonomous;
}
