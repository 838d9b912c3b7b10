#include "weir/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "weir/alloc.h"

static void allocations_are_aligned_and_apart(void **state)
{
    struct weir_arena a;
    unsigned char *p[200];
    size_t i, k;

    (void)state;
    weir_arena_init(&a, 0);
    for (i = 0; i < 200; i++) {
        p[i] = weir_arena_alloc(&a, i);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)i, i);
    }
    for (i = 0; i < 200; i++) {
        for (k = 0; k < i; k++)
            assert_int_equal(p[i][k], i);
    }
    weir_arena_free(&a);
}

static void nothing_allocated_is_still_unique(void **state)
{
    struct weir_arena a = {0};
    void *one, *two;
    int i;

    (void)state;
    for (i = 0; i < 1000; i++) { /* past the end of a chunk */
        one = weir_arena_alloc(&a, 0);
        two = weir_arena_alloc(&a, 0);
        assert_non_null(one);
        assert_non_null(two);
        assert_ptr_not_equal(one, two);
    }
    weir_arena_free(&a);
}

static void big_ones_get_a_chunk_of_their_own(void **state)
{
    struct weir_arena a = {0};
    char *small, *big, *next;

    (void)state;
    small = weir_arena_alloc(&a, 16);
    big = weir_arena_alloc(&a, 100000);
    next = weir_arena_alloc(&a, 16);
    assert_non_null(big);
    memset(big, 1, 100000);
    if (!WEIR_ARENA_BLOCKS)
        assert_ptr_equal(next, small + 16); /* the chunk in use stays in use */
    weir_arena_free(&a);
    assert_int_equal(a.held_bytes, 0);
}

static void a_big_one_may_come_first(void **state)
{
    struct weir_arena a = {0};

    (void)state;
    assert_non_null(weir_arena_zalloc(&a, 10000));
    assert_non_null(weir_arena_alloc(&a, 1));
    weir_arena_reset(&a);
    assert_non_null(weir_arena_alloc(&a, 1));
    weir_arena_free(&a);
}

static void the_limit_holds(void **state)
{
    struct weir_arena a;
    size_t got = 0;

    (void)state;
    weir_arena_init(&a, 64 * 1024);
    while (got < 1000 && weir_arena_alloc(&a, 1000) != NULL)
        got++;
    assert_in_range(got, 40, 65);
    assert_true(a.held_bytes <= 64 * 1024);
    assert_null(weir_arena_alloc(&a, SIZE_MAX));
    assert_null(weir_arena_alloc(&a, SIZE_MAX - 20));
    weir_arena_reset(&a);
    assert_non_null(weir_arena_alloc(&a, 1000));
    weir_arena_free(&a);
}

static void copies_end_in_a_nul_not_counted(void **state)
{
    struct weir_arena a = {0};
    struct weir_span copy = weir_arena_dup(&a, WEIR_SPAN_LIT("host"));

    (void)state;
    assert_int_equal(copy.len, 4);
    assert_string_equal(copy.ptr, "host");
    copy = weir_arena_dup(&a, WEIR_SPAN_NONE);
    assert_non_null(copy.ptr);
    assert_string_equal(copy.ptr, "");
    assert_string_equal(weir_arena_printf(&a, "%s-%d", "a", 7), "a-7");
    assert_int_equal(strlen(weir_arena_printf(&a, "%06000d", 1)), 6000);
    weir_arena_free(&a);
}

#ifdef WEIR_FAULTS

static bool use_all_calls(struct weir_arena *a)
{
    return weir_arena_alloc(a, 100) != NULL && weir_arena_alloc(a, 8000) != NULL &&
           weir_arena_zalloc(a, 3000) != NULL &&
           weir_arena_dup(a, WEIR_SPAN_LIT("x")).ptr != NULL &&
           weir_arena_printf(a, "%02000d", 1) != NULL;
}

static void each_failed_allocation_is_reported_and_nothing_leaks(void **state)
{
    unsigned long n;
    bool failed = true;

    (void)state;
    for (n = 1; failed; n++) {
        struct weir_arena a = {0};
        bool ok;

        weir_alloc_fail_at(n);
        ok = use_all_calls(&a);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_int_equal(ok, !failed);
        assert_true(use_all_calls(&a)); /* no half state: it goes on working */
        weir_arena_free(&a);
    }
    assert_true(n > 2);
}

static void a_recycled_arena_allocates_nothing(void **state)
{
    struct weir_arena a = {0};
    size_t held;
    int i;

    (void)state;
    if (WEIR_ARENA_BLOCKS)
        skip();
    assert_non_null(weir_arena_alloc(&a, 8000));
    for (i = 0; i < 20; i++)
        assert_non_null(weir_arena_alloc(&a, 1000));
    weir_arena_reset(&a);
    held = a.held_bytes;
    assert_in_range(held, 4000, 4096);
    weir_alloc_fail_at(1);
    assert_non_null(weir_arena_alloc(&a, 4000));
    assert_false(weir_alloc_failed());
    weir_alloc_fail_at(0);
    weir_arena_reset(&a);
    assert_int_equal(a.held_bytes, held);
    weir_arena_free(&a);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_apart),
        cmocka_unit_test(nothing_allocated_is_still_unique),
        cmocka_unit_test(big_ones_get_a_chunk_of_their_own),
        cmocka_unit_test(a_big_one_may_come_first),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(copies_end_in_a_nul_not_counted),
#ifdef WEIR_FAULTS
        cmocka_unit_test(each_failed_allocation_is_reported_and_nothing_leaks),
        cmocka_unit_test(a_recycled_arena_allocates_nothing),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
