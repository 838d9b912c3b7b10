#include "resume.h"

#include "test_exchange.h"

#include "freshness.h"
#include "response_in.h"

#define AT       784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE     "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define A_SECOND "Last-Modified: Sun, 06 Nov 1994 08:49:36 GMT\r\n"
#define THE_SAME "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define OK_100   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"
#define PART     "HTTP/1.1 206 Part\r\n"
#define REST_40  "Content-Range: bytes 40-99/100\r\nContent-Length: 60\r\n"

static struct made made;
static struct http_head head;
static struct http_framing framing;
static struct fill_head first;
static const struct exchange_slice whole; /* no slice */
static struct resume_extent extent;

static void parse(const char *text)
{
    struct http_parser parser;
    struct weir_err err = {0};

    http_parser_init(&parser);
    http_head_init(&head, made.fields, MADE_FIELDS);
    if (http_parse_response(&parser, &http_response_limits, &head, text, strlen(text), &err) !=
            HTTP_PARSED ||
        !http_response_framing(&head, HTTP_M_GET, &framing, &err))
        fail_msg("%s", err.detail);
}

/* `fields` behind a status line and a length of 100. */
static void begins(const char *fields)
{
    struct weir_err err;
    char text[1000];

    snprintf(text, sizeof text, OK_100 "%s\r\n", fields);
    parse(text);
    assert_true(response_in_build(&first, &head, &framing, &made.site, NULL, NULL, AT, &err));
}

static int set_up(void **state)
{
    (void)state;
    made_open(&made);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    made_close(&made);
    return 0;
}

static void only_with_a_strong_validator(void **state)
{
    static const struct {
        const char *fields, *validator;
    } rows[] = {
        {"ETag: \"a\"\r\n", "\"a\""},
        {"ETag: W/\"a\"\r\n", NULL},
        {"ETag: a\r\n", NULL},
        {"ETag: W/\"a\"\r\n" DATE A_SECOND, NULL}, /* the origin says that dates will not do */
        {DATE A_SECOND, "Sun, 06 Nov 1994 08:49:36 GMT"},
        {DATE THE_SAME, NULL},
        {A_SECOND, "Sun, 06 Nov 1994 08:49:36 GMT"}, /* Date is ours then */
        {DATE "Last-Modified: yesterday\r\n", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct weir_span got;

        begins(rows[i].fields);
        got = resume_validator(&first);
        if (rows[i].validator == NULL ? got.ptr != NULL
                                      : !weir_span_eq(got, weir_span_str(rows[i].validator)))
            fail_msg("%s: \"%.*s\"", rows[i].fields, (int)got.len, got.ptr);
        assert_int_equal(resume_possible(&first, &whole, &extent), rows[i].validator != NULL);
        response_in_clear(&first);
    }
}

static void not_where_the_origin_offers_no_ranges(void **state)
{
    (void)state;
    begins("ETag: \"a\"\r\nAccept-Ranges: none\r\n");
    assert_false(resume_possible(&first, &whole, &extent));
    response_in_clear(&first);
    begins("ETag: \"a\"\r\nAccept-Ranges: bytes\r\n");
    assert_true(resume_possible(&first, &whole, &extent));
    first.status = 203;
    assert_false(resume_possible(&first, &whole, &extent));
    first.status = 200;
    first.length = -1;
    assert_false(resume_possible(&first, &whole, &extent));
    response_in_clear(&first);
}

static void the_request_is_the_first_one_without_its_conditions(void **state)
{
    const struct weir_span request = WEIR_SPAN_LIT(
        "GET /a HTTP/1.1\r\nHost: x\r\nif-none-match: \"b\"\r\nRange: bytes=0-\r\nX-Range: kept\r\n"
        "If-Modified-Since: x\r\nIf-Range: \"b\"\r\nIf-Match: *\r\nIf-Unmodified-Since: y\r\n"
        "Via: 1.1 weir\r\n\r\n");
    const char *expected = "GET /a HTTP/1.1\r\nHost: x\r\nX-Range: kept\r\nVia: 1.1 weir\r\n"
                           "Range: bytes=18446744073709551615-\r\nIf-Range: \"a\"\r\n\r\n";
    struct weir_span got;

    (void)state;
    begins("ETag: \"a\"\r\n");
    assert_true(resume_possible(&first, &whole, &extent));
    got = resume_request(request, &first, &extent, UINT64_MAX, &made.x.arena);
    assert_non_null(got.ptr);
    if (!weir_span_eq(got, weir_span_str(expected)))
        fail_msg("%.*s", (int)got.len, got.ptr);
    response_in_clear(&first);
}

static void fits(const char *rest, uint64_t end)
{
    uint64_t got = 0;

    parse(rest);
    if (resume_fits(&first, &extent, 40, &head, &framing, &got) != (end > 0))
        fail_msg("%s\n%s", end > 0 ? "does not fit:" : "fits:", rest);
    if (end > 0)
        assert_int_equal(got, end);
}

static void only_the_exact_rest_of_the_same_representation_fits(void **state)
{
    (void)state;
    begins("ETag: \"a\"\r\n");
    assert_true(resume_possible(&first, &whole, &extent));
    fits(PART "ETag: \"a\"\r\n" REST_40 "\r\n", 100);
    fits(PART "ETag: \"a\"\r\nContent-Range: bytes 40-49/100\r\nContent-Length: 10\r\n\r\n", 50);
    fits(PART "ETag: \"a\"\r\nContent-Range: bytes 40-99/100\r\n\r\n", 100);
    fits(PART "ETag: \"b\"\r\n" REST_40 "\r\n", 0);
    fits(PART "ETag: W/\"a\"\r\n" REST_40 "\r\n", 0);
    fits(PART REST_40 "\r\n", 0);
    fits("HTTP/1.1 200 OK\r\nETag: \"a\"\r\n" REST_40 "\r\n", 0);
    fits(PART "ETag: \"a\"\r\nContent-Length: 60\r\n\r\n", 0);
    fits(PART "ETag: \"a\"\r\nContent-Range: bytes 41-99/100\r\nContent-Length: 59\r\n\r\n", 0);
    fits(PART "ETag: \"a\"\r\nContent-Range: bytes 39-99/100\r\nContent-Length: 61\r\n\r\n", 0);
    fits(PART "ETag: \"a\"\r\nContent-Range: bytes 40-100/101\r\nContent-Length: 61\r\n\r\n", 0);
    fits(PART "ETag: \"a\"\r\nContent-Range: bytes 40-99/*\r\nContent-Length: 60\r\n\r\n", 0);
    fits(PART "ETag: \"a\"\r\nContent-Range: bytes */100\r\nContent-Length: 60\r\n\r\n", 0);
    fits(PART "ETag: \"a\"\r\nContent-Range: bytes 40-99/100\r\nContent-Length: 59\r\n\r\n", 0);
    response_in_clear(&first);
}

static void a_date_must_be_the_same_to_the_byte(void **state)
{
    (void)state;
    begins(DATE A_SECOND);
    assert_true(resume_possible(&first, &whole, &extent));
    fits(PART A_SECOND REST_40 "\r\n", 100);
    fits(PART THE_SAME REST_40 "\r\n", 0);
    fits(PART REST_40 "\r\n", 0);
    response_in_clear(&first);
}

static void the_rest_of_a_slice_ends_with_it(void **state)
{
    struct exchange_slice third = {2, 100};
    const char *expected = "GET / HTTP/1.1\r\nRange: bytes=240-299\r\nIf-Range: \"a\"\r\n\r\n";
    struct weir_err err;
    struct weir_span got;
    uint64_t end;

    (void)state;
    parse(PART "ETag: \"a\"\r\nContent-Range: bytes 200-299/1000\r\nContent-Length: 100\r\n\r\n");
    assert_true(response_in_build(&first, &head, &framing, &made.site, NULL, NULL, AT, &err));
    assert_false(resume_possible(&first, &whole, &extent));
    assert_true(resume_possible(&first, &third, &extent));
    got = resume_request(WEIR_SPAN_LIT("GET / HTTP/1.1\r\nRange: bytes=200-299\r\n\r\n"), &first,
                         &extent, 240, &made.x.arena);
    if (!weir_span_eq(got, weir_span_str(expected)))
        fail_msg("%.*s", (int)got.len, got.ptr);
    parse(PART "ETag: \"a\"\r\nContent-Range: bytes 240-299/1000\r\nContent-Length: 60\r\n\r\n");
    assert_true(resume_fits(&first, &extent, 240, &head, &framing, &end));
    assert_int_equal(end, 300);
    parse(PART "ETag: \"a\"\r\nContent-Range: bytes 240-300/1000\r\nContent-Length: 61\r\n\r\n");
    assert_false(resume_fits(&first, &extent, 240, &head, &framing, &end));
    response_in_clear(&first);
}

static void only_broken_connections_are_a_cause(void **state)
{
    (void)state;
    assert_true(resume_cause(WEIR_E_ORIGIN_RESET));
    assert_true(resume_cause(WEIR_E_RESPONSE_TRUNCATED));
    assert_true(resume_cause(WEIR_E_ORIGIN_READ_TIMEOUT));
    assert_false(resume_cause(WEIR_E_RESPONSE_MALFORMED));
    assert_false(resume_cause(WEIR_E_RESPONSE_TOO_LARGE));
    assert_false(resume_cause(WEIR_E_MEMORY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_with_a_strong_validator),
        cmocka_unit_test(not_where_the_origin_offers_no_ranges),
        cmocka_unit_test(the_request_is_the_first_one_without_its_conditions),
        cmocka_unit_test(only_the_exact_rest_of_the_same_representation_fits),
        cmocka_unit_test(a_date_must_be_the_same_to_the_byte),
        cmocka_unit_test(the_rest_of_a_slice_ends_with_it),
        cmocka_unit_test(only_broken_connections_are_a_cause),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
