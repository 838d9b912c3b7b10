#include "suspicion.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HOLD 5000

/* Is it suspect after this has lasted? */
static bool after_all(unsigned others_up, unsigned seen, unsigned down)
{
    struct suspicion s = {0};
    const struct suspicion_sight sight = {others_up, seen, down, HOLD};

    assert_false(suspicion_judge(&s, &sight, 100));
    assert_false(suspicion_judge(&s, &sight, 100 + HOLD - 1));
    suspicion_judge(&s, &sight, 100 + HOLD);
    return s.suspect;
}

static void more_than_a_third_is_suspicious(void **state)
{
    (void)state;
    assert_false(after_all(10, 10, 3));
    assert_true(after_all(10, 10, 4));
    assert_true(after_all(10, 10, 10));
}

static void one_origin_is_no_ground_unless_it_is_the_only_one(void **state)
{
    (void)state;
    assert_false(after_all(3, 3, 1));
    assert_false(after_all(2, 2, 1));
    assert_false(after_all(200, 1, 1));
    assert_true(after_all(1, 1, 1));
    assert_true(after_all(2, 2, 2));
}

static void who_has_nobody_to_compare_with_is_not_suspect(void **state)
{
    (void)state;
    assert_false(after_all(0, 0, 0));
}

static void it_must_last(void **state)
{
    struct suspicion s = {0};
    const struct suspicion_sight bad = {6, 6, 6, HOLD}, fine = {6, 6, 1, HOLD};

    (void)state;
    suspicion_judge(&s, &bad, 0);
    suspicion_judge(&s, &fine, HOLD - 1);
    assert_false(suspicion_judge(&s, &bad, HOLD));
    assert_false(suspicion_judge(&s, &bad, 2 * HOLD - 1));
    assert_true(suspicion_judge(&s, &bad, 2 * HOLD));
}

static void it_ends_when_little_is_left(void **state)
{
    struct suspicion s = {0};
    struct suspicion_sight sight = {10, 10, 10, 0};

    (void)state;
    assert_true(suspicion_judge(&s, &sight, 0));
    sight.down = 2;
    assert_false(suspicion_judge(&s, &sight, 1)); /* below what began it, not below what ends it */
    assert_true(s.suspect);
    sight.down = 1;
    assert_true(suspicion_judge(&s, &sight, 2));
    assert_false(s.suspect);
}

static void it_ends_when_nobody_else_is_left(void **state)
{
    struct suspicion s = {0};
    const struct suspicion_sight bad = {6, 6, 6, 0}, alone = {0, 0, 0, 0};

    (void)state;
    assert_true(suspicion_judge(&s, &bad, 0));
    assert_true(suspicion_judge(&s, &alone, 1));
    assert_false(s.suspect);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_a_third_is_suspicious),
        cmocka_unit_test(one_origin_is_no_ground_unless_it_is_the_only_one),
        cmocka_unit_test(who_has_nobody_to_compare_with_is_not_suspect),
        cmocka_unit_test(it_must_last),
        cmocka_unit_test(it_ends_when_little_is_left),
        cmocka_unit_test(it_ends_when_nobody_else_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
