#include "sticky.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "weir/alloc.h"

#include "test_pool.h"

#include "weir/hash.h"

static struct weir_hash_secret secret_of(unsigned char fill)
{
    struct weir_hash_secret s;

    for (size_t i = 0; i < sizeof(s.bytes); i++)
        s.bytes[i] = (unsigned char)(fill + i * 37);
    return s;
}

static void a_value_leads_back_to_its_origin(void **state)
{
    const struct weir_hash_secret secret = secret_of(1);
    struct pool p;
    struct sticky *s;
    char value[STICKY_VALUE_LEN + 1];

    (void)state;
    pool_open(&p, 20, BALANCE_EWMA2);
    s = sticky_new(&secret, p.states, 20, NULL);
    for (int i = 0; i < 20; i++) {
        sticky_value(s, i, value);
        assert_int_equal(strlen(value), STICKY_VALUE_LEN);
        assert_int_equal(sticky_find(s, weir_span_str(value)), i);
    }
    sticky_free(s);
    pool_close(&p);
}

static void a_value_outlives_a_change_of_the_pool(void **state)
{
    const struct weir_hash_secret secret = secret_of(1);
    struct pool p;
    struct sticky *before, *after;
    char value[STICKY_VALUE_LEN + 1];

    (void)state;
    pool_open(&p, 3, BALANCE_EWMA2);
    before = sticky_new(&secret, p.states, 3, NULL);
    after = sticky_new(&secret, p.states + 1, 2, NULL); /* the first one has gone */
    sticky_value(before, 2, value);
    assert_int_equal(sticky_find(after, weir_span_str(value)), 1);
    sticky_value(before, 0, value);
    assert_int_equal(sticky_find(after, weir_span_str(value)), -1);
    sticky_free(before);
    sticky_free(after);
    pool_close(&p);
}

static void a_foreign_value_names_nobody(void **state)
{
    const struct weir_hash_secret ours = secret_of(1), theirs = secret_of(2);
    struct pool p;
    struct sticky *s, *other;
    char value[STICKY_VALUE_LEN + 1];

    (void)state;
    pool_open(&p, 3, BALANCE_EWMA2);
    s = sticky_new(&ours, p.states, 3, NULL);
    other = sticky_new(&theirs, p.states, 3, NULL);
    sticky_value(other, 1, value);
    assert_int_equal(sticky_find(s, weir_span_str(value)), -1);
    sticky_value(s, 1, value);
    assert_int_equal(sticky_find(s, weir_span(value, STICKY_VALUE_LEN - 1)), -1);
    assert_int_equal(sticky_find(s, WEIR_SPAN_NONE), -1);
    assert_int_equal(sticky_find(s, WEIR_SPAN_LIT("0123456789ABCDEF")), -1);
    assert_int_equal(sticky_find(s, WEIR_SPAN_LIT("0123456789abcde ")), -1);
    assert_int_equal(sticky_find(s, WEIR_SPAN_LIT("0123456789abcdef0")), -1);
    sticky_free(s);
    sticky_free(other);
    pool_close(&p);
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_table(void **state)
{
    const struct weir_hash_secret secret = secret_of(1);
    struct pool p;

    (void)state;
    pool_open(&p, 3, BALANCE_EWMA2);
    for (unsigned long n = 1;; n++) {
        struct weir_err err = {0};
        struct sticky *s;

        weir_alloc_fail_at(n);
        s = sticky_new(&secret, p.states, 3, &err);
        if (!weir_alloc_failed()) {
            assert_non_null(s);
            sticky_free(s);
            break;
        }
        assert_null(s);
        assert_int_equal(err.code, WEIR_E_MEMORY);
    }
    weir_alloc_fail_at(0);
    pool_close(&p);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_leads_back_to_its_origin),
        cmocka_unit_test(a_value_outlives_a_change_of_the_pool),
        cmocka_unit_test(a_foreign_value_names_nobody),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_is_no_table),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
