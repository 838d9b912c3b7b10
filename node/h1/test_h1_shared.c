/*
 * What a farm shares, in one loop: the embedded engine stands for Redis, and a node that has lost
 * its memory stands for another one.
 */
#include "test_node.h"

#include "share.h"
#include "shared_embedded.h"
#include "weir/shared.h"
#include "weir/shared_store.h"

#define LARGE (3 * 1024 * 1024)

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
    if (t->cache.shared.lease_ms == 0)
        t->cache.shared = (struct shared_cache_settings){.enabled = true,
                                                         .object_max_bytes = 64 << 20,
                                                         .store_after = 1,
                                                         .lease_ms = 3000,
                                                         .wait_ms = 2000,
                                                         .head_timeout_ms = 200,
                                                         .body_timeout_ms = 200};
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

    h1_server_abort(&f->t.server);
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
    assert_has(got, "Cache-Status: weir; hit; ttl=60; detail=shared");
    assert_has(got, "Age: 0\r\n");
    assert_has(got, "ETag: \"1\"\r\n");
    got = ask(&f, GET_A); /* now it is in memory */
    assert_has(got, "Cache-Status: weir; hit; ttl=60\r\n");
    assert_int_equal(f.t.requests, 1);
    assert_int_equal(metric(&f, WEIR_M_shared_hits), 1);
    farm_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_node_stored_another_answers_from),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
