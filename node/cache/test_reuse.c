#include "reuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cache_settings.h"
#include "policy_heads.h"

static const struct route_cache_settings plain = {.enabled = true};
static const struct route_cache_settings windows = {.enabled = true,
                                                    .stale_while_revalidate_s = 10,
                                                    .stale_if_error_s = 20};

static struct reuse_facts facts(const struct route_cache_settings *route, const char *lines)
{
    struct policy_head p;
    struct freshness_facts f;
    struct reuse_facts r;

    policy_response(&p, 200, lines);
    freshness_facts_from(&f, &p.head, policy_control(&p, route), false, AT, AT);
    reuse_facts_from(&r, &f, &p.control, route);
    return r;
}

/* Asked `later` seconds after it arrived, with these request directives (or NULL). */
static struct reuse ask(const struct route_cache_settings *route, const char *lines,
                        const char *directives, int64_t later)
{
    struct reuse_facts r = facts(route, lines);
    struct http_cache_control cc;

    if (directives == NULL)
        return reuse_check(&r, NULL, AT + later);
    http_cache_control_parse_value(weir_span_str(directives), &cc);
    return reuse_check(&r, &cc, AT + later);
}

static bool on_error(const struct route_cache_settings *route, const char *lines, int64_t later)
{
    struct reuse_facts r = facts(route, lines);

    return reuse_on_error(&r, AT + later);
}

struct row {
    const char *lines;
    const char *directives;
    int64_t later;
    enum reuse_verdict verdict;
    enum cache_fwd fwd;
};

static void check(const struct route_cache_settings *route, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct reuse got = ask(route, rows[i].lines, rows[i].directives, rows[i].later);

        if (got.verdict != rows[i].verdict || got.fwd != rows[i].fwd)
            print_error("row %zu: %s\n", i, rows[i].lines);
        assert_int_equal(got.verdict, rows[i].verdict);
        assert_int_equal(got.fwd, rows[i].fwd);
    }
}
#define CHECK(route, rows) check((route), (rows), sizeof(rows) / sizeof((rows)[0]))

static void fresh_until_the_age_reaches_the_lifetime(void **state)
{
    static const struct row rows[] = {
        {"Cache-Control: max-age=60", NULL, 0, REUSE_FRESH, FWD_NONE},
        {"Cache-Control: max-age=60", NULL, 59, REUSE_FRESH, FWD_NONE},
        {"Cache-Control: max-age=60", NULL, 60, REUSE_VALIDATE, FWD_STALE},
        {"Cache-Control: max-age=60\nAge: 50", NULL, 9, REUSE_FRESH, FWD_NONE},
        {"Cache-Control: max-age=60\nAge: 50", NULL, 10, REUSE_VALIDATE, FWD_STALE},
        {"Cache-Control: max-age=60", NULL, -1000, REUSE_FRESH, FWD_NONE},
        {"Cache-Control: max-age=60\nAge: 99999999999", NULL, 0, REUSE_VALIDATE, FWD_STALE},
        {"Cache-Control: max-age=99999999999\nAge: 99999999999", NULL, 0, REUSE_VALIDATE,
         FWD_STALE},
        {"Cache-Control: max-age=0", NULL, 0, REUSE_VALIDATE, FWD_STALE},
    };

    (void)state;
    CHECK(&plain, rows);
}

static void age_and_ttl_are_told(void **state)
{
    struct reuse got = ask(&plain, "Cache-Control: max-age=60\nAge: 5", NULL, 10);

    (void)state;
    assert_int_equal(got.age, 15);
    assert_int_equal(got.ttl, 45);
    got = ask(&plain, "Cache-Control: max-age=60", NULL, 70);
    assert_int_equal(got.age, 70);
    assert_int_equal(got.ttl, -10);
    got = ask(&plain, "Cache-Control: max-age=60\nAge: 5", NULL, -100);
    assert_int_equal(got.age, 5);
}

static void no_cache_asks_the_origin_every_time(void **state)
{
    static const struct row rows[] = {
        {"Cache-Control: max-age=60, no-cache", NULL, 0, REUSE_VALIDATE, FWD_STALE},
        {"Cache-Control: no-cache, stale-while-revalidate=60", NULL, 0, REUSE_VALIDATE, FWD_STALE},
    };

    (void)state;
    CHECK(&windows, rows);
}

static void stale_while_revalidate_keeps_its_window(void **state)
{
#define SWR "Cache-Control: max-age=60, stale-while-revalidate=30"
    static const struct row rows[] = {
        {SWR, NULL, 59, REUSE_FRESH, FWD_NONE},
        {SWR, NULL, 60, REUSE_STALE_WHILE_REVALIDATE, FWD_NONE},
        {SWR, NULL, 89, REUSE_STALE_WHILE_REVALIDATE, FWD_NONE},
        {SWR, NULL, 90, REUSE_VALIDATE, FWD_STALE},
        {SWR ", must-revalidate", NULL, 60, REUSE_VALIDATE, FWD_STALE},
        {SWR ", proxy-revalidate", NULL, 60, REUSE_VALIDATE, FWD_STALE},
        {SWR ", s-maxage=60", NULL, 60, REUSE_VALIDATE, FWD_STALE},
        {SWR "\nAge: 89", NULL, 0, REUSE_STALE_WHILE_REVALIDATE, FWD_NONE},
    };

    (void)state;
    CHECK(&plain, rows);
}

static void the_route_s_window_counts_when_the_response_names_none(void **state)
{
    static const struct row rows[] = {
        {"Cache-Control: max-age=60", NULL, 69, REUSE_STALE_WHILE_REVALIDATE, FWD_NONE},
        {"Cache-Control: max-age=60", NULL, 70, REUSE_VALIDATE, FWD_STALE},
        {"Cache-Control: max-age=60, stale-while-revalidate=0", NULL, 60, REUSE_VALIDATE,
         FWD_STALE},
        {"Cache-Control: max-age=60, must-revalidate", NULL, 60, REUSE_VALIDATE, FWD_STALE},
    };

    (void)state;
    CHECK(&windows, rows);
}

static void clients_directives_are_obeyed(void **state)
{
#define M60 "Cache-Control: max-age=60"
    static const struct row rows[] = {
        {M60, "no-cache", 0, REUSE_VALIDATE, FWD_REQUEST},
        {M60, "no-store", 0, REUSE_FRESH, FWD_NONE},
        {M60, "max-age=0", 0, REUSE_VALIDATE, FWD_REQUEST},
        {M60, "max-age=10", 10, REUSE_FRESH, FWD_NONE},
        {M60, "max-age=10", 11, REUSE_VALIDATE, FWD_REQUEST},
        {M60, "min-fresh=20", 40, REUSE_FRESH, FWD_NONE},
        {M60, "min-fresh=20", 41, REUSE_VALIDATE, FWD_REQUEST},
        {M60, "max-stale", 600, REUSE_STALE, FWD_NONE},
        {M60, "max-stale=5", 65, REUSE_STALE, FWD_NONE},
        {M60, "max-stale=5", 66, REUSE_VALIDATE, FWD_STALE},
        {M60, "max-stale=5, no-cache", 61, REUSE_VALIDATE, FWD_STALE},
        {M60, "max-stale=5, min-fresh=1", 61, REUSE_VALIDATE, FWD_STALE},
        {M60 ", must-revalidate", "max-stale", 60, REUSE_VALIDATE, FWD_STALE},
        {M60 ", s-maxage=60", "max-stale", 60, REUSE_VALIDATE, FWD_STALE},
        {M60 ", proxy-revalidate", "max-stale", 60, REUSE_VALIDATE, FWD_STALE},
        {M60 ", no-cache", "max-stale", 0, REUSE_VALIDATE, FWD_STALE},
        {SWR, "max-age=60", 61, REUSE_VALIDATE, FWD_STALE},
        {SWR, "no-cache", 61, REUSE_VALIDATE, FWD_STALE},
        {SWR, "max-stale", 61, REUSE_STALE, FWD_NONE},
        {M60, "only-if-cached", 0, REUSE_FRESH, FWD_NONE},
        {M60, "only-if-cached", 60, REUSE_GATEWAY_TIMEOUT, FWD_NONE},
        {M60, "only-if-cached, max-stale", 60, REUSE_STALE, FWD_NONE},
        {M60, "only-if-cached, no-cache", 0, REUSE_GATEWAY_TIMEOUT, FWD_NONE},
        {M60, "unknown=1", 0, REUSE_FRESH, FWD_NONE},
    };

    (void)state;
    CHECK(&plain, rows);
}

static void a_reload_does_not_validate_what_is_immutable_while_fresh(void **state)
{
    static const struct row rows[] = {
        {M60 ", immutable", "max-age=0", 5, REUSE_FRESH, FWD_NONE},
        {M60 ", immutable", "max-age=2", 5, REUSE_VALIDATE, FWD_REQUEST},
        {M60 ", immutable", "no-cache", 5, REUSE_VALIDATE, FWD_REQUEST},
        {M60 ", immutable", "max-age=0", 60, REUSE_VALIDATE, FWD_STALE},
        {SWR ", immutable", "max-age=0", 60, REUSE_VALIDATE, FWD_STALE},
    };

    (void)state;
    CHECK(&plain, rows);
}

static void only_if_cached_with_nothing_stored_is_504_where_it_counts(void **state)
{
    struct http_cache_control cc;

    (void)state;
    http_cache_control_parse_value(WEIR_SPAN_LIT("only-if-cached"), &cc);
    assert_true(reuse_only_if_cached(&cc));
    assert_false(reuse_only_if_cached(NULL));
}

static void on_error_stale_is_served_within_its_window_only(void **state)
{
    const char *named = "Cache-Control: max-age=60, stale-if-error=30";

    (void)state;
    assert_true(on_error(&plain, named, 60));
    assert_true(on_error(&plain, named, 89));
    assert_false(on_error(&plain, named, 90));
    assert_false(on_error(&plain, M60, 60));
    assert_true(on_error(&windows, M60, 79));
    assert_false(on_error(&windows, M60, 80));
    assert_false(on_error(&windows, M60 ", stale-if-error=0", 60));
}

static void on_error_nothing_passes_a_directive_that_forbids(void **state)
{
    (void)state;
    assert_false(on_error(&windows, M60 ", must-revalidate, stale-if-error=30", 60));
    assert_false(on_error(&windows, M60 ", proxy-revalidate, stale-if-error=30", 60));
    assert_false(on_error(&windows, "Cache-Control: s-maxage=60, stale-if-error=30", 60));
    assert_false(on_error(&windows, M60 ", no-cache, stale-if-error=30", 0));
}

static void on_error_the_fresh_is_served_though_the_client_wanted_validation(void **state)
{
    (void)state;
    assert_true(on_error(&plain, M60, 5));
    assert_true(on_error(&plain, M60 ", must-revalidate", 5));
    assert_true(on_error(&plain, "Cache-Control: s-maxage=60", 5));
}

/* As of a response that arrived at AT, purged softly `purged` seconds later, asked `later`. */
static struct reuse ask_purged(const char *lines, int64_t purged, int64_t later)
{
    struct reuse_facts r = facts(&windows, lines), soft;

    reuse_soften(&soft, &r, AT + purged);
    return reuse_check(&soft, NULL, AT + later);
}

static void a_soft_purge_makes_stale_and_begins_the_windows(void **state)
{
    const char *lines = "Cache-Control: max-age=60\nAge: 5";
    struct reuse_facts r = facts(&windows, lines), soft;

    (void)state;
    assert_int_equal(ask_purged(lines, 20, 20).verdict, REUSE_STALE_WHILE_REVALIDATE);
    assert_int_equal(ask_purged(lines, 20, 20).ttl, 0);
    assert_int_equal(ask_purged(lines, 20, 20).age, 25); /* the age is what it is */
    assert_int_equal(ask_purged(lines, 20, 29).verdict, REUSE_STALE_WHILE_REVALIDATE);
    assert_int_equal(ask_purged(lines, 20, 29).ttl, -9);
    assert_int_equal(ask_purged(lines, 20, 30).verdict, REUSE_VALIDATE);
    assert_int_equal(ask_purged(lines, -3, 0).verdict, REUSE_STALE_WHILE_REVALIDATE);
    assert_int_equal(ask_purged(lines, -3, 0).ttl, -3);
    /* It was stale before: that counts. */
    assert_int_equal(ask_purged(lines, 60, 61).ttl, -6);
    reuse_soften(&soft, &r, AT + 20);
    assert_true(reuse_on_error(&soft, AT + 39));
    assert_false(reuse_on_error(&soft, AT + 40));
    assert_int_equal(ask_purged("Cache-Control: s-maxage=60", 20, 20).verdict, REUSE_VALIDATE);
}

static void four_statuses_are_errors(void **state)
{
    (void)state;
    for (int status = 200; status < 600; status++)
        assert_int_equal(reuse_status_is_error(status),
                         status == 500 || status == 502 || status == 503 || status == 504);
}

static void a_hit_in_the_last_part_of_the_lifetime_refreshes(void **state)
{
    static const struct route_cache_settings fifth = {.enabled = true, .refresh_ahead_percent = 20};

    (void)state;
    assert_int_equal(facts(&fifth, M60).refresh_age, 48);
    assert_int_equal(facts(&fifth, "Cache-Control: max-age=1").refresh_age, 1); /* never */
    assert_int_equal(facts(&plain, M60).refresh_age, INT64_MAX);
}

/* RFC 9111 4.2.4, and what routes[].cache.despite.stale makes of it */
static void what_the_route_does_not_heed_leaves_the_windows_open(void **state)
{
    static const struct route_cache_settings despite = {
        .enabled = true,
        .stale_while_revalidate_s = 10,
        .stale_if_error_s = 20,
        .despite = {.stale = DESPITE_NO_CACHE | DESPITE_MUST_REVALIDATE}};
    static const struct route_cache_settings shut = {.enabled = true,
                                                     .despite = {.stale = DESPITE_NO_CACHE}};
    static const struct row rows[] = {
        {M60 ", must-revalidate", NULL, 69, REUSE_STALE_WHILE_REVALIDATE, FWD_NONE},
        {M60 ", must-revalidate", NULL, 70, REUSE_VALIDATE, FWD_STALE},
        {M60 ", s-maxage=60", NULL, 60, REUSE_VALIDATE, FWD_STALE},
        {M60 ", no-cache", NULL, 0, REUSE_STALE_WHILE_REVALIDATE, FWD_NONE},
        {M60 ", no-cache", NULL, 70, REUSE_VALIDATE, FWD_STALE},
    };

    (void)state;
    CHECK(&despite, rows);
    assert_true(on_error(&despite, M60 ", no-cache", 0));
    /* no window, no staleness: not even for what is fresh but for its no-cache */
    assert_int_equal(ask(&shut, M60 ", no-cache", NULL, 0).verdict, REUSE_VALIDATE);
    assert_false(on_error(&shut, M60 ", no-cache", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_until_the_age_reaches_the_lifetime),
        cmocka_unit_test(age_and_ttl_are_told),
        cmocka_unit_test(no_cache_asks_the_origin_every_time),
        cmocka_unit_test(stale_while_revalidate_keeps_its_window),
        cmocka_unit_test(the_route_s_window_counts_when_the_response_names_none),
        cmocka_unit_test(clients_directives_are_obeyed),
        cmocka_unit_test(a_reload_does_not_validate_what_is_immutable_while_fresh),
        cmocka_unit_test(only_if_cached_with_nothing_stored_is_504_where_it_counts),
        cmocka_unit_test(on_error_stale_is_served_within_its_window_only),
        cmocka_unit_test(on_error_nothing_passes_a_directive_that_forbids),
        cmocka_unit_test(on_error_the_fresh_is_served_though_the_client_wanted_validation),
        cmocka_unit_test(a_soft_purge_makes_stale_and_begins_the_windows),
        cmocka_unit_test(four_statuses_are_errors),
        cmocka_unit_test(a_hit_in_the_last_part_of_the_lifetime_refreshes),
        cmocka_unit_test(what_the_route_does_not_heed_leaves_the_windows_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
