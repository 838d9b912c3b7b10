#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "weir/utf8.h"

static size_t length(const char *s)
{
    return weir_utf8_length((const unsigned char *)s, strlen(s));
}

static void well_formed_sequences_have_their_length(void **state)
{
    (void)state;
    assert_int_equal(length("a\xc3"), 1);
    assert_int_equal(length("\xc2\x80"), 2);
    assert_int_equal(length("\xe0\xa0\x80"), 3);
    assert_int_equal(length("\xed\x9f\xbf"), 3);
    assert_int_equal(length("\xf0\x90\x80\x80"), 4);
    assert_int_equal(length("\xf4\x8f\xbf\xbf"), 4);
}

static void what_is_overlong_cut_or_no_character_has_none(void **state)
{
    static const char *const none[] = {
        "\x80",
        "\xc1\xbf",
        "\xc3",
        "\xc3\x28",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xff",
        "\xe2\x82",
    };

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_int_equal(length(none[i]), 0);
}

static size_t plain(const char *s)
{
    return weir_utf8_plain((const unsigned char *)s, strlen(s));
}

static void what_drives_a_terminal_or_turns_a_line_round_is_not_plain(void **state)
{
    static const char *const harmful[] = {
        "\x1b",         "\n",           "\x7f",     "\xc2\x80",     "\xc2\x9b", "\xe2\x80\xa8",
        "\xe2\x80\xae", "\xe2\x81\xa6", "\xd8\x9c", "\xe2\x80\x8f", "\xff",
    };

    (void)state;
    for (size_t i = 0; i < sizeof harmful / sizeof harmful[0]; i++)
        assert_int_equal(plain(harmful[i]), 0);
    assert_int_equal(plain(" "), 1);
    assert_int_equal(plain("\xc2\xa0"), 2);
    assert_int_equal(plain("\xe2\x82\xac"), 3);
    assert_int_equal(plain("\xf0\x9f\x98\x80"), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_sequences_have_their_length),
        cmocka_unit_test(what_is_overlong_cut_or_no_character_has_none),
        cmocka_unit_test(what_drives_a_terminal_or_turns_a_line_round_is_not_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
