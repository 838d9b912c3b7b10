/*
 * net_loop.h - one thread's event loop: descriptors (libevent), coarse timers, mail, and a clock
 * read once a turn.
 *
 * Everything here belongs to the loop's thread, except posting to `box`.
 *
 * Timers are for time-outs, not for precision: they fire up to NET_TICK_MS late. Moving a
 * deadline later is one store (the wheel looks again when the old slot comes round), so a busy
 * connection pays nothing for its time-out.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir/clock.h"
#include "weir/err.h"
#include "weir/mailbox.h"

#define NET_TICK_MS 50
#define NET_WHEEL_SIZE                                                                             \
    1024 /* 51 s; later deadlines wait in the farthest slot and are looked at again */

struct net_timer {
    struct net_timer *next, **at; /* at == NULL: not in the wheel */
    int64_t due_ms;               /* monotonic; INT64_MAX while parked */
    int64_t slot_ms;              /* when the wheel will look */
    void (*fire)(struct net_timer *t);
};

/* Work put off to the end of the turn, in order: above all freeing what a caller up the stack may
 * still hold. */
struct net_deferred {
    struct net_deferred *next;
    void (*run)(struct net_deferred *d);
};

struct net_loop {
    struct event_base *base;
    struct weir_clock clock; /* valid inside callbacks once net_loop_enter() ran this turn */
    bool fresh;              /* the clock was read this turn */
    bool stopping;
    struct weir_mailbox box;
    struct event mail_event;
    struct event tick_event;
    int64_t wheel_ms; /* slots up to here have been looked at */
    int64_t wake_ms;  /* when tick_event fires; 0 = it does not */
    unsigned timers;  /* in the wheel */
    struct net_timer *wheel[NET_WHEEL_SIZE];
    struct net_deferred *deferred, **last_deferred; /* in the order they were put off */
};

bool net_loop_init(struct net_loop *loop, struct weir_err *err);
/* Runs what is deferred, then frees. No timer or event may be left. */
void net_loop_close(struct net_loop *loop);
/* Runs what is deferred, outside of a turn: before something goes that it needs. */
void net_loop_settle(struct net_loop *loop);
/* Turns until net_loop_stop(). */
void net_loop_run(struct net_loop *loop);
void net_loop_stop(struct net_loop *loop);

/* Every libevent callback calls this first: reads the clock unless this turn has. */
static inline void net_loop_enter(struct net_loop *loop)
{
    if (!loop->fresh) {
        weir_clock_update(&loop->clock);
        loop->fresh = true;
    }
}

static inline int64_t net_now_ms(const struct net_loop *loop)
{
    return loop->clock.mono_ms;
}

/* t->fire is set by the caller. A timer is embedded and must be stopped before its memory goes. */
void net_timer_start(struct net_loop *loop, struct net_timer *t, int64_t due_ms);
void net_timer_stop(struct net_loop *loop, struct net_timer *t);

/* In the wheel already and not needed before it looks: one store. Else like net_timer_start(). */
static inline void net_timer_move(struct net_loop *loop, struct net_timer *t, int64_t due_ms)
{
    if (t->at != NULL && due_ms >= t->slot_ms)
        t->due_ms = due_ms;
    else
        net_timer_start(loop, t, due_ms);
}

/* Nothing is due: stays in the wheel, costs one store. */
static inline void net_timer_park(struct net_timer *t)
{
    t->due_ms = INT64_MAX;
}

/* At the end of the turn, after what was put off before it. d must not be put off already. */
void net_defer(struct net_loop *loop, struct net_deferred *d, void (*run)(struct net_deferred *d));

#endif
