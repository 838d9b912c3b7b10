/*
 * test_health_farm.h - a farm of N healths in one thread: a clock that the test turns, members that
 * are an array, probes that a table answers.
 *
 * What others get from weir/members.h comes from here: this file is included once, by a program
 * that does not link the real one.
 */
#ifndef TEST_HEALTH_FARM_H
#define TEST_HEALTH_FARM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health_own.h"
#include "origin_names.h"
#include "outlier.h"
#include "weir/container.h"

#define FARM_NODES   100
#define FARM_ORIGINS 200
#define FARM_VOTES   2600 /* bytes: FARM_ORIGINS of them */
#define STEP_MS      50
#define FIRST_MS     INT64_C(1000000)

struct said { /* by a member, as the board has it, or as a node has read it */
    bool there;
    uint64_t incarnation;
    int64_t beat_ms;
    uint32_t flags;
    uint32_t votes_len;
    char votes[FARM_VOTES];
};

struct farm;

struct members { /* one node's */
    struct farm *farm;
    int node;
    char id[32];
    struct said *read; /* FARM_NODES: as of contact_ms */
    struct member list[FARM_NODES];
    int64_t contact_ms;
    bool current, lost;
    size_t last_live;
};

struct words {
    const struct word *list;
    size_t count;
};

struct farm_node {
    bool runs, cut; /* cut: from Redis */
    struct members members;
    struct words words;
    struct health *health;
    struct health_transport transport;
    struct farm *farm;
    struct origin_registry *registry;
    struct site site;
    struct site_upstream upstream;
    struct origin_state *states[FARM_ORIGINS];
    int64_t next_beat_ms;
    bool beat_now, garbage;
    unsigned changed;
};

struct farm {
    struct net_loop loop;
    int64_t now_ms;
    struct said board[FARM_NODES];
    struct farm_node nodes[FARM_NODES];
    int node_count;
    bool told; /* by a hint: somebody has something to say */
    struct upstream_settings settings;
    struct origin_settings origins[FARM_ORIGINS];
    char urls[FARM_ORIGINS][48];
    struct origin_names *names[FARM_ORIGINS];
    /* the network */
    bool dead[FARM_ORIGINS];
    bool silent[FARM_ORIGINS];      /* takes the connection and says nothing */
    int64_t flaps_ms[FARM_ORIGINS]; /* up for so long, down for so long */
    bool cut[FARM_NODES][FARM_ORIGINS];
    enum health_reason local[FARM_NODES]; /* every probe of this node ends so */
    uint64_t probes, probes_of[FARM_ORIGINS];
    unsigned in_window[FARM_ORIGINS], most_in_a_second;
    int64_t window_ms;
};

/* ---- members ---- */

static void read_board(struct members *m)
{
    struct farm *f = m->farm;

    if (f->nodes[m->node].cut) {
        if (f->now_ms - m->contact_ms >= 3 * MEMBER_BEAT_MS) {
            m->lost = true;
            m->current = false;
        }
        return;
    }
    memcpy(m->read, f->board, sizeof f->board);
    m->contact_ms = f->now_ms;
    if (!m->current)
        health_look(f->nodes[m->node].health);
    m->current = true;
    m->lost = false;
}

size_t members_list(struct members *m, const struct member **out)
{
    struct farm *f = m->farm;
    size_t count = 1;

    m->list[0] = (struct member){.id = m->id,
                                 .incarnation = f->board[m->node].incarnation,
                                 .self = true,
                                 .beat_ms = f->now_ms};
    for (int i = 0; i < f->node_count && m->current; i++) {
        const struct said *s = &m->read[i];

        if (i == m->node || !s->there || f->now_ms - s->beat_ms >= MEMBER_LIVE_MS)
            continue;
        m->list[count++] =
            (struct member){.id = f->nodes[i].members.id,
                            .incarnation = s->incarnation,
                            .beat_ms = s->beat_ms,
                            .brief = {.flags = s->flags, .votes = {s->votes, s->votes_len}}};
    }
    if (m->contact_ms == f->now_ms)
        m->last_live = count;
    *out = m->list;
    return count;
}

void members_state(const struct members *m, struct members_state *out)
{
    *out = (struct members_state){.current = m->current,
                                  .lost = m->lost,
                                  .last_live = m->last_live > 0 ? m->last_live : 1};
}

size_t words_list(struct words *w, const struct word **out)
{
    *out = w->list;
    return w->count;
}

/* What changed is told at once; others look. */
static void beat(struct farm_node *n)
{
    struct farm *f = n->farm;
    struct said *s = &f->board[n->members.node];
    const char *votes;

    f->told |= n->beat_now && !n->cut;
    n->next_beat_ms = f->now_ms + MEMBER_BEAT_MS;
    n->beat_now = false;
    if (n->cut)
        return;
    s->there = true;
    s->beat_ms = f->now_ms;
    s->flags = health_suspects_self(n->health) ? MEMBER_SUSPECT : 0;
    s->votes_len = (uint32_t)health_votes(n->health, &votes);
    memcpy(s->votes, votes, s->votes_len);
    if (n->garbage)
        memset(s->votes, 0x5a, s->votes_len = 100);
}

static void on_changed(void *arg)
{
    struct farm_node *n = arg;

    n->beat_now = true;
    n->changed++;
}

/* ---- probes ---- */

static bool is_dead(const struct farm *f, size_t origin)
{
    const int64_t flaps = f->flaps_ms[origin];

    return f->dead[origin] || (flaps > 0 && f->now_ms / flaps % 2 == 1);
}

static void probe_ends(struct net_timer *t)
{
    struct health_probe *p = WEIR_CONTAINER(t, struct health_probe, deadline);

    health_probe_end(p, &p->result);
}

static void probe_starts(struct health_transport *t, struct health_probe *p)
{
    struct farm_node *n = WEIR_CONTAINER(t, struct farm_node, transport);
    struct farm *f = n->farm;
    const size_t origin = WEIR_CONTAINER(p, struct health_item, probe)->index;
    int64_t took_ms = 1;

    f->probes++;
    f->probes_of[origin]++;
    if (++f->in_window[origin] > f->most_in_a_second)
        f->most_in_a_second = f->in_window[origin];
    p->result = (struct health_probe_result){.reason = HEALTH_R_ANSWERED, .rtt_us = 700};
    if (f->cut[n->members.node][origin] || f->silent[origin]) {
        p->result.reason = HEALTH_R_TIMEOUT;
        took_ms = p->check->timeout_ms;
    } else if (is_dead(f, origin)) {
        p->result.reason = HEALTH_R_REFUSED;
    }
    if (f->local[n->members.node] != HEALTH_R_NONE)
        p->result.reason = f->local[n->members.node];
    p->deadline.fire = probe_ends;
    net_timer_start(&f->loop, &p->deadline, f->now_ms + took_ms);
}

static void probe_cancelled(struct health_transport *t, struct health_probe *p)
{
    struct farm_node *n = WEIR_CONTAINER(t, struct farm_node, transport);

    net_timer_stop(&n->farm->loop, &p->deadline);
}

/* ---- time ---- */

static void step(struct farm *f)
{
    f->now_ms += STEP_MS;
    if (f->now_ms - f->window_ms >= 1000) {
        memset(f->in_window, 0, sizeof f->in_window);
        f->window_ms = f->now_ms;
    }
    f->loop.clock.mono_ms = f->now_ms;
    f->loop.clock.mono_us = f->now_ms * 1000;
    f->loop.fresh = true; /* nobody reads the real one */
    for (int i = 0; i < f->node_count; i++) {
        struct farm_node *n = &f->nodes[i];

        if (n->runs && (n->beat_now || f->now_ms >= n->next_beat_ms))
            beat(n);
    }
    for (int i = 0; i < f->node_count; i++)
        if (f->nodes[i].runs) {
            read_board(&f->nodes[i].members);
            if (f->told || f->now_ms % 2000 < STEP_MS)
                health_look(f->nodes[i].health);
        }
    f->told = false;
    event_active(&f->loop.tick_event, EV_TIMEOUT, 0);
    for (int turn = 0; turn < 3; turn++)
        event_base_loop(f->loop.base, EVLOOP_NONBLOCK);
}

static void run(struct farm *f, int64_t ms)
{
    for (const int64_t until = f->now_ms + ms; f->now_ms < until;)
        step(f);
}

/* ---- begin and end ---- */

static void make_site(struct farm *f, struct farm_node *n)
{
    n->upstream =
        (struct site_upstream){.settings = &f->settings, .states = n->states, .names = f->names};
    for (size_t i = 0; i < f->settings.origin_count; i++)
        if (n->states[i] == NULL)
            n->states[i] =
                origin_registry_get(n->registry, f->settings.name, f->origins[i].url, NULL);
    n->site.upstreams = &n->upstream;
    n->site.upstream_count = 1;
    atomic_init(&n->site.refs, 1000); /* never ours to free */
}

/* A node that was never there, or one anew. */
static struct farm_node *node_start(struct farm *f, int i, const char *id)
{
    struct farm_node *n = &f->nodes[i];
    struct health_options o = {.loop = &f->loop,
                               .members = &n->members,
                               .words = &n->words,
                               .transport = &n->transport,
                               .changed = on_changed,
                               .arg = n,
                               .seed = (uint64_t)i * 7919 + (uint64_t)f->now_ms};
    const uint64_t incarnation = f->board[i].incarnation + 1000 + (uint64_t)i;

    memset(n, 0, sizeof *n);
    memset(&f->board[i], 0, sizeof f->board[i]);
    f->board[i].incarnation = incarnation;
    n->farm = f;
    n->members.farm = f;
    n->members.node = i;
    n->members.read = calloc(FARM_NODES, sizeof(struct said));
    if (id != NULL)
        snprintf(n->members.id, sizeof n->members.id, "%s", id);
    else
        snprintf(n->members.id, sizeof n->members.id, "node-%d", i);
    n->transport = (struct health_transport){probe_starts, probe_cancelled};
    n->registry = origin_registry_new(NULL);
    n->health = health_new(&o, NULL);
    make_site(f, n);
    if (n->health == NULL || !health_watch(n->health, &n->site, NULL))
        abort();
    n->runs = true;
    n->next_beat_ms = f->now_ms + i * 2000 / FARM_NODES;
    f->node_count = i >= f->node_count ? i + 1 : f->node_count;
    return n;
}

/* Without a word, as if killed. */
static void node_kill(struct farm_node *n)
{
    if (!n->runs)
        return;
    health_free(n->health);
    for (size_t i = 0; i < FARM_ORIGINS; i++)
        origin_state_unref(n->states[i]);
    origin_registry_free(n->registry);
    free(n->members.read);
    n->runs = false;
}

static struct farm *farm_open(int nodes, size_t origins)
{
    struct farm *f = calloc(1, sizeof *f);

    if (f == NULL || !net_loop_init(&f->loop, NULL))
        abort();
    f->now_ms = f->loop.clock.mono_ms = f->loop.wheel_ms = FIRST_MS; /* so that it repeats */
    f->settings = (struct upstream_settings){
        .name = "app",
        .origins = f->origins,
        .origin_count = origins,
        .panic_percent = 40,
        .max_fails = 5,
        .eject_base_ms = 10000,
        .eject_max_ms = 300000,
        .eject_percent = 50,
        .health = {.kind = HEALTH_KIND_TCP,
                   .interval_ms = 2000,
                   .fast_interval_ms = 500,
                   .timeout_ms = 1000,
                   .rise = 2,
                   .fall = 3},
    };
    for (size_t i = 0; i < origins; i++) {
        snprintf(f->urls[i], sizeof f->urls[i], "http://10.0.0.%zu:80", i + 1);
        f->origins[i] = (struct origin_settings){.url = f->urls[i],
                                                 .host = "127.0.0.1",
                                                 .port = 80,
                                                 .weight = 1};
        f->names[i] = origin_names_new(&f->origins[i], 30000, NULL, NULL, NULL);
    }
    for (int i = 0; i < nodes; i++)
        node_start(f, i, NULL);
    return f;
}

static void farm_close(struct farm *f)
{
    for (int i = 0; i < f->node_count; i++)
        node_kill(&f->nodes[i]);
    for (size_t i = 0; i < f->settings.origin_count; i++)
        origin_names_unref(f->names[i]);
    net_loop_close(&f->loop);
    free(f);
}

/* ---- looking ---- */

static int verdict_at(const struct farm *f, int node, size_t origin)
{
    return atomic_load(&f->nodes[node].states[origin]->verdict);
}

/* How many running nodes say so of it. */
static int count_nodes(const struct farm *f, size_t origin, int verdict)
{
    int count = 0;

    for (int i = 0; i < f->node_count; i++)
        count += f->nodes[i].runs && verdict_at(f, i, origin) == verdict;
    return count;
}

static int running(const struct farm *f)
{
    int count = 0;

    for (int i = 0; i < f->node_count; i++)
        count += f->nodes[i].runs;
    return count;
}

/* Milliseconds until all running nodes say so; -1: not within `most`. */
static int64_t until_all(struct farm *f, size_t origin, int verdict, int64_t most)
{
    const int64_t from = f->now_ms;

    while (count_nodes(f, origin, verdict) < running(f))
        if (f->now_ms - from > most)
            return -1;
        else
            step(f);
    return f->now_ms - from;
}

struct wanted_view {
    const char *url;
    struct health_view view;
};

static void take_view(void *arg, const struct health_view *v)
{
    struct wanted_view *w = arg;

    if (strcmp(w->url, v->url) == 0)
        w->view = *v;
}

static struct health_view view_of(struct farm *f, int node, size_t origin)
{
    struct wanted_view w = {.url = f->urls[origin]};

    health_each(f->nodes[node].health, take_view, &w);
    return w.view;
}

#endif
