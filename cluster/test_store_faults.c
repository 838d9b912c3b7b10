#include "test_store.h"

#define BODY 450 /* five chunks */

/* ---- damage ---- */

static void store_one(struct world *w, uint64_t bytes, struct reader *rd)
{
    assert_int_equal(put_body(w, 1, bytes, "m"), SHARED_OK);
    assert_true(look(w, rd, &w->name, STORE_STORED));
    assert_int_equal(rd->found.kind, STORE_OBJECT);
    shut(rd);
}

static void damage(struct world *w, struct weir_span key, size_t at)
{
    char copy[STORE_KEY_MAX];
    size_t len;
    char *value = raw_get(w, key, &len);

    memcpy(copy, key.ptr, key.len);
    assert_non_null(value);
    value[at % len] ^= 0x10;
    raw_put(w, weir_span(copy, key.len), weir_span(value, len));
    free(value);
}

static void a_damaged_meta_is_a_miss_and_goes(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    for (int small = 0; small < 2; small++)
        for (size_t at = 0; at < 150; at += 5) {
            world_start(&w, &set, 1 << 20);
            store_one(&w, small ? 20 : BODY, &rd);
            damage(&w, meta_key(&w), at);
            get_body(&w, &rd, 1);
            assert_int_equal(rd.found.kind, STORE_NOTHING);
            settle(&w);
            if (rd.found.result == SHARED_BAD)
                assert_false(raw_exists(&w, meta_key(&w)));
            else
                assert_int_equal(rd.found.result, SHARED_NONE); /* it says: another version */
            world_end(&w);
        }
}

static void values_that_are_no_records_are_misses(void **state)
{
    const struct weir_span values[] = {WEIR_SPAN_LIT("x"), WEIR_SPAN_LIT("WRC1"),
                                       WEIR_SPAN_LIT("something else altogether, but long")};
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    for (unsigned i = 0; i < 3; i++) {
        raw_put(&w, meta_key(&w), values[i]);
        get_body(&w, &rd, 1);
        assert_int_equal(rd.found.kind, STORE_NOTHING);
        assert_int_equal(rd.found.result, SHARED_BAD);
        settle(&w);
        assert_false(raw_exists(&w, meta_key(&w)));
    }
    world_end(&w);
}

/* A record is bound to its name: one that was copied or confused is not that of this key. */
static void the_record_of_another_name_is_a_miss(void **state)
{
    struct world w;
    struct reader rd;
    char *value;
    size_t len;

    (void)state;
    world_start(&w, NULL, 1 << 20);
    store_one(&w, 20, &rd);
    value = raw_get(&w, meta_key(&w), &len);
    assert_true(store_name_of(w.names, WEIR_SPAN_LIT("http://other/"), &w.name));
    raw_put(&w, meta_key(&w), weir_span(value, len));
    get_body(&w, &rd, 1);
    assert_int_equal(rd.found.kind, STORE_NOTHING);
    free(value);
    world_end(&w);
}

/* What a reader finds wrong before the first byte is a miss; and the next one is spared it. */
static void a_missing_or_damaged_chunk_breaks_and_removes_the_object(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    for (unsigned what = 0; what < 3; what++)
        for (uint64_t i = 0; i < 5; i++) {
            world_start(&w, &set, 1 << 20);
            store_one(&w, BODY, &rd);
            if (what == 0)
                raw_remove(&w, chunk_key(&w, rd.found.generation, i));
            else
                damage(&w, chunk_key(&w, rd.found.generation, i), what == 1 ? 5 : 40);
            get_body(&w, &rd, 1);
            assert_int_equal(rd.step, STORE_BROKEN);
            assert_true(rd.given <= i * 100);
            settle(&w);
            assert_false(raw_exists(&w, meta_key(&w)));
            world_end(&w);
        }
}

static void the_chunk_of_another_body_is_not_taken(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader one, rd;
    char *value;
    size_t len;

    (void)state;
    world_start(&w, &set, 1 << 20);
    store_one(&w, BODY, &one);
    value = raw_get(&w, chunk_key(&w, one.found.generation, 1), &len);
    assert_non_null(value);
    /* in another's place, and in that of another body */
    raw_put(&w, chunk_key(&w, one.found.generation, 2), weir_span(value, len));
    get_body(&w, &rd, 1);
    assert_int_equal(rd.step, STORE_BROKEN);
    store_one(&w, BODY, &rd);
    raw_put(&w, chunk_key(&w, rd.found.generation, 1), weir_span(value, len));
    get_body(&w, &rd, 1);
    assert_int_equal(rd.step, STORE_BROKEN);
    free(value);
    world_end(&w);
}

/* Who finds an old body broken must not throw out the new one. */
static void the_next_generation_survives_the_clean_up(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd, newer;

    (void)state;
    world_start(&w, &set, 1 << 20);
    store_one(&w, BODY, &rd);
    raw_remove(&w, chunk_key(&w, rd.found.generation, 1));
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    assert_int_equal(put_body(&w, 2, BODY, "new"), SHARED_OK);
    read_all(&w, &rd, 1, 0, UINT64_MAX);
    assert_int_equal(rd.step, STORE_BROKEN);
    shut(&rd);
    settle(&w);
    get_body(&w, &newer, 2);
    assert_int_equal(newer.step, STORE_END);
    world_end(&w);
}

/* A copy may be behind: what is missing is asked for once more where it was written. */
static void a_chunk_that_lags_is_asked_for_again(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    store_one(&w, BODY, &rd);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    arm(&w, 2, 1, SHARED_NONE);
    read_all(&w, &rd, 1, 0, UINT64_MAX);
    assert_int_equal(rd.step, STORE_END);
    shut(&rd);
    world_end(&w);
}

/* ---- eviction ---- */

static void what_was_evicted_is_a_miss_never_a_wrong_byte(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;
    unsigned hits = 0;

    (void)state;
    world_start(&w, &set, 40000);
    for (unsigned i = 0; i < 100; i++) {
        char key[32];

        snprintf(key, sizeof(key), "http://a/%u", i);
        assert_true(store_name_of(w.names, weir_span_str(key), &w.name));
        (void)put_body(&w, i, 700, "m");
    }
    for (unsigned i = 0; i < 100; i++) {
        char key[32];

        snprintf(key, sizeof(key), "http://a/%u", i);
        assert_true(store_name_of(w.names, weir_span_str(key), &w.name));
        get_body(&w, &rd, i); /* checks each byte */
        hits += rd.found.kind == STORE_OBJECT && rd.step == STORE_END;
    }
    assert_in_range(hits, 1, 90);
    world_end(&w);
}

/* ---- an engine that fails at every step ---- */

static const int faults[] = {SHARED_NONE, SHARED_REFUSED, SHARED_FULL,
                             SHARED_LATE, SHARED_GONE,    SHARED_BAD};

static enum shared_result put_variant(struct world *w)
{
    struct writer wr;
    struct store_put_wish wish = wish_of(w, &wr);
    struct store_name name;
    struct record_fields stub;
    enum shared_result result;

    assert_true(store_name_variant(w->names, &w->name, WEIR_SPAN_LIT("v"), &name));
    meta_of(&stub, "stub");
    wish.name = &name;
    wish.stub = record_fields_span(&stub);
    result = put_wish(w, &wish, 1, BODY, 70, "m");
    record_fields_free(&stub);
    return result;
}

static void a_put_that_fails_at_any_step_leaves_all_or_nothing(void **state)
{
    struct store_settings set = small_chunks();

    (void)state;
    for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++) {
        unsigned at = 0, calls;

        do {
            struct world w;
            struct reader rd;
            struct store_name name;
            enum shared_result result;

            world_start(&w, &set, 1 << 20);
            arm(&w, ++at, 1, faults[f]);
            result = put_variant(&w);
            calls = w.calls;
            arm(&w, 0, 0, 0);
            settle(&w);
            /* five chunks, the meta, a look at the stub, the stub */
            if (at <= 6 || at == 8)
                assert_int_equal(result, faults[f]);
            else
                assert_int_equal(result, SHARED_OK);
            assert_true(store_name_variant(w.names, &w.name, WEIR_SPAN_LIT("v"), &name));
            assert_true(look(&w, &rd, &name, STORE_STORED));
            if (rd.found.kind == STORE_OBJECT) {
                read_all(&w, &rd, 1, 0, UINT64_MAX);
                assert_int_equal(rd.step, STORE_END);
            } else
                assert_true(at <= 6);
            shut(&rd);
            world_end(&w);
        } while (at <= calls);
        assert_in_range(at, 9, 12);
    }
}

static void a_read_that_fails_at_any_step_says_so(void **state)
{
    struct store_settings set = small_chunks();

    (void)state;
    for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++)
        for (unsigned at = 1; at <= 7; at++) {
            struct world w;
            struct reader rd;

            world_start(&w, &set, 1 << 20);
            store_one(&w, BODY, &rd);
            arm(&w, at, 1, faults[f]);
            get_body(&w, &rd, 1);
            arm(&w, 0, 0, 0);
            if (at == 1) {
                assert_int_equal(rd.found.kind, STORE_NOTHING);
                assert_int_equal(rd.found.result, faults[f]);
            } else if (rd.step == STORE_END)
                assert_int_equal(rd.given, BODY);
            else
                assert_int_equal(rd.step, STORE_BROKEN);
            settle(&w);
            /* What is slow or gone for a moment is no reason to throw anything away. */
            if (faults[f] != SHARED_BAD) {
                get_body(&w, &rd, 1);
                assert_int_equal(rd.step, STORE_END);
                assert_int_equal(rd.given, BODY);
            }
            world_end(&w);
        }
}

/* Half a message has gone out: a moment without Redis must not break it. */
static void a_client_in_the_middle_outlasts_a_short_outage(void **state)
{
    const int moments[] = {SHARED_GONE, SHARED_FULL};
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;
    struct weir_slice s;

    (void)state;
    for (int m = 0; m < 2; m++) {
        world_start(&w, &set, 1 << 20);
        store_one(&w, BODY, &rd);
        assert_true(look(&w, &rd, &w.name, STORE_STORED));
        rd.seed = 1;
        store_read_range(rd.r, 0, UINT64_MAX);
        assert_int_equal(store_read_next(rd.r, &s), STORE_WAIT);
        UNTIL(&w, rd.ready_told > 0);
        arm(&w, 1, 3, moments[m]);
        while (!drain(&rd)) {
            unsigned told = rd.ready_told;

            UNTIL(&w, rd.ready_told > told);
        }
        assert_int_equal(rd.step, STORE_END);
        assert_int_equal(rd.given, BODY);
        shut(&rd);
        world_end(&w);
    }
}

/* ---- an engine that does not answer: everything can be closed, nothing is called after ---- */

static void what_hangs_can_be_closed(void **state)
{
    struct store_settings set = small_chunks();

    (void)state;
    for (unsigned at = 1; at <= 9; at++) {
        struct world w;
        struct writer wr;
        struct reader rd = {.step = STORE_WAIT};
        struct store_put_wish wish;

        world_start(&w, &set, 1 << 20);
        arm(&w, at, 1000, HOLD);
        wish = wish_of(&w, &wr);
        wr.p = store_put_begin(w.store, &wish);
        for (uint64_t i = 0; i < BODY && store_put_room(wr.p) >= 50; i += 50) {
            assert_true(give_body(&w, &wr, 1, i, i + 50, 50));
            settle(&w);
        }
        finish(&wr, "m");
        settle(&w);
        rd.r = store_read_open(w.store, &w.name, STORE_STORED, &read_events, &rd);
        settle(&w);
        store_remove(w.store, &w.name);
        store_put_close(wr.p);
        store_read_close(rd.r);
        settle(&w);
        world_end(&w); /* the removals hang still */
    }
}

static void a_read_that_hangs_can_be_closed(void **state)
{
    struct store_settings set = small_chunks();

    (void)state;
    for (unsigned at = 1; at <= 6; at++) {
        struct world w;
        struct reader rd;

        world_start(&w, &set, 1 << 20);
        store_one(&w, BODY, &rd);
        memset(&rd, 0, sizeof(rd));
        arm(&w, at, 1000, HOLD);
        rd.r = store_read_open(w.store, &w.name, STORE_STORED, &read_events, &rd);
        settle(&w);
        if (rd.found_told) {
            rd.seed = 1;
            store_read_range(rd.r, 0, UINT64_MAX);
            for (int i = 0; i < 6; i++) {
                assert_false(drain(&rd));
                settle(&w);
            }
        }
        shut(&rd);
        settle(&w);
        world_end(&w);
    }
}

/* ---- no memory ---- */

#ifdef WEIR_FAULTS
static bool round_trip(struct world *w)
{
    struct reader rd;
    enum shared_result result = put_variant(w);
    struct store_name name;
    bool whole = false;

    assert_true(store_name_variant(w->names, &w->name, WEIR_SPAN_LIT("v"), &name));
    if (!look(w, &rd, &name, STORE_STORED))
        return false;
    if (rd.found.kind == STORE_OBJECT) {
        read_all(w, &rd, 1, 0, UINT64_MAX);
        whole = rd.step == STORE_END && rd.given == BODY;
        assert_true(whole || rd.step == STORE_BROKEN);
    }
    shut(&rd);
    return result == SHARED_OK && whole;
}

/* Bodies are made of blobs too: what the test itself needs must not fail. */
static enum shared_result put_without_memory(struct world *w, unsigned long n, bool *failed)
{
    struct writer wr;
    struct store_put_wish wish = wish_of(w, &wr);
    struct weir_slice s = body_slice(1, 0, BODY - 250), rest = body_slice(1, BODY - 250, 250);
    struct record_fields fs;

    meta_of(&fs, "m");
    weir_alloc_fail_at(n);
    wr.p = store_put_begin(w->store, &wish);
    if (wr.p != NULL) {
        store_put_announce(wr.p, record_fields_span(&fs));
        store_put_append(wr.p, s);
        settle(w);
        store_put_append(wr.p, rest);
        store_put_finish(wr.p, record_fields_span(&fs));
        UNTIL(w, wr.done_told > 0);
        store_put_close(wr.p);
    } else {
        wr.result = SHARED_FULL;
    }
    settle(w);
    *failed = weir_alloc_failed();
    weir_alloc_fail_at(0);
    weir_blob_unref(s.blob);
    weir_blob_unref(rest.blob);
    record_fields_free(&fs);
    return wr.result;
}

static void a_put_without_memory_leaves_all_or_nothing(void **state)
{
    struct store_settings set = small_chunks();
    unsigned long n = 0;
    bool failed;

    (void)state;
    do {
        struct world w;
        struct reader rd;
        enum shared_result result;

        world_start(&w, &set, 1 << 20);
        result = put_without_memory(&w, ++n, &failed);
        get_body(&w, &rd, 1);
        if (result == SHARED_OK)
            assert_true(rd.step == STORE_END && rd.given == BODY);
        else
            assert_true(failed && rd.found.kind == STORE_NOTHING);
        world_end(&w);
    } while (failed);
    assert_true(n > 15);
}

static void a_read_without_memory_is_a_miss(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    unsigned long n = 0;
    bool failed;

    (void)state;
    world_start(&w, &set, 1 << 20);
    assert_int_equal(put_body(&w, 1, BODY, "m"), SHARED_OK);
    do {
        struct reader rd = {.step = STORE_WAIT};
        bool opened;

        weir_alloc_fail_at(++n);
        opened = look(&w, &rd, &w.name, STORE_STORED);
        if (opened && rd.found.kind == STORE_OBJECT)
            read_all(&w, &rd, 1, 0, UINT64_MAX);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        if (!failed)
            assert_true(rd.step == STORE_END && rd.given == BODY);
        store_read_close(rd.r);
        settle(&w);
    } while (failed);
    assert_true(n >= 2);
    assert_true(round_trip(&w));
    world_end(&w);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_meta_is_a_miss_and_goes),
        cmocka_unit_test(values_that_are_no_records_are_misses),
        cmocka_unit_test(the_record_of_another_name_is_a_miss),
        cmocka_unit_test(a_missing_or_damaged_chunk_breaks_and_removes_the_object),
        cmocka_unit_test(the_chunk_of_another_body_is_not_taken),
        cmocka_unit_test(the_next_generation_survives_the_clean_up),
        cmocka_unit_test(a_chunk_that_lags_is_asked_for_again),
        cmocka_unit_test(what_was_evicted_is_a_miss_never_a_wrong_byte),
        cmocka_unit_test(a_put_that_fails_at_any_step_leaves_all_or_nothing),
        cmocka_unit_test(a_read_that_fails_at_any_step_says_so),
        cmocka_unit_test(a_client_in_the_middle_outlasts_a_short_outage),
        cmocka_unit_test(what_hangs_can_be_closed),
        cmocka_unit_test(a_read_that_hangs_can_be_closed),
#ifdef WEIR_FAULTS
        cmocka_unit_test(a_put_without_memory_leaves_all_or_nothing),
        cmocka_unit_test(a_read_without_memory_is_a_miss),
#endif
    };

    make_pattern();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
