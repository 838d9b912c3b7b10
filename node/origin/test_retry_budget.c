#include "retry_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)

static unsigned take_all(struct retry_budget *b, int64_t now_us)
{
    unsigned taken = 0;

    while (taken < 100000 && retry_budget_take(b, now_us))
        taken++;
    return taken;
}

static void without_requests_the_floor_is_three_a_second(void **state)
{
    struct retry_budget b;

    (void)state;
    retry_budget_init(&b, 20, 1, 0);
    assert_int_equal(take_all(&b, 0), 30);
    assert_int_equal(take_all(&b, 9 * S), 0);
    assert_int_equal(take_all(&b, 10 * S), 30);
}

static void a_share_of_the_requests_comes_on_top(void **state)
{
    struct retry_budget b;

    (void)state;
    retry_budget_init(&b, 20, 1, 0);
    for (int i = 0; i < 1000; i++)
        retry_budget_request(&b, i * S / 500); /* over two seconds */
    assert_int_equal(take_all(&b, 2 * S), 200 + 30);
}

static void requests_count_for_ten_seconds(void **state)
{
    struct retry_budget b;

    (void)state;
    retry_budget_init(&b, 20, 1, 0);
    for (int i = 0; i < 1000; i++)
        retry_budget_request(&b, 0);
    assert_int_equal(take_all(&b, 9 * S + S - 1), 230);
    retry_budget_init(&b, 20, 1, 0);
    for (int i = 0; i < 1000; i++)
        retry_budget_request(&b, 0);
    assert_int_equal(take_all(&b, 10 * S), 30);
}

static void retries_come_back_as_they_leave_the_window(void **state)
{
    struct retry_budget b;

    (void)state;
    retry_budget_init(&b, 0, 1, 0);
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < 10; i++)
            assert_true(retry_budget_take(&b, s * S));
    assert_false(retry_budget_take(&b, 3 * S));
    assert_int_equal(take_all(&b, 10 * S), 10); /* those of second 0 */
    assert_int_equal(take_all(&b, 12 * S), 20);
}

static void workers_share_the_floor_and_none_goes_without(void **state)
{
    struct retry_budget b;

    (void)state;
    retry_budget_init(&b, 20, 4, 0);
    assert_int_equal(take_all(&b, 0), 7);
    retry_budget_init(&b, 20, 1000, 0);
    assert_int_equal(take_all(&b, 0), 1);
}

static void a_clock_that_jumps_empties_the_window_at_once(void **state)
{
    struct retry_budget b;

    (void)state;
    retry_budget_init(&b, 20, 1, 0);
    for (int i = 0; i < 100000; i++)
        retry_budget_request(&b, i);
    assert_int_equal(take_all(&b, INT64_MAX / 2), 30);
    assert_int_equal(b.requests_sum, 0);
    assert_int_equal(take_all(&b, 0), 0); /* nor does it go back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_requests_the_floor_is_three_a_second),
        cmocka_unit_test(a_share_of_the_requests_comes_on_top),
        cmocka_unit_test(requests_count_for_ten_seconds),
        cmocka_unit_test(retries_come_back_as_they_leave_the_window),
        cmocka_unit_test(workers_share_the_floor_and_none_goes_without),
        cmocka_unit_test(a_clock_that_jumps_empties_the_window_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
