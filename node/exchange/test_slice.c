#include "slice.h"

#include "test_exchange.h"

static struct http_head head;
static struct http_field fields[20];

static void parse(const char *text)
{
    struct http_parser parser;
    struct weir_err err = {0};

    http_parser_init(&parser);
    http_head_init(&head, fields, 20);
    if (http_parse_response(&parser, &http_response_limits, &head, text, strlen(text), &err) !=
        HTTP_PARSED)
        fail_msg("%s", err.detail);
}

/* Is a 206 with this Content-Range (and a strong tag) slice n of 100 bytes each? */
static bool fits(const char *content_range, uint64_t n)
{
    struct exchange_slice asked = {n, 100};
    struct slice_facts facts;
    char text[200];

    snprintf(text, sizeof text, "HTTP/1.1 206 P\r\nETag: \"a\"\r\nContent-Range: %s\r\n\r\n",
             content_range);
    parse(text);
    return slice_read(head.fields, head.count, head.status, &asked, &facts);
}

static void a_slice_is_whole_or_the_last_one(void **state)
{
    (void)state;
    assert_true(fits("bytes 0-99/1000", 0));
    assert_true(fits("bytes 0-99/100", 0));
    assert_true(fits("bytes 0-4/5", 0));
    assert_true(fits("bytes 900-999/1000", 9));
    assert_true(fits("bytes 900-900/901", 9));
    assert_true(fits("bytes 4294967300-4294967399/5000000000", 42949673));
}

static void anything_else_is_not_the_slice(void **state)
{
    (void)state;
    assert_false(fits("bytes 0-98/1000", 0));  /* short */
    assert_false(fits("bytes 0-100/1000", 0)); /* long */
    assert_false(fits("bytes 0-99/1000", 1));
    assert_false(fits("bytes 100-198/1000", 1));
    assert_false(fits("bytes 101-199/1000", 1));
    assert_false(fits("bytes 0-99/*", 0));
    assert_false(fits("bytes */1000", 0));
    assert_false(fits("bytes 0-99", 0));
    assert_false(fits("0-99/1000", 0));
}

static void read_of(const char *text, const char *validator)
{
    struct exchange_slice asked = {0, 100};
    struct slice_facts facts;
    bool ok;

    parse(text);
    ok = slice_read(head.fields, head.count, head.status, &asked, &facts);
    if (ok != (validator != NULL))
        fail_msg("%s: %d", text, ok);
    if (ok) {
        assert_int_equal(facts.complete, 1000);
        assert_int_equal(facts.range.first, 0);
        assert_int_equal(facts.range.last, 99);
        assert_true(weir_span_eq(facts.validator, weir_span_str(validator)));
    }
}

static void only_a_206_with_a_strong_validator_counts(void **state)
{
#define RANGE "Content-Range: bytes 0-99/1000\r\n"
    (void)state;
    read_of("HTTP/1.1 206 P\r\nETag: \"a\"\r\n" RANGE "\r\n", "\"a\"");
    read_of("HTTP/1.1 200 P\r\nETag: \"a\"\r\n" RANGE "\r\n", NULL);
    read_of("HTTP/1.1 206 P\r\nETag: W/\"a\"\r\n" RANGE "\r\n", NULL);
    read_of("HTTP/1.1 206 P\r\nETag: \"a\"\r\nETag: \"b\"\r\n" RANGE "\r\n", NULL);
    read_of("HTTP/1.1 206 P\r\n" RANGE "\r\n", NULL);
    read_of("HTTP/1.1 206 P\r\nETag: \"a\"\r\n" RANGE RANGE "\r\n", NULL);
    read_of("HTTP/1.1 206 P\r\nETag: \"a\"\r\n\r\n", NULL);
    read_of("HTTP/1.1 206 P\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Last-Modified: Sun, 06 Nov 1994 08:49:36 GMT\r\n" RANGE "\r\n",
            "Sun, 06 Nov 1994 08:49:36 GMT");
    read_of("HTTP/1.1 206 P\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n" RANGE "\r\n",
            NULL);
}

/* The slice (of 100) that is asked first; -1: slices are not for this request. */
static int64_t probe(const char *range)
{
    uint64_t n;

    http_head_init(&head, fields, 20);
    head.method_id = HTTP_M_GET;
    if (range != NULL)
        http_head_add_id(&head, NULL, HTTP_F_RANGE, weir_span_str(range));
    return slice_probe(&head, 100, &n) ? (int64_t)n : -1;
}

static void the_slice_with_the_first_byte_is_asked_first(void **state)
{
    (void)state;
    assert_int_equal(probe(NULL), 0);
    assert_int_equal(probe("bytes=0-"), 0);
    assert_int_equal(probe("bytes=99-200"), 0);
    assert_int_equal(probe("bytes=100-"), 1);
    assert_int_equal(probe("bytes=4294967300-4294967301"), 42949673);
    assert_int_equal(probe("bytes=300-400,350-500"), 3); /* one, put together */
    /* what cannot be told without the length, and what is ignored */
    assert_int_equal(probe("bytes=-5"), 0);
    assert_int_equal(probe("bytes=-0"), 0);
    assert_int_equal(probe("bytes=18446744073709551615-"), 0);
    assert_int_equal(probe("items=500-600"), 0);
    assert_int_equal(probe("bytes=0-1,500-600"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_is_whole_or_the_last_one),
        cmocka_unit_test(anything_else_is_not_the_slice),
        cmocka_unit_test(only_a_206_with_a_strong_validator_counts),
        cmocka_unit_test(the_slice_with_the_first_byte_is_asked_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
