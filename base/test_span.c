#include "weir/span.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>

static void spans_compare_as_bytes_or_without_case(void **state)
{
    (void)state;
    assert_true(weir_span_eq(WEIR_SPAN_LIT("abc"), weir_span_str("abc")));
    assert_false(weir_span_eq(WEIR_SPAN_LIT("abc"), WEIR_SPAN_LIT("abC")));
    assert_true(weir_span_eq(WEIR_SPAN_NONE, WEIR_SPAN_LIT("")));
    assert_true(weir_span_ieq(WEIR_SPAN_LIT("Content-TYPE"), WEIR_SPAN_LIT("content-type")));
    assert_false(weir_span_ieq(WEIR_SPAN_LIT("age"), WEIR_SPAN_LIT("ages")));
    /* "[" and "{" differ by the bit that makes letters lower case */
    assert_false(weir_span_ieq(WEIR_SPAN_LIT("["), WEIR_SPAN_LIT("{")));
}

static void a_prefix_is_never_longer(void **state)
{
    (void)state;
    assert_true(weir_span_starts(WEIR_SPAN_LIT("/a/b"), WEIR_SPAN_LIT("/a")));
    assert_true(weir_span_starts(WEIR_SPAN_LIT("/a"), WEIR_SPAN_NONE));
    assert_false(weir_span_starts(WEIR_SPAN_LIT("/a"), WEIR_SPAN_LIT("/a/")));
}

static void trim_takes_spaces_and_tabs_only(void **state)
{
    (void)state;
    assert_true(weir_span_eq(weir_span_trim(WEIR_SPAN_LIT(" \t a b\t ")), WEIR_SPAN_LIT("a b")));
    assert_int_equal(weir_span_trim(WEIR_SPAN_LIT(" \t ")).len, 0);
    assert_int_equal(weir_span_trim(WEIR_SPAN_NONE).len, 0);
    assert_int_equal(weir_span_trim(WEIR_SPAN_LIT("\va\r")).len, 3);
}

static void numbers_are_digits_up_to_the_maximum(void **state)
{
    unsigned long long n = 0;

    (void)state;
    assert_true(weir_span_u64(WEIR_SPAN_LIT("18446744073709551615"), ULLONG_MAX, &n));
    assert_true(n == ULLONG_MAX);
    assert_false(weir_span_u64(WEIR_SPAN_LIT("18446744073709551616"), ULLONG_MAX, &n));
    assert_false(weir_span_u64(WEIR_SPAN_LIT("99999999999999999999999"), ULLONG_MAX, &n));
    assert_true(weir_span_u64(WEIR_SPAN_LIT("00000000000000000000000007"), 7, &n));
    assert_int_equal(n, 7);
    assert_false(weir_span_u64(WEIR_SPAN_LIT("8"), 7, &n));
    assert_false(weir_span_u64(WEIR_SPAN_LIT("10"), 9, &n));
    assert_true(weir_span_u64(WEIR_SPAN_LIT("10"), 10, &n));
    assert_true(weir_span_u64(WEIR_SPAN_LIT("0"), 0, &n));
}

static void nothing_but_digits_is_a_number(void **state)
{
    static const char *const wrong[] = {"", "-1", "+1", " 1", "1 ", "1a", "0x1", "1,2", "\xb2"};
    unsigned long long n;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(weir_span_u64(weir_span_str(wrong[i]), ULLONG_MAX, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_compare_as_bytes_or_without_case),
        cmocka_unit_test(a_prefix_is_never_longer),
        cmocka_unit_test(trim_takes_spaces_and_tabs_only),
        cmocka_unit_test(numbers_are_digits_up_to_the_maximum),
        cmocka_unit_test(nothing_but_digits_is_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
