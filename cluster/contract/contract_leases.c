/* What holds for leases and their waiters. */
#include "contract_own.h"

#include <string.h>

#define NO_HINT WEIR_SPAN_NONE

static struct world *world_of(void **state)
{
    return *state;
}

static struct shared_lease lease_by(struct world *w, const char *owner)
{
    return (struct shared_lease){.key = key(w, "l"),
                                 .fence_key = key(w, "f"),
                                 .owner = weir_span_str(owner),
                                 .lease_ms = CONTRACT_LONG_MS,
                                 .fence_ttl_ms = CONTRACT_LONG_MS};
}

static enum shared_result take(struct asked *a, struct world *w, int port,
                               const struct shared_lease *l)
{
    asked_init(a, w, SHARED_STATE);
    shared_lease_take(w->ports[port], &a->call, l);
    asked_await(a);
    return a->call.result;
}

static uint64_t take_ok(struct world *w, const struct shared_lease *l)
{
    struct asked a;

    assert_int_equal(take(&a, w, PORT_A, l), SHARED_OK);
    return a.call.number;
}

static void take_refused(struct world *w, const struct shared_lease *l)
{
    struct asked a;

    assert_int_equal(take(&a, w, PORT_B, l), SHARED_REFUSED);
    assert_in_range(a.call.left_ms, 1, CONTRACT_LONG_MS);
}

static enum shared_result renew(struct world *w, const struct shared_lease *l)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_lease_renew(w->ports[PORT_A], &a.call, l);
    asked_await(&a);
    return a.call.result;
}

static enum shared_result wake(struct world *w, const struct shared_lease *l, struct weir_span hint,
                               uint64_t *woken)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_lease_wake(w->ports[PORT_A], &a.call, l, hint);
    asked_await(&a);
    *woken = a.call.number;
    return a.call.result;
}

static enum shared_result release(struct world *w, const struct shared_lease *l,
                                  struct weir_span hint, uint64_t *woken)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_lease_release(w->ports[PORT_A], &a.call, l, hint);
    asked_await(&a);
    if (woken != NULL)
        *woken = a.call.number;
    return a.call.result;
}

static void one_owner_holds_a_lease(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");
    struct asked a;
    int port;

    assert_int_equal(take_ok(w, &mine), 1);
    for (port = 0; port < w->port_count; port++) {
        assert_int_equal(take(&a, w, port, &yours), SHARED_REFUSED);
        assert_in_range(a.call.left_ms, CONTRACT_LONG_MS / 2, CONTRACT_LONG_MS);
    }
}

static void the_fence_grows_with_each_holder(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");

    assert_int_equal(take_ok(w, &mine), 1);
    assert_int_equal(release(w, &mine, NO_HINT, NULL), SHARED_OK);
    assert_int_equal(take_ok(w, &yours), 2);
    assert_int_equal(release(w, &yours, NO_HINT, NULL), SHARED_OK);
    assert_int_equal(take_ok(w, &mine), 3);
}

static void a_lease_runs_out_and_the_next_holder_has_a_newer_fence(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");

    mine.lease_ms = CONTRACT_BRIEF_MS;
    assert_int_equal(take_ok(w, &mine), 1);
    take_refused(w, &yours);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(take_ok(w, &yours), 2);
    assert_int_equal(renew(w, &mine), SHARED_REFUSED);
    assert_int_equal(release(w, &mine, NO_HINT, NULL), SHARED_REFUSED);
    take_refused(w, &mine);
}

static void taken_again_by_its_owner_it_keeps_its_fence_and_lives_longer(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");

    mine.lease_ms = CONTRACT_BRIEF_MS;
    assert_int_equal(take_ok(w, &mine), 1);
    mine.lease_ms = CONTRACT_LONG_MS;
    assert_int_equal(take_ok(w, &mine), 1);
    pass(w, CONTRACT_BRIEF_MS + 1);
    take_refused(w, &yours);
}

static void renewing_makes_it_live_longer(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");

    assert_int_equal(renew(w, &mine), SHARED_REFUSED);
    mine.lease_ms = CONTRACT_BRIEF_MS;
    assert_int_equal(take_ok(w, &mine), 1);
    mine.lease_ms = CONTRACT_LONG_MS;
    assert_int_equal(renew(w, &mine), SHARED_OK);
    assert_int_equal(renew(w, &yours), SHARED_REFUSED);
    pass(w, CONTRACT_BRIEF_MS + 1);
    take_refused(w, &yours);
}

static void a_lease_that_ran_out_is_lost_though_nobody_took_it(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me");
    uint64_t woken;

    mine.lease_ms = CONTRACT_BRIEF_MS;
    assert_int_equal(take_ok(w, &mine), 1);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(renew(w, &mine), SHARED_REFUSED);
    assert_int_equal(wake(w, &mine, NO_HINT, &woken), SHARED_REFUSED);
    assert_int_equal(release(w, &mine, NO_HINT, NULL), SHARED_REFUSED);
}

static void the_count_of_fences_ends_after_its_time(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me");

    mine.fence_ttl_ms = CONTRACT_BRIEF_MS;
    assert_int_equal(take_ok(w, &mine), 1);
    assert_int_equal(release(w, &mine, NO_HINT, NULL), SHARED_OK);
    assert_int_equal(take_ok(w, &mine), 2);
    assert_int_equal(release(w, &mine, NO_HINT, NULL), SHARED_OK);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(take_ok(w, &mine), 1);
}

static void leases_of_other_keys_are_other_leases(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease one = lease_by(w, "me"), two = lease_by(w, "you");

    two.key = key(w, "l2");
    two.fence_key = key(w, "f2");
    assert_int_equal(take_ok(w, &one), 1);
    assert_int_equal(take_ok(w, &two), 1);
}

static void a_lease_is_no_value(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me");
    struct asked a;

    assert_int_equal(take_ok(w, &mine), 1);
    assert_int_equal(get(w, &a, PORT_A, mine.key), SHARED_BAD);
    assert_int_equal(remove_key(w, mine.key), 1); /* but can be taken away */
    assert_int_equal(renew(w, &mine), SHARED_REFUSED);
}

/* ---- waiters ---- */

static void waiters_are_woken_once_and_forgotten(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");
    struct hearer h;
    uint64_t woken;

    yours.channel = key(w, "ch");
    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, yours.channel);
    assert_int_equal(take_ok(w, &mine), 1);
    take_refused(w, &yours);
    take_refused(w, &yours); /* twice, from one channel: one waiter */
    assert_int_equal(wake(w, &mine, WEIR_SPAN_LIT("head"), &woken), SHARED_OK);
    assert_int_equal(woken, 1);
    await(w, &h.hints, 1);
    assert_int_equal(h.last_len, 4);
    assert_memory_equal(h.last, "head", 4);
    assert_int_equal(wake(w, &mine, WEIR_SPAN_LIT("again"), &woken), SHARED_OK);
    assert_int_equal(woken, 0);
    settle(w, &h, yours.channel);
    assert_int_equal(h.hints, 1);
    take_refused(w, &yours); /* it is still held */
    shared_unlisten(w->ports[PORT_B], &h.listener);
}

static void each_channel_that_waits_is_woken(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), one = lease_by(w, "one"),
                        two = lease_by(w, "two");
    struct hearer h1, h2;
    uint64_t woken;

    one.channel = WEIR_SPAN_LIT("w1:{contract-1}:ch");
    two.channel = WEIR_SPAN_LIT("w1:{contract-2}:ch"); /* they lie anywhere */
    hearer_init(&h1, w);
    hearer_init(&h2, w);
    hearer_listen(&h1, PORT_A, one.channel);
    hearer_listen(&h2, w->port_count - 1, two.channel);
    assert_int_equal(take_ok(w, &mine), 1);
    take_refused(w, &one);
    take_refused(w, &two);
    assert_int_equal(release(w, &mine, WEIR_SPAN_LIT("gone"), &woken), SHARED_OK);
    assert_int_equal(woken, 2);
    await(w, &h1.hints, 1);
    await(w, &h2.hints, 1);
    settle(w, &h1, one.channel);
    settle(w, &h2, two.channel);
    assert_int_equal(h1.hints, 1);
    assert_int_equal(h2.hints, 1);
    assert_int_equal(take_ok(w, &one), 2);
}

static void who_wants_no_hint_is_no_waiter(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");
    uint64_t woken;

    assert_int_equal(take_ok(w, &mine), 1);
    take_refused(w, &yours);
    assert_int_equal(wake(w, &mine, WEIR_SPAN_LIT("hint"), &woken), SHARED_OK);
    assert_int_equal(woken, 0);
}

static void only_the_owner_wakes_and_releases(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");
    struct hearer h;
    uint64_t woken;

    yours.channel = key(w, "ch");
    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, yours.channel);
    assert_int_equal(take_ok(w, &mine), 1);
    take_refused(w, &yours);
    assert_int_equal(wake(w, &yours, WEIR_SPAN_LIT("no"), &woken), SHARED_REFUSED);
    assert_int_equal(woken, 0);
    assert_int_equal(release(w, &yours, WEIR_SPAN_LIT("no"), &woken), SHARED_REFUSED);
    assert_int_equal(woken, 0);
    settle(w, &h, yours.channel);
    assert_int_equal(h.hints, 0);
    assert_int_equal(release(w, &mine, WEIR_SPAN_LIT("yes"), &woken), SHARED_OK);
    assert_int_equal(woken, 1); /* it had been kept */
    await(w, &h.hints, 1);
    assert_memory_equal(h.last, "yes", 3);
}

static void waiters_are_forgotten_with_the_lease_they_waited_for(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you"),
                        third = lease_by(w, "third");
    struct hearer h;
    uint64_t woken;

    yours.channel = key(w, "ch");
    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, yours.channel);
    mine.lease_ms = CONTRACT_BRIEF_MS;
    assert_int_equal(take_ok(w, &mine), 1);
    take_refused(w, &yours);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(take_ok(w, &third), 2);
    assert_int_equal(release(w, &third, WEIR_SPAN_LIT("hint"), &woken), SHARED_OK);
    assert_int_equal(woken, 0);
    settle(w, &h, yours.channel);
    assert_int_equal(h.hints, 0);
}

static void owners_and_channels_are_any_bytes(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = lease_by(w, "me"), yours = lease_by(w, "you");
    char owner[SHARED_OWNER_MAX], hint[300];
    struct hearer h;
    uint64_t woken;
    int i;

    for (i = 0; i < SHARED_OWNER_MAX; i++)
        owner[i] = (char)(i * 4);
    for (i = 0; i < 300; i++)
        hint[i] = (char)i;
    mine.owner = weir_span(owner, sizeof(owner));
    yours.owner = weir_span(owner, sizeof(owner) - 1);
    yours.channel = WEIR_SPAN_LIT("w1:{contract}:\r\n\0 *");
    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, yours.channel);
    assert_int_equal(take_ok(w, &mine), 1);
    take_refused(w, &yours);
    assert_int_equal(wake(w, &mine, weir_span(hint, sizeof(hint)), &woken), SHARED_OK);
    assert_int_equal(woken, 1);
    await(w, &h.hints, 1);
    assert_int_equal(h.last_len, sizeof(hint));
    assert_memory_equal(h.last, hint, sizeof(hint));
    assert_int_equal(renew(w, &mine), SHARED_OK);
}

static const struct CMUnitTest tests[] = {
    CONTRACT_TEST(one_owner_holds_a_lease),
    CONTRACT_TEST(the_fence_grows_with_each_holder),
    CONTRACT_TEST(a_lease_runs_out_and_the_next_holder_has_a_newer_fence),
    CONTRACT_TEST(taken_again_by_its_owner_it_keeps_its_fence_and_lives_longer),
    CONTRACT_TEST(renewing_makes_it_live_longer),
    CONTRACT_TEST(a_lease_that_ran_out_is_lost_though_nobody_took_it),
    CONTRACT_TEST(the_count_of_fences_ends_after_its_time),
    CONTRACT_TEST(leases_of_other_keys_are_other_leases),
    CONTRACT_TEST(a_lease_is_no_value),
    CONTRACT_TEST(waiters_are_woken_once_and_forgotten),
    CONTRACT_TEST(each_channel_that_waits_is_woken),
    CONTRACT_TEST(who_wants_no_hint_is_no_waiter),
    CONTRACT_TEST(only_the_owner_wakes_and_releases),
    CONTRACT_TEST(waiters_are_forgotten_with_the_lease_they_waited_for),
    CONTRACT_TEST(owners_and_channels_are_any_bytes),
};

const struct contract_table contract_leases = {tests, sizeof(tests) / sizeof(tests[0])};
