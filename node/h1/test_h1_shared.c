/*
 * What a farm shares, in one loop: the embedded engine stands for Redis, and a node that has lost
 * its memory stands for another one.
 */
#include "test_node.h"

#include "cache_key.h"
#include "share.h"
#include "shared_embedded.h"
#include "weir/shared.h"
#include "weir/shared_store.h"

struct farm {
    struct test_node t;
    struct weir_shared *engine;
};

static void enter(void *arg)
{
    net_loop_enter(arg);
}

static void farm_start(struct farm *f, const struct script *scripts, unsigned count)
{
    struct test_node *t = &f->t;
    struct exchange_worker *w = &t->worker;
    struct shared_loop loop;
    struct weir_err err = {0};

    t->scripts = scripts;
    t->script_count = count;
    t->route.cache.shared = true;
    t->cache.shared =
        (struct shared_cache_settings){.enabled = true,
                                       .object_max_bytes = 64 << 20,
                                       .store_after = 1,
                                       .lease_ms = 3000,
                                       .wait_ms = 2000,
                                       .head_timeout_ms = 5000, /* a busy machine is no miss */
                                       .body_timeout_ms = 5000};
    assert_true(node_start(t));
    loop = (struct shared_loop){t->loop.base, enter, &t->loop, &t->loop.clock};
    f->engine = shared_embedded_new(NULL, &err);
    assert_non_null(f->engine);
    w->shared = shared_port_new(f->engine, &loop, &err);
    assert_non_null(w->shared);
    w->store = store_new(w->shared, &loop, &store_settings_default, &err);
    w->names = store_names_new(WEIR_SPAN_LIT("a secret that all nodes of the farm have"),
                               WEIR_SPAN_LIT("farm"), &err);
    assert_non_null(w->store);
    assert_non_null(w->names);
    assert_true(share_open(w, &err));
}

static void farm_init(struct farm *f)
{
    memset(f, 0, sizeof *f);
    node_init(&f->t);
}

static void farm_stop(struct farm *f)
{
    struct exchange_worker *w = &f->t.worker;

    net_clients_abort(&f->t.clients);
    node_settle(&f->t);
    fetch_cancel_all(w);
    node_settle(&f->t);
    share_close(w);
    node_settle(&f->t);
    store_free(w->store);
    store_names_free(w->names);
    shared_port_free(w->shared);
    node_stop(&f->t);
    shared_free(f->engine);
}

static uint64_t metric(const struct farm *f, enum weir_metric m)
{
    return (uint64_t)atomic_load(&f->t.metrics->value[m]);
}

static void until(struct farm *f, enum weir_metric m, uint64_t least)
{
    while (metric(f, m) < least)
        node_turn(&f->t);
}

/* As on another node, or after a start. */
static void lose_memory(struct farm *f)
{
    tier_flush(f->t.worker.tier);
}

/* The whole answer to one request, on a connection of its own. */
static const char *ask(struct farm *f, const char *request)
{
    node_client_open(&f->t);
    node_send(&f->t, request);
    assert_int_equal(node_receive(&f->t, 1), 1);
    return f->t.got;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%.2000s", part, text);
}

#define GET_A "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

/* before, "ttl=" with what is left of 60 s on a busy machine, after. */
static void assert_fresh(const char *got, const char *before, const char *after)
{
    for (int ttl = 60; ttl > 40; ttl--) {
        char text[128];

        snprintf(text, sizeof text, "%sttl=%d%s", before, ttl, after);
        if (strstr(got, text) != NULL)
            return;
    }
    fail_msg("no %sttl=...%s in:\n%s", before, after, got);
}

static void what_one_node_stored_another_answers_from(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"1\"\r\n"
                  "Content-Length: 5\r\n\r\nhello"}};
    struct farm f;
    const char *got;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 1);
    got = ask(&f, GET_A);
    assert_has(got, "hello");
    assert_has(got, "Cache-Status: weir; fwd=uri-miss");
    until(&f, WEIR_M_shared_stores, 1);
    lose_memory(&f);
    got = ask(&f, GET_A);
    assert_has(got, "\r\n\r\nhello");
    assert_fresh(got, "Cache-Status: weir; hit; ", "; detail=shared");
    assert_has(got, "Age: 0\r\n");
    assert_has(got, "ETag: \"1\"\r\n");
    got = ask(&f, GET_A); /* now it is in memory */
    assert_fresh(got, "Cache-Status: weir; hit; ", "\r\n");
    assert_int_equal(f.t.requests, 1);
    assert_int_equal(metric(&f, WEIR_M_shared_hits), 1);
    farm_stop(&f);
}

/* ---- larger content ---- */

#define LARGE (700 * 1024) /* several chunks */

static char large_reply[LARGE + 200];

static struct script large_script(void)
{
    int head = snprintf(large_reply, sizeof large_reply,
                        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"1\"\r\n"
                        "Content-Length: %d\r\n\r\n",
                        LARGE);

    for (int i = 0; i < LARGE; i++)
        large_reply[head + i] = (char)('a' + (i * 7 + i / 1000) % 26);
    return (struct script){.reply = large_reply, .len = (size_t)head + LARGE};
}

static void assert_large(const char *got, size_t len)
{
    const char *body = strstr(got, "\r\n\r\n"), *want = strstr(large_reply, "\r\n\r\n");

    assert_int_equal(len - (size_t)(body - got), LARGE + 4);
    assert_memory_equal(body, want, LARGE + 4);
}

static void large_content_is_streamed_from_the_store(void **state)
{
    struct script script = large_script();
    struct farm f;
    const char *got;

    (void)state;
    farm_init(&f);
    farm_start(&f, &script, 1);
    got = ask(&f, GET_A);
    assert_large(got, f.t.got_len);
    until(&f, WEIR_M_shared_stores, 1);
    lose_memory(&f);
    got = ask(&f, GET_A);
    assert_fresh(got, "weir; hit; ", "; detail=shared");
    assert_has(got, "Content-Length: 716800\r\n");
    assert_large(got, f.t.got_len);
    got = ask(&f, GET_A);
    assert_fresh(got, "weir; hit; ", "\r\n");
    assert_large(got, f.t.got_len);
    assert_int_equal(f.t.requests, 1);
    farm_stop(&f);
}

/* ---- another node has the lease ---- */

struct other {
    struct farm *f;
    struct store_name name;
    char key[STORE_KEY_MAX], fence_key[STORE_KEY_MAX];
    struct shared_lease lease;
    struct shared_call call;
    bool done;
};

static void other_done(struct shared_call *c)
{
    struct other *o = (struct other *)(void *)((char *)c - offsetof(struct other, call));

    o->done = true;
}

static void other_waits(struct other *o)
{
    while (!o->done)
        node_turn(&o->f->t);
    assert_int_equal(o->call.result, SHARED_OK);
}

static void other_takes(struct other *o, struct farm *f, const char *path, uint32_t lease_ms)
{
    const struct cache_key_parts parts = {.class = CACHE_KEY_GET,
                                          .scheme = WEIR_SPAN_LIT("http"),
                                          .authority = WEIR_SPAN_LIT("x"),
                                          .path = weir_span_str(path)};
    struct cache_key key;
    char buf[256];

    memset(o, 0, sizeof *o);
    o->f = f;
    assert_true(cache_key_build(&key, &parts, &f->t.secret, buf, sizeof buf, NULL));
    assert_true(store_name_of(f->t.worker.names, key.bytes, &o->name));
    o->lease =
        (struct shared_lease){.key = store_key(&o->name, STORE_KEY_LEASE, o->key),
                              .fence_key = store_key(&o->name, STORE_KEY_FENCE, o->fence_key),
                              .owner = WEIR_SPAN_LIT("another node"),
                              .lease_ms = lease_ms,
                              .fence_ttl_ms = 60000};
    o->call.done = other_done;
    o->call.area = SHARED_CACHE;
    o->call.timeout_ms = 1000;
    shared_lease_take(f->t.worker.shared, &o->call, &o->lease);
    other_waits(o);
}

static void other_releases(struct other *o, enum share_hint hint)
{
    char bytes[SHARE_HINT_BYTES];

    o->done = false;
    share_hint_write(bytes, &o->name, hint);
    shared_lease_release(o->f->t.worker.shared, &o->call, &o->lease,
                         weir_span(bytes, sizeof bytes));
    other_waits(o);
    shared_call_clear(&o->call);
}

#define OK_REPLY "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello"

static void who_waits_is_told_to_ask_for_himself(void **state)
{
    static const struct script scripts[] = {{.reply = OK_REPLY}};
    struct farm f;
    struct other o;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 1);
    f.t.cache.shared.wait_ms = 60000;
    other_takes(&o, &f, "/a", 60000);
    node_client_open(&f.t);
    node_send(&f.t, GET_A);
    until(&f, WEIR_M_shared_waits, 1);
    assert_int_equal(f.t.requests, 0);
    other_releases(&o, SHARE_ALONE);
    assert_int_equal(node_receive(&f.t, 1), 1);
    assert_has(f.t.got, "hello");
    assert_int_equal(f.t.requests, 1);
    assert_int_equal(metric(&f, WEIR_M_shared_leases), 0);
    farm_stop(&f);
}

static void who_waits_gets_the_lease_of_one_who_is_gone(void **state)
{
    static const struct script scripts[] = {{.reply = OK_REPLY}};
    struct farm f;
    struct other o;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 1);
    f.t.cache.shared.wait_ms = 60000;
    other_takes(&o, &f, "/a", 300);
    assert_has(ask(&f, GET_A), "hello");
    assert_int_equal(metric(&f, WEIR_M_shared_waits), 1);
    assert_int_equal(metric(&f, WEIR_M_shared_leases), 1);
    until(&f, WEIR_M_shared_stores, 1);
    shared_call_clear(&o.call);
    farm_stop(&f);
}

static void nobody_waits_longer_than_he_is_to(void **state)
{
    static const struct script scripts[] = {{.reply = OK_REPLY}};
    struct farm f;
    struct other o;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 1);
    f.t.cache.shared.wait_ms = 200;
    other_takes(&o, &f, "/a", 60000);
    assert_has(ask(&f, GET_A), "hello");
    assert_int_equal(metric(&f, WEIR_M_shared_wait_timeouts), 1);
    assert_int_equal(metric(&f, WEIR_M_shared_stores), 0);
    other_releases(&o, SHARE_ALONE);
    farm_stop(&f);
}

static void a_client_that_leaves_while_its_fetch_waits_leaves_it_to_others(void **state)
{
    static const struct script scripts[] = {{.reply = OK_REPLY}};
    struct farm f;
    struct other o;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 1);
    f.t.cache.shared.wait_ms = 60000;
    other_takes(&o, &f, "/a", 60000);
    node_client_open(&f.t);
    node_send(&f.t, GET_A);
    until(&f, WEIR_M_shared_waits, 1);
    node_client_close(&f.t);
    while (metric(&f, WEIR_M_exchanges_open) > 0)
        node_turn(&f.t);
    other_releases(&o, SHARE_ALONE);
    until(&f, WEIR_M_cache_stores, 1); /* it went on, and is in memory now */
    assert_fresh(ask(&f, GET_A), "weir; hit; ", "\r\n");
    assert_int_equal(f.t.requests, 1);
    farm_stop(&f);
}

static void a_node_may_stop_in_every_state(void **state)
{
    static const struct script scripts[] = {{.reply = OK_REPLY}};

    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct farm f;
        struct other o;

        farm_init(&f);
        farm_start(&f, scripts, 1);
        if (turns % 2 == 0)
            other_takes(&o, &f, "/a", 60000);
        node_client_open(&f.t);
        node_send(&f.t, GET_A);
        for (int i = 0; i < turns / 2; i++)
            node_turn(&f.t);
        if (turns % 2 == 0)
            shared_call_clear(&o.call);
        farm_stop(&f);
    }
}

/* ---- markers, variants, what is stale ---- */

static void what_cannot_be_stored_is_known_to_all(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 2\r\n\r\nme"},
        {.reply = "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 2\r\n\r\nmy"}};
    struct farm f;
    const char *got;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 2);
    assert_has(ask(&f, GET_A), "detail=private");
    until(&f, WEIR_M_shared_stores, 1);
    lose_memory(&f);
    got = ask(&f, GET_A);
    assert_has(got, "my");
    assert_has(got, "detail=hit-for-miss");
    assert_int_equal(metric(&f, WEIR_M_shared_leases), 1);
    farm_stop(&f);
}

static void each_variant_is_found_again(void **state)
{
#define VARIANT(v)                                                                                 \
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary: X-V\r\nContent-Length: 3\r\n\r\nis" v
    static const struct script scripts[] = {{.reply = VARIANT("1"), .only_for = "X-V: 1"},
                                            {.reply = VARIANT("2"), .only_for = "X-V: 2"}};
    struct farm f;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 2);
    ask(&f, "GET /a HTTP/1.1\r\nHost: x\r\nX-V: 1\r\n\r\n");
    until(&f, WEIR_M_shared_stores, 1);
    ask(&f, "GET /a HTTP/1.1\r\nHost: x\r\nX-V: 2\r\n\r\n");
    until(&f, WEIR_M_shared_stores, 2);
    for (int i = 0; i < 4; i++) {
        const char *got;

        lose_memory(&f);
        got = i % 2 == 0 ? ask(&f, "GET /a HTTP/1.1\r\nHost: x\r\nX-V: 1\r\n\r\n")
                         : ask(&f, "GET /a HTTP/1.1\r\nHost: x\r\nX-V: 2\r\n\r\n");
        assert_has(got, i % 2 == 0 ? "\r\n\r\nis1" : "\r\n\r\nis2");
        assert_has(got, "detail=shared");
    }
    assert_int_equal(f.t.requests, 2);
    farm_stop(&f);
}

static void what_is_stale_is_validated(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: \"e\"\r\n"
                  "Content-Length: 5\r\n\r\nhello"},
        {.reply = "HTTP/1.1 304 N\r\nCache-Control: max-age=60\r\nETag: \"e\"\r\n\r\n"}};
    struct farm f;
    const char *got;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 2);
    ask(&f, GET_A);
    until(&f, WEIR_M_shared_stores, 1);
    lose_memory(&f);
    got = ask(&f, GET_A);
    assert_has(got, "hello");
    assert_fresh(got, "fwd=stale; fwd-status=304; ", "; stored");
    assert_non_null(strstr(f.t.seen, "If-None-Match: \"e\""));
    until(&f, WEIR_M_shared_stores, 2);
    lose_memory(&f);
    got = ask(&f, GET_A);
    assert_has(got, "hello");
    assert_fresh(got, "hit; ", "; detail=shared");
    assert_int_equal(f.t.requests, 2);
    farm_stop(&f);
}

static void what_was_purged_is_not_brought_back(void **state)
{
    static const struct script scripts[] = {{.reply = OK_REPLY}, {.reply = OK_REPLY}};
    const struct purge_target all = {.scope = PURGE_ALL, .mode = PURGE_HARD};
    struct farm f;

    (void)state;
    farm_init(&f);
    farm_start(&f, scripts, 2);
    ask(&f, GET_A);
    until(&f, WEIR_M_shared_stores, 1);
    lose_memory(&f);
    assert_true(purge_add(f.t.worker.purges, &all, 1) > 0);
    assert_has(ask(&f, GET_A), "fwd=uri-miss");
    assert_int_equal(f.t.requests, 2);
    farm_stop(&f);
}

/* ---- memory that fails ---- */

#ifdef WEIR_FAULTS
static bool is_good(const char *got)
{
    return strncmp(got, "HTTP/1.1 200", 12) == 0 || strncmp(got, "HTTP/1.1 503", 12) == 0 ||
           got[0] == '\0'; /* the connection itself */
}

/* One request with memory failing at the n-th allocation; false: nothing failed. */
static bool fails_at(struct farm *f, unsigned long n)
{
    bool failed;

    node_client_open(&f->t);
    weir_alloc_fail_at(n);
    node_send(&f->t, GET_A);
    node_receive(&f->t, 1);
    failed = weir_alloc_failed();
    weir_alloc_fail_at(0);
    assert_true(is_good(f->t.got));
    node_client_close(&f->t);
    return failed;
}

static void every_allocation_may_fail(const struct script *scripts, unsigned count, bool stored)
{
    bool failed = true;

    for (unsigned long n = 1; failed; n++) {
        struct farm f;

        farm_init(&f);
        farm_start(&f, scripts, count);
        f.t.cache.shared.wait_ms = 100;
        f.t.cache.shared.lease_ms = 150;
        if (stored) {
            ask(&f, GET_A);
            until(&f, WEIR_M_shared_stores, 1);
            lose_memory(&f);
        }
        failed = fails_at(&f, n);
        assert_has(ask(&f, GET_A), "HTTP/1.1 200"); /* the next one is served well */
        assert_true(n < 2000);
        farm_stop(&f);
    }
}

static void every_allocation_may_fail_while_it_is_stored(void **state)
{
    static const struct script scripts[] = {{.reply = OK_REPLY}, {.reply = OK_REPLY}};

    (void)state;
    every_allocation_may_fail(scripts, 2, false);
}

static void every_allocation_may_fail_while_it_is_found(void **state)
{
    static const struct script scripts[] = {{.reply = OK_REPLY},
                                            {.reply = OK_REPLY},
                                            {.reply = OK_REPLY}};

    (void)state;
    every_allocation_may_fail(scripts, 3, true);
}

static void every_allocation_may_fail_while_large_content_is_found(void **state)
{
    const struct script script = large_script();
    const struct script scripts[] = {script, script, script};

    (void)state;
    every_allocation_may_fail(scripts, 3, true);
}

static void every_allocation_may_fail_while_it_is_validated(void **state)
{
#define STALE_REPLY                                                                                \
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: \"e\"\r\nContent-Length: 5\r\n\r\nhello"
    static const struct script scripts[] = {{.reply = STALE_REPLY},
                                            {.reply = STALE_REPLY},
                                            {.reply = STALE_REPLY}};

    (void)state;
    every_allocation_may_fail(scripts, 3, true);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_node_stored_another_answers_from),
        cmocka_unit_test(large_content_is_streamed_from_the_store),
        cmocka_unit_test(who_waits_is_told_to_ask_for_himself),
        cmocka_unit_test(who_waits_gets_the_lease_of_one_who_is_gone),
        cmocka_unit_test(nobody_waits_longer_than_he_is_to),
        cmocka_unit_test(a_client_that_leaves_while_its_fetch_waits_leaves_it_to_others),
        cmocka_unit_test(a_node_may_stop_in_every_state),
        cmocka_unit_test(what_cannot_be_stored_is_known_to_all),
        cmocka_unit_test(each_variant_is_found_again),
        cmocka_unit_test(what_is_stale_is_validated),
        cmocka_unit_test(what_was_purged_is_not_brought_back),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_allocation_may_fail_while_it_is_stored),
        cmocka_unit_test(every_allocation_may_fail_while_it_is_found),
        cmocka_unit_test(every_allocation_may_fail_while_large_content_is_found),
        cmocka_unit_test(every_allocation_may_fail_while_it_is_validated),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
