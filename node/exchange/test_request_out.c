#include "request_out.h"

#include "test_exchange.h"

#include "client_addr.h"
#include "stored.h"
#include "trace.h"

/* The request as it goes out, NUL-terminated in the arena. */
static const char *out(struct made *m, const char *request, struct request_out r)
{
    struct weir_span head, text;
    struct weir_err err = {0};

    made_request(m, request);
    client_addr_find(&m->x);
    trace_begin(&m->x);
    r.x = &m->x;
    r.upstream = &m->upstream;
    r.route = &m->route;
    if (!request_out_write(&r, &m->x.arena, &head, &err))
        fail_msg("%s %s", weir_code_name(err.code), err.where);
    text = weir_arena_dup(&m->x.arena, head);
    assert_true(head.len > 4 && memcmp(head.ptr + head.len - 4, "\r\n\r\n", 4) == 0);
    return text.ptr;
}

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;

    for (const char *at = text; (at = strcasestr(at, part)) != NULL; at++)
        n++;
    return n;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strcasestr(text, part) != NULL)
        fail_msg("\"%s\" is in\n%s", part, text);
}

static void the_request_is_in_origin_form_with_one_host(void **state)
{
    static const struct {
        const char *request, *line, *host;
    } rows[] = {
        {"GET /a?b HTTP/1.1\r\nHost: X.example:80\r\n\r\n", "GET /a?b HTTP/1.1\r\n",
         "\r\nHost: x.example\r\n"},
        {"GET http://Y.example:8080/%7ea/../b HTTP/1.1\r\nHost: y.example:8080\r\n\r\n",
         "GET /b HTTP/1.1\r\n", "\r\nHost: y.example:8080\r\n"},
        {"GET http://z.example HTTP/1.1\r\nHost: z.example\r\n\r\n", "GET / HTTP/1.1\r\n",
         "\r\nHost: z.example\r\n"},
        {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\n", "\r\nHost: x\r\n"},
        {"GET /a HTTP/1.0\r\nHost: x\r\n\r\n", "GET /a HTTP/1.1\r\n", "\r\nHost: x\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m;
        const char *text;

        made_open(&m);
        text = out(&m, rows[i].request, (struct request_out){0});
        assert_int_equal(strncmp(text, rows[i].line, strlen(rows[i].line)), 0);
        assert_has(text, rows[i].host);
        assert_int_equal(count(text, "\r\nHost:"), 1);
        made_close(&m);
    }
}

static void an_upstreams_own_host_replaces_the_clients(void **state)
{
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    m.upstream.host = "internal:3000";
    text = out(&m, "GET / HTTP/1.1\r\nHost: public\r\n\r\n", (struct request_out){0});
    assert_has(text, "\r\nHost: internal:3000\r\n");
    assert_has(text, "\r\nX-Forwarded-Host: public\r\n");
    assert_int_equal(count(text, "\r\nHost:"), 1);
    made_close(&m);
}

/* Security rule 1.9. */
static void nothing_of_the_connection_goes_on(void **state)
{
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    text = out(&m,
               "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Gone\r\nconnection: X-Too\r\n"
               "X-Gone: 1\r\nx-too: 1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n"
               "Proxy-Authorization: secret\r\nProxy-Foo: 1\r\nProxy: evil\r\nTE: trailers\r\n"
               "Trailer: X\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\nX-Stays: 1\r\n"
               "Expect: 100-continue\r\n\r\n",
               (struct request_out){0});
    assert_lacks(text, "\r\nconnection:");
    assert_lacks(text, "x-gone");
    assert_lacks(text, "x-too");
    assert_lacks(text, "keep-alive");
    assert_lacks(text, "\r\nproxy");
    assert_lacks(text, "\r\nte:");
    assert_lacks(text, "\r\ntrailer:");
    assert_lacks(text, "\r\nupgrade:");
    assert_lacks(text, "http2-settings");
    assert_lacks(text, "\r\nexpect:");
    assert_has(text, "\r\nX-Stays: 1\r\n");
    made_close(&m);
}

static void connection_cannot_remove_what_protects(void **state)
{
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    made_trust(&m, "192.0.2.0/24");
    text = out(
        &m,
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: Host, Cookie, Authorization, X-Forwarded-For,"
        " Content-Length, X-Forwarded-Host, Forwarded\r\nCookie: a=b\r\nAuthorization: Basic x\r\n"
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: h\r\nForwarded: for=1\r\n"
        "Content-Length: 3\r\n\r\n",
        (struct request_out){0});
    assert_has(text, "\r\nHost: x\r\n");
    assert_has(text, "\r\nCookie: a=b\r\n");
    assert_has(text, "\r\nAuthorization: Basic x\r\n");
    assert_has(text, "\r\nX-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n");
    assert_has(text, "\r\nX-Forwarded-Host: h\r\n");
    assert_has(text, "\r\nForwarded: for=1, for=192.0.2.7");
    made_close(&m);
}

static void there_is_one_framing_field_of_our_own(void **state)
{
    static const struct {
        const char *request;
        bool body;
        const char *framing; /* NULL: none */
    } rows[] = {
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n", true,
         "Content-Length: 12\r\n"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0012\r\n\r\n", true,
         "Content-Length: 12\r\n"},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n", true,
         "Transfer-Encoding: chunked\r\n"},
        {"POST / HTTP/1.1\r\nHost: x\r\n\r\n", false, "Content-Length: 0\r\n"},
        {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", false, "Content-Length: 0\r\n"},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, NULL},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", true, "Content-Length: 5\r\n"},
        {"DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", true,
         "Content-Length: 5\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m;
        struct net_pipe pipe;
        const char *text;

        made_open(&m);
        net_pipe_init(&pipe);
        m.x.body = rows[i].body ? &pipe : NULL;
        text = out(&m, rows[i].request, (struct request_out){0});
        assert_int_equal(count(text, "\r\nContent-Length:") + count(text, "\r\nTransfer-Encoding:"),
                         rows[i].framing != NULL);
        if (rows[i].framing != NULL)
            assert_has(text, rows[i].framing);
        made_close(&m);
    }
}

#define SPOOFED                                                                                    \
    "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: spoof\r\nX-Forwarded-Host: spoof\r\n"          \
    "X-Forwarded-Port: 6\r\nX-Forwarded-Prefix: /spoof\r\nX-Forwarded-Server: spoof\r\n"           \
    "X-Forwarded-Scheme: spoof\r\nX-Forwarded-Whatever: spoof\r\nForwarded: for=6.6.6.6\r\n"       \
    "X-Real-IP: 6.6.6.6\r\nX-Original-URL: /spoof\r\nX-Rewrite-URL: /spoof\r\n"                    \
    "X-HTTP-Method: SPOOF\r\nX-HTTP-Method-Override: SPOOF\r\nX-Method-Override: SPOOF\r\n"        \
    "X-Host: spoof\r\nX-Original-Host: spoof\r\nX-Request-ID: spoof\r\nTrue-Client-IP: "           \
    "6.6.6.6\r\n"

/* Security rule 1.11. */
static void an_untrusted_peers_forwarding_fields_are_removed(void **state)
{
    static const enum forwarded_kind kinds[] = {FORWARDED_X, FORWARDED_RFC7239, FORWARDED_BOTH,
                                                FORWARDED_NONE};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct made m;
        const char *text;

        made_open(&m);
        m.forward.fields = kinds[i];
        made_trust(&m, "10.0.0.0/8");
        text = out(&m, "GET / HTTP/1.1\r\nHost: x\r\n" SPOOFED "\r\n", (struct request_out){0});
        assert_lacks(text, "6.6.6.6");
        assert_lacks(text, "spoof");
        assert_int_equal(count(text, "X-Forwarded-For: 192.0.2.7\r\n"),
                         kinds[i] == FORWARDED_X || kinds[i] == FORWARDED_BOTH);
        assert_int_equal(count(text, "Forwarded: for=192.0.2.7;host=\"x\";proto=http\r\n"),
                         kinds[i] == FORWARDED_RFC7239 || kinds[i] == FORWARDED_BOTH);
        made_close(&m);
    }
}

static void a_trusted_peers_forwarding_fields_are_continued(void **state)
{
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    made_trust(&m, "192.0.2.7");
    text = out(&m,
               "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9, 203.0.113.8\r\n"
               "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nForwarded: for=a\r\n"
               "X-Request-ID: abc-1\r\nX-Real-IP: 203.0.113.9\r\n\r\n",
               (struct request_out){0});
    assert_has(text, "\r\nX-Forwarded-For: 203.0.113.9, 203.0.113.8, 203.0.113.7, 192.0.2.7\r\n");
    assert_has(text, "\r\nX-Forwarded-Proto: https\r\n");
    assert_has(text, "\r\nForwarded: for=a, for=192.0.2.7;");
    assert_has(text, "\r\nX-Request-ID: abc-1\r\n");
    assert_has(text, "\r\nX-Real-IP: 203.0.113.9\r\n");
    assert_int_equal(count(text, "\r\nX-Forwarded-Proto:"), 1);
    assert_int_equal(count(text, "\r\nX-Forwarded-For:"), 1);
    made_close(&m);
}

static void addresses_of_every_family_are_written_as_the_standard_says(void **state)
{
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    m.peer = (struct net_peer){.family = AF_INET6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}};
    text = out(&m, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", (struct request_out){0});
    assert_has(text, "\r\nX-Forwarded-For: 2001:db8::1\r\n");
    assert_has(text, "\r\nForwarded: for=\"[2001:db8::1]\";");
    made_close(&m);
    made_open(&m);
    m.peer = (struct net_peer){.family = AF_UNIX};
    text = out(&m, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", (struct request_out){0});
    assert_has(text, "\r\nForwarded: for=_unix;");
    made_close(&m);
}

static void via_and_cdn_loop_name_us(void **state)
{
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    text = out(&m, "GET / HTTP/1.1\r\nHost: x\r\nVia: 1.0 other\r\nCDN-Loop: other\r\n\r\n",
               (struct request_out){0});
    assert_has(text, "\r\nVia: 1.0 other\r\n");
    assert_has(text, "\r\nVia: 1.1 weir\r\n");
    assert_has(text, "\r\nCDN-Loop: other\r\n");
    assert_has(text, "\r\nCDN-Loop: weir\r\n");
    made_close(&m);
}

static void what_may_be_shared_asks_for_the_whole_without_conditions(void **state)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nIf-Range: \"a\"\r\nIf-None-Match: "
        "\"a\"\r\n"
        "If-Match: \"a\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Encoding: br;q=1, gzip, "
        "x\r\n\r\n";
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    text = out(&m, request, (struct request_out){.shared = true});
    assert_lacks(text, "\r\nIf-");
    assert_lacks(text, "\r\nRange:");
    assert_has(text, "\r\nAccept-Encoding: br, gzip\r\n");
    assert_int_equal(count(text, "\r\nAccept-Encoding:"), 1);
    text = out(&m, request, (struct request_out){.shared = false});
    assert_has(text, "\r\nIf-None-Match: \"a\"\r\n");
    assert_has(text, "\r\nRange: bytes=0-1\r\n");
    assert_has(text, "\r\nAccept-Encoding: br;q=1, gzip, x\r\n");
    made_close(&m);
}

static void a_validation_carries_the_stored_validators_alone(void **state)
{
    struct stored_response stored = {.etag = WEIR_SPAN_LIT("\"mine\""),
                                     .last_modified =
                                         WEIR_SPAN_LIT("Sun, 06 Nov 1994 08:49:37 GMT")};
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    text = out(&m, "GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"theirs\"\r\n\r\n",
               (struct request_out){.shared = true, .validating = &stored});
    assert_has(text, "\r\nIf-None-Match: \"mine\"\r\n");
    assert_has(text, "\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    assert_lacks(text, "theirs");
    made_close(&m);
}

static void only_a_wanted_upgrade_goes_on(void **state)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    text = out(&m, request, (struct request_out){.upgrade = true});
    assert_has(text, "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n");
    assert_has(text, "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    assert_int_equal(count(text, "\r\nUpgrade:"), 1);
    text = out(&m, request, (struct request_out){0});
    assert_lacks(text, "\r\nUpgrade:");
    assert_lacks(text, "\r\nConnection:");
    made_close(&m);
}

static void a_trace_context_goes_on_if_it_is_one(void **state)
{
    static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    static const char *const bad[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
    };
    char request[256];
    struct made m;

    (void)state;
    made_open(&m);
    assert_true(trace_parent_valid(weir_span_str(good)));
    assert_true(trace_parent_valid(
        WEIR_SPAN_LIT("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-future")));
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\ntraceparent: %s\r\n\r\n", good);
    assert_has(out(&m, request, (struct request_out){0}), good);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(trace_parent_valid(weir_span_str(bad[i])));
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\ntraceparent: %s\r\n\r\n",
                 bad[i]);
        assert_lacks(out(&m, request, (struct request_out){0}), "traceparent");
    }
    made_close(&m);
}

#define LONG "00000000000000000000"

static void a_request_id_is_made_once_and_is_the_clients_only_if_trusted(void **state)
{
    struct made m;
    char id[40];
    const char *text;

    (void)state;
    made_open(&m);
    text = out(&m, "GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: theirs\r\n\r\n",
               (struct request_out){0});
    assert_lacks(text, "theirs");
    assert_int_equal(strlen(m.x.request_id), 32);
    assert_int_equal(strspn(m.x.request_id, "0123456789abcdef"), 32);
    strcpy(id, m.x.request_id);
    assert_true(weir_span_eq(trace_request_id(&m.x), weir_span_str(id)));
    assert_has(text, id);
    m.x.request_id[0] = '\0';
    trace_request_id(&m.x);
    assert_string_not_equal(id, m.x.request_id);
    /* A trusted peer's is taken, but only if it is plain. */
    made_trust(&m, "192.0.2.7");
    out(&m, "GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: Abc-012\r\n\r\n", (struct request_out){0});
    assert_string_equal(m.x.request_id, "Abc-012");
    out(&m, "GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\"b\r\n\r\n", (struct request_out){0});
    assert_int_equal(strlen(m.x.request_id), 32);
    out(&m,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: " LONG LONG LONG LONG LONG LONG LONG LONG
        "\r\n\r\n",
        (struct request_out){0}); /* too long */
    assert_int_equal(strspn(m.x.request_id, "0123456789abcdef"), 32);
    made_close(&m);
}

/* As many and as long fields as fit: the buffer is sized for all of them. */
static void the_longest_request_fits(void **state)
{
    char *request = malloc(400000);
    struct made m;
    size_t n;
    const char *text;

    (void)state;
    made_open(&m);
    made_trust(&m, "192.0.2.7");
    n = (size_t)sprintf(request, "GET /");
    memset(request + n, 'p', 8000);
    n += 8000;
    n += (size_t)sprintf(request + n, " HTTP/1.1\r\nHost: ");
    for (int i = 0; i < 120; i++, n += 2)
        memcpy(request + n, "a.", 2);
    n += (size_t)sprintf(request + n, "b\r\n");
    for (int i = 0; i < 80; i++)
        n += (size_t)sprintf(request + n, "X-Forwarded-For: 203.0.113.%d\r\n", i);
    for (int i = 0; i < 20; i++) {
        n += (size_t)sprintf(request + n, "Forwarded: for=\"");
        memset(request + n, 'f', 7000);
        n += 7000;
        n += (size_t)sprintf(request + n, "\"\r\n");
    }
    sprintf(request + n, "\r\n");
    text = out(&m, request, (struct request_out){0});
    assert_has(text, "203.0.113.79, 192.0.2.7\r\n");
    made_close(&m);
    free(request);
}

static void what_was_keyed_is_what_is_sent(void **state)
{
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    m.x.keyed.sent = true;
    m.x.keyed.authority = weir_span_str("www.example");
    m.x.keyed.query = weir_span_str("a&b");
    text = out(&m, "GET /x?b&utm&a HTTP/1.1\r\nHost: a.example\r\n\r\n", (struct request_out){0});
    assert_has(text, "GET /x?a&b HTTP/1.1\r\n");
    assert_has(text, "\r\nHost: www.example\r\n");
    assert_has(text, "\r\nX-Forwarded-Host: www.example\r\n");
    assert_has(text, ";host=\"www.example\";");
    assert_lacks(text, "a.example");
    m.x.keyed.query = WEIR_SPAN_NONE;
    text = out(&m, "GET /x?b HTTP/1.1\r\nHost: a.example\r\n\r\n", (struct request_out){0});
    assert_has(text, "GET /x HTTP/1.1\r\n");
    m.x.keyed.sent = false;
    text = out(&m, "POST /x?b HTTP/1.1\r\nHost: a.example\r\n\r\n", (struct request_out){0});
    assert_has(text, "POST /x?b HTTP/1.1\r\nHost: a.example\r\n");
    made_close(&m);
}

static void gathered_content_goes_with_the_head(void **state)
{
    static const char request[] =
        "QUERY / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct request_out r = {0};
    struct weir_span head;
    struct weir_err err;
    struct net_pipe pipe;
    struct made m;

    (void)state;
    made_open(&m);
    made_request(&m, request);
    net_pipe_init(&pipe);
    m.x.body = &pipe;
    m.x.content = weir_blob_new(8);
    memcpy(m.x.content->bytes, "content", 7);
    m.x.content->len = 7;
    r.x = &m.x;
    r.upstream = &m.upstream;
    r.route = &m.route;
    m.x.content_whole = true;
    assert_true(request_out_write(&r, &m.x.arena, &head, &err));
    assert_non_null(memmem(head.ptr, head.len, "\r\nContent-Length: 7\r\n", 21));
    assert_null(memmem(head.ptr, head.len, "chunked", 7));
    assert_memory_equal(head.ptr + head.len - 11, "\r\n\r\ncontent", 11);
    m.x.content_whole = false; /* the beginning of a stream */
    assert_true(request_out_write(&r, &m.x.arena, &head, &err));
    assert_non_null(memmem(head.ptr, head.len, "\r\nTransfer-Encoding: chunked\r\n", 30));
    assert_memory_equal(head.ptr + head.len - 16, "\r\n\r\n7\r\ncontent\r\n", 16);
    weir_blob_unref(m.x.content);
    made_close(&m);
}

static void no_other_method_goes_with_what_was_looked_up(void **state)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: PUT\r\n"
        "X-Method-Override: PATCH\r\nX-Forwarded-Prefix: /a\r\n\r\n";
    struct made m;
    const char *text;

    (void)state;
    made_open(&m);
    made_trust(&m, "192.0.2.0/24");
    text = out(&m, request, (struct request_out){0});
    assert_has(text, "X-HTTP-Method-Override: DELETE\r\n");
    m.x.keyed.sent = true;
    text = out(&m, request, (struct request_out){0});
    assert_lacks(text, "method");
    assert_has(text, "X-Forwarded-Prefix: /a\r\n");
    made_close(&m);
}

#ifdef WEIR_FAULTS
static void without_memory_there_is_no_request(void **state)
{
    struct made m;
    struct weir_span head;
    struct weir_err err = {0};
    struct request_out r = {0};
    struct weir_arena arena;

    (void)state;
    made_open(&m);
    made_request(&m, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    r.x = &m.x;
    r.upstream = &m.upstream;
    r.route = &m.route;
    weir_arena_init(&arena, 0);
    weir_alloc_fail_at(1);
    assert_false(request_out_write(&r, &arena, &head, &err));
    weir_alloc_fail_at(0);
    assert_int_equal(err.code, WEIR_E_MEMORY);
    weir_arena_free(&arena);
    made_close(&m);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_in_origin_form_with_one_host),
        cmocka_unit_test(an_upstreams_own_host_replaces_the_clients),
        cmocka_unit_test(nothing_of_the_connection_goes_on),
        cmocka_unit_test(connection_cannot_remove_what_protects),
        cmocka_unit_test(there_is_one_framing_field_of_our_own),
        cmocka_unit_test(an_untrusted_peers_forwarding_fields_are_removed),
        cmocka_unit_test(a_trusted_peers_forwarding_fields_are_continued),
        cmocka_unit_test(addresses_of_every_family_are_written_as_the_standard_says),
        cmocka_unit_test(via_and_cdn_loop_name_us),
        cmocka_unit_test(what_may_be_shared_asks_for_the_whole_without_conditions),
        cmocka_unit_test(a_validation_carries_the_stored_validators_alone),
        cmocka_unit_test(only_a_wanted_upgrade_goes_on),
        cmocka_unit_test(a_trace_context_goes_on_if_it_is_one),
        cmocka_unit_test(a_request_id_is_made_once_and_is_the_clients_only_if_trusted),
        cmocka_unit_test(the_longest_request_fits),
        cmocka_unit_test(what_was_keyed_is_what_is_sent),
        cmocka_unit_test(gathered_content_goes_with_the_head),
        cmocka_unit_test(no_other_method_goes_with_what_was_looked_up),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_there_is_no_request),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
