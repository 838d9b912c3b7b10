#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctl_text.h"

static void counts_have_commas(void **state)
{
    char b[CTL_TEXT_MAX];

    (void)state;
    assert_string_equal(ctl_count(b, 0), "0");
    assert_string_equal(ctl_count(b, 999), "999");
    assert_string_equal(ctl_count(b, 1000), "1,000");
    assert_string_equal(ctl_count(b, -1234567), "-1,234,567");
    assert_string_equal(ctl_count(b, INT64_MAX), "9,223,372,036,854,775,807");
}

static void sizes_have_a_unit_and_few_digits(void **state)
{
    char b[CTL_TEXT_MAX];

    (void)state;
    assert_string_equal(ctl_bytes(b, 0), "0 B");
    assert_string_equal(ctl_bytes(b, 1023), "1023 B");
    assert_string_equal(ctl_bytes(b, 1024), "1.0 KiB");
    assert_string_equal(ctl_bytes(b, 256 << 20), "256 MiB");
    assert_string_equal(ctl_bytes(b, (1 << 20) - 1), "1.0 MiB");
    assert_string_equal(ctl_bytes(b, INT64_MAX), "8192 PiB");
}

static void times_have_two_units_at_most(void **state)
{
    char b[CTL_TEXT_MAX];

    (void)state;
    assert_string_equal(ctl_seconds(b, 0), "0 s");
    assert_string_equal(ctl_seconds(b, 59), "59 s");
    assert_string_equal(ctl_seconds(b, 185), "3 min 5 s");
    assert_string_equal(ctl_seconds(b, 3600), "1 h");
    assert_string_equal(ctl_seconds(b, 2 * 86400 + 4 * 3600 + 59), "2 d 4 h");
    assert_string_equal(ctl_seconds(b, -60), "-1 min");
    ctl_seconds(b, INT64_MIN);
}

static void what_comes_from_a_node_cannot_play_with_the_terminal(void **state)
{
    char text[128] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    (void)state;
    ctl_put(out, "a\033[2Jb\r\n\xc2\x9b\xc3\xa9");
    fclose(out);
    assert_string_equal(text, "a\\x1b[2Jb\\x0d\\x0a\\xc2\\x9b\xc3\xa9");
}

static void files_get_no_colours(void **state)
{
    char text[64] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    (void)state;
    ctl_paint(out, false, CTL_RED, "x");
    ctl_paint(out, true, CTL_RED, "y");
    fclose(out);
    assert_string_equal(text, "x\033[31my\033[0m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_have_commas),
        cmocka_unit_test(sizes_have_a_unit_and_few_digits),
        cmocka_unit_test(times_have_two_units_at_most),
        cmocka_unit_test(what_comes_from_a_node_cannot_play_with_the_terminal),
        cmocka_unit_test(files_get_no_colours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
