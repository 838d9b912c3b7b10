/* The store over the engine of a farm and a real Redis: what is written for one door fits both. */
#include "test_store.h"

#include "redis_settings.h"
#include "shared_redis.h"
#include "test_redis_servers.h"

struct redis {
    struct test_server server;
    struct redis_address seed;
    struct redis_settings conn;
    struct redis_cluster_settings endpoint;
    struct shared_redis_settings settings;
};

static void redis_start(struct redis *r)
{
    memset(r, 0, sizeof(*r));
    assert_true(test_server_start(&r->server, ""));
    strcpy(r->seed.host, r->server.socket);
    r->conn = redis_settings_default();
    r->endpoint = (struct redis_cluster_settings){
        .name = "test",
        .seeds = &r->seed,
        .seed_count = 1,
        .conn = &r->conn,
        .breaker = {.in_a_row = 1000000, .least = 1000000}, /* it is asked until it is there */
    };
    r->settings.endpoints[SHARED_CACHE] = r->settings.endpoints[SHARED_STATE] = &r->endpoint;
}

/* Until it answers at all. */
static void reach(struct world *w)
{
    struct timeval tick = {0, 10000};
    struct reader rd;
    int tries = 0;

    do {
        assert_true(++tries < 1000);
        event_base_loopexit(w->base, &tick);
        event_base_dispatch(w->base);
        assert_true(look(w, &rd, &w->name, STORE_STORED));
        shut(&rd);
    } while (rd.found.result != SHARED_NONE && rd.found.result != SHARED_OK);
}

static struct redis redis;

static void start(struct world *w, struct store_settings set)
{
    set.meta_timeout_ms = set.chunk_timeout_ms = 5000; /* the machine may be busy */
    set.write_timeout_ms = 5000;
    world_start_over(w, &set, shared_redis_new(&redis.settings, NULL));
    reach(w);
}

static void objects_of_all_sizes_come_back(void **state)
{
    const uint64_t sizes[] = {0, 1000, 48 << 10, 300000, 3 << 20};
    struct world w;
    struct reader rd;

    (void)state;
    start(&w, store_settings_default);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(put_body(&w, i, sizes[i], "meta"), SHARED_OK);
        get_body(&w, &rd, i);
        assert_string_equal(rd.meta, "meta");
        assert_int_equal(rd.step, STORE_END);
        assert_int_equal(rd.given, sizes[i]);
    }
    raw_remove(&w, chunk_key(&w, rd.found.generation, 3));
    get_body(&w, &rd, 4);
    assert_int_equal(rd.step, STORE_BROKEN);
    UNTIL(&w, !raw_exists(&w, meta_key(&w)));
    world_end(&w);
}

static void variants_and_fresh_metas_work(void **state)
{
    struct store_settings set = small_chunks();
    struct store_put_wish wish;
    struct store_name name;
    struct record_fields fs;
    struct writer wr;
    struct reader rd;
    struct world w;

    (void)state;
    start(&w, set);
    assert_true(store_name_variant(w.names, &w.name, WEIR_SPAN_LIT("en"), &name));
    meta_of(&fs, "stub");
    for (int i = 0; i < 2; i++) { /* the second time the stub is only touched */
        wish = wish_of(&w, &wr);
        wish.name = &name;
        wish.stub = record_fields_span(&fs);
        assert_int_equal(put_wish(&w, &wish, 1, 450, 100, "en"), SHARED_OK);
    }
    get_body(&w, &rd, 0);
    assert_int_equal(rd.found.kind, STORE_STUB);
    assert_true(look(&w, &rd, &name, STORE_STORED));
    wish = wish_of(&w, &wr);
    wish.name = &name;
    wr.p = store_freshen(w.store, rd.r, &wish, record_fields_span(&fs));
    shut(&rd);
    UNTIL(&w, wr.done_told > 0);
    assert_int_equal(wr.result, SHARED_OK);
    store_put_close(wr.p);
    assert_true(look(&w, &rd, &name, STORE_STORED));
    assert_string_equal(rd.meta, "stub");
    read_all(&w, &rd, 1, 0, UINT64_MAX);
    assert_int_equal(rd.step, STORE_END);
    shut(&rd);
    record_fields_free(&fs);
    world_end(&w);
}

static void a_growing_body_is_followed(void **state)
{
    struct store_settings set = small_chunks();
    struct store_put_wish wish;
    struct writer wr;
    struct reader rd;
    struct world w;

    (void)state;
    set.open_lease_ms = 10000;
    start(&w, set);
    wish = wish_of(&w, &wr);
    wr.p = store_put_begin(w.store, &wish);
    store_put_announce(wr.p, WEIR_SPAN_NONE);
    assert_true(give_body(&w, &wr, 1, 0, 250, 50));
    do {
        assert_true(look(&w, &rd, &w.name, STORE_GROWING));
        if (rd.found.kind != STORE_OBJECT)
            shut(&rd);
    } while (rd.r == NULL);
    rd.seed = 1;
    store_read_range(rd.r, 0, UINT64_MAX);
    while (rd.given < 200) {
        unsigned told = rd.ready_told;

        assert_false(drain(&rd));
        if (rd.given < 200)
            UNTIL(&w, rd.ready_told > told);
    }
    finish(&wr, "m");
    UNTIL(&w, wr.done_told > 0);
    assert_int_equal(wr.result, SHARED_OK);
    store_put_close(wr.p);
    while (!drain(&rd)) {
        unsigned told = rd.ready_told;

        UNTIL(&w, rd.ready_told > told);
    }
    assert_int_equal(rd.step, STORE_END);
    assert_int_equal(rd.given, 250);
    shut(&rd);
    world_end(&w);
}

static int start_redis(void **state)
{
    (void)state;
    redis_start(&redis);
    return 0;
}

static int stop_redis(void **state)
{
    (void)state;
    test_server_stop(&redis.server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_all_sizes_come_back),
        cmocka_unit_test(variants_and_fresh_metas_work),
        cmocka_unit_test(a_growing_body_is_followed),
    };

    make_pattern();
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
