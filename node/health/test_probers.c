#include "probers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MEMBERS 100
#define CHECKS  200

static void name_all(struct prober_candidate *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char id[32];

        snprintf(id, sizeof id, "node-%zu", i);
        c[i] = (struct prober_candidate){.place = probers_place(id), .incarnation = i * 977 + 1};
    }
}

static uint64_t check_of(unsigned i)
{
    return (uint64_t)(i + 1) << 32 | i; /* not well mixed, on purpose */
}

static bool has(const struct probers *p, uint32_t who)
{
    for (unsigned k = 0; k < p->count; k++)
        if (p->at[k] == who)
            return true;
    return false;
}

static void as_many_as_there_are_up_to_three(void **state)
{
    struct prober_candidate c[5];
    struct probers p;

    (void)state;
    name_all(c, 5);
    for (unsigned n = 0; n <= 5; n++) {
        probers_pick(7, c, n, &p);
        assert_int_equal(p.count, n < HEALTH_PROBERS ? n : HEALTH_PROBERS);
        for (unsigned k = 1; k < p.count; k++)
            assert_int_not_equal(p.at[k], p.at[k - 1]);
    }
}

static void the_order_of_the_list_does_not_matter(void **state)
{
    struct prober_candidate c[MEMBERS], turned[MEMBERS];

    (void)state;
    name_all(c, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; i++)
        turned[(i * 37 + 5) % MEMBERS] = c[i];
    for (unsigned k = 0; k < CHECKS; k++) {
        struct probers a, b;

        probers_pick(check_of(k), c, MEMBERS, &a);
        probers_pick(check_of(k), turned, MEMBERS, &b);
        for (unsigned i = 0; i < HEALTH_PROBERS; i++)
            assert_true(c[a.at[i]].place == turned[b.at[i]].place);
    }
}

static void the_work_is_spread(void **state)
{
    struct prober_candidate c[MEMBERS];
    unsigned load[MEMBERS] = {0}, most = 0, idle = 0;

    (void)state;
    name_all(c, MEMBERS);
    for (unsigned k = 0; k < CHECKS; k++) {
        struct probers p;

        probers_pick(check_of(k), c, MEMBERS, &p);
        for (unsigned i = 0; i < p.count; i++)
            load[p.at[i]]++;
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        most = load[i] > most ? load[i] : most;
        idle += load[i] == 0;
    }
    /* 6 on average; Poisson: hardly anybody above 16 or at 0 */
    assert_in_range(most, 8, 18);
    assert_true(idle <= 3);
}

static void a_member_that_goes_moves_only_its_own(void **state)
{
    struct prober_candidate c[MEMBERS];
    unsigned moved = 0;

    (void)state;
    name_all(c, MEMBERS);
    for (unsigned k = 0; k < CHECKS; k++) {
        struct probers with, without;

        c[42].out = false;
        probers_pick(check_of(k), c, MEMBERS, &with);
        c[42].out = true;
        probers_pick(check_of(k), c, MEMBERS, &without);
        assert_int_equal(without.count, HEALTH_PROBERS);
        assert_false(has(&without, 42));
        for (unsigned i = 0; i < HEALTH_PROBERS; i++)
            moved += !has(&without, with.at[i]);
        if (!has(&with, 42))
            assert_memory_equal(&with, &without, sizeof with);
    }
    assert_in_range(moved, 1, 16); /* K x checks / N = 6 */
}

static void a_restart_moves_nothing(void **state)
{
    struct prober_candidate c[MEMBERS];

    (void)state;
    name_all(c, MEMBERS);
    for (unsigned k = 0; k < CHECKS; k++) {
        struct probers before, after;

        probers_pick(check_of(k), c, MEMBERS, &before);
        c[k % MEMBERS].incarnation += 12345;
        probers_pick(check_of(k), c, MEMBERS, &after);
        assert_memory_equal(&before, &after, sizeof before);
    }
}

static void twins_stand_side_by_side_in_one_order_for_all(void **state)
{
    struct prober_candidate c[3], turned[3];
    struct probers a, b;

    (void)state;
    name_all(c, 3);
    c[1].place = c[0].place;
    turned[0] = c[1];
    turned[1] = c[2];
    turned[2] = c[0];
    probers_pick(5, c, 3, &a);
    probers_pick(5, turned, 3, &b);
    assert_int_equal(a.count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(c[a.at[i]].incarnation == turned[b.at[i]].incarnation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_there_are_up_to_three),
        cmocka_unit_test(the_order_of_the_list_does_not_matter),
        cmocka_unit_test(the_work_is_spread),
        cmocka_unit_test(a_member_that_goes_moves_only_its_own),
        cmocka_unit_test(a_restart_moves_nothing),
        cmocka_unit_test(twins_stand_side_by_side_in_one_order_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
