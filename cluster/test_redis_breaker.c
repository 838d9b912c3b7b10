#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis_breaker.h"

static struct redis_breaker made(bool ramp)
{
    struct redis_breaker b;
    struct redis_breaker_settings s = {.ramp = ramp};

    redis_breaker_init(&b, &s, 42, 0);
    return b;
}

static void fail_times(struct redis_breaker *b, int times, int64_t now)
{
    for (int i = 0; i < times; i++)
        redis_breaker_note(b, REDIS_OUTCOME_TIMEOUT, now);
}

static void it_opens_on_the_fifth_failure_in_a_row(void **state)
{
    struct redis_breaker b = made(false);

    (void)state;
    fail_times(&b, 4, 10);
    assert_true(redis_breaker_admits(&b, 10));
    assert_true(redis_breaker_note(&b, REDIS_OUTCOME_REFUSED, 11));
    assert_true(redis_breaker_open(&b));
    assert_false(redis_breaker_admits(&b, 11));
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.why, REDIS_OUTCOME_REFUSED);
    assert_string_equal(redis_breaker_state_name(b.state), "open");
}

static void a_success_ends_the_row(void **state)
{
    struct redis_breaker b = made(false);

    (void)state;
    for (int i = 0; i < 4; i++) {
        fail_times(&b, 4, 0);
        for (int ok = 0; ok < 12; ok++)
            redis_breaker_note(&b, REDIS_OUTCOME_OK, 0);
    }
    assert_false(redis_breaker_open(&b));
}

static void it_opens_when_half_of_twenty_in_a_second_fail(void **state)
{
    struct redis_breaker b = made(false);

    (void)state;
    for (int i = 0; i < 18; i++)
        redis_breaker_note(&b, i % 2 == 0 ? REDIS_OUTCOME_TIMEOUT : REDIS_OUTCOME_OK, i);
    assert_false(redis_breaker_open(&b));
    redis_breaker_note(&b, REDIS_OUTCOME_OK, 20);
    assert_true(redis_breaker_note(&b, REDIS_OUTCOME_TIMEOUT, 21)); /* the 20th; 10 failed */
}

static void failures_older_than_the_window_do_not_count(void **state)
{
    struct redis_breaker b = made(false);

    (void)state;
    for (int i = 0; i < 400; i++) { /* half fail, but at most 13 in any second */
        assert_false(redis_breaker_note(&b, i % 2 == 0 ? REDIS_OUTCOME_DOWN : REDIS_OUTCOME_OK,
                                        (int64_t)i * 100));
    }
    assert_false(redis_breaker_open(&b));
}

static void a_wrong_password_opens_it_at_once_and_waits_the_longest(void **state)
{
    struct redis_breaker b = made(false);

    (void)state;
    assert_true(redis_breaker_note(&b, REDIS_OUTCOME_CONFIG, 0));
    assert_false(redis_breaker_probe_due(&b, 7499));
    assert_true(redis_breaker_probe_due(&b, 12501));
}

static void the_wait_doubles_to_ten_seconds_with_jitter(void **state)
{
    struct redis_breaker b = made(false);
    int64_t now = 0;
    int64_t wait = 500;

    (void)state;
    fail_times(&b, 5, now);
    for (int i = 0; i < 10; i++) {
        assert_in_range(b.probe_ms - now, wait * 3 / 4, wait * 5 / 4 + 1);
        assert_false(redis_breaker_probe_due(&b, b.probe_ms - 1));
        now = b.probe_ms;
        assert_true(redis_breaker_probe_due(&b, now));
        assert_false(redis_breaker_probe_due(&b, now)); /* one test at a time */
        assert_false(redis_breaker_admits(&b, now));    /* not by the traffic of users */
        redis_breaker_probed(&b, REDIS_OUTCOME_TIMEOUT, now);
        assert_true(redis_breaker_open(&b));
        wait = wait * 2 > 10000 ? 10000 : wait * 2;
    }
}

static void two_breakers_do_not_come_back_together(void **state)
{
    struct redis_breaker a, b;

    (void)state;
    redis_breaker_init(&a, NULL, 1, 0);
    redis_breaker_init(&b, NULL, 0x123456789abcdef, 0);
    fail_times(&a, 5, 0);
    fail_times(&b, 5, 0);
    assert_true(a.probe_ms != b.probe_ms);
}

static void without_a_ramp_a_good_test_lets_all_through(void **state)
{
    struct redis_breaker b = made(false);

    (void)state;
    fail_times(&b, 5, 0);
    assert_true(redis_breaker_probe_due(&b, 1000));
    redis_breaker_probed(&b, REDIS_OUTCOME_OK, 1001);
    for (int i = 0; i < 1000; i++)
        assert_true(redis_breaker_admits(&b, 1001));
    fail_times(&b, 4, 1002); /* the failures from before are forgotten */
    assert_false(redis_breaker_open(&b));
}

static int admitted_of_1000(struct redis_breaker *b, int64_t now)
{
    int n = 0;

    for (int i = 0; i < 1000; i++)
        n += redis_breaker_admits(b, now);
    return n;
}

static void the_share_of_traffic_grows_over_ten_seconds(void **state)
{
    struct redis_breaker b = made(true);

    (void)state;
    fail_times(&b, 5, 0);
    redis_breaker_probe_due(&b, 1000);
    redis_breaker_probed(&b, REDIS_OUTCOME_OK, 1000);
    assert_int_equal(b.state, REDIS_BREAKER_RAMPING);
    assert_in_range(admitted_of_1000(&b, 1000), 25, 80);
    assert_in_range(admitted_of_1000(&b, 3500), 240, 340);
    assert_in_range(admitted_of_1000(&b, 6000), 470, 580);
    assert_in_range(admitted_of_1000(&b, 10900), 970, 1000);
    assert_int_equal(admitted_of_1000(&b, 11000), 1000);
    assert_int_equal(b.state, REDIS_BREAKER_CLOSED);
}

static void failures_on_the_ramp_open_it_again_for_longer(void **state)
{
    struct redis_breaker b = made(true);

    (void)state;
    fail_times(&b, 5, 0);
    redis_breaker_probe_due(&b, 1000);
    redis_breaker_probed(&b, REDIS_OUTCOME_OK, 1000);
    fail_times(&b, 5, 1100);
    assert_int_equal(b.state, REDIS_BREAKER_OPEN);
    assert_in_range(b.probe_ms - 1100, 750, 1251);
    assert_int_equal(b.opened, 2);
}

static void a_quiet_time_makes_the_next_wait_short_again(void **state)
{
    struct redis_breaker b = made(false);

    (void)state;
    for (int i = 0; i < 6; i++) {
        fail_times(&b, 5, i * 100000 - i * 90000);
        redis_breaker_probe_due(&b, b.probe_ms);
        redis_breaker_probed(&b, REDIS_OUTCOME_OK, i * 100);
    }
    redis_breaker_admits(&b, 1000000);
    fail_times(&b, 5, 1000000);
    assert_in_range(b.probe_ms - 1000000, 375, 626);
}

static void stragglers_change_nothing_while_it_is_open(void **state)
{
    struct redis_breaker b = made(false);
    int64_t probe;

    (void)state;
    fail_times(&b, 5, 0);
    probe = b.probe_ms;
    assert_false(redis_breaker_note(&b, REDIS_OUTCOME_TIMEOUT, 5));
    assert_false(redis_breaker_note(&b, REDIS_OUTCOME_OK, 5));
    redis_breaker_probed(&b, REDIS_OUTCOME_OK, 5); /* nobody asked */
    assert_true(redis_breaker_open(&b));
    assert_int_equal(b.probe_ms, probe);
    assert_int_equal(b.opened, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_on_the_fifth_failure_in_a_row),
        cmocka_unit_test(a_success_ends_the_row),
        cmocka_unit_test(it_opens_when_half_of_twenty_in_a_second_fail),
        cmocka_unit_test(failures_older_than_the_window_do_not_count),
        cmocka_unit_test(a_wrong_password_opens_it_at_once_and_waits_the_longest),
        cmocka_unit_test(the_wait_doubles_to_ten_seconds_with_jitter),
        cmocka_unit_test(two_breakers_do_not_come_back_together),
        cmocka_unit_test(without_a_ramp_a_good_test_lets_all_through),
        cmocka_unit_test(the_share_of_traffic_grows_over_ten_seconds),
        cmocka_unit_test(failures_on_the_ramp_open_it_again_for_longer),
        cmocka_unit_test(a_quiet_time_makes_the_next_wait_short_again),
        cmocka_unit_test(stragglers_change_nothing_while_it_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
