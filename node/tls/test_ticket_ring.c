/* Keys by period: which one issues, which open, which are over. */
#include "ticket_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define P ((int64_t)1000)

static struct ticket_held held(enum ticket_kind kind, int64_t rotation_ms, uint64_t period,
                               char mark)
{
    struct ticket_held h = {.kind = kind, .rotation_ms = rotation_ms, .period = period};

    memset(&h.key, mark, sizeof h.key);
    return h;
}

static bool put(struct ticket_ring *r, enum ticket_kind kind, uint64_t period, char mark,
                int64_t now_ms)
{
    struct ticket_held h = held(kind, P, period, mark);
    bool changed = false;

    return ticket_ring_put(r, &h, now_ms, &changed) && changed;
}

static void a_key_lives_from_the_period_before_its_own_to_the_one_after(void **state)
{
    struct ticket_held h = held(TICKET_STORED, P, 10, 'a');

    (void)state;
    assert_false(ticket_alive(&h, 8999));
    assert_true(ticket_alive(&h, 9000));
    assert_true(ticket_alive(&h, 10500));
    assert_true(ticket_alive(&h, 11999));
    assert_false(ticket_alive(&h, 12000));
    assert_int_equal(ticket_begins_ms(&h), 10000);
    assert_int_equal(ticket_ends_ms(&h), 12000);
}

static void the_stored_key_of_the_period_issues_else_the_derived_one(void **state)
{
    struct ticket_ring r = {.count = 0};

    (void)state;
    assert_null(ticket_ring_issuer(&r, P, 10500));
    assert_true(put(&r, TICKET_DERIVED, 10, 'd', 10500));
    assert_true(put(&r, TICKET_STORED, 11, 's', 10500));
    assert_int_equal(ticket_ring_issuer(&r, P, 10500)->kind, TICKET_DERIVED);
    assert_int_equal(ticket_ring_issuer(&r, P, 11000)->kind, TICKET_STORED);
    assert_true(put(&r, TICKET_STORED, 10, 't', 10500));
    assert_int_equal(ticket_ring_issuer(&r, P, 10999)->key.name[0], 't');
    assert_null(ticket_ring_issuer(&r, P + 1, 10500)); /* periods of another length */
}

static void another_key_for_the_same_period_takes_its_place(void **state)
{
    struct ticket_ring r = {.count = 0};
    bool changed = false;
    struct ticket_held same;

    (void)state;
    assert_true(put(&r, TICKET_STORED, 10, 'a', 10500));
    same = held(TICKET_STORED, P, 10, 'a');
    assert_true(ticket_ring_put(&r, &same, 10500, &changed));
    assert_false(changed);
    assert_true(put(&r, TICKET_STORED, 10, 'b', 10500));
    assert_int_equal(r.count, 1);
    assert_int_equal(r.held[0].key.aes[0], 'b');
}

static void what_is_over_is_dropped_and_overwritten(void **state)
{
    struct ticket_ring r = {.count = 0};
    struct ticket_held empty = {.rotation_ms = 0};

    (void)state;
    assert_true(put(&r, TICKET_STORED, 10, 'a', 10500));
    assert_true(put(&r, TICKET_STORED, 11, 'b', 10500));
    assert_false(ticket_ring_expire(&r, 11999));
    assert_true(ticket_ring_expire(&r, 12000));
    assert_int_equal(r.count, 1);
    assert_int_equal(r.held[0].key.name[0], 'b');
    assert_memory_equal(&r.held[1], &empty, sizeof empty);
    assert_false(put(&r, TICKET_STORED, 10, 'a', 12000));
    assert_false(put(&r, TICKET_STORED, 14, 'a', 12000));
}

static void a_full_ring_takes_no_more_and_keeps_what_it_has(void **state)
{
    struct ticket_ring r = {.count = 0};
    bool changed = false;
    struct ticket_held h;

    (void)state;
    for (int i = 0; i < TICKET_KEYS_MAX; i++) {
        h = held(TICKET_STORED, P + i, (uint64_t)(100000 / (P + i)), 'a');
        assert_true(ticket_ring_put(&r, &h, 100000, &changed));
    }
    h = held(TICKET_STORED, 5000, 20, 'x');
    assert_false(ticket_ring_put(&r, &h, 100000, &changed));
    assert_int_equal(r.count, TICKET_KEYS_MAX);
    assert_null(ticket_ring_find(&r, TICKET_STORED, 5000, 20));
}

static void before_the_epoch_there_is_one_period(void **state)
{
    (void)state;
    assert_int_equal(ticket_period(-5, P), 0);
    assert_int_equal(ticket_period(0, P), 0);
    assert_int_equal(ticket_period(999, P), 0);
    assert_int_equal(ticket_period(1000, P), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_lives_from_the_period_before_its_own_to_the_one_after),
        cmocka_unit_test(the_stored_key_of_the_period_issues_else_the_derived_one),
        cmocka_unit_test(another_key_for_the_same_period_takes_its_place),
        cmocka_unit_test(what_is_over_is_dropped_and_overwritten),
        cmocka_unit_test(a_full_ring_takes_no_more_and_keeps_what_it_has),
        cmocka_unit_test(before_the_epoch_there_is_one_period),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
