#include "weir/alloc.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void a_copy_ends_in_a_nul(void **state)
{
    char *copy = weir_strndup("abcdef", 3);

    (void)state;
    assert_string_equal(copy, "abc");
    weir_free(copy);
    copy = weir_strndup(NULL, 0);
    assert_string_equal(copy, "");
    weir_free(copy);
    assert_null(weir_strndup("x", SIZE_MAX));
}

#ifdef WEIR_FAULTS
static void only_the_nth_allocation_fails(void **state)
{
    void *one, *two, *four;

    (void)state;
    weir_alloc_fail_at(3);
    one = weir_malloc(1);
    two = weir_calloc(1, 1);
    assert_non_null(one);
    assert_non_null(two);
    assert_false(weir_alloc_failed());
    assert_null(weir_realloc(one, 100)); /* and one is untouched */
    assert_true(weir_alloc_failed());
    four = weir_malloc(1);
    assert_non_null(four);
    weir_alloc_fail_at(0);
    assert_false(weir_alloc_failed());
    weir_free(one);
    weir_free(two);
    weir_free(four);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_ends_in_a_nul),
#ifdef WEIR_FAULTS
        cmocka_unit_test(only_the_nth_allocation_fails),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
