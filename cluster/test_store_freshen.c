#include "test_store.h"

#define BODY 450

static enum shared_result freshen(struct world *w, struct reader *rd, const char *meta,
                                  int64_t ttl_ms)
{
    struct writer wr;
    struct store_put_wish wish = wish_of(w, &wr);
    struct record_fields fs;

    wish.ttl_ms = ttl_ms;
    meta_of(&fs, meta);
    wr.p = store_freshen(w->store, rd->r, &wish, record_fields_span(&fs));
    record_fields_free(&fs);
    shut(rd); /* at once */
    if (wr.p == NULL)
        return SHARED_FULL;
    UNTIL(w, wr.done_told > 0);
    store_put_close(wr.p);
    return wr.result;
}

static void a_fresh_meta_lies_over_the_same_body(void **state)
{
    const uint64_t sizes[] = {0, 20, 5000, BODY, 1000};
    struct store_settings set = small_chunks();

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct world w;
        struct reader rd;
        uint64_t generation;

        set.inline_max = sizes[i] == 5000 ? 8000 : 200;
        world_start(&w, &set, 1 << 20);
        assert_int_equal(put_body(&w, 1, sizes[i], "old"), SHARED_OK);
        assert_true(look(&w, &rd, &w.name, STORE_STORED));
        generation = rd.found.generation;
        assert_int_equal(freshen(&w, &rd, "a longer new one", DAY_MS), SHARED_OK);
        get_body(&w, &rd, 1);
        assert_string_equal(rd.meta, "a longer new one");
        assert_true(rd.found.generation == generation);
        assert_int_equal(rd.step, STORE_END);
        assert_int_equal(rd.given, sizes[i]);
        world_end(&w);
    }
}

static void the_chunks_live_as_long_as_the_fresh_meta(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct store_put_wish wish;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    wish = wish_of(&w, &wr);
    wish.ttl_ms = 100000;
    assert_int_equal(put_wish(&w, &wish, 1, BODY, 50, "old"), SHARED_OK);
    jump(&w, 90000);
    assert_true(look(&w, &rd, &w.name, STORE_STORED));
    w.puts = w.touches = 0;
    assert_int_equal(freshen(&w, &rd, "new", 1000000), SHARED_OK);
    assert_int_equal(w.puts, 1);
    assert_int_equal(w.touches, 5);
    jump(&w, 900000);
    get_body(&w, &rd, 1);
    assert_string_equal(rd.meta, "new");
    assert_int_equal(rd.step, STORE_END);
    world_end(&w);
}

static void a_body_that_is_no_longer_whole_is_not_freshened(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct reader rd;

    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        world_start(&w, &set, 1 << 20);
        assert_int_equal(put_body(&w, 1, BODY, "old"), SHARED_OK);
        assert_true(look(&w, &rd, &w.name, STORE_STORED));
        raw_remove(&w, chunk_key(&w, rd.found.generation, i));
        assert_int_equal(freshen(&w, &rd, "new", DAY_MS), SHARED_NONE);
        settle(&w);
        get_body(&w, &rd, 1);
        assert_int_equal(rd.found.kind, STORE_NOTHING);
        world_end(&w);
    }
}

static void a_freshening_that_fails_leaves_the_object_as_it_was(void **state)
{
    const int faults[] = {SHARED_REFUSED, SHARED_FULL, SHARED_LATE, SHARED_GONE, SHARED_BAD};
    struct store_settings set = small_chunks();

    (void)state;
    for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++)
        for (unsigned at = 1; at <= 6; at++) {
            struct world w;
            struct reader rd;

            world_start(&w, &set, 1 << 20);
            assert_int_equal(put_body(&w, 1, BODY, "old"), SHARED_OK);
            assert_true(look(&w, &rd, &w.name, STORE_STORED));
            arm(&w, at, 1, faults[f]);
            assert_int_equal(freshen(&w, &rd, "new", DAY_MS), faults[f]);
            arm(&w, 0, 0, 0);
            settle(&w);
            get_body(&w, &rd, 1);
            assert_string_equal(rd.meta, "old");
            assert_int_equal(rd.step, STORE_END);
            world_end(&w);
        }
}

static void a_freshening_may_be_closed_in_any_state(void **state)
{
    struct store_settings set = small_chunks();

    (void)state;
    for (unsigned turns = 0; turns < 10; turns++) {
        struct world w;
        struct reader rd;
        struct writer wr;
        struct store_put_wish wish;

        world_start(&w, &set, 1 << 20);
        assert_int_equal(put_body(&w, 1, 1000, "old"), SHARED_OK);
        assert_true(look(&w, &rd, &w.name, STORE_STORED));
        wish = wish_of(&w, &wr);
        wr.p = store_freshen(w.store, rd.r, &wish, WEIR_SPAN_NONE);
        for (unsigned i = 0; i < turns && wr.done_told == 0; i++)
            event_base_loop(w.base, EVLOOP_NONBLOCK);
        store_put_close(wr.p);
        shut(&rd);
        settle(&w);
        get_body(&w, &rd, 1);
        assert_int_equal(rd.step, STORE_END);
        world_end(&w);
    }
}

#ifdef WEIR_FAULTS
static void a_freshening_without_memory_changes_nothing(void **state)
{
    struct store_settings set = small_chunks();
    unsigned long n = 0;
    bool failed;

    (void)state;
    for (int small = 0; small < 2; small++)
        do {
            struct world w;
            struct reader rd;
            struct writer wr;
            struct store_put_wish wish;
            struct record_fields fs;

            world_start(&w, &set, 1 << 20);
            assert_int_equal(put_body(&w, 1, small ? 20 : BODY, "old"), SHARED_OK);
            assert_true(look(&w, &rd, &w.name, STORE_STORED));
            meta_of(&fs, "new");
            wish = wish_of(&w, &wr);
            weir_alloc_fail_at(++n);
            wr.p = store_freshen(w.store, rd.r, &wish, record_fields_span(&fs));
            if (wr.p != NULL) {
                assert_int_equal(wr.done_told, 0); /* never from inside */
                UNTIL(&w, wr.done_told > 0);
            }
            failed = weir_alloc_failed();
            weir_alloc_fail_at(0);
            record_fields_free(&fs);
            store_put_close(wr.p);
            shut(&rd);
            settle(&w);
            get_body(&w, &rd, 1);
            assert_int_equal(rd.step, STORE_END);
            if (!failed) {
                assert_string_equal(rd.meta, "new");
                assert_true(n > 3);
                n = 0;
            }
            world_end(&w);
        } while (failed);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_meta_lies_over_the_same_body),
        cmocka_unit_test(the_chunks_live_as_long_as_the_fresh_meta),
        cmocka_unit_test(a_body_that_is_no_longer_whole_is_not_freshened),
        cmocka_unit_test(a_freshening_that_fails_leaves_the_object_as_it_was),
        cmocka_unit_test(a_freshening_may_be_closed_in_any_state),
#ifdef WEIR_FAULTS
        cmocka_unit_test(a_freshening_without_memory_changes_nothing),
#endif
    };

    make_pattern();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
