#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"
#include "ctl_http.h"

static bool parse(const char *text, struct ctl_answer *a)
{
    struct weir_err err = {0};

    return ctl_parse(text, strlen(text), a, &err);
}

static void an_answer_has_its_status_and_its_json(void **state)
{
    struct ctl_answer a;

    (void)state;
    assert_true(parse("HTTP/1.1 200 OK\r\nX: y\r\ncontent-LENGTH: 7\r\n\r\n{\"a\":1}", &a));
    assert_int_equal(a.status, 200);
    assert_int_equal(json_integer_value(json_object_get(a.json, "a")), 1);
    ctl_answer_free(&a);
    assert_true(parse("HTTP/1.1 503 No\r\n\r\nno json", &a));
    assert_int_equal(a.status, 503);
    assert_null(a.json);
    assert_string_equal(a.text, "no json");
    ctl_answer_free(&a);
}

static void what_breaks_off_or_is_no_http_is_an_error(void **state)
{
    static const char *const bad[] = {
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\":1}",
    };
    struct ctl_answer a;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(parse(bad[i], &a));
}

static void values_are_encoded_whole(void **state)
{
    char *text = ctl_encode("http://a/b?c=d&e+f %\xc3\xa9");

    (void)state;
    assert_string_equal(text, "http%3A%2F%2Fa%2Fb%3Fc%3Dd%26e%2Bf%20%25%C3%A9");
    weir_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_its_status_and_its_json),
        cmocka_unit_test(what_breaks_off_or_is_no_http_is_an_error),
        cmocka_unit_test(values_are_encoded_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
