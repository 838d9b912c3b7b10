#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "known_nodes.h"
#include "rates.h"

static struct member node(const char *id, uint32_t flags)
{
    return (struct member){.id = id, .beat_ms = -MEMBER_LIVE_MS, .brief = {.flags = flags}};
}

static void who_falls_silent_is_missed_until_he_is_back(void **state)
{
    const struct member all[] = {node("b", 0), node("a", 0), node("c", 0)};
    struct known_nodes k = {0};

    (void)state;
    known_nodes_see(&k, all, 3, 1000);
    assert_null(known_nodes_missing(&k, 0));
    known_nodes_see(&k, all, 2, 2000);
    assert_string_equal(known_nodes_missing(&k, 0)->id, "c");
    assert_int_equal(known_nodes_missing(&k, 0)->seen_ms, 1000);
    assert_null(known_nodes_missing(&k, 1));
    known_nodes_see(&k, all, 3, 3000);
    assert_null(known_nodes_missing(&k, 0));
    known_nodes_free(&k);
}

static void who_drains_is_not_missed(void **state)
{
    const struct member all[] = {node("a", 0), node("b", MEMBER_DRAINING)};
    struct known_nodes k = {0};

    (void)state;
    known_nodes_see(&k, all, 2, 1000);
    known_nodes_see(&k, all, 1, 2000);
    assert_null(known_nodes_missing(&k, 0));
    assert_int_equal(k.count, 1);
    known_nodes_free(&k);
}

static void who_goes_before_it_would_be_dropped_has_taken_leave(void **state)
{
    struct member all[] = {node("a", 0), node("b", 0)};
    struct known_nodes k = {0};

    (void)state;
    all[1].beat_ms = 900;
    known_nodes_see(&k, all, 2, 1000);
    known_nodes_see(&k, all, 1, 2000);
    assert_null(known_nodes_missing(&k, 0));
    known_nodes_free(&k);
}

static void after_an_hour_nobody_is_missed(void **state)
{
    const struct member all[] = {node("a", 0), node("b", 0)};
    struct known_nodes k = {0};

    (void)state;
    known_nodes_see(&k, all, 2, 1000);
    known_nodes_see(&k, all, 1, 1000 + KNOWN_MISSED_MS);
    assert_non_null(known_nodes_missing(&k, 0));
    known_nodes_see(&k, all, 1, 1001 + KNOWN_MISSED_MS);
    assert_null(known_nodes_missing(&k, 0));
    known_nodes_free(&k);
}

static void twins_are_one_name(void **state)
{
    const struct member all[] = {node("a", 0), node("b", 0), node("b", 0)};
    struct known_nodes k = {0};

    (void)state;
    known_nodes_see(&k, all, 3, 1000);
    assert_int_equal(k.count, 2);
    known_nodes_see(&k, all, 2, 2000);
    assert_null(known_nodes_missing(&k, 0));
    known_nodes_free(&k);
}

/* ---- rates ---- */

static void add(struct rates *r, int64_t now_ms, int64_t requests)
{
    const int64_t sum[RATES] = {[RATE_REQUESTS] = requests};

    rates_add(r, now_ms, sum);
}

static void a_rate_is_the_mean_of_ten_seconds(void **state)
{
    struct rates r = {0};

    (void)state;
    assert_true(rates_per_s(&r, RATE_REQUESTS) == 0);
    add(&r, 500, 1000);
    assert_true(rates_per_s(&r, RATE_REQUESTS) == 0);
    for (int i = 1; i <= 100; i++)
        add(&r, 500 + i * 1000, 1000 + i * 7);
    assert_true(rates_per_s(&r, RATE_REQUESTS) == 7);
    assert_int_equal(rates_growth(&r, RATE_REQUESTS), 70);
    for (int i = 101; i <= 105; i++)
        add(&r, 500 + i * 1000, 1000 + 100 * 7);
    assert_true(rates_per_s(&r, RATE_REQUESTS) == 3.5);
    for (int i = 106; i <= 110; i++)
        add(&r, 500 + i * 1000, 1000 + 100 * 7);
    assert_true(rates_per_s(&r, RATE_REQUESTS) == 0);
}

static void what_came_before_a_pause_does_not_count(void **state)
{
    struct rates r = {0};

    (void)state;
    add(&r, 1000, 0);
    add(&r, 2000, 100);
    add(&r, 60000, 100);
    assert_true(rates_per_s(&r, RATE_REQUESTS) == 0);
    add(&r, 61000, 110);
    assert_true(rates_per_s(&r, RATE_REQUESTS) == 10);
}

static void a_clock_that_stands_and_a_sum_that_shrinks_do_no_harm(void **state)
{
    struct rates r = {0};

    (void)state;
    add(&r, 1000, 10);
    add(&r, 1000, 500);
    add(&r, 900, 500);
    assert_int_equal(r.count, 1);
    add(&r, 2000, 5);
    assert_true(rates_per_s(&r, RATE_REQUESTS) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_falls_silent_is_missed_until_he_is_back),
        cmocka_unit_test(who_drains_is_not_missed),
        cmocka_unit_test(who_goes_before_it_would_be_dropped_has_taken_leave),
        cmocka_unit_test(after_an_hour_nobody_is_missed),
        cmocka_unit_test(twins_are_one_name),
        cmocka_unit_test(a_rate_is_the_mean_of_ten_seconds),
        cmocka_unit_test(what_came_before_a_pause_does_not_count),
        cmocka_unit_test(a_clock_that_stands_and_a_sum_that_shrinks_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
