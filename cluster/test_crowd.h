/*
 * test_crowd.h - a farm of many nodes on one thread: the embedded engine with a port for each,
 * whose door can be shut, and a clock of the test.
 *
 * Each node has clocks of its own, so that one of them can be wrong; the shared clock is another.
 */
#ifndef TEST_CROWD_H
#define TEST_CROWD_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "weir/seal.h"
#include "shared_embedded.h"
#include "shared_engine.h"

#define CROWD_FARM "test"

struct crowd;

struct crowd_node {
    struct crowd *crowd;
    struct weir_clock clock;
    struct shared_loop loop;
    struct shared_port *port; /* NULL: there is no such node */
    bool gone;                /* nothing can be asked */
    bool unsure;              /* what is put is in one place only */
    void (*turn)(struct crowd_node *n);
    void *owner; /* of the test */
};

struct crowd {
    struct event_base *base;
    struct weir_shared *shared;
    const struct shared_engine_ops *real;
    struct shared_engine_ops ops;
    struct weir_seal_key key;
    int64_t shared_ms; /* what the shared clock shows */
    size_t puts, reads;
    struct crowd_node *nodes;
    size_t count;
};

static inline struct crowd_node *crowd_node_of(const struct shared_port *p)
{
    return p->loop.arg;
}

static inline bool crowd_ready(const struct shared_port *p, enum shared_area area)
{
    (void)area;
    return !crowd_node_of(p)->gone;
}

static inline void crowd_put(struct shared_port *p, struct shared_call *c,
                             const struct shared_board *b, const struct shared_post *posts,
                             size_t count, struct weir_span hint)
{
    struct crowd *w = crowd_node_of(p)->crowd;

    w->puts++;
    w->real->board_put(p, c, b, posts, count, hint);
    c->number = (uint64_t)w->shared_ms;
    c->unconfirmed = crowd_node_of(p)->unsure;
}

static inline void crowd_read(struct shared_port *p, struct shared_call *c,
                              const struct shared_board *b)
{
    struct crowd *w = crowd_node_of(p)->crowd;

    w->reads++;
    w->real->board_read(p, c, b);
    c->number = (uint64_t)w->shared_ms;
}

static inline void crowd_enter(void *arg)
{
    (void)arg; /* time passes in crowd_pass() alone */
}

static inline struct crowd *crowd_new(size_t count)
{
    struct crowd *w = calloc(1, sizeof *w);

    weir_log_set_level(WEIR_LOG_ERROR);
    w->base = event_base_new();
    w->shared = shared_embedded_new(NULL, NULL);
    w->real = w->shared->ops;
    w->ops = *w->real;
    w->ops.ready = crowd_ready;
    w->ops.board_put = crowd_put;
    w->ops.board_read = crowd_read;
    w->ops.farm = true;
    w->shared->ops = &w->ops;
    w->shared_ms = 1763900000000;
    w->nodes = calloc(count, sizeof *w->nodes);
    w->count = count;
    for (size_t i = 0; i < count; i++)
        w->nodes[i].clock.mono_ms = 1000000; /* one machine's: the engine's time is each port's */
    if (!weir_seal_key_derive(&w->key, WEIR_SPAN_LIT("a secret of 32 bytes or even more"),
                              WEIR_SPAN_LIT(CROWD_FARM), NULL))
        abort();
    return w;
}

/* A way in for node i. */
static inline struct crowd_node *crowd_open(struct crowd *w, size_t i)
{
    struct crowd_node *n = &w->nodes[i];
    int64_t now = n->clock.mono_ms;

    *n = (struct crowd_node){.crowd = w, .clock.mono_ms = now};
    n->clock.wall_ms = w->shared_ms;
    n->clock.wall_s = w->shared_ms / 1000;
    n->loop =
        (struct shared_loop){.base = w->base, .enter = crowd_enter, .arg = n, .clock = &n->clock};
    n->port = shared_port_new(w->shared, &n->loop, NULL);
    if (n->port == NULL)
        abort();
    return n;
}

static inline void crowd_close(struct crowd_node *n)
{
    shared_port_free(n->port);
    n->port = NULL;
    n->turn = NULL;
}

static inline void crowd_free(struct crowd *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->nodes[i].port != NULL)
            crowd_close(&w->nodes[i]);
    w->shared->ops = w->real;
    shared_free(w->shared);
    event_base_free(w->base);
    free(w->nodes);
    free(w);
}

/* All that can happen without time. */
static inline void crowd_run(struct crowd *w)
{
    for (int i = 0; i < 8; i++)
        event_base_loop(w->base, EVLOOP_NONBLOCK);
}

static inline void crowd_pass(struct crowd *w, int64_t ms)
{
    static const int64_t step = 10;

    for (; ms > 0; ms -= step) {
        w->shared_ms += step;
        for (size_t i = 0; i < w->count; i++) {
            w->nodes[i].clock.mono_ms += step;
            w->nodes[i].clock.mono_us = w->nodes[i].clock.mono_ms * 1000;
            w->nodes[i].clock.wall_ms += step;
        }
        for (size_t i = 0; i < w->count; i++)
            if (w->nodes[i].turn != NULL)
                w->nodes[i].turn(&w->nodes[i]);
        crowd_run(w);
    }
}

#endif
