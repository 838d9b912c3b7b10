#include "cache_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check(const struct cache_status *s, const char *expected)
{
    char buf[CACHE_STATUS_MAX + 1];
    size_t len = cache_status_write(buf, s);

    assert_true(len <= CACHE_STATUS_MAX);
    buf[len] = '\0';
    assert_string_equal(buf, expected);
}

static void the_value_says_hit_or_why_forwarded(void **state)
{
    static const struct {
        struct cache_status s;
        const char *expected;
    } rows[] = {
        {{.hit = true, .has_ttl = true, .ttl = 123}, "weir; hit; ttl=123"},
        {{.hit = true, .has_ttl = true, .ttl = -5}, "weir; hit; ttl=-5"},
        {{.hit = true, .has_ttl = true, .ttl = 0}, "weir; hit; ttl=0"},
        {{.hit = true}, "weir; hit"},
        {{.fwd = FWD_URI_MISS, .fwd_status = 200, .stored = true, .collapsed = true},
         "weir; fwd=uri-miss; fwd-status=200; stored; collapsed"},
        {{.fwd = FWD_VARY_MISS, .stored = true, .has_ttl = true, .ttl = 60},
         "weir; fwd=vary-miss; ttl=60; stored"},
        {{.fwd = FWD_STALE, .fwd_status = 304}, "weir; fwd=stale; fwd-status=304"},
        {{.fwd = FWD_BYPASS, .detail = "set-cookie"}, "weir; fwd=bypass; detail=set-cookie"},
        {{.fwd = FWD_METHOD}, "weir; fwd=method"},
        {{.fwd = FWD_MISS}, "weir; fwd=miss"},
        {{.fwd = FWD_REQUEST}, "weir; fwd=request"},
        {{.fwd = FWD_PARTIAL}, "weir; fwd=partial"},
        /* a hit is not forwarded, a forwarded one is no hit */
        {{.fwd = FWD_STALE, .hit = true}, "weir; fwd=stale"},
        {{.hit = true, .stored = true, .collapsed = true}, "weir; hit"},
        {{.detail = "only-if-cached"}, "weir; detail=only-if-cached"},
        {{.hit = true, .detail = ""}, "weir; hit"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(&rows[i].s, rows[i].expected);
}

static void a_detail_that_is_no_token_is_a_string(void **state)
{
    struct cache_status s = {.hit = true, .detail = "two words"};

    (void)state;
    check(&s, "weir; hit; detail=\"two words\"");
    s.detail = "a\"b\\c\n\x80";
    check(&s, "weir; hit; detail=\"a\\\"b\\\\c?"
              "?\"");
    s.detail = "5xx";
    check(&s, "weir; hit; detail=\"5xx\"");
}

static void the_longest_value_fits(void **state)
{
    char detail[CACHE_STATUS_DETAIL_MAX + 20];
    struct cache_status s = {.fwd = FWD_VARY_MISS,
                             .fwd_status = UINT16_MAX,
                             .stored = true,
                             .collapsed = true,
                             .has_ttl = true,
                             .ttl = INT64_MIN,
                             .detail = detail};
    char buf[CACHE_STATUS_MAX];

    (void)state;
    memset(detail, '"', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    assert_true(cache_status_write(buf, &s) <= sizeof(buf));
    s.detail = NULL;
    check(&s, "weir; fwd=vary-miss; fwd-status=65535; ttl=-999999999999999; stored; collapsed");
}

static void age_is_digits_within_bounds(void **state)
{
    static const struct {
        int64_t age;
        const char *expected;
    } rows[] = {{0, "0"}, {7, "7"}, {86400, "86400"}, {-3, "0"}, {INT64_MAX, "2147483648"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buf[CACHE_AGE_MAX + 1];

        buf[cache_age_write(buf, rows[i].age)] = '\0';
        assert_string_equal(buf, rows[i].expected);
    }
}

static void every_reason_has_a_word(void **state)
{
    (void)state;
    assert_string_equal(cache_fwd_word(FWD_NONE), "");
    for (int fwd = FWD_BYPASS; fwd < FWD_WORDS; fwd++)
        assert_true(strlen(cache_fwd_word((enum cache_fwd)fwd)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_value_says_hit_or_why_forwarded),
        cmocka_unit_test(a_detail_that_is_no_token_is_a_string),
        cmocka_unit_test(the_longest_value_fits),
        cmocka_unit_test(age_is_digits_within_bounds),
        cmocka_unit_test(every_reason_has_a_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
