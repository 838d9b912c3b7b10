#include "weir/gcra.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NOW 1000000000

static const struct weir_gcra_rate ten_a_second = {100000, 5};

static void a_new_cell_gives_its_burst_and_no_more(void **state)
{
    struct weir_gcra_answer a;
    int64_t tat = 0;

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(weir_gcra_take(&tat, &ten_a_second, NOW, 1, &a));
        assert_int_equal(a.taken, 1);
        assert_int_equal(a.rest, 4 - i);
        assert_int_equal(a.next_us, 0);
        assert_int_equal(a.full_us, (i + 1) * 100000);
    }
    assert_false(weir_gcra_take(&tat, &ten_a_second, NOW, 1, &a));
    assert_int_equal(a.taken, 0);
    assert_int_equal(a.next_us, 100000);
    assert_int_equal(a.full_us, 500000);
}

static void one_token_comes_back_every_interval(void **state)
{
    struct weir_gcra_answer a;
    int64_t tat = 0;

    (void)state;
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW, 5, &a));
    assert_int_equal(a.taken, 5);
    assert_false(weir_gcra_take(&tat, &ten_a_second, NOW + 99999, 1, &a));
    assert_int_equal(a.next_us, 1);
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW + 100000, 1, &a));
    assert_false(weir_gcra_take(&tat, &ten_a_second, NOW + 100000, 1, &a));
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW + 100000000, 9, &a));
    assert_int_equal(a.taken, 5);
}

static void over_time_it_gives_the_rate_and_the_burst(void **state)
{
    struct weir_gcra_answer a;
    int64_t tat = 0;
    int taken = 0;

    (void)state;
    for (int64_t us = 0; us < 10000000; us += 7001)
        taken += weir_gcra_take(&tat, &ten_a_second, NOW + us, 1, &a);
    assert_in_range(taken, 103, 105);
}

static void part_of_what_is_wanted_is_taken_and_the_rest_told(void **state)
{
    struct weir_gcra_answer a;
    int64_t tat = 0;

    (void)state;
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW, 2, &a));
    assert_int_equal(a.taken, 2);
    assert_int_equal(a.rest, 3);
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW, 100, &a));
    assert_int_equal(a.taken, 3);
    assert_int_equal(a.rest, 0);
}

static void a_look_takes_nothing(void **state)
{
    struct weir_gcra_answer a;
    int64_t tat = 0;

    (void)state;
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW, 0, &a));
    assert_int_equal(tat, 0);
    assert_int_equal(a.rest, 5);
    assert_int_equal(a.full_us, 0);
    weir_gcra_take(&tat, &ten_a_second, NOW, 5, &a);
    assert_false(weir_gcra_take(&tat, &ten_a_second, NOW, 0, &a));
    assert_int_equal(a.next_us, 100000);
}

static void what_is_given_back_can_be_taken_again(void **state)
{
    struct weir_gcra_answer a;
    int64_t tat = 0;

    (void)state;
    weir_gcra_take(&tat, &ten_a_second, NOW, 5, &a);
    weir_gcra_give_back(&tat, &ten_a_second, 2);
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW, 5, &a));
    assert_int_equal(a.taken, 2);
}

static void a_clock_that_goes_back_refuses_no_longer_than_a_burst_takes(void **state)
{
    struct weir_gcra_answer a;
    int64_t tat = 0;

    (void)state;
    weir_gcra_take(&tat, &ten_a_second, (int64_t)NOW * 1000, 5, &a);
    assert_false(weir_gcra_take(&tat, &ten_a_second, NOW, 1, &a));
    assert_int_equal(a.next_us, 100000);
    assert_int_equal(a.full_us, 500000);
}

static void a_clock_that_went_back_gives_again_from_then_on(void **state)
{
    struct weir_gcra_answer a;
    int64_t tat = 0;

    (void)state;
    weir_gcra_take(&tat, &ten_a_second, NOW + 3600000000, 5, &a);
    assert_false(weir_gcra_take(&tat, &ten_a_second, NOW, 1, &a));
    assert_false(weir_gcra_take(&tat, &ten_a_second, NOW + 99999, 1, &a));
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW + 100000, 9, &a));
    assert_int_equal(a.taken, 1);
    assert_true(weir_gcra_take(&tat, &ten_a_second, NOW + 600000, 9, &a));
    assert_int_equal(a.taken, 5);
}

static void the_largest_rate_does_not_overflow(void **state)
{
    const struct weir_gcra_rate r = {WEIR_GCRA_INTERVAL_MAX, WEIR_GCRA_BURST_MAX};
    struct weir_gcra_answer a;
    int64_t tat = 0;

    (void)state;
    assert_true(weir_gcra_take(&tat, &r, 1800000000000000, WEIR_GCRA_BURST_MAX, &a));
    assert_int_equal(a.taken, WEIR_GCRA_BURST_MAX);
    assert_false(weir_gcra_take(&tat, &r, 1800000000000000, 1, &a));
    assert_int_equal(a.next_us, WEIR_GCRA_INTERVAL_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cell_gives_its_burst_and_no_more),
        cmocka_unit_test(one_token_comes_back_every_interval),
        cmocka_unit_test(over_time_it_gives_the_rate_and_the_burst),
        cmocka_unit_test(part_of_what_is_wanted_is_taken_and_the_rest_told),
        cmocka_unit_test(a_look_takes_nothing),
        cmocka_unit_test(what_is_given_back_can_be_taken_again),
        cmocka_unit_test(a_clock_that_goes_back_refuses_no_longer_than_a_burst_takes),
        cmocka_unit_test(a_clock_that_went_back_gives_again_from_then_on),
        cmocka_unit_test(the_largest_rate_does_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
