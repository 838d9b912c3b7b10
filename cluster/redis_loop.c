#include "redis_loop.h"

#include <assert.h>
#include <time.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "redis_loop_own.h"
#include "redis_names.h"
#include "weir/alloc.h"
#include "weir/container.h"

#define ROUNDS_MAX                                                                                 \
    8 /* of put-off work in one turn; what puts itself off for ever must not stop I/O */

int64_t redis_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct event_base *redis_loop_base(const struct redis_loop *loop)
{
    return loop->base;
}

/* ---- timers: a wheel of 1 ms; whatever is later than a round looks again when its slot comes ----
 */

static void wake_at(struct redis_loop *loop, int64_t ms)
{
    int64_t wait_us = ms * 1000 - redis_now_us();
    struct timeval wait = {0};

    if (wait_us > 0)
        wait = (struct timeval){wait_us / 1000000, wait_us % 1000000};
    loop->wake_ms = ms;
    event_add(&loop->tick, &wait);
}

static void wheel_put(struct redis_loop *loop, struct redis_timer *t)
{
    int64_t slot_ms = t->due_ms;
    struct redis_timer **head;

    if (slot_ms <= loop->wheel_ms)
        slot_ms = loop->wheel_ms + 1; /* that is the next slot to be looked at */
    if (slot_ms > loop->wheel_ms + REDIS_WHEEL_SIZE)
        slot_ms = loop->wheel_ms + REDIS_WHEEL_SIZE;
    head = &loop->wheel[slot_ms % REDIS_WHEEL_SIZE];
    t->next = *head;
    t->at = head;
    if (t->next != NULL)
        t->next->at = &t->next;
    *head = t;
    if (slot_ms < loop->wake_ms || loop->wake_ms == 0)
        wake_at(loop, slot_ms);
}

void redis_timer_stop(struct redis_timer *t)
{
    if (t->at == NULL)
        return;
    *t->at = t->next;
    if (t->next != NULL)
        t->next->at = t->at;
    t->at = NULL;
}

void redis_timer_start(struct redis_loop *loop, struct redis_timer *t, int64_t due_ms)
{
    redis_timer_stop(t);
    if (loop->wake_ms == 0) /* nothing has run for a while: the wheel stands where it stopped */
        loop->wheel_ms = redis_now_ms() - 1;
    t->due_ms = due_ms;
    wheel_put(loop, t);
}

/* One slot, whose time has come. Detached first: what fires may start and stop any timer. */
static void wheel_turn(struct redis_loop *loop)
{
    struct redis_timer **slot = &loop->wheel[loop->wheel_ms % REDIS_WHEEL_SIZE];
    struct redis_timer *due = *slot;

    *slot = NULL;
    if (due != NULL)
        due->at = &due;
    while (due != NULL) {
        struct redis_timer *t = due;

        redis_timer_stop(t);
        if (t->due_ms > loop->wheel_ms)
            wheel_put(loop, t);
        else
            t->fire(t);
    }
}

/* The next slot with anything in it; 0 if the wheel is empty. */
static int64_t next_slot_ms(const struct redis_loop *loop)
{
    for (int64_t ms = loop->wheel_ms + 1; ms <= loop->wheel_ms + REDIS_WHEEL_SIZE; ms++)
        if (loop->wheel[ms % REDIS_WHEEL_SIZE] != NULL)
            return ms;
    return 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct redis_loop *loop = arg;
    int64_t now_ms = redis_now_ms(), next;

    (void)fd, (void)what;
    loop->wake_ms = -1; /* no event_add() by what fires: it is done once, below */
    /* After a long stop one round sees every slot; what it finds too early is put back. */
    if (now_ms - loop->wheel_ms > REDIS_WHEEL_SIZE)
        loop->wheel_ms = now_ms - REDIS_WHEEL_SIZE;
    while (loop->wheel_ms < now_ms) {
        loop->wheel_ms++;
        wheel_turn(loop);
    }
    loop->wake_ms = 0;
    next = next_slot_ms(loop);
    if (next != 0)
        wake_at(loop, next);
}

/* ---- the end of a turn ---- */

void redis_loop_put_off(struct redis_loop *loop, enum redis_queue q, struct redis_later *l)
{
    static const struct timeval next_turn = {0};

    if (l->at != NULL)
        return;
    l->next = NULL;
    l->at = loop->last[q];
    *loop->last[q] = l;
    loop->last[q] = &l->next;
    /* An event made active runs before the loop looks at descriptors again. What the end of a turn
     * brings about is looked at there, and else after them. */
    if (!loop->turning)
        event_active(&loop->turn, EV_TIMEOUT, 0);
    else if (!event_pending(&loop->turn, EV_TIMEOUT, NULL))
        event_add(&loop->turn, &next_turn);
}

void redis_loop_take_back(struct redis_loop *loop, enum redis_queue q, struct redis_later *l)
{
    if (l->at == NULL)
        return;
    *l->at = l->next;
    if (l->next != NULL)
        l->next->at = l->at;
    else if (loop->last[q] == &l->next) /* else it is the last of those being run */
        loop->last[q] = l->at;
    l->at = NULL;
}

void redis_later(struct redis_loop *loop, struct redis_later *l)
{
    redis_loop_put_off(loop, REDIS_QUEUE_LATER, l);
}

void redis_later_cancel(struct redis_loop *loop, struct redis_later *l)
{
    redis_loop_take_back(loop, REDIS_QUEUE_LATER, l);
}

/* What was put off before the call. Detached first: what runs may put off and cancel any work. */
static void run_queue(struct redis_loop *loop, enum redis_queue q)
{
    struct redis_later *batch = loop->queue[q];

    loop->queue[q] = NULL;
    loop->last[q] = &loop->queue[q];
    if (batch != NULL)
        batch->at = &batch;
    while (batch != NULL) {
        struct redis_later *l = batch;

        redis_loop_take_back(loop, q, l);
        l->run(l);
    }
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct redis_loop *loop = arg;

    (void)fd, (void)what;
    loop->turning = true;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        while (loop->queue[REDIS_QUEUE_LATER] != NULL && round++ < ROUNDS_MAX)
            run_queue(loop, REDIS_QUEUE_LATER);
        run_queue(loop, REDIS_QUEUE_FLUSH);
        if (loop->queue[REDIS_QUEUE_LATER] == NULL)
            break;
    }
    run_queue(loop, REDIS_QUEUE_BURY);
    loop->turning = false;
}

struct redis_loop *redis_loop_new(struct event_base *base, struct weir_err *err)
{
    struct redis_loop *loop = weir_calloc(1, sizeof *loop);
    char *receive = weir_malloc(REDIS_RECEIVE_BYTES);

    if (loop == NULL || receive == NULL) {
        weir_free(loop);
        weir_free(receive);
        weir_fail(err, WEIR_E_MEMORY, "redis: loop", 0);
        return NULL;
    }
    loop->base = base;
    loop->receive = receive;
    for (int q = 0; q < REDIS_QUEUES; q++)
        loop->last[q] = &loop->queue[q];
    event_assign(&loop->turn, base, -1, 0, on_turn, loop);
    event_assign(&loop->tick, base, -1, 0, on_tick, loop);
    return loop;
}

void redis_loop_free(struct redis_loop *loop)
{
    if (loop == NULL)
        return;
    assert(!loop->turning && loop->connections == 0);
    run_queue(loop, REDIS_QUEUE_BURY);
    while (loop->queue[REDIS_QUEUE_LATER] != NULL)
        redis_later_cancel(loop, loop->queue[REDIS_QUEUE_LATER]);
    for (int i = 0; i < REDIS_WHEEL_SIZE; i++)
        while (loop->wheel[i] != NULL)
            redis_timer_stop(loop->wheel[i]);
    redis_names_free(loop);
    event_del(&loop->turn);
    event_del(&loop->tick);
    weir_free(loop->receive);
    weir_free(loop);
}
