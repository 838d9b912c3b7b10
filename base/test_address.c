#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weir/address.h"

static void check(const char *text, const char *host, const char *port)
{
    struct weir_span h, p;

    assert_true(weir_address_split(weir_span_str(text), &h, &p));
    assert_true(weir_span_eq(h, weir_span_str(host)));
    assert_true(weir_span_eq(p, weir_span_str(port)));
}

static void a_host_may_have_a_port(void **state)
{
    (void)state;
    check("redis-1:6379", "redis-1", "6379");
    check("redis-1", "redis-1", "");
    check("10.0.0.1:1", "10.0.0.1", "1");
}

static void an_ipv6_address_stands_in_brackets(void **state)
{
    (void)state;
    check("[2001:db8::1]:6379", "2001:db8::1", "6379");
    check("[::1]", "::1", "");
}

static void what_is_neither_is_refused(void **state)
{
    static const char *const wrong[] = {"",       ":6379", "host:",     "[]",    "[]:1", "[::1",
                                        "[::1]:", "::1",   "[::1]6379", "a b:1", "a/b",  "u@h:1"};
    struct weir_span h, p;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (weir_address_split(weir_span_str(wrong[i]), &h, &p))
            fail_msg("\"%s\" was split", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_may_have_a_port),
        cmocka_unit_test(an_ipv6_address_stands_in_brackets),
        cmocka_unit_test(what_is_neither_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
