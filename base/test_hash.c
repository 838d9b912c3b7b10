#include "weir/hash.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static void secrets_differ_and_so_do_hashes(void **state)
{
    struct weir_hash_secret a, b;
    static const char text[600] = "same bytes";
    size_t len;

    (void)state;
    assert_true(weir_hash_secret_draw(&a, NULL));
    assert_true(weir_hash_secret_draw(&b, NULL));
    assert_memory_not_equal(&a, &b, sizeof(a));
    for (len = 0; len < sizeof(text); len++) { /* every branch of XXH3 uses the secret */
        struct weir_hash128 x = weir_hash128(&a, text, len), y = weir_hash128(&b, text, len);

        assert_true(x.lo != y.lo && x.hi != y.hi);
        assert_true(weir_hash64(&a, text, len) != weir_hash64(&b, text, len));
    }
}

static void one_secret_gives_one_hash(void **state)
{
    struct weir_hash_secret s;
    struct weir_hash128 x, y;

    (void)state;
    memset(&s, 7, sizeof(s));
    x = weir_hash128(&s, "key", 3);
    y = weir_hash128(&s, "key", 3);
    assert_true(x.lo == y.lo && x.hi == y.hi);
    y = weir_hash128(&s, "kez", 3);
    assert_true(x.lo != y.lo);
    assert_true(weir_hash64(&s, "key", 3) == weir_hash64(&s, "key", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_differ_and_so_do_hashes),
        cmocka_unit_test(one_secret_gives_one_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
