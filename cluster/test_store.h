/*
 * test_store.h - a store over the embedded engine, with a loop, a clock that can jump, faults that
 * can be put in front of the engine, and a reader and a writer that check every byte.
 */
#ifndef TEST_STORE_H
#define TEST_STORE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "shared_embedded.h"
#include "shared_engine.h"
#include "store_record.h"
#include "weir/alloc.h"
#include "weir/shared_store.h"

#define TURNS_MAX 200000 /* of the loop until a test gives up */
#define DAY_MS    (24 * 3600 * 1000)

/* ---- the world ---- */

enum { HOLD = SHARED_RESULTS }; /* a fault: no answer at all */

struct world {
    struct event_base *base;
    struct weir_clock clock;
    int64_t skew_ms;
    bool frozen; /* only jump() moves the clock */
    struct weir_shared *shared;
    struct shared_engine_ops ops, real;
    struct shared_port *port;
    struct shared_loop loop;
    struct store_settings set;
    struct store *store;
    struct store_names *names;
    struct store_name name;
    /* faults */
    unsigned calls;      /* values asked of the engine since the last arm() */
    unsigned fail_at;    /* the number of the one that fails; 0: none */
    unsigned fail_count; /* and how many after it fail as well */
    int fail_result;     /* with this, or HOLD */
    bool fail_after;     /* after it was done nevertheless */
    unsigned gets, puts, touches, removes;
};

static struct world *the_world; /* the engine's functions have no argument for it */

static inline void enter(void *arg)
{
    struct world *w = arg;

    if (w->frozen)
        return;
    weir_clock_update(&w->clock);
    w->clock.mono_ms += w->skew_ms;
    w->clock.mono_us += w->skew_ms * 1000;
    w->clock.wall_ms += w->skew_ms;
}

static inline void jump(struct world *w, int64_t ms)
{
    w->skew_ms += ms;
    if (w->frozen) {
        w->clock.mono_ms += ms;
        w->clock.mono_us += ms * 1000;
        w->clock.wall_ms += ms;
    }
    enter(w);
}

/* From now on the n-th value asked for fails. */
static inline void arm(struct world *w, unsigned n, unsigned count, int result)
{
    w->calls = 0;
    w->fail_at = n;
    w->fail_count = count;
    w->fail_result = result;
}

static inline bool must_fail(struct world *w)
{
    unsigned n = ++w->calls;

    return w->fail_at != 0 && n >= w->fail_at && n < w->fail_at + w->fail_count;
}

/* true: the engine itself is to do nothing. */
static inline bool struck(struct shared_port *p, struct shared_call *c)
{
    struct world *w = the_world;

    if (!must_fail(w))
        return false;
    if (w->fail_result != HOLD)
        shared_complete(p, c, (enum shared_result)w->fail_result);
    return true;
}

static inline void faulty_get(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    the_world->gets++;
    if (!struck(p, c))
        the_world->real.get(p, c, key);
}

static inline void faulty_put(struct shared_port *p, struct shared_call *c,
                              const struct shared_put *put)
{
    the_world->puts++;
    if (!struck(p, c))
        the_world->real.put(p, c, put);
}

static inline void faulty_touch(struct shared_port *p, struct shared_call *c, struct weir_span key,
                                int64_t ttl_ms)
{
    the_world->touches++;
    if (!struck(p, c))
        the_world->real.touch(p, c, key, ttl_ms);
}

static inline void faulty_remove(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    the_world->removes++;
    if (!struck(p, c))
        the_world->real.remove(p, c, key);
}

static inline void faulty_remove_if(struct shared_port *p, struct shared_call *c,
                                    struct weir_span key, size_t offset, struct weir_span bytes)
{
    the_world->removes++;
    if (!struck(p, c))
        the_world->real.remove_if(p, c, key, offset, bytes);
}

static inline void faulty_cancel(struct shared_port *p, struct shared_call *c)
{
    (void)p, (void)c; /* the embedded engine has nothing under way, and what is held is ours */
}

/* In front of the engine; put on after its port was made, whose functions stay. */
static inline void make_faulty(struct world *w)
{
    w->real = w->ops = *w->shared->ops;
    w->ops.get = faulty_get;
    w->ops.put = faulty_put;
    w->ops.touch = faulty_touch;
    w->ops.remove = faulty_remove;
    w->ops.remove_if = faulty_remove_if;
    w->ops.cancel = faulty_cancel;
    w->shared->ops = &w->ops;
}

/* Takes the engine. */
static inline void world_start_over(struct world *w, const struct store_settings *set,
                                    struct weir_shared *shared)
{
    assert_non_null(shared);
    memset(w, 0, sizeof(*w));
    the_world = w;
    w->set = set != NULL ? *set : store_settings_default;
    w->base = event_base_new();
    w->loop = (struct shared_loop){.base = w->base, .enter = enter, .arg = w, .clock = &w->clock};
    enter(w);
    w->shared = shared;
    w->port = shared_port_new(w->shared, &w->loop, NULL);
    assert_non_null(w->port);
    w->real = *w->shared->ops;
    w->store = store_new(w->port, &w->loop, &w->set, NULL);
    w->names = store_names_new(WEIR_SPAN_LIT("a secret of the farm"), WEIR_SPAN_LIT("farm"), NULL);
    assert_non_null(w->store);
    assert_non_null(w->names);
    assert_true(store_name_of(w->names, WEIR_SPAN_LIT("http://a/"), &w->name));
}

static inline void world_start(struct world *w, const struct store_settings *set, size_t bytes_max)
{
    struct shared_embedded_options options = {.bytes_max = {bytes_max, bytes_max}};

    world_start_over(w, set, shared_embedded_new(&options, NULL));
    make_faulty(w);
}

static inline void world_end(struct world *w)
{
    store_free(w->store);
    store_names_free(w->names);
    shared_port_free(w->port);
    w->shared->ops = &w->real;
    shared_free(w->shared); /* its functions are ours until here */
    event_base_free(w->base);
}

/* Chunks so small that a few hundred bytes make many. */
static inline struct store_settings small_chunks(void)
{
    struct store_settings set = store_settings_default;

    set.chunk_bytes = 100;
    set.inline_max = 200;
    set.write_ahead = 400;
    return set;
}

/* One round; what is active is run, else the loop waits for a timer. */
static inline void turn(struct world *w)
{
    event_base_loop(w->base, EVLOOP_ONCE);
    enter(w);
}

/* All that comes of what was done so far without waiting for time to pass. */
static inline void settle(struct world *w)
{
    for (int i = 0; i < 2000; i++)
        event_base_loop(w->base, EVLOOP_NONBLOCK);
    enter(w);
}

#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        int turns_ = 0;                                                                            \
        while (!(condition)) {                                                                     \
            turn(w);                                                                               \
            assert_true(++turns_ < TURNS_MAX);                                                     \
        }                                                                                          \
    } while (0)

/* ---- bodies ---- */

#define PATTERN_PERIOD                                                                             \
    61441 /* odd, and no divisor of a chunk: what is out of place does not fit                     \
           */

static char pattern_bytes[2 * PATTERN_PERIOD];

static inline void make_pattern(void)
{
    uint32_t x = 12345;

    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        x = x * 1664525 + 1013904223;
        pattern_bytes[i] = pattern_bytes[PATTERN_PERIOD + i] = (char)(x >> 24);
    }
}

/* Bodies of two seeds differ everywhere but by chance. */
static inline const char *pattern(unsigned seed, uint64_t at)
{
    return pattern_bytes + (at + (uint64_t)seed * 7919) % PATTERN_PERIOD;
}

static inline void check_bytes(unsigned seed, uint64_t at, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t part = len < PATTERN_PERIOD ? len : PATTERN_PERIOD;

        assert_int_equal(memcmp(bytes, pattern(seed, at), part), 0);
        bytes += part;
        at += part;
        len -= part;
    }
}

static inline struct weir_slice body_slice(unsigned seed, uint64_t at, size_t len)
{
    struct weir_blob *b = weir_blob_new(len);
    size_t done = 0;

    assert_non_null(b);
    while (done < len) {
        size_t part = len - done < PATTERN_PERIOD ? len - done : PATTERN_PERIOD;

        memcpy(b->bytes + done, pattern(seed, at + done), part);
        done += part;
    }
    b->len = (uint32_t)len;
    return (struct weir_slice){b, 0, (uint32_t)len};
}

/* ---- writing ---- */

struct writer {
    struct store_put *p;
    unsigned room_told, done_told;
    enum shared_result result;
    bool close_in_done;
};

static inline void on_room(struct store_put *p, void *arg)
{
    struct writer *wr = arg;

    assert_ptr_equal(p, wr->p);
    wr->room_told++;
}

static inline void on_done(struct store_put *p, enum shared_result result, void *arg)
{
    struct writer *wr = arg;

    assert_ptr_equal(p, wr->p);
    wr->done_told++;
    wr->result = result;
    if (wr->close_in_done) {
        store_put_close(wr->p);
        wr->p = NULL;
    }
}

/* meta: one field. */
static inline void meta_of(struct record_fields *fs, const char *text)
{
    *fs = (struct record_fields){0};
    record_add(fs, 0x0100, weir_span_str(text));
    assert_false(fs->failed);
}

static inline struct store_put_wish wish_of(struct world *w, struct writer *wr)
{
    memset(wr, 0, sizeof(*wr));
    return (struct store_put_wish){.name = &w->name,
                                   .kind = STORE_OBJECT,
                                   .ttl_ms = DAY_MS,
                                   .on_room = on_room,
                                   .on_done = on_done,
                                   .arg = wr};
}

/* As bytes come: pieces of piece_len, at the speed of the store. false: the put was lost. */
static inline bool give_body(struct world *w, struct writer *wr, unsigned seed, uint64_t from,
                             uint64_t to, size_t piece_len)
{
    uint64_t at = from;

    while (at < to) {
        size_t len = to - at < piece_len ? (size_t)(to - at) : piece_len;
        size_t room = store_put_room(wr->p);
        struct weir_slice s;

        if (wr->done_told > 0)
            return false;
        if (room == 0) {
            unsigned told = wr->room_told;

            UNTIL(w, wr->room_told > told || wr->done_told > 0);
            continue;
        }
        s = body_slice(seed, at, len < room ? len : room);
        store_put_append(wr->p, s);
        weir_blob_unref(s.blob);
        at += s.len;
    }
    return true;
}

static inline void finish(struct writer *wr, const char *meta)
{
    struct record_fields fs;

    meta_of(&fs, meta);
    store_put_finish(wr->p, record_fields_span(&fs));
    record_fields_free(&fs);
}

/* Whole; the result of the put. FULL if there was no memory to begin with. */
static inline enum shared_result put_wish(struct world *w, const struct store_put_wish *wish,
                                          unsigned seed, uint64_t bytes, size_t piece_len,
                                          const char *meta)
{
    struct writer *wr = wish->arg;

    wr->p = store_put_begin(w->store, wish);
    if (wr->p == NULL)
        return SHARED_FULL;
    if (give_body(w, wr, seed, 0, bytes, piece_len))
        finish(wr, meta);
    UNTIL(w, wr->done_told > 0);
    assert_int_equal(wr->done_told, 1);
    store_put_close(wr->p);
    wr->p = NULL;
    return wr->result;
}

static inline enum shared_result put_body(struct world *w, unsigned seed, uint64_t bytes,
                                          const char *meta)
{
    struct writer wr;
    struct store_put_wish wish = wish_of(w, &wr);

    return put_wish(w, &wish, seed, bytes, 65536, meta);
}

/* ---- reading ---- */

struct reader {
    struct store_read *r;
    unsigned found_told, ready_told;
    struct store_found found;
    char meta[64]; /* of the one field */
    uint64_t from, given;
    enum store_step step; /* END or BROKEN, or WAIT while it goes on */
    unsigned seed;
};

static inline void note_meta(struct reader *rd, struct weir_span meta)
{
    struct record_field f;

    rd->meta[0] = '\0';
    if (record_next(&meta, &f) && f.bytes.len < sizeof(rd->meta)) {
        memcpy(rd->meta, f.bytes.ptr, f.bytes.len);
        rd->meta[f.bytes.len] = '\0';
    }
}

static inline void on_found(struct store_read *r, const struct store_found *f, void *arg)
{
    struct reader *rd = arg;

    assert_ptr_equal(r, rd->r);
    rd->found_told++;
    rd->found = *f;
    note_meta(rd, f->meta);
}

static inline void on_ready(struct store_read *r, void *arg)
{
    struct reader *rd = arg;

    assert_ptr_equal(r, rd->r);
    rd->ready_told++;
}

static const struct store_read_events read_events = {on_found, on_ready};

/* false: no memory. */
static inline bool look(struct world *w, struct reader *rd, const struct store_name *name,
                        enum store_which which)
{
    memset(rd, 0, sizeof(*rd));
    rd->step = STORE_WAIT;
    rd->r = store_read_open(w->store, name, which, &read_events, rd);
    if (rd->r == NULL)
        return false;
    UNTIL(w, rd->found_told > 0);
    assert_int_equal(rd->found_told, 1);
    return true;
}

/* All there is now; true when there will be no more. */
static inline bool drain(struct reader *rd)
{
    struct weir_slice s;

    while ((rd->step = store_read_next(rd->r, &s)) == STORE_BYTES) {
        assert_true(s.len > 0);
        check_bytes(rd->seed, rd->from + rd->given, weir_slice_ptr(s), s.len);
        rd->given += s.len;
        weir_blob_unref(s.blob);
        assert_int_equal(store_read_given(rd->r), rd->given);
    }
    return rd->step != STORE_WAIT;
}

static inline void read_all(struct world *w, struct reader *rd, unsigned seed, uint64_t from,
                            uint64_t to)
{
    rd->seed = seed;
    rd->from = from;
    store_read_range(rd->r, from, to);
    while (!drain(rd)) {
        unsigned told = rd->ready_told;

        UNTIL(w, rd->ready_told > told);
    }
}

static inline void shut(struct reader *rd)
{
    store_read_close(rd->r);
    rd->r = NULL;
}

/* Looks, reads the whole, and closes. */
static inline void get_body(struct world *w, struct reader *rd, unsigned seed)
{
    assert_true(look(w, rd, &w->name, STORE_STORED));
    if (rd->found.kind == STORE_OBJECT)
        read_all(w, rd, seed, 0, UINT64_MAX);
    shut(rd);
}

/* ---- beside the store ---- */

static inline void on_raw(struct shared_call *c)
{
    c->timeout_ms = 0; /* told */
}

static inline void raw_wait(struct world *w, struct shared_call *c)
{
    UNTIL(w, c->timeout_ms == 0);
}

static inline struct shared_call raw_call(void)
{
    return (struct shared_call){.done = on_raw, .area = SHARED_CACHE, .timeout_ms = 1000};
}

static inline bool raw_exists(struct world *w, struct weir_span key)
{
    struct shared_call c = raw_call();
    bool found;

    shared_get(w->port, &c, key);
    raw_wait(w, &c);
    found = c.result == SHARED_OK;
    shared_call_clear(&c);
    return found;
}

static inline void raw_remove(struct world *w, struct weir_span key)
{
    struct shared_call c = raw_call();

    shared_remove(w->port, &c, key);
    raw_wait(w, &c);
    shared_call_clear(&c);
}

static inline void raw_put(struct world *w, struct weir_span key, struct weir_span value)
{
    struct shared_call c = raw_call();
    struct weir_blob *b = weir_blob_new(value.len);

    assert_non_null(b);
    memcpy(b->bytes, value.ptr, value.len);
    b->len = (uint32_t)value.len;
    shared_put(w->port, &c, key, &(struct weir_slice){b, 0, b->len}, 1, DAY_MS);
    raw_wait(w, &c);
    assert_int_equal(c.result, SHARED_OK);
    weir_blob_unref(b);
    shared_call_clear(&c);
}

/* A copy of the value, to be freed; NULL: there is none. */
static inline char *raw_get(struct world *w, struct weir_span key, size_t *len)
{
    struct shared_call c = raw_call();
    char *copy = NULL;

    *len = 0;
    shared_get(w->port, &c, key);
    raw_wait(w, &c);
    if (c.result == SHARED_OK) {
        *len = c.value.len;
        copy = malloc(*len + 1);
        assert_non_null(copy);
        memcpy(copy, weir_slice_ptr(c.value), *len);
    }
    shared_call_clear(&c);
    return copy;
}

static inline struct weir_span meta_key(struct world *w)
{
    static char buf[STORE_KEY_MAX];

    return store_key(&w->name, STORE_KEY_META, buf);
}

static inline struct weir_span chunk_key(struct world *w, uint64_t generation, uint64_t index)
{
    static char buf[STORE_KEY_MAX];

    return store_chunk_key(&w->name, generation, index, buf);
}

#endif
