#include "orders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(words) (sizeof(words) / sizeof((words)[0]))

static struct word say(enum word_target target, const char *name, enum word_kind kind,
                       uint64_t number)
{
    return (struct word){.target = target, .kind = kind, .name = name, .url = "", .number = number};
}

static void an_order_is_carried_out_once(void **state)
{
    const struct word words[] = {say(WORD_NODE, "n1", WORD_RELOAD, 1500)};
    struct orders o = {0};
    struct order found;

    (void)state;
    orders_begin(&o, 1000);
    found = orders_take(&o, words, COUNT(words), "n1");
    assert_int_equal(found.kind, WORD_RELOAD);
    assert_int_equal(found.number, 1500);
    assert_int_equal(orders_take(&o, words, COUNT(words), "n1").kind, WORD_NOTHING);
}

static void what_was_said_before_the_start_is_not_carried_out(void **state)
{
    const struct word words[] = {say(WORD_NODE, "n1", WORD_DRAIN, 999),
                                 say(WORD_NODE, "", WORD_RELOAD, 1000)};
    struct orders o = {0};

    (void)state;
    orders_begin(&o, 1000);
    orders_begin(&o, 10); /* too late to say otherwise */
    assert_int_equal(orders_take(&o, words, COUNT(words), "n1").kind, WORD_NOTHING);
}

static void while_the_shared_clock_is_not_known_orders_wait(void **state)
{
    const struct word words[] = {say(WORD_NODE, "n1", WORD_RELOAD, 1500)};
    struct orders o = {0};

    (void)state;
    assert_int_equal(orders_take(&o, words, COUNT(words), "n1").kind, WORD_NOTHING);
    orders_begin(&o, 1000);
    assert_int_equal(orders_take(&o, words, COUNT(words), "n1").kind, WORD_RELOAD);
}

static void an_order_to_every_node_is_one_to_this_node(void **state)
{
    const struct word words[] = {say(WORD_NODE, "", WORD_RELOAD, 1500),
                                 say(WORD_NODE, "n2", WORD_DRAIN, 1600),
                                 say(WORD_ORIGIN, "n1", WORD_DRAIN, 1700)};
    struct orders o = {0};
    struct order found;

    (void)state;
    orders_begin(&o, 1000);
    found = orders_take(&o, words, COUNT(words), "n1");
    assert_int_equal(found.kind, WORD_RELOAD);
    assert_int_equal(found.number, 1500);
}

static void a_drain_wins_over_a_reload_and_both_are_done(void **state)
{
    const struct word words[] = {say(WORD_NODE, "n1", WORD_DRAIN, 1500),
                                 say(WORD_NODE, "", WORD_RELOAD, 1600),
                                 say(WORD_NODE, "", WORD_DRAIN, 1400)};
    struct orders o = {0};
    struct order found;

    (void)state;
    orders_begin(&o, 1000);
    found = orders_take(&o, words, COUNT(words), "n1");
    assert_int_equal(found.kind, WORD_DRAIN);
    assert_int_equal(found.number, 1500);
    assert_int_equal(orders_take(&o, words, COUNT(words), "n1").kind, WORD_NOTHING);
}

static void unready_holds_whenever_it_was_said(void **state)
{
    const struct word words[] = {say(WORD_NODE, "n1", WORD_UNREADY, 5)};
    const struct word all[] = {say(WORD_NODE, "", WORD_UNREADY, 5)};

    (void)state;
    assert_true(orders_unready(words, 1, "n1"));
    assert_false(orders_unready(words, 1, "n2"));
    assert_false(orders_unready(words, 1, ""));
    assert_true(orders_unready(all, 1, "n2"));
    assert_false(orders_unready(words, 0, "n1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_is_carried_out_once),
        cmocka_unit_test(what_was_said_before_the_start_is_not_carried_out),
        cmocka_unit_test(while_the_shared_clock_is_not_known_orders_wait),
        cmocka_unit_test(an_order_to_every_node_is_one_to_this_node),
        cmocka_unit_test(a_drain_wins_over_a_reload_and_both_are_done),
        cmocka_unit_test(unready_holds_whenever_it_was_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
