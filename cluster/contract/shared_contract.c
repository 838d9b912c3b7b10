#include "contract_own.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURNS_MAX     20000
#define START_WALL_MS 1700000000000

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static void enter(void *arg)
{
    struct world *w = arg;

    assert_true(w->in_loop);
    w->entered++;
    if (!w->engine->simulated)
        weir_clock_update(&w->clock);
}

static void open_port(struct world *w, struct weir_shared *s)
{
    struct shared_loop loop = {.base = w->base, .enter = enter, .arg = w, .clock = &w->clock};
    struct weir_err err = {.code = WEIR_OK};

    w->ports[w->port_count] = shared_port_new(s, &loop, &err);
    assert_non_null(w->ports[w->port_count]);
    w->port_count++;
}

static void start_clock(struct world *w)
{
    if (w->engine->simulated) {
        w->clock.wall_ms = START_WALL_MS;
        w->clock.mono_ms = 1000000;
        w->clock.mono_us = w->clock.mono_ms * 1000;
    } else {
        weir_clock_update(&w->clock);
    }
}

/* cmocka hands the engine of the run to the first, and *state from there on. */
int world_setup(void **state)
{
    static unsigned tests_begun; /* names the keys of each test */
    struct world *w = calloc(1, sizeof(*w));

    w->engine = *state;
    w->number = ++tests_begun;
    w->base = event_base_new();
    w->tick = evtimer_new(w->base, on_tick, NULL);
    start_clock(w);
    w->shared = w->engine->open(w->engine->arg);
    assert_non_null(w->shared);
    open_port(w, w->shared);
    open_port(w, w->shared);
    if (w->engine->farm) {
        w->other_node = w->engine->open(w->engine->arg);
        assert_non_null(w->other_node);
        open_port(w, w->other_node);
    }
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    int i;

    for (i = 0; i < w->port_count; i++)
        shared_port_free(w->ports[i]);
    shared_free(w->shared);
    shared_free(w->other_node);
    event_free(w->tick);
    event_base_free(w->base);
    free(w);
    return 0;
}

struct weir_span key(struct world *w, const char *name)
{
    char *k = w->keys[w->keys_made++ % 16];
    int n = snprintf(k, sizeof(w->keys[0]), "w1:{c%ld.%u}:%s", (long)getpid(), w->number, name);

    return weir_span(k, (size_t)n);
}

void turn(struct world *w)
{
    static const struct timeval most = {.tv_sec = 0, .tv_usec = 2000};

    event_add(w->tick, &most);
    w->in_loop = true;
    event_base_loop(w->base, EVLOOP_ONCE);
    w->in_loop = false;
}

void pass(struct world *w, uint32_t ms)
{
    struct weir_clock real;
    int64_t until;

    if (w->engine->simulated) {
        w->clock.mono_ms += ms;
        w->clock.mono_us += (int64_t)ms * 1000;
        w->clock.wall_ms += ms;
        return;
    }
    weir_clock_update(&real);
    until = real.mono_ms + ms;
    while (weir_clock_update(&real), real.mono_ms <= until)
        turn(w);
}

void await(struct world *w, const int *what, int least)
{
    int turns;

    for (turns = 0; *what < least && turns < TURNS_MAX; turns++)
        turn(w);
    assert_in_range(*what, least, 1 << 30);
}

static void on_done(struct shared_call *c)
{
    struct asked *a = (struct asked *)(void *)c;

    assert_true(a->w->in_loop);
    assert_true(a->w->entered > 0);
    a->done++;
}

void asked_init(struct asked *a, struct world *w, enum shared_area area)
{
    *a = (struct asked){.w = w};
    a->call.done = on_done;
    a->call.timeout_ms = CONTRACT_TIMEOUT_MS;
    a->call.area = area;
    a->call.primary = true; /* a copy that is behind is no error, but no answer to a test either */
}

void asked_await(struct asked *a)
{
    int had = a->done;

    await(a->w, &a->done, had + 1);
    assert_int_equal(a->done, had + 1);
}

void asked_clear(struct asked *a)
{
    shared_call_clear(&a->call);
}

enum shared_result get(struct world *w, struct asked *a, int port, struct weir_span k)
{
    asked_init(a, w, SHARED_STATE);
    shared_get(w->ports[port], &a->call, k);
    asked_await(a);
    return a->call.result;
}

struct weir_slice slice_of(struct weir_span bytes)
{
    struct weir_slice s = {.blob = weir_blob_new(bytes.len), .len = (uint32_t)bytes.len};

    assert_non_null(s.blob);
    if (bytes.len > 0)
        memcpy(s.blob->bytes, bytes.ptr, bytes.len);
    s.blob->len = s.len;
    return s;
}

/* What a call that was awaited ended with; its answer is given back. */
static enum shared_result ended(struct asked *a)
{
    asked_await(a);
    asked_clear(a);
    return a->call.result;
}

enum shared_result put(struct world *w, struct weir_span k, struct weir_span value, int64_t ttl_ms)
{
    struct weir_slice s = slice_of(value);
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_put(w->ports[PORT_A], &a.call, k, &s, 1, ttl_ms);
    weir_blob_unref(s.blob); /* the engine has its own */
    return ended(&a);
}

enum shared_result put_new(struct world *w, struct weir_span k, struct weir_span value,
                           int64_t ttl_ms)
{
    struct weir_slice s = slice_of(value);
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_put_new(w->ports[PORT_A], &a.call, k, &s, 1, ttl_ms);
    weir_blob_unref(s.blob);
    return ended(&a);
}

enum shared_result put_fenced(struct world *w, struct weir_span k, struct weir_span fence_key,
                              uint64_t fence, struct weir_span value)
{
    struct weir_slice s = slice_of(value);
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_put_fenced(w->ports[PORT_A], &a.call, k, fence_key, fence, &s, 1, CONTRACT_LONG_MS);
    weir_blob_unref(s.blob);
    return ended(&a);
}

enum shared_result touch(struct world *w, struct weir_span k, int64_t ttl_ms)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_touch(w->ports[PORT_A], &a.call, k, ttl_ms);
    return ended(&a);
}

enum shared_result remove_if(struct world *w, struct weir_span k, size_t offset,
                             struct weir_span bytes)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_remove_if(w->ports[PORT_A], &a.call, k, offset, bytes);
    return ended(&a);
}

uint64_t remove_key(struct world *w, struct weir_span k)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_remove(w->ports[PORT_A], &a.call, k);
    asked_await(&a);
    assert_int_equal(a.call.result, SHARED_OK);
    return a.call.number;
}

void assert_value(struct world *w, struct weir_span k, struct weir_span value)
{
    struct asked a;
    int port;

    for (port = 0; port < w->port_count; port++) {
        assert_int_equal(get(w, &a, port, k), SHARED_OK);
        assert_non_null(a.call.value.blob);
        assert_int_equal(a.call.value.len, value.len);
        if (value.len > 0)
            assert_memory_equal(weir_slice_ptr(a.call.value), value.ptr, value.len);
        asked_clear(&a);
    }
}

void assert_no_value(struct world *w, struct weir_span k)
{
    struct asked a;
    int port;

    for (port = 0; port < w->port_count; port++) {
        assert_int_equal(get(w, &a, port, k), SHARED_NONE);
        assert_null(a.call.value.blob);
    }
}

/* ---- hearing ---- */

static void on_hint(struct shared_listener *l, struct weir_span bytes)
{
    struct hearer *h = (struct hearer *)(void *)l;

    assert_true(h->w->in_loop);
    assert_in_range(bytes.len, 0, SHARED_HINT_MAX);
    h->hints++;
    h->last_len = bytes.len;
    if (bytes.len > 0)
        memcpy(h->last, bytes.ptr, bytes.len);
    if (h->then != NULL)
        h->then(h);
}

static void on_gap(struct shared_listener *l)
{
    struct hearer *h = (struct hearer *)(void *)l;

    assert_true(h->w->in_loop);
    h->gaps++;
    if (h->then != NULL)
        h->then(h);
}

void hearer_init(struct hearer *h, struct world *w)
{
    *h = (struct hearer){.listener = {.on_hint = on_hint, .on_gap = on_gap}, .w = w};
}

void hearer_listen(struct hearer *h, int port, struct weir_span channel)
{
    struct weir_err err = {.code = WEIR_OK};

    assert_true(shared_listen(h->w->ports[port], &h->listener, SHARED_STATE, channel, &err));
    assert_int_equal(h->gaps, 0); /* never from inside */
    await(h->w, &h->gaps, 1);
}

enum shared_result say(struct world *w, int port, struct weir_span channel, struct weir_span bytes)
{
    struct asked a;

    asked_init(&a, w, SHARED_STATE);
    shared_hint(w->ports[port], &a.call, channel, bytes);
    return ended(&a);
}

void settle(struct world *w, struct hearer *h, struct weir_span channel)
{
    int turns;

    assert_int_equal(say(w, PORT_A, channel, WEIR_SPAN_LIT("settled?")), SHARED_OK);
    for (turns = 0; turns < TURNS_MAX && !(h->last_len == 8 && memcmp(h->last, "settled?", 8) == 0);
         turns++)
        turn(w);
    assert_memory_equal(h->last, "settled?", 8);
    h->hints--;
    h->last_len = 0;
}

/* ---- the run ---- */

int contract_run_table(const struct contract_engine *engine, const char *what,
                       const struct contract_table *table)
{
    struct CMUnitTest *tests = calloc(table->count, sizeof(*tests));
    char name[64];
    size_t i;
    int failed;

    snprintf(name, sizeof(name), "%s: %s", engine->name, what);
    for (i = 0; i < table->count; i++) {
        tests[i] = table->tests[i];
        tests[i].initial_state = (void *)(uintptr_t)engine;
    }
    failed = _cmocka_run_group_tests(name, tests, table->count, NULL, NULL);
    free(tests);
    return failed;
}

int shared_contract_run(const struct contract_engine *engine)
{
    return contract_run_table(engine, "calls", &contract_calls) +
           contract_run_table(engine, "values", &contract_values) +
           contract_run_table(engine, "leases", &contract_leases) +
           contract_run_table(engine, "logs", &contract_logs) +
           contract_run_table(engine, "boards", &contract_boards) +
           contract_run_table(engine, "tokens", &contract_tokens) +
           contract_run_table(engine, "hints", &contract_hints) +
           contract_run_table(engine, "faults", &contract_faults);
}
