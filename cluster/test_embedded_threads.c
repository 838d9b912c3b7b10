/*
 * The embedded engine under four threads at once, each with a port and a loop of its own. Run under
 * the thread sanitizer it shows more than it asserts.
 */
#include "shared_embedded.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <assert.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define ROUNDS  600
#define LONG_MS 60000
#define V(s)    WEIR_SPAN_LIT(s)

struct stage {
    struct weir_shared *shared;
    long guarded;      /* written under the lease alone */
    atomic_long taken; /* tokens */
    pthread_barrier_t together;
};

struct actor {
    struct stage *stage;
    pthread_t thread;
    int number;
    struct event_base *base;
    struct weir_clock clock;
    struct shared_port *port;
    struct shared_listener listener;
    struct weir_span channel;
    char channel_bytes[16];
    unsigned random;
    long hints, gaps;
    bool done;
};

static void enter(void *arg)
{
    struct actor *t = arg;

    weir_clock_update(&t->clock);
}

static void on_hint(struct shared_listener *l, struct weir_span bytes)
{
    struct actor *t = (struct actor *)(void *)((char *)l - offsetof(struct actor, listener));

    (void)bytes;
    t->hints++;
}

static void on_gap(struct shared_listener *l)
{
    struct actor *t = (struct actor *)(void *)((char *)l - offsetof(struct actor, listener));

    t->gaps++;
}

static void open_port(struct actor *t)
{
    struct shared_loop loop = {.base = t->base, .enter = enter, .arg = t, .clock = &t->clock};

    t->port = shared_port_new(t->stage->shared, &loop, NULL);
    assert(t->port != NULL);
    t->listener = (struct shared_listener){.on_hint = on_hint, .on_gap = on_gap};
    assert(shared_listen(t->port, &t->listener, SHARED_STATE, t->channel, NULL));
}

struct step {
    struct shared_call call; /* first */
    bool done;
};

static void on_done(struct shared_call *c)
{
    ((struct step *)(void *)c)->done = true;
}

static void begin(struct step *s, enum shared_area area)
{
    shared_call_clear(&s->call);
    s->call.done = on_done;
    s->call.area = area;
    s->call.timeout_ms = 1000;
    s->done = false;
}

static enum shared_result end(struct actor *t, struct step *s)
{
    while (!s->done)
        event_base_loop(t->base, EVLOOP_ONCE);
    return s->call.result;
}

static void *act(void *arg, void (*play)(struct actor *t))
{
    struct actor *t = arg;

    t->base = event_base_new();
    weir_clock_update(&t->clock);
    t->channel =
        weir_span(t->channel_bytes, (size_t)snprintf(t->channel_bytes, 16, "{t}%d", t->number));
    t->random = (unsigned)t->number;
    open_port(t);
    pthread_barrier_wait(&t->stage->together);
    play(t);
    shared_port_free(t->port);
    event_base_free(t->base);
    return NULL;
}

static void run(struct stage *stage, void *(*thread)(void *arg))
{
    struct actor actors[THREADS] = {{0}};
    struct shared_embedded_options small = {.bytes_max = {[SHARED_CACHE] = 64 * 1024}};
    int i;

    *stage = (struct stage){.shared = shared_embedded_new(&small, NULL)};
    assert_non_null(stage->shared);
    pthread_barrier_init(&stage->together, NULL, THREADS);
    for (i = 0; i < THREADS; i++) {
        actors[i].stage = stage;
        actors[i].number = i;
        assert_int_equal(pthread_create(&actors[i].thread, NULL, thread, &actors[i]), 0);
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(actors[i].thread, NULL);
    pthread_barrier_destroy(&stage->together);
    shared_free(stage->shared);
}

static struct shared_lease lease_of(const struct actor *t)
{
    return (struct shared_lease){.key = V("{t}l"),
                                 .fence_key = V("{t}f"),
                                 .owner = t->channel,
                                 .channel = t->channel,
                                 .lease_ms = LONG_MS,
                                 .fence_ttl_ms = LONG_MS};
}

/* ---- a lease as a lock, and hints as its bell: nobody polls ---- */

static uint64_t take(struct actor *t, struct step *s, const struct shared_lease *l)
{
    for (;;) {
        long heard = t->hints;

        begin(s, SHARED_STATE);
        shared_lease_take(t->port, &s->call, l);
        if (end(t, s) == SHARED_OK)
            return s->call.number;
        assert(s->call.result == SHARED_REFUSED);
        while (t->hints == heard)
            event_base_loop(t->base, EVLOOP_ONCE);
    }
}

static void play_lock(struct actor *t)
{
    struct shared_lease l = lease_of(t);
    struct step s = {.done = false};
    uint64_t fence = 0;
    int i;

    for (i = 0; i < ROUNDS; i++) {
        uint64_t mine = take(t, &s, &l);

        assert(mine > fence);
        fence = mine;
        assert((uint64_t)++t->stage->guarded == fence); /* one holder for each fence */
        begin(&s, SHARED_STATE);
        shared_lease_release(t->port, &s.call, &l, V("free"));
        assert(end(t, &s) == SHARED_OK);
    }
}

static void *lock_thread(void *arg)
{
    return act(arg, play_lock);
}

static void a_lease_excludes_and_every_waiter_is_woken(void **state)
{
    struct stage stage;

    (void)state;
    run(&stage, lock_thread);
    assert_int_equal(stage.guarded, THREADS * ROUNDS);
}

/* ---- a log that all write and all read ---- */

static void play_log(struct actor *t)
{
    struct shared_log log = {.key = V("{t}log"), .channel = t->channel, .max = 10000};
    struct step s = {.done = false};
    uint64_t after = 0;
    long seen = 0;
    size_t i;

    for (i = 0; i < ROUNDS; i++) {
        begin(&s, SHARED_STATE);
        shared_log_append(t->port, &s.call, &log, t->channel);
        assert(end(t, &s) == SHARED_OK);
    }
    while (seen < THREADS * ROUNDS + 1) { /* and the beginning */
        begin(&s, SHARED_STATE);
        shared_log_read(t->port, &s.call, &log, after, 7);
        assert(end(t, &s) == SHARED_OK);
        for (i = 0; i < s.call.entry_count; i++) {
            assert(s.call.entries[i].id > after);
            after = s.call.entries[i].id;
        }
        seen += (long)s.call.entry_count;
    }
    shared_call_clear(&s.call);
}

static void *log_thread(void *arg)
{
    return act(arg, play_log);
}

static void every_thread_reads_the_same_log(void **state)
{
    struct stage stage;

    (void)state;
    run(&stage, log_thread);
}

/* ---- a board that all post on, and tokens that all take ---- */

static void play_board(struct actor *t)
{
    const struct shared_board board = {.key = V("{t}board"), .channel = t->channel};
    const struct shared_rate rate = {.key = V("{t}rate"), .interval_us = 1000000000, .burst = 1000};
    struct step s = {.done = false};
    long taken = 0;
    int i;

    for (i = 0; i < ROUNDS; i++) {
        struct shared_post post = {.id = t->channel, .bytes = t->channel, .ttl_ms = i % 2 ? 0 : 1};

        begin(&s, SHARED_STATE);
        if (i % 7 == 6)
            shared_board_remove(t->port, &s.call, &board, &t->channel, 1, V("gone"));
        else
            shared_board_put(t->port, &s.call, &board, &post, 1, V("put"));
        assert(end(t, &s) == SHARED_OK);
        begin(&s, SHARED_STATE);
        shared_board_read(t->port, &s.call, &board);
        assert(end(t, &s) == SHARED_OK && s.call.note_count <= THREADS);
        begin(&s, SHARED_STATE);
        shared_tokens_take(t->port, &s.call, &rate, 1);
        taken += end(t, &s) == SHARED_OK ? (long)s.call.number : 0;
    }
    shared_call_clear(&s.call);
    atomic_fetch_add(&t->stage->taken, taken);
}

static void *board_thread(void *arg)
{
    return act(arg, play_board);
}

static void all_threads_post_on_one_board_and_share_one_rate(void **state)
{
    struct stage stage;

    (void)state;
    run(&stage, board_thread);
    assert_int_equal(atomic_load(&stage.taken), 1000); /* of THREADS * ROUNDS asked for */
}

/* ---- everything at once, with ports that come and go and a cache that is too small ---- */

static unsigned draw(struct actor *t, unsigned below)
{
    t->random = t->random * 1664525U + 1013904223U;
    return (t->random >> 16) % below;
}

static void play_step(struct actor *t, struct step *s)
{
    enum shared_area area = draw(t, 2) == 0 ? SHARED_CACHE : SHARED_STATE;
    char bytes[16];
    struct weir_span k =
        weir_span(bytes, (size_t)snprintf(bytes, sizeof(bytes), "{%u}k", draw(t, 60)));
    struct weir_blob *b = weir_blob_new(2000);
    struct weir_slice slice = {.blob = b, .len = 1500};

    memset(b->bytes, 'v', 1500);
    b->len = 1500;
    begin(s, area);
    switch (draw(t, 6)) {
    case 0:
        shared_get(t->port, &s->call, k);
        break;
    case 1:
        shared_remove(t->port, &s->call, k);
        break;
    case 2:
        shared_put_new(t->port, &s->call, k, &slice, 1, 1 + draw(t, 5));
        break;
    case 3:
        bytes[k.len - 1] = (char)('0' + draw(t, THREADS)); /* somebody's channel, or nobody's */
        bytes[1] = 't';
        shared_hint(t->port, &s->call, weir_span(k.len == 4 ? bytes : "x", k.len == 4 ? 4 : 1),
                    V("hint"));
        break;
    default:
        shared_put(t->port, &s->call, k, &slice, 1, 1 + draw(t, 1000));
    }
    weir_blob_unref(b);
    if (draw(t, 5) == 0)
        shared_cancel(t->port, &s->call);
    else
        assert(end(t, s) != SHARED_BAD);
}

static void play_all(struct actor *t)
{
    struct step s = {.done = false};
    int i;

    for (i = 0; i < 10 * ROUNDS; i++) {
        play_step(t, &s);
        if (draw(t, 50) == 0) {
            shared_port_free(t->port);
            open_port(t);
        }
        assert(shared_embedded_bytes(t->stage->shared, SHARED_CACHE) <= 64 * 1024);
    }
    shared_call_clear(&s.call);
}

static void *all_thread(void *arg)
{
    return act(arg, play_all);
}

static void threads_may_do_everything_at_once(void **state)
{
    struct stage stage;

    (void)state;
    run(&stage, all_thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_excludes_and_every_waiter_is_woken),
        cmocka_unit_test(every_thread_reads_the_same_log),
        cmocka_unit_test(all_threads_post_on_one_board_and_share_one_rate),
        cmocka_unit_test(threads_may_do_everything_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
