#include "health_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"
#include "health_check.h"
#include "pattern.h"
#include "test_health_answer.h"

static struct pattern_scratch *scratch;

static int setup(void **state)
{
    (void)state;
    scratch = pattern_scratch_new(NULL);
    return scratch == NULL;
}

static int teardown(void **state)
{
    (void)state;
    pattern_scratch_free(scratch);
    return 0;
}

enum end { OPEN, CLOSES, RESETS };

struct sample {
    const char *bytes;
    const char *body; /* pattern; NULL: none */
    enum end end;     /* what comes after the bytes, if they are no verdict */
    enum health_reason expected;
    enum http_method method; /* 0: GET */
};

#define OK "HTTP/1.1 200 OK\r\n"

static const struct sample samples[] = {
    {OK "Content-Length: 2\r\n\r\nok", NULL, OPEN, HEALTH_R_ANSWERED, 0},
    {OK "Content-Length: 0\r\n\r\n", NULL, OPEN, HEALTH_R_ANSWERED, 0},
    {OK "Content-Length: 2\r\n\r\nok and more", "^ok$", OPEN, HEALTH_R_ANSWERED, 0},
    {OK "Content-Length: 3\r\n\r\nok", NULL, OPEN, HEALTH_R_NONE, 0},
    {OK "Content-Length: 3\r\n\r\nok", NULL, CLOSES, HEALTH_R_CLOSED, 0},
    {OK "Content-Length: 3\r\n\r\nok", NULL, RESETS, HEALTH_R_CLOSED, 0},
    {OK "Content-Length: 3\r\n\r\n", NULL, OPEN, HEALTH_R_ANSWERED, HTTP_M_HEAD},
    {"HTTP/1.1 204 No Content\r\n\r\n", NULL, OPEN, HEALTH_R_ANSWERED, 0},
    {"HTTP/1.0 200 OK\r\n\r\nok", "^ok$", CLOSES, HEALTH_R_ANSWERED, 0},
    {"HTTP/1.0 200 OK\r\n\r\nok", "^ok$", OPEN, HEALTH_R_NONE, 0},
    {"HTTP/1.0 200 OK\r\n\r\nok", "^ok$", RESETS, HEALTH_R_CLOSED, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x\r\nk\r\n0\r\nT: v\r\n\r\n", "^ok$", OPEN,
     HEALTH_R_ANSWERED, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "^ok$", CLOSES, HEALTH_R_CLOSED, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n", NULL, OPEN, HEALTH_R_MALFORMED, 0},
    {OK "Content-Length: 7\r\n\r\nnot yet", "^ok", OPEN, HEALTH_R_BODY, 0},
    {OK "Content-Length: 0\r\n\r\n", "ok", OPEN, HEALTH_R_BODY, 0},
    {OK "Content-Length: 0\r\n\r\n", "^$", OPEN, HEALTH_R_ANSWERED, 0},
    /* The status is a verdict at once. */
    {"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n", NULL, OPEN, HEALTH_R_STATUS, 0},
    {"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", NULL, OPEN, HEALTH_R_STATUS,
     0},
    /* Interim answers are none. */
    {"HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\nHTTP/1.1 100 Go\r\n\r\n" OK
     "Content-Length: 2\r\n\r\nok",
     "ok", OPEN, HEALTH_R_ANSWERED, 0},
    {"HTTP/1.1 100 Go\r\n\r\n", NULL, CLOSES, HEALTH_R_CLOSED, 0},
    {"HTTP/1.1 101 Other\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", NULL, OPEN,
     HEALTH_R_MALFORMED, 0},
    /* Not HTTP, or not well-formed. */
    {"", NULL, CLOSES, HEALTH_R_CLOSED, 0},
    {"", NULL, RESETS, HEALTH_R_CLOSED, 0},
    {"SSH-2.0-OpenSSH_9.2\r\n", NULL, OPEN, HEALTH_R_MALFORMED, 0},
    {"\x15\x03\x01\x00\x02\x02\x16", NULL, OPEN, HEALTH_R_MALFORMED, 0},
    {"HTTP/1.1 200", NULL, CLOSES, HEALTH_R_CLOSED, 0},
    {OK "Content-Le", NULL, CLOSES, HEALTH_R_CLOSED, 0},
    {OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", NULL, OPEN, HEALTH_R_MALFORMED, 0},
    {OK "Content-Length: -1\r\n\r\n", NULL, OPEN, HEALTH_R_MALFORMED, 0},
    {OK "Content-Length: 99999999999999999999\r\n\r\n", NULL, OPEN, HEALTH_R_MALFORMED, 0},
    {OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", NULL, OPEN, HEALTH_R_MALFORMED,
     0},
    {OK " folded: x\r\n\r\n", NULL, OPEN, HEALTH_R_MALFORMED, 0},
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static enum health_reason ended(struct health_answer *a, enum health_reason why, enum end end)
{
    if (why != HEALTH_R_NONE || end == OPEN)
        return why;
    return health_answer_closed(a, end == CLOSES);
}

static void check_of(const struct sample *s, struct health_check *c)
{
    memset(c, 0, sizeof(*c));
    c->kind = HEALTH_KIND_HTTP;
    c->method = s->method != 0 ? s->method : HTTP_M_GET;
    assert_true(health_statuses_parse("2xx", &c->statuses));
    c->body = s->body != NULL ? pattern_compile(s->body, NULL) : NULL;
}

/* In two pieces, cut at `at`, each of at most `piece` bytes at a time. */
static void expect_cut(const struct sample *s, size_t at, size_t piece)
{
    const size_t len = strlen(s->bytes);
    struct health_check c;
    struct health_answer *a;
    enum health_reason why;

    check_of(s, &c);
    a = health_answer_new(&c, scratch, NULL);
    assert_non_null(a);
    why = feed(a, s->bytes, at, piece);
    if (why == HEALTH_R_NONE)
        why = feed(a, s->bytes + at, len - at, piece);
    why = ended(a, why, s->end);
    if (why != s->expected)
        fail_msg("sample %zu cut at %zu: %s instead of %s", (size_t)(s - samples), at,
                 health_reason_text(why), health_reason_text(s->expected));
    health_answer_free(a);
    pattern_free(c.body);
}

static void every_sample_is_judged_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        expect_cut(&samples[i], 0, SIZE_MAX);
}

static void every_sample_is_judged_the_same_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        for (size_t at = 0; at <= strlen(samples[i].bytes); at++)
            expect_cut(&samples[i], at, SIZE_MAX);
        expect_cut(&samples[i], 0, 1);
    }
}

/* ---- bounds ---- */

/* `head`, then `unit` again and again, up to `most` bytes of it; how much was taken. */
static size_t feed_endless(const char *head, const char *unit, const char *pattern, size_t most,
                           enum health_reason *why)
{
    const struct sample s = {.body = pattern};
    struct health_check c;
    struct health_answer *a;
    size_t fed = 0;

    check_of(&s, &c);
    a = health_answer_new(&c, scratch, NULL);
    *why = feed(a, head, strlen(head), SIZE_MAX);
    while (*why == HEALTH_R_NONE && fed < most) {
        *why = feed(a, unit, strlen(unit), SIZE_MAX);
        fed += strlen(unit);
    }
    health_answer_free(a);
    pattern_free(c.body);
    return fed;
}

static void a_head_without_end_is_refused(void **state)
{
    enum health_reason why;

    (void)state;
    assert_true(feed_endless(OK, "Field: value\r\n", NULL, 1 << 20, &why) <= 65536);
    assert_int_equal(why, HEALTH_R_MALFORMED);
    assert_true(feed_endless(OK "Field: ", "value", NULL, 1 << 20, &why) <= 65536);
    assert_int_equal(why, HEALTH_R_MALFORMED);
    assert_true(feed_endless("", "HTTP/1.1 100 Go\r\n\r\n", NULL, 1 << 20, &why) <= 1024);
    assert_int_equal(why, HEALTH_R_MALFORMED);
}

static void of_a_large_body_the_begin_is_enough(void **state)
{
    enum health_reason why;

    (void)state;
    assert_int_equal(feed_endless(OK "\r\n", "12345678", "^1(2345678|1)+$", 1 << 20, &why),
                     HEALTH_BODY_BYTES);
    assert_int_equal(why, HEALTH_R_BODY);
    assert_int_equal(feed_endless(OK "\r\n", "12345678", "^1234", 1 << 20, &why),
                     HEALTH_BODY_BYTES);
    assert_int_equal(why, HEALTH_R_ANSWERED);
    assert_int_equal(feed_endless(OK "\r\n", "12345678", NULL, 1 << 20, &why), HEALTH_BODY_BYTES);
    assert_int_equal(why, HEALTH_R_ANSWERED);
    /* Framing counts for nothing, and ends. */
    feed_endless(OK "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "x", 1 << 20, &why);
    assert_int_equal(why, HEALTH_R_ANSWERED);
    feed_endless(OK "Transfer-Encoding: chunked\r\n\r\n", "1;abcdefghijklmnopqrst\r\nx\r\n", "x",
                 1 << 20, &why);
    assert_int_equal(why, HEALTH_R_MALFORMED);
}

static void a_pattern_that_would_hang_does_not_match(void **state)
{
    enum health_reason why;

    (void)state;
    feed_endless(OK "\r\n", "aaaaaaaaaaaaaaaa", "(a+)+b", 1 << 20, &why);
    assert_int_equal(why, HEALTH_R_BODY);
}

static void the_status_is_told(void **state)
{
    const struct sample s = {.bytes = "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 418 Tea\r\n\r\n"};
    struct health_check c;
    struct health_answer *a;

    (void)state;
    check_of(&s, &c);
    a = health_answer_new(&c, scratch, NULL);
    assert_int_equal(feed(a, s.bytes, 19, SIZE_MAX), HEALTH_R_NONE);
    assert_int_equal(health_answer_status(a), 0);
    assert_int_equal(feed(a, s.bytes + 19, strlen(s.bytes) - 19, SIZE_MAX), HEALTH_R_STATUS);
    assert_int_equal(health_answer_status(a), 418);
    health_answer_free(a);
}

#ifdef WEIR_FAULTS
static void failed_memory_says_nothing_of_the_origin(void **state)
{
    const struct sample s = {.body = "k$"};
    enum health_reason why = HEALTH_R_NONE;
    struct health_check c;
    char *large = malloc(20000);

    (void)state;
    memset(large, 'x', 20000);
    memcpy(large, OK "Content-Length: 19958\r\n\r\n", 42);
    large[19999] = 'k';
    check_of(&s, &c);
    for (unsigned long n = 1; why != HEALTH_R_ANSWERED; n++) {
        struct health_answer *a;

        weir_alloc_fail_at(n);
        a = health_answer_new(&c, scratch, NULL);
        why = a != NULL ? feed(a, large, 20000, 3000) : HEALTH_R_LOCAL;
        weir_alloc_fail_at(0);
        health_answer_free(a);
        assert_true(why == HEALTH_R_ANSWERED || why == HEALTH_R_LOCAL);
        assert_true(n < 100);
    }
    free(large);
    pattern_free(c.body);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_is_judged_whole),
        cmocka_unit_test(every_sample_is_judged_the_same_cut_at_every_byte),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(of_a_large_body_the_begin_is_enough),
        cmocka_unit_test(a_pattern_that_would_hang_does_not_match),
        cmocka_unit_test(the_status_is_told),
#ifdef WEIR_FAULTS
        cmocka_unit_test(failed_memory_says_nothing_of_the_origin),
#endif
    };

    return cmocka_run_group_tests_name("health_answer", tests, setup, teardown);
}
