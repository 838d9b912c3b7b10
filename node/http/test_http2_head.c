#include "test_http.h"

#include <stdio.h>

#include "http2_head.h"
#include "http_text.h"
#include "weir/alloc.h"

#define FIELDS 32
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="

struct pair {
    const char *name, *value;
};

struct run {
    struct http2_head_in in;
    struct http_head head;
    struct http_field fields[FIELDS];
    struct http_framing framing;
    struct weir_arena arena;
    struct weir_err err;
    bool ok;
    char text[40000];
};

static struct http_parse_limits limits;

static struct weir_span str(const char *s)
{
    return weir_span_str(s);
}

/* Fields as they come: from memory that is gone afterwards. */
static bool give(struct run *r, struct weir_span name, struct weir_span value)
{
    char *n = exact_copy(name.ptr, name.len), *v = exact_copy(value.ptr, value.len);
    bool ok = http2_head_field(&r->in, weir_span(n, name.len), weir_span(v, value.len), &r->err);

    free(n);
    free(v);
    return ok;
}

static bool give_all(struct run *r, const struct pair *p)
{
    for (; p->name != NULL; p++)
        if (!give(r, str(p->name), str(p->value)))
            return false;
    return true;
}

static void begin(struct run *r)
{
    memset(r, 0, sizeof *r);
    weir_arena_init(&r->arena, 0);
    http_head_init(&r->head, r->fields, FIELDS);
    limits = http_request_limits;
}

static void write_text(struct run *r)
{
    struct http_text t;

    http_text_init(&t, r->text, sizeof r->text - 1);
    if (r->head.status == 0)
        http_text_request_line(&t, r->head.method, r->head.target);
    else
        http_text_status_line(&t, r->head.status, r->head.reason);
    http_text_fields(&t, &r->head);
    assert_true(http_text_ok(&t));
    r->text[http_text_len(&t)] = '\0';
}

static void request_as(struct run *r, const struct pair *p, bool ended, bool extended)
{
    begin(r);
    http2_head_request(&r->in, &r->head, &r->arena, &limits);
    r->in.websocket_key = LIT(KEY);
    r->ok = give_all(r, p) && http2_head_request_end(&r->in, ended, extended, &r->framing, &r->err);
    if (r->ok)
        write_text(r);
}

static void end(struct run *r)
{
    weir_arena_free(&r->arena);
}

#define PAIRS(...) ((const struct pair[]){__VA_ARGS__, {NULL, NULL}})
#define GET_OF(path)                                                                               \
    {":method", "GET"}, {":scheme", "https"}, {":path", path},                                     \
    {                                                                                              \
        ":authority", "a.test"                                                                     \
    }
#define GET GET_OF("/")

static void becomes(const struct pair *p, bool ended, const char *text)
{
    struct run r;

    request_as(&r, p, ended, false);
    if (!r.ok)
        print_message("refused: %s\n", r.err.detail);
    assert_true(r.ok);
    assert_string_equal(r.text, text);
    end(&r);
}

static void refused(const struct pair *p, enum weir_code code)
{
    struct run r;

    request_as(&r, p, true, true);
    if (r.ok)
        print_message("accepted: %s\n", r.text);
    assert_false(r.ok);
    expect_code(&r.err, code);
    assert_true(r.err.detail[0] != '\0' || code == WEIR_E_MEMORY);
    end(&r);
}

static void a_request_becomes_the_head_that_http1_would_have_given(void **state)
{
    (void)state;
    becomes(PAIRS(GET_OF("/x?y=1"), {"accept", "*/*"}, {"x-own", "Ab"}), true,
            "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nx-own: Ab\r\n");
    becomes(PAIRS({":path", "/"}, {":authority", "a:8080"}, {":method", "BREW"},
                  {":scheme", "http"}, {"x-empty", ""}),
            true, "BREW / HTTP/1.1\r\nHost: a:8080\r\nx-empty: \r\n");
}

static void host_comes_first_and_stands_in_for_authority(void **state)
{
    const struct pair *p = PAIRS({":method", "GET"}, {":scheme", "http"}, {":path", "/"},
                                 {"accept", "a"}, {"host", "b.test"});

    (void)state;
    becomes(p, true, "GET / HTTP/1.1\r\nHost: b.test\r\nAccept: a\r\n");
}

static void host_must_be_what_authority_says(void **state)
{
    (void)state;
    becomes(PAIRS(GET, {"host", "a.test"}), true, "GET / HTTP/1.1\r\nHost: a.test\r\n");
    becomes(PAIRS(GET, {"host", "A.test:443"}), true, "GET / HTTP/1.1\r\nHost: a.test\r\n");
    refused(PAIRS(GET, {"host", "a.test:80"}), WEIR_E_BAD_HOST);
    refused(PAIRS(GET, {"host", "b.test"}), WEIR_E_BAD_HOST);
    refused(PAIRS(GET, {"host", "a.test"}, {"host", "a.test"}), WEIR_E_BAD_HOST);
    refused(PAIRS(GET, {"host", "user@a.test"}), WEIR_E_BAD_HOST);
    refused(PAIRS(GET, {"host", ""}), WEIR_E_BAD_HOST);
    refused(PAIRS({":method", "GET"}, {":scheme", "http"}, {":path", "/"}), WEIR_E_BAD_HOST);
    refused(PAIRS({":authority", ""}), WEIR_E_BAD_HOST);
    refused(PAIRS({":authority", "a b"}), WEIR_E_BAD_HOST);
    refused(PAIRS({":authority", "a\r\nx: y"}), WEIR_E_BAD_HOST);
}

static void crumbs_of_cookies_are_one_line(void **state)
{
    (void)state;
    becomes(PAIRS(GET, {"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}, {"cookie", ""},
                  {"cookie", "c=3"}),
            true, "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=1; b=2; c=3\r\nx: y\r\n");
    becomes(PAIRS(GET, {"cookie", ""}, {"cookie", "b=2"}), true,
            "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: b=2\r\n");
}

static void many_crumbs_cost_their_bytes_and_end_at_the_line(void **state)
{
    struct run r;
    unsigned i;

    (void)state;
    request_as(&r, PAIRS(GET), true, false);
    end(&r);
    begin(&r);
    limits.fields = 3;
    http2_head_request(&r.in, &r.head, &r.arena, &limits);
    assert_true(give_all(&r, PAIRS(GET)));
    for (i = 0; i < 700 && give(&r, LIT("cookie"), LIT("abcdefghi")); i++)
        ;
    assert_int_equal(i, 693); /* 32 KiB, 47 each as HTTP/2 counts */
    expect_code(&r.err, WEIR_E_HEAD_TOO_LARGE);
    assert_true(r.arena.held_bytes < 40000);
    end(&r);
    begin(&r);
    limits.head_bytes = 1u << 20;
    http2_head_request(&r.in, &r.head, &r.arena, &limits);
    assert_true(give_all(&r, PAIRS(GET)));
    for (i = 0; i < 1000 && give(&r, LIT("cookie"), LIT("abcdefghi")); i++)
        ;
    assert_int_equal(i, 744); /* the line that they make has its limit */
    expect_code(&r.err, WEIR_E_HEAD_TOO_LARGE);
    end(&r);
}

static void nothing_that_http1_reads_otherwise_gets_through(void **state)
{
    (void)state;
    refused(PAIRS(GET, {"a", "b\r\nx: y"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a", "b\nx: y"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a", "b\rx"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a", "\x7f"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a", " b"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a", "b\t"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a", " "}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"A", "b"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a b", "c"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a:", "c"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"a: b\r\nc", "d"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"", "d"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"\xe9", "d"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"transfer-encoding", "chunked"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"connection", "close"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"keep-alive", "1"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"upgrade", "h2c"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"proxy-connection", "close"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"te", "gzip"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"content-type", "a"}, {"content-type", "b"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {"expect", "200-ok"}), WEIR_E_EXPECTATION);
    becomes(PAIRS(GET, {"te", "trailers"}), true,
            "GET / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\n");
    becomes(PAIRS(GET, {"a", "b\t \xff"}), true,
            "GET / HTTP/1.1\r\nHost: a.test\r\na: b\t \xff\r\n");
}

static void a_nul_is_refused_anywhere(void **state)
{
    const struct weir_span nul = LIT("a\0b");
    const struct weir_span names[] = {LIT(":method"),    LIT(":scheme"), LIT(":path"),
                                      LIT(":authority"), LIT("host"),    LIT("cookie"),
                                      LIT("x")};
    struct run r;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        begin(&r);
        http2_head_request(&r.in, &r.head, &r.arena, &limits);
        assert_false(give(&r, names[i], nul));
        end(&r);
    }
    begin(&r);
    http2_head_request(&r.in, &r.head, &r.arena, &limits);
    assert_false(give(&r, nul, LIT("v")));
    end(&r);
}

static void a_path_is_a_path(void **state)
{
    static const char *const bad[] = {"",     "x",      "http://b.test/", "/a b",
                                      "/a#b", "/a\r\n", "/a\tb",          "/\xc3\xa9",
                                      "*",    "?x",     "//\x7f"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(PAIRS(GET_OF(bad[i])), WEIR_E_BAD_TARGET);
    becomes(PAIRS({":method", "OPTIONS"}, {":scheme", "http"}, {":authority", "a"}, {":path", "*"}),
            true, "OPTIONS * HTTP/1.1\r\nHost: a\r\n");
    becomes(PAIRS(GET_OF("//b.test/x")), true, "GET //b.test/x HTTP/1.1\r\nHost: a.test\r\n");
}

static void pseudo_fields_are_known_once_and_first(void **state)
{
    (void)state;
    refused(PAIRS(GET, {":method", "GET"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {":status", "200"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {":other", "x"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS(GET, {":", "x"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":method", "GET"}, {":scheme", "http"}, {"a", "b"}, {":path", "/"}),
            WEIR_E_BAD_REQUEST);
    refused(PAIRS({":method", "GET"}, {":path", "/"}, {":authority", "a"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":method", "GET"}, {":scheme", "http"}, {":authority", "a"}),
            WEIR_E_BAD_REQUEST);
    refused(PAIRS({":scheme", "http"}, {":path", "/"}, {":authority", "a"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":scheme", "ftp"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":method", "G T"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":method", "GET / HTTP/1.1\r\nx:"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":method", ""}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":method", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGH"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":method", "TRACE"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}),
            WEIR_E_METHOD_NOT_ALLOWED);
    refused(PAIRS({":method", "CONNECT"}, {":authority", "a:1"}), WEIR_E_METHOD_NOT_ALLOWED);
}

static void underscores_are_dropped_unless_asked_for(void **state)
{
    struct run r;

    (void)state;
    request_as(&r, PAIRS(GET, {"a_b", "1"}, {"c", "2"}), true, false);
    assert_true(r.ok);
    assert_int_equal(r.head.dropped, 1);
    assert_string_equal(r.text, "GET / HTTP/1.1\r\nHost: a.test\r\nc: 2\r\n");
    end(&r);
}

static void limits_hold_while_fields_arrive(void **state)
{
    static char long_value[8190];
    struct run r;
    unsigned i;

    (void)state;
    memset(long_value, 'x', sizeof long_value - 1);
    begin(&r);
    http2_head_request(&r.in, &r.head, &r.arena, &limits);
    for (i = 0; give(&r, LIT("x"), LIT("")); i++)
        assert_true(i < 100);
    assert_int_equal(i, 100);
    expect_code(&r.err, WEIR_E_HEAD_TOO_LARGE);
    end(&r);
    refused(PAIRS({"x", long_value}, {"x", long_value}, {"x", long_value}, {"x", long_value}),
            WEIR_E_HEAD_TOO_LARGE);
    refused(PAIRS({"xyz", long_value}), WEIR_E_HEAD_TOO_LARGE);
    begin(&r);
    limits.target_bytes = 100;
    http2_head_request(&r.in, &r.head, &r.arena, &limits);
    assert_false(give(&r, LIT(":path"), weir_span(long_value, 101)));
    expect_code(&r.err, WEIR_E_TARGET_TOO_LONG);
    end(&r);
}

static void framed(const struct pair *p, bool ended, enum http_body kind, uint64_t length)
{
    struct run r;

    request_as(&r, p, ended, false);
    assert_true(r.ok);
    assert_int_equal(r.framing.kind, kind);
    assert_int_equal(r.framing.length, length);
    assert_true(r.framing.keep_alive);
    end(&r);
}

static void content_ends_with_the_stream(void **state)
{
    struct run r;

    (void)state;
    framed(PAIRS(GET), true, HTTP_BODY_NONE, 0);
    framed(PAIRS(GET), false, HTTP_BODY_CHUNKED, 0);
    framed(PAIRS(GET, {"content-length", "7"}), false, HTTP_BODY_LENGTH, 7);
    framed(PAIRS(GET, {"content-length", "0"}), true, HTTP_BODY_LENGTH, 0);
    refused(PAIRS(GET, {"content-length", "7"}), WEIR_E_BAD_LENGTH);
    refused(PAIRS(GET, {"content-length", "0"}, {"content-length", "0"}), WEIR_E_BAD_LENGTH);
    refused(PAIRS(GET, {"content-length", "+1"}), WEIR_E_BAD_LENGTH);
    refused(PAIRS(GET, {"content-length", "0, 0"}), WEIR_E_BAD_LENGTH);
    request_as(&r, PAIRS(GET, {"expect", "100-continue"}), false, false);
    assert_true(r.ok && r.framing.expect_continue);
    end(&r);
    request_as(&r, PAIRS(GET, {"expect", "100-continue"}), true, false);
    assert_true(r.ok && !r.framing.expect_continue);
    end(&r);
}

#define CONNECT                                                                                    \
    {":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/chat"},  \
    {                                                                                              \
        ":authority", "a.test"                                                                     \
    }

static void an_extended_connect_becomes_a_handshake(void **state)
{
    const struct pair *p =
        PAIRS(CONNECT, {"sec-websocket-version", "13"}, {"sec-websocket-key", "stale"});
    struct run r;

    (void)state;
    request_as(&r, p, false, true);
    assert_true(r.ok && r.framing.upgrade);
    assert_int_equal(r.framing.kind, HTTP_BODY_NONE);
    assert_string_equal(r.text,
                        "GET /chat HTTP/1.1\r\nHost: a.test\r\nSec-WebSocket-Version: 13\r\n"
                        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: " KEY
                        "\r\n");
    end(&r);
    request_as(&r, p, false, false);
    assert_false(r.ok);
    end(&r);
    request_as(&r, p, true, true);
    assert_false(r.ok);
    end(&r);
    request_as(&r, PAIRS(CONNECT), false, true); /* no version */
    assert_false(r.ok);
    end(&r);
    refused(PAIRS(GET, {"a", "b"}, {":protocol", "websocket"}), WEIR_E_BAD_REQUEST);
    refused(PAIRS({":protocol", "websocket"}, GET), WEIR_E_BAD_REQUEST);
    request_as(&r, PAIRS({":protocol", "connect-ip"}, CONNECT), false, true);
    assert_false(r.ok);
    end(&r);
}

static void respond(struct run *r, const struct pair *p, bool ended, enum http_method method)
{
    begin(r);
    limits = http_response_limits;
    http2_head_response(&r->in, &r->head, &r->arena, &limits);
    r->ok = give_all(r, p) && http2_head_response_end(&r->in, ended, method, &r->framing, &r->err);
    if (r->ok)
        write_text(r);
}

static void responds(const struct pair *p, bool ended, enum http_body kind, const char *text)
{
    struct run r;

    respond(&r, p, ended, HTTP_M_GET);
    assert_true(r.ok);
    assert_int_equal(r.framing.kind, kind);
    assert_string_equal(r.text, text);
    end(&r);
}

static void responds_badly(const struct pair *p, bool ended)
{
    struct run r;

    respond(&r, p, ended, HTTP_M_GET);
    assert_false(r.ok);
    expect_code(&r.err, WEIR_E_RESPONSE_MALFORMED);
    end(&r);
}

static void a_response_becomes_a_head(void **state)
{
    struct run r;

    (void)state;
    responds(PAIRS({":status", "200"}, {"set-cookie", "a"}, {"set-cookie", "b"}, {"x_y", "z"}),
             false, HTTP_BODY_CHUNKED,
             "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nx_y: z\r\n");
    responds(PAIRS({":status", "404"}), true, HTTP_BODY_NONE, "HTTP/1.1 404 Not Found\r\n");
    responds(PAIRS({":status", "200"}, {"content-length", "3"}), false, HTTP_BODY_LENGTH,
             "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n");
    responds(PAIRS({":status", "103"}, {"link", "<x>"}), false, HTTP_BODY_NONE,
             "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n");
    responds(PAIRS({":status", "204"}), false, HTTP_BODY_NONE, "HTTP/1.1 204 No Content\r\n");
    respond(&r, PAIRS({":status", "200"}, {"content-length", "9"}), true, HTTP_M_HEAD);
    assert_true(r.ok && r.framing.kind == HTTP_BODY_NONE && r.framing.has_length);
    end(&r);
}

static void malformed_responses_are_refused(void **state)
{
    (void)state;
    responds_badly(PAIRS({"a", "b"}), true);
    responds_badly(PAIRS({":status", "20"}), true);
    responds_badly(PAIRS({":status", "099"}), true);
    responds_badly(PAIRS({":status", "2 0"}), true);
    responds_badly(PAIRS({":status", "101"}), false);
    responds_badly(PAIRS({":status", "103"}), true);
    responds_badly(PAIRS({":status", "200"}, {":status", "200"}), true);
    responds_badly(PAIRS({":status", "200"}, {":path", "/"}), true);
    responds_badly(PAIRS({":status", "200"}, {"connection", "close"}), true);
    responds_badly(PAIRS({":status", "200"}, {"te", "trailers"}), true);
    responds_badly(PAIRS({":status", "200"}, {"content-length", "3"}), true);
    responds_badly(PAIRS({":status", "200"}, {"a", "b\r\nc: d"}), true);
}

static bool trailers_ok(const struct pair *p)
{
    struct run r;
    bool ok;

    begin(&r);
    http2_head_trailers(&r.in, &r.head, &r.arena, &limits, true);
    ok = give_all(&r, p) && http2_head_trailers_end(&r.in, &r.err);
    end(&r);
    return ok;
}

static void trailers_have_no_pseudo_fields(void **state)
{
    (void)state;
    assert_true(trailers_ok(PAIRS({"grpc-status", "0"}, {"grpc-message", ""})));
    assert_false(trailers_ok(PAIRS({"grpc-status", "0"}, {":status", "200"})));
    assert_false(trailers_ok(PAIRS({":status", "200"})));
    assert_false(trailers_ok(PAIRS({"transfer-encoding", "chunked"})));
    assert_false(trailers_ok(PAIRS({"te", "trailers"})));
}

/* ---- http2_fields.h ---- */

static void print_fields(const struct http2_field *f, uint32_t n, char *at)
{
    *at = '\0';
    for (uint32_t i = 0; i < n; i++)
        at += sprintf(at, "%.*s=%.*s%s\n", (int)f[i].name.len, f[i].name.ptr, (int)f[i].value.len,
                      f[i].value.ptr, f[i].sensitive ? "!" : "");
}

static void lines_give(const char *lines, const char *want)
{
    struct http2_field out[16];
    struct weir_arena a = {.limit_bytes = 0};
    char text[2000];
    uint32_t n = 0;
    char *copy = exact_copy(lines, strlen(lines));

    assert_true(http2_fields_of(weir_span(copy, strlen(lines)), &a, out, &n, 16));
    print_fields(out, n, text);
    assert_string_equal(text, want);
    free(copy);
    weir_arena_free(&a);
}

static void lines_become_fields_in_lower_case(void **state)
{
    (void)state;
    lines_give("", "");
    lines_give("\r\n", "");
    lines_give("HTTP/1.1 200 OK\r\n\r\n", "");
    lines_give("A: b\r\n", "a=b\n");
    lines_give(
        "HTTP/1.1 200 OK\r\nX-Long-Name-Of-40-Bytes-And-More-Than-32: v\r\nE: \r\n\r\nbody: x",
        "x-long-name-of-40-bytes-and-more-than-32=v\ne=\n");
    lines_give("Set-Cookie: a\r\nsixteen-bytes-16: A long value: with colons, of 40 bytes\r\n",
               "set-cookie=a\nsixteen-bytes-16=A long value: with colons, of 40 bytes\n");
    lines_give("Connection: close\r\nKeep-Alive: x\r\nTransfer-Encoding: chunked\r\n"
               "Upgrade: h2c\r\nProxy-Connection: x\r\nTE: x\r\nHTTP2-Settings: x\r\nVia: y\r\n",
               "via=y\n");
    lines_give("Authorization: Basic x\r\nCookie: short\r\nCookie: 0123456789012345678901\r\n",
               "authorization=Basic x!\ncookie=short!\ncookie=0123456789012345678901\n");
}

static void every_cut_of_lines_is_either_whole_or_an_error(void **state)
{
    static const char lines[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nAge: 1\r\n\r\n";
    struct http2_field out[4];

    (void)state;
    for (size_t len = 0; len < sizeof lines; len++) {
        struct weir_arena a = {.limit_bytes = 0};
        char *copy = exact_copy(lines, len);
        uint32_t n = 0;
        bool whole = len == 0 ||
                     (len >= 17 && (lines[len - 1] == '\n' || len == 17 || lines[len - 1] == '\r')),
             ok = http2_fields_of(weir_span(copy, len), &a, out, &n, 4);

        if (ok)
            assert_true(whole);
        assert_true(n <= 2);
        free(copy);
        weir_arena_free(&a);
    }
}

static void more_fields_than_room_is_an_error(void **state)
{
    struct weir_arena a = {.limit_bytes = 0};
    struct http2_field out[2];
    uint32_t n = 1;

    (void)state;
    assert_false(http2_fields_of(LIT("a: b\r\nc: d\r\n"), &a, out, &n, 2));
    n = 0;
    assert_true(http2_fields_of(LIT("a: b\r\nc: d\r\n"), &a, out, &n, 2));
    weir_arena_free(&a);
}

static void a_request_begins_with_its_pseudo_fields(void **state)
{
    static const char head[] = "POST /x?y HTTP/1.1\r\nHost: a.test\r\nVia: 2 w\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    struct weir_arena a = {.limit_bytes = 0};
    struct http2_field out[16];
    char text[1000];
    uint32_t n = 0;

    (void)state;
    assert_true(http2_request_fields_of(LIT(head), LIT("https"), true, &a, out, &n, 16));
    print_fields(out, n, text);
    assert_string_equal(text, ":method=POST\n:scheme=https\n:authority=a.test\n:path=/x?y\n"
                              "via=2 w\nte=trailers\n");
    n = 0;
    assert_false(http2_request_fields_of(LIT("GET / HTTP/1.1\r\n\r\n"), LIT("http"), false, &a, out,
                                         &n, 16));
    n = 0;
    assert_false(
        http2_request_fields_of(LIT("GET /\r\n\r\n"), LIT("http"), false, &a, out, &n, 16));
    weir_arena_free(&a);
}

#ifdef WEIR_FAULTS
static void without_memory_a_head_is_refused(void **state)
{
    const struct pair *p = PAIRS(GET, {"x-a", "1"}, {"cookie", "a=1"}, {"cookie", "b=2"});
    struct run r;

    (void)state;
    for (unsigned nth = 1;; nth++) {
        weir_alloc_fail_at(nth);
        request_as(&r, p, true, false);
        weir_alloc_fail_at(0);
        end(&r);
        if (r.ok) {
            assert_true(nth > 1);
            break;
        }
        expect_code(&r.err, WEIR_E_MEMORY);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_becomes_the_head_that_http1_would_have_given),
        cmocka_unit_test(host_comes_first_and_stands_in_for_authority),
        cmocka_unit_test(host_must_be_what_authority_says),
        cmocka_unit_test(crumbs_of_cookies_are_one_line),
        cmocka_unit_test(many_crumbs_cost_their_bytes_and_end_at_the_line),
        cmocka_unit_test(nothing_that_http1_reads_otherwise_gets_through),
        cmocka_unit_test(a_nul_is_refused_anywhere),
        cmocka_unit_test(a_path_is_a_path),
        cmocka_unit_test(pseudo_fields_are_known_once_and_first),
        cmocka_unit_test(underscores_are_dropped_unless_asked_for),
        cmocka_unit_test(limits_hold_while_fields_arrive),
        cmocka_unit_test(content_ends_with_the_stream),
        cmocka_unit_test(an_extended_connect_becomes_a_handshake),
        cmocka_unit_test(a_response_becomes_a_head),
        cmocka_unit_test(malformed_responses_are_refused),
        cmocka_unit_test(trailers_have_no_pseudo_fields),
        cmocka_unit_test(lines_become_fields_in_lower_case),
        cmocka_unit_test(every_cut_of_lines_is_either_whole_or_an_error),
        cmocka_unit_test(more_fields_than_room_is_an_error),
        cmocka_unit_test(a_request_begins_with_its_pseudo_fields),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_a_head_is_refused),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
