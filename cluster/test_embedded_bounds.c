/* What the embedded engine does when memory is short, and with hints that nobody fetches. */
#include "shared_embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract_own.h"

#define LIMIT_BYTES ((size_t)256 * 1024)
#define VALUE_BYTES 1000
#define V(s)        WEIR_SPAN_LIT(s)

static struct world *world_of(void **state)
{
    return *state;
}

static size_t bytes_in(struct world *w, enum shared_area area)
{
    return shared_embedded_bytes(w->shared, area);
}

static struct weir_span numbered(struct world *w, int i)
{
    char name[16];

    snprintf(name, sizeof(name), "%d", i);
    return key(w, name);
}

static enum shared_result put_sized(struct world *w, enum shared_area area, struct weir_span k,
                                    size_t bytes, int64_t ttl_ms)
{
    struct weir_blob *b = weir_blob_new(bytes);
    struct weir_slice s = {.blob = b, .len = (uint32_t)bytes};
    struct asked a;

    memset(b->bytes, 'v', bytes);
    b->len = (uint32_t)bytes;
    asked_init(&a, w, area);
    shared_put(w->ports[PORT_A], &a.call, k, &s, 1, ttl_ms);
    weir_blob_unref(b);
    asked_await(&a);
    assert_in_range(bytes_in(w, area), 0, LIMIT_BYTES);
    return a.call.result;
}

static bool is_there(struct world *w, enum shared_area area, struct weir_span k)
{
    struct asked a;

    asked_init(&a, w, area);
    shared_get(w->ports[PORT_B], &a.call, k);
    asked_await(&a);
    asked_clear(&a);
    return a.call.result == SHARED_OK;
}

/* How many values of VALUE_BYTES are put until one does not fit. */
static int fill_state(struct world *w, int64_t ttl_ms)
{
    int i = 0;

    while (put_sized(w, SHARED_STATE, numbered(w, i), VALUE_BYTES, ttl_ms) == SHARED_OK)
        i++;
    assert_in_range(i, 100, LIMIT_BYTES / VALUE_BYTES);
    return i;
}

static void a_full_cache_drops_what_was_not_used_for_longest(void **state)
{
    struct world *w = world_of(state);
    int i, kept = 0;

    for (i = 0; i < 1000; i++) {
        assert_int_equal(put_sized(w, SHARED_CACHE, numbered(w, i), VALUE_BYTES, CONTRACT_LONG_MS),
                         SHARED_OK);
        assert_true(is_there(w, SHARED_CACHE, numbered(w, 7 < i ? 7 : 0))); /* used all along */
    }
    for (i = 0; i < 1000; i++) {
        bool there = is_there(w, SHARED_CACHE, numbered(w, i));

        assert_true(there || kept == 0 || kept == 1); /* from some number on, all are there */
        kept += there ? 1 : 0;
    }
    assert_in_range(kept, 100, LIMIT_BYTES / VALUE_BYTES);
    assert_true(is_there(w, SHARED_CACHE, numbered(w, 7)));
    assert_true(is_there(w, SHARED_CACHE, numbered(w, 999)));
}

static void full_state_refuses_and_drops_nothing(void **state)
{
    struct world *w = world_of(state);
    int count = fill_state(w, CONTRACT_LONG_MS), i;

    for (i = 0; i < count; i++)
        assert_true(is_there(w, SHARED_STATE, numbered(w, i)));
    assert_false(is_there(w, SHARED_STATE, numbered(w, count)));
    assert_int_equal(remove_key(w, numbered(w, 3)), 1);
    assert_int_equal(put_sized(w, SHARED_STATE, numbered(w, count), VALUE_BYTES, CONTRACT_LONG_MS),
                     SHARED_OK);
}

static void what_has_run_out_makes_room(void **state)
{
    struct world *w = world_of(state);
    int count = fill_state(w, CONTRACT_BRIEF_MS);

    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_int_equal(fill_state(w, CONTRACT_LONG_MS), count);
}

static void a_value_replaced_needs_no_room_of_its_own(void **state)
{
    struct world *w = world_of(state);

    fill_state(w, CONTRACT_LONG_MS);
    assert_int_equal(put_sized(w, SHARED_STATE, numbered(w, 5), VALUE_BYTES, CONTRACT_LONG_MS),
                     SHARED_OK);
    assert_int_equal(put_sized(w, SHARED_STATE, numbered(w, 5), 3 * VALUE_BYTES, CONTRACT_LONG_MS),
                     SHARED_FULL);
    assert_true(is_there(w, SHARED_STATE, numbered(w, 5)));
    assert_int_equal(put_sized(w, SHARED_STATE, numbered(w, 5), 10, CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(put_sized(w, SHARED_STATE, key(w, "more"), 700, CONTRACT_LONG_MS), SHARED_OK);
}

static void what_can_never_fit_throws_nothing_out(void **state)
{
    struct world *w = world_of(state);

    assert_int_equal(put_sized(w, SHARED_CACHE, numbered(w, 1), VALUE_BYTES, CONTRACT_LONG_MS),
                     SHARED_OK);
    assert_int_equal(put_sized(w, SHARED_CACHE, numbered(w, 2), LIMIT_BYTES, CONTRACT_LONG_MS),
                     SHARED_FULL);
    assert_true(is_there(w, SHARED_CACHE, numbered(w, 1)));
}

static void leases_logs_and_waiters_need_room_too(void **state)
{
    struct world *w = world_of(state);
    struct shared_lease mine = {.key = V("{b}l"),
                                .fence_key = V("{b}f"),
                                .owner = V("me"),
                                .lease_ms = CONTRACT_LONG_MS,
                                .fence_ttl_ms = CONTRACT_LONG_MS};
    struct shared_lease yours = mine, other = mine;
    struct shared_log log = {.key = V("{b}log"), .channel = V("{b}ch"), .max = 10};
    char long_bytes[SHARED_KEY_MAX]; /* more than what the small values below leave over */
    struct asked a;

    memset(long_bytes, 'l', sizeof(long_bytes));
    asked_init(&a, w, SHARED_STATE);
    yours.owner = V("you");
    shared_lease_take(w->ports[PORT_A], &a.call, &mine);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    fill_state(w, CONTRACT_LONG_MS);
    while (put_sized(w, SHARED_STATE, numbered(w, (int)bytes_in(w, SHARED_STATE)), 1,
                     CONTRACT_LONG_MS) == SHARED_OK)
        ;
    other.key = V("{b}l2");
    other.fence_key = V("{b}f2");
    shared_lease_take(w->ports[PORT_A], &a.call, &other);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_FULL);
    shared_log_append(w->ports[PORT_A], &a.call, &log, weir_span(long_bytes, sizeof(long_bytes)));
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_FULL);
    yours.channel = weir_span(long_bytes, sizeof(long_bytes));
    shared_lease_take(w->ports[PORT_A], &a.call, &yours);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_FULL);
    shared_lease_release(w->ports[PORT_A], &a.call, &mine, V("hint"));
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_int_equal(a.call.number, 0);
}

static enum shared_result post(struct world *w, const struct shared_board *b, const char *id,
                               struct weir_span bytes, int64_t ttl_ms)
{
    struct shared_post one = {.id = weir_span_str(id), .bytes = bytes, .ttl_ms = ttl_ms};
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_board_put(w->ports[PORT_A], &a.call, b, &one, 1, V(""));
    asked_await(&a);
    assert_in_range(bytes_in(w, SHARED_STATE), 0, LIMIT_BYTES);
    return a.call.result;
}

static void assert_notes(struct world *w, const struct shared_board *b, size_t count)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_board_read(w->ports[PORT_B], &a.call, b);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_int_equal(a.call.note_count, count);
    asked_clear(&a);
}

static void boards_and_rates_need_room_too(void **state)
{
    struct world *w = world_of(state);
    struct shared_board b = {.key = V("{b}board")}, other = {.key = V("{b}other")};
    char bytes[VALUE_BYTES] = {0}; /* and a key longer than what small values leave over */
    struct shared_rate rate = {.key = weir_span(bytes, 400), .interval_us = 1000, .burst = 1};
    struct asked a;

    assert_int_equal(post(w, &b, "a", weir_span(bytes, sizeof(bytes)), 0), SHARED_OK);
    fill_state(w, CONTRACT_LONG_MS);
    while (put_sized(w, SHARED_STATE, numbered(w, (int)bytes_in(w, SHARED_STATE)), 1,
                     CONTRACT_LONG_MS) == SHARED_OK)
        ;
    assert_int_equal(post(w, &b, "a", weir_span(bytes, sizeof(bytes)), 0), SHARED_OK);
    assert_int_equal(post(w, &b, "b", weir_span(bytes, sizeof(bytes)), 0), SHARED_FULL);
    assert_notes(w, &b, 1);
    assert_int_equal(post(w, &other, "a", V("x"), 0), SHARED_FULL);
    assert_notes(w, &other, 0);
    asked_init(&a, w, SHARED_STATE);
    shared_tokens_take(w->ports[PORT_A], &a.call, &rate, 1);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_FULL);
    assert_int_equal(post(w, &b, "a", V("short"), 0), SHARED_OK); /* gives room */
    assert_int_equal(post(w, &b, "b", V("x"), 0), SHARED_OK);
    shared_tokens_take(w->ports[PORT_A], &a.call, &rate, 1);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
}

static void all_room_is_given_back(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = {.key = key(w, "log"), .channel = key(w, "ch"), .max = 3};
    struct shared_lease mine = {.key = key(w, "l"),
                                .fence_key = key(w, "f"),
                                .owner = V("me"),
                                .channel = log.channel,
                                .lease_ms = CONTRACT_LONG_MS,
                                .fence_ttl_ms = CONTRACT_LONG_MS};
    struct shared_lease yours = mine;
    struct shared_board board = {.key = key(w, "board")};
    struct shared_rate rate = {.key = key(w, "rate"), .interval_us = 1000000, .burst = 9};
    struct asked a;
    int i;

    yours.owner = V("you");
    asked_init(&a, w, SHARED_STATE);
    for (i = 0; i < 10; i++) {
        shared_log_append(w->ports[PORT_A], &a.call, &log, V("record"));
        asked_await(&a);
    }
    shared_lease_take(w->ports[PORT_A], &a.call, &mine);
    asked_await(&a);
    shared_lease_take(w->ports[PORT_A], &a.call, &yours);
    asked_await(&a);
    shared_lease_wake(w->ports[PORT_A], &a.call, &mine, V("hint"));
    asked_await(&a);
    assert_int_equal(a.call.number, 1);
    put_sized(w, SHARED_STATE, key(w, "k"), 100, CONTRACT_BRIEF_MS);
    assert_int_equal(post(w, &board, "a", V("entry"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(post(w, &board, "a", V("longer entry"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(post(w, &board, "b", V("gone"), 1), SHARED_OK);
    shared_tokens_take(w->ports[PORT_A], &a.call, &rate, 1);
    asked_await(&a);
    assert_true(bytes_in(w, SHARED_STATE) > 0);
    assert_int_equal(remove_key(w, log.key), 1);
    pass(w, CONTRACT_LONG_MS + 1);
    for (i = 0; bytes_in(w, SHARED_STATE) > 0 && i < 200; i++) {
        char name[32];

        snprintf(name, sizeof(name), "w1:{%d}:none", i); /* looks into one shard each */
        assert_false(is_there(w, SHARED_STATE, weir_span_str(name)));
    }
    assert_int_equal(bytes_in(w, SHARED_STATE), 0);
}

static void too_many_hints_become_a_gap(void **state)
{
    enum { MANY = 1500 };
    struct world *w = world_of(state);
    struct asked *a = calloc(MANY, sizeof(*a));
    struct weir_span ch = key(w, "ch");
    struct hearer h;
    int i;

    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, ch);
    for (i = 0; i < MANY; i++) {
        asked_init(&a[i], w, SHARED_STATE);
        shared_hint(w->ports[PORT_A], &a[i].call, ch, V("hint"));
    }
    for (i = 0; i < MANY; i++) {
        await(w, &a[i].done, 1);
        assert_int_equal(a[i].call.result, SHARED_OK);
    }
    await(w, &h.gaps, 2);
    assert_int_equal(h.gaps, 2);
    settle(w, &h, ch); /* and all is well again */
    assert_in_range(h.hints, 1, MANY - 1);
    free(a);
}

static struct weir_shared *open_small(void *arg)
{
    const struct shared_embedded_options options = {
        .bytes_max = {[SHARED_CACHE] = LIMIT_BYTES, [SHARED_STATE] = LIMIT_BYTES}};
    struct weir_err err;

    (void)arg;
    return shared_embedded_new(&options, &err);
}

int main(void)
{
    static const struct contract_engine small = {.name = "embedded",
                                                 .open = open_small,
                                                 .simulated = true};
    static const struct CMUnitTest tests[] = {
        CONTRACT_TEST(a_full_cache_drops_what_was_not_used_for_longest),
        CONTRACT_TEST(full_state_refuses_and_drops_nothing),
        CONTRACT_TEST(what_has_run_out_makes_room),
        CONTRACT_TEST(a_value_replaced_needs_no_room_of_its_own),
        CONTRACT_TEST(what_can_never_fit_throws_nothing_out),
        CONTRACT_TEST(leases_logs_and_waiters_need_room_too),
        CONTRACT_TEST(boards_and_rates_need_room_too),
        CONTRACT_TEST(all_room_is_given_back),
        CONTRACT_TEST(too_many_hints_become_a_gap),
    };
    const struct contract_table table = {tests, sizeof(tests) / sizeof(tests[0])};

    return contract_run_table(&small, "bounds", &table);
}
