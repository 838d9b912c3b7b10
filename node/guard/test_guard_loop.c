#include "guard_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static bool loops(const char *name, const char *one, const char *two)
{
    struct http_field fields[4];
    struct http_head h;

    http_head_init(&h, fields, 4);
    assert_true(http_head_add(&h, NULL, weir_span_str("Host"), weir_span_str("x")));
    if (one != NULL)
        assert_true(http_head_add(&h, NULL, weir_span_str(name), weir_span_str(one)));
    if (two != NULL)
        assert_true(http_head_add(&h, NULL, weir_span_str(name), weir_span_str(two)));
    return guard_loops(&h, WEIR_SPAN_LIT("weir"));
}

static void a_request_that_names_us_in_via_has_been_here(void **state)
{
    static const char *const yes[] = {"1.1 weir",
                                      "1.1 WEIR",
                                      "HTTP/1.1 weir",
                                      "1.0 fred, 1.1 weir (weir/1)",
                                      "1.1 \t weir",
                                      ",, 1.1 weir , 1.1 other",
                                      "1.1 a (with, a comma), 1.1 weir"};
    static const char *const no[] = {"1.1 weird",
                                     "1.1 weir.example",
                                     "1.1 weir:80",
                                     "weir",
                                     "1.1 other (weir)",
                                     "weir 1.1",
                                     "",
                                     ",",
                                     "1.1",
                                     "1.1 "};

    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!loops("Via", yes[i], NULL))
            fail_msg("Via: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (loops("Via", no[i], NULL))
            fail_msg("Via: %s", no[i]);
    assert_true(loops("via", "1.1 other", "1.1 weir"));
    assert_false(loops("Via", NULL, NULL));
}

static void cdn_loop_counts_as_well(void **state)
{
    (void)state;
    assert_true(loops("CDN-Loop", "weir", NULL));
    assert_true(loops("CDN-Loop", "other, Weir; v=1", NULL));
    assert_true(loops("CDN-Loop", "other", "weir ;hops=2"));
    assert_false(loops("CDN-Loop", "weirs, other; weir", NULL));
    assert_false(loops("CDN-Loop", "", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_names_us_in_via_has_been_here),
        cmocka_unit_test(cdn_loop_counts_as_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
