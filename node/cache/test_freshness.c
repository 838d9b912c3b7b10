#include "freshness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy_heads.h"

#define N FRESHNESS_ABSENT

static struct freshness_facts facts(int status, bool heuristic, const char *lines)
{
    struct policy_head p;
    struct freshness_facts f;

    policy_response(&p, status, lines);
    freshness_facts_from(&f, &p.head, policy_control(&p, NULL), heuristic, AT, AT);
    return f;
}

static int64_t lifetime(const char *lines)
{
    struct freshness_facts f = facts(200, false, lines);

    return freshness_lifetime(&f);
}

static int64_t guessed(int status, const char *lines)
{
    struct freshness_facts f = facts(status, true, lines);

    return freshness_lifetime(&f);
}

static void s_maxage_wins_even_when_shorter(void **state)
{
    (void)state;
    assert_int_equal(lifetime("Cache-Control: max-age=600, s-maxage=5"), 5);
    assert_int_equal(lifetime("Cache-Control: s-maxage=0, max-age=600"), 0);
}

static void max_age_wins_over_expires(void **state)
{
    (void)state;
    assert_int_equal(lifetime("Date: " DATE_AT "\nExpires: " DATE_P1H "\nCache-Control: max-age=5"),
                     5);
    assert_int_equal(lifetime("Expires: 0\nCache-Control: max-age=5"), 5);
}

static void expires_counts_from_date_not_from_arrival(void **state)
{
    (void)state;
    assert_int_equal(lifetime("Date: " DATE_M60 "\nExpires: " DATE_P60), 120);
    assert_int_equal(lifetime("Date: " DATE_P60 "\nExpires: " DATE_P60), 0);
    assert_int_equal(lifetime("Expires: " DATE_P60), 60); /* no Date: since it arrived */
    assert_int_equal(lifetime("Date: yesterday\nExpires: " DATE_P60), 60);
}

static void an_expires_in_the_past_is_zero_never_negative(void **state)
{
    (void)state;
    assert_int_equal(lifetime("Date: " DATE_AT "\nExpires: " DATE_M10Y), 0);
}

static void an_expires_that_is_no_date_is_long_past(void **state)
{
    static const char *const bad[] = {"Expires: 0", "Expires: -1", "Expires:", "Expires: tomorrow",
                                      "Expires: Sun, 06 Nov 1994 08:50:37 UTC"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct freshness_facts f = facts(200, true, bad[i]);

        assert_int_equal(f.expires, 0);
        assert_true(freshness_explicit(&f));
        assert_int_equal(freshness_lifetime(&f), 0);
    }
}

static void of_several_expires_the_earliest_counts(void **state)
{
    (void)state;
    assert_int_equal(lifetime("Date: " DATE_AT "\nExpires: " DATE_P1H "\nExpires: " DATE_P60), 60);
    assert_int_equal(lifetime("Date: " DATE_AT "\nExpires: " DATE_P60 "\nExpires: " DATE_P1H), 60);
    assert_int_equal(lifetime("Date: " DATE_AT "\nExpires: " DATE_P60 "\nExpires: never"), 0);
}

static void of_several_max_age_the_smaller_counts_and_an_invalid_one_is_stale(void **state)
{
    (void)state;
    assert_int_equal(lifetime("Cache-Control: max-age=60, max-age=5"), 5);
    assert_int_equal(lifetime("Cache-Control: max-age=5\nCache-Control: max-age=60"), 5);
    assert_int_equal(lifetime("Cache-Control: max-age=\"60\""), 60);
    assert_int_equal(lifetime("Cache-Control: max-age=-1\nExpires: " DATE_P1H), 0);
}

static void a_huge_lifetime_is_clamped(void **state)
{
    (void)state;
    assert_int_equal(lifetime("Cache-Control: max-age=99999999999999999999"), FRESHNESS_DELTA_MAX);
    assert_int_equal(lifetime("Expires: Fri, 31 Dec 9999 23:59:59 GMT"), FRESHNESS_DELTA_MAX);
}

static void nothing_named_nothing_guessed_unless_the_route_allows_it(void **state)
{
    (void)state;
    assert_int_equal(lifetime("Date: " DATE_AT "\nLast-Modified: " DATE_M1H), 0);
    assert_int_equal(guessed(200, "Date: " DATE_AT "\nLast-Modified: " DATE_M1H), 360);
    assert_int_equal(guessed(200, "Date: " DATE_AT), 0);
}

static void a_guess_is_at_most_a_day(void **state)
{
    (void)state;
    assert_int_equal(guessed(200, "Date: " DATE_AT "\nLast-Modified: " DATE_M10D), 86400);
    assert_int_equal(guessed(200, "Date: " DATE_AT "\nLast-Modified: " DATE_M10Y), 86400);
}

static void modified_in_the_future_guesses_nothing(void **state)
{
    (void)state;
    assert_int_equal(guessed(200, "Date: " DATE_AT "\nLast-Modified: " DATE_P1H), 0);
    assert_int_equal(guessed(200, "Date: " DATE_AT "\nLast-Modified: long ago"), 0);
    assert_int_equal(guessed(200, "Date: " DATE_AT "\nLast-Modified: " DATE_M1H
                                  "\nLast-Modified: " DATE_M60),
                     0);
}

static void only_some_statuses_are_guessed_and_those_marked_public(void **state)
{
    static const struct {
        int status;
        bool guessed;
    } rows[] = {{200, true},  {203, true},  {204, true},  {300, true},  {301, true},
                {308, true},  {404, true},  {405, true},  {410, true},  {414, true},
                {501, true},  {201, false}, {302, false}, {303, false}, {307, false},
                {400, false}, {403, false}, {500, false}, {503, false}, {599, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *modified = "Date: " DATE_AT "\nLast-Modified: " DATE_M1H;
        const char *public_ = "Cache-Control: public\nDate: " DATE_AT "\nLast-Modified: " DATE_M1H;

        assert_int_equal(guessed(rows[i].status, modified), rows[i].guessed ? 360 : 0);
        assert_int_equal(guessed(rows[i].status, public_), 360);
    }
}

/* RFC 9111 4.2.3, row by row. */
static void age_is_the_larger_of_what_dates_and_caches_say(void **state)
{
    static const struct {
        int64_t request_time, response_time, date, age, now, expected;
    } rows[] = {
        {AT, AT, AT, 0, AT, 0},            /* fresh from the origin */
        {AT, AT, AT, 0, AT + 7, 7},        /* resident time */
        {AT, AT, AT - 30, 0, AT, 30},      /* apparent age */
        {AT, AT, AT + 30, 0, AT, 0},       /* Date in the future: never negative */
        {AT, AT, AT + 30, 0, AT + 7, 7},   /* ... and it does not count against resident time */
        {AT, AT, AT, 12, AT, 12},          /* Age */
        {AT, AT, AT - 30, 12, AT, 30},     /* Date says more */
        {AT, AT, AT - 5, 12, AT, 12},      /* Age says more */
        {AT - 4, AT, AT, 12, AT, 16},      /* the delay is added to Age */
        {AT - 4, AT, AT - 30, 12, AT, 30}, /* not to the apparent age */
        {AT - 4, AT, AT, 0, AT + 10, 14},  /* also to an Age of 0 */
        {AT + 9, AT, AT, 12, AT, 12},      /* clock set back while waiting */
        {AT, AT, AT, 12, AT - 3600, 12},   /* clock set back later */
        {AT, AT, AT, FRESHNESS_DELTA_MAX, AT + 1, FRESHNESS_DELTA_MAX + 1},
        {0, 0, -62167219200, 0, 0, 62167219200},             /* Date in the year 0 */
        {0, 0, 253402300799, 0, 253402300799, 253402300799}, /* and 9999 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct freshness_facts f = {.request_time = rows[i].request_time,
                                    .response_time = rows[i].response_time,
                                    .date = rows[i].date,
                                    .age = rows[i].age,
                                    .s_maxage = N,
                                    .max_age = N,
                                    .expires = N,
                                    .last_modified = N};

        assert_int_equal(freshness_age(&f, rows[i].now), rows[i].expected);
    }
}

static void age_is_read_leniently_only_where_that_is_safe(void **state)
{
    static const struct {
        const char *lines;
        int64_t age;
    } rows[] = {
        {"", 0},
        {"Age: 12", 12},
        {"Age: 012", 12},
        {"Age: 12, 99", 12},
        {"Age: 99\nAge: 12", 99},
        {"Age: 0, 3600", 0},
        {"Age: ", 0},
        {"Age: abc", 0},
        {"Age: -12", 0},
        {"Age: +12", 0},
        {"Age: 12.5", 0},
        {"Age: 12s", 0},
        {"Age: \"12\"", 0},
        {"Age: abc, 12", 0},
        {"Age: 2147483647", 2147483647},
        {"Age: 2147483648", FRESHNESS_DELTA_MAX},
        {"Age: 4294967296", FRESHNESS_DELTA_MAX},
        {"Age: 18446744073709551616", FRESHNESS_DELTA_MAX},
        {"Age: 99999999999999999999999999999999999999", FRESHNESS_DELTA_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(facts(200, false, rows[i].lines).age, rows[i].age);
}

static void a_date_that_is_missing_broken_or_doubled_is_the_arrival(void **state)
{
    (void)state;
    assert_int_equal(facts(200, false, "").date, AT);
    assert_int_equal(facts(200, false, "Date: now").date, AT);
    assert_int_equal(facts(200, false, "Date: " DATE_M60 "\nDate: " DATE_M1H).date, AT);
    assert_int_equal(facts(200, false, "Date: " DATE_M60).date, AT - 60);
    assert_int_equal(facts(200, false, "Date: Sunday, 06-Nov-94 08:49:37 GMT").date, AT);
    assert_int_equal(facts(200, false, "Date: Sun Nov  6 08:48:37 1994").date, AT - 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s_maxage_wins_even_when_shorter),
        cmocka_unit_test(max_age_wins_over_expires),
        cmocka_unit_test(expires_counts_from_date_not_from_arrival),
        cmocka_unit_test(an_expires_in_the_past_is_zero_never_negative),
        cmocka_unit_test(an_expires_that_is_no_date_is_long_past),
        cmocka_unit_test(of_several_expires_the_earliest_counts),
        cmocka_unit_test(of_several_max_age_the_smaller_counts_and_an_invalid_one_is_stale),
        cmocka_unit_test(a_huge_lifetime_is_clamped),
        cmocka_unit_test(nothing_named_nothing_guessed_unless_the_route_allows_it),
        cmocka_unit_test(a_guess_is_at_most_a_day),
        cmocka_unit_test(modified_in_the_future_guesses_nothing),
        cmocka_unit_test(only_some_statuses_are_guessed_and_those_marked_public),
        cmocka_unit_test(age_is_the_larger_of_what_dates_and_caches_say),
        cmocka_unit_test(age_is_read_leniently_only_where_that_is_safe),
        cmocka_unit_test(a_date_that_is_missing_broken_or_doubled_is_the_arrival),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
