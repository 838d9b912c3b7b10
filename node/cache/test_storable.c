#include "storable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cache_settings.h"
#include "policy_heads.h"
#include "route_lifetime.h"

static const struct route_cache_settings plain = {.enabled = true};
static const struct route_cache_settings guessing = {.enabled = true, .heuristic = true};
static const struct route_cache_settings cookies = {.enabled = true,
                                                    .set_cookie = SET_COOKIE_STORE};
static const struct route_cache_settings off = {.enabled = false};
static const struct route_cache_settings stale_ok = {.enabled = true, .stale_if_error_s = 60};

static enum storable_verdict judge(const struct route_cache_settings *route, const char *method,
                                   const char *request, bool content, int status,
                                   const char *response)
{
    struct policy_head req, res;
    struct freshness_facts f;
    struct storable_question q = {&req.head,    &req.cc, content, &res.head,
                                  &res.control, &f,      route,   false};

    policy_request(&req, method, request);
    policy_response(&res, status, response);
    freshness_facts_from(&f, &res.head, policy_control(&res, route), route->heuristic, AT, AT);
    route_lifetime_apply(&f, &res.control, status, route);
    return storable_response(&q);
}

static enum storable_verdict of(int status, const char *response)
{
    return judge(&plain, "GET", "", false, status, response);
}

#define FRESH "Cache-Control: max-age=60"

struct row {
    const char *lines;
    enum storable_verdict verdict;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        enum storable_verdict v = of(200, rows[i].lines);

        if (v != rows[i].verdict)
            print_error("%s: %s\n", rows[i].lines, storable_text(v));
        assert_int_equal(v, rows[i].verdict);
    }
}
#define CHECK(rows) check((rows), sizeof(rows) / sizeof((rows)[0]))

static void explicit_freshness_is_needed(void **state)
{
    static const struct row rows[] = {
        {FRESH, STORABLE_YES},
        {"Cache-Control: s-maxage=60", STORABLE_YES},
        {"Expires: " DATE_P60, STORABLE_YES},
        {"", STORABLE_NO_FRESHNESS},
        {"Cache-Control: public", STORABLE_NO_FRESHNESS},
        {"ETag: \"a\"\nLast-Modified: " DATE_M1H, STORABLE_NO_FRESHNESS},
    };

    (void)state;
    CHECK(rows);
}

static void a_guess_is_enough_where_the_route_guesses(void **state)
{
    const char *modified = "Last-Modified: " DATE_M1H;

    (void)state;
    assert_int_equal(judge(&guessing, "GET", "", false, 200, modified), STORABLE_YES);
    assert_int_equal(judge(&guessing, "GET", "", false, 302, modified), STORABLE_NO_FRESHNESS);
    assert_int_equal(judge(&guessing, "GET", "", false, 200, "ETag: \"a\""), STORABLE_NO_FRESHNESS);
}

static void directives_that_forbid_are_obeyed(void **state)
{
    static const struct row rows[] = {
        {"Cache-Control: max-age=60, no-store", STORABLE_NO_STORE},
        {FRESH "\nCache-Control: NO-STORE", STORABLE_NO_STORE},
        {"Cache-Control: max-age=60, private", STORABLE_NO_PRIVATE},
        {"Cache-Control: max-age=60, private=\"x-user\"", STORABLE_YES}, /* without that field */
        {"Cache-Control: max-age=60, private=\"\"", STORABLE_NO_PRIVATE},
        {"Cache-Control: s-maxage=60, private", STORABLE_NO_PRIVATE},
        {"Cache-Control: max-age=60, no-cache=\"set-cookie\"\nSet-Cookie: a=b", STORABLE_YES},
        {"Cache-Control: max-age=60, no-cache=\"a b\"", STORABLE_NO_NO_CACHE},
        {FRESH "\nSet-Cookie: a=b", STORABLE_NO_SET_COOKIE},
        {FRESH "\nVary: *", STORABLE_NO_VARY_STAR},
        {FRESH "\nVary: Accept\nVary: x, *", STORABLE_NO_VARY_STAR},
        {FRESH "\nVary: a b", STORABLE_NO_VARY_STAR},
        {FRESH "\nVary: Accept, Cookie", STORABLE_YES},
    };

    (void)state;
    CHECK(rows);
}

static void what_is_always_stale_is_stored_if_it_can_be_validated(void **state)
{
    static const struct row rows[] = {
        {"Cache-Control: no-cache", STORABLE_NO_NO_CACHE},
        {"Cache-Control: no-cache, max-age=60", STORABLE_NO_NO_CACHE},
        {"Cache-Control: no-cache\nETag: \"a\"", STORABLE_YES},
        {"Cache-Control: no-cache\nLast-Modified: " DATE_M1H, STORABLE_YES},
        {"Cache-Control: no-cache\nETag: a", STORABLE_NO_NO_CACHE}, /* not an entity tag */
        {"Cache-Control: max-age=0", STORABLE_NO_STALE},
        {"Cache-Control: max-age=0\nETag: \"a\"", STORABLE_YES},
        {"Expires: 0\nLast-Modified: " DATE_M1H, STORABLE_YES},
        {"Expires: 0", STORABLE_NO_STALE},
        {FRESH "\nAge: 60", STORABLE_NO_STALE},
        {FRESH "\nAge: 59", STORABLE_YES},
        {FRESH "\nDate: " DATE_M1H, STORABLE_NO_STALE},
    };

    (void)state;
    CHECK(rows);
    assert_int_equal(of(500, "Cache-Control: no-cache\nETag: \"a\""), STORABLE_NO_NO_CACHE);
    assert_int_equal(of(500, "Cache-Control: no-cache, max-age=1\nETag: \"a\""), STORABLE_YES);
}

static void a_stale_window_makes_it_worth_storing(void **state)
{
    static const struct row rows[] = {
        {"Cache-Control: max-age=0, stale-while-revalidate=10", STORABLE_YES},
        {"Cache-Control: max-age=0, stale-if-error=10", STORABLE_YES},
        {"Cache-Control: max-age=0, stale-if-error=10\nAge: 10", STORABLE_NO_STALE},
        {"Cache-Control: max-age=0, stale-if-error=10, must-revalidate", STORABLE_NO_STALE},
        {"Cache-Control: s-maxage=0, stale-if-error=10", STORABLE_NO_STALE},
    };

    (void)state;
    CHECK(rows);
    assert_int_equal(judge(&stale_ok, "GET", "", false, 200, "Cache-Control: max-age=0"),
                     STORABLE_YES);
    assert_int_equal(judge(&stale_ok, "GET", "", false, 200,
                           "Cache-Control: max-age=0, stale-if-error=0"),
                     STORABLE_NO_STALE);
}

static void any_final_status_with_freshness_is_stored_but_for_a_few(void **state)
{
    static const int refused[] = {304, 412, 425, 428, 429, 431, 511};

    (void)state;
    for (int status = 100; status < 1000; status++) {
        enum storable_verdict expected = status < 200 ? STORABLE_NO_STATUS : STORABLE_YES;

        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
            if (status == refused[i])
                expected = STORABLE_NO_STATUS;
        if (status == 206 || status == 416)
            expected = STORABLE_NO_RANGE;
        assert_int_equal(of(status, FRESH), expected);
    }
}

static void must_understand_beats_no_store_for_statuses_we_understand(void **state)
{
    const char *lines = "Cache-Control: max-age=60, must-understand, no-store";

    (void)state;
    assert_int_equal(of(200, lines), STORABLE_YES);
    assert_int_equal(of(404, lines), STORABLE_YES);
    assert_int_equal(of(299, lines), STORABLE_NO_STATUS);
    assert_int_equal(of(299, "Cache-Control: max-age=60, must-understand"), STORABLE_NO_STATUS);
    assert_int_equal(of(206, lines), STORABLE_NO_RANGE);
    assert_int_equal(of(200, "Cache-Control: must-understand, no-store"), STORABLE_NO_FRESHNESS);
    assert_int_equal(of(200, "Cache-Control: max-age=60, must-understand, no-store, private"),
                     STORABLE_NO_PRIVATE);
}

static void authorization_needs_permission_to_share(void **state)
{
    static const struct row rows[] = {
        {FRESH, STORABLE_NO_AUTHORIZATION},
        {"Expires: " DATE_P60, STORABLE_NO_AUTHORIZATION},
        {"Cache-Control: max-age=60, proxy-revalidate", STORABLE_NO_AUTHORIZATION},
        {"Cache-Control: max-age=60, public", STORABLE_YES},
        {"Cache-Control: max-age=60, must-revalidate", STORABLE_YES},
        {"Cache-Control: s-maxage=60", STORABLE_YES},
        {"Cache-Control: max-age=60, public, no-store", STORABLE_NO_STORE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(judge(&plain, "GET", "Authorization: Basic eDp5", false, 200,
                               rows[i].lines),
                         rows[i].verdict);
}

static void only_a_get_without_content_is_stored(void **state)
{
    static const char *const methods[] = {"HEAD",  "POST",  "PUT",      "DELETE",
                                          "PATCH", "QUERY", "PROPFIND", "get"};

    (void)state;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        assert_int_equal(judge(&plain, methods[i], "", false, 200, FRESH), STORABLE_NO_METHOD);
    assert_int_equal(judge(&plain, "GET", "", true, 200, FRESH), STORABLE_NO_REQUEST_CONTENT);
}

static void a_query_is_stored_where_the_route_keeps_its_content(void **state)
{
    struct route_cache_settings queries = plain;

    (void)state;
    queries.query_body_bytes = 1;
    assert_int_equal(judge(&queries, "QUERY", "", false, 200, FRESH), STORABLE_YES);
    assert_int_equal(judge(&queries, "QUERY", "", true, 200, FRESH), STORABLE_NO_REQUEST_CONTENT);
    assert_int_equal(judge(&queries, "SEARCH", "", false, 200, FRESH), STORABLE_NO_METHOD);
}

static void the_route_decides_about_caching_at_all_and_cookies(void **state)
{
    (void)state;
    assert_int_equal(judge(&off, "GET", "", false, 200, FRESH), STORABLE_NO_ROUTE);
    assert_int_equal(judge(&cookies, "GET", "", false, 200, FRESH "\nSet-Cookie: a=b"),
                     STORABLE_YES);
}

static void a_request_with_no_store_is_not_stored_even_if_directives_do_not_count(void **state)
{
    (void)state;
    assert_int_equal(judge(&plain, "GET", "Cache-Control: no-store", false, 200, FRESH),
                     STORABLE_NO_REQUEST_NO_STORE);
    assert_int_equal(judge(&plain, "GET", "Cache-Control: no-cache", false, 200, FRESH),
                     STORABLE_YES);
}

static void head_and_get_may_be_looked_up(void **state)
{
    struct policy_head p;

    (void)state;
    assert_int_equal(storable_request(policy_request(&p, "GET", ""), false, &plain), STORABLE_YES);
    assert_int_equal(storable_request(policy_request(&p, "HEAD", ""), false, &plain), STORABLE_YES);
    assert_int_equal(storable_request(policy_request(&p, "POST", ""), false, &plain),
                     STORABLE_NO_METHOD);
    assert_int_equal(storable_request(policy_request(&p, "GET", ""), true, &plain),
                     STORABLE_NO_REQUEST_CONTENT);
    assert_int_equal(storable_request(policy_request(&p, "GET", ""), false, &off),
                     STORABLE_NO_ROUTE);
}

static void only_the_response_s_own_faults_mark_the_key(void **state)
{
    (void)state;
    for (enum storable_verdict v = STORABLE_YES; v < STORABLE_VERDICTS; v++)
        assert_non_null(storable_text(v));
    assert_string_equal(storable_text(STORABLE_NO_SET_COOKIE), "set-cookie");
    assert_false(storable_marks_key(STORABLE_YES));
    assert_false(storable_marks_key(STORABLE_NO_AUTHORIZATION));
    assert_false(storable_marks_key(STORABLE_NO_REQUEST_NO_STORE));
    assert_true(storable_marks_key(STORABLE_NO_STORE));
    assert_true(storable_marks_key(STORABLE_NO_FRESHNESS));
    /* both at fault: the response's counts */
    assert_int_equal(judge(&plain, "GET", "Cache-Control: no-store", false, 200, ""),
                     STORABLE_NO_FRESHNESS);
}

static void a_part_that_was_asked_for_is_stored_as_what_it_is(void **state)
{
    struct policy_head req, res;
    struct freshness_facts f;
    struct storable_question q = {&req.head,    &req.cc, false,  &res.head,
                                  &res.control, &f,      &plain, true};

    (void)state;
    policy_request(&req, "GET", "");
    policy_response(&res, 206, FRESH);
    freshness_facts_from(&f, &res.head, policy_control(&res, &plain), false, AT, AT);
    assert_int_equal(storable_response(&q), STORABLE_YES);
    q.part = false;
    assert_int_equal(storable_response(&q), STORABLE_NO_RANGE);
    q.part = true;
    res.head.status = 416;
    assert_int_equal(storable_response(&q), STORABLE_NO_RANGE);
}

static void a_route_stores_what_it_does_not_heed(void **state)
{
    static const struct route_cache_settings despite = {.enabled = true,
                                                        .despite = {.store = DESPITE_AUTHORIZATION |
                                                                             DESPITE_VARY_STAR}};
    static const struct route_cache_settings stale = {.enabled = true,
                                                      .stale_if_error_s = 60,
                                                      .despite = {.stale = DESPITE_NO_CACHE}};

    (void)state;
    assert_int_equal(judge(&despite, "GET", "Authorization: x", false, 200, FRESH), STORABLE_YES);
    assert_int_equal(judge(&despite, "GET", "", false, 200, FRESH "\nVary: *, A"), STORABLE_YES);
    /* a Vary with too many fields is no star that could be disregarded */
    assert_int_equal(judge(&despite, "GET", "", false, 200,
                           FRESH "\nVary: a, b, c, d, e, f, g, h, i, j, k, l, m, *"),
                     STORABLE_NO_VARY_STAR);
    assert_int_equal(judge(&despite, "GET", "", false, 200, FRESH ", no-store"), STORABLE_NO_STORE);
    assert_int_equal(judge(&stale, "GET", "", false, 200, FRESH ", no-cache"), STORABLE_YES);
    assert_int_equal(judge(&stale_ok, "GET", "", false, 200, FRESH ", no-cache"),
                     STORABLE_NO_NO_CACHE);
}

static void cookies_that_are_left_out_keep_nothing_out(void **state)
{
    static const struct route_cache_settings strips = {.enabled = true,
                                                       .set_cookie = SET_COOKIE_STRIP};

    (void)state;
    assert_int_equal(judge(&strips, "GET", "", false, 200, FRESH "\nSet-Cookie: a=b"),
                     STORABLE_YES);
    assert_int_equal(of(200, FRESH ", private=\"set-cookie\"\nSet-Cookie: a=b"), STORABLE_YES);
    assert_int_equal(of(200, FRESH ", private=\"x\"\nSet-Cookie: a=b"), STORABLE_NO_SET_COOKIE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_that_was_asked_for_is_stored_as_what_it_is),
        cmocka_unit_test(explicit_freshness_is_needed),
        cmocka_unit_test(a_guess_is_enough_where_the_route_guesses),
        cmocka_unit_test(directives_that_forbid_are_obeyed),
        cmocka_unit_test(what_is_always_stale_is_stored_if_it_can_be_validated),
        cmocka_unit_test(a_stale_window_makes_it_worth_storing),
        cmocka_unit_test(any_final_status_with_freshness_is_stored_but_for_a_few),
        cmocka_unit_test(must_understand_beats_no_store_for_statuses_we_understand),
        cmocka_unit_test(authorization_needs_permission_to_share),
        cmocka_unit_test(only_a_get_without_content_is_stored),
        cmocka_unit_test(a_query_is_stored_where_the_route_keeps_its_content),
        cmocka_unit_test(the_route_decides_about_caching_at_all_and_cookies),
        cmocka_unit_test(a_request_with_no_store_is_not_stored_even_if_directives_do_not_count),
        cmocka_unit_test(head_and_get_may_be_looked_up),
        cmocka_unit_test(only_the_response_s_own_faults_mark_the_key),
        cmocka_unit_test(a_route_stores_what_it_does_not_heed),
        cmocka_unit_test(cookies_that_are_left_out_keep_nothing_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
