#include "net_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* The tests turn the wheel by hand: the loop believes that its clock was read already. */
#define START 1000000

struct bell {
    struct net_timer timer; /* first: the tests cast */
    struct net_loop *loop;
    int rung;
    int64_t at_ms;
    struct bell *victim; /* stopped when this one rings */
    struct bell *other;  /* started then, `later_ms` from then */
    int64_t later_ms;
    bool again;
};

static void ring(struct net_timer *t)
{
    struct bell *b = (struct bell *)(void *)t;

    b->rung++;
    b->at_ms = net_now_ms(b->loop);
    if (b->victim != NULL)
        net_timer_stop(b->loop, &b->victim->timer);
    if (b->other != NULL)
        net_timer_start(b->loop, &b->other->timer, net_now_ms(b->loop) + b->later_ms);
    if (b->again)
        net_timer_start(b->loop, &b->timer, net_now_ms(b->loop) + b->later_ms);
}

static void set_clock(struct net_loop *loop, int64_t ms)
{
    loop->fresh = true;
    loop->clock.mono_ms = ms;
    loop->clock.mono_us = ms * 1000;
}

/* The wheel is looked at, at this time. */
static void look(struct net_loop *loop, int64_t ms)
{
    set_clock(loop, ms);
    event_active(&loop->tick_event, EV_TIMEOUT, 1);
    event_base_loop(loop->base, EVLOOP_NONBLOCK);
}

/* Looks whenever the loop wants to, until `ms`. */
static void let_pass(struct net_loop *loop, int64_t ms)
{
    while (loop->wake_ms != 0 && loop->wake_ms <= ms)
        look(loop, loop->wake_ms);
    set_clock(loop, ms);
}

static void open_loop(struct net_loop *loop)
{
    assert_true(net_loop_init(loop, NULL));
    set_clock(loop, START);
    loop->wheel_ms = START;
}

static void bells(struct net_loop *loop, struct bell *b, unsigned n)
{
    memset(b, 0, n * sizeof *b);
    for (unsigned i = 0; i < n; i++) {
        b[i].timer.fire = ring;
        b[i].loop = loop;
    }
}

static void a_timer_fires_once_and_never_early(void **state)
{
    struct net_loop loop;
    struct bell b[1];

    (void)state;
    for (int64_t ms = 0; ms <= 200; ms += 7) {
        open_loop(&loop);
        bells(&loop, b, 1);
        net_timer_start(&loop, &b[0].timer, START + ms);
        let_pass(&loop, START + ms - 1);
        assert_int_equal(b[0].rung, 0);
        let_pass(&loop, START + ms + 2 * NET_TICK_MS);
        assert_int_equal(b[0].rung, 1);
        assert_true(b[0].at_ms >= START + ms && b[0].at_ms <= START + ms + NET_TICK_MS);
        let_pass(&loop, START + 10000);
        assert_int_equal(b[0].rung, 1);
        assert_int_equal(loop.timers, 0);
        net_loop_close(&loop);
    }
}

static void deadlines_beyond_the_wheel_are_kept(void **state)
{
    static const int64_t due[] = {51000, 51149,  51150,  51151,  51199,    51200,   51201,
                                  60000, 102400, 102449, 300000, 86400000, 86400017};
    struct net_loop loop;
    struct bell b[1];

    (void)state;
    for (unsigned i = 0; i < sizeof due / sizeof due[0]; i++) {
        open_loop(&loop);
        bells(&loop, b, 1);
        net_timer_start(&loop, &b[0].timer, START + due[i]);
        let_pass(&loop, START + due[i] - 1);
        assert_int_equal(b[0].rung, 0);
        let_pass(&loop, START + due[i] + NET_TICK_MS);
        assert_int_equal(b[0].rung, 1);
        net_loop_close(&loop);
    }
}

static void a_deadline_moved_later_costs_no_look_and_holds(void **state)
{
    struct net_loop loop;
    struct bell b[1];
    int64_t slot;

    (void)state;
    open_loop(&loop);
    bells(&loop, b, 1);
    net_timer_move(&loop, &b[0].timer, START + 1000);
    slot = b[0].timer.slot_ms;
    for (int i = 1; i <= 50; i++) {
        set_clock(&loop, START + 10 * i);
        net_timer_move(&loop, &b[0].timer, START + 10 * i + 1000);
        assert_int_equal(b[0].timer.slot_ms, slot);
    }
    let_pass(&loop, START + 1499);
    assert_int_equal(b[0].rung, 0);
    let_pass(&loop, START + 1550);
    assert_int_equal(b[0].rung, 1);
    net_loop_close(&loop);
}

static void a_deadline_moved_earlier_is_met(void **state)
{
    struct net_loop loop;
    struct bell b[1];

    (void)state;
    open_loop(&loop);
    bells(&loop, b, 1);
    net_timer_start(&loop, &b[0].timer, START + 40000);
    net_timer_move(&loop, &b[0].timer, START + 100);
    let_pass(&loop, START + 150);
    assert_int_equal(b[0].rung, 1);
    net_loop_close(&loop);
}

static void a_parked_timer_rests_until_it_is_moved(void **state)
{
    struct net_loop loop;
    struct bell b[1];

    (void)state;
    open_loop(&loop);
    bells(&loop, b, 1);
    net_timer_start(&loop, &b[0].timer, START + 100);
    net_timer_park(&b[0].timer);
    let_pass(&loop, START + 100000);
    assert_int_equal(b[0].rung, 0);
    net_timer_move(&loop, &b[0].timer, START + 100200);
    let_pass(&loop, START + 100300);
    assert_int_equal(b[0].rung, 1);
    /* Parked and moved again before the wheel has looked. */
    net_timer_start(&loop, &b[0].timer, START + 100400);
    net_timer_park(&b[0].timer);
    net_timer_move(&loop, &b[0].timer, START + 100500);
    let_pass(&loop, START + 100600);
    assert_int_equal(b[0].rung, 2);
    net_loop_close(&loop);
}

static void firing_may_stop_and_start_any_timer(void **state)
{
    struct net_loop loop;
    struct bell b[4];

    (void)state;
    /* All in one slot, the newest first: it stops one that waits in the same slot. */
    for (int victim = 0; victim < 3; victim++) {
        open_loop(&loop);
        bells(&loop, b, 4);
        for (int i = 0; i < 4; i++)
            net_timer_start(&loop, &b[i].timer, START + 100);
        b[3].victim = &b[victim];
        let_pass(&loop, START + 200);
        for (int i = 0; i < 4; i++)
            assert_int_equal(b[i].rung, i != victim);
        assert_int_equal(loop.timers, 0);
        net_loop_close(&loop);
    }
    /* A timer of the same slot is moved away by the first that fires, and fires later. */
    open_loop(&loop);
    bells(&loop, b, 2);
    net_timer_start(&loop, &b[0].timer, START + 100);
    net_timer_start(&loop, &b[1].timer, START + 100);
    b[1].other = &b[0];
    b[1].later_ms = 500;
    let_pass(&loop, START + 599);
    assert_int_equal(b[0].rung, 0);
    let_pass(&loop, START + 700);
    assert_int_equal(b[0].rung, 1);
    net_loop_close(&loop);
}

static void a_timer_that_starts_itself_again_fires_in_a_later_turn(void **state)
{
    struct net_loop loop;
    struct bell b[1];

    (void)state;
    open_loop(&loop);
    bells(&loop, b, 1);
    b[0].again = true;
    net_timer_start(&loop, &b[0].timer, START);
    let_pass(&loop, START + 1000);
    assert_in_range(b[0].rung, 10, 21);
    net_timer_stop(&loop, &b[0].timer);
    assert_int_equal(loop.timers, 0);
    net_loop_close(&loop);
}

static void stopping_twice_or_what_never_started_is_harmless(void **state)
{
    struct net_loop loop;
    struct bell b[1];

    (void)state;
    open_loop(&loop);
    bells(&loop, b, 1);
    net_timer_stop(&loop, &b[0].timer);
    net_timer_start(&loop, &b[0].timer, START + 100);
    net_timer_stop(&loop, &b[0].timer);
    net_timer_stop(&loop, &b[0].timer);
    let_pass(&loop, START + 1000);
    assert_int_equal(b[0].rung, 0);
    net_loop_close(&loop);
}

static void a_machine_that_slept_meets_every_timer(void **state)
{
    struct net_loop loop;
    struct bell b[64];

    (void)state;
    open_loop(&loop);
    bells(&loop, b, 64);
    for (int i = 0; i < 64; i++)
        net_timer_start(&loop, &b[i].timer, START + 1 + i * 797);
    look(&loop, START + 3600 * 1000 + 13);
    for (int i = 0; i < 64; i++)
        assert_int_equal(b[i].rung, 1);
    assert_int_equal(loop.timers, 0);
    net_loop_close(&loop);
}

static void a_wheel_that_stood_still_starts_where_time_is(void **state)
{
    struct net_loop loop;
    struct bell b[1];

    (void)state;
    open_loop(&loop);
    bells(&loop, b, 1);
    set_clock(&loop, START + 777777);
    net_timer_start(&loop, &b[0].timer, START + 777777 + 100);
    let_pass(&loop, START + 777777 + 99);
    assert_int_equal(b[0].rung, 0);
    let_pass(&loop, START + 777777 + 150);
    assert_int_equal(b[0].rung, 1);
    net_loop_close(&loop);
}

/* Against a plain list: a thousand random starts, moves, parks and stops. */
static void the_wheel_agrees_with_a_list(void **state)
{
    enum { COUNT = 24 };
    struct net_loop loop;
    struct bell b[COUNT];
    int64_t due[COUNT], now = START;
    int rung[COUNT] = {0};
    unsigned seed = 1;

    (void)state;
    open_loop(&loop);
    bells(&loop, b, COUNT);
    for (int i = 0; i < COUNT; i++)
        due[i] = INT64_MAX;
    for (int step = 0; step < 20000; step++) {
        unsigned i;
        int64_t later;

        seed = seed * 1103515245 + 12345;
        i = (seed >> 16) % COUNT;
        later = (seed >> 8) % 3 == 0 ? (seed >> 10) % 200000 : (seed >> 10) % 900;
        switch ((seed >> 5) % 6) {
        case 0:
            net_timer_stop(&loop, &b[i].timer);
            due[i] = INT64_MAX;
            break;
        case 1:
            net_timer_start(&loop, &b[i].timer, now + later);
            due[i] = now + later;
            break;
        case 2:
            net_timer_park(&b[i].timer);
            due[i] = INT64_MAX;
            break;
        default:
            net_timer_move(&loop, &b[i].timer, now + later);
            due[i] = now + later;
        }
        now += (seed >> 20) % 64;
        let_pass(&loop, now);
        for (int k = 0; k < COUNT; k++) {
            if (b[k].rung != rung[k]) {
                assert_true(due[k] <= now);
                assert_int_equal(b[k].rung, rung[k] + 1);
                rung[k]++;
                due[k] = INT64_MAX;
            }
            assert_true(due[k] > now - 2 * NET_TICK_MS); /* none is forgotten */
        }
    }
    for (int k = 0; k < COUNT; k++)
        net_timer_stop(&loop, &b[k].timer);
    assert_int_equal(loop.timers, 0);
    net_loop_close(&loop);
}

/* ---- what is put off, mail ---- */

struct chore {
    struct net_deferred d; /* first */
    struct net_loop *loop;
    struct chore *then;
    int *order, number;
    bool stops;
};

static void do_chore(struct net_deferred *d)
{
    struct chore *c = (struct chore *)(void *)d;

    *c->order = *c->order * 10 + c->number;
    if (c->then != NULL)
        net_defer(c->loop, &c->then->d, do_chore);
}

static void what_is_put_off_runs_in_order_at_the_end_of_the_turn(void **state)
{
    struct net_loop loop;
    int order = 0;
    struct chore c[4];

    (void)state;
    assert_true(net_loop_init(&loop, NULL));
    for (int i = 0; i < 4; i++)
        c[i] = (struct chore){.loop = &loop, .order = &order, .number = i + 1};
    c[0].then = &c[3];
    for (int i = 0; i < 3; i++)
        net_defer(&loop, &c[i].d, do_chore);
    assert_int_equal(order, 0);
    net_loop_stop(&loop);
    net_loop_run(&loop);
    assert_int_equal(order, 1234);
    net_defer(&loop, &c[1].d, do_chore);
    net_loop_close(&loop); /* runs it */
    assert_int_equal(order, 12342);
}

struct letter {
    struct weir_mail mail; /* first */
    struct net_loop *loop;
    int64_t read_ms;
};

static void on_letter(struct weir_mail *mail)
{
    struct letter *l = (struct letter *)(void *)mail;

    l->read_ms = net_now_ms(l->loop);
    net_loop_stop(l->loop);
}

static void mail_wakes_the_loop_with_a_fresh_clock(void **state)
{
    struct net_loop loop;
    struct letter l = {.mail.run = on_letter, .loop = &loop};

    (void)state;
    assert_true(net_loop_init(&loop, NULL));
    loop.clock.mono_ms = 1; /* long ago */
    weir_mailbox_post(&loop.box, &l.mail);
    net_loop_run(&loop);
    assert_true(l.read_ms > 1);
    net_loop_close(&loop);
}

static void ring_and_stop(struct net_timer *t)
{
    struct bell *b = (struct bell *)(void *)t;

    b->rung++;
    net_loop_stop(b->loop);
}

static void a_running_loop_wakes_for_its_timers(void **state)
{
    struct net_loop loop;
    struct bell b[1];

    (void)state;
    assert_true(net_loop_init(&loop, NULL));
    bells(&loop, b, 1);
    b[0].timer.fire = ring_and_stop;
    net_timer_start(&loop, &b[0].timer, net_now_ms(&loop) + 20);
    net_loop_run(&loop);
    assert_int_equal(b[0].rung, 1);
    net_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_and_never_early),
        cmocka_unit_test(deadlines_beyond_the_wheel_are_kept),
        cmocka_unit_test(a_deadline_moved_later_costs_no_look_and_holds),
        cmocka_unit_test(a_deadline_moved_earlier_is_met),
        cmocka_unit_test(a_parked_timer_rests_until_it_is_moved),
        cmocka_unit_test(firing_may_stop_and_start_any_timer),
        cmocka_unit_test(a_timer_that_starts_itself_again_fires_in_a_later_turn),
        cmocka_unit_test(stopping_twice_or_what_never_started_is_harmless),
        cmocka_unit_test(a_machine_that_slept_meets_every_timer),
        cmocka_unit_test(a_wheel_that_stood_still_starts_where_time_is),
        cmocka_unit_test(the_wheel_agrees_with_a_list),
        cmocka_unit_test(what_is_put_off_runs_in_order_at_the_end_of_the_turn),
        cmocka_unit_test(mail_wakes_the_loop_with_a_fresh_clock),
        cmocka_unit_test(a_running_loop_wakes_for_its_timers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
