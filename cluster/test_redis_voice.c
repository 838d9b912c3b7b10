#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "redis_slots.h"
#include "redis_voice.h"

static const struct redis_address a = {.host = "192.0.2.1", .port = 6379};
static const struct redis_address b = {.host = "192.0.2.2", .port = 6379};

static void the_name_of_the_only_endpoint_is_not_said_twice(void **state)
{
    struct redis_voice *one = redis_voice_new("redis"), *two = redis_voice_new("state");

    (void)state;
    assert_string_equal(redis_voice_title(one), "redis");
    assert_string_equal(redis_voice_title(two), "redis state");
    redis_voice_free(one);
    redis_voice_free(two);
}

static void a_fault_of_a_node_is_said_once_a_minute(void **state)
{
    struct redis_voice *v = redis_voice_new("");

    (void)state;
    assert_true(redis_voice_may_say(v, REDIS_WORD_SHUT_OUT, &a, 1000));
    assert_false(redis_voice_may_say(v, REDIS_WORD_SHUT_OUT, &a, 60999));
    assert_true(redis_voice_may_say(v, REDIS_WORD_SHUT_OUT, &b, 1000));
    assert_true(redis_voice_may_say(v, REDIS_WORD_NO_MAP, &a, 1000));
    assert_true(redis_voice_may_say(v, REDIS_WORD_SHUT_OUT, &a, 61000));
    redis_voice_free(v);
}

static void out_and_back_are_said_in_turn(void **state)
{
    struct redis_voice *v = redis_voice_new("");

    (void)state;
    assert_false(redis_voice_may_say_back(v, &a));
    assert_true(redis_voice_may_say_out(v, &a, 0));
    assert_false(redis_voice_may_say_out(v, &a, 90000));
    assert_true(redis_voice_may_say_back(v, &a));
    assert_false(redis_voice_may_say_back(v, &a));
    assert_true(redis_voice_may_say_out(v, &a, 90000));
    redis_voice_free(v);
}

static void a_node_that_comes_and_goes_is_told_of_every_ten_seconds(void **state)
{
    struct redis_voice *v = redis_voice_new("");
    int lines = 0;

    (void)state;
    for (int64_t now = 0; now < 60000; now += 100) {
        lines += redis_voice_may_say_out(v, &a, now);
        lines += redis_voice_may_say_back(v, &a);
    }
    assert_int_equal(lines, 12);
    redis_voice_free(v);
}

static void of_more_nodes_than_it_can_remember_nothing_is_said(void **state)
{
    struct redis_voice *v = redis_voice_new("");
    struct redis_address n = {.host = "192.0.2.3"};
    int lines = 0;

    (void)state;
    for (n.port = 1; n.port < 60000; n.port++)
        lines += redis_voice_may_say(v, REDIS_WORD_ENDED, &n, n.port / 60);
    assert_int_equal(lines, 128);
    assert_true(redis_voice_may_say(v, REDIS_WORD_ENDED, &a, 70000));
    redis_voice_free(v);
}

static void the_same_map_is_no_news(void **state)
{
    struct redis_voice *v = redis_voice_new("");

    (void)state;
    assert_true(redis_voice_is_news(v, "a cluster of 3 shards"));
    assert_false(redis_voice_is_news(v, "a cluster of 3 shards"));
    assert_true(redis_voice_is_news(v, "a cluster of 4 shards"));
    redis_voice_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_of_the_only_endpoint_is_not_said_twice),
        cmocka_unit_test(a_fault_of_a_node_is_said_once_a_minute),
        cmocka_unit_test(out_and_back_are_said_in_turn),
        cmocka_unit_test(a_node_that_comes_and_goes_is_told_of_every_ten_seconds),
        cmocka_unit_test(of_more_nodes_than_it_can_remember_nothing_is_said),
        cmocka_unit_test(the_same_map_is_no_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
