/*
 * test_shared_loop.h - a loop, and calls of the door that are waited for: for tests of the engine.
 */
#ifndef TEST_SHARED_LOOP_H
#define TEST_SHARED_LOOP_H

#include <event2/event.h>

#include "weir/shared.h"

struct test_loop {
    struct event_base *base;
    struct weir_clock clock;
};

static inline void test_enter(void *arg)
{
    struct test_loop *l = arg;

    weir_clock_update(&l->clock);
}

static inline struct shared_loop test_loop_start(struct test_loop *l)
{
    l->base = event_base_new();
    weir_clock_update(&l->clock);
    return (struct shared_loop){.base = l->base, .enter = test_enter, .arg = l, .clock = &l->clock};
}

struct test_wait {
    struct shared_call call;
    struct test_loop *loop;
    unsigned told;
};

static inline void test_told(struct shared_call *c)
{
    struct test_wait *w = (struct test_wait *)c; /* its first member */

    w->told++;
    event_base_loopbreak(w->loop->base);
}

/* Ready to be asked with. */
static inline struct shared_call *test_call(struct test_wait *w, struct test_loop *l)
{
    memset(w, 0, sizeof *w);
    w->loop = l;
    w->call.done = test_told;
    w->call.timeout_ms = 2000;
    w->call.area = SHARED_STATE;
    return &w->call;
}

/* Until it is told. */
static inline enum shared_result test_answer(struct test_wait *w)
{
    while (w->told == 0)
        if (event_base_loop(w->loop->base, EVLOOP_ONCE) != 0)
            abort(); /* nothing can ever happen: it would hang */
    return w->call.result;
}

#endif
