/* Every call without memory: told all the same, nothing half done, and good again right after. */
#include "contract_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"

#ifdef WEIR_FAULTS

#define ALLOCATIONS_MAX 200
#define SCENE_KEYS      6
#define V(s)            WEIR_SPAN_LIT(s)

/* What the calls of one attempt are about. */
struct scene {
    struct world *w;
    struct weir_span k, board;
    struct shared_lease lease, waiter;
    struct shared_log log;
    struct weir_slice slices[2];
};

struct operation {
    const char *name;
    void (*prepare)(struct scene *s); /* or NULL */
    void (*ask)(struct scene *s, struct shared_call *c);
    enum shared_result expected;
    uint64_t number; /* of an answer as expected; 0: not looked at */
};

static struct world *world_of(void **state)
{
    return *state;
}

static struct shared_port *port_of(struct scene *s)
{
    return s->w->ports[PORT_A];
}

/* ---- what has to be there before ---- */

static void ask_and_await(struct scene *s, void (*ask)(struct scene *s, struct shared_call *c),
                          enum shared_result expected)
{
    struct asked a;

    asked_init(&a, s->w, SHARED_STATE);
    ask(s, &a.call);
    asked_await(&a);
    assert_int_equal(a.call.result, expected);
    asked_clear(&a);
}

static void ask_get(struct scene *s, struct shared_call *c)
{
    shared_get(port_of(s), c, s->k);
}

static void ask_put(struct scene *s, struct shared_call *c)
{
    shared_put(port_of(s), c, s->k, s->slices, 2, CONTRACT_LONG_MS);
}

static void ask_put_new(struct scene *s, struct shared_call *c)
{
    shared_put_new(port_of(s), c, s->k, s->slices, 2, CONTRACT_LONG_MS);
}

static void ask_put_fenced(struct scene *s, struct shared_call *c)
{
    shared_put_fenced(port_of(s), c, s->k, s->lease.fence_key, 1, s->slices, 2, CONTRACT_LONG_MS);
}

static void ask_touch(struct scene *s, struct shared_call *c)
{
    shared_touch(port_of(s), c, s->k, CONTRACT_LONG_MS);
}

static void ask_remove(struct scene *s, struct shared_call *c)
{
    shared_remove(port_of(s), c, s->k);
}

static void ask_remove_if(struct scene *s, struct shared_call *c)
{
    shared_remove_if(port_of(s), c, s->k, 2, V("cd"));
}

static void ask_take(struct scene *s, struct shared_call *c)
{
    shared_lease_take(port_of(s), c, &s->lease);
}

static void ask_take_held(struct scene *s, struct shared_call *c)
{
    shared_lease_take(port_of(s), c, &s->waiter);
}

static void ask_renew(struct scene *s, struct shared_call *c)
{
    shared_lease_renew(port_of(s), c, &s->lease);
}

static void ask_wake(struct scene *s, struct shared_call *c)
{
    shared_lease_wake(port_of(s), c, &s->lease, V("hint"));
}

static void ask_release(struct scene *s, struct shared_call *c)
{
    shared_lease_release(port_of(s), c, &s->lease, V("hint"));
}

static void ask_append(struct scene *s, struct shared_call *c)
{
    shared_log_append(port_of(s), c, &s->log, V("record"));
}

static void ask_open(struct scene *s, struct shared_call *c)
{
    shared_log_open(port_of(s), c, &s->log);
}

static void ask_read(struct scene *s, struct shared_call *c)
{
    shared_log_read(port_of(s), c, &s->log, 0, 100);
}

static void ask_hint(struct scene *s, struct shared_call *c)
{
    shared_hint(port_of(s), c, s->log.channel, V("hint"));
}

static void ask_board_put(struct scene *s, struct shared_call *c)
{
    const struct shared_board b = {.key = s->board, .channel = s->log.channel};
    const struct shared_post posts[] = {{.id = V("a"), .bytes = V("first")},
                                        {.id = V("b"), .bytes = V("second"), .ttl_ms = 1000}};

    shared_board_put(port_of(s), c, &b, posts, 2, V("hint"));
}

static void ask_board_remove(struct scene *s, struct shared_call *c)
{
    const struct shared_board b = {.key = s->board, .channel = s->log.channel};
    const struct weir_span id = V("a");

    shared_board_remove(port_of(s), c, &b, &id, 1, V("hint"));
}

static void ask_board_read(struct scene *s, struct shared_call *c)
{
    shared_board_read(port_of(s), c, &(struct shared_board){.key = s->board});
}

static void ask_tokens(struct scene *s, struct shared_call *c)
{
    shared_tokens_take(port_of(s), c, &(struct shared_rate){s->k, 1000000000, 7}, 9);
}

static void with_value(struct scene *s)
{
    ask_and_await(s, ask_put, SHARED_OK);
}

static void with_lease(struct scene *s)
{
    ask_and_await(s, ask_take, SHARED_OK);
}

static void with_waiter(struct scene *s)
{
    with_lease(s);
    ask_and_await(s, ask_take_held, SHARED_REFUSED);
}

/* As many records as make a store of them grow, in one engine or the other. */
static void with_log(struct scene *s)
{
    int i;

    for (i = 0; i < 15; i++)
        ask_and_await(s, ask_append, SHARED_OK);
}

static void with_board(struct scene *s)
{
    ask_and_await(s, ask_board_put, SHARED_OK);
}

static const struct operation operations[] = {
    {"get", with_value, ask_get, SHARED_OK, 0},
    {"get nothing", NULL, ask_get, SHARED_NONE, 0},
    {"put", NULL, ask_put, SHARED_OK, 0},
    {"put again", with_value, ask_put, SHARED_OK, 0},
    {"put_new", NULL, ask_put_new, SHARED_OK, 0},
    {"put_fenced", with_lease, ask_put_fenced, SHARED_OK, 0},
    {"touch", with_value, ask_touch, SHARED_OK, 0},
    {"remove", with_value, ask_remove, SHARED_OK, 1},
    {"remove_if", with_value, ask_remove_if, SHARED_OK, 0},
    {"take", NULL, ask_take, SHARED_OK, 1},
    {"take held", with_lease, ask_take_held, SHARED_REFUSED, 0},
    {"renew", with_lease, ask_renew, SHARED_OK, 0},
    {"wake", with_waiter, ask_wake, SHARED_OK, 1},
    {"release", with_waiter, ask_release, SHARED_OK, 1},
    {"append first", NULL, ask_append, SHARED_OK, 0},
    {"append", with_log, ask_append, SHARED_OK, 0},
    {"open", NULL, ask_open, SHARED_OK, 0},
    {"read", with_log, ask_read, SHARED_OK, 0},
    {"board put first", NULL, ask_board_put, SHARED_OK, 0},
    {"board put", with_board, ask_board_put, SHARED_OK, 0},
    {"board remove", with_board, ask_board_remove, SHARED_OK, 0},
    {"board read", with_board, ask_board_read, SHARED_OK, 0},
    {"board read nothing", NULL, ask_board_read, SHARED_OK, 0},
    {"tokens", NULL, ask_tokens, SHARED_OK, 7},
    {"hint", NULL, ask_hint, SHARED_OK, 0},
};

/* ---- failing the n-th ---- */

static void scene_init(struct scene *s, struct world *w, char names[SCENE_KEYS][64], size_t op,
                       int n)
{
    static const char *const suffixes[SCENE_KEYS] = {"k", "l", "f", "log", "ch", "b"};
    struct weir_span keys[SCENE_KEYS];
    int i;

    for (i = 0; i < SCENE_KEYS; i++) {
        struct weir_span prefix = key(w, "");

        keys[i].ptr = names[i];
        keys[i].len = (size_t)snprintf(names[i], 64, "%.*s%zu-%d-%s", (int)prefix.len, prefix.ptr,
                                       op, n, suffixes[i]);
    }
    *s = (struct scene){.w = w, .k = keys[0], .board = keys[5]};
    s->lease = (struct shared_lease){.key = keys[1],
                                     .fence_key = keys[2],
                                     .owner = V("me"),
                                     .lease_ms = CONTRACT_LONG_MS,
                                     .fence_ttl_ms = CONTRACT_LONG_MS};
    s->waiter = s->lease;
    s->waiter.owner = V("you");
    s->waiter.channel = keys[4];
    s->log = (struct shared_log){.key = keys[3], .channel = keys[4], .max = 16};
    s->slices[0] = slice_of(V("abc"));
    s->slices[1] = slice_of(V("def"));
}

static void scene_release(struct scene *s)
{
    weir_blob_unref(s->slices[0].blob);
    weir_blob_unref(s->slices[1].blob);
}

/* An engine that lost its connection for want of memory gets it back. */
static void recover(struct world *w)
{
    struct asked a;
    int tries;

    for (tries = 0; tries < 500; tries++) {
        if (get(w, &a, PORT_A, key(w, "nothing")) == SHARED_NONE &&
            get(w, &a, PORT_B, key(w, "nothing")) == SHARED_NONE)
            return;
        asked_clear(&a);
        pass(w, 10);
    }
    fail();
}

static void check_answer(const struct operation *op, const struct asked *a)
{
    if (a->call.result != op->expected)
        print_message("%s: %s\n", op->name, shared_result_text(a->call.result));
    assert_int_equal(a->call.result, op->expected);
    if (op->number > 0)
        assert_true(a->call.number == op->number);
}

/* True if the n-th allocation was reached. */
static bool attempt(struct world *w, const struct operation *op, size_t index, int n)
{
    char names[SCENE_KEYS][64];
    struct scene s;
    struct asked a;
    bool failed;

    scene_init(&s, w, names, index, n);
    if (op->prepare != NULL)
        op->prepare(&s);
    asked_init(&a, w, SHARED_STATE);
    weir_alloc_fail_at((unsigned long)n);
    op->ask(&s, &a.call);
    await(w, &a.done, 1);
    failed = weir_alloc_failed();
    weir_alloc_fail_at(0);
    assert_int_equal(a.done, 1);
    if (!failed || a.call.result == op->expected) {
        check_answer(op, &a);
    } else {
        /* Without memory nothing was asked; without a connection it may have been done. */
        assert_true(a.call.result == SHARED_FULL || a.call.result == SHARED_GONE ||
                    a.call.result == SHARED_LATE);
        recover(w);
        if (a.call.result == SHARED_FULL) {
            a.done = 0;
            op->ask(&s, &a.call);
            await(w, &a.done, 1);
            check_answer(op, &a);
        }
    }
    shared_call_clear(&a.call);
    recover(w);
    scene_release(&s);
    return failed;
}

static void a_call_without_memory_is_told_and_nothing_is_half_done(void **state)
{
    struct world *w = world_of(state);
    size_t i;
    int n;

    for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        recover(w);
        for (n = 1; attempt(w, &operations[i], i, n); n++)
            assert_in_range(n, 1, ALLOCATIONS_MAX);
    }
}

static void a_hint_without_memory_is_heard_or_is_a_gap(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct hearer h;
    struct asked a;
    bool failed = true;
    int n, heard;

    hearer_init(&h, w);
    hearer_listen(&h, PORT_B, ch);
    for (n = 1; failed; n++) {
        assert_in_range(n, 1, ALLOCATIONS_MAX);
        heard = h.hints + h.gaps;
        asked_init(&a, w, SHARED_STATE);
        weir_alloc_fail_at((unsigned long)n);
        shared_hint(w->ports[PORT_A], &a.call, ch, V("hint"));
        await(w, &a.done, 1);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        if (a.call.result == SHARED_OK) { /* else nobody was told, and the teller knows */
            int turns;

            for (turns = 0; h.hints + h.gaps == heard && turns < 5000; turns++)
                turn(w);
            assert_true(h.hints + h.gaps > heard);
        }
        recover(w);
    }
}

static void listening_without_memory_fails_and_leaves_nothing(void **state)
{
    struct world *w = world_of(state);
    struct weir_span ch = key(w, "ch");
    struct weir_err err = {.code = WEIR_OK};
    struct hearer h;
    bool failed = true, listens;
    int n;

    for (n = 1; failed; n++) {
        assert_in_range(n, 1, ALLOCATIONS_MAX);
        hearer_init(&h, w);
        weir_alloc_fail_at((unsigned long)n);
        listens = shared_listen(w->ports[PORT_A], &h.listener, SHARED_STATE, ch, &err);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        if (listens) {
            await(w, &h.gaps, 1);
        } else {
            assert_true(failed);
            assert_int_not_equal(err.code, WEIR_OK);
        }
        shared_unlisten(w->ports[PORT_A], &h.listener);
    }
    hearer_init(&h, w);
    hearer_listen(&h, PORT_A, ch);
    assert_int_equal(say(w, PORT_B, ch, V("hint")), SHARED_OK);
    await(w, &h.hints, 1);
}

static void engine_and_port_without_memory_are_not_made(void **state)
{
    struct world *w = world_of(state);
    struct shared_loop loop = {.base = w->base, .clock = &w->clock};
    bool failed = true;
    int n;

    for (n = 1; failed; n++) {
        struct weir_shared *s;
        struct shared_port *p = NULL;
        struct weir_err err = {.code = WEIR_OK};

        assert_in_range(n, 1, ALLOCATIONS_MAX);
        weir_alloc_fail_at((unsigned long)n);
        s = w->engine->open(w->engine->arg);
        if (s != NULL)
            p = shared_port_new(s, &loop, &err);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(p != NULL || failed);
        assert_true(p != NULL || s == NULL || err.code != WEIR_OK);
        shared_port_free(p);
        shared_free(s);
    }
}

static const struct CMUnitTest tests[] = {
    CONTRACT_TEST(a_call_without_memory_is_told_and_nothing_is_half_done),
    CONTRACT_TEST(a_hint_without_memory_is_heard_or_is_a_gap),
    CONTRACT_TEST(listening_without_memory_fails_and_leaves_nothing),
    CONTRACT_TEST(engine_and_port_without_memory_are_not_made),
};

const struct contract_table contract_faults = {tests, sizeof(tests) / sizeof(tests[0])};

#else

const struct contract_table contract_faults = {NULL, 0};

#endif
