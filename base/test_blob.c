#include "weir/blob.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "weir/alloc.h"

static void a_blob_holds_what_was_asked_for(void **state)
{
    size_t cap;

    (void)state;
    for (cap = 0; cap < 300; cap++) {
        struct weir_blob *b = weir_blob_new(cap);

        assert_non_null(b);
        assert_true(b->cap >= cap && b->cap <= cap + 24);
        assert_int_equal(b->len, 0);
        memset(b->bytes, 0xff, b->cap); /* all of cap is ours */
        assert_true(weir_blob_cost(b) >= b->cap + offsetof(struct weir_blob, bytes));
        weir_blob_unref(b);
    }
}

static void too_large_is_no_memory(void **state)
{
    (void)state;
    assert_null(weir_blob_new((size_t)UINT32_MAX));
    assert_null(weir_blob_new(SIZE_MAX));
    weir_blob_unref(NULL);
}

static void a_slice_points_into_its_blob(void **state)
{
    struct weir_blob *b = weir_blob_new(16);

    (void)state;
    memcpy(b->bytes, "0123456789", 10);
    assert_memory_equal(weir_slice_ptr((struct weir_slice){b, 3, 4}), "3456", 4);
    weir_blob_unref(b);
}

static void *churn(void *arg)
{
    struct weir_blob *b = arg;
    int i;

    for (i = 0; i < 20000; i++) {
        weir_blob_ref(b);
        if (b->bytes[0] != 'x')
            return b;
        weir_blob_unref(b);
    }
    weir_blob_unref(b); /* the thread's own; one of us frees */
    return NULL;
}

static void any_thread_may_drop_the_last_reference(void **state)
{
    struct weir_blob *b = weir_blob_new(64);
    pthread_t threads[4];
    void *wrong;
    int i;

    (void)state;
    b->bytes[0] = 'x';
    for (i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, weir_blob_ref(b)), 0);
    weir_blob_unref(b);
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

#ifdef WEIR_FAULTS
static void no_memory_is_null(void **state)
{
    (void)state;
    weir_alloc_fail_at(1);
    assert_null(weir_blob_new(10));
    assert_true(weir_alloc_failed());
    weir_alloc_fail_at(0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blob_holds_what_was_asked_for),
        cmocka_unit_test(too_large_is_no_memory),
        cmocka_unit_test(a_slice_points_into_its_blob),
        cmocka_unit_test(any_thread_may_drop_the_last_reference),
#ifdef WEIR_FAULTS
        cmocka_unit_test(no_memory_is_null),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
