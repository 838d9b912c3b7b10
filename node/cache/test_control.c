#include "control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy_heads.h"

static const char *targets[] = {"Weir-Cache-Control", "CDN-Cache-Control"};
static const struct cache_settings node = {.targets = targets,
                                           .target_count = 2,
                                           .targets_forward = true,
                                           .surrogate_control = true};
static const struct route_cache_settings plain = {.enabled = true};

static struct policy_head head;
static struct weir_arena arena;

static const struct control *on(const struct route_cache_settings *route, const char *lines)
{
    const struct control_rules rules = {&node, route, WEIR_SPAN_LIT("weir")};

    policy_response(&head, 200, lines);
    weir_arena_reset(&arena);
    control_of(&head.control, &head.head, &rules, &arena);
    return &head.control;
}

static const struct control *of(const char *lines)
{
    return on(&plain, lines);
}

/* ---- RFC 9213 ---- */

/* RFC 9213 2.2: "MUST select the first (in target list order) field with a valid, non-empty value"
 */
static void the_first_valid_field_of_the_target_list_counts(void **state)
{
    (void)state;
    assert_int_equal(of("CDN-Cache-Control: max-age=5\nWeir-Cache-Control: max-age=7")->cc.max_age,
                     7);
    assert_int_equal(of("CDN-Cache-Control: max-age=5")->cc.max_age, 5);
    assert_int_equal(of("CDN-Cache-Control: max-age=5\nWeir-Cache-Control:")->cc.max_age, 5);
    assert_int_equal(of("CDN-Cache-Control: max-age=5\nWeir-Cache-Control: max-age=\"")->cc.max_age,
                     5);
    assert_int_equal(head.control.source, CONTROL_TARGETED);
}

/* RFC 9213 2.2: "MUST ignore the Cache-Control and Expires header fields in that response" */
static void cache_control_and_expires_are_not_looked_at_then(void **state)
{
    const struct control *c = of(
        "Cache-Control: no-store, private, s-maxage=1\nCDN-Cache-Control: max-age=60\nExpires: 0");

    (void)state;
    assert_false(c->cc.no_store || c->cc.private_ || c->never_stale || c->expires_counts);
    assert_int_equal(c->cc.s_maxage, HTTP_CC_ABSENT);
    assert_int_equal(c->cc.max_age, 60);
}

/* RFC 9213 2.2: "unless no valid, non-empty value is available from the listed header fields" */
static void without_a_valid_one_cache_control_counts(void **state)
{
    static const char *const none[] = {
        "X: 1",
        "CDN-Cache-Control:",
        "CDN-Cache-Control: Max-Age=60", /* keys are lower-case */
        "CDN-Cache-Control: max-age=",
        "CDN-Cache-Control: max-age=60,",
        "CDN-Cache-Control: max-age = 60",
        "CDN-Cache-Control: private=\"a",
        "CDN-Cache-Control: max-age=9999999999999999", /* more digits than an integer has */
        "CDN-Cache-Control: no-store\nCDN-Cache-Control:",
        "Other-Cache-Control: no-store", /* not on the list: MUST NOT change our behaviour */
    };

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        char lines[256];
        const struct control *c;

        snprintf(lines, sizeof lines, "%s\nCache-Control: max-age=5, must-revalidate", none[i]);
        c = of(lines);
        assert_int_equal(c->source, CONTROL_CACHE_CONTROL);
        assert_int_equal(c->cc.max_age, 5);
        assert_true(c->cc.must_revalidate && c->expires_counts && c->never_stale);
        assert_false(c->cc.no_store);
    }
}

/* RFC 9213 2.2: the semantics are those of Cache-Control; unknown directives are ignored */
static void directives_mean_what_they_mean_in_cache_control(void **state)
{
    const struct control *c =
        of("CDN-Cache-Control: max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4, "
           "no-store, no-cache, private, public, must-revalidate, proxy-revalidate, "
           "must-understand, immutable, no-transform, unknown=(1 2), other;x=1");

    (void)state;
    assert_int_equal(c->cc.max_age, 1);
    assert_int_equal(c->cc.s_maxage, 2);
    assert_int_equal(c->cc.stale_while_revalidate, 3);
    assert_int_equal(c->cc.stale_if_error, 4);
    assert_true(c->cc.no_store && c->cc.no_cache && c->cc.private_ && c->cc.public_);
    assert_true(c->cc.must_revalidate && c->cc.proxy_revalidate && c->cc.must_understand);
    assert_true(c->cc.immutable && c->cc.no_transform && c->never_stale);
    c = of("CDN-Cache-Control: none\nCache-Control: no-store"); /* RFC 9213 3.1's example */
    assert_int_equal(c->source, CONTROL_TARGETED);
    assert_false(c->cc.no_store);
}

/* RFC 9213 2.1: "Parameters received on cache directives are to be ignored" */
static void parameters_of_directives_are_ignored(void **state)
{
    const struct control *c = of("CDN-Cache-Control: max-age=60;no-store, private;x=\"y\"");

    (void)state;
    assert_int_equal(c->cc.max_age, 60);
    assert_true(c->cc.private_);
    assert_false(c->cc.no_store);
}

/* RFC 9213 2.1: "SHOULD NOT consume values that violate these inferred constraints" */
static void values_of_the_wrong_type_grant_nothing(void **state)
{
    static const char *const wrong[] = {"60.0", "\"60\"", "abc", "?1", ":NjA=:", "(60)", "@60"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char lines[128];

        snprintf(lines, sizeof lines, "CDN-Cache-Control: max-age=%s", wrong[i]);
        assert_int_equal(of(lines)->cc.max_age, HTTP_CC_ABSENT);
        assert_int_equal(head.control.source, CONTROL_TARGETED);
    }
    assert_int_equal(of("CDN-Cache-Control: max-age")->cc.max_age, HTTP_CC_ABSENT);
    assert_int_equal(of("CDN-Cache-Control: max-age=-5")->cc.max_age, 0);
    assert_int_equal(of("CDN-Cache-Control: max-age=999999999999999")->cc.max_age, HTTP_CC_MAX);
    assert_false(of("CDN-Cache-Control: public=1, immutable=\"x\"")->cc.public_);
    assert_false(head.control.cc.immutable);
    /* but one that forbids does so however it is written, unless it says no itself */
    assert_true(of("CDN-Cache-Control: no-store=1")->cc.no_store);
    assert_false(of("CDN-Cache-Control: no-store=?0, max-age=5")->cc.no_store);
}

/* RFC 9651 3.2: a key that comes again takes the place of the earlier */
static void the_last_of_a_directive_counts_in_a_targeted_field(void **state)
{
    (void)state;
    assert_int_equal(of("CDN-Cache-Control: max-age=5, max-age=60")->cc.max_age, 60);
    assert_int_equal(of("CDN-Cache-Control: max-age=5\nCDN-Cache-Control: max-age=60")->cc.max_age,
                     60);
    assert_int_equal(of("CDN-Cache-Control: max-age=5, max-age=x")->cc.max_age, HTTP_CC_ABSENT);
}

/* ---- Surrogate-Control ---- */

static void surrogate_control_counts_before_all_others(void **state)
{
    const struct control *c = of("Surrogate-Control: max-age=60+30\nCDN-Cache-Control: max-age=5\n"
                                 "Cache-Control: no-store");

    (void)state;
    assert_int_equal(c->source, CONTROL_SURROGATE);
    assert_int_equal(c->cc.max_age, 60);
    assert_int_equal(c->cc.stale_while_revalidate, 30);
    assert_int_equal(c->cc.stale_if_error, 30);
    assert_false(c->cc.no_store || c->expires_counts);
    assert_int_equal(of("Surrogate-Control: max-age=7")->cc.stale_if_error, HTTP_CC_ABSENT);
    assert_true(of("Surrogate-Control: no-store")->cc.no_store);
    assert_true(of("Surrogate-Control: max-age=5, no-store-remote")->cc.no_store);
}

static void surrogate_control_with_nothing_but_content_leaves_it_to_the_others(void **state)
{
    const struct control *c =
        of("Surrogate-Control: content=\"ESI/1.0\"\nCache-Control: max-age=5");

    (void)state;
    assert_int_equal(c->source, CONTROL_CACHE_CONTROL);
    assert_int_equal(c->cc.max_age, 5);
    assert_int_equal(c->esi.len, 7);
    assert_memory_equal(c->esi.ptr, "ESI/1.0", 7);
}

static void a_surrogate_lifetime_that_is_none_is_stale(void **state)
{
    static const char *const bad[] = {"max-age",    "max-age=",   "max-age=x", "max-age=1+x",
                                      "max-age=+1", "max-age=1+", "max-age=-1"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char lines[64];

        snprintf(lines, sizeof lines, "Surrogate-Control: %s", bad[i]);
        assert_int_equal(of(lines)->cc.max_age, 0);
        assert_int_equal(head.control.source, CONTROL_SURROGATE);
    }
}

static void what_is_said_to_another_surrogate_is_not_for_us(void **state)
{
    (void)state;
    assert_int_equal(of("Surrogate-Control: max-age=5, max-age=7;weir")->cc.max_age, 7);
    assert_int_equal(of("Surrogate-Control: max-age=7;weir, max-age=5")->cc.max_age, 7);
    assert_int_equal(of("Surrogate-Control: max-age=5, no-store;other")->cc.max_age, 5);
    assert_false(head.control.cc.no_store);
    assert_int_equal(of("Surrogate-Control: no-store;other\nCache-Control: max-age=9")->cc.max_age,
                     9);
}

static void surrogate_control_is_any_field_where_it_is_not_obeyed(void **state)
{
    const struct cache_settings deaf = {.targets_forward = true};
    const struct control_rules rules = {&deaf, &plain, WEIR_SPAN_LIT("weir")};

    (void)state;
    policy_response(&head, 200, "Surrogate-Control: no-store\nCDN-Cache-Control: no-store");
    control_of(&head.control, &head.head, &rules, &arena);
    assert_int_equal(head.control.source, CONTROL_CACHE_CONTROL);
    assert_false(head.control.cc.no_store);
}

/* ---- qualified forms ---- */

static bool withholds(const char *name)
{
    const struct http_field *f = http_head_find(&head.head, weir_span_str(name));

    assert_non_null(f);
    return control_withholds(&head.control, f);
}

/* RFC 9111 5.2.2.4, 5.2.2.7: the qualified forms are about the listed fields alone */
static void qualified_forms_withhold_the_fields_they_name(void **state)
{
    static const char *const same[] = {
        "Cache-Control: max-age=60, private=\"X-User, x-cart\"\nX-User: 1\nX-Cart: 2\nX-All: 3",
        "Cache-Control: max-age=60, no-cache=\"x-user\", private=\"x-cart\"\nX-User: 1\nX-Cart: 2\n"
        "X-All: 3",
        "Cache-Control: max-age=60, no-cache=x-user\nCache-Control: private=x-cart\nX-User: 1\n"
        "X-Cart: 2\nX-All: 3",
        "CDN-Cache-Control: max-age=60, private=\"x-user,x-cart\"\nX-User: 1\nX-Cart: 2\nX-All: 3",
    };

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        const struct control *c = of(same[i]);

        assert_false(c->cc.private_ || c->cc.no_cache || c->never_stale);
        assert_true(c->withholds);
        assert_true(withholds("X-User") && withholds("X-Cart"));
        assert_false(withholds("X-All"));
    }
    assert_false(of("Cache-Control: max-age=60\nX-User: 1")->withholds);
    assert_false(withholds("X-User"));
}

static void names_of_no_use_make_it_the_whole_response(void **state)
{
    static const char *const whole[] = {
        "private=\"\"",
        "private=\" , \"",
        "private=\"a b\"",
        "private=\"a:\"",
        "private=\"a\\\\b\"",
        "private=\"a",
        "private, private=\"a\"",
        "private=\"a\", private",
        "private=\"a\", private=\"b\"",
        "private=\"Content-Encoding\"",
        "private=\"a, Vary\"",
        "private=",
    };

    (void)state;
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        char lines[128];

        snprintf(lines, sizeof lines, "Cache-Control: max-age=60, %s", whole[i]);
        if (!of(lines)->cc.private_ || head.control.withholds)
            fail_msg("%s", lines);
    }
    assert_true(
        of("CDN-Cache-Control: private=set-cookie")->cc.private_); /* a token is no string */
    assert_true(of("CDN-Cache-Control: no-cache=\"\"")->cc.no_cache);
    assert_true(of("CDN-Cache-Control: no-cache=(\"a\")")->cc.no_cache);
}

/* ---- what the route has to say ---- */

static void a_route_that_strips_withholds_cookies(void **state)
{
    static const struct route_cache_settings strips = {.enabled = true,
                                                       .set_cookie = SET_COOKIE_STRIP};

    (void)state;
    assert_true(on(&strips, "Cache-Control: max-age=60\nSet-Cookie: a=b\nX-All: 1")->withholds);
    assert_true(withholds("Set-Cookie"));
    assert_false(withholds("X-All"));
    assert_false(on(&strips, "Cache-Control: max-age=60")->withholds);
    assert_false(of("Cache-Control: max-age=60\nSet-Cookie: a=b")->withholds);
}

static void a_route_stores_despite_what_it_names_alone(void **state)
{
    static const struct route_cache_settings despite = {.enabled = true,
                                                        .despite = {.store = DESPITE_NO_STORE |
                                                                             DESPITE_PRIVATE |
                                                                             DESPITE_NO_CACHE}};
    static const struct route_cache_settings one = {.enabled = true,
                                                    .despite = {.store = DESPITE_PRIVATE}};
    const char *all = "Cache-Control: no-store, private, no-cache=\"a\", must-revalidate\nA: 1";
    const struct control *c = on(&despite, all);

    (void)state;
    assert_false(c->cc.no_store || c->cc.private_ || c->cc.no_cache || c->withholds);
    assert_true(c->cc.must_revalidate && c->never_stale);
    c = on(&one, all);
    assert_true(c->cc.no_store && c->withholds);
    assert_false(c->cc.private_);
}

/* RFC 9111 4.2.4: what prohibits stale responses; routes[].cache.despite.stale */
static void staleness_is_forbidden_by_four_directives_unless_the_route_knows_better(void **state)
{
    static const struct {
        const char *directive;
        uint32_t despite;
    } rows[] = {
        {"must-revalidate", DESPITE_MUST_REVALIDATE},
        {"proxy-revalidate", DESPITE_PROXY_REVALIDATE},
        {"s-maxage=60", DESPITE_S_MAXAGE},
        {"no-cache", DESPITE_NO_CACHE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct route_cache_settings route = {.enabled = true};
        char lines[64];

        snprintf(lines, sizeof lines, "Cache-Control: max-age=60, %s", rows[i].directive);
        assert_true(of(lines)->never_stale);
        route.despite.stale = rows[i].despite;
        assert_false(on(&route, lines)->never_stale);
        route.despite.stale = rows[(i + 1) % 4].despite;
        assert_true(on(&route, lines)->never_stale);
    }
    assert_false(of("Cache-Control: max-age=60, public")->never_stale);
}

static void fields_for_caches_are_hidden_where_the_settings_want_it(void **state)
{
    struct cache_settings n = node;

    (void)state;
    policy_response(&head, 200, "CDN-Cache-Control: a\nSurrogate-Control: b\nCache-Control: c");
    assert_false(control_hides(&n, &head.fields[0]));
    assert_true(control_hides(&n, &head.fields[1]));
    n.surrogate_control = false;
    assert_false(control_hides(&n, &head.fields[1]));
    n.targets_forward = false;
    assert_true(control_hides(&n, &head.fields[0]));
    assert_false(control_hides(&n, &head.fields[2]));
}

static void without_memory_it_reads_as_no_store(void **state)
{
    const struct control_rules rules = {&node, &plain, WEIR_SPAN_LIT("weir")};
    struct weir_arena none;

    (void)state;
    weir_arena_init(&none, 1);
    policy_response(&head, 200, "CDN-Cache-Control: max-age=5\nCDN-Cache-Control: public");
    control_of(&head.control, &head.head, &rules, &none);
    assert_true(head.control.cc.no_store);
    weir_arena_free(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_valid_field_of_the_target_list_counts),
        cmocka_unit_test(cache_control_and_expires_are_not_looked_at_then),
        cmocka_unit_test(without_a_valid_one_cache_control_counts),
        cmocka_unit_test(directives_mean_what_they_mean_in_cache_control),
        cmocka_unit_test(parameters_of_directives_are_ignored),
        cmocka_unit_test(values_of_the_wrong_type_grant_nothing),
        cmocka_unit_test(the_last_of_a_directive_counts_in_a_targeted_field),
        cmocka_unit_test(surrogate_control_counts_before_all_others),
        cmocka_unit_test(surrogate_control_with_nothing_but_content_leaves_it_to_the_others),
        cmocka_unit_test(a_surrogate_lifetime_that_is_none_is_stale),
        cmocka_unit_test(what_is_said_to_another_surrogate_is_not_for_us),
        cmocka_unit_test(surrogate_control_is_any_field_where_it_is_not_obeyed),
        cmocka_unit_test(qualified_forms_withhold_the_fields_they_name),
        cmocka_unit_test(names_of_no_use_make_it_the_whole_response),
        cmocka_unit_test(a_route_that_strips_withholds_cookies),
        cmocka_unit_test(a_route_stores_despite_what_it_names_alone),
        cmocka_unit_test(staleness_is_forbidden_by_four_directives_unless_the_route_knows_better),
        cmocka_unit_test(fields_for_caches_are_hidden_where_the_settings_want_it),
        cmocka_unit_test(without_memory_it_reads_as_no_store),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    weir_arena_free(&arena);
    return failed;
}
