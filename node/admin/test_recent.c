#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "recent.h"

#define WHICH WEIR_M_tls_failed_alert

static void add(struct recent *r, int64_t now_ms, int64_t value)
{
    int64_t sum[WEIR_METRICS] = {0};

    sum[WHICH] = value;
    recent_add(r, now_ms, sum);
}

static int64_t growth(const struct recent *r, int64_t value)
{
    int64_t sum[WEIR_METRICS] = {0};

    sum[WHICH] = value;
    return recent_growth(r, sum, WHICH);
}

static void nothing_grew_before_there_is_a_sample(void **state)
{
    struct recent r = {0};

    (void)state;
    assert_int_equal(growth(&r, 7), 0);
    assert_int_equal(recent_span_s(&r, 1000), 0);
}

static void what_happened_within_five_minutes_is_told_and_then_forgotten(void **state)
{
    struct recent r = {0};

    (void)state;
    add(&r, 1000, 0);
    assert_int_equal(growth(&r, 5), 5);
    for (int64_t s = 15; s <= 300; s += 15) {
        add(&r, 1000 + s * 1000, 5);
        assert_int_equal(growth(&r, 5), 5);
        assert_int_equal(recent_span_s(&r, 1000 + s * 1000), s);
    }
    add(&r, 1000 + 315000, 5);
    assert_int_equal(growth(&r, 5), 0);
    assert_int_equal(growth(&r, 6), 1);
    assert_int_equal(recent_span_s(&r, 1000 + 315000), 300);
}

static void samples_that_come_too_soon_are_not_kept(void **state)
{
    struct recent r = {0};

    (void)state;
    for (int64_t ms = 0; ms < 60000; ms += 1000)
        add(&r, ms, ms);
    assert_int_equal(r.count, 4);
}

static void a_sum_that_fell_counts_as_none(void **state)
{
    struct recent r = {0};

    (void)state;
    add(&r, 0, 10);
    assert_int_equal(growth(&r, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_grew_before_there_is_a_sample),
        cmocka_unit_test(what_happened_within_five_minutes_is_told_and_then_forgotten),
        cmocka_unit_test(samples_that_come_too_soon_are_not_kept),
        cmocka_unit_test(a_sum_that_fell_counts_as_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
