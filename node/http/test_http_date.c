#include "test_http.h"

#include <time.h>

#include "http_date.h"

#define NOW 1795413600 /* 2026-11-23 */

static void parses(const char *text, int64_t want)
{
    int64_t got = 0;
    char *copy = exact_copy(text, strlen(text));

    if (!http_date_parse(weir_span(copy, strlen(text)), NOW, &got))
        fail_msg("refused %s", text);
    assert_int_equal(got, want);
    free(copy);
}

static void the_three_forms_name_the_same_instant(void **state)
{
    (void)state;
    parses("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    parses("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    parses("Sun Nov  6 08:49:37 1994", 784111777);
    parses("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    parses("Tue Nov 16 08:49:37 1994", 784975777);
}

/* RFC 9111 4.2: a cache SHOULD match without case. */
static void case_does_not_matter(void **state)
{
    (void)state;
    parses("sun, 06 nov 1994 08:49:37 gmt", 784111777);
    parses("SUNDAY, 06-NOV-94 08:49:37 GMT", 784111777);
    parses("sUN nOV  6 08:49:37 1994", 784111777);
}

static void instants_before_the_epoch_are_negative(void **state)
{
    (void)state;
    parses("Wed, 31 Dec 1969 23:59:59 GMT", -1);
    parses("Sat, 01 Jan 0000 00:00:00 GMT", -62167219200);
    parses("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799);
}

static void two_digit_years_are_at_most_50_years_ahead(void **state)
{
    (void)state;
    parses("Sunday, 01-Jan-76 00:00:00 GMT", 3345062400); /* 2076 */
    parses("Sunday, 01-Jan-77 00:00:00 GMT", 220924800);  /* 1977 */
    parses("Sunday, 01-Jan-00 00:00:00 GMT", 946684800);  /* 2000 */
}

static void a_leap_second_reads_as_59(void **state)
{
    (void)state;
    parses("Sat, 31 Dec 2016 23:59:60 GMT", 1483228799);
}

static void leap_days_exist_in_leap_years(void **state)
{
    int64_t t;

    (void)state;
    parses("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
    parses("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800);
    assert_false(http_date_parse(LIT("Mon, 29 Feb 1900 00:00:00 GMT"), NOW, &t));
    assert_false(http_date_parse(LIT("Mon, 29 Feb 2023 00:00:00 GMT"), NOW, &t));
}

static void everything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        "-1",
        "now",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC", /* another zone: RFC 9111 4.2 */
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun, ",
        "Sun",
    };
    int64_t t;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *copy = exact_copy(bad[i], strlen(bad[i]));

        if (http_date_parse(weir_span(copy, strlen(bad[i])), NOW, &t))
            fail_msg("accepted %s", bad[i]);
        free(copy);
    }
}

static void what_is_written_reads_back(void **state)
{
    char text[HTTP_DATE_LEN + 1];
    int64_t t, back;

    (void)state;
    for (t = 0; t < 253402300799; t += 86400 * 13 + 7919) {
        struct tm tm;
        time_t seconds = t;

        http_date_format(text, t);
        assert_int_equal(strlen(text), HTTP_DATE_LEN);
        assert_true(http_date_parse(weir_span(text, HTTP_DATE_LEN), NOW, &back));
        assert_int_equal(back, t);
        /* an independent calendar agrees */
        gmtime_r(&seconds, &tm);
        assert_int_equal(timegm(&tm), back);
    }
    http_date_format(text, 784111777);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_name_the_same_instant),
        cmocka_unit_test(case_does_not_matter),
        cmocka_unit_test(instants_before_the_epoch_are_negative),
        cmocka_unit_test(two_digit_years_are_at_most_50_years_ahead),
        cmocka_unit_test(a_leap_second_reads_as_59),
        cmocka_unit_test(leap_days_exist_in_leap_years),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(what_is_written_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
