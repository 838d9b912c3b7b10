#include "readiness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "weir/container.h"
#include "net_loop.h"

#define START 1000000
#define DELAY 5000

struct world {
    struct net_loop loop;
    struct readiness *r;
    struct readiness_watcher watcher;
    int told;
    bool last;
};

static void on_change(struct readiness_watcher *w, bool ready)
{
    struct world *world = WEIR_CONTAINER(w, struct world, watcher);

    world->told++;
    world->last = ready;
}

static void set_clock(struct net_loop *loop, int64_t ms)
{
    loop->fresh = true; /* the loop believes that its clock was read already */
    loop->clock.mono_ms = ms;
    loop->clock.mono_us = ms * 1000;
}

static void look(struct net_loop *loop, int64_t ms)
{
    set_clock(loop, ms);
    event_active(&loop->tick_event, EV_TIMEOUT, 1);
    event_base_loop(loop->base, EVLOOP_NONBLOCK);
}

/* So many milliseconds go by. */
static void pass(struct world *w, int64_t ms)
{
    int64_t until = w->loop.clock.mono_ms + ms;

    while (w->loop.wake_ms != 0 && w->loop.wake_ms <= until)
        look(&w->loop, w->loop.wake_ms);
    set_clock(&w->loop, until);
}

static void open_world(struct world *w)
{
    const struct readiness_settings settings = {.delay_ms = DELAY};

    *w = (struct world){.watcher = {.changed = on_change}};
    assert_true(net_loop_init(&w->loop, NULL));
    set_clock(&w->loop, START);
    w->r = readiness_new(&w->loop, &settings, NULL);
    assert_non_null(w->r);
    readiness_watch(w->r, &w->watcher);
}

static void close_world(struct world *w)
{
    readiness_free(w->r);
    net_loop_close(&w->loop);
}

static void serve(struct world *w)
{
    readiness_set(w->r, READY_STARTING, false);
    pass(w, NET_TICK_MS * 2);
}

static void assert_because(struct world *w, const char *text)
{
    char found[READINESS_TEXT_MAX];

    assert_string_equal(readiness_text(w->r, found), text);
}

static void it_is_not_ready_while_it_starts_and_tells_nobody(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    pass(&w, DELAY * 2);
    assert_false(readiness_is(w.r));
    assert_because(&w, "starting");
    assert_int_equal(w.told, 0);
    close_world(&w);
}

static void it_is_ready_the_moment_it_serves(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    readiness_set(w.r, READY_STARTING, false);
    assert_true(readiness_is(w.r));
    assert_true(atomic_load(readiness_flag(w.r)));
    assert_int_equal(readiness_since_ms(w.r), START);
    assert_because(&w, "");
    assert_int_equal(w.told, 0); /* never from inside a call */
    pass(&w, NET_TICK_MS * 2);
    assert_int_equal(w.told, 1);
    assert_true(w.last);
    close_world(&w);
}

static void a_node_that_comes_up_unready_tells_so_once(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    readiness_set(w.r, READY_WORD, true);
    serve(&w);
    assert_int_equal(w.told, 1);
    assert_false(w.last);
    assert_because(&w, "operator");
    readiness_set(w.r, READY_WORD, false);
    assert_true(readiness_is(w.r)); /* an order is no measurement: it does not flap */
    close_world(&w);
}

static void a_reason_holds_at_once_and_is_gone_after_the_delay(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    serve(&w);
    readiness_set(w.r, READY_SUSPECT, true);
    assert_false(readiness_is(w.r));
    pass(&w, 1000);
    assert_int_equal(w.told, 2);
    readiness_set(w.r, READY_SUSPECT, false);
    assert_because(&w, "settling");
    pass(&w, DELAY - 1);
    assert_false(readiness_is(w.r));
    pass(&w, 1 + NET_TICK_MS * 3);
    assert_true(readiness_is(w.r));
    assert_int_equal(w.told, 3);
    close_world(&w);
}

static void flapping_once_a_second_never_becomes_ready(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    serve(&w);
    for (int i = 0; i < 60; i++) {
        readiness_set(w.r, READY_SUSPECT, i % 2 == 0);
        pass(&w, 1000);
        assert_false(readiness_is(w.r));
    }
    assert_int_equal(w.told, 2);
    close_world(&w);
}

static void it_waits_for_the_last_of_several_reasons(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    serve(&w);
    readiness_set(w.r, READY_SUSPECT, true);
    readiness_set(w.r, READY_MEMORY, true);
    readiness_set(w.r, READY_WORD, true);
    assert_because(&w, "operator,suspect,memory");
    readiness_set(w.r, READY_SUSPECT, false);
    readiness_set(w.r, READY_MEMORY, false);
    pass(&w, DELAY * 2);
    assert_because(&w, "operator");
    readiness_set(w.r, READY_WORD, false);
    assert_true(readiness_is(w.r));
    close_world(&w);
}

static void setting_a_reason_twice_is_setting_it_once(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    serve(&w);
    readiness_set(w.r, READY_SUSPECT, false); /* was never there: no delay from it */
    assert_true(readiness_is(w.r));
    readiness_set(w.r, READY_WORD, true);
    readiness_set(w.r, READY_WORD, true);
    readiness_set(w.r, READY_WORD, false);
    assert_true(readiness_is(w.r));
    close_world(&w);
}

static void without_a_delay_it_is_ready_with_the_last_reason_gone(void **state)
{
    const struct readiness_settings none = {.delay_ms = 0};
    struct world w;

    (void)state;
    open_world(&w);
    readiness_configure(w.r, &none);
    serve(&w);
    readiness_set(w.r, READY_SUSPECT, true);
    readiness_set(w.r, READY_SUSPECT, false);
    assert_true(readiness_is(w.r));
    pass(&w, 1000);
    assert_int_equal(w.told, 1); /* too short for anybody to be told */
    close_world(&w);
}

static void all_reasons_fit_into_a_text(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    for (unsigned i = 0; i < READY_REASONS; i++)
        readiness_set(w.r, (enum ready_reason)i, true);
    assert_because(&w, "starting,draining,operator,suspect,origins,memory");
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_not_ready_while_it_starts_and_tells_nobody),
        cmocka_unit_test(it_is_ready_the_moment_it_serves),
        cmocka_unit_test(a_node_that_comes_up_unready_tells_so_once),
        cmocka_unit_test(a_reason_holds_at_once_and_is_gone_after_the_delay),
        cmocka_unit_test(flapping_once_a_second_never_becomes_ready),
        cmocka_unit_test(it_waits_for_the_last_of_several_reasons),
        cmocka_unit_test(setting_a_reason_twice_is_setting_it_once),
        cmocka_unit_test(without_a_delay_it_is_ready_with_the_last_reason_gone),
        cmocka_unit_test(all_reasons_fit_into_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
