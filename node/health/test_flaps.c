#include "flaps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_single_fall_is_forgiven(void **state)
{
    struct flaps f = {0};

    (void)state;
    flaps_down(&f, 1000);
    assert_false(flaps_look(&f, 1000));
    assert_true(f.penalty == FLAPS_EACH);
}

static void the_penalty_halves_every_minute(void **state)
{
    struct flaps f = {0};

    (void)state;
    flaps_down(&f, 0);
    flaps_look(&f, 30000); /* looking in between changes nothing */
    flaps_look(&f, 60000);
    assert_in_range((int)(f.penalty * 1000), 499999, 500001);
    flaps_look(&f, 3600000);
    assert_true(f.penalty == 0);
}

static void falling_again_and_again_suppresses_until_it_has_been_quiet(void **state)
{
    struct flaps f = {0};
    int64_t now = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        flaps_down(&f, now += 5000);
    assert_false(f.suppressed);
    flaps_down(&f, now += 5000);
    assert_true(f.suppressed);
    assert_true(flaps_look(&f, now + 60000)); /* below 3000, but not below 750 */
    assert_true(f.penalty < FLAPS_SUPPRESS);
    assert_false(flaps_look(&f, now + 145000));
    assert_false(flaps_look(&f, now + 146000));
}

static void once_a_minute_is_borne(void **state)
{
    struct flaps f = {0};

    (void)state;
    for (int64_t now = 0; now < 100 * 60000; now += 60000) {
        flaps_down(&f, now);
        assert_false(f.suppressed);
    }
}

static void it_is_back_three_minutes_after_the_last_fall_however_many_there_were(void **state)
{
    struct flaps f = {0};
    int64_t now = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        flaps_down(&f, now += 1000);
    assert_true(f.penalty <= FLAPS_MOST);
    assert_true(flaps_look(&f, now + 170000));
    assert_false(flaps_look(&f, now + 181000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_fall_is_forgiven),
        cmocka_unit_test(the_penalty_halves_every_minute),
        cmocka_unit_test(falling_again_and_again_suppresses_until_it_has_been_quiet),
        cmocka_unit_test(once_a_minute_is_borne),
        cmocka_unit_test(it_is_back_three_minutes_after_the_last_fall_however_many_there_were),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
