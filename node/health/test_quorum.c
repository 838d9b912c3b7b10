#include "quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "origin_state.h"

static int judged(unsigned probers, unsigned up, unsigned down)
{
    struct quorum q;
    const struct quorum_votes v = {probers, up, down};

    quorum_begin(&q, ORIGIN_UNKNOWN, 0);
    quorum_judge(&q, &v, 1);
    return q.verdict;
}

static void one_of_three_cannot_take_an_origin_down(void **state)
{
    (void)state;
    assert_int_equal(judged(3, 2, 1), ORIGIN_UP);
    assert_int_equal(judged(3, 1, 1), ORIGIN_UP); /* the third is silent */
    assert_int_equal(judged(3, 3, 0), ORIGIN_UP);
}

static void two_that_agree_can(void **state)
{
    (void)state;
    assert_int_equal(judged(3, 1, 2), ORIGIN_DOWN);
    assert_int_equal(judged(3, 0, 2), ORIGIN_DOWN);
    assert_int_equal(judged(3, 0, 3), ORIGIN_DOWN);
}

static void small_farms_need_as_many_as_they_have(void **state)
{
    (void)state;
    assert_int_equal(judged(1, 0, 1), ORIGIN_DOWN);
    assert_int_equal(judged(1, 1, 0), ORIGIN_UP);
    assert_int_equal(judged(2, 1, 1), ORIGIN_UP);
    assert_int_equal(judged(2, 0, 2), ORIGIN_DOWN);
    assert_int_equal(judged(2, 2, 0), ORIGIN_UP);
}

static void too_few_votes_hold_the_verdict_for_ten_seconds(void **state)
{
    struct quorum q;
    const struct quorum_votes down = {3, 0, 2}, few = {3, 1, 0}, none = {0, 0, 0};

    (void)state;
    quorum_begin(&q, ORIGIN_UP, 0);
    assert_true(quorum_judge(&q, &down, 1000));
    assert_false(q.held);
    assert_false(quorum_judge(&q, &few, 5000));
    assert_true(q.held);
    assert_int_equal(q.verdict, ORIGIN_DOWN);
    assert_false(quorum_judge(&q, &none, 10999));
    assert_true(quorum_judge(&q, &few, 11000));
    assert_int_equal(q.verdict, ORIGIN_UNKNOWN);
    assert_true(quorum_judge(&q, &down, 12000));
    assert_int_equal(q.verdict, ORIGIN_DOWN);
}

static void before_the_first_votes_what_was_so_stands(void **state)
{
    struct quorum q;
    const struct quorum_votes none = {3, 0, 0};

    (void)state;
    quorum_begin(&q, ORIGIN_DOWN, 500);
    assert_false(quorum_judge(&q, &none, 10499));
    assert_int_equal(q.verdict, ORIGIN_DOWN);
    assert_true(quorum_judge(&q, &none, 10500));
    assert_int_equal(q.verdict, ORIGIN_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_three_cannot_take_an_origin_down),
        cmocka_unit_test(two_that_agree_can),
        cmocka_unit_test(small_farms_need_as_many_as_they_have),
        cmocka_unit_test(too_few_votes_hold_the_verdict_for_ten_seconds),
        cmocka_unit_test(before_the_first_votes_what_was_so_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
