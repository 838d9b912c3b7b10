#include "weir/clock.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "civil.h"

/* The test program runs in the C locale, so strftime is a witness. */
static void assert_same_as_libc(int64_t wall_s)
{
    char ours[30], theirs[64];
    time_t t = (time_t)wall_s;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(theirs, sizeof(theirs), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    civil_http_date(wall_s, ours);
    assert_string_equal(ours, theirs);
}

static void dates_are_those_of_the_c_library(void **state)
{
    int64_t s;

    (void)state;
    for (s = 0; s < INT64_C(253402300800); s += 86400 * 9 + 12345) /* to the end of 9999 */
        assert_same_as_libc(s);
    for (s = 0; s < INT64_C(86400) * 366 * 8; s += 86400) /* every day around two leap years */
        assert_same_as_libc(INT64_C(946684800) + s);
    assert_same_as_libc(INT64_C(253402300799));
}

static void the_example_of_the_rfc_holds(void **state)
{
    char date[30], stamp[25];

    (void)state;
    civil_http_date(784111777, date);
    assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    civil_rfc3339_ms(INT64_C(784111777045), stamp);
    assert_string_equal(stamp, "1994-11-06T08:49:37.045Z");
}

static void instants_outside_are_clamped(void **state)
{
    char date[30], stamp[25];

    (void)state;
    civil_http_date(INT64_MIN, date);
    assert_string_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT");
    civil_http_date(INT64_MAX, date);
    assert_string_equal(date, "Fri, 31 Dec 9999 23:59:59 GMT");
    civil_rfc3339_ms(-5, stamp);
    assert_string_equal(stamp, "1970-01-01T00:00:00.000Z");
}

static void the_clock_agrees_with_itself(void **state)
{
    struct weir_clock c = {0};
    int64_t before;
    char date[30];

    (void)state;
    weir_clock_update(&c);
    assert_int_equal(c.mono_us / 1000, c.mono_ms);
    assert_int_equal(c.wall_ms / 1000, c.wall_s);
    civil_http_date(c.wall_s, date);
    assert_string_equal(c.http_date, date);
    before = c.mono_us;
    weir_clock_update(&c);
    assert_true(c.mono_us >= before);
}

static void the_date_is_renewed_only_with_the_second(void **state)
{
    struct weir_clock c = {0};
    int64_t second;

    (void)state;
    weir_clock_update(&c);
    second = c.wall_s;
    strcpy(c.http_date, "kept");
    weir_clock_update(&c);
    if (c.wall_s == second)
        assert_string_equal(c.http_date, "kept");
    c.wall_s = 1;
    weir_clock_update(&c);
    assert_string_not_equal(c.http_date, "kept");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_those_of_the_c_library),
        cmocka_unit_test(the_example_of_the_rfc_holds),
        cmocka_unit_test(instants_outside_are_clamped),
        cmocka_unit_test(the_clock_agrees_with_itself),
        cmocka_unit_test(the_date_is_renewed_only_with_the_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
