#include "test_http.h"

#include <stdio.h>

#include "http_parse.h"

#define FIELDS 128

enum what { REQUEST, RESPONSE, TRAILERS };

struct outcome {
    enum http_parsed result;
    enum weir_code code;
    uint32_t consumed;
    char text[70000]; /* the head as it was understood */
};

static enum http_parsed feed(enum what what, struct http_parser *p,
                             const struct http_parse_limits *limits, struct http_head *h,
                             const char *buf, size_t len, struct weir_err *err)
{
    switch (what) {
    case REQUEST:
        return http_parse_request(p, limits, h, buf, len, err);
    case RESPONSE:
        return http_parse_response(p, limits, h, buf, len, err);
    case TRAILERS:
        break;
    }
    return http_parse_trailers(p, limits, false, h, buf, len, err);
}

static size_t print_span(char *at, struct weir_span s)
{
    memcpy(at, s.ptr, s.len);
    at[s.len] = '|';
    return s.len + 1;
}

static void print_head(const struct http_head *h, char *at)
{
    if (h->status == 0)
        at += sprintf(at, "m%d.%d ", h->method_id, h->minor);
    else
        at += sprintf(at, "%d.%d ", h->status, h->minor);
    if (h->method.ptr != NULL) {
        at += print_span(at, h->method);
        at += print_span(at, h->target);
    }
    if (h->reason.ptr != NULL)
        at += print_span(at, h->reason);
    for (uint32_t i = 0; i < h->count; i++) {
        at += sprintf(at, "\n%u ", h->fields[i].id);
        at += print_span(at, h->fields[i].name);
        at += print_span(at, h->fields[i].value);
    }
    *at = '\0';
}

/* Gives the first `cut` bytes, then `step` more at a time, each time at another place in memory. */
static void run(enum what what, const struct http_parse_limits *limits, const char *bytes,
                size_t len, size_t cut, size_t step, struct outcome *out)
{
    static struct http_field fields[FIELDS];
    struct http_head h;
    struct http_parser p;
    struct weir_err err = {0};
    size_t have = cut < len ? cut : len;
    char *buf = NULL, *old = NULL;

    memset(out, 0, sizeof(*out));
    http_head_init(&h, fields, FIELDS);
    http_parser_init(&p);
    for (;;) {
        buf = exact_copy(bytes, have);
        free(old);
        old = buf;
        out->result = feed(what, &p, limits, &h, buf, have, &err);
        if (out->result != HTTP_MORE || have == len)
            break;
        have = have + step < len ? have + step : len;
    }
    out->code = out->result == HTTP_BAD ? err.code : WEIR_OK;
    if (out->result == HTTP_BAD)
        assert_true(err.detail[0] != '\0');
    if (out->result == HTTP_PARSED) {
        out->consumed = p.consumed;
        print_head(&h, out->text);
    }
    free(buf);
}

/* Whole, cut at every byte, and byte by byte: one outcome. */
static const struct outcome *parse(enum what what, const struct http_parse_limits *limits,
                                   const char *bytes, size_t len)
{
    static struct outcome whole, cut;

    run(what, limits, bytes, len, len, len, &whole);
    for (size_t i = 0; i <= len; i += len > 2000 ? 97 : 1) {
        run(what, limits, bytes, len, i, i == 0 && len < 2000 ? 1 : len, &cut);
        assert_int_equal(cut.result, whole.result);
        assert_int_equal(cut.code, whole.code);
        assert_int_equal(cut.consumed, whole.consumed);
        assert_string_equal(cut.text, whole.text);
    }
    return &whole;
}

static void refused(enum what what, const char *bytes, size_t len, enum weir_code want)
{
    const struct outcome *o =
        parse(what, what == RESPONSE ? &http_response_limits : &http_request_limits, bytes, len);

    if (o->result != HTTP_BAD || o->code != want)
        fail_msg("%.*s\n  gave %d %s instead of %s", (int)len, bytes, o->result,
                 weir_code_name(o->code), weir_code_name(want));
}

#define refuse(what, literal, code) refused((what), (literal), sizeof(literal) - 1, (code))

static void accepted(enum what what, const char *bytes, size_t len, const char *want)
{
    const struct outcome *o =
        parse(what, what == RESPONSE ? &http_response_limits : &http_request_limits, bytes, len);

    assert_int_equal(o->result, HTTP_PARSED);
    assert_string_equal(o->text, want);
}

#define accept_as(what, literal, want) accepted((what), (literal), sizeof(literal) - 1, (want))

/* ---- requests ---- */

static void a_request_is_parsed_into_spans(void **state)
{
    char want[256];

    (void)state;
    snprintf(want, sizeof(want),
             "m%d.1 GET|/a?b=c|\n%d host|example.com|\n0 X-Strange|two  words|\n%d Accept||",
             HTTP_M_GET, HTTP_F_HOST, HTTP_F_ACCEPT);
    accept_as(REQUEST,
              "GET /a?b=c HTTP/1.1\r\nhost: example.com\r\nX-Strange:\t two  words \t\r\n"
              "Accept:\r\n\r\n",
              want);
}

static void bytes_behind_the_head_are_left_alone(void **state)
{
    const struct outcome *o;
    const char text[] = "GET / HTTP/1.0\r\n\r\nGET \n";

    (void)state;
    o = parse(REQUEST, &http_request_limits, text, sizeof(text) - 1);
    assert_int_equal(o->result, HTTP_PARSED);
    assert_int_equal(o->consumed, 18);
}

static void up_to_eight_empty_lines_may_come_first(void **state)
{
    (void)state;
    accept_as(REQUEST, "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nPUT * HTTP/1.0\r\n\r\n", "m4.0 PUT|*|");
    refuse(REQUEST, "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nPUT * HTTP/1.0\r\n\r\n",
           WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "\nGET / HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "\r\r\nGET / HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
}

static void values_may_hold_obs_text_and_tabs(void **state)
{
    (void)state;
    accept_as(REQUEST, "A / HTTP/1.1\r\nx: \x80\xff\ty\r\n\r\n", "m0.1 A|/|\n0 x|\x80\xff\ty|");
}

static void names_with_underscores_are_dropped_by_default(void **state)
{
    static const char text[] = "A / HTTP/1.1\r\na_b: 1\r\nc: 2\r\n\r\n";
    struct http_parse_limits keep = http_request_limits;

    (void)state;
    accept_as(REQUEST, "A / HTTP/1.1\r\na_b: 1\r\nc: 2\r\n\r\n", "m0.1 A|/|\n0 c|2|");
    keep.underscores = true;
    assert_string_equal(parse(REQUEST, &keep, text, sizeof(text) - 1)->text,
                        "m0.1 A|/|\n0 a_b|1|\n0 c|2|");
}

static void the_request_line_has_exactly_two_spaces(void **state)
{
    (void)state;
    refuse(REQUEST, "GET  / HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET /  HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1 \r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET /a b HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET\t/ HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET /\tHTTP/1.1\r\n\r\n", WEIR_E_BAD_TARGET);
    refuse(REQUEST, " GET / HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / \r\n\r\n", WEIR_E_BAD_REQUEST);
}

static void http_0_9_is_refused(void **state)
{
    (void)state;
    refuse(REQUEST, "GET /\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET /\r\nHost: a\r\n\r\n", WEIR_E_BAD_REQUEST);
}

static void another_version_is_505_and_a_malformed_one_400(void **state)
{
    (void)state;
    refuse(REQUEST, "GET / HTTP/2.0\r\n\r\n", WEIR_E_VERSION_UNKNOWN);
    refuse(REQUEST, "GET / HTTP/1.2\r\n\r\n", WEIR_E_VERSION_UNKNOWN);
    refuse(REQUEST, "GET / HTTP/0.9\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.10\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / http/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/11\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1,1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTPP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
}

static void the_method_is_a_token_of_at_most_32_bytes(void **state)
{
    (void)state;
    accept_as(REQUEST, "A2345678901234567890123456789012 / HTTP/1.1\r\n\r\n",
              "m0.1 A2345678901234567890123456789012|/|");
    refuse(REQUEST, "A23456789012345678901234567890123 / HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GE(T / HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "G\0T / HTTP/1.1\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "\x16\x03\x01", WEIR_E_BAD_REQUEST); /* a TLS hello */
}

static void the_target_is_visible_ascii_without_fragment(void **state)
{
    (void)state;
    refuse(REQUEST, "GET /a#b HTTP/1.1\r\n\r\n", WEIR_E_BAD_TARGET);
    refuse(REQUEST, "GET /a\x80 HTTP/1.1\r\n\r\n", WEIR_E_BAD_TARGET);
    refuse(REQUEST, "GET /a\x7f HTTP/1.1\r\n\r\n", WEIR_E_BAD_TARGET);
    refuse(REQUEST, "GET /a\0 HTTP/1.1\r\n\r\n", WEIR_E_BAD_TARGET);
    refuse(REQUEST, "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaa#aaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n",
           WEIR_E_BAD_TARGET);
}

static void lines_end_with_crlf_and_nothing_else(void **state)
{
    (void)state;
    refuse(REQUEST, "GET / HTTP/1.1\n\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na: b\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na: b\rc: d\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na: b\r\n\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na: b\r\n\r\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na: b\r\r\n\r\n", WEIR_E_BAD_REQUEST);
}

static void controls_in_a_value_are_refused(void **state)
{
    char text[128];

    (void)state;
    for (int c = 0; c < 256; c++) {
        size_t len =
            (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\na: 0123456789012x\r\n\r\n");
        const struct outcome *o;

        text[len - 5] = (char)c;
        o = parse(REQUEST, &http_request_limits, text, len);
        assert_int_equal(o->result, (c >= 32 && c != 127) || c == '\t' ? HTTP_PARSED : HTTP_BAD);
    }
}

/* Each byte at each distance from the ends of the vectors. */
static void a_bad_byte_is_found_wherever_it_stands(void **state)
{
    static const char bad[] = {'\0', 1, '\n', 31, 127};
    char text[300];
    static struct outcome o;

    (void)state;
    for (size_t n = 1; n < 200; n++) {
        size_t head = (size_t)sprintf(text, "GET / HTTP/1.1\r\na:");

        memset(text + head, 'v', n);
        memcpy(text + head + n, "\r\n\r\n", 4);
        run(REQUEST, &http_request_limits, text, head + n + 4, head + n + 4, 1, &o);
        assert_int_equal(o.result, HTTP_PARSED);
        text[head + n - 1] = bad[n % sizeof(bad)];
        run(REQUEST, &http_request_limits, text, head + n + 4, head + n + 4, 1, &o);
        assert_int_equal(o.result, HTTP_BAD);
    }
}

static void only_tokens_are_names(void **state)
{
    (void)state;
    refuse(REQUEST, "GET / HTTP/1.1\r\na : b\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na\t: b\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\n: b\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\nab\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na(b): c\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na\x80: c\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na\0: c\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na b: c\r\n\r\n", WEIR_E_BAD_REQUEST);
}

static void folding_is_refused_everywhere(void **state)
{
    (void)state;
    refuse(REQUEST, "GET / HTTP/1.1\r\n a: b\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n", WEIR_E_BAD_REQUEST);
    refuse(REQUEST, "GET / HTTP/1.1\r\na: b\r\n\tc\r\n\r\n", WEIR_E_BAD_REQUEST);
}

/* ---- limits ---- */

static size_t long_request(char *out, size_t target, size_t value)
{
    size_t n = 0;

    memcpy(out, "GET /", 5);
    n = 5;
    memset(out + n, 'a', target);
    n += target;
    memcpy(out + n, " HTTP/1.1\r\nv:", 13);
    n += 13;
    memset(out + n, 'b', value);
    n += value;
    memcpy(out + n, "\r\n\r\n", 4);
    return n + 4;
}

static void limits_have_their_own_answers(void **state)
{
    static char text[70000];
    struct http_parse_limits tight = http_request_limits;
    size_t len;

    (void)state;
    len = long_request(text, 8191, 8190);
    assert_int_equal(parse(REQUEST, &tight, text, len)->result, HTTP_PARSED);
    refused(REQUEST, text, long_request(text, 8192, 10), WEIR_E_TARGET_TOO_LONG);
    refused(REQUEST, text, long_request(text, 40000, 10), WEIR_E_TARGET_TOO_LONG);
    refused(REQUEST, text, long_request(text, 10, 8191), WEIR_E_HEAD_TOO_LARGE);

    len = long_request(text, 100, 100);
    tight.head_bytes = (uint32_t)len;
    assert_int_equal(parse(REQUEST, &tight, text, len)->result, HTTP_PARSED);
    tight.head_bytes = (uint32_t)len - 1;
    assert_int_equal(parse(REQUEST, &tight, text, len)->code, WEIR_E_HEAD_TOO_LARGE);
    /* Nothing behind the limit is even looked at. */
    text[len - 1] = 'x';
    assert_int_equal(parse(REQUEST, &tight, text, len)->code, WEIR_E_HEAD_TOO_LARGE);
}

static void too_many_fields_are_431_dropped_ones_included(void **state)
{
    struct http_parse_limits two = http_request_limits;
    static const char text[] = "GET / HTTP/1.1\r\na: 1\r\nb_: 2\r\nc: 3\r\n\r\n";

    (void)state;
    two.fields = 3;
    assert_int_equal(parse(REQUEST, &two, text, sizeof(text) - 1)->result, HTTP_PARSED);
    two.fields = 2;
    assert_int_equal(parse(REQUEST, &two, text, sizeof(text) - 1)->code, WEIR_E_HEAD_TOO_LARGE);
}

static void the_array_of_the_head_is_a_limit_too(void **state)
{
    struct http_field fields[1];
    struct http_head h;
    struct http_parser p;
    struct weir_err err = {0};
    static const char text[] = "GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n\r\n";

    (void)state;
    http_head_init(&h, fields, 1);
    http_parser_init(&p);
    assert_int_equal(http_parse_request(&p, &http_request_limits, &h, text, sizeof(text) - 1, &err),
                     HTTP_BAD);
    expect_code(&err, WEIR_E_HEAD_TOO_LARGE);
}

static void began_tells_idle_from_slow(void **state)
{
    struct http_field fields[4];
    struct http_head h;
    struct http_parser p;

    (void)state;
    http_head_init(&h, fields, 4);
    http_parser_init(&p);
    assert_int_equal(http_parse_request(&p, &http_request_limits, &h, "\r\n", 2, NULL), HTTP_MORE);
    assert_false(p.began);
    assert_int_equal(http_parse_request(&p, &http_request_limits, &h, "\r\nG", 3, NULL), HTTP_MORE);
    assert_true(p.began);
}

/* ---- responses ---- */

static void a_response_is_parsed_into_spans(void **state)
{
    (void)state;
    accept_as(RESPONSE, "HTTP/1.1 200 OK\r\nx_y: b\r\n\r\n", "200.1 OK|\n0 x_y|b|");
    accept_as(RESPONSE, "HTTP/1.0 404 Not \xff here\r\n\r\n", "404.0 Not \xff here|");
    accept_as(RESPONSE, "HTTP/1.1 204 \r\n\r\n", "204.1 |");
    accept_as(RESPONSE, "HTTP/1.1 999 No\r\n\r\n", "999.1 No|");
}

static void an_absent_reason_and_a_later_minor_version_are_accepted(void **state)
{
    (void)state;
    accept_as(RESPONSE, "HTTP/1.1 200\r\n\r\n", "200.1 |");
    accept_as(RESPONSE, "HTTP/1.7 200 OK\r\n\r\n", "200.1 OK|");
}

static void malformed_responses_are_refused(void **state)
{
    const enum weir_code bad = WEIR_E_RESPONSE_MALFORMED;

    (void)state;
    refuse(RESPONSE, "HTTP/2.0 200 OK\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/0.9 200 OK\r\n\r\n", bad);
    refuse(RESPONSE, "http/1.1 200 OK\r\n\r\n", bad);
    refuse(RESPONSE, "ICY 200 OK\r\n\r\n", bad);
    refuse(RESPONSE, "\r\nHTTP/1.1 200 OK\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1  200 OK\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 20 OK\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 2000 OK\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 099 OK\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 +20 OK\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 200 O\1K\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 200 O\0K\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 200 OK\n\n", bad);
    refuse(RESPONSE, "HTTP/1.1 200 OK\ra\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 200 OK\r\na: b\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 200 OK\r\na : b\r\n\r\n", bad);
    refuse(RESPONSE, "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n", bad);
    refuse(RESPONSE, "<html>", bad);
}

static void a_large_response_head_is_refused(void **state)
{
    static char text[70000];
    struct http_parse_limits tight = http_response_limits;

    (void)state;
    memcpy(text, "HTTP/1.1 200 OK\r\na:", 19);
    memset(text + 19, 'x', sizeof(text) - 19);
    tight.head_bytes = 1000;
    assert_int_equal(parse(RESPONSE, &tight, text, 3000)->code, WEIR_E_RESPONSE_HEAD_TOO_LARGE);
    refused(RESPONSE, text, sizeof(text), WEIR_E_RESPONSE_HEAD_TOO_LARGE);
}

/* ---- trailers ---- */

static void trailers_obey_the_rules_of_fields(void **state)
{
    (void)state;
    accept_as(TRAILERS, "\r\n", "m0.1 ");
    accept_as(TRAILERS, "a: b\r\nc:d\r\n\r\n", "m0.1 \n0 a|b|\n0 c|d|");
    refuse(TRAILERS, "a: b\n\r\n", WEIR_E_BAD_CHUNK);
    refuse(TRAILERS, " a: b\r\n\r\n", WEIR_E_BAD_CHUNK);
    refuse(TRAILERS, "a\r\n\r\n", WEIR_E_BAD_CHUNK);
    refuse(TRAILERS, "\n", WEIR_E_BAD_CHUNK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_parsed_into_spans),
        cmocka_unit_test(bytes_behind_the_head_are_left_alone),
        cmocka_unit_test(up_to_eight_empty_lines_may_come_first),
        cmocka_unit_test(values_may_hold_obs_text_and_tabs),
        cmocka_unit_test(names_with_underscores_are_dropped_by_default),
        cmocka_unit_test(the_request_line_has_exactly_two_spaces),
        cmocka_unit_test(http_0_9_is_refused),
        cmocka_unit_test(another_version_is_505_and_a_malformed_one_400),
        cmocka_unit_test(the_method_is_a_token_of_at_most_32_bytes),
        cmocka_unit_test(the_target_is_visible_ascii_without_fragment),
        cmocka_unit_test(lines_end_with_crlf_and_nothing_else),
        cmocka_unit_test(controls_in_a_value_are_refused),
        cmocka_unit_test(a_bad_byte_is_found_wherever_it_stands),
        cmocka_unit_test(only_tokens_are_names),
        cmocka_unit_test(folding_is_refused_everywhere),
        cmocka_unit_test(limits_have_their_own_answers),
        cmocka_unit_test(too_many_fields_are_431_dropped_ones_included),
        cmocka_unit_test(the_array_of_the_head_is_a_limit_too),
        cmocka_unit_test(began_tells_idle_from_slow),
        cmocka_unit_test(a_response_is_parsed_into_spans),
        cmocka_unit_test(an_absent_reason_and_a_later_minor_version_are_accepted),
        cmocka_unit_test(malformed_responses_are_refused),
        cmocka_unit_test(a_large_response_head_is_refused),
        cmocka_unit_test(trailers_obey_the_rules_of_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
