/* What holds for logs. */
#include "contract_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V(s) WEIR_SPAN_LIT(s)

static struct world *world_of(void **state)
{
    return *state;
}

static struct shared_log log_of(struct world *w, size_t max)
{
    return (struct shared_log){.key = key(w, "log"), .channel = key(w, "ch"), .max = max};
}

static uint64_t append(struct world *w, int port, const struct shared_log *log,
                       struct weir_span bytes)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_log_append(w->ports[port], &a.call, log, bytes);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    return a.call.number;
}

static uint64_t open_log(struct world *w, const struct shared_log *log)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_log_open(w->ports[PORT_B], &a.call, log);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    return a.call.number;
}

static void read_log(struct asked *a, struct world *w, int port, const struct shared_log *log,
                     uint64_t after, size_t max)
{
    asked_init(a, w, SHARED_STATE);
    shared_log_read(w->ports[port], &a->call, log, after, max);
    asked_await(a);
}

static void assert_entry(const struct asked *a, size_t i, uint64_t id, struct weir_span bytes)
{
    assert_in_range(i, 0, a->call.entry_count - 1);
    assert_true(a->call.entries[i].id == id);
    assert_int_equal(a->call.entries[i].bytes.len, bytes.len);
    if (bytes.len > 0)
        assert_memory_equal(a->call.entries[i].bytes.ptr, bytes.ptr, bytes.len);
}

static void records_are_read_in_the_order_they_were_written(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 100);
    uint64_t one, two, three;
    struct asked a;
    int port;

    one = append(w, PORT_A, &log, V("one"));
    two = append(w, PORT_B, &log, V("two"));
    three = append(w, w->port_count - 1, &log, V("three"));
    assert_true(one < two && two < three);
    for (port = 0; port < w->port_count; port++) {
        read_log(&a, w, port, &log, 0, 100);
        assert_int_equal(a.call.result, SHARED_OK);
        assert_int_equal(a.call.entry_count, 4);
        assert_entry(&a, 0, a.call.entries[0].id, V("")); /* the beginning */
        assert_true(a.call.entries[0].id < one);
        assert_entry(&a, 1, one, V("one"));
        assert_entry(&a, 2, two, V("two"));
        assert_entry(&a, 3, three, V("three"));
        assert_true(a.call.log_first == 0);
        assert_true(a.call.log_last == three);
        asked_clear(&a);
    }
}

static void reading_goes_on_after_what_was_read(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 100);
    uint64_t one = append(w, PORT_A, &log, V("one")), two = append(w, PORT_A, &log, V("two")),
             three = append(w, PORT_A, &log, V("three"));
    struct asked a;

    read_log(&a, w, PORT_A, &log, one, 1);
    assert_int_equal(a.call.entry_count, 1);
    assert_entry(&a, 0, two, V("two"));
    assert_true(a.call.log_last == three);
    asked_clear(&a);
    read_log(&a, w, PORT_A, &log, two, 10);
    assert_int_equal(a.call.entry_count, 1);
    assert_entry(&a, 0, three, V("three"));
    asked_clear(&a);
    read_log(&a, w, PORT_A, &log, three, 10);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_int_equal(a.call.entry_count, 0);
    assert_true(a.call.log_last == three);
    asked_clear(&a);
}

static void a_log_that_does_not_exist_is_none(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 10);
    struct asked a;

    read_log(&a, w, PORT_A, &log, 0, 10);
    assert_int_equal(a.call.result, SHARED_NONE);
    read_log(&a, w, PORT_A, &log, UINT64_MAX, 10);
    assert_int_equal(a.call.result, SHARED_NONE);
}

static void opening_makes_a_log_with_its_beginning(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 10);
    uint64_t beginning = open_log(w, &log), one;
    struct asked a;

    assert_true(beginning > 0);
    assert_true(open_log(w, &log) == beginning);
    read_log(&a, w, PORT_A, &log, 0, 10);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_int_equal(a.call.entry_count, 1);
    assert_entry(&a, 0, beginning, V(""));
    asked_clear(&a);
    one = append(w, PORT_A, &log, V("one"));
    assert_true(one > beginning);
    assert_true(open_log(w, &log) == one);
    read_log(&a, w, PORT_A, &log, beginning, 10); /* no second beginning */
    assert_int_equal(a.call.entry_count, 1);
    assert_entry(&a, 0, one, V("one"));
    asked_clear(&a);
}

static void an_id_is_the_millisecond_it_was_given_in(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 10);
    int64_t before = w->clock.wall_ms, ms;

    ms = (int64_t)(append(w, PORT_A, &log, V("one")) >> 20);
    assert_in_range(ms - before + 60000, 0, 120000); /* another machine's clock, perhaps */
    pass(w, 20);
    assert_true((int64_t)(append(w, PORT_A, &log, V("two")) >> 20) >= ms + 20);
}

static void a_log_made_again_goes_on_with_greater_ids(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 10);
    uint64_t last = append(w, PORT_A, &log, V("one"));
    struct asked a;

    assert_int_equal(remove_key(w, log.key), 1);
    read_log(&a, w, PORT_A, &log, last, 10);
    assert_int_equal(a.call.result, SHARED_NONE);
    pass(w, 5);
    append(w, PORT_A, &log, V("anew"));
    read_log(&a, w, PORT_A, &log, last, 10);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_int_equal(a.call.entry_count, 2);
    assert_entry(&a, 0, a.call.entries[0].id, V("")); /* this tells who knows the old one */
    asked_clear(&a);
}

static void an_id_is_greater_than_what_the_caller_knows_of(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 10);
    uint64_t one = append(w, PORT_A, &log, V("one")), two, three;

    log.above = one + ((uint64_t)3600000 << 20); /* an hour ahead */
    two = append(w, PORT_A, &log, V("two"));
    assert_true(two == log.above + 1);
    log.above = two | 0xfffff; /* the last of its millisecond */
    three = append(w, PORT_A, &log, V("three"));
    assert_true(three == log.above + 1);
    log.above = one;
    assert_true(append(w, PORT_A, &log, V("four")) == three + 1);
}

static void a_log_that_lost_its_end_shows_it(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 10);
    uint64_t last = append(w, PORT_A, &log, V("one"));
    struct asked a;

    read_log(&a, w, PORT_A, &log, last + ((uint64_t)1 << 30), 10);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_int_equal(a.call.entry_count, 0);
    assert_true(a.call.log_last == last);
    asked_clear(&a);
}

static void the_oldest_are_dropped_and_log_first_tells(void **state)
{
    enum { MAX = 5 };
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, MAX);
    size_t count = MAX + w->engine->log_slack + 1, i;
    uint64_t last = 0;
    struct asked a;

    for (i = 0; i < count; i++)
        last = append(w, PORT_A, &log, V("record"));
    read_log(&a, w, PORT_B, &log, 0, count + 10);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_in_range(a.call.entry_count, MAX, MAX + w->engine->log_slack);
    assert_true(a.call.log_first == a.call.entries[0].id);
    assert_true(a.call.entries[a.call.entry_count - 1].id == last);
    assert_true(a.call.log_last == last);
    asked_clear(&a);
}

static void the_beginning_is_a_record_that_counts(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 3);
    struct asked a;

    append(w, PORT_A, &log, V("one"));
    append(w, PORT_A, &log, V("two"));
    read_log(&a, w, PORT_A, &log, 0, 10);
    assert_int_equal(a.call.entry_count, 3);
    assert_true(a.call.log_first == 0);
    asked_clear(&a);
    if (w->engine->log_slack > 0)
        return;
    append(w, PORT_A, &log, V("three"));
    read_log(&a, w, PORT_A, &log, 0, 10);
    assert_int_equal(a.call.entry_count, 3);
    assert_entry(&a, 0, a.call.log_first, V("one"));
    asked_clear(&a);
}

static void records_are_any_bytes_up_to_their_limit(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 10);
    char *bytes = malloc(SHARED_RECORD_MAX);
    uint64_t large, nul;
    struct asked a;
    size_t i;

    for (i = 0; i < SHARED_RECORD_MAX; i++)
        bytes[i] = (char)(i ^ i >> 8);
    large = append(w, PORT_A, &log, weir_span(bytes, SHARED_RECORD_MAX));
    nul = append(w, PORT_A, &log, V("\0"));
    read_log(&a, w, PORT_B, &log, 0, 10);
    assert_int_equal(a.call.entry_count, 3);
    assert_entry(&a, 1, large, weir_span(bytes, SHARED_RECORD_MAX));
    assert_entry(&a, 2, nul, V("\0"));
    asked_clear(&a);
    free(bytes);
}

static void each_append_hints_its_id(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 10);
    struct hearer h[CONTRACT_PORTS] = {0};
    char digits[24];
    uint64_t id;
    int port;

    for (port = 0; port < w->port_count; port++) {
        hearer_init(&h[port], w);
        hearer_listen(&h[port], port, log.channel);
    }
    id = append(w, PORT_A, &log, V("one"));
    snprintf(digits, sizeof(digits), "%" PRIu64, id);
    for (port = 0; port < w->port_count; port++) {
        await(w, &h[port].hints, 1);
        assert_int_equal(h[port].last_len, strlen(digits));
        assert_memory_equal(h[port].last, digits, strlen(digits));
    }
    id = append(w, PORT_B, &log, V("two"));
    snprintf(digits, sizeof(digits), "%" PRIu64, id);
    for (port = 0; port < w->port_count; port++) {
        await(w, &h[port].hints, 2);
        assert_memory_equal(h[port].last, digits, strlen(digits));
    }
}

static void appends_under_way_together_all_get_ids_in_order(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = log_of(w, 100);
    struct asked a[50];
    int i;

    for (i = 0; i < 50; i++) {
        asked_init(&a[i], w, SHARED_STATE);
        shared_log_append(w->ports[PORT_A], &a[i].call, &log, V("record"));
    }
    for (i = 0; i < 50; i++) {
        await(w, &a[i].done, 1);
        assert_int_equal(a[i].call.result, SHARED_OK);
        assert_true(i == 0 || a[i].call.number > a[i - 1].call.number);
    }
}

static const struct CMUnitTest tests[] = {
    CONTRACT_TEST(records_are_read_in_the_order_they_were_written),
    CONTRACT_TEST(reading_goes_on_after_what_was_read),
    CONTRACT_TEST(a_log_that_does_not_exist_is_none),
    CONTRACT_TEST(opening_makes_a_log_with_its_beginning),
    CONTRACT_TEST(an_id_is_the_millisecond_it_was_given_in),
    CONTRACT_TEST(a_log_made_again_goes_on_with_greater_ids),
    CONTRACT_TEST(an_id_is_greater_than_what_the_caller_knows_of),
    CONTRACT_TEST(a_log_that_lost_its_end_shows_it),
    CONTRACT_TEST(the_oldest_are_dropped_and_log_first_tells),
    CONTRACT_TEST(the_beginning_is_a_record_that_counts),
    CONTRACT_TEST(records_are_any_bytes_up_to_their_limit),
    CONTRACT_TEST(each_append_hints_its_id),
    CONTRACT_TEST(appends_under_way_together_all_get_ids_in_order),
};

const struct contract_table contract_logs = {tests, sizeof(tests) / sizeof(tests[0])};
