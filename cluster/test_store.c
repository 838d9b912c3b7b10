#include "test_store.h"

#include <malloc.h>

static void an_object_comes_back_as_it_was(void **state)
{
    struct store_settings set = store_settings_default;
    const uint64_t chunk = set.chunk_bytes;
    const uint64_t sizes[] = {0,
                              1,
                              2047,
                              2048,
                              2049,
                              48 << 10,
                              (48 << 10) - 200,
                              (48 << 10) - 1,
                              (48 << 10) + 1,
                              chunk - 1,
                              chunk,
                              chunk + 1,
                              2 * chunk - 1,
                              2 * chunk,
                              2 * chunk + 1,
                              10 << 20};
    const size_t pieces[] = {700, 5000, 262144 + 17};
    struct world w;

    (void)state;
    world_start(&w, NULL, 64 << 20);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t k = 0; k < 3; k++) {
            struct writer wr;
            struct store_put_wish wish = wish_of(&w, &wr);
            struct reader rd;

            assert_int_equal(put_wish(&w, &wish, (unsigned)i, sizes[i], pieces[k], "meta"),
                             SHARED_OK);
            get_body(&w, &rd, (unsigned)i);
            assert_int_equal(rd.found.kind, STORE_OBJECT);
            assert_int_equal(rd.found.body_bytes, sizes[i]);
            assert_false(rd.found.growing);
            assert_string_equal(rd.meta, "meta");
            assert_int_equal(rd.step, STORE_END);
            assert_int_equal(rd.given, sizes[i]);
        }
    world_end(&w);
}

static void what_was_never_stored_is_a_miss(void **state)
{
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    assert_int_equal(rd.found.kind, STORE_NOTHING);
    assert_int_equal(rd.found.result, SHARED_NONE);
    shut(&rd);
    assert_true(look(&w, &rd, &w.name, STORE_GROWING));
    assert_int_equal(rd.found.kind, STORE_NOTHING);
    shut(&rd);
    world_end(&w);
}

/* The limit counts the whole value, as one GET brings it. */
static void a_small_object_is_one_value(void **state)
{
    struct world w;
    struct reader rd;
    size_t len;
    char *value;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    for (uint64_t body = (48 << 10) - 200; body < (48 << 10) + 1; body++) {
        w.puts = w.gets = 0;
        assert_int_equal(put_body(&w, 1, body, "m"), SHARED_OK);
        get_body(&w, &rd, 1);
        value = raw_get(&w, meta_key(&w), &len);
        assert_non_null(value);
        if (w.puts == 1)
            assert_true(len <= w.set.inline_max && len > body);
        else
            assert_true(len < 200 && store_record_bytes(7, body) > w.set.inline_max);
        free(value);
    }
    assert_int_equal(w.puts, 2); /* the last ones did not fit */
    world_end(&w);
}

static void stored_chunks_stay_below_what_allocators_round_up(void **state)
{
    struct world w;
    struct reader rd;
    size_t len = 0;
    char *value;

    (void)state;
    world_start(&w, NULL, 8 << 20);
    assert_int_equal(put_body(&w, 1, 1 << 20, "m"), SHARED_OK);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    value = raw_get(&w, chunk_key(&w, rd.found.generation, 0), &len);
    assert_non_null(value);
    assert_int_equal(len, (1 << 18) - 64);
    free(value);
    shut(&rd);
    world_end(&w);
}

static void a_range_reads_only_its_chunks(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    assert_int_equal(put_body(&w, 1, 1050, "m"), SHARED_OK);
    for (uint64_t from = 0; from <= 1060; from += 7)
        for (uint64_t to = from; to <= 1100; to += 31) {
            uint64_t end = to < 1050 ? to : 1050, start = from < end ? from : end;

            assert_true(look(&w, &rd, &w.name, STORE_STORED));
            w.gets = 0;
            read_all(&w, &rd, 1, from, to);
            assert_int_equal(rd.step, STORE_END);
            assert_int_equal(rd.given, end - start);
            if (end > start)
                assert_int_equal(w.gets, (end - 1) / 100 - start / 100 + 1);
            else
                assert_int_equal(w.gets, 0);
            shut(&rd);
        }
    world_end(&w);
}

static void a_range_within_a_small_object(void **state)
{
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    assert_int_equal(put_body(&w, 1, 1000, "m"), SHARED_OK);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    read_all(&w, &rd, 1, 10, 20);
    assert_int_equal(rd.given, 10);
    shut(&rd);
    world_end(&w);
}

/* Who does not come to fetch is not read for. */
static void reading_ahead_is_bounded(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;
    struct weir_slice s;

    (void)state;
    world_start(&w, &set, 1 << 20);
    assert_int_equal(put_body(&w, 1, 2000, "m"), SHARED_OK);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    w.gets = 0;
    store_read_range(rd.r, 0, UINT64_MAX);
    settle(&w);
    assert_int_equal(w.gets, 3);
    assert_int_equal(rd.ready_told, 0); /* nobody has asked */
    assert_int_equal(store_read_next(rd.r, &s), STORE_BYTES);
    weir_blob_unref(s.blob);
    settle(&w);
    assert_int_equal(w.gets, 4);
    shut(&rd);
    world_end(&w);
}

static size_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static void two_hundred_mebibytes_pass_through_little_memory(void **state)
{
    const uint64_t body = 200 << 20;
    struct world w;
    struct writer wr;
    struct reader rd;
    struct store_put_wish wish;
    size_t before, most = 0;
    uint64_t at = 0;

    (void)state;
    world_start(&w, NULL, 300 << 20);
    before = in_use() - shared_embedded_bytes(w.shared, SHARED_CACHE);
    wish = wish_of(&w, &wr);
    wr.p = store_put_begin(w.store, &wish);
    for (; at < body; at += 1 << 18) {
        size_t used;

        assert_true(give_body(&w, &wr, 3, at, at + (1 << 18), 1 << 16));
        used = in_use() - shared_embedded_bytes(w.shared, SHARED_CACHE) - before;
        if (used < SIZE_MAX / 2 && used > most)
            most = used;
    }
    finish(&wr, "m");
    UNTIL(&w, wr.done_told > 0);
    assert_int_equal(wr.result, SHARED_OK);
    store_put_close(wr.p);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    rd.seed = 3;
    store_read_range(rd.r, 0, UINT64_MAX);
    while (!drain(&rd)) {
        unsigned told = rd.ready_told;
        size_t used;

        UNTIL(&w, rd.ready_told > told);
        used = in_use() - shared_embedded_bytes(w.shared, SHARED_CACHE) - before;
        if (used < SIZE_MAX / 2 && used > most)
            most = used;
    }
    assert_int_equal(rd.step, STORE_END);
    assert_int_equal(rd.given, body);
    shut(&rd);
    world_end(&w);
#ifndef __SANITIZE_ADDRESS__
    assert_true(most < 4 << 20);
#endif
}

static void who_gives_more_than_there_is_room_for_loses_the_put(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct store_put_wish wish;
    struct weir_slice s = body_slice(1, 0, 401);

    (void)state;
    world_start(&w, &set, 1 << 20);
    wish = wish_of(&w, &wr);
    wr.p = store_put_begin(w.store, &wish);
    assert_int_equal(store_put_room(wr.p), 400);
    store_put_append(wr.p, s);
    assert_int_equal(wr.done_told, 0); /* not from inside */
    assert_int_equal(store_put_room(wr.p), SIZE_MAX);
    store_put_append(wr.p, s); /* no harm now */
    finish(&wr, "m");
    UNTIL(&w, wr.done_told > 0);
    assert_int_equal(wr.result, SHARED_FULL);
    store_put_close(wr.p);
    settle(&w);
    assert_int_equal(shared_embedded_bytes(w.shared, SHARED_CACHE), 0);
    weir_blob_unref(s.blob);
    world_end(&w);
}

static void room_comes_back_as_chunks_are_stored(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct store_put_wish wish;
    struct weir_slice s = body_slice(1, 0, 400);

    (void)state;
    world_start(&w, &set, 1 << 20);
    wish = wish_of(&w, &wr);
    wr.p = store_put_begin(w.store, &wish);
    store_put_append(wr.p, s);
    assert_int_equal(store_put_room(wr.p), 0);
    UNTIL(&w, wr.room_told > 0);
    assert_true(store_put_room(wr.p) >= 100);
    settle(&w);
    assert_int_equal(wr.room_told, 1);
    assert_int_equal(store_put_room(wr.p), 400);
    store_put_close(wr.p);
    weir_blob_unref(s.blob);
    world_end(&w);
}

static void a_put_that_is_given_up_leaves_nothing(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct store_put_wish wish;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    wish = wish_of(&w, &wr);
    wr.p = store_put_begin(w.store, &wish);
    assert_true(give_body(&w, &wr, 1, 0, 2050, 64));
    store_put_close(wr.p);
    settle(&w);
    assert_int_equal(wr.done_told, 0);
    assert_int_equal(shared_embedded_bytes(w.shared, SHARED_CACHE), 0);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    assert_int_equal(rd.found.kind, STORE_NOTHING);
    shut(&rd);
    world_end(&w);
}

/* ... and so does one that is closed at any moment, which must not crash either. */
static void a_put_may_be_closed_in_any_state(void **state)
{
    struct store_settings set = small_chunks();

    (void)state;
    for (unsigned turns = 0; turns < 20; turns++) {
        struct world w;
        struct writer wr;
        struct store_put_wish wish;
        struct reader rd;

        world_start(&w, &set, 1 << 20);
        wish = wish_of(&w, &wr);
        wr.p = store_put_begin(w.store, &wish);
        assert_true(give_body(&w, &wr, 1, 0, 350, 350));
        finish(&wr, "m");
        for (unsigned i = 0; i < turns && wr.done_told == 0; i++)
            event_base_loop(w.base, EVLOOP_NONBLOCK);
        store_put_close(wr.p);
        settle(&w);
        get_body(&w, &rd, 1); /* whole or not at all */
        assert_true(rd.found.kind == STORE_NOTHING || (rd.step == STORE_END && rd.given == 350));
        world_end(&w);
    }
}

static void a_put_may_be_closed_in_its_callback(void **state)
{
    struct world w;
    struct writer wr;
    struct store_put_wish wish;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    wish = wish_of(&w, &wr);
    wr.close_in_done = true;
    wr.p = store_put_begin(w.store, &wish);
    finish(&wr, "m");
    UNTIL(&w, wr.done_told > 0);
    assert_null(wr.p);
    world_end(&w);
}

static void a_read_may_be_closed_in_any_state(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;

    (void)state;
    world_start(&w, &set, 1 << 20);
    assert_int_equal(put_body(&w, 1, 1000, "m"), SHARED_OK);
    for (unsigned turns = 0; turns < 20; turns++) {
        struct reader rd = {.step = STORE_WAIT};

        rd.r = store_read_open(w.store, &w.name, STORE_STORED, &read_events, &rd);
        for (unsigned i = 0; i < turns; i++) {
            event_base_loop(w.base, EVLOOP_NONBLOCK);
            if (rd.found_told == 1 && rd.seed == 0) {
                rd.seed = 1;
                store_read_range(rd.r, 0, UINT64_MAX);
            }
            if (rd.seed == 1 && rd.step == STORE_WAIT)
                drain(&rd);
        }
        store_read_close(rd.r);
        settle(&w);
    }
    world_end(&w);
}

static void closing_nothing_is_harmless(void **state)
{
    (void)state;
    store_read_close(NULL);
    store_put_close(NULL);
    store_free(NULL);
    store_read_poke(NULL);
    store_names_free(NULL);
}

/* ---- fences, life times ---- */

static uint64_t take_lease(struct world *w, const struct store_name *name, const char *owner)
{
    char key[STORE_KEY_MAX], fence[STORE_KEY_MAX];
    struct shared_lease l = {.key = store_key(name, STORE_KEY_LEASE, key),
                             .fence_key = store_key(name, STORE_KEY_FENCE, fence),
                             .owner = weir_span_str(owner),
                             .lease_ms = 1000,
                             .fence_ttl_ms = 60000};
    struct shared_call c = raw_call();
    uint64_t number;

    shared_lease_take(w->port, &c, &l);
    raw_wait(w, &c);
    assert_int_equal(c.result, SHARED_OK);
    number = c.number;
    shared_call_clear(&c);
    return number;
}

static void who_has_lost_the_lease_stores_nothing(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer old, newer;
    struct store_put_wish wish_old, wish_new;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    wish_old = wish_of(&w, &old);
    wish_new = wish_of(&w, &newer);
    wish_old.fence = take_lease(&w, &w.name, "old");
    jump(&w, 2000);
    wish_new.fence = take_lease(&w, &w.name, "new");
    assert_int_equal(wish_new.fence, wish_old.fence + 1);
    assert_int_equal(put_wish(&w, &wish_new, 2, 300, 100, "new"), SHARED_OK);
    assert_int_equal(put_wish(&w, &wish_old, 1, 500, 100, "old"), SHARED_REFUSED);
    get_body(&w, &rd, 2);
    assert_string_equal(rd.meta, "new");
    assert_int_equal(rd.step, STORE_END);
    /* The chunks of what was refused are gone: what is left is what it would be without them. */
    settle(&w);
    assert_true(shared_embedded_bytes(w.shared, SHARED_CACHE) < 2500);
    world_end(&w);
}

static void two_who_write_at_once_never_mix(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer a, b;
    struct store_put_wish wish_a, wish_b;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    wish_a = wish_of(&w, &a);
    wish_b = wish_of(&w, &b);
    a.p = store_put_begin(w.store, &wish_a);
    b.p = store_put_begin(w.store, &wish_b);
    assert_true(store_put_generation(a.p) != store_put_generation(b.p));
    for (uint64_t at = 0; at < 900; at += 50) {
        assert_true(give_body(&w, &a, 1, at, at + 50, 50));
        assert_true(give_body(&w, &b, 2, at, at + 50, 50));
    }
    finish(&a, "a");
    finish(&b, "b");
    UNTIL(&w, a.done_told > 0 && b.done_told > 0);
    assert_int_equal(a.result, SHARED_OK);
    assert_int_equal(b.result, SHARED_OK);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    read_all(&w, &rd, strcmp(rd.meta, "a") == 0 ? 1 : 2, 0, UINT64_MAX);
    assert_int_equal(rd.step, STORE_END);
    assert_int_equal(rd.given, 900);
    shut(&rd);
    store_put_close(a.p);
    store_put_close(b.p);
    world_end(&w);
}

/* Who reads goes on with what it began, whatever is stored meanwhile. */
static void a_reader_keeps_the_body_it_began(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    assert_int_equal(put_body(&w, 1, 900, "first"), SHARED_OK);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    assert_int_equal(put_body(&w, 2, 900, "second"), SHARED_OK);
    read_all(&w, &rd, 1, 0, UINT64_MAX);
    assert_int_equal(rd.step, STORE_END);
    assert_int_equal(rd.given, 900);
    shut(&rd);
    world_end(&w);
}

static void the_meta_goes_before_its_chunks(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct store_put_wish wish;
    struct reader rd;
    uint64_t generation;

    (void)state;
    world_start(&w, &set, 1 << 20);
    wish = wish_of(&w, &wr);
    wish.ttl_ms = 100000;
    assert_int_equal(put_wish(&w, &wish, 1, 500, 100, "m"), SHARED_OK);
    jump(&w, 94000);
    get_body(&w, &rd, 1);
    generation = rd.found.generation;
    assert_int_equal(rd.step, STORE_END);
    jump(&w, 12000); /* 5 % and more */
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    assert_int_equal(rd.found.kind, STORE_NOTHING);
    shut(&rd);
    assert_true(raw_exists(&w, chunk_key(&w, generation, 4)));
    jump(&w, 61000);
    assert_false(raw_exists(&w, chunk_key(&w, generation, 4)));
    world_end(&w);
}

static void lives_are_spread(void **state)
{
    struct world w;
    unsigned alive = 0;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    w.frozen = true;
    for (unsigned i = 0; i < 200; i++) {
        struct writer wr;
        struct store_put_wish wish = wish_of(&w, &wr);
        struct reader rd;

        wish.ttl_ms = 100000;
        assert_int_equal(put_wish(&w, &wish, 1, 10, 10, "m"), SHARED_OK);
        jump(&w, 94999);
        get_body(&w, &rd, 1);
        assert_int_equal(rd.found.kind, STORE_OBJECT);
        jump(&w, 5000);
        get_body(&w, &rd, 1);
        alive += rd.found.kind == STORE_OBJECT;
        jump(&w, 5002);
        get_body(&w, &rd, 1);
        assert_int_equal(rd.found.kind, STORE_NOTHING);
    }
    assert_in_range(alive, 50, 150);
    world_end(&w);
}

static void the_time_a_put_takes_counts(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct store_put_wish wish;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    for (unsigned late = 0; late < 2; late++) {
        wish = wish_of(&w, &wr);
        wish.ttl_ms = 100000;
        wr.p = store_put_begin(w.store, &wish);
        assert_true(give_body(&w, &wr, 1, 0, 500, 100));
        jump(&w, late ? 106000 : 60000);
        finish(&wr, "m");
        UNTIL(&w, wr.done_told > 0);
        assert_int_equal(wr.result, late ? SHARED_LATE : SHARED_OK);
        store_put_close(wr.p);
        jump(&w, 46000);
        assert_true(look(&w, &rd, &w.name, STORE_STORED));
        assert_int_equal(rd.found.kind, STORE_NOTHING);
        shut(&rd);
    }
    world_end(&w);
}

/* ---- kinds ---- */

static void a_marker_has_meta_and_no_body(void **state)
{
    struct world w;
    struct writer wr;
    struct store_put_wish wish;
    struct reader rd;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    wish = wish_of(&w, &wr);
    wish.kind = STORE_MARKER;
    wish.ttl_ms = 10000;
    assert_int_equal(put_wish(&w, &wish, 0, 0, 1, "set-cookie"), SHARED_OK);
    get_body(&w, &rd, 0);
    assert_int_equal(rd.found.kind, STORE_MARKER);
    assert_int_equal(rd.found.body_bytes, 0);
    assert_string_equal(rd.meta, "set-cookie");
    jump(&w, 10600);
    get_body(&w, &rd, 0);
    assert_int_equal(rd.found.kind, STORE_NOTHING);
    world_end(&w);
}

static enum shared_result put_variant(struct world *w, const char *variant, const char *stub,
                                      unsigned seed, int64_t ttl_ms)
{
    struct writer wr;
    struct store_put_wish wish = wish_of(w, &wr);
    struct store_name name;
    struct record_fields fs;
    enum shared_result result;

    assert_true(store_name_variant(w->names, &w->name, weir_span_str(variant), &name));
    meta_of(&fs, stub);
    wish.name = &name;
    wish.stub = record_fields_span(&fs);
    wish.ttl_ms = ttl_ms;
    result = put_wish(w, &wish, seed, 500, 100, variant);
    record_fields_free(&fs);
    return result;
}

static enum store_kind get_variant(struct world *w, struct reader *rd, const char *variant,
                                   unsigned seed)
{
    struct store_name name;

    assert_true(store_name_variant(w->names, &w->name, weir_span_str(variant), &name));
    assert_true(look(w, rd, &name, STORE_STORED));
    if (rd->found.kind == STORE_OBJECT) {
        read_all(w, rd, seed, 0, UINT64_MAX);
        assert_int_equal(rd->step, STORE_END);
        assert_string_equal(rd->meta, variant);
    }
    shut(rd);
    return rd->found.kind;
}

static void variants_lie_beside_each_other_under_a_stub(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    assert_int_equal(put_variant(&w, "de", "accept-language", 1, DAY_MS), SHARED_OK);
    assert_int_equal(put_variant(&w, "en", "accept-language", 2, DAY_MS), SHARED_OK);
    get_body(&w, &rd, 0);
    assert_int_equal(rd.found.kind, STORE_STUB);
    assert_string_equal(rd.meta, "accept-language");
    assert_int_equal(get_variant(&w, &rd, "de", 1), STORE_OBJECT);
    assert_int_equal(get_variant(&w, &rd, "en", 2), STORE_OBJECT);
    assert_int_equal(get_variant(&w, &rd, "fr", 0), STORE_NOTHING);
    world_end(&w);
}

static void a_short_lived_variant_does_not_shorten_the_stub(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    assert_int_equal(put_variant(&w, "short", "x", 1, 10000), SHARED_OK);
    assert_int_equal(put_variant(&w, "long", "x", 2, 100000), SHARED_OK);
    assert_int_equal(put_variant(&w, "brief", "x", 3, 10000), SHARED_OK);
    jump(&w, 90000);
    get_body(&w, &rd, 0);
    assert_int_equal(rd.found.kind, STORE_STUB);
    assert_int_equal(get_variant(&w, &rd, "long", 2), STORE_OBJECT);
    assert_int_equal(get_variant(&w, &rd, "short", 1), STORE_NOTHING);
    world_end(&w);
}

static void another_stub_or_object_is_replaced(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    assert_int_equal(put_body(&w, 1, 500, "unvaried"), SHARED_OK);
    assert_int_equal(put_variant(&w, "v", "one", 2, DAY_MS), SHARED_OK);
    get_body(&w, &rd, 0);
    assert_int_equal(rd.found.kind, STORE_STUB);
    assert_string_equal(rd.meta, "one");
    assert_int_equal(put_variant(&w, "v", "two", 3, DAY_MS), SHARED_OK);
    get_body(&w, &rd, 0);
    assert_string_equal(rd.meta, "two");
    assert_int_equal(get_variant(&w, &rd, "v", 3), STORE_OBJECT);
    world_end(&w);
}

static void variants_that_are_stored_at_once_do_not_lose_each_other(void **state)
{
    struct store_settings set = small_chunks();
    const char *names[] = {"a", "b", "c", "d"};
    struct store_name name[4];
    struct writer wr[4];
    struct record_fields stub;
    struct reader rd;
    struct world w;

    (void)state;
    world_start(&w, &set, 1 << 20);
    meta_of(&stub, "vary");
    for (unsigned i = 0; i < 4; i++) {
        struct store_put_wish wish = wish_of(&w, &wr[i]);

        assert_true(store_name_variant(w.names, &w.name, weir_span_str(names[i]), &name[i]));
        wish.name = &name[i];
        wish.stub = record_fields_span(&stub);
        wr[i].p = store_put_begin(w.store, &wish);
        assert_true(give_body(&w, &wr[i], i, 0, 300, 70));
        finish(&wr[i], names[i]);
    }
    record_fields_free(&stub);
    UNTIL(&w, wr[0].done_told && wr[1].done_told && wr[2].done_told && wr[3].done_told);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(wr[i].result, SHARED_OK);
        store_put_close(wr[i].p);
        assert_int_equal(get_variant(&w, &rd, names[i], i), STORE_OBJECT);
    }
    world_end(&w);
}

static void a_removed_object_is_gone(void **state)
{
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    assert_int_equal(put_body(&w, 1, 100, "m"), SHARED_OK);
    store_remove(w.store, &w.name);
    settle(&w);
    get_body(&w, &rd, 1);
    assert_int_equal(rd.found.kind, STORE_NOTHING);
    store_remove(w.store, &w.name); /* and dropped with the store */
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_comes_back_as_it_was),
        cmocka_unit_test(what_was_never_stored_is_a_miss),
        cmocka_unit_test(a_small_object_is_one_value),
        cmocka_unit_test(stored_chunks_stay_below_what_allocators_round_up),
        cmocka_unit_test(a_range_reads_only_its_chunks),
        cmocka_unit_test(a_range_within_a_small_object),
        cmocka_unit_test(reading_ahead_is_bounded),
        cmocka_unit_test(two_hundred_mebibytes_pass_through_little_memory),
        cmocka_unit_test(who_gives_more_than_there_is_room_for_loses_the_put),
        cmocka_unit_test(room_comes_back_as_chunks_are_stored),
        cmocka_unit_test(a_put_that_is_given_up_leaves_nothing),
        cmocka_unit_test(a_put_may_be_closed_in_any_state),
        cmocka_unit_test(a_put_may_be_closed_in_its_callback),
        cmocka_unit_test(a_read_may_be_closed_in_any_state),
        cmocka_unit_test(closing_nothing_is_harmless),
        cmocka_unit_test(who_has_lost_the_lease_stores_nothing),
        cmocka_unit_test(two_who_write_at_once_never_mix),
        cmocka_unit_test(a_reader_keeps_the_body_it_began),
        cmocka_unit_test(the_meta_goes_before_its_chunks),
        cmocka_unit_test(lives_are_spread),
        cmocka_unit_test(the_time_a_put_takes_counts),
        cmocka_unit_test(a_marker_has_meta_and_no_body),
        cmocka_unit_test(variants_lie_beside_each_other_under_a_stub),
        cmocka_unit_test(a_short_lived_variant_does_not_shorten_the_stub),
        cmocka_unit_test(another_stub_or_object_is_replaced),
        cmocka_unit_test(variants_that_are_stored_at_once_do_not_lose_each_other),
        cmocka_unit_test(a_removed_object_is_gone),
    };

    make_pattern();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
