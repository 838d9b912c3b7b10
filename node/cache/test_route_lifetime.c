#include "route_lifetime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy_heads.h"
#include "freshness.h"

static struct freshness_facts facts(const struct route_cache_settings *route, int status,
                                    const char *lines)
{
    struct policy_head p;
    struct freshness_facts f;

    policy_response(&p, status, lines);
    freshness_facts_from(&f, &p.head, policy_control(&p, route), route->heuristic, AT, AT);
    route_lifetime_apply(&f, &p.control, status, route);
    return f;
}

static int64_t lifetime(const struct route_cache_settings *route, int status, const char *lines)
{
    struct freshness_facts f = facts(route, status, lines);

    return freshness_lifetime(&f);
}

static bool named(const struct route_cache_settings *route, int status, const char *lines)
{
    struct freshness_facts f = facts(route, status, lines);

    return freshness_explicit(&f);
}

static void a_default_is_for_responses_that_name_none(void **state)
{
    static const struct route_cache_settings route = {.enabled = true, .ttl = {.otherwise = 30}};

    (void)state;
    assert_int_equal(lifetime(&route, 200, ""), 30);
    assert_true(named(&route, 200, ""));
    assert_int_equal(lifetime(&route, 404, ""), 30);
    assert_int_equal(lifetime(&route, 200, "Cache-Control: max-age=5"), 5);
    assert_int_equal(lifetime(&route, 200, "Cache-Control: max-age=0"), 0);
    assert_int_equal(lifetime(&route, 200, "Expires: 0"), 0);
    /* not for statuses that may not be guessed at, unless the response is public */
    assert_int_equal(lifetime(&route, 500, ""), 0);
    assert_false(named(&route, 302, ""));
    assert_int_equal(lifetime(&route, 302, "Cache-Control: public"), 30);
}

static void a_default_counts_from_arrival(void **state)
{
    static const struct route_cache_settings route = {.enabled = true, .ttl = {.otherwise = 30}};

    (void)state;
    assert_int_equal(lifetime(&route, 200, "Age: 100"), 130);
    assert_int_equal(lifetime(&route, 200, "Date: " DATE_M60), 90);
}

static void statuses_have_their_own_and_the_first_row_that_fits_counts(void **state)
{
    static struct cache_status_ttl rows[] = {{404, 404, 10}, {400, 499, 5}, {500, 599, 0}};
    static const struct route_cache_settings route = {
        .enabled = true, .ttl = {.otherwise = 30, .status = rows, .status_count = 3}};

    (void)state;
    assert_int_equal(lifetime(&route, 404, ""), 10);
    assert_int_equal(lifetime(&route, 403, ""), 5);
    assert_true(named(&route, 403, ""));
    assert_int_equal(lifetime(&route, 501, ""), 0);
    assert_false(named(&route, 501, ""));
    assert_int_equal(lifetime(&route, 200, ""), 30);
    assert_int_equal(lifetime(&route, 404, "Cache-Control: max-age=1"), 1);
    assert_int_equal(lifetime(&route, 404, "Expires: 0"), 0);
}

static void what_one_client_provokes_is_not_made_everybodys(void **state)
{
    static struct cache_status_ttl rows[] = {{413, 413, 7}, {400, 599, 5}};
    static const struct route_cache_settings ranges = {.enabled = true,
                                                       .ttl = {.status = rows, .status_count = 2}};
    static const struct route_cache_settings forced = {.enabled = true, .despite = {.ttl = 60}};
    static const int blaming[] = {400, 406, 408, 411, 415, 417, 421, 426, 431};

    (void)state;
    for (size_t i = 0; i < sizeof blaming / sizeof blaming[0]; i++) {
        assert_false(named(&ranges, blaming[i], ""));
        assert_false(named(&forced, blaming[i], ""));
        assert_int_equal(lifetime(&forced, blaming[i], "Cache-Control: max-age=3"), 3);
    }
    assert_int_equal(lifetime(&ranges, 413, ""), 7); /* named alone: the operator means it */
    assert_int_equal(lifetime(&ranges, 404, ""), 5);
    assert_int_equal(lifetime(&forced, 404, ""), 60);
}

static void a_guess_comes_before_the_default(void **state)
{
    static const struct route_cache_settings route = {.enabled = true,
                                                      .heuristic = true,
                                                      .ttl = {.otherwise = 30, .max = 7200}};

    (void)state;
    assert_int_equal(lifetime(&route, 200, "Date: " DATE_AT "\nLast-Modified: " DATE_M1H), 360);
    assert_int_equal(lifetime(&route, 200, "Date: " DATE_AT "\nLast-Modified: " DATE_M10D), 7200);
    assert_int_equal(lifetime(&route, 200, "Date: " DATE_AT), 30);
}

static void named_lifetimes_are_kept_within_bounds(void **state)
{
    static const struct route_cache_settings route = {.enabled = true,
                                                      .ttl = {.min = 10, .max = 100}};
    static const struct route_cache_settings least = {.enabled = true, .ttl = {.min = 10}};

    (void)state;
    assert_int_equal(lifetime(&route, 200, "Cache-Control: max-age=5"), 10);
    assert_int_equal(lifetime(&route, 200, "Cache-Control: max-age=50"), 50);
    assert_int_equal(lifetime(&route, 200, "Cache-Control: max-age=500"), 100);
    assert_int_equal(lifetime(&route, 200, "Cache-Control: s-maxage=0"), 10);
    assert_int_equal(lifetime(&route, 200, "Expires: 0"), 10);
    assert_int_equal(lifetime(&least, 200, "Cache-Control: max-age=500"), 500);
    assert_int_equal(lifetime(&route, 200, ""), 0); /* none named: nothing to bound */
    assert_false(named(&route, 200, ""));
}

static void a_forced_lifetime_overrules_all(void **state)
{
    static const struct route_cache_settings route = {.enabled = true,
                                                      .ttl = {.max = 10},
                                                      .despite = {.ttl = 60}};

    (void)state;
    assert_int_equal(lifetime(&route, 200, ""), 60);
    assert_int_equal(lifetime(&route, 500, "Cache-Control: max-age=0"), 60);
    assert_int_equal(lifetime(&route, 200, "Cache-Control: s-maxage=999"), 60);
    assert_int_equal(lifetime(&route, 200, "Expires: 0\nAge: 1000"), 1060); /* from arrival */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_default_is_for_responses_that_name_none),
        cmocka_unit_test(a_default_counts_from_arrival),
        cmocka_unit_test(statuses_have_their_own_and_the_first_row_that_fits_counts),
        cmocka_unit_test(what_one_client_provokes_is_not_made_everybodys),
        cmocka_unit_test(a_guess_comes_before_the_default),
        cmocka_unit_test(named_lifetimes_are_kept_within_bounds),
        cmocka_unit_test(a_forced_lifetime_overrules_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
