/* Whole exchanges through one worker: a client on a socket pair, a scripted origin, one loop. */
#include "test_node.h"

#define GET  "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEAD "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"

static bool got(const struct test_node *t, const char *text)
{
    return t->got_len > 0 && strstr(t->got, text) != NULL;
}

static int64_t metric(const struct test_node *t, enum weir_metric m)
{
    return atomic_load(&t->metrics->value[m]);
}

static void play(struct test_node *t, const struct script *scripts, unsigned n)
{
    t->scripts = scripts;
    t->script_count = n;
    t->next_script = 0;
}

/* ---- the origin's connections ---- */

/* Every way in which a response may end leaves the connection usable. */
static void a_pass_leaves_its_origin_connection_for_the_next(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld", .one_by_one = 7},
        {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n0\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {.reply = "HTTP/1.1 204 No Content\r\n\r\n"},
        {.reply = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast"},
    };
    struct test_node t;

    (void)state;
    node_init(&t);
    t.route.cache.enabled = false;
    play(&t, scripts, 7);
    assert_true(node_start(&t));
    node_client_open(&t);
    for (unsigned i = 1; i <= 7; i++) {
        node_send(&t, GET);
        assert_int_equal(node_receive(&t, i), i);
    }
    assert_true(got(&t, "hello") && got(&t, "world") && got(&t, "chunk") && got(&t, "last"));
    assert_int_equal(t.origin_conns, 1);
    assert_int_equal(metric(&t, WEIR_M_origin_reuses), 6);
    node_stop(&t);
}

static void uploads_leave_their_origin_connection_too(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree"},
    };
    struct test_node t;

    (void)state;
    node_init(&t);
    play(&t, scripts, 3);
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, POST);
    assert_int_equal(node_receive(&t, 1), 1);
    node_send(&t, "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n");
    node_turn(&t);
    node_send(&t, "0\r\n\r\n");
    assert_int_equal(node_receive(&t, 2), 2);
    node_send(&t, POST POST); /* the second waits its turn */
    assert_int_equal(node_receive(&t, 3), 3);
    assert_true(got(&t, "three"));
    assert_int_equal(t.origin_conns, 1);
    assert_non_null(strstr(t.seen, "\r\n5\r\nchunk\r\n0\r\n\r\n"));
    node_stop(&t);
}

static void a_head_request_leaves_its_connection(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
    };
    struct test_node t;
    size_t head;

    (void)state;
    node_init(&t);
    play(&t, scripts, 2);
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, HEAD);
    while ((head = node_response_len(t.got, t.got_len, false, true)) == 0)
        node_turn(&t);
    assert_int_equal(head, t.got_len);
    node_send(&t, GET);
    while (!got(&t, "hello"))
        node_turn(&t);
    assert_int_equal(t.origin_conns, 1);
    node_stop(&t);
}

static void how_the_node_is_costs_no_origin_and_follows_its_flag(void **state)
{
    atomic_bool ready = true;
    struct test_node t;

    (void)state;
    node_init(&t);
    t.route.action = ROUTE_HEALTH;
    t.route.health = ROUTE_HEALTH_READY;
    t.worker.ready = &ready;
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, GET);
    assert_int_equal(node_receive(&t, 1), 1);
    assert_true(got(&t, "HTTP/1.1 200 OK\r\n") && got(&t, "\r\n\r\nready\n"));
    atomic_store(&ready, false);
    node_send(&t, GET);
    assert_int_equal(node_receive(&t, 2), 2);
    assert_true(got(&t, "HTTP/1.1 503 ") && got(&t, "\r\n\r\nnot ready\n"));
    assert_true(got(&t, "Cache-Control: no-store\r\n"));
    assert_int_equal(t.requests, 0);
    node_stop(&t);
}

/* Towards the end of the grace time: what is asked is answered, and the client told to go. */
static void a_polite_server_closes_after_the_next_answer(void **state)
{
    struct test_node t;

    (void)state;
    node_init(&t);
    t.route.action = ROUTE_HEALTH;
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, GET);
    assert_int_equal(node_receive(&t, 1), 1);
    assert_false(got(&t, "Connection: close"));
    net_clients_be_polite(&t.clients);
    node_send(&t, GET);
    assert_int_equal(node_receive(&t, 2), 2);
    assert_true(got(&t, "Connection: close\r\n"));
    node_stop(&t);
}

/* ---- the cache ---- */

#define FRESH "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"

static void what_is_stored_is_not_asked_again(void **state)
{
    static const struct script scripts[] = {
        {.reply = FRESH "Content-Length: 5\r\n\r\nhello", .one_by_one = 11}};
    struct test_node t;

    (void)state;
    node_init(&t);
    play(&t, scripts, 1);
    assert_true(node_start(&t));
    node_client_open(&t);
    for (unsigned i = 1; i <= 3; i++) {
        node_send(&t, GET);
        assert_int_equal(node_receive(&t, i), i);
    }
    assert_int_equal(t.requests, 1);
    assert_int_equal(metric(&t, WEIR_M_cache_hits), 2);
    node_stop(&t);
}

static void a_fetch_goes_on_for_the_store_when_its_client_leaves(void **state)
{
    static const struct script scripts[] = {
        {.reply = FRESH "Content-Length: 40\r\n\r\n0123456789012345678901234567890123456789",
         .one_by_one = 16}};
    struct test_node t;

    (void)state;
    node_init(&t);
    play(&t, scripts, 1);
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, GET);
    while (t.got_len == 0)
        node_turn(&t);
    node_client_close(&t);
    while (metric(&t, WEIR_M_cache_stores) == 0)
        node_turn(&t);
    node_client_open(&t);
    node_send(&t, GET);
    assert_int_equal(node_receive(&t, 1), 1);
    assert_int_equal(t.requests, 1);
    node_stop(&t);
}

static void a_client_that_leaves_ends_its_pass(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nCache-Control: private\r\n\r\nnever ends"}};
    struct test_node t;

    (void)state;
    node_init(&t);
    play(&t, scripts, 1);
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, GET);
    while (t.got_len == 0)
        node_turn(&t);
    node_client_close(&t);
    while (t.origin_closed == 0)
        node_turn(&t);
    assert_null(t.worker.fetches);
    node_stop(&t);
}

static void a_body_that_outgrows_the_limit_with_nobody_left_is_not_fetched_on(void **state)
{
    static char reply[300000];
    struct script script = {.reply = reply, .one_by_one = 20000};
    struct test_node t;
    int n;

    (void)state;
    node_init(&t);
    t.cache.object_max_bytes = 100000;
    n = sprintf(reply, FRESH "\r\n");
    memset(reply + n, 'x', sizeof reply - 1 - (size_t)n);
    play(&t, &script, 1);
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, GET);
    while (t.got_len < 1000)
        node_turn(&t);
    node_client_close(&t);
    while (t.origin_closed == 0)
        node_turn(&t);
    assert_int_equal(metric(&t, WEIR_M_cache_stores), 0);
    node_stop(&t);
}

/* ---- trailers, interim responses ---- */

static void allowed_trailers_go_on_behind_the_content(void **state)
{
    static const char *trailers[] = {"X-Sum"};
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
                  "X-Sum: 42\r\nX-Other: 1\r\nContent-Length: 5\r\n\r\n"},
        {.reply = FRESH "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 43\r\n\r\n",
         .one_by_one = 9},
    };
    struct test_node t;

    (void)state;
    node_init(&t);
    t.route.trailers = trailers;
    t.route.trailer_count = 1;
    play(&t, scripts, 2);
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, GET);
    assert_int_equal(node_receive(&t, 1), 1);
    assert_true(got(&t, "\r\n0\r\nX-Sum: 42\r\n\r\n"));
    assert_false(got(&t, "X-Other"));
    node_send(&t, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(node_receive(&t, 2), 2);
    node_stop(&t);
}

static void interim_responses_reach_who_understands_them(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nConnection: x\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
        {.reply = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    };
    struct test_node t;

    (void)state;
    node_init(&t);
    play(&t, scripts, 2);
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, "GET /a HTTP/1.1\r\nHost: x\r\nSec-Fetch-Mode: navigate\r\n\r\n");
    assert_int_equal(node_receive(&t, 1), 1);
    assert_true(got(&t, "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
                        "HTTP/1.1 200 OK"));
    node_client_open(&t);
    node_send(&t, "GET /b HTTP/1.0\r\nHost: x\r\n\r\n");
    assert_int_equal(node_receive(&t, 1), 1);
    assert_false(got(&t, " 103 "));
    node_stop(&t);
}

/* ---- what goes wrong ---- */

static void a_response_cut_short_never_looks_whole_and_is_not_stored(void **state)
{
    static const char *const replies[] = {
        FRESH "Content-Length: 9\r\n\r\nhalf",
        FRESH "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        FRESH "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct script script = {.reply = replies[i], .close = true, .one_by_one = i % 2 * 13};
        struct test_node t;

        node_init(&t);
        play(&t, &script, 1);
        assert_true(node_start(&t));
        node_client_open(&t);
        node_send(&t, GET);
        assert_int_equal(node_receive(&t, 1), 0);
        assert_true(t.client_eof);
        assert_int_equal(metric(&t, WEIR_M_cache_stores), 0);
        node_stop(&t);
    }
}

static void a_bad_response_is_a_502_that_says_why(void **state)
{
    static const struct {
        const char *reply, *type;
    } rows[] = {
        {"", "error=connection_terminated"},
        {"nonsense\r\n\r\n", "error=http_protocol_error"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
         "error=http_protocol_error"},
        {"HTTP/1.1 200 OK\r\nContent-", "error=http_response_incomplete"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct script script = {.reply = rows[i].reply, .close = true};
        struct test_node t;

        node_init(&t);
        t.upstream.retries = 0;
        play(&t, &script, 1);
        assert_true(node_start(&t));
        node_client_open(&t);
        node_send(&t, GET);
        assert_int_equal(node_receive(&t, 1), 1);
        assert_true(got(&t, "HTTP/1.1 502 "));
        assert_true(got(&t, rows[i].type));
        node_stop(&t);
    }
}

static void bad_uploads_do_not_eject_the_origin(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}};
    struct test_node t;

    (void)state;
    node_init(&t);
    t.upstream.max_fails = 1;
    t.upstream.eject_percent = 100;
    play(&t, scripts, 1);
    assert_true(node_start(&t));
    for (int i = 0; i < 3; i++) {
        node_client_open(&t);
        node_send(
            &t,
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\nzz\r\n");
        node_receive(&t, 1);
        assert_true(got(&t, "HTTP/1.1 400 "));
    }
    node_client_open(&t);
    node_send(&t, GET);
    assert_int_equal(node_receive(&t, 1), 1);
    assert_true(got(&t, "HTTP/1.1 200 OK"));
    node_stop(&t);
}

static void uploads_cut_short_are_never_completed(void **state)
{
    static const char *const requests[] = {
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    };
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct test_node t;

        node_init(&t);
        play(&t, scripts, 1);
        assert_true(node_start(&t));
        node_client_open(&t);
        node_send(&t, requests[i]);
        while (strstr(t.seen, "half") == NULL)
            node_turn(&t);
        node_client_close(&t);
        while (t.origin_closed == 0)
            node_turn(&t);
        assert_int_equal(t.requests, 0);
        assert_null(strstr(t.seen, "\r\n0\r\n"));
        node_stop(&t);
    }
}

/* ---- pipelining ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 3\r\n\r\none",
         .one_by_one = 20},
        {.reply = FRESH "Content-Length: 3\r\n\r\ntwo"},
        {.reply = "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 5\r\n\r\nthree"},
    };
    struct test_node t;
    const char *one, *two, *three;

    (void)state;
    node_init(&t);
    play(&t, scripts, 3);
    assert_true(node_start(&t));
    node_client_open(&t);
    node_send(&t, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(node_receive(&t, 4), 4);
    one = strstr(t.got, "one");
    two = strstr(t.got, "two");
    three = strstr(t.got, "three");
    assert_true(one != NULL && two != NULL && three != NULL && one < two && two < three);
    assert_non_null(strstr(two + 3, "two"));
    assert_int_equal(t.requests, 3);
    node_stop(&t);
}

/* A request arrives in two pieces, cut at every byte: same requests to the origin, same answer. */
static void a_request_may_be_cut_anywhere(void **state)
{
    static const char request[] = "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "5;a=\"b\"\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n"
                                  "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"},
    };

    (void)state;
    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        struct test_node t;
        char first[sizeof request];

        memcpy(first, request, cut);
        first[cut] = '\0';
        node_init(&t);
        play(&t, scripts, 2);
        assert_true(node_start(&t));
        node_client_open(&t);
        node_send(&t, first);
        node_turn(&t);
        node_send(&t, request + cut);
        assert_int_equal(node_receive(&t, 2), 2);
        assert_true(got(&t, "one") && got(&t, "two"));
        assert_int_equal(t.requests, 2);
        node_stop(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_leaves_its_origin_connection_for_the_next),
        cmocka_unit_test(uploads_leave_their_origin_connection_too),
        cmocka_unit_test(a_head_request_leaves_its_connection),
        cmocka_unit_test(how_the_node_is_costs_no_origin_and_follows_its_flag),
        cmocka_unit_test(a_polite_server_closes_after_the_next_answer),
        cmocka_unit_test(what_is_stored_is_not_asked_again),
        cmocka_unit_test(a_fetch_goes_on_for_the_store_when_its_client_leaves),
        cmocka_unit_test(a_client_that_leaves_ends_its_pass),
        cmocka_unit_test(a_body_that_outgrows_the_limit_with_nobody_left_is_not_fetched_on),
        cmocka_unit_test(allowed_trailers_go_on_behind_the_content),
        cmocka_unit_test(interim_responses_reach_who_understands_them),
        cmocka_unit_test(a_response_cut_short_never_looks_whole_and_is_not_stored),
        cmocka_unit_test(a_bad_response_is_a_502_that_says_why),
        cmocka_unit_test(bad_uploads_do_not_eject_the_origin),
        cmocka_unit_test(uploads_cut_short_are_never_completed),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_request_may_be_cut_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
