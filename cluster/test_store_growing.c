#include "test_store.h"

static void announce(struct writer *wr, const char *meta)
{
    struct record_fields fs;

    meta_of(&fs, meta);
    store_put_announce(wr->p, record_fields_span(&fs));
    record_fields_free(&fs);
}

static void begin(struct world *w, struct writer *wr, const char *meta)
{
    struct store_put_wish wish = wish_of(w, wr);

    wr->p = store_put_begin(w->store, &wish);
    assert_non_null(wr->p);
    announce(wr, meta);
    settle(w);
}

static void done(struct world *w, struct writer *wr, const char *meta)
{
    finish(wr, meta);
    UNTIL(w, wr->done_told > 0);
    assert_int_equal(wr->result, SHARED_OK);
    store_put_close(wr->p);
}

static void start_reading(struct reader *rd, unsigned seed, uint64_t from)
{
    rd->seed = seed;
    rd->from = from;
    store_read_range(rd->r, from, UINT64_MAX);
}

/* Until so many bytes are there, or it is over. */
static void read_until(struct world *w, struct reader *rd, uint64_t bytes)
{
    while (!drain(rd) && rd->given < bytes) {
        unsigned told = rd->ready_told;

        UNTIL(w, rd->ready_told > told);
    }
}

static void followers_read_while_it_grows(void **state)
{
    const uint64_t sizes[] = {0, 1, 99, 100, 101, 250, 300, 1000, 1050};
    struct store_settings set = small_chunks();

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct world w;
        struct writer wr;
        struct reader rd;

        world_start(&w, &set, 1 << 20);
        begin(&w, &wr, "so far");
        assert_true(look(&w, &rd, &w.name, STORE_GROWING));
        assert_int_equal(rd.found.kind, STORE_OBJECT);
        assert_true(rd.found.growing);
        assert_true(rd.found.body_bytes == STORE_LENGTH_UNKNOWN);
        assert_string_equal(rd.meta, "so far");
        start_reading(&rd, 1, 0);
        for (uint64_t at = 0; at < sizes[i]; at += 50) {
            uint64_t end = at + 50 < sizes[i] ? at + 50 : sizes[i];

            assert_true(give_body(&w, &wr, 1, at, end, 50));
            read_until(&w, &rd, end / 100 * 100);
            assert_int_equal(rd.given, end / 100 * 100);
            assert_int_equal(rd.step, STORE_WAIT);
        }
        done(&w, &wr, "all");
        read_until(&w, &rd, UINT64_MAX);
        assert_int_equal(rd.step, STORE_END);
        assert_int_equal(rd.given, sizes[i]);
        shut(&rd);
        /* And now it is an object like others. */
        get_body(&w, &rd, 1);
        assert_string_equal(rd.meta, "all");
        assert_int_equal(rd.step, STORE_END);
        assert_int_equal(rd.given, sizes[i]);
        settle(&w);
        assert_true(look(&w, &rd, &w.name, STORE_GROWING));
        assert_int_equal(rd.found.kind, STORE_NOTHING);
        shut(&rd);
        world_end(&w);
    }
}

static void who_joins_late_reads_from_the_beginning(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    begin(&w, &wr, "m");
    assert_true(give_body(&w, &wr, 1, 0, 750, 40));
    settle(&w);
    jump(&w, 1100); /* the open record is renewed, and says how much there is */
    assert_true(give_body(&w, &wr, 1, 750, 760, 10));
    settle(&w);
    assert_true(look(&w, &rd, &w.name, STORE_GROWING));
    w.gets = 0;
    start_reading(&rd, 1, 130);
    assert_int_equal(w.gets, 3); /* so they are read ahead like any other */
    read_until(&w, &rd, 570);
    assert_int_equal(rd.given, 570);
    done(&w, &wr, "m");
    read_until(&w, &rd, UINT64_MAX);
    assert_int_equal(rd.step, STORE_END);
    assert_int_equal(rd.given, 630);
    shut(&rd);
    world_end(&w);
}

static void a_poke_spares_the_wait(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    begin(&w, &wr, "m");
    assert_true(look(&w, &rd, &w.name, STORE_GROWING));
    start_reading(&rd, 1, 0);
    settle(&w);
    assert_false(drain(&rd));
    assert_true(give_body(&w, &wr, 1, 0, 100, 100));
    settle(&w);
    w.gets = 0;
    store_read_poke(rd.r);
    store_read_poke(rd.r); /* it is being asked for already */
    assert_int_equal(w.gets, 1);
    UNTIL(&w, rd.ready_told > 0);
    assert_false(drain(&rd));
    assert_int_equal(rd.given, 100);
    shut(&rd);
    store_put_close(wr.p);
    world_end(&w);
}

/* Long before they would give up by themselves. */
static void followers_of_one_who_gave_up_are_told(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct reader rd;
    int64_t closed_ms;

    (void)state;
    world_start(&w, &set, 1 << 20);
    begin(&w, &wr, "m");
    assert_true(give_body(&w, &wr, 1, 0, 150, 50));
    assert_true(look(&w, &rd, &w.name, STORE_GROWING));
    start_reading(&rd, 1, 0);
    read_until(&w, &rd, 100);
    store_put_close(wr.p);
    closed_ms = w.clock.mono_ms;
    read_until(&w, &rd, UINT64_MAX);
    assert_true(w.clock.mono_ms - closed_ms < 3000);
    assert_int_equal(rd.step, STORE_BROKEN);
    assert_int_equal(store_read_result(rd.r), SHARED_NONE);
    assert_int_equal(rd.given, 100);
    shut(&rd);
    settle(&w);
    assert_int_equal(shared_embedded_bytes(w.shared, SHARED_CACHE), 0);
    world_end(&w);
}

/* A process that dies takes nothing back. */
static void without_progress_followers_give_up_after_a_lease(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct reader rd;

    (void)state;
    world_start(&w, &set, 1 << 20);
    begin(&w, &wr, "m");
    assert_true(give_body(&w, &wr, 1, 0, 150, 50));
    assert_true(look(&w, &rd, &w.name, STORE_GROWING));
    start_reading(&rd, 1, 0);
    read_until(&w, &rd, 100);
    assert_int_equal(rd.step, STORE_WAIT);
    jump(&w, set.open_lease_ms + 1);
    read_until(&w, &rd, UINT64_MAX);
    assert_int_equal(rd.step, STORE_BROKEN);
    shut(&rd);
    store_put_close(wr.p);
    world_end(&w);
}

static void slow_progress_is_progress(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct reader rd;

    (void)state;
    set.open_lease_ms = 3000; /* it is jumped over: what a busy machine takes must not count */
    world_start(&w, &set, 1 << 20);
    begin(&w, &wr, "m");
    assert_true(look(&w, &rd, &w.name, STORE_GROWING));
    start_reading(&rd, 1, 0);
    assert_false(drain(&rd));
    for (uint64_t at = 0; at < 90; at++) { /* no chunk for 45 leases */
        assert_true(give_body(&w, &wr, 1, at, at + 1, 1));
        jump(&w, set.open_lease_ms / 2);
        store_read_poke(rd.r); /* its timers do not jump */
        settle(&w);
    }
    assert_false(drain(&rd));
    done(&w, &wr, "m");
    read_until(&w, &rd, UINT64_MAX);
    assert_int_equal(rd.step, STORE_END);
    assert_int_equal(rd.given, 90);
    shut(&rd);
    world_end(&w);
}

/* The second announcement is of another body: none may be given parts of both. */
static void another_writer_is_not_followed(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer one, two;
    struct reader rd;
    uint64_t end = 350;

    (void)state;
    world_start(&w, &set, 1 << 20);
    begin(&w, &one, "one");
    assert_true(give_body(&w, &one, 1, 0, 150, 50));
    assert_true(look(&w, &rd, &w.name, STORE_GROWING));
    start_reading(&rd, 1, 0);
    read_until(&w, &rd, 100);
    begin(&w, &two, "two");
    assert_true(give_body(&w, &two, 2, 0, 350, 50));
    store_put_close(one.p);
    while (!drain(&rd)) { /* the progress of the second is none of the first */
        assert_true(end < 100000);
        assert_true(give_body(&w, &two, 2, end, end + 1, 1));
        end++;
        turn(&w);
    }
    assert_int_equal(rd.step, STORE_BROKEN);
    assert_int_equal(rd.given, 100);
    shut(&rd);
    settle(&w);
    assert_true(look(&w, &rd, &w.name, STORE_GROWING));
    assert_string_equal(rd.meta, "two");
    start_reading(&rd, 2, 0);
    done(&w, &two, "two");
    read_until(&w, &rd, UINT64_MAX);
    assert_int_equal(rd.step, STORE_END);
    assert_int_equal(rd.given, end);
    shut(&rd);
    world_end(&w);
}

static void followers_may_leave_in_any_state(void **state)
{
    struct store_settings set = small_chunks();

    (void)state;
    for (unsigned turns = 0; turns < 12; turns++) {
        struct world w;
        struct writer wr;
        struct reader rd;

        world_start(&w, &set, 1 << 20);
        begin(&w, &wr, "m");
        assert_true(look(&w, &rd, &w.name, STORE_GROWING));
        start_reading(&rd, 1, 0);
        assert_true(give_body(&w, &wr, 1, 0, 150, 50));
        for (unsigned i = 0; i < turns && !drain(&rd); i++) /* once it is over, nothing comes */
            turn(&w);
        shut(&rd);
        store_put_close(wr.p);
        settle(&w);
        world_end(&w);
    }
}

/* A farm whose Redis does not answer for a while loses no follower; one that never does, all. */
static void followers_outlast_a_short_outage_only(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct reader rd;

    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        world_start(&w, &set, 1 << 20);
        begin(&w, &wr, "m");
        assert_true(give_body(&w, &wr, 1, 0, 150, 50));
        settle(&w);
        assert_true(look(&w, &rd, &w.name, STORE_GROWING));
        arm(&w, 1, forever ? 1000 : 3, SHARED_GONE);
        start_reading(&rd, 1, 0);
        if (forever)
            jump(&w, 2 * set.open_lease_ms + 1);
        read_until(&w, &rd, 100);
        assert_int_equal(rd.step, forever ? STORE_BROKEN : STORE_WAIT);
        assert_int_equal(rd.given, forever ? 0 : 100);
        shut(&rd);
        arm(&w, 0, 0, 0);
        store_put_close(wr.p);
        world_end(&w);
    }
}

static void what_cannot_be_announced_is_stored_nevertheless(void **state)
{
    struct store_settings set = small_chunks();
    struct world w;
    struct writer wr;
    struct reader rd;
    struct store_put_wish wish;

    (void)state;
    world_start(&w, &set, 1 << 20);
    wish = wish_of(&w, &wr);
    wr.p = store_put_begin(w.store, &wish);
    arm(&w, 1, 1, SHARED_FULL);
    announce(&wr, "m");
    settle(&w);
    assert_true(give_body(&w, &wr, 1, 0, 500, 50));
    done(&w, &wr, "m");
    get_body(&w, &rd, 1);
    assert_int_equal(rd.given, 500);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(followers_read_while_it_grows),
        cmocka_unit_test(who_joins_late_reads_from_the_beginning),
        cmocka_unit_test(a_poke_spares_the_wait),
        cmocka_unit_test(followers_of_one_who_gave_up_are_told),
        cmocka_unit_test(without_progress_followers_give_up_after_a_lease),
        cmocka_unit_test(slow_progress_is_progress),
        cmocka_unit_test(another_writer_is_not_followed),
        cmocka_unit_test(followers_may_leave_in_any_state),
        cmocka_unit_test(followers_outlast_a_short_outage_only),
        cmocka_unit_test(what_cannot_be_announced_is_stored_nevertheless),
    };

    make_pattern();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
