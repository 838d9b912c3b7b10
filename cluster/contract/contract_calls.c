/* What holds for every call: told once, from the loop; cancelled, dropped, used again; its rules.
 */
#include "contract_own.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

static struct world *world_of(void **state)
{
    return *state;
}

static void start_get(struct asked *a, struct world *w, int port, struct weir_span k)
{
    asked_init(a, w, SHARED_STATE);
    shared_get(w->ports[port], &a->call, k);
}

/* Long enough for any answer that would come. */
static void wait_for_nothing(struct world *w)
{
    struct asked a;
    int i;

    for (i = 0; i < w->port_count; i++) {
        assert_int_equal(get(w, &a, i, key(w, "nothing")), SHARED_NONE);
        asked_clear(&a);
    }
}

static void a_call_is_done_once_and_only_from_the_loop(void **state)
{
    struct world *w = world_of(state);
    struct asked a;

    start_get(&a, w, PORT_A, key(w, "k"));
    assert_int_equal(a.done, 0);
    asked_await(&a);
    wait_for_nothing(w);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.call.result, SHARED_NONE);
}

static void calls_of_one_port_may_all_be_under_way(void **state)
{
    struct world *w = world_of(state);
    struct asked a[100];
    int i;

    for (i = 0; i < 100; i++)
        start_get(&a[i], w, i % 2, key(w, "k"));
    for (i = 0; i < 100; i++) {
        await(w, &a[i].done, 1);
        assert_int_equal(a[i].call.result, SHARED_NONE);
    }
    wait_for_nothing(w);
    for (i = 0; i < 100; i++)
        assert_int_equal(a[i].done, 1);
}

struct chain {
    struct asked a; /* first */
    int left;
    struct weir_span k;
};

static void ask_again(struct shared_call *c)
{
    struct chain *chain = (struct chain *)(void *)c;

    chain->a.done++;
    if (chain->left-- > 0)
        shared_get(chain->a.w->ports[PORT_A], c, chain->k);
}

static void a_call_may_be_used_again_inside_done(void **state)
{
    struct world *w = world_of(state);
    struct chain chain = {.left = 4, .k = key(w, "k")};

    asked_init(&chain.a, w, SHARED_STATE);
    chain.a.call.done = ask_again;
    shared_get(w->ports[PORT_A], &chain.a.call, chain.k);
    await(w, &chain.a.done, 5);
    wait_for_nothing(w);
    assert_int_equal(chain.a.done, 5);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ++*(int *)arg;
}

static void a_caller_that_asks_again_and_again_does_not_stop_the_loop(void **state)
{
    static const struct timeval soon = {.tv_sec = 0, .tv_usec = 1000};
    struct world *w = world_of(state);
    struct chain chain = {.left = 1 << 30, .k = key(w, "k")};
    int fired = 0;
    struct event *timer = evtimer_new(w->base, on_timer, &fired);

    asked_init(&chain.a, w, SHARED_STATE);
    chain.a.call.done = ask_again;
    shared_get(w->ports[PORT_A], &chain.a.call, chain.k);
    event_add(timer, &soon);
    await(w, &fired, 1);
    await(w, &chain.a.done, 3);
    shared_cancel(w->ports[PORT_A], &chain.a.call);
    event_free(timer);
}

struct mortal {
    struct asked a; /* first */
    int *freed;
};

static void free_itself(struct shared_call *c)
{
    struct mortal *m = (struct mortal *)(void *)c;

    shared_call_clear(c);
    ++*m->freed;
    free(m);
}

static void a_call_may_be_freed_inside_done(void **state)
{
    struct world *w = world_of(state);
    struct mortal *m = malloc(sizeof(*m));
    int freed = 0;

    m->freed = &freed;
    start_get(&m->a, w, PORT_A, key(w, "k"));
    m->a.call.done = free_itself;
    await(w, &freed, 1);
}

static void a_cancelled_call_is_not_done(void **state)
{
    struct world *w = world_of(state);
    struct asked at_once, later;

    start_get(&at_once, w, PORT_A, key(w, "k"));
    start_get(&later, w, PORT_A, key(w, "k"));
    shared_cancel(w->ports[PORT_A], &at_once.call);
    shared_cancel(w->ports[PORT_A], &later.call);
    wait_for_nothing(w);
    assert_int_equal(at_once.done, 0);
    assert_int_equal(later.done, 0);
    shared_get(w->ports[PORT_A], &at_once.call, key(w, "k")); /* as good as new */
    asked_await(&at_once);
}

static void a_cancelled_get_gives_back_its_value(void **state)
{
    struct world *w = world_of(state);
    struct weir_span k = key(w, "k");
    struct asked a;

    assert_int_equal(put(w, k, WEIR_SPAN_LIT("value"), CONTRACT_LONG_MS), SHARED_OK);
    start_get(&a, w, PORT_A, k);
    shared_cancel(w->ports[PORT_A], &a.call);
    assert_null(a.call.value.blob);
    assert_int_equal(get(w, &a, PORT_A, k), SHARED_OK);
    shared_cancel(w->ports[PORT_A], &a.call); /* nothing is under way: clears */
    assert_null(a.call.value.blob);
    shared_cancel(w->ports[PORT_A], &a.call);
    shared_call_clear(&a.call);
    assert_value(w, k, WEIR_SPAN_LIT("value"));
}

struct canceller {
    struct asked a; /* first */
    struct shared_call *other;
};

static void cancel_both(struct shared_call *c)
{
    struct canceller *me = (struct canceller *)(void *)c;

    me->a.done++;
    shared_cancel(me->a.w->ports[PORT_A], me->other); /* complete by now, or under way */
    shared_cancel(me->a.w->ports[PORT_A], c);         /* itself: harmless */
}

static void done_may_cancel_other_calls_and_itself(void **state)
{
    struct world *w = world_of(state);
    struct canceller first;
    struct asked second, third;

    asked_init(&first.a, w, SHARED_STATE);
    asked_init(&second, w, SHARED_STATE);
    asked_init(&third, w, SHARED_STATE);
    first.a.call.done = cancel_both;
    first.other = &second.call;
    shared_get(w->ports[PORT_A], &first.a.call, key(w, "k"));
    shared_get(w->ports[PORT_A], &second.call, key(w, "k"));
    shared_get(w->ports[PORT_A], &third.call, key(w, "k"));
    asked_await(&first.a);
    await(w, &third.done, 1);
    wait_for_nothing(w);
    assert_int_equal(first.a.done, 1);
    assert_int_equal(second.done, 0);
    assert_int_equal(third.done, 1);
}

static void a_freed_port_drops_its_calls(void **state)
{
    struct world *w = world_of(state);
    struct asked a[3];
    int i;

    for (i = 0; i < 3; i++)
        start_get(&a[i], w, PORT_A, key(w, "k"));
    shared_port_free(w->ports[PORT_A]);
    w->ports[PORT_A] = NULL; /* freeing NULL does nothing */
    for (i = 0; i < 10; i++)
        turn(w);
    for (i = 0; i < 3; i++) {
        assert_int_equal(a[i].done, 0);
        shared_call_clear(&a[i].call);
    }
    shared_get(w->ports[PORT_B], &a[0].call, key(w, "k")); /* as good as new, elsewhere too */
    asked_await(&a[0]);
}

static void free_port(struct shared_call *c)
{
    struct asked *a = (struct asked *)(void *)c;

    a->done++;
    shared_port_free(a->w->ports[PORT_A]);
    a->w->ports[PORT_A] = NULL;
}

static void done_may_free_the_port(void **state)
{
    struct world *w = world_of(state);
    struct asked a[3];
    int i;

    for (i = 0; i < 3; i++)
        start_get(&a[i], w, PORT_A, key(w, "k"));
    a[0].call.done = free_port;
    await(w, &a[0].done, 1);
    for (i = 0; i < 10; i++)
        turn(w);
    assert_int_equal(a[0].done, 1);
    assert_int_equal(a[1].done + a[2].done, 0);
}

static void the_answer_before_is_gone_when_a_call_is_used_again(void **state)
{
    struct world *w = world_of(state);
    struct shared_log log = {.key = key(w, "log"), .channel = key(w, "channel"), .max = 10};
    struct weir_span k = key(w, "k");
    struct asked a;

    assert_int_equal(put(w, k, WEIR_SPAN_LIT("value"), CONTRACT_LONG_MS), SHARED_OK);
    assert_int_equal(get(w, &a, PORT_A, k), SHARED_OK);
    shared_log_append(w->ports[PORT_A], &a.call, &log, WEIR_SPAN_LIT("record"));
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    assert_null(a.call.value.blob);
    assert_true(a.call.number > 0);
    shared_log_read(w->ports[PORT_A], &a.call, &log, 0, 10);
    asked_await(&a);
    assert_int_equal(a.call.entry_count, 2);
    shared_get(w->ports[PORT_A], &a.call, key(w, "none"));
    asked_await(&a);
    assert_int_equal(a.call.entry_count, 0);
    assert_null(a.call.entries);
    assert_int_equal(a.call.number, 0);
    assert_int_equal(a.call.log_last, 0);
    asked_clear(&a);
}

/* ---- the rules ---- */

static void assert_bad(struct asked *a)
{
    assert_int_equal(a->done, 0);
    asked_await(a);
    assert_int_equal(a->call.result, SHARED_BAD);
    a->done = 0;
}

static void keys_that_are_empty_or_too_long_are_bad(void **state)
{
    struct world *w = world_of(state);
    struct shared_port *p = w->ports[PORT_A];
    struct shared_listener l = {.on_hint = NULL};
    struct weir_slice s = slice_of(WEIR_SPAN_LIT("v"));
    char bytes[SHARED_KEY_MAX + 1];
    struct weir_span bad[2] = {WEIR_SPAN_NONE, weir_span(bytes, sizeof(bytes))};
    struct weir_err err = {.code = WEIR_OK};
    struct hearer h;
    struct asked a;
    int i;

    memset(bytes, 'k', sizeof(bytes));
    asked_init(&a, w, SHARED_STATE);
    for (i = 0; i < 2; i++) {
        shared_get(p, &a.call, bad[i]);
        assert_bad(&a);
        shared_put(p, &a.call, bad[i], &s, 1, CONTRACT_LONG_MS);
        assert_bad(&a);
        shared_put_new(p, &a.call, bad[i], &s, 1, CONTRACT_LONG_MS);
        assert_bad(&a);
        shared_remove(p, &a.call, bad[i]);
        assert_bad(&a);
        shared_remove_if(p, &a.call, bad[i], 0, WEIR_SPAN_LIT("v"));
        assert_bad(&a);
        shared_touch(p, &a.call, bad[i], 1000);
        assert_bad(&a);
        shared_hint(p, &a.call, bad[i], WEIR_SPAN_LIT("v"));
        assert_bad(&a);
        hearer_init(&h, w);
        l = h.listener;
        assert_false(shared_listen(p, &l, SHARED_STATE, bad[i], &err));
        assert_int_not_equal(err.code, WEIR_OK);
    }
    weir_blob_unref(s.blob);
}

static void values_too_large_or_without_a_life_are_bad(void **state)
{
    struct world *w = world_of(state);
    struct shared_port *p = w->ports[PORT_A];
    struct weir_blob *b = weir_blob_new(SHARED_VALUE_MAX / 2 + 1);
    struct weir_slice halves[2];
    struct weir_span k = key(w, "k");
    struct asked a;

    b->len = SHARED_VALUE_MAX / 2 + 1;
    memset(b->bytes, 'v', b->len);
    halves[0] = halves[1] = (struct weir_slice){.blob = b, .len = b->len};
    asked_init(&a, w, SHARED_STATE);
    shared_put(p, &a.call, k, halves, 2, CONTRACT_LONG_MS);
    assert_bad(&a);
    shared_put(p, &a.call, k, halves, 1, 0);
    assert_bad(&a);
    shared_put_new(p, &a.call, k, halves, 1, -1);
    assert_bad(&a);
    shared_touch(p, &a.call, k, 0);
    assert_bad(&a);
    shared_remove_if(p, &a.call, k, 0, WEIR_SPAN_NONE);
    assert_bad(&a);
    assert_no_value(w, k);
    weir_blob_unref(b);
}

static void keys_that_do_not_belong_together_are_bad(void **state)
{
    struct world *w = world_of(state);
    struct shared_port *p = w->ports[PORT_A];
    struct weir_span k = key(w, "k"), other = WEIR_SPAN_LIT("w1:{another}:f");
    struct weir_slice s = slice_of(WEIR_SPAN_LIT("v"));
    struct shared_lease lease = {.key = k,
                                 .fence_key = other,
                                 .owner = WEIR_SPAN_LIT("me"),
                                 .lease_ms = 1000,
                                 .fence_ttl_ms = 1000};
    struct shared_log log = {.key = k, .channel = other, .max = 1};
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_put_fenced(p, &a.call, k, other, 1, &s, 1, CONTRACT_LONG_MS);
    assert_bad(&a);
    shared_put_fenced(p, &a.call, k, k, 1, &s, 1, CONTRACT_LONG_MS); /* one key for two things */
    assert_bad(&a);
    shared_lease_take(p, &a.call, &lease);
    assert_bad(&a);
    lease.fence_key = k;
    shared_lease_take(p, &a.call, &lease);
    assert_bad(&a);
    shared_log_append(p, &a.call, &log, WEIR_SPAN_LIT("record"));
    assert_bad(&a);
    log.channel = WEIR_SPAN_LIT("no braces");
    shared_log_open(p, &a.call, &log);
    assert_bad(&a);
    assert_no_value(w, k);
    weir_blob_unref(s.blob);
}

static void leases_against_the_rules_are_bad(void **state)
{
    struct world *w = world_of(state);
    struct shared_port *p = w->ports[PORT_A];
    char owner[SHARED_OWNER_MAX + 1] = {'o'}, hint[SHARED_HINT_MAX + 1] = {'h'};
    struct shared_lease good = {.key = key(w, "l"),
                                .fence_key = key(w, "f"),
                                .owner = WEIR_SPAN_LIT("me"),
                                .lease_ms = 1000,
                                .fence_ttl_ms = 1000};
    struct shared_lease l = good;
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    l.owner = WEIR_SPAN_NONE;
    shared_lease_take(p, &a.call, &l);
    assert_bad(&a);
    l.owner = weir_span(owner, sizeof(owner));
    shared_lease_take(p, &a.call, &l);
    assert_bad(&a);
    l = good;
    l.lease_ms = 0;
    shared_lease_take(p, &a.call, &l);
    assert_bad(&a);
    l = good;
    l.fence_ttl_ms = 0;
    shared_lease_renew(p, &a.call, &l);
    assert_bad(&a);
    shared_lease_wake(p, &a.call, &good, weir_span(hint, sizeof(hint)));
    assert_bad(&a);
    shared_lease_release(p, &a.call, &good, weir_span(hint, sizeof(hint)));
    assert_bad(&a);
}

static void records_and_hints_against_the_rules_are_bad(void **state)
{
    struct world *w = world_of(state);
    struct shared_port *p = w->ports[PORT_A];
    char *bytes = calloc(1, SHARED_RECORD_MAX + 1);
    struct shared_log log = {.key = key(w, "log"), .channel = key(w, "ch"), .max = 1};
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_log_append(p, &a.call, &log, WEIR_SPAN_NONE);
    assert_bad(&a);
    shared_log_append(p, &a.call, &log, weir_span(bytes, SHARED_RECORD_MAX + 1));
    assert_bad(&a);
    shared_log_read(p, &a.call, &log, 0, 0);
    assert_bad(&a);
    shared_hint(p, &a.call, log.channel, weir_span(bytes, SHARED_HINT_MAX + 1));
    assert_bad(&a);
    log.max = 0;
    shared_log_open(p, &a.call, &log);
    assert_bad(&a);
    free(bytes);
}

/* ---- seeing ---- */

static void results_are_counted_by_area(void **state)
{
    struct world *w = world_of(state);
    struct shared_counts before, after;
    struct asked a;

    wait_for_nothing(w);
    shared_port_counts(w->ports[PORT_A], &before);
    asked_init(&a, w, SHARED_CACHE);
    shared_get(w->ports[PORT_A], &a.call, key(w, "k"));
    asked_await(&a);
    shared_get(w->ports[PORT_A], &a.call, WEIR_SPAN_NONE);
    asked_await(&a);
    shared_port_counts(w->ports[PORT_A], &after);
    assert_int_equal(after.results[SHARED_CACHE][SHARED_NONE],
                     before.results[SHARED_CACHE][SHARED_NONE] + 1);
    assert_int_equal(after.results[SHARED_CACHE][SHARED_BAD],
                     before.results[SHARED_CACHE][SHARED_BAD] + 1);
    assert_int_equal(after.results[SHARED_STATE][SHARED_NONE],
                     before.results[SHARED_STATE][SHARED_NONE]);
}

static void an_engine_says_what_it_is(void **state)
{
    struct world *w = world_of(state);
    int i, j;

    assert_string_equal(shared_engine_name(w->shared), w->engine->name);
    assert_int_equal(shared_is_farm(w->shared), w->engine->farm);
    wait_for_nothing(w);
    assert_true(shared_ready(w->ports[PORT_A], SHARED_CACHE));
    assert_true(shared_ready(w->ports[PORT_A], SHARED_STATE));
    for (i = 0; i < SHARED_RESULTS; i++)
        for (j = 0; j < i; j++)
            assert_string_not_equal(shared_result_text((enum shared_result)i),
                                    shared_result_text((enum shared_result)j));
}

static const struct CMUnitTest tests[] = {
    CONTRACT_TEST(a_call_is_done_once_and_only_from_the_loop),
    CONTRACT_TEST(calls_of_one_port_may_all_be_under_way),
    CONTRACT_TEST(a_call_may_be_used_again_inside_done),
    CONTRACT_TEST(a_caller_that_asks_again_and_again_does_not_stop_the_loop),
    CONTRACT_TEST(a_call_may_be_freed_inside_done),
    CONTRACT_TEST(a_cancelled_call_is_not_done),
    CONTRACT_TEST(a_cancelled_get_gives_back_its_value),
    CONTRACT_TEST(done_may_cancel_other_calls_and_itself),
    CONTRACT_TEST(a_freed_port_drops_its_calls),
    CONTRACT_TEST(done_may_free_the_port),
    CONTRACT_TEST(the_answer_before_is_gone_when_a_call_is_used_again),
    CONTRACT_TEST(keys_that_are_empty_or_too_long_are_bad),
    CONTRACT_TEST(values_too_large_or_without_a_life_are_bad),
    CONTRACT_TEST(keys_that_do_not_belong_together_are_bad),
    CONTRACT_TEST(leases_against_the_rules_are_bad),
    CONTRACT_TEST(records_and_hints_against_the_rules_are_bad),
    CONTRACT_TEST(results_are_counted_by_area),
    CONTRACT_TEST(an_engine_says_what_it_is),
};

const struct contract_table contract_calls = {tests, sizeof(tests) / sizeof(tests[0])};
