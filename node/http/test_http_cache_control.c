#include "test_http.h"

#include "http_cache_control.h"
#include "http_list.h"

static struct http_cache_control cc;

static void read_value(const char *text)
{
    char *copy = exact_copy(text, strlen(text));

    http_cache_control_parse_value(weir_span(copy, strlen(text)), &cc);
    cc.private_fields.ptr = cc.no_cache_fields.ptr = NULL; /* they point into the copy */
    free(copy);
}

static void nothing_said_is_nothing_known(void **state)
{
    struct http_field fields[1];
    struct http_head h;

    (void)state;
    http_head_init(&h, fields, 1);
    http_cache_control_parse(&h, HTTP_F_CACHE_CONTROL, &cc);
    assert_false(cc.any);
    assert_false(cc.no_store || cc.no_cache || cc.private_ || cc.public_ || cc.conflict);
    assert_int_equal(cc.max_age, HTTP_CC_ABSENT);
    assert_int_equal(cc.s_maxage, HTTP_CC_ABSENT);
    assert_int_equal(cc.stale_if_error, HTTP_CC_ABSENT);
}

static void directives_are_read_without_regard_to_case(void **state)
{
    (void)state;
    read_value("NO-STORE, no-cache,Private , PUBLIC, Must-Revalidate, proxy-revalidate,"
               "must-understand, no-transform, immutable, only-if-cached");
    assert_true(cc.any && cc.no_store && cc.no_cache && cc.private_ && cc.public_);
    assert_true(cc.must_revalidate && cc.proxy_revalidate && cc.must_understand);
    assert_true(cc.no_transform && cc.immutable && cc.only_if_cached);
    read_value("Max-Age=1, S-MAXAGE=2, min-fresh=3, max-stale=4, stale-while-revalidate=5, "
               "stale-if-error=6");
    assert_int_equal(cc.max_age, 1);
    assert_int_equal(cc.s_maxage, 2);
    assert_int_equal(cc.min_fresh, 3);
    assert_int_equal(cc.max_stale, 4);
    assert_int_equal(cc.stale_while_revalidate, 5);
    assert_int_equal(cc.stale_if_error, 6);
    assert_false(cc.conflict || cc.max_stale_any || cc.no_store);
}

static void all_lines_count(void **state)
{
    struct http_field fields[3];
    struct http_head h;

    (void)state;
    http_head_init(&h, fields, 3);
    http_head_add(&h, NULL, LIT("Cache-Control"), LIT("max-age=60"));
    http_head_add(&h, NULL, LIT("X"), LIT("no-store"));
    http_head_add(&h, NULL, LIT("cache-control"), LIT("private=\"set-cookie, x\""));
    http_cache_control_parse(&h, HTTP_F_CACHE_CONTROL, &cc);
    assert_int_equal(cc.max_age, 60);
    assert_true(cc.private_);
    assert_false(cc.no_store);
    expect_span(cc.private_fields, "set-cookie, x");
}

static void a_number_may_be_quoted(void **state)
{
    (void)state;
    read_value("max-age=\"60\", s-maxage=\"007\"");
    assert_int_equal(cc.max_age, 60);
    assert_int_equal(cc.s_maxage, 7);
}

static void invalid_numbers_are_stale(void **state)
{
    static const char *const invalid[] = {
        "max-age=\"60", "max-age=\"\"", "max-age=\"6\\0\"", "max-age=\" 60\"", "max-age= 60",
        "max-age =60",  "max-age=-1",   "max-age=+1",       "max-age=1.5",     "max-age=",
        "max-age",      "max-age=6 0",  "max-age=60s",      "max-age='60'",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        read_value(invalid[i]);
        if (cc.max_age != 0)
            fail_msg("%s gave %lld", invalid[i], (long long)cc.max_age);
    }
    read_value("min-fresh=x");
    assert_int_equal(cc.min_fresh, HTTP_CC_MAX);
}

static void large_numbers_saturate(void **state)
{
    (void)state;
    read_value(
        "max-age=2147483648, s-maxage=99999999999999999999999999, stale-if-error=2147483647");
    assert_int_equal(cc.max_age, HTTP_CC_MAX);
    assert_int_equal(cc.s_maxage, HTTP_CC_MAX);
    assert_int_equal(cc.stale_if_error, 2147483647);
    read_value("max-age=00000000000000000000000000000060");
    assert_int_equal(cc.max_age, 60);
}

static void of_two_max_ages_the_smaller_counts(void **state)
{
    (void)state;
    read_value("max-age=60, max-age=30");
    assert_int_equal(cc.max_age, 30);
    assert_true(cc.conflict);
    read_value("max-age=30, max-age=60");
    assert_int_equal(cc.max_age, 30);
    read_value("max-age=30, max-age=30");
    assert_false(cc.conflict);
    read_value("max-age=30, max-age=x");
    assert_int_equal(cc.max_age, 0);
    assert_true(cc.conflict);
}

static void max_stale_without_argument_is_any(void **state)
{
    (void)state;
    read_value("max-stale");
    assert_true(cc.max_stale_any);
    read_value("max-stale=");
    assert_false(cc.max_stale_any);
    assert_int_equal(cc.max_stale, 0);
}

static void unknown_directives_and_their_arguments_are_ignored(void **state)
{
    (void)state;
    read_value("foo, bar=\"no-store, max-age=1\", x-no-store, max-age=5, no-stores, ,,");
    assert_false(cc.no_store);
    assert_int_equal(cc.max_age, 5);
}

static void a_flag_with_an_argument_is_still_the_flag(void **state)
{
    (void)state;
    read_value("no-store=1, no-store=\"x\"");
    assert_true(cc.no_store);
    read_value("no-cache=bad value, private=");
    assert_true(cc.no_cache && cc.private_);
}

static void an_unclosed_quote_may_hide_anything(void **state)
{
    (void)state;
    read_value("max-age=60, foo=\"bar, no-store");
    assert_true(cc.no_cache);
    read_value("private=\"a");
    assert_true(cc.private_ && cc.no_cache);
}

static void field_names_are_listed(void **state)
{
    struct http_list l;
    struct weir_span name;

    (void)state;
    http_cache_control_parse_value(LIT("no-cache=\" Set-Cookie , X\", private=Y"), &cc);
    http_list_begin_value(&l, cc.no_cache_fields);
    assert_true(http_list_next(&l, &name));
    expect_span(name, "Set-Cookie");
    assert_true(http_list_next(&l, &name));
    expect_span(name, "X");
    assert_false(http_list_next(&l, &name));
    expect_span(cc.private_fields, "Y");
}

/* RFC 9111 5.2.2.4, 5.2.2.7: said twice, or once without names, it is about the whole */
static void names_do_not_narrow_what_was_said_of_the_whole(void **state)
{
    static const char *const whole[] = {"private, private=\"a\"", "private=\"a\", private",
                                        "private=\"a\", private=\"b\"", "private=", "private=\"a"};

    (void)state;
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        http_cache_control_parse_value(weir_span_str(whole[i]), &cc);
        assert_true(cc.private_);
        assert_null(cc.private_fields.ptr);
    }
    http_cache_control_parse_value(LIT("private=\"a\", no-cache=\"b\""), &cc);
    expect_span(cc.private_fields, "a");
    expect_span(cc.no_cache_fields, "b");
}

/* RFC 9111 5.4 */
static void pragma_counts_for_a_request_without_cache_control(void **state)
{
    struct http_field fields[3];
    struct http_head h;

    (void)state;
    http_head_init(&h, fields, 3);
    http_head_add(&h, NULL, LIT("Pragma"), LIT("x, No-Cache"));
    http_cache_control_request(&h, &cc);
    assert_true(cc.no_cache);
    http_cache_control_parse(&h, HTTP_F_CACHE_CONTROL, &cc);
    assert_false(cc.no_cache); /* in a response it means nothing */
    http_head_add(&h, NULL, LIT("Cache-Control"), LIT("max-stale"));
    http_cache_control_request(&h, &cc);
    assert_false(cc.no_cache);
    assert_true(cc.max_stale_any);
    http_head_reset(&h);
    http_head_add(&h, NULL, LIT("Pragma"), LIT("no-cached"));
    http_cache_control_request(&h, &cc);
    assert_false(cc.no_cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_nothing_known),
        cmocka_unit_test(directives_are_read_without_regard_to_case),
        cmocka_unit_test(all_lines_count),
        cmocka_unit_test(a_number_may_be_quoted),
        cmocka_unit_test(invalid_numbers_are_stale),
        cmocka_unit_test(large_numbers_saturate),
        cmocka_unit_test(of_two_max_ages_the_smaller_counts),
        cmocka_unit_test(max_stale_without_argument_is_any),
        cmocka_unit_test(unknown_directives_and_their_arguments_are_ignored),
        cmocka_unit_test(a_flag_with_an_argument_is_still_the_flag),
        cmocka_unit_test(an_unclosed_quote_may_hide_anything),
        cmocka_unit_test(field_names_are_listed),
        cmocka_unit_test(names_do_not_narrow_what_was_said_of_the_whole),
        cmocka_unit_test(pragma_counts_for_a_request_without_cache_control),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
