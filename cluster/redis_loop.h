/*
 * redis_loop.h - what the Redis connections of one thread share: the end of the loop's turn, timers
 * of 1 ms, and names by evdns.
 *
 * One for each event_base, used on its thread alone. All callbacks of the client come from the
 * loop's level, never from inside a call of ours: a completion found inside a call is put off to
 * the end of the turn, and so is the writing, so that all commands of a turn go out together.
 */
#ifndef REDIS_LOOP_H
#define REDIS_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"

struct event_base;
struct redis_loop;

/* Borrows base until redis_loop_free(). NULL with err set without memory. */
struct redis_loop *redis_loop_new(struct event_base *base, struct weir_err *err);
/* Connections must have been freed. What is still pending is never called: completions, work put
 * off, timers. Names that are being looked up, and TLS that has just ended, leave memory to
 * libevent, which it gives back at the next turn of base: who frees base turns it once more first
 * (EVLOOP_NONBLOCK). Not from inside a callback of the client. NULL does nothing. */
void redis_loop_free(struct redis_loop *loop);

struct event_base *redis_loop_base(const struct redis_loop *loop);
/* CLOCK_MONOTONIC, read now (vDSO). */
int64_t redis_now_us(void);
static inline int64_t redis_now_ms(void)
{
    return redis_now_us() / 1000;
}

/* ---- timers: embedded; all zero = not running ---- */

struct redis_timer {
    struct redis_timer *next, **at; /* at == NULL: not running */
    int64_t due_ms;                 /* monotonic */
    void (*fire)(struct redis_timer *t);
};

/* Starts it, or moves it if it runs. Fires at loop level, never early, a millisecond or two late;
 * t->fire is set by the caller and may start or stop any timer, and free t. */
void redis_timer_start(struct redis_loop *loop, struct redis_timer *t, int64_t due_ms);
void redis_timer_stop(struct redis_timer *t); /* one that does not run: does nothing */

/* ---- work for the end of this turn: embedded; all zero = not put off ---- */

struct redis_later {
    struct redis_later *next, **at; /* at == NULL: not put off */
    void (*run)(struct redis_later *l);
};

/* In the order they were put off, before the turn's commands are written. One that is put off
 * already stays where it is. l->run may free l. */
void redis_later(struct redis_loop *loop, struct redis_later *l);
void redis_later_cancel(struct redis_loop *loop, struct redis_later *l);

#endif
