/* What holds for values. */
#include "contract_own.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define V(s) WEIR_SPAN_LIT(s)

static struct world *world_of(void **state)
{
    return *state;
}

static void what_was_put_is_got_through_every_port(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");

    assert_no_value(w, k);
    assert_int_equal(put(w, k, V("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_value(w, k, V("value"));
}

static void both_areas_keep_values(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");
    struct weir_slice s = slice_of(V("cached"));
    struct asked a;

    asked_init(&a, w, SHARED_CACHE);
    shared_put(w->ports[PORT_A], &a.call, k, &s, 1, CONTRACT_LONG_MS);
    weir_blob_unref(s.blob);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    shared_get(w->ports[PORT_B], &a.call, k);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_memory_equal(weir_slice_ptr(a.call.value), "cached", 6);
    asked_clear(&a);
}

static void keys_and_values_are_any_bytes(void **state)
{
    struct world *w = world_of(state);
    char bytes[256], k[64];
    struct weir_span prefix = key(w, "");
    struct weir_span binary;
    int i;

    for (i = 0; i < 256; i++)
        bytes[i] = (char)i;
    memcpy(k, prefix.ptr, prefix.len);
    memcpy(k + prefix.len, "\0 \r\n$*\"%s\xff", 10);
    binary = weir_span(k, prefix.len + 10);
    assert_int_equal(put(w, binary, weir_span(bytes, 256), CONTRACT_LONG_MS), SHARED_OK);
    assert_value(w, binary, weir_span(bytes, 256));
    binary.len--; /* a beginning of it is another key */
    assert_no_value(w, binary);
}

static void a_value_may_be_empty(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k"), none = key(w, "none");
    struct weir_slice nothing = {.blob = NULL};
    struct asked a;

    assert_int_equal(put(w, k, V(""), CONTRACT_LONG_MS), SHARED_OK);
    assert_value(w, k, V(""));
    asked_init(&a, w, SHARED_STATE);
    shared_put(w->ports[PORT_A], &a.call, none, &nothing, 1, CONTRACT_LONG_MS);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    shared_put(w->ports[PORT_A], &a.call, k, NULL, 0, CONTRACT_LONG_MS);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_value(w, none, V(""));
    assert_value(w, k, V(""));
}

static void the_largest_key_and_value_fit(void **state)
{
    struct world *w = world_of(state);
    char *value = malloc(SHARED_VALUE_MAX);
    char k[SHARED_KEY_MAX];
    struct weir_span prefix = key(w, "");
    int i;

    memset(k, 'k', sizeof(k));
    memcpy(k, prefix.ptr, prefix.len);
    for (i = 0; i < SHARED_VALUE_MAX; i++)
        value[i] = (char)(i ^ i >> 8 ^ i >> 16);
    assert_int_equal(put(w, weir_span(k, sizeof(k)), weir_span(value, SHARED_VALUE_MAX),
                         CONTRACT_LONG_MS),
                     SHARED_OK);
    assert_value(w, weir_span(k, sizeof(k)), weir_span(value, SHARED_VALUE_MAX));
    free(value);
}

static void a_value_is_put_together_from_slices(void **state)
{
    struct world *w = world_of(state);
    struct weir_slice whole = slice_of(V("0123456789"));
    struct weir_slice slices[4] = {whole, {.blob = NULL}, whole, whole};
    struct weir_span k = key(w, "k");
    struct asked a;

    slices[0].len = 3;
    slices[2].off = 8;
    slices[2].len = 2;
    slices[3].off = 4;
    slices[3].len = 1;
    asked_init(&a, w, SHARED_STATE);
    shared_put(w->ports[PORT_A], &a.call, k, slices, 4, CONTRACT_LONG_MS);
    weir_blob_unref(whole.blob);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_value(w, k, V("012894"));
}

static void a_part_of_a_large_blob_is_a_value(void **state)
{
    struct world *w = world_of(state);
    struct weir_blob *b = weir_blob_new(200000);
    struct weir_slice s = {.blob = b, .off = 100000, .len = 5};
    struct weir_span k = key(w, "k");
    struct asked a;

    b->len = 200000;
    memset(b->bytes, 'x', b->len);
    memcpy(b->bytes + s.off, "value", 5);
    asked_init(&a, w, SHARED_STATE);
    shared_put(w->ports[PORT_A], &a.call, k, &s, 1, CONTRACT_LONG_MS);
    weir_blob_unref(b);
    asked_await(&a);
    assert_value(w, k, V("value"));
}

static void a_value_taken_over_stays_after_the_call_is_cleared(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");
    struct weir_slice mine;
    struct asked a;

    assert_int_equal(put(w, k, V("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(get(w, &a, PORT_A, k), SHARED_OK);
    mine = a.call.value;
    a.call.value.blob = NULL;
    asked_clear(&a);
    assert_int_equal(remove_key(w, k), 1);
    assert_memory_equal(weir_slice_ptr(mine), "value", 5);
    weir_blob_unref(mine.blob);
}

static void a_value_got_stays_as_it_was(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");
    struct asked a;

    assert_int_equal(put(w, k, V("one"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(get(w, &a, PORT_A, k), SHARED_OK);
    assert_int_equal(put(w, k, V("two"), CONTRACT_LONG_MS), SHARED_OK);
    assert_memory_equal(weir_slice_ptr(a.call.value), "one", 3);
    asked_clear(&a);
    assert_value(w, k, V("two"));
}

static void a_value_ends_with_its_time(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k"), longer = key(w, "longer");

    assert_int_equal(put(w, longer, V("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(put(w, k, V("value"), CONTRACT_BRIEF_MS), SHARED_OK);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_no_value(w, k);
    assert_int_equal(remove_key(w, k), 0);
    assert_value(w, longer, V("value"));
}

static void a_value_put_again_gets_a_new_time(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k"), shorter = key(w, "shorter");

    assert_int_equal(put(w, k, V("old"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(put(w, k, V("new"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(put(w, shorter, V("old"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(put(w, shorter, V("new"), CONTRACT_BRIEF_MS), SHARED_OK);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_value(w, k, V("new"));
    assert_no_value(w, shorter);
}

static void a_life_may_be_of_any_length(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");

    assert_int_equal(put(w, k, V("value"), INT64_MAX), SHARED_OK);
    assert_int_equal(touch(w, k, INT64_MAX), SHARED_OK);
    assert_value(w, k, V("value"));
    assert_int_equal(remove_key(w, k), 1);
}

static void put_new_sets_only_where_there_is_none(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");

    assert_int_equal(put_new(w, k, V("first"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(put_new(w, k, V("second"), CONTRACT_LONG_MS), SHARED_REFUSED);
    assert_value(w, k, V("first"));
    pass(w, CONTRACT_BRIEF_MS + 1); /* the time of the first was left as it was */
    assert_int_equal(put_new(w, k, V("third"), CONTRACT_LONG_MS), SHARED_OK);
    assert_value(w, k, V("third"));
    assert_int_equal(remove_key(w, k), 1);
    assert_int_equal(put_new(w, k, V("fourth"), CONTRACT_LONG_MS), SHARED_OK);
}

static void remove_says_whether_there_was_one(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");

    assert_int_equal(put(w, k, V("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(remove_key(w, k), 1);
    assert_int_equal(remove_key(w, k), 0);
    assert_no_value(w, k);
}

static void remove_if_compares_where_it_is_told_to(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");

    assert_int_equal(remove_if(w, k, 0, V("v")), SHARED_NONE);
    assert_int_equal(put(w, k, V("head:12\0:tail"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(remove_if(w, k, 5, V("13")), SHARED_REFUSED);
    assert_int_equal(remove_if(w, k, 4, V("12")), SHARED_REFUSED);
    assert_int_equal(remove_if(w, k, 9, V("tail and more")), SHARED_REFUSED);
    assert_int_equal(remove_if(w, k, 13, V("1")), SHARED_REFUSED);
    assert_int_equal(remove_if(w, k, 1000, V("1")), SHARED_REFUSED);
    assert_value(w, k, V("head:12\0:tail"));
    assert_int_equal(remove_if(w, k, 5, V("12\0:")), SHARED_OK);
    assert_no_value(w, k);
    assert_int_equal(put(w, k, V("all"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(remove_if(w, k, 0, V("all")), SHARED_OK);
    assert_int_equal(put(w, k, V(""), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(remove_if(w, k, 0, V("a")), SHARED_REFUSED);
}

static void touch_lengthens_a_life_and_never_shortens_it(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k"), longer = key(w, "longer");

    assert_int_equal(touch(w, k, 1000), SHARED_NONE);
    assert_int_equal(put(w, k, V("value"), CONTRACT_BRIEF_MS), SHARED_OK);
    assert_int_equal(put(w, longer, V("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(touch(w, k, CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(touch(w, longer, CONTRACT_BRIEF_MS / 2), SHARED_OK);
    pass(w, CONTRACT_BRIEF_MS + 1);
    assert_value(w, k, V("value"));
    assert_value(w, longer, V("value"));
}

/* ---- fences ---- */

static struct shared_lease lease_by(struct world *w, const char *owner)
{
    return (struct shared_lease){.key = key(w, "l"),
                                 .fence_key = key(w, "f"),
                                 .owner = weir_span_str(owner),
                                 .lease_ms = CONTRACT_LONG_MS,
                                 .fence_ttl_ms = CONTRACT_LONG_MS};
}

/* Takes the lease and gives it up: one fence more. */
static uint64_t give_out_a_fence(struct world *w)
{
    struct shared_lease l = lease_by(w, "me");
    struct asked a;
    uint64_t fence;

    asked_init(&a, w, SHARED_STATE);
    shared_lease_take(w->ports[PORT_A], &a.call, &l);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    fence = a.call.number;
    shared_lease_release(w->ports[PORT_A], &a.call, &l, WEIR_SPAN_NONE);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    return fence;
}

static void put_fenced_refuses_an_older_fence(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "m"), f = key(w, "f");
    uint64_t older, newer;

    older = give_out_a_fence(w);
    assert_int_equal(put_fenced(w, k, f, older, V("older")), SHARED_OK);
    assert_value(w, k, V("older"));
    newer = give_out_a_fence(w);
    assert_true(newer > older);
    assert_int_equal(put_fenced(w, k, f, older, V("late")), SHARED_REFUSED);
    assert_value(w, k, V("older"));
    assert_int_equal(put_fenced(w, k, f, newer, V("newer")), SHARED_OK);
    assert_int_equal(put_fenced(w, k, f, newer, V("newer still")), SHARED_OK);
    assert_value(w, k, V("newer still"));
}

static void put_fenced_is_done_where_no_fence_is_remembered(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "m");

    assert_int_equal(put_fenced(w, k, key(w, "f"), 7, V("value")), SHARED_OK);
    assert_value(w, k, V("value"));
}

/* ---- kinds ---- */

static void a_key_of_another_kind_is_bad(void **state)
{
    struct world *w = world_of(state);
    struct shared_port *p = w->ports[PORT_A];
    struct weir_span k = key(w, "k");
    struct shared_log log = {.key = k, .channel = key(w, "ch"), .max = 10};
    struct shared_lease l = lease_by(w, "me");
    struct asked a;

    l.key = k;
    assert_int_equal(put(w, k, V("value"), CONTRACT_LONG_MS), SHARED_OK);
    asked_init(&a, w, SHARED_STATE);
    shared_log_append(p, &a.call, &log, V("record"));
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    shared_log_open(p, &a.call, &log);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    shared_log_read(p, &a.call, &log, 0, 10);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    shared_lease_take(p, &a.call, &l);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    shared_lease_renew(p, &a.call, &l);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    shared_lease_release(p, &a.call, &l, WEIR_SPAN_NONE);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_BAD);
    assert_value(w, k, V("value"));
}

static void a_log_is_no_value_but_can_be_replaced_and_removed(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = {.key = key(w, "log"), .channel = key(w, "ch"), .max = 10};
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_log_append(w->ports[PORT_A], &a.call, &log, V("record"));
    asked_await(&a);
    assert_int_equal(get(w, &a, PORT_A, log.key), SHARED_BAD);
    assert_int_equal(remove_if(w, log.key, 0, V("r")), SHARED_BAD);
    assert_int_equal(put_new(w, log.key, V("value"), CONTRACT_LONG_MS), SHARED_REFUSED);
    assert_int_equal(put(w, log.key, V("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_value(w, log.key, V("value"));
    assert_int_equal(remove_key(w, log.key), 1);
    asked_init(&a, w, SHARED_STATE);
    shared_log_append(w->ports[PORT_A], &a.call, &log, V("record"));
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_int_equal(remove_key(w, log.key), 1);
}

static void many_keys_are_kept_apart(void **state)
{
    enum { MANY = 3000 };
    struct world *w = world_of(state);
    struct asked *asked = calloc(MANY, sizeof(*asked));
    char name[32];
    int i;

    for (i = 0; i < MANY; i++) {
        struct weir_slice s;

        snprintf(name, sizeof(name), "k%d", i);
        s = slice_of(weir_span_str(name));
        asked_init(&asked[i], w, SHARED_STATE);
        shared_put(w->ports[PORT_A], &asked[i].call, key(w, name), &s, 1, CONTRACT_LONG_MS);
        weir_blob_unref(s.blob);
        if (i % 50 == 49) /* an engine may refuse to have too much under way */
            await(w, &asked[i].done, 1);
    }
    for (i = 0; i < MANY; i++) {
        await(w, &asked[i].done, 1);
        assert_int_equal(asked[i].call.result, SHARED_OK);
    }
    for (i = 0; i < MANY; i += 97) {
        snprintf(name, sizeof(name), "k%d", i);
        assert_value(w, key(w, name), weir_span_str(name));
    }
    free(asked);
}

static const struct CMUnitTest tests[] = {
    CONTRACT_TEST(what_was_put_is_got_through_every_port),
    CONTRACT_TEST(both_areas_keep_values),
    CONTRACT_TEST(keys_and_values_are_any_bytes),
    CONTRACT_TEST(a_value_may_be_empty),
    CONTRACT_TEST(the_largest_key_and_value_fit),
    CONTRACT_TEST(a_value_is_put_together_from_slices),
    CONTRACT_TEST(a_part_of_a_large_blob_is_a_value),
    CONTRACT_TEST(a_value_taken_over_stays_after_the_call_is_cleared),
    CONTRACT_TEST(a_value_got_stays_as_it_was),
    CONTRACT_TEST(a_value_ends_with_its_time),
    CONTRACT_TEST(a_value_put_again_gets_a_new_time),
    CONTRACT_TEST(a_life_may_be_of_any_length),
    CONTRACT_TEST(put_new_sets_only_where_there_is_none),
    CONTRACT_TEST(remove_says_whether_there_was_one),
    CONTRACT_TEST(remove_if_compares_where_it_is_told_to),
    CONTRACT_TEST(touch_lengthens_a_life_and_never_shortens_it),
    CONTRACT_TEST(put_fenced_refuses_an_older_fence),
    CONTRACT_TEST(put_fenced_is_done_where_no_fence_is_remembered),
    CONTRACT_TEST(a_key_of_another_kind_is_bad),
    CONTRACT_TEST(a_log_is_no_value_but_can_be_replaced_and_removed),
    CONTRACT_TEST(many_keys_are_kept_apart),
};

const struct contract_table contract_values = {tests, sizeof(tests) / sizeof(tests[0])};
