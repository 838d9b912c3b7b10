#include "test_h2.h"

#define HELLO                                                                                      \
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/plain\r\n"                 \
    "Content-Length: 5\r\n\r\nhello"

static int64_t metric(const struct h2_node *t, enum weir_metric m)
{
    return atomic_load(&t->n.metrics->value[m]);
}

static void play(struct h2_node *t, const struct script *scripts, unsigned n)
{
    t->n.scripts = scripts;
    t->n.script_count = n;
    t->n.next_script = 0;
}

static void begin(struct h2_node *t, const struct script *scripts, unsigned n)
{
    h2_node_init(t);
    play(t, scripts, n);
    assert_true(h2_node_start(t));
    h2_client_open(t);
}

static void a_get_is_answered_and_the_next_one_comes_from_the_cache(void **state)
{
    static const struct script scripts[] = {{.reply = HELLO}};
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    begin(&t, scripts, 1);
    for (unsigned i = 0; i < 2; i++) {
        s = h2_wait(&t, h2_get(&t, "/a"));
        assert_true(s->ended && s->error == 0);
        assert_int_equal(s->body_len, 5);
        assert_memory_equal(s->body, "hello", 5);
        assert_true(h2_has(s, ":status: 200\n") && h2_has(s, "content-type: text/plain\n"));
        assert_true(h2_has(s, "content-length: 5\n"));
    }
    assert_int_equal(t.n.requests, 1);
    assert_int_equal(metric(&t, WEIR_M_requests), 2);
    assert_int_equal(metric(&t, WEIR_M_h2_connections), 1);
    h2_node_stop(&t);
}

/* ---- content ---- */

static char *filled(size_t len)
{
    char *p = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        p[i] = (char)('a' + i % 26);
    p[len] = '\0';
    return p;
}

static void content_of_a_post_reaches_the_origin_and_its_answer_the_client(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\ndone"}};
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    begin(&t, scripts, 1);
    t.upload = "some content";
    t.upload_len = t.upload_stop = 12;
    s = h2_wait(&t, h2_ask(&t, "POST", "/a", NULL, 0));
    assert_true(h2_has(s, ":status: 201\n") && s->ended && s->error == 0);
    assert_memory_equal(s->body, "done", 4);
    t.n.seen[t.n.seen_len] = '\0';
    assert_non_null(strstr(t.n.seen, "POST /a HTTP/1.1\r\nHost: x\r\n"));
    assert_non_null(strstr(t.n.seen, "\r\nVia: 2.0 weir\r\n"));
    assert_non_null(strstr(t.n.seen, "\r\nc\r\nsome content\r\n0\r\n\r\n"));
    h2_node_stop(&t);
}

static void a_length_is_kept(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"}};
    const nghttp2_nv length = H2_NV("content-length", "12");
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    begin(&t, scripts, 1);
    t.upload = "some content";
    t.upload_len = t.upload_stop = 12;
    s = h2_wait(&t, h2_ask(&t, "POST", "/a", &length, 1));
    assert_true(h2_has(s, ":status: 200\n"));
    t.n.seen[t.n.seen_len] = '\0';
    assert_non_null(strstr(t.n.seen, "Content-Length: 12\r\n"));
    assert_non_null(strstr(t.n.seen, "\r\n\r\nsome content"));
    h2_node_stop(&t);
}

/* Either way it must not end up as another request at the origin. */
static void content_that_is_not_as_long_as_announced_resets_the_stream(void **state)
{
    static const char *const lengths[] = {"5", "13"};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const nghttp2_nv length = H2_NV("content-length", lengths[i]);
        struct h2_node t;
        struct h2_seen *s;

        begin(&t, NULL, 0);
        t.upload = "some content";
        t.upload_len = t.upload_stop = 12;
        s = h2_wait(&t, h2_ask(&t, "POST", "/a", &length, 1));
        assert_int_equal(s->error, NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(t.n.requests, 0);
        assert_false(t.eof);
        h2_node_stop(&t);
    }
}

#define LARGE ((size_t)900000)

/* More than any window: it flows only as the other side takes it. */
static void large_content_flows_both_ways(void **state)
{
    char *content = filled(LARGE), *reply = malloc(LARGE + 200);
    int head = sprintf(reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", LARGE);
    struct script script = {.reply = reply, .len = (size_t)head + LARGE, .before_body = true};
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    memcpy(reply + head, content, LARGE);
    h2_node_init(&t);
    t.n.route.cache.enabled = false;
    play(&t, &script, 1);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    s = h2_wait(&t, h2_get(&t, "/large"));
    assert_true(s->ended && s->error == 0);
    assert_int_equal(s->body_len, LARGE);
    free(reply);
    free(content);
    h2_node_stop(&t);
}

static void a_large_upload_arrives_whole(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}};
    const nghttp2_nv length = H2_NV("content-length", "60000");
    char *content = filled(60000);
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    begin(&t, scripts, 1);
    for (unsigned i = 0; i < 4; i++) { /* more than the connection's window */
        t.n.next_script = 0;
        t.n.seen_len = 0;
        t.upload = content;
        t.upload_len = t.upload_stop = 60000;
        s = h2_wait(&t, h2_ask(&t, "PUT", "/a", &length, 1));
        assert_true(h2_has(s, ":status: 200\n"));
        assert_non_null(memmem(t.n.seen, t.n.seen_len, content, 30000));
    }
    free(content);
    h2_node_stop(&t);
}

static void trailers_of_a_response_end_the_stream(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n0\r\nGrpc-Status: 7\r\nX-Other: 1\r\n\r\n"}};
    static const char *allowed[] = {"grpc-status"};
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    h2_node_init(&t);
    t.n.route.cache.enabled = false;
    t.n.route.trailers = allowed;
    t.n.route.trailer_count = 1;
    play(&t, scripts, 1);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    s = h2_wait(&t, h2_get(&t, "/a"));
    assert_true(s->ended && s->error == 0 && s->body_len == 5);
    assert_int_equal(s->heads, 2);
    assert_true(h2_has(s, "grpc-status: 7\n"));
    assert_false(h2_has(s, "x-other"));
    h2_node_stop(&t);
}

static void a_response_that_breaks_off_is_reset(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", .close = true},
        {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
         .close = true}};
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    h2_node_init(&t);
    t.n.route.cache.enabled = false;
    play(&t, scripts, 2);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    for (unsigned i = 0; i < 2; i++) {
        s = h2_wait(&t, h2_get(&t, "/a"));
        assert_true(h2_has(s, ":status: 200\n"));
        assert_false(s->ended);
        assert_int_equal(s->error, NGHTTP2_INTERNAL_ERROR);
    }
    assert_false(t.eof);
    h2_node_stop(&t);
}

static void responses_without_content_end_with_their_head(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
        {.reply = "HTTP/1.1 204 No Content\r\n\r\n"},
        {.reply = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    static const char *const methods[] = {"HEAD", "GET", "GET", "GET"};
    struct h2_node t;

    (void)state;
    h2_node_init(&t);
    t.n.route.cache.enabled = false;
    play(&t, scripts, 4);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    for (unsigned i = 0; i < 4; i++) {
        struct h2_seen *s = h2_wait(&t, h2_ask(&t, methods[i], "/a", NULL, 0));

        assert_true(s->ended && s->error == 0 && s->body_len == 0);
        assert_int_equal(s->heads, 1);
    }
    assert_true(h2_has(h2_seen(&t, 1), "content-length: 5\n"));
    h2_node_stop(&t);
}

static void interim_responses_are_passed_on(void **state)
{
    static const struct script scripts[] = {{.reply =
                                                 "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; "
                                                 "rel=preload\r\nConnection: x\r\nX: 1\r\n\r\n"
                                                 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}};
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    h2_node_init(&t);
    t.n.route.cache.enabled = false;
    play(&t, scripts, 1);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    s = h2_wait(&t, h2_get(&t, "/a"));
    assert_ptr_equal(strstr(s->head, ":status: 103\nlink: </a.css>; rel=preload\n:status: 200\n"),
                     s->head);
    assert_true(s->ended && s->body_len == 2);
    h2_node_stop(&t);
}

static void a_client_that_waits_for_100_gets_it(void **state)
{
    static const struct script scripts[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}};
    const nghttp2_nv expect = H2_NV("expect", "100-continue");
    struct h2_node t;
    struct h2_seen *s;
    int32_t id;

    (void)state;
    begin(&t, scripts, 1);
    t.upload = "some content";
    t.upload_len = 12;
    id = h2_ask(&t, "POST", "/a", &expect, 1);
    while (!h2_has(h2_seen(&t, id), ":status: 100\n"))
        h2_turn(&t);
    t.upload_stop = 12;
    nghttp2_session_resume_data(t.session, id);
    s = h2_wait(&t, id);
    assert_true(h2_has(s, ":status: 200\n") && s->ended);
    h2_node_stop(&t);
}

/* ---- streams that end early ---- */

static void an_answer_before_the_content_stands_and_the_rest_is_not_wanted(void **state)
{
    const nghttp2_nv length = H2_NV("content-length", "100000000");
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    begin(&t, NULL, 0);
    t.upload = "some content";
    t.upload_len = 12;
    t.upload_stop = 5;
    s = h2_wait(&t, h2_ask(&t, "POST", "/a", &length, 1));
    assert_true(h2_has(s, ":status: 413\n") && s->ended);
    assert_int_equal(s->error, NGHTTP2_NO_ERROR);
    assert_int_equal(t.n.requests, 0);
    h2_node_stop(&t);
}

static void a_reset_by_the_client_ends_its_exchange_and_no_other(void **state)
{
    static const struct script scripts[] = {
        {.reply = HELLO, .only_for = "/b"},
    };
    struct h2_node t;
    int32_t a, b;

    (void)state;
    h2_node_init(&t);
    t.n.route.cache.enabled = false;
    play(&t, scripts, 1);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    a = h2_get(&t, "/a");
    while (t.n.origin_conns == 0 || t.n.seen_len == 0)
        h2_turn(&t);
    assert_int_equal(metric(&t, WEIR_M_exchanges_open), 1);
    nghttp2_submit_rst_stream(t.session, NGHTTP2_FLAG_NONE, a, NGHTTP2_CANCEL);
    while (metric(&t, WEIR_M_exchanges_open) > 0)
        h2_turn(&t);
    assert_int_equal(metric(&t, WEIR_M_h2_streams_cut), 1);
    b = h2_get(&t, "/b");
    assert_true(h2_wait(&t, b)->ended);
    h2_node_stop(&t);
}

static void a_client_that_leaves_ends_all_its_exchanges(void **state)
{
    struct h2_node t;

    (void)state;
    begin(&t, NULL, 0);
    for (unsigned i = 0; i < 10; i++)
        h2_get(&t, i % 2 ? "/a" : "/b");
    while (metric(&t, WEIR_M_exchanges_open) < 10)
        h2_turn(&t);
    h2_client_close(&t);
    while (metric(&t, WEIR_M_exchanges_open) > 0)
        node_turn(&t.n);
    assert_int_equal(metric(&t, WEIR_M_connections_open), 0);
    h2_node_stop(&t);
}

/* ---- heads that are none ---- */

static void a_malformed_head_is_no_request(void **state)
{
    const nghttp2_nv bad[] = {
        H2_NV("connection", "close"), H2_NV("transfer-encoding", "chunked"),
        H2_NV("te", "gzip"),          H2_NV("x", " leading"),
        H2_NV("x", "a\rb"),
    };
    struct h2_node t;

    (void)state;
    begin(&t, NULL, 0);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct h2_seen *s = h2_wait(&t, h2_ask(&t, "GET", "/a", &bad[i], 1));

        assert_int_equal(s->error, NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(s->heads, 0);
    }
    assert_int_equal(metric(&t, WEIR_M_requests_refused), sizeof bad / sizeof bad[0]);
    assert_false(t.eof);
    h2_node_stop(&t);
}

static void what_is_clear_and_not_allowed_has_an_answer(void **state)
{
    char *path = filled(10000), *value = filled(9000);
    const nghttp2_nv large = {(uint8_t *)(uintptr_t) "x", (uint8_t *)value, 1, 9000, 0};
    const nghttp2_nv expect = H2_NV("expect", "the best");
    struct h2_node t;

    (void)state;
    path[0] = '/';
    begin(&t, NULL, 0);
    assert_true(h2_has(h2_wait(&t, h2_ask(&t, "GET", path, NULL, 0)), ":status: 414\n"));
    assert_true(h2_has(h2_wait(&t, h2_ask(&t, "GET", "/", &large, 1)), ":status: 431\n"));
    assert_true(h2_has(h2_wait(&t, h2_ask(&t, "GET", "/", &expect, 1)), ":status: 417\n"));
    assert_true(h2_has(h2_wait(&t, h2_ask(&t, "TRACE", "/", NULL, 0)), ":status: 405\n"));
    assert_int_equal(t.n.requests, 0);
    free(path);
    free(value);
    h2_node_stop(&t);
}

/* ---- many streams ---- */

/* Started, with a client that does not know the limit yet; *few is to last as long. */
static void start_with_limit(struct h2_node *t, struct h2_settings *few, uint32_t max_streams)
{
    *few = h2_settings_usual;
    few->max_streams = max_streams;
    h2_node_init(t);
    t->n.http2 = few;
    t->n.upstream.retries = 0;
    assert_true(h2_node_start(t));
    h2_client_open(t);
}

static void streams_beyond_the_limit_are_refused_and_may_come_again(void **state)
{
    struct h2_settings two;
    struct h2_node t;
    int32_t id[3];

    (void)state;
    start_with_limit(&t, &two, 2);
    for (unsigned i = 0; i < 3; i++)
        id[i] = h2_get(&t, "/a");
    assert_int_equal(h2_wait(&t, id[2])->error, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(metric(&t, WEIR_M_exchanges_open), 2);
    h2_node_stop(&t);
}

static void ask_and_reset(struct h2_node *t, const char *path)
{
    int32_t id = h2_get(t, path);

    h2_turn(t);
    nghttp2_submit_rst_stream(t->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    h2_turn(t);
}

static void streams_that_were_reset_count_as_long_as_they_are_fetched_for_the_store(void **state)
{
    struct h2_settings few;
    struct h2_node t;
    char path[8];

    (void)state;
    start_with_limit(&t, &few, 4);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "/%u", i);
        ask_and_reset(&t, path);
    }
    while (t.n.origin_conns < 4 || metric(&t, WEIR_M_exchanges_open) > 0)
        h2_turn(&t);
    assert_int_equal(h2_wait(&t, h2_get(&t, "/5"))->error, NGHTTP2_REFUSED_STREAM);
    for (unsigned i = 0; i < 4; i++)
        node_origin_end(&t.n.origin[i], false);
    while (metric(&t, WEIR_M_origin_connections_open) > 0)
        h2_turn(&t);
    ask_and_reset(&t, "/6");
    while (t.n.origin_conns < 5)
        h2_turn(&t);
    h2_client_close(&t); /* before its fetch */
    while (metric(&t, WEIR_M_connections_open) > 0)
        node_turn(&t.n);
    h2_node_stop(&t);
}

static void many_streams_are_served_at_a_time(void **state)
{
    static const struct script scripts[] = {{.reply = HELLO, .one_by_one = 20}};
    struct h2_node t;
    int32_t id[100];

    (void)state;
    begin(&t, scripts, 1);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 100; i++)
            id[i] = h2_get(&t, "/a");
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(h2_wait(&t, id[i])->body_len, 5);
    }
    assert_int_equal(t.n.requests, 1);
    assert_int_equal(metric(&t, WEIR_M_exchanges_open), 0);
    h2_node_stop(&t);
}

/* ---- a client that does not read ---- */

static void a_client_that_reads_slowly_holds_little_and_gets_all(void **state)
{
    char *reply = malloc(LARGE + 200);
    int head =
        sprintf(reply,
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %zu\r\n\r\n",
                LARGE);
    struct script script = {.reply = reply, .len = (size_t)head + LARGE};
    struct h2_node t;
    int32_t id[8];

    (void)state;
    memset(reply + head, 'x', LARGE);
    begin(&t, &script, 1);
    assert_int_equal(h2_wait(&t, h2_get(&t, "/a"))->body_len, LARGE);
    nghttp2_session_set_local_window_size(t.session, NGHTTP2_FLAG_NONE, 0, 1 << 28);
    t.read_limit = 3001;
    for (unsigned i = 0; i < 8; i++)
        id[i] = h2_get(&t, "/a");
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(h2_wait(&t, id[i])->body_len, LARGE);
        assert_true(h2_seen(&t, id[i])->ended);
    }
    assert_int_equal(t.n.requests, 1);
    free(reply);
    h2_node_stop(&t);
}

static void a_client_that_reads_nothing_is_closed(void **state)
{
    char *reply = malloc(LARGE + 200);
    int head =
        sprintf(reply,
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %zu\r\n\r\n",
                LARGE);
    struct script script = {.reply = reply, .len = (size_t)head + LARGE};
    struct h2_node t;

    (void)state;
    memset(reply + head, 'x', LARGE);
    h2_node_init(&t);
    t.n.client_settings.send_timeout_ms = 200;
    play(&t, &script, 1);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    assert_int_equal(h2_wait(&t, h2_get(&t, "/a"))->body_len, LARGE);
    nghttp2_session_set_local_window_size(t.session, NGHTTP2_FLAG_NONE, 0, 1 << 28);
    for (unsigned i = 0; i < 50; i++)
        h2_get(&t, "/a");
    h2_test_flush(&t);
    h2_deaf(&t, true);
    while (metric(&t, WEIR_M_connections_open) > 0)
        node_turn(&t.n);
    assert_int_equal(metric(&t, WEIR_M_exchanges_open), 0);
    free(reply);
    h2_node_stop(&t);
}

/* The socket is fine, but its one stream gets no window. */
static void a_stream_without_window_is_reset_and_the_others_go_on(void **state)
{
    static const struct script scripts[] = {{.reply = HELLO}};
    nghttp2_settings_entry none = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    h2_node_init(&t);
    t.n.client_settings.send_timeout_ms = 200;
    play(&t, scripts, 1);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    nghttp2_submit_settings(t.session, NGHTTP2_FLAG_NONE, &none, 1);
    s = h2_wait(&t, h2_get(&t, "/a"));
    assert_int_equal(s->error, NGHTTP2_CANCEL);
    assert_false(t.eof);
    none.value = 65535;
    nghttp2_submit_settings(t.session, NGHTTP2_FLAG_NONE, &none, 1);
    assert_true(h2_wait(&t, h2_get(&t, "/a"))->ended);
    h2_node_stop(&t);
}

static void an_upload_that_stands_still_is_answered_408(void **state)
{
    struct h2_node t;
    struct h2_seen *s;

    (void)state;
    h2_node_init(&t);
    t.n.client_settings.body_timeout_ms = 200;
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    t.upload = "some content";
    t.upload_len = 12;
    t.upload_stop = 5;
    s = h2_wait(&t, h2_ask(&t, "POST", "/a", NULL, 0));
    assert_true(h2_has(s, ":status: 408\n"));
    assert_false(t.eof);
    h2_node_stop(&t);
}

/* ---- the connection's end ---- */

static void an_idle_connection_is_told_and_closed(void **state)
{
    static const struct script scripts[] = {{.reply = HELLO}};
    struct h2_node t;

    (void)state;
    h2_node_init(&t);
    t.n.client_settings.idle_timeout_ms = 100;
    play(&t, scripts, 1);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    assert_true(h2_wait(&t, h2_get(&t, "/a"))->ended);
    while (!t.eof)
        h2_turn(&t);
    assert_true(t.goaway && t.goaway_error == NGHTTP2_NO_ERROR);
    assert_int_equal(t.goaway_last, 1);
    h2_node_stop(&t);
}

static void draining_says_so_twice_and_finishes_what_is_under_way(void **state)
{
    static const struct script scripts[] = {{.reply = HELLO, .one_by_one = 10}};
    struct h2_node t;
    struct h2_seen *s;
    int32_t id;

    (void)state;
    begin(&t, scripts, 1);
    id = h2_get(&t, "/a");
    while (t.n.requests == 0)
        h2_turn(&t);
    net_clients_drain(&t.n.clients);
    s = h2_wait(&t, id);
    assert_true(s->ended && s->body_len == 5);
    while (!t.eof)
        h2_turn(&t);
    assert_int_equal(t.goaways, 2);
    assert_int_equal(t.goaway_last, 1);
    h2_node_stop(&t);
}

static void a_connection_leaves_after_its_number_of_requests(void **state)
{
    static const struct script scripts[] = {{.reply = HELLO}};
    struct h2_node t;

    (void)state;
    h2_node_init(&t);
    t.n.client_settings.requests_per_connection = 3;
    play(&t, scripts, 1);
    assert_true(h2_node_start(&t));
    h2_client_open(&t);
    for (unsigned i = 0; i < 3; i++)
        assert_true(h2_wait(&t, h2_get(&t, "/a"))->ended);
    while (!t.eof)
        h2_turn(&t);
    assert_true(t.goaway && t.goaway_error == NGHTTP2_NO_ERROR);
    h2_node_stop(&t);
}

static void what_is_no_http2_is_closed(void **state)
{
    struct h2_node t;

    (void)state;
    begin(&t, NULL, 0);
    (void)!send(t.n.client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, MSG_NOSIGNAL);
    while (metric(&t, WEIR_M_connections_open) > 0)
        node_turn(&t.n);
    h2_node_stop(&t);
}

/* ---- WebSocket (RFC 8441) ---- */

/* A tunnel that stands: what the origin says first has come. */
static int32_t open_tunnel(struct h2_node *t, const char *first)
{
    const nghttp2_nv fields[] = {H2_NV(":protocol", "websocket"),
                                 H2_NV("sec-websocket-version", "13"),
                                 H2_NV("sec-websocket-protocol", "chat")};
    struct h2_seen *s;
    int32_t id;

    t->n.route.websocket = true;
    assert_true(h2_node_start(t));
    h2_client_open(t);
    id = h2_ask(t, "CONNECT", "/chat", fields, 3);
    s = h2_seen(t, id);
    while (t->n.origin_conns == 0 || node_request_len(&t->n.origin[0], false) == 0)
        h2_turn(t);
    h2_test_switch(t, first);
    while (s->body_len < strlen(first))
        h2_turn(t);
    assert_true(h2_has(s, ":status: 200\n") && h2_has(s, "sec-websocket-protocol: chat\n"));
    assert_false(h2_has(s, "sec-websocket-accept"));
    assert_memory_equal(s->body, first, strlen(first));
    return id;
}

/* The client may send as much as that of its upload. */
static void go_on(struct h2_node *t, int32_t id, size_t stop)
{
    t->upload_stop = stop;
    nghttp2_session_resume_data(t->session, id);
}

/* What has come at the origin, which keeps none of it. */
static size_t origin_takes(struct h2_node *t)
{
    static char bytes[65536];
    ssize_t n = recv(t->n.origin[0].fd, bytes, sizeof bytes, MSG_DONTWAIT);

    return n > 0 ? (size_t)n : 0;
}

static void an_extended_connect_becomes_a_tunnel(void **state)
{
    struct h2_node t;
    int32_t id;

    (void)state;
    h2_node_init(&t);
    t.upload = "from the client";
    t.upload_len = 15;
    id = open_tunnel(&t, "hello from the origin");
    t.n.seen_len = 0;
    go_on(&t, id, 15);
    while (t.n.seen_len < 15)
        h2_turn(&t);
    assert_memory_equal(t.n.seen, "from the client", 15);
    while (t.n.origin_closed == 0) /* the client has ended its side: so has the node */
        h2_turn(&t);
    assert_true(h2_wait(&t, id)->closed);
    assert_int_equal(metric(&t, WEIR_M_exchanges_open), 0);
    h2_node_stop(&t);
}

#define TUNNEL_BYTES 8000000 /* more than sockets on the way hold */

/* The origin takes little at a time, and only when the test says so. */
static int32_t open_tunnel_with_upload(struct h2_node *t, char **upload)
{
    int small = 65536;
    int32_t id;

    h2_node_init(t);
    setsockopt(t->n.listen_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    t->upload = *upload = calloc(1, TUNNEL_BYTES);
    t->upload_len = TUNNEL_BYTES;
    id = open_tunnel(t, "hello");
    event_del(&t->n.origin[0].event);
    return id;
}

static void a_client_goes_on_when_the_origin_has_ended_and_all_of_it_arrives(void **state)
{
    struct h2_node t;
    struct h2_seen *s;
    size_t got = 0;
    char *upload;
    int32_t id;

    (void)state;
    id = open_tunnel_with_upload(&t, &upload);
    s = h2_seen(&t, id);
    shutdown(t.n.origin[0].fd, SHUT_WR);
    while (!s->ended)
        h2_turn(&t);
    assert_false(s->closed);
    go_on(&t, id, TUNNEL_BYTES);
    while (!s->closed) {
        got += origin_takes(&t);
        h2_turn(&t);
    }
    assert_int_equal(s->error, NGHTTP2_NO_ERROR);
    /* The client has said all of it, and the origin has not taken it yet. */
    assert_true(got < TUNNEL_BYTES);
    assert_int_equal(metric(&t, WEIR_M_exchanges_open), 1);
    while (metric(&t, WEIR_M_exchanges_open) > 0) {
        got += origin_takes(&t);
        h2_turn(&t);
    }
    for (size_t n; (n = origin_takes(&t)) > 0;)
        got += n;
    assert_int_equal(got, TUNNEL_BYTES);
    assert_int_equal(recv(t.n.origin[0].fd, upload, 1, MSG_DONTWAIT), 0); /* FIN, no RST */
    h2_node_stop(&t);
    free(upload);
}

static void a_tunnel_that_nobody_takes_from_ends_by_its_idle_time(void **state)
{
    struct h2_node t;
    struct h2_seen *s;
    char *upload;
    int32_t id;

    (void)state;
    h2_node_init(&t);
    t.n.client_settings.tunnel_idle_ms = 100;
    t.upload = upload = calloc(1, 1000);
    t.upload_len = 1000;
    id = open_tunnel(&t, "hello");
    s = h2_seen(&t, id);
    shutdown(t.n.origin[0].fd, SHUT_WR);
    assert_int_equal(h2_wait(&t, id)->error, NGHTTP2_CANCEL);
    assert_true(s->ended);
    while (metric(&t, WEIR_M_exchanges_open) > 0)
        h2_turn(&t);
    h2_node_stop(&t);
    free(upload);
}

static void a_reset_of_the_origin_cancels_the_stream(void **state)
{
    struct h2_node t;
    int32_t id;

    (void)state;
    h2_node_init(&t);
    t.upload = "x";
    t.upload_len = 1;
    id = open_tunnel(&t, "hello");
    node_origin_end(&t.n.origin[0], true);
    assert_int_equal(h2_wait(&t, id)->error, NGHTTP2_CANCEL);
    assert_false(h2_seen(&t, id)->ended);
    h2_node_stop(&t);
}

static void a_reset_of_the_client_resets_the_origin(void **state)
{
    struct h2_node t;
    char *upload, byte;
    ssize_t n;
    int32_t id;

    (void)state;
    id = open_tunnel_with_upload(&t, &upload);
    nghttp2_submit_rst_stream(t.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    while (metric(&t, WEIR_M_exchanges_open) > 0)
        h2_turn(&t);
    while ((n = recv(t.n.origin[0].fd, &byte, 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
        h2_turn(&t);
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
    h2_node_stop(&t);
    free(upload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_is_answered_and_the_next_one_comes_from_the_cache),
        cmocka_unit_test(content_of_a_post_reaches_the_origin_and_its_answer_the_client),
        cmocka_unit_test(a_length_is_kept),
        cmocka_unit_test(content_that_is_not_as_long_as_announced_resets_the_stream),
        cmocka_unit_test(large_content_flows_both_ways),
        cmocka_unit_test(a_large_upload_arrives_whole),
        cmocka_unit_test(trailers_of_a_response_end_the_stream),
        cmocka_unit_test(a_response_that_breaks_off_is_reset),
        cmocka_unit_test(responses_without_content_end_with_their_head),
        cmocka_unit_test(interim_responses_are_passed_on),
        cmocka_unit_test(a_client_that_waits_for_100_gets_it),
        cmocka_unit_test(an_answer_before_the_content_stands_and_the_rest_is_not_wanted),
        cmocka_unit_test(a_reset_by_the_client_ends_its_exchange_and_no_other),
        cmocka_unit_test(a_client_that_leaves_ends_all_its_exchanges),
        cmocka_unit_test(a_malformed_head_is_no_request),
        cmocka_unit_test(what_is_clear_and_not_allowed_has_an_answer),
        cmocka_unit_test(streams_beyond_the_limit_are_refused_and_may_come_again),
        cmocka_unit_test(streams_that_were_reset_count_as_long_as_they_are_fetched_for_the_store),
        cmocka_unit_test(many_streams_are_served_at_a_time),
        cmocka_unit_test(a_client_that_reads_slowly_holds_little_and_gets_all),
        cmocka_unit_test(a_client_that_reads_nothing_is_closed),
        cmocka_unit_test(a_stream_without_window_is_reset_and_the_others_go_on),
        cmocka_unit_test(an_upload_that_stands_still_is_answered_408),
        cmocka_unit_test(an_idle_connection_is_told_and_closed),
        cmocka_unit_test(draining_says_so_twice_and_finishes_what_is_under_way),
        cmocka_unit_test(a_connection_leaves_after_its_number_of_requests),
        cmocka_unit_test(what_is_no_http2_is_closed),
        cmocka_unit_test(an_extended_connect_becomes_a_tunnel),
        cmocka_unit_test(a_client_goes_on_when_the_origin_has_ended_and_all_of_it_arrives),
        cmocka_unit_test(a_tunnel_that_nobody_takes_from_ends_by_its_idle_time),
        cmocka_unit_test(a_reset_of_the_origin_cancels_the_stream),
        cmocka_unit_test(a_reset_of_the_client_resets_the_origin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
