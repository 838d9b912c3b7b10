#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "weir/alloc.h"
#include "pattern.h"

static struct pattern *compiled(const char *text)
{
    struct weir_err err = {0};
    struct pattern *p = pattern_compile(text, &err);

    if (p == NULL)
        fail_msg("%s", err.detail);
    return p;
}

static void captures_point_into_the_subject(void **state)
{
    struct pattern *p = compiled("^/u/(\\d+)(?:/(?<rest>.*))?$");
    struct pattern_scratch *s = pattern_scratch_new(NULL);
    struct pattern_captures c = {0};
    struct weir_span path = WEIR_SPAN_LIT("/u/42/x");

    (void)state;
    assert_int_equal(pattern_groups(p), 2);
    assert_int_equal(pattern_group_number(p, WEIR_SPAN_LIT("rest")), 2);
    assert_int_equal(pattern_group_number(p, WEIR_SPAN_LIT("other")), 0);
    assert_int_equal(pattern_match(p, path, s, &c), PATTERN_MATCH);
    assert_int_equal(c.count, 3);
    assert_ptr_equal(c.at[1].ptr, path.ptr + 3);
    assert_true(weir_span_eq(c.at[2], WEIR_SPAN_LIT("x")));
    assert_int_equal(pattern_match(p, WEIR_SPAN_LIT("/u/42"), s, &c), PATTERN_MATCH);
    assert_int_equal(c.count, 3);
    assert_null(c.at[2].ptr);
    assert_int_equal(pattern_match(p, WEIR_SPAN_LIT("/u/x"), s, &c), PATTERN_NO_MATCH);
    assert_int_equal(pattern_match(p, WEIR_SPAN_NONE, s, NULL), PATTERN_NO_MATCH);
    pattern_scratch_free(s);
    pattern_free(p);
}

static void a_dollar_is_the_very_end_and_bytes_are_bytes(void **state)
{
    struct pattern *end = compiled("^/x$"), *byte = compiled("^/.$");
    struct pattern_scratch *s = pattern_scratch_new(NULL);

    (void)state;
    assert_int_equal(pattern_match(end, WEIR_SPAN_LIT("/x\n"), s, NULL), PATTERN_NO_MATCH);
    assert_int_equal(pattern_match(byte, WEIR_SPAN_LIT("/\xff"), s, NULL), PATTERN_MATCH);
    pattern_scratch_free(s);
    pattern_free(end);
    pattern_free(byte);
}

static void a_catastrophic_pattern_ends_at_the_limit(void **state)
{
    static const char *const evil[] = {"^(a+)+$", "(*NO_JIT)^(a+)+$", "^(?:(a|aa|aaa)+)+$",
                                       "(*LIMIT_MATCH=4000000000)^(a+)+$",
                                       "a{0,2000}a{0,2000}[bc]"};
    struct pattern_scratch *s = pattern_scratch_new(NULL);
    char subject[4097];

    (void)state;
    memset(subject, 'a', 4096);
    subject[4096] = '!';
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        struct pattern *p = compiled(evil[i]);

        assert_int_equal(pattern_match(p, weir_span(subject, sizeof(subject)), s, NULL),
                         PATTERN_LIMIT);
        pattern_free(p);
    }
    pattern_scratch_free(s);
}

static void deep_nesting_falls_back_or_ends_but_never_overflows(void **state)
{
    struct pattern *p = compiled("^(?:(?:x|y)(?:z)?)*$");
    struct pattern_scratch *s = pattern_scratch_new(NULL);
    static char subject[65536];
    enum pattern_result r;

    (void)state;
    memset(subject, 'x', sizeof(subject));
    r = pattern_match(p, weir_span(subject, sizeof(subject)), s, NULL);
    assert_true(r == PATTERN_MATCH || r == PATTERN_LIMIT);
    assert_int_equal(pattern_match(p, weir_span(subject, 100), s, NULL), PATTERN_MATCH);
    pattern_scratch_free(s);
    pattern_free(p);
}

static void what_does_not_compile_says_where(void **state)
{
    static const char *const bad[] = {"(", "[a", "a{2,1}", "(?<n", "\\", "(*UTF)a", "(*UCP)a"};
    struct weir_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = (struct weir_err){0};
        assert_null(pattern_compile(bad[i], &err));
        assert_int_equal(err.code, WEIR_E_CONFIG);
        assert_non_null(strstr(err.detail, "at offset"));
    }
    err = (struct weir_err){0};
    assert_null(pattern_compile("()()()()()()()()()()()()()()()()", &err));
    assert_non_null(strstr(err.detail, "16 capturing groups"));
}

#ifdef WEIR_FAULTS
static void every_failed_allocation_is_reported(void **state)
{
    struct pattern *p = NULL;
    struct pattern_scratch *s = NULL;

    (void)state;
    for (unsigned long n = 1; p == NULL; n++) {
        struct weir_err err = {0};

        weir_alloc_fail_at(n);
        p = pattern_compile("^/(a|b)+$", &err);
        weir_alloc_fail_at(0);
        assert_true(p != NULL || err.code == WEIR_E_MEMORY);
    }
    for (unsigned long n = 1; s == NULL; n++) {
        struct weir_err err = {0};

        weir_alloc_fail_at(n);
        s = pattern_scratch_new(&err);
        weir_alloc_fail_at(0);
        assert_true(s != NULL || err.code == WEIR_E_MEMORY);
    }
    assert_int_equal(pattern_match(p, WEIR_SPAN_LIT("/abab"), s, NULL), PATTERN_MATCH);
    pattern_scratch_free(s);
    pattern_free(p);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captures_point_into_the_subject),
        cmocka_unit_test(a_dollar_is_the_very_end_and_bytes_are_bytes),
        cmocka_unit_test(a_catastrophic_pattern_ends_at_the_limit),
        cmocka_unit_test(deep_nesting_falls_back_or_ends_but_never_overflows),
        cmocka_unit_test(what_does_not_compile_says_where),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_failed_allocation_is_reported),
#endif
    };

    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
