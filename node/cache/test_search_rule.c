#include "search_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "weir/alloc.h"
#include "weir/arena.h"
#include "http_head.h"
#include "search_rules.h"

static struct weir_arena arena;

static struct search_rule *rule_of(const char *field)
{
    struct http_field fields[2];
    struct http_head head;

    http_head_init(&head, fields, 2);
    assert_true(http_head_add_id(&head, NULL, HTTP_F_NO_VARY_SEARCH, weir_span_str(field)));
    return search_rule_from(&head, &arena);
}

static void form_is(const char *field, const char *query, const char *expected)
{
    struct search_rule *rule = rule_of(field);
    struct weir_span out;

    assert_non_null(rule);
    assert_true(search_rule_apply(rule, weir_span_str(query), &arena, &out));
    if (out.len != strlen(expected) || memcmp(out.ptr, expected, out.len) != 0)
        fail_msg("\"%s\" under %s is \"%.*s\"", query, field, (int)out.len, out.ptr);
    search_rule_unref(rule);
}

static bool equivalent(const char *field, const char *a, const char *b)
{
    struct search_rule *rule = rule_of(field);
    struct weir_span left, right;
    bool same;

    assert_non_null(rule);
    same = search_rule_apply(rule, weir_span_str(a), &arena, &left) &&
           search_rule_apply(rule, weir_span_str(b), &arena, &right) && weir_span_eq(left, right);
    search_rule_unref(rule);
    return same;
}

/* The table of the draft's 5.2.1. */
static void what_does_not_fit_is_no_rule(void **state)
{
    static const char *const rows[] = {
        "unknown-key",
        "key-order=\"not a boolean\"",
        "params=\"not a boolean or inner list\"",
        "params=(not-a-string)",
        "params=(\"a\"), except=(\"x\")",
        "params=(), except=()",
        "params=?0, except=(\"x\")",
        "params, except=(not-a-string)",
        "params, except=\"not an inner list\"",
        "params, except=?1",
        "except=(\"x\")",
        "except=()",
        "params=?0",
        "params=()",
        "key-order=?0",
        "",
        "params=(\"a\"",
        "params=(\"%ff\")", /* is no UTF-8 */
        "params, params=?0",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rule_of(rows[i]) != NULL)
            fail_msg("is a rule: %s", rows[i]);
}

static void unusual_spellings_say_the_same(void **state)
{
    static const char *const rows[][2] = {
        {"params=?1", "params"},
        {"key-order=?1", "key-order"},
        {"params, key-order, except=(\"x\")", "key-order, params, except=(\"x\")"},
        {"params=(\"a\");q=1, other=2", "params=(\"a\")"},
        {"params=(\"%61\")", "params=(\"a\")"},
        {"params=(\"a\"), params=(\"b\")", "params=(\"b\")"},
        {"params, except=()", "params"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct search_rule *a = rule_of(rows[i][0]), *b = rule_of(rows[i][1]);

        assert_non_null(a);
        assert_non_null(b);
        if (!weir_span_eq(a->text, b->text))
            fail_msg("%s", rows[i][0]);
        search_rule_unref(a);
        search_rule_unref(b);
    }
}

static void different_rules_have_different_texts(void **state)
{
    static const char *const rows[] = {
        "params",
        "key-order",
        "key-order, params",
        "params=(\"a\")",
        "params=(\"b\")",
        "params=(\"a\" \"b\")",
        "params=(\"a b\")",
        "params, except=(\"a\")",
    };
    enum { COUNT = sizeof rows / sizeof rows[0] };
    struct search_rule *rule[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        rule[i] = rule_of(rows[i]);
        assert_non_null(rule[i]);
        for (size_t k = 0; k < i; k++)
            if (weir_span_eq(rule[i]->text, rule[k]->text))
                fail_msg("%s and %s", rows[i], rows[k]);
    }
    for (size_t i = 0; i < COUNT; i++)
        search_rule_unref(rule[i]);
}

static void parameters_that_do_not_matter_leave_the_form(void **state)
{
    (void)state;
    form_is("params=(\"utm_source\")", "a=1&utm_source=x&b", "a=1&b=");
    form_is("params=(\"a\")", "a=1&a=2", "");
    form_is("params", "a=1&b=2", "");
    form_is("params, except=(\"id\")", "x&id=7&id=8&y=1", "id=7&id=8");
    form_is("params, except=(\"id\")", "%69d=7", "id=7");
    form_is("params=(\"a\")", "%61=1&A=1", "A=1");
}

static void order_counts_unless_the_rule_says_otherwise(void **state)
{
    (void)state;
    form_is("key-order", "b=2&a=1&b=1", "a=1&b=2&b=1");
    form_is("params=(\"x\")", "b=2&a=1", "b=2&a=1");
    form_is("key-order, params=(\"x\")", "b&x&a", "a=&b=");
    assert_false(equivalent("key-order", "a=1&a=2", "a=2&a=1"));
}

/* The draft's 6.1. */
static void equivalent_spellings_have_one_form(void **state)
{
    (void)state;
    assert_true(equivalent("key-order", NULL, ""));
    assert_true(equivalent("key-order", "a=x", "%61=%78"));
    assert_true(equivalent("key-order", "a=\xc3\xa9", "a=%C3%A9"));
    assert_true(equivalent("key-order", "a=x&&&&", "a=x"));
    assert_true(equivalent("key-order", "a=", "a"));
    assert_true(equivalent("key-order", "a=%20", "a=+"));
    assert_true(equivalent("params=(\"%C3%A9+%E6%B0%97\")", "\xc3\xa9+%E6%B0%97=1",
                           "%C3%A9%20\xe6\xb0\x97=2"));
    assert_false(equivalent("key-order", "a=%26b=1", "a=&b=1"));
    assert_false(equivalent("key-order", "a=1", "a=1&a=1"));
    assert_false(equivalent("key-order", "a=%", "a=%25%25"));
    assert_true(equivalent("key-order", "a=%", "a=%25"));
    assert_true(equivalent("key-order", "a=%2", "a=%252"));
}

static void what_can_be_read_in_two_ways_has_no_form(void **state)
{
    static const char *const rows[] = {"a=%ff",         "%c3=1",          "a=%c0%80",
                                       "a=%ed%a0%80",   "a=%f4%90%80%80", "a=%e0%80%80",
                                       "x=%f0%8f%bf%bf"};
    struct search_rule *rule = rule_of("params=(\"x\")");
    struct weir_span out;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (search_rule_apply(rule, weir_span_str(rows[i]), &arena, &out))
            fail_msg("%s has a form", rows[i]);
    search_rule_unref(rule);
}

static void limits_end_in_a_miss(void **state)
{
    struct search_rule *rule = rule_of("params=(\"x\")");
    char many[2 * SEARCH_PARAMETERS_MAX + 8], names[5 * SEARCH_RULE_NAMES_MAX + 32];
    struct weir_span out;
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < SEARCH_PARAMETERS_MAX; i++)
        n += (size_t)sprintf(many + n, i > 0 ? "&a" : "a");
    assert_true(search_rule_apply(rule, weir_span(many, n), &arena, &out));
    n += (size_t)sprintf(many + n, "&b");
    assert_false(search_rule_apply(rule, weir_span(many, n), &arena, &out));
    search_rule_unref(rule);
    n = (size_t)sprintf(names, "params=(");
    for (unsigned i = 0; i < SEARCH_RULE_NAMES_MAX; i++)
        n += (size_t)sprintf(names + n, "\"a\" ");
    sprintf(names + n, ")");
    rule = rule_of(names);
    assert_non_null(rule);
    search_rule_unref(rule);
    sprintf(names + n, "\"b\")");
    assert_null(rule_of(names));
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_rule(void **state)
{
    (void)state;
    weir_alloc_fail_at(1);
    assert_null(rule_of("params"));
    weir_alloc_fail_at(0);
}
#endif

/* ---- the table ---- */

static struct cache_key where(unsigned n, char buf[16])
{
    size_t len = (size_t)sprintf(buf, "k%u", n);

    return (struct cache_key){weir_span(buf, len), {n, n * UINT64_C(0x9e3779b97f4a7c15) >> 40}};
}

static void the_newest_rule_of_a_place_is_found(void **state)
{
    struct search_rules *t = search_rules_new(NULL);
    struct search_rule *a = rule_of("params"), *b = rule_of("key-order"), *found;
    struct cache_key one, other;
    char buf[16], buf2[16];

    (void)state;
    one = where(1, buf);
    other = one;
    other.bytes = weir_span(buf2, (size_t)sprintf(buf2, "xx")); /* the hash alone is not enough */
    assert_true(search_rules_empty(t));
    search_rules_learn(t, &one, a);
    assert_false(search_rules_empty(t));
    found = search_rules_find(t, &one);
    assert_ptr_equal(found, a);
    search_rule_unref(found);
    assert_null(search_rules_find(t, &other));
    search_rules_learn(t, &one, b);
    found = search_rules_find(t, &one);
    assert_ptr_equal(found, b);
    search_rule_unref(found);
    search_rule_unref(a);
    search_rule_unref(b);
    search_rules_free(t);
}

static void a_full_table_forgets_what_was_not_used_for_longest(void **state)
{
    struct search_rules *t = search_rules_new(NULL);
    struct search_rule *rule = rule_of("params"), *found;
    struct cache_key key;
    char buf[16];
    unsigned kept = 0;

    (void)state;
    for (unsigned i = 0; i < 20 * SEARCH_RULES_MAX; i++) {
        key = where(i, buf);
        search_rules_learn(t, &key, rule);
        key = where(0, buf); /* in use all the time */
        found = search_rules_find(t, &key);
        assert_non_null(found);
        search_rule_unref(found);
    }
    for (unsigned i = 0; i < 20 * SEARCH_RULES_MAX; i++) {
        key = where(i, buf);
        found = search_rules_find(t, &key);
        kept += found != NULL;
        search_rule_unref(found);
    }
    assert_true(kept <= SEARCH_RULES_MAX);
    assert_true(kept > SEARCH_RULES_MAX / 2);
    search_rule_unref(rule);
    search_rules_free(t);
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
        cmocka_unit_test_teardown(what_does_not_fit_is_no_rule, reset),
        cmocka_unit_test_teardown(unusual_spellings_say_the_same, reset),
        cmocka_unit_test_teardown(different_rules_have_different_texts, reset),
        cmocka_unit_test_teardown(parameters_that_do_not_matter_leave_the_form, reset),
        cmocka_unit_test_teardown(order_counts_unless_the_rule_says_otherwise, reset),
        cmocka_unit_test_teardown(equivalent_spellings_have_one_form, reset),
        cmocka_unit_test_teardown(what_can_be_read_in_two_ways_has_no_form, reset),
        cmocka_unit_test_teardown(limits_end_in_a_miss, reset),
#ifdef WEIR_FAULTS
        cmocka_unit_test_teardown(without_memory_there_is_no_rule, reset),
#endif
        cmocka_unit_test_teardown(the_newest_rule_of_a_place_is_found, reset),
        cmocka_unit_test_teardown(a_full_table_forgets_what_was_not_used_for_longest, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    weir_arena_free(&arena);
    return failed;
}
