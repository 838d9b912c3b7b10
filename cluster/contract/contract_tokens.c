/* What holds for tokens. */
#include "contract_own.h"

#include <string.h>

#define INTERVAL_US 200000 /* a busy machine must not give one back between two calls */
#define BURST       5

static struct world *world_of(void **state)
{
    return *state;
}

static struct shared_rate rate_of(struct world *w)
{
    return (struct shared_rate){.key = key(w, "rate"), .interval_us = INTERVAL_US, .burst = BURST};
}

static enum shared_result take(struct asked *a, struct world *w, int port,
                               const struct shared_rate *r, uint32_t want)
{
    asked_init(a, w, SHARED_STATE);
    shared_tokens_take(w->ports[port], &a->call, r, want);
    asked_await(a);
    return a->call.result;
}

static void a_burst_goes_at_once_and_then_none(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = rate_of(w);
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, &r, 2), SHARED_OK);
    assert_int_equal(a.call.number, 2);
    assert_int_equal(a.call.rest, 3);
    assert_int_equal(a.call.left_ms, 0);
    assert_int_equal(take(&a, w, PORT_A, &r, 3), SHARED_OK);
    assert_int_equal(a.call.number, 3);
    assert_int_equal(a.call.rest, 0);
    assert_int_equal(take(&a, w, PORT_A, &r, 1), SHARED_REFUSED);
    assert_int_equal(a.call.number, 0);
    assert_int_equal(a.call.rest, 0);
    assert_in_range(a.call.left_ms, 1, INTERVAL_US / 1000);
}

static void who_wants_more_than_there_are_gets_what_there_is(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = rate_of(w);
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, &r, UINT32_MAX), SHARED_OK);
    assert_int_equal(a.call.number, BURST);
    assert_int_equal(a.call.rest, 0);
}

static void after_left_ms_there_is_one_more(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = rate_of(w);
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, &r, BURST), SHARED_OK);
    assert_int_equal(take(&a, w, PORT_A, &r, 1), SHARED_REFUSED);
    pass(w, a.call.left_ms);
    assert_int_equal(take(&a, w, PORT_A, &r, 1), SHARED_OK);
    assert_int_equal(a.call.number, 1);
}

static void all_ports_share_one_rate(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = rate_of(w);
    uint32_t sum = 0;
    struct asked a;
    int i;

    for (i = 0; i < BURST; i++) {
        assert_int_equal(take(&a, w, i % w->port_count, &r, 1), SHARED_OK);
        sum += (uint32_t)a.call.number;
    }
    assert_int_equal(sum, BURST);
    for (i = 0; i < w->port_count; i++)
        assert_int_equal(take(&a, w, i, &r, 1), SHARED_REFUSED);
}

/* By the clock of whoever keeps the tokens: over some time, what it gives is the rate. */
static void over_time_the_rate_is_kept(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = {.key = key(w, "rate"), .interval_us = 10000, .burst = 4};
    struct weir_clock start = w->clock;
    uint64_t sum = 0, most;
    struct asked a;
    int i;

    for (i = 0; i < 60; i++) {
        if (take(&a, w, i % w->port_count, &r, 3) == SHARED_OK)
            sum += a.call.number;
        else
            assert_in_range(a.call.left_ms, 1, 10);
        pass(w, 7);
    }
    if (!w->engine->simulated)
        weir_clock_update(&w->clock);
    most = 4 + (uint64_t)(w->clock.mono_us - start.mono_us) / 10000;
    assert_in_range(sum, w->engine->simulated ? 4 + 59 * 7 / 10 : 4 + 59 * 7 / 10 - 5, most + 1);
}

static void a_rate_nobody_used_for_long_is_full_again(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = {.key = key(w, "rate"), .interval_us = 20000, .burst = BURST};
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, &r, BURST), SHARED_OK);
    pass(w, BURST * 20 + 5);
    assert_int_equal(take(&a, w, PORT_A, &r, BURST), SHARED_OK);
    assert_int_equal(a.call.number, BURST);
}

static void wall_clocks_that_jump_give_and_take_nothing(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = rate_of(w);
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, &r, BURST), SHARED_OK);
    w->clock.wall_ms += 3600000;
    assert_int_equal(take(&a, w, PORT_A, &r, 1), SHARED_REFUSED);
    w->clock.wall_ms -= 2 * 3600000;
    assert_int_equal(take(&a, w, PORT_A, &r, 1), SHARED_REFUSED);
    pass(w, a.call.left_ms);
    assert_int_equal(take(&a, w, PORT_A, &r, 1), SHARED_OK);
}

static void the_largest_and_the_smallest_rate_work(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate slow = {key(w, "slow"), SHARED_INTERVAL_US_MAX, SHARED_BURST_MAX};
    struct shared_rate fast = {key(w, "fast"), 1, 1};
    struct shared_rate lone = {key(w, "lone"), SHARED_INTERVAL_US_MAX, 1};
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, &slow, UINT32_MAX), SHARED_OK);
    assert_int_equal(a.call.number, SHARED_BURST_MAX);
    assert_int_equal(take(&a, w, PORT_A, &slow, 1), SHARED_REFUSED);
    assert_in_range(a.call.left_ms, 999900000, 1000000000);
    assert_int_equal(take(&a, w, PORT_A, &fast, 1), SHARED_OK);
    pass(w, 1);
    assert_int_equal(take(&a, w, PORT_A, &fast, 1), SHARED_OK);
    assert_int_equal(take(&a, w, PORT_A, &lone, 2), SHARED_OK);
    assert_int_equal(a.call.number, 1);
    assert_int_equal(take(&a, w, PORT_A, &lone, 1), SHARED_REFUSED);
}

static void assert_bad(struct world *w, struct shared_rate r, uint32_t want)
{
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, &r, want), SHARED_BAD);
}

static void a_rate_against_the_rules_is_bad(void **state)
{
    struct world *w = world_of(state);
    char bytes[SHARED_KEY_MAX + 1];
    struct weir_span k = key(w, "rate");

    memset(bytes, 'k', sizeof(bytes));
    assert_bad(w, (struct shared_rate){WEIR_SPAN_NONE, 1000, 1}, 1);
    assert_bad(w, (struct shared_rate){weir_span(bytes, sizeof(bytes)), 1000, 1}, 1);
    assert_bad(w, (struct shared_rate){k, 0, 1}, 1);
    assert_bad(w, (struct shared_rate){k, (uint64_t)SHARED_INTERVAL_US_MAX + 1, 1}, 1);
    assert_bad(w, (struct shared_rate){k, UINT64_MAX, 1}, 1);
    assert_bad(w, (struct shared_rate){k, 1000, 0}, 1);
    assert_bad(w, (struct shared_rate){k, 1000, SHARED_BURST_MAX + 1}, 1);
    assert_bad(w, (struct shared_rate){k, 1000, 1}, 0);
}

static void a_key_of_another_kind_is_bad_for_tokens(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = rate_of(w);

    assert_int_equal(put(w, r.key, WEIR_SPAN_LIT("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_bad(w, r, 1);
    assert_value(w, r.key, WEIR_SPAN_LIT("value"));
}

static void a_removed_rate_is_full_again(void **state)
{
    struct world *w = world_of(state);
    struct shared_rate r = rate_of(w);
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, &r, BURST), SHARED_OK);
    assert_int_equal(remove_key(w, r.key), 1);
    assert_int_equal(take(&a, w, PORT_B, &r, BURST), SHARED_OK);
    assert_int_equal(a.call.number, BURST);
}

static const struct CMUnitTest tests[] = {
    CONTRACT_TEST(a_burst_goes_at_once_and_then_none),
    CONTRACT_TEST(who_wants_more_than_there_are_gets_what_there_is),
    CONTRACT_TEST(after_left_ms_there_is_one_more),
    CONTRACT_TEST(all_ports_share_one_rate),
    CONTRACT_TEST(over_time_the_rate_is_kept),
    CONTRACT_TEST(a_rate_nobody_used_for_long_is_full_again),
    CONTRACT_TEST(wall_clocks_that_jump_give_and_take_nothing),
    CONTRACT_TEST(the_largest_and_the_smallest_rate_work),
    CONTRACT_TEST(a_rate_against_the_rules_is_bad),
    CONTRACT_TEST(a_key_of_another_kind_is_bad_for_tokens),
    CONTRACT_TEST(a_removed_rate_is_full_again),
};

const struct contract_table contract_tokens = {tests, sizeof(tests) / sizeof(tests[0])};
