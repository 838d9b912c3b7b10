#include "test_http.h"

#include <stdio.h>

#include "http_chunked.h"

struct outcome {
    enum http_chunk_result result;
    enum weir_code code;
    size_t used;
    size_t len;
    char data[20000];
};

/* Gives `cut` bytes, then `step` more at a time; used bytes are gone from the buffer. */
static void run(const char *bytes, size_t len, size_t cut, size_t step, struct http_head *trailers,
                struct outcome *out)
{
    struct http_chunked d;
    struct weir_err err = {0};
    size_t have = cut < len ? cut : len;

    memset(out, 0, sizeof(*out));
    if (trailers != NULL)
        http_head_reset(trailers);
    http_chunked_init(&d, false, trailers);
    for (;;) {
        char *buf = exact_copy(bytes + out->used, have - out->used);
        struct weir_span data;
        size_t used;

        out->result = http_chunked_next(&d, buf, have - out->used, &used, &data, &err);
        assert_true(used <= have - out->used);
        out->used += used;
        if (out->result == HTTP_CHUNK_DATA) {
            assert_true(data.len > 0);
            memcpy(out->data + out->len, data.ptr, data.len);
            out->len += data.len;
        }
        if (trailers != NULL && out->result == HTTP_CHUNK_END)
            expect_span(trailers->fields[1].value,
                        "y"); /* while the buffer they point into lives */
        free(buf);
        if (out->result == HTTP_CHUNK_DATA)
            continue;
        if (out->result != HTTP_CHUNK_MORE || have == len)
            break;
        have = have + step < len ? have + step : len;
    }
    assert_int_equal(d.total, out->len);
    out->code = out->result == HTTP_CHUNK_BAD ? err.code : WEIR_OK;
}

static const struct outcome *decode(const char *bytes, size_t len)
{
    static struct outcome whole, cut;

    run(bytes, len, len, len, NULL, &whole);
    for (size_t i = 0; i <= len; i += len > 2000 ? 61 : 1) {
        run(bytes, len, i, i == 0 ? 1 : len, NULL, &cut);
        assert_int_equal(cut.result, whole.result);
        assert_int_equal(cut.code, whole.code);
        assert_int_equal(cut.len, whole.len);
        assert_memory_equal(cut.data, whole.data, whole.len);
        if (whole.result == HTTP_CHUNK_END)
            assert_int_equal(cut.used, whole.used);
    }
    return &whole;
}

static void gives(const char *text, const char *data, size_t used)
{
    const struct outcome *o = decode(text, strlen(text));

    if (o->result != HTTP_CHUNK_END)
        fail_msg("%s gave %d", text, o->result);
    expect_span(weir_span(o->data, o->len), data);
    assert_int_equal(o->used, used);
}

static void refused(const char *text, size_t len)
{
    const struct outcome *o = decode(text, len);

    if (o->result != HTTP_CHUNK_BAD)
        fail_msg("%.*s gave %d", (int)len, text, o->result);
}

static void chunks_are_joined(void **state)
{
    (void)state;
    gives("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", 26);
    gives("0\r\n\r\nGET / HTTP/1.1\r\n", "", 5);
    gives("00a\r\n0123456789\r\n000\r\n\r\n", "0123456789", 24);
    gives("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 20);
    gives("000000000000001\r\nx\r\n0\r\n\r\n", "x", 25);
}

static void extensions_that_match_the_grammar_are_ignored(void **state)
{
    static const char *const ok[] = {
        ";a",
        ";a=b",
        ";a;b",
        " ; a = b",
        "\t;\ta\t=\tb\t;c",
        ";a=\"\"",
        ";a=\"b;c=d\"",
        ";a=\"\\\"\\\\\"",
        ";a=\"\x80 \t\"",
        ";a=\"x\" ;b",
    };
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof(ok) / sizeof(ok[0]); i++) {
        int n = snprintf(text, sizeof(text), "1%s\r\nx\r\n0%s\r\n\r\n", ok[i], ok[i]);

        gives(text, "x", (size_t)n);
    }
}

static void malformed_extensions_are_refused(void **state)
{
    static const char *const bad[] = {
        ";",         ";;",        ";=b",       ";a=",           ";a==b", ";a b", ";a=b c", ";a=\"b",
        ";a=\"b\"c", ";a=\"\r\"", ";a=\"\n\"", ";a=\"\\\x01\"", " ",     "\t",   ";a ",    ";a=b ",
        ";a=\"b\" ", ";a=\x7f",   ";a\n",      ";a\x01",        " x",    ";a,b", ";\"a\"", ";a=b=c",
    };
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int n = snprintf(text, sizeof(text), "1%s\r\nx\r\n0\r\n\r\n", bad[i]);

        refused(text, (size_t)n);
    }
}

#define REFUSE(literal) refused((literal), sizeof(literal) - 1)

static void malformed_chunks_are_refused(void **state)
{
    (void)state;
    REFUSE("\r\n");
    REFUSE(" 1\r\nx\r\n0\r\n\r\n");
    REFUSE("1 \r\nx\r\n0\r\n\r\n");
    REFUSE("0x1\r\nx\r\n0\r\n\r\n");
    REFUSE("+1\r\nx\r\n0\r\n\r\n");
    REFUSE("-1\r\nx\r\n0\r\n\r\n");
    REFUSE("g\r\n");
    REFUSE("1\nx\r\n0\r\n\r\n");
    REFUSE("1\rx\r\n0\r\n\r\n");
    REFUSE("1\r\nxy\r\n0\r\n\r\n");
    REFUSE("1\r\nx\n0\r\n\r\n");
    REFUSE("1\r\nx\r0\r\n\r\n");
    REFUSE("1\r\nx0\r\n\r\n");
    REFUSE("0\r\n\n");
    REFUSE("0\n\r\n");
    REFUSE("0000000000000001\r\nx\r\n0\r\n\r\n"); /* 16 digits */
    REFUSE("ffffffffffffffff\r\n");
    REFUSE("1\r\nx\r\n\r\n0\r\n\r\n");
    REFUSE("1\0\r\nx\r\n");
}

static void the_largest_size_is_fifteen_digits(void **state)
{
    const struct outcome *o = decode("fffffffffffffff\r\nabc", 20);

    (void)state;
    assert_int_equal(o->result, HTTP_CHUNK_MORE);
    assert_int_equal(o->len, 3);
}

static void extension_bytes_are_bounded_per_line_and_message(void **state)
{
    static char text[20000];
    size_t n = 0;

    (void)state;
    n = (size_t)sprintf(text, "0;");
    memset(text + n, 'a', 1023);
    memcpy(text + n + 1023, "\r\n\r\n", 4);
    assert_int_equal(decode(text, n + 1027)->result, HTTP_CHUNK_END);
    memset(text + n, 'a', 1024);
    memcpy(text + n + 1024, "\r\n\r\n", 4);
    refused(text, n + 1028);

    n = 0;
    for (int i = 0; i < 17; i++) {
        n += (size_t)sprintf(text + n, "1;");
        memset(text + n, 'a', 999);
        n += 999;
        n += (size_t)sprintf(text + n, "\r\nx\r\n");
    }
    refused(text, n);
}

static void trailers_are_judged_and_dropped(void **state)
{
    (void)state;
    gives("0\r\na: b\r\nc: d\r\n\r\nrest", "", 17);
    REFUSE("0\r\na : b\r\n\r\n");
    REFUSE("0\r\na: b\n\r\n");
    REFUSE("0\r\n a: b\r\n\r\n");
    REFUSE("0\r\na\r\n\r\n");
    REFUSE("0\r\na: \x01\r\n\r\n");
}

static void trailers_are_at_most_8_kib(void **state)
{
    static char text[9000];

    (void)state;
    memcpy(text, "0\r\na:", 5);
    memset(text + 5, 'x', HTTP_TRAILER_BYTES - 6);
    memcpy(text + HTTP_TRAILER_BYTES - 1, "\r\n\r\n", 4);
    assert_int_equal(decode(text, HTTP_TRAILER_BYTES + 3)->result, HTTP_CHUNK_END);
    memset(text + 5, 'x', HTTP_TRAILER_BYTES - 5);
    memcpy(text + HTTP_TRAILER_BYTES, "\r\n\r\n", 4);
    assert_int_equal(decode(text, HTTP_TRAILER_BYTES + 4)->code, WEIR_E_HEAD_TOO_LARGE);
    memset(text + 3, 'x', sizeof(text) - 3);
    assert_int_equal(decode(text, sizeof(text))->code, WEIR_E_HEAD_TOO_LARGE);
}

static void trailers_can_be_kept_apart_from_the_head(void **state)
{
    static const char text[] = "1\r\nx\r\n0\r\nGrpc-Status: 0\r\nx: y\r\n\r\n";
    struct http_field fields[4];
    struct http_head trailers;
    static struct outcome o;

    (void)state;
    http_head_init(&trailers, fields, 4);
    run(text, sizeof(text) - 1, sizeof(text), 1, &trailers, &o);
    assert_int_equal(o.result, HTTP_CHUNK_END);
    assert_int_equal(trailers.count, 2);
    run(text, sizeof(text) - 1, 0, 1, &trailers, &o);
    assert_int_equal(o.result, HTTP_CHUNK_END);
    assert_int_equal(o.used, sizeof(text) - 1);
    assert_int_equal(trailers.count, 2);
}

static void headers_of_chunks_are_written_in_hex(void **state)
{
    char out[HTTP_CHUNK_HEADER_MAX];

    (void)state;
    expect_span(weir_span(out, http_chunk_header(out, 0)), "0\r\n");
    expect_span(weir_span(out, http_chunk_header(out, 15)), "f\r\n");
    expect_span(weir_span(out, http_chunk_header(out, 16)), "10\r\n");
    expect_span(weir_span(out, http_chunk_header(out, 0x12ab)), "12ab\r\n");
    expect_span(weir_span(out, http_chunk_header(out, UINT64_MAX)), "ffffffffffffffff\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(extensions_that_match_the_grammar_are_ignored),
        cmocka_unit_test(malformed_extensions_are_refused),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(the_largest_size_is_fifteen_digits),
        cmocka_unit_test(extension_bytes_are_bounded_per_line_and_message),
        cmocka_unit_test(trailers_are_judged_and_dropped),
        cmocka_unit_test(trailers_are_at_most_8_kib),
        cmocka_unit_test(trailers_can_be_kept_apart_from_the_head),
        cmocka_unit_test(headers_of_chunks_are_written_in_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
