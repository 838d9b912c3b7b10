#include "key_query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "weir/arena.h"
#include "cache_settings.h"

static struct weir_arena arena;

static const char *const tracking[] = {"utm_*", "fbclid"};

static struct cache_key_settings rules(enum cache_key_query query, bool sort)
{
    return (struct cache_key_settings){.query = query,
                                       .parameters = (const char **)(uintptr_t)tracking,
                                       .parameter_count = 2,
                                       .sort = sort};
}

/* expected NULL: no query is left. */
static void becomes(const struct cache_key_settings *r, const char *query, const char *expected)
{
    struct weir_span out;

    assert_true(key_query_apply(r, weir_span_str(query), &arena, &out));
    if (expected == NULL) {
        assert_null(out.ptr);
        return;
    }
    assert_non_null(out.ptr);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.ptr, expected, out.len);
}

static void without_rules_a_query_stays_as_it_is(void **state)
{
    struct cache_key_settings r = rules(KEY_QUERY_ALL, false);
    struct weir_span query = weir_span_str("b&&a=1&"), out;

    (void)state;
    assert_true(key_query_apply(&r, query, &arena, &out));
    assert_ptr_equal(out.ptr, query.ptr);
    assert_int_equal(out.len, query.len);
    becomes(&r, "", "");
    becomes(&r, NULL, NULL);
}

static void what_does_not_count_is_left_out(void **state)
{
    struct cache_key_settings r = rules(KEY_QUERY_EXCEPT, false);

    (void)state;
    becomes(&r, "utm_source=x&a=1&fbclid=2&b", "a=1&b");
    becomes(&r, "a=1", "a=1");
    becomes(&r, "utm_source&utm_", NULL);
    becomes(&r, "fbclidx=1&xfbclid=2&utm=3", "fbclidx=1&xfbclid=2&utm=3");
    becomes(&r, "a=utm_source=1", "a=utm_source=1");
    becomes(&r, NULL, NULL);
}

static void only_what_counts_is_kept(void **state)
{
    struct cache_key_settings r = rules(KEY_QUERY_ONLY, false);

    (void)state;
    becomes(&r, "a=1&utm_x=2&fbclid=3&fbclid=4", "utm_x=2&fbclid=3&fbclid=4");
    becomes(&r, "a=1", NULL);
    becomes(&r, "", NULL);
}

static void none_keeps_nothing(void **state)
{
    struct cache_key_settings r = rules(KEY_QUERY_NONE, false);

    (void)state;
    becomes(&r, "a=1&b", NULL);
    becomes(&r, "", NULL);
}

static void sorting_goes_by_name_and_keeps_the_order_of_equals(void **state)
{
    struct cache_key_settings r = rules(KEY_QUERY_ALL, true);

    (void)state;
    becomes(&r, "b=1&a=2&b=0&a=1&ab", "a=2&a=1&ab&b=1&b=0");
    becomes(&r, "a=2&b", "a=2&b");
    becomes(&r, "a[]=2&a[]=1", "a[]=2&a[]=1");
    becomes(&r, "b&a=&a", "a=&a&b");
}

static void empty_parameters_go_where_a_rule_applies(void **state)
{
    struct cache_key_settings sorted = rules(KEY_QUERY_ALL, true),
                              except = rules(KEY_QUERY_EXCEPT, false);

    (void)state;
    becomes(&sorted, "&a=1&&b=2&", "a=1&b=2");
    becomes(&except, "&a=1&&b=2&", "a=1&b=2");
    becomes(&except, "&&", NULL);
    becomes(&except, "=&=1", "=&=1");
}

static void names_compare_byte_by_byte(void **state)
{
    struct cache_key_settings r = rules(KEY_QUERY_EXCEPT, false);

    (void)state;
    becomes(&r, "%75tm_source=x", "%75tm_source=x");
    becomes(&r, "UTM_source=x", "UTM_source=x");
    becomes(&r, "fbclid;a=1", "fbclid;a=1"); /* ";" is a part of the name */
    becomes(&r, "utm_source=x;a=1", NULL);   /* and goes with its parameter */
}

static void too_many_parameters_are_left_alone(void **state)
{
    struct cache_key_settings r = rules(KEY_QUERY_EXCEPT, true), none = rules(KEY_QUERY_NONE, true);
    char many[2 * KEY_QUERY_PARAMETERS_MAX + 3];
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < KEY_QUERY_PARAMETERS_MAX; i++) {
        many[n++] = 'b';
        many[n++] = '&';
    }
    many[n - 1] = '\0';
    becomes(&r, many, many);
    many[n - 1] = '&';
    many[n++] = 'a';
    many[n] = '\0';
    becomes(&r, many, many);
    becomes(&none, many, NULL);
}

static void without_memory_it_says_so(void **state)
{
    struct cache_key_settings r = rules(KEY_QUERY_EXCEPT, true);
    struct weir_arena none;
    struct weir_span out;

    (void)state;
    weir_arena_init(&none, 1);
    assert_false(key_query_apply(&r, weir_span_str("b&a"), &none, &out));
    weir_arena_free(&none);
}

static int reset(void **state)
{
    (void)state;
    weir_arena_reset(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_rules_a_query_stays_as_it_is, reset),
        cmocka_unit_test_teardown(what_does_not_count_is_left_out, reset),
        cmocka_unit_test_teardown(only_what_counts_is_kept, reset),
        cmocka_unit_test_teardown(none_keeps_nothing, reset),
        cmocka_unit_test_teardown(sorting_goes_by_name_and_keeps_the_order_of_equals, reset),
        cmocka_unit_test_teardown(empty_parameters_go_where_a_rule_applies, reset),
        cmocka_unit_test_teardown(names_compare_byte_by_byte, reset),
        cmocka_unit_test_teardown(too_many_parameters_are_left_alone, reset),
        cmocka_unit_test_teardown(without_memory_it_says_so, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    weir_arena_free(&arena);
    return failed;
}
