#include "redis_loop.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <event2/event.h>
#include <stdlib.h>

#include "redis_names.h"
#include "weir/container.h"

#define MANY 200

struct turned {
    struct event_base *base;
    struct redis_loop *loop;
    int order; /* counts what ran */
};

struct timed {
    struct redis_timer timer;
    struct turned *t;
    int64_t fired_us;
    int order;
    struct timed *stops; /* when it fires */
    int64_t again_ms;    /* starts anew, after so many ms */
    struct redis_later later;
    int again_later; /* puts itself off so often */
    struct redis_later *cancels;
};

static int setup(void **state)
{
    struct turned *t = calloc(1, sizeof *t);

    t->base = event_base_new();
    t->loop = redis_loop_new(t->base, NULL);
    *state = t;
    return t->loop == NULL;
}

static int teardown(void **state)
{
    struct turned *t = *state;

    redis_loop_free(t->loop);
    event_base_free(t->base);
    free(t);
    return 0;
}

static void fire(struct redis_timer *timer)
{
    struct timed *x = WEIR_CONTAINER(timer, struct timed, timer);

    x->fired_us = redis_now_us();
    x->order = ++x->t->order;
    if (x->stops != NULL)
        redis_timer_stop(&x->stops->timer);
    if (x->again_ms > 0) {
        redis_timer_start(x->t->loop, timer, redis_now_ms() + x->again_ms);
        x->again_ms = 0;
    }
}

static void start(struct turned *t, struct timed *x, int64_t due_ms)
{
    x->t = t;
    x->timer.fire = fire;
    redis_timer_start(t->loop, &x->timer, due_ms);
}

/* The loop ends by itself when no timer is left. */
static void run(struct turned *t)
{
    event_base_dispatch(t->base);
}

static void timers_fire_in_order_and_never_early(void **state)
{
    struct turned *t = *state;
    static struct timed x[MANY];
    int64_t now_ms = redis_now_ms();

    for (int i = 0; i < MANY; i++) {
        x[i] = (struct timed){0};
        start(t, &x[i], now_ms + (i * 37) % 80);
    }
    run(t);
    for (int i = 0; i < MANY; i++) {
        assert_true(x[i].fired_us >= x[i].timer.due_ms * 1000);
        for (int k = 0; k < MANY; k++)
            assert_true(x[i].timer.due_ms >= x[k].timer.due_ms || x[i].order < x[k].order);
    }
}

static void a_timer_beyond_the_wheel_waits_its_time(void **state)
{
    struct turned *t = *state;
    struct timed far = {0}, near = {0};

    start(t, &far, redis_now_ms() + 700); /* the wheel has 512 */
    start(t, &near, redis_now_ms() + 1);
    run(t);
    assert_true(near.order == 1 && far.order == 2);
    assert_true(far.fired_us >= far.timer.due_ms * 1000);
    assert_true(far.fired_us < far.timer.due_ms * 1000 + 3000000);
}

static void a_timer_may_be_moved_and_stopped_by_another_one(void **state)
{
    struct turned *t = *state;
    struct timed a = {0}, b = {0}, c = {0}, d = {.again_ms = 3};
    int64_t now_ms = redis_now_ms();

    a.stops = &b;
    b.stops = &a;
    start(t, &a, now_ms + 5);
    start(t, &b, now_ms + 5); /* whichever comes first stops the other */
    start(t, &c, now_ms + 60000);
    start(t, &c, now_ms + 8); /* moved */
    start(t, &d, now_ms + 1);
    run(t);
    assert_int_equal((a.order != 0) + (b.order != 0), 1);
    assert_true(c.fired_us < (now_ms + 30000) * 1000);
    assert_int_equal(t->order, 4); /* d twice */
    redis_timer_stop(&c.timer);
}

static void a_timer_long_due_fires_at_once(void **state)
{
    struct turned *t = *state;
    struct timed a = {0}, b = {0};

    start(t, &a, redis_now_ms() - 10000);
    start(t, &b, 0);
    run(t);
    assert_int_equal(t->order, 2);
}

static void run_later(struct redis_later *l)
{
    struct timed *x = WEIR_CONTAINER(l, struct timed, later);

    x->order = ++x->t->order;
    if (x->cancels != NULL)
        redis_later_cancel(x->t->loop, x->cancels);
    if (x->again_later > 0) {
        x->again_later--;
        redis_later(x->t->loop, l);
    }
}

static void what_is_put_off_runs_once_and_in_order(void **state)
{
    struct turned *t = *state;
    struct timed x[4] = {0};

    for (int i = 0; i < 4; i++) {
        x[i].t = t;
        x[i].later.run = run_later;
        redis_later(t->loop, &x[i].later);
        redis_later(t->loop, &x[i].later); /* put off already */
    }
    x[1].cancels = &x[3].later; /* the last of those being run */
    redis_later_cancel(t->loop, &x[2].later);
    redis_later_cancel(t->loop, &x[2].later);
    assert_int_equal(t->order, 0);
    run(t);
    assert_int_equal(x[0].order, 1);
    assert_int_equal(x[1].order, 2);
    assert_int_equal(x[2].order + x[3].order, 0);
    redis_later(t->loop, &x[3].later); /* the queue is whole after that */
    redis_later(t->loop, &x[2].later);
    run(t);
    assert_int_equal(x[3].order, 3);
    assert_int_equal(x[2].order, 4);
}

static void what_puts_itself_off_for_ever_stops_no_timer(void **state)
{
    struct turned *t = *state;
    struct timed forever = {.t = t, .again_later = 1 << 30}, once = {0};

    forever.later.run = run_later;
    redis_later(t->loop, &forever.later);
    start(t, &once, redis_now_ms() + 5);
    while (once.order == 0)
        event_base_loop(t->base, EVLOOP_ONCE);
    redis_later_cancel(t->loop, &forever.later);
}

static void never_told(const struct redis_sockaddr *found, unsigned count, const char *why,
                       void *arg)
{
    (void)found, (void)count, (void)why, (void)arg;
    fail_msg("told of what nobody waits for");
}

/* libevent tells of each name it was asked for, later: by then everything it needs must be there,
 * and afterwards nothing may be left. */
static void names_that_are_looked_up_when_the_loop_ends_leave_nothing(void **state)
{
    struct turned *t = *state;
    struct redis_lookup *one = redis_lookup_start(t->loop, "one.invalid", 1, never_told, NULL);

    assert_non_null(one);
    assert_non_null(redis_lookup_start(t->loop, "two.invalid", 2, never_told, NULL));
    redis_lookup_cancel(one);
    redis_loop_free(t->loop);
    t->loop = NULL;
    for (int i = 0; i < 3; i++)
        event_base_loop(t->base, EVLOOP_NONBLOCK);
    assert_int_equal(event_base_get_num_events(t->base, EVENT_BASE_COUNT_ADDED), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timers_fire_in_order_and_never_early),
        TEST(a_timer_beyond_the_wheel_waits_its_time),
        TEST(a_timer_may_be_moved_and_stopped_by_another_one),
        TEST(a_timer_long_due_fires_at_once),
        TEST(what_is_put_off_runs_once_and_in_order),
        TEST(what_puts_itself_off_for_ever_stops_no_timer),
        TEST(names_that_are_looked_up_when_the_loop_ends_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
