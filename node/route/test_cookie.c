#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cookie.h"
#include "http_head.h"

struct sample {
    const char *text, *name, *value; /* value NULL: not found */
};

static void check(const struct sample *s, bool found, struct weir_span value)
{
    if (found != (s->value != NULL) || (found && !weir_span_eq(value, weir_span_str(s->value))))
        fail_msg("'%s' in '%s' gave %s '%.*s'", s->name, s->text, found ? "found" : "nothing",
                 found ? (int)value.len : 0, value.ptr);
}

static void a_cookie_is_found_by_its_exact_name(void **state)
{
    static const struct sample samples[] = {
        {"a=1; b=2", "a", "1"},
        {"a=1; b=2", "b", "2"},
        {"a=1; b=2", "c", NULL},
        {"ab=1", "a", NULL},
        {"a=1", "ab", NULL},
        {"a=1", "A", NULL},
        {"xa=1; a=2", "a", "2"},
        {"a=1; a=2", "a", "1"},
        {"a=", "a", ""},
        {"a=b=c", "a", "b=c"},
        {"a=\"q\"", "a", "\"q\""},
        {"a", "a", NULL},
        {"a; b=1", "b", "1"},
        {"=x", "", NULL},
        {"=x; a=1", "a", "1"},
        {"a=1;b=2;c=3", "c", "3"},
        {";;; a=1 ;", "a", "1"},
        {"  a = 1", "a", "1"},
        {"b=\"x; a=evil\"", "a", "evil\""}, /* quotes protect nothing (RFC 6265 5.2) */
        {"", "a", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct weir_span value = WEIR_SPAN_NONE;
        bool found =
            cookie_find_in(weir_span_str(samples[i].text), weir_span_str(samples[i].name), &value);

        check(&samples[i], found, value);
    }
}

static void cookies_are_sought_in_every_line_in_order(void **state)
{
    struct http_field fields[8];
    struct http_head head;
    struct weir_span value;

    (void)state;
    http_head_init(&head, fields, 8);
    assert_false(cookie_find(&head, WEIR_SPAN_LIT("a"), &value));
    assert_true(http_head_add(&head, NULL, WEIR_SPAN_LIT("cookie"), WEIR_SPAN_LIT("b=2")));
    assert_true(http_head_add(&head, NULL, WEIR_SPAN_LIT("X"), WEIR_SPAN_LIT("a=0")));
    assert_true(http_head_add(&head, NULL, WEIR_SPAN_LIT("Cookie"), WEIR_SPAN_LIT("a=1; b=3")));
    assert_true(cookie_find(&head, WEIR_SPAN_LIT("a"), &value));
    assert_true(weir_span_eq(value, WEIR_SPAN_LIT("1")));
    assert_true(cookie_find(&head, WEIR_SPAN_LIT("b"), &value));
    assert_true(weir_span_eq(value, WEIR_SPAN_LIT("2")));
}

static void a_query_parameter_is_found_as_it_was_sent(void **state)
{
    static const struct sample samples[] = {
        {"a=1&b=2", "a", "1"}, {"a=1&b=2", "b", "2"}, {"a=1&a=2", "a", "1"},  {"a", "a", ""},
        {"b&a", "a", ""},      {"a=", "a", ""},       {"a=x=y", "a", "x=y"},  {"a=%62", "a", "%62"},
        {"%61=1", "a", NULL},  {"ab=1", "a", NULL},   {"&&a=1&", "a", "1"},   {"", "a", NULL},
        {"=1", "", NULL},      {"A=1", "a", NULL},    {"a=1;b=2", "b", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct weir_span value = WEIR_SPAN_NONE;
        bool found =
            query_find(weir_span_str(samples[i].text), weir_span_str(samples[i].name), &value);

        check(&samples[i], found, value);
    }
    assert_false(query_find(WEIR_SPAN_NONE, WEIR_SPAN_LIT("a"), &(struct weir_span){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_is_found_by_its_exact_name),
        cmocka_unit_test(cookies_are_sought_in_every_line_in_order),
        cmocka_unit_test(a_query_parameter_is_found_as_it_was_sent),
    };

    return cmocka_run_group_tests_name("cookie", tests, NULL, NULL);
}
