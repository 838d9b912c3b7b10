/*
 * redis_loop_own.h - the inside of a redis_loop, for redis_*.c of the connection alone.
 */
#ifndef REDIS_LOOP_OWN_H
#define REDIS_LOOP_OWN_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "redis_loop.h"

#define REDIS_WHEEL_SIZE    512         /* ms */
#define REDIS_RECEIVE_BYTES (64u << 10) /* what one receive may bring */

/* In the order of a turn's end. */
enum redis_queue {
    REDIS_QUEUE_LATER, /* completions, events, and what others put off */
    REDIS_QUEUE_FLUSH, /* connections with something to write */
    REDIS_QUEUE_BURY,  /* memory that somebody up the stack may still hold */
    REDIS_QUEUES,
};

struct redis_names;

struct redis_loop {
    struct event_base *base;
    struct event turn; /* the end of a turn */
    struct event tick;
    int64_t wheel_ms; /* slots up to here have been looked at */
    int64_t wake_ms;  /* when tick fires; 0 = it does not, -1 = it is being decided */
    struct redis_timer *wheel[REDIS_WHEEL_SIZE];
    struct redis_later *queue[REDIS_QUEUES], **last[REDIS_QUEUES];
    bool turning;              /* in on_turn() */
    unsigned connections;      /* not freed yet */
    struct redis_names *names; /* NULL until a name is asked for */
    char *receive;             /* REDIS_RECEIVE_BYTES for whichever connection is reading */
};

void redis_loop_put_off(struct redis_loop *loop, enum redis_queue q, struct redis_later *l);
void redis_loop_take_back(struct redis_loop *loop, enum redis_queue q, struct redis_later *l);

#endif
