#include "test_http.h"

#include <stdio.h>

#include "http_framing.h"
#include "http_parse.h"

static struct weir_err err;

/* Parses the text and judges it; true if it was accepted. */
static bool request(const char *text, struct http_framing *out)
{
    struct http_field fields[32];
    struct http_head h;
    struct http_parser p;

    memset(&err, 0, sizeof(err));
    http_head_init(&h, fields, 32);
    http_parser_init(&p);
    assert_int_equal(http_parse_request(&p, &http_request_limits, &h, text, strlen(text), &err),
                     HTTP_PARSED);
    return http_request_framing(&h, out, &err);
}

static bool response(enum http_method method, const char *text, struct http_framing *out)
{
    struct http_field fields[32];
    struct http_head h;
    struct http_parser p;

    memset(&err, 0, sizeof(err));
    http_head_init(&h, fields, 32);
    http_parser_init(&p);
    assert_int_equal(http_parse_response(&p, &http_response_limits, &h, text, strlen(text), &err),
                     HTTP_PARSED);
    return http_response_framing(&h, method, out, &err);
}

#define POST11 "POST / HTTP/1.1\r\nHost: a\r\n"
#define GET11  "GET / HTTP/1.1\r\nHost: a\r\n"
#define END    "\r\n\r\n"

struct row {
    const char *text;
    enum weir_code code;
};

static void ambiguous_requests_are_refused(void **state)
{
    static const struct row rows[] = {
        /* rule 1.4 */
        {"GET / HTTP/1.1" END, WEIR_E_BAD_HOST},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a" END, WEIR_E_BAD_HOST},
        {"GET / HTTP/1.0\r\nHost: a\r\nhost: b" END, WEIR_E_BAD_HOST},
        /* rule 1.5 */
        {POST11 "Content-Length: 5\r\nContent-Length: 5" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 5\r\ncontent-length: 6" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 5, 5" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: +5" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: -5" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 0x5" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 5 5" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 5a" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: \"5\"" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 5;" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length:" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 1234567890123456789" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 0000000000000000001" END, WEIR_E_BAD_LENGTH},
        {POST11 "Content-Length: 5\r\nTransfer-Encoding: chunked" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding: chunked\r\nContent-Length: 0" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding: chunked, chunked" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding:" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding: ,chunked" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding: \"chunked\"" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding: chun ked" END, WEIR_E_BAD_LENGTH},
        {POST11 "Transfer-Encoding: gzip" END, WEIR_E_CODING_UNKNOWN},
        {POST11 "Transfer-Encoding: gzip, chunked" END, WEIR_E_CODING_UNKNOWN},
        {POST11 "Transfer-Encoding: chunked, gzip" END, WEIR_E_CODING_UNKNOWN},
        {POST11 "Transfer-Encoding: identity" END, WEIR_E_CODING_UNKNOWN},
        {POST11 "Transfer-Encoding: xchunked" END, WEIR_E_CODING_UNKNOWN},
        {POST11 "Transfer-Encoding: chunked;a=b" END, WEIR_E_CODING_UNKNOWN},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked" END, WEIR_E_BAD_LENGTH},
        /* rule 1.8 */
        {"CONNECT a:443 HTTP/1.1\r\nHost: a" END, WEIR_E_METHOD_NOT_ALLOWED},
        {"TRACE / HTTP/1.1\r\nHost: a" END, WEIR_E_METHOD_NOT_ALLOWED},
        {POST11 "Expect: 200-ok" END, WEIR_E_EXPECTATION},
        {POST11 "Expect: 100-continue, x" END, WEIR_E_EXPECTATION},
        {POST11 "Expect:" END, WEIR_E_EXPECTATION},
        {POST11 "Expect: 100-continue\r\nExpect: y" END, WEIR_E_EXPECTATION},
        /* one meaning, two lines */
        {GET11 "Authorization: a\r\nAuthorization: b" END, WEIR_E_BAD_REQUEST},
        {GET11 "Content-Type: a\r\nX: y\r\ncontent-type: b" END, WEIR_E_BAD_REQUEST},
        {GET11 "Range: bytes=0-1\r\nRange: bytes=0-1" END, WEIR_E_BAD_REQUEST},
    };
    struct http_framing f;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (request(rows[i].text, &f))
            fail_msg("accepted %s", rows[i].text);
        expect_code(&err, rows[i].code);
        assert_true(err.detail[0] != '\0');
    }
}

static void a_request_body_is_framed(void **state)
{
    struct http_framing f;

    (void)state;
    assert_true(request(GET11 "\r\n", &f));
    assert_int_equal(f.kind, HTTP_BODY_NONE);
    assert_false(f.has_length);
    assert_true(request(POST11 "Content-Length: 0" END, &f));
    assert_int_equal(f.kind, HTTP_BODY_LENGTH);
    assert_int_equal(f.length, 0);
    assert_true(request(GET11 "Content-Length: 999999999999999999" END, &f));
    assert_int_equal(f.kind, HTTP_BODY_LENGTH);
    assert_int_equal(f.length, 999999999999999999);
    assert_true(request(POST11 "Transfer-Encoding:\tCHUNKED " END, &f));
    assert_int_equal(f.kind, HTTP_BODY_CHUNKED);
    assert_true(request("POST / HTTP/1.0\r\nContent-Length: 3" END, &f));
    assert_int_equal(f.length, 3);
}

static void at_most_32_connection_options_are_read(void **state)
{
    char text[1024];
    struct http_framing f;
    size_t n = (size_t)sprintf(text, GET11 "Connection: a");

    (void)state;
    for (int i = 1; i < 32; i++)
        n += (size_t)sprintf(text + n, i == 16 ? "\r\nConnection: b" : ",x");
    memcpy(text + n, END, sizeof(END));
    assert_true(request(text, &f));
    memcpy(text + n, ",c" END, sizeof(",c" END));
    assert_false(request(text, &f));
    expect_code(&err, WEIR_E_BAD_REQUEST);
}

static void keep_alive_follows_version_and_connection(void **state)
{
    struct http_framing f;

    (void)state;
    assert_true(request(GET11 "\r\n", &f) && f.keep_alive);
    assert_true(request(GET11 "Connection: Close" END, &f) && !f.keep_alive);
    assert_true(request(GET11 "Connection: x\r\nConnection: keep-alive, close" END, &f) &&
                !f.keep_alive);
    assert_true(request("GET / HTTP/1.0" END, &f) && !f.keep_alive);
    assert_true(request("GET / HTTP/1.0\r\nConnection: Keep-Alive" END, &f) && f.keep_alive);
    assert_true(request("GET / HTTP/1.0\r\nConnection: Keep-Alive, close" END, &f) &&
                !f.keep_alive);
}

static void continue_is_expected_only_where_it_makes_sense(void **state)
{
    struct http_framing f;

    (void)state;
    assert_true(request(POST11 "Expect: 100-Continue\r\nContent-Length: 1" END, &f));
    assert_true(f.expect_continue);
    assert_true(request(POST11 "Expect: 100-continue\r\nTransfer-Encoding: chunked" END, &f));
    assert_true(f.expect_continue);
    assert_true(request(POST11 "Expect: 100-continue\r\nContent-Length: 0" END, &f));
    assert_false(f.expect_continue);
    assert_true(request(POST11 "Expect: 100-continue" END, &f));
    assert_false(f.expect_continue);
    assert_true(request("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1" END, &f));
    assert_false(f.expect_continue);
}

#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13     "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"

static void only_a_complete_handshake_is_an_upgrade(void **state)
{
    static const char *const incomplete[] = {
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" KEY V13 "\r\n",
        GET11 "Connection: upgrade\r\n" KEY V13 "\r\n",
        GET11 UPGRADE V13 "\r\n",
        GET11 UPGRADE KEY "\r\n",
        GET11 UPGRADE KEY "Sec-WebSocket-Version: 12" END,
        GET11 UPGRADE KEY V13 V13 "\r\n",
        GET11 UPGRADE V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=" END,
        GET11 UPGRADE V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==" END,
        GET11 UPGRADE V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-Q==" END,
        GET11 UPGRADE KEY V13 "Content-Length: 0" END,
        GET11 UPGRADE KEY V13 "Transfer-Encoding: chunked" END,
        GET11 "Connection: Upgrade\r\nUpgrade: h2c\r\n" KEY V13 "\r\n",
        GET11 "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n" KEY V13 "\r\n",
        GET11 "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n" KEY V13 "\r\n",
        POST11 UPGRADE KEY V13 "\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n" UPGRADE KEY V13 "\r\n",
    };
    struct http_framing f;

    (void)state;
    assert_true(request(GET11 UPGRADE KEY V13 "\r\n", &f) && f.upgrade);
    for (size_t i = 0; i < sizeof(incomplete) / sizeof(incomplete[0]); i++) {
        assert_true(request(incomplete[i], &f));
        if (f.upgrade)
            fail_msg("offered: %s", incomplete[i]);
    }
}

static void the_accept_hash_is_the_one_of_rfc_6455(void **state)
{
    const struct weir_span key = LIT("dGhlIHNhbXBsZSBub25jZQ==");

    (void)state;
    assert_true(http_websocket_accept_ok(key, LIT("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    assert_false(http_websocket_accept_ok(key, LIT("s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")));
    assert_false(http_websocket_accept_ok(key, LIT("s3pPLMBiTxaQ9kYGzzhZRbK+xOo")));
    assert_false(http_websocket_accept_ok(key, WEIR_SPAN_NONE));
    assert_false(http_websocket_accept_ok(LIT("x"), LIT("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
}

/* ---- responses ---- */

static void ambiguous_responses_are_refused(void **state)
{
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked" END,
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1" END,
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1" END,
        "HTTP/1.1 200 OK\r\nContent-Length: -1" END,
        "HTTP/1.1 200 OK\r\nContent-Length:" END,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked" END,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip" END,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked" END,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding:" END,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked" END,
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked" END,
        "HTTP/1.1 304 OK\r\nContent-Length: x" END,
    };
    struct http_framing f;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (response(HTTP_M_GET, texts[i], &f) || response(HTTP_M_HEAD, texts[i], &f))
            fail_msg("accepted %s", texts[i]);
        expect_code(&err, WEIR_E_RESPONSE_MALFORMED);
        assert_true(err.detail[0] != '\0');
    }
}

static void a_response_body_is_framed(void **state)
{
    struct http_framing f;

    (void)state;
    assert_true(response(HTTP_M_GET, "HTTP/1.1 200 OK\r\nContent-Length: 7" END, &f));
    assert_int_equal(f.kind, HTTP_BODY_LENGTH);
    assert_int_equal(f.length, 7);
    assert_true(f.keep_alive);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked" END, &f));
    assert_int_equal(f.kind, HTTP_BODY_CHUNKED);
    assert_true(f.keep_alive);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 200 OK\r\nConnection: keep-alive" END, &f));
    assert_int_equal(f.kind, HTTP_BODY_CLOSE);
    assert_false(f.keep_alive);
    assert_true(response(HTTP_M_GET, "HTTP/1.0 200 OK\r\nContent-Length: 7" END, &f));
    assert_false(f.keep_alive);
    assert_true(response(HTTP_M_GET,
                         "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 7" END, &f));
    assert_true(f.keep_alive);
}

static void some_responses_never_have_content(void **state)
{
    struct http_framing f;

    (void)state;
    assert_true(response(HTTP_M_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 7" END, &f));
    assert_int_equal(f.kind, HTTP_BODY_NONE);
    assert_true(f.has_length);
    assert_int_equal(f.length, 7);
    assert_true(f.keep_alive);
    assert_true(response(HTTP_M_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked" END, &f));
    assert_int_equal(f.kind, HTTP_BODY_NONE);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7" END, &f));
    assert_int_equal(f.kind, HTTP_BODY_NONE);
    assert_true(f.keep_alive);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 204 No Content\r\n\r\n", &f));
    assert_int_equal(f.kind, HTTP_BODY_NONE);
    assert_true(f.keep_alive);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 103 Early Hints\r\n\r\n", &f));
    assert_int_equal(f.kind, HTTP_BODY_NONE);
}

static void a_204_that_announces_content_ends_the_connection(void **state)
{
    struct http_framing f;

    (void)state;
    assert_true(response(HTTP_M_GET, "HTTP/1.1 204 x\r\nContent-Length: 0" END, &f));
    assert_true(f.keep_alive);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 204 x\r\nContent-Length: 1" END, &f));
    assert_false(f.keep_alive);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked" END, &f));
    assert_false(f.keep_alive);
}

static void only_a_101_to_websocket_is_an_upgrade(void **state)
{
    struct http_framing f;

    (void)state;
    assert_true(response(HTTP_M_GET, "HTTP/1.1 101 x\r\n" UPGRADE "\r\n", &f) && f.upgrade);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 200 x\r\n" UPGRADE "\r\n", &f) && !f.upgrade);
    assert_true(response(HTTP_M_GET, "HTTP/1.1 101 x\r\nUpgrade: websocket" END, &f) && !f.upgrade);
    assert_true(
        response(HTTP_M_GET, "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c" END, &f) &&
        !f.upgrade);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ambiguous_requests_are_refused),
        cmocka_unit_test(a_request_body_is_framed),
        cmocka_unit_test(at_most_32_connection_options_are_read),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(continue_is_expected_only_where_it_makes_sense),
        cmocka_unit_test(only_a_complete_handshake_is_an_upgrade),
        cmocka_unit_test(the_accept_hash_is_the_one_of_rfc_6455),
        cmocka_unit_test(ambiguous_responses_are_refused),
        cmocka_unit_test(a_response_body_is_framed),
        cmocka_unit_test(some_responses_never_have_content),
        cmocka_unit_test(a_204_that_announces_content_ends_the_connection),
        cmocka_unit_test(only_a_101_to_websocket_is_an_upgrade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
