#include "weir/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void an_error_carries_its_cause(void **state)
{
    struct weir_err err;
    char text[256];

    (void)state;
    assert_false(weir_failf(&err, WEIR_E_ORIGIN_REFUSED, "origin: connect", ECONNREFUSED, "%s:%d",
                            "10.0.0.1", 80));
    assert_int_equal(err.code, WEIR_E_ORIGIN_REFUSED);
    assert_int_equal(err.os, ECONNREFUSED);
    assert_string_equal(
        weir_err_str(&err, text, sizeof(text)),
        "origin: connect: origin refused the connection: 10.0.0.1:80: Connection refused");
}

static void what_is_absent_leaves_no_gap(void **state)
{
    struct weir_err err;
    char text[256];

    (void)state;
    weir_fail(&err, WEIR_E_MEMORY, NULL, 0);
    assert_string_equal(weir_err_str(&err, text, sizeof(text)), "out of memory");
    weir_fail(&err, WEIR_E_FILE, "log: open", ENOENT);
    assert_string_equal(weir_err_str(&err, text, sizeof(text)),
                        "log: open: file error: No such file or directory");
}

static void a_caller_may_not_care(void **state)
{
    (void)state;
    assert_false(weir_fail(NULL, WEIR_E_MEMORY, "x", 0));
    assert_false(weir_failf(NULL, WEIR_E_MEMORY, "x", 0, "%d", 1));
}

static void long_details_are_cut(void **state)
{
    struct weir_err err;
    char tiny[8];

    (void)state;
    weir_failf(&err, WEIR_E_CONFIG, "x", 0, "%0300d", 0);
    assert_int_equal(strlen(err.detail), WEIR_ERR_DETAIL - 1);
    assert_int_equal(strlen(weir_err_str(&err, tiny, sizeof(tiny))), sizeof(tiny) - 1);
}

static void every_code_has_a_row(void **state)
{
    int code;

    (void)state;
    for (code = WEIR_OK + 1; code < WEIR_CODES; code++) {
        assert_true(strlen(weir_code_name((enum weir_code)code)) > 0);
        assert_true(strlen(weir_code_text((enum weir_code)code)) > 0);
        assert_non_null(weir_code_proxy_status((enum weir_code)code));
        assert_in_range(weir_code_status((enum weir_code)code), 400, 599);
    }
    assert_string_equal(weir_code_name(WEIR_E_ORIGIN_REFUSED), "ORIGIN_REFUSED");
    assert_string_equal(weir_code_proxy_status(WEIR_E_ORIGIN_DNS), "dns_error");
    assert_string_equal(weir_code_name((enum weir_code)9999), "INTERNAL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_carries_its_cause),
        cmocka_unit_test(what_is_absent_leaves_no_gap),
        cmocka_unit_test(a_caller_may_not_care),
        cmocka_unit_test(long_details_are_cut),
        cmocka_unit_test(every_code_has_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
