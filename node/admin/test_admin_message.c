#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"
#include "admin_message.h"

/* Feeds all of it, `first` bytes before the rest; returns how many were used. */
static size_t feed_cut(struct admin_message *m, const char *bytes, size_t len, size_t first)
{
    size_t done = 0, have = first;

    admin_message_init(m);
    for (;;) {
        char *copy = malloc(have - done + 1); /* its own block, so that sanitizers see overruns */
        size_t used;

        memcpy(copy, bytes + done, have - done);
        admin_message_feed(m, copy, have - done, &used);
        free(copy);
        assert_true(used <= have - done);
        done += used;
        if (m->state == ADMIN_MESSAGE_WHOLE || m->state == ADMIN_MESSAGE_BAD)
            return done;
        if (used == 0 && have == len)
            return done;
        if (used == 0)
            have = len;
    }
}

static size_t feed(struct admin_message *m, const char *text)
{
    return feed_cut(m, text, strlen(text), strlen(text));
}

static void a_request_without_content_is_whole_with_its_head(void **state)
{
    struct admin_message m;

    (void)state;
    feed(&m, "GET /v1/farm?a=b&c HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc\r\n\r\n");
    assert_int_equal(m.state, ADMIN_MESSAGE_WHOLE);
    assert_int_equal(m.method, HTTP_M_GET);
    assert_string_equal(m.path, "/v1/farm");
    assert_string_equal(m.query, "a=b&c");
    assert_string_equal(m.authorization, "Bearer abc");
    assert_true(m.keep_alive);
    admin_message_clear(&m);
}

static void the_head_is_shown_before_the_content_is_taken(void **state)
{
    static const char text[] =
        "POST /v1/words HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}";
    struct admin_message m;
    size_t used;

    (void)state;
    admin_message_init(&m);
    admin_message_feed(&m, text, strlen(text), &used);
    assert_int_equal(used, strlen(text) - 2);
    assert_int_equal(m.state, ADMIN_MESSAGE_CONTENT);
    assert_true(m.expects);
    admin_message_feed(&m, text + used, 2, &used);
    assert_int_equal(m.state, ADMIN_MESSAGE_WHOLE);
    assert_memory_equal(m.content, "{}", 2);
    admin_message_clear(&m);
}

static void content_may_be_chunked(void **state)
{
    struct admin_message m;

    (void)state;
    feed(&m, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3\r\n{\"a\r\n5;x=y\r\n\": 1}\r\n0\r\n\r\n");
    assert_int_equal(m.state, ADMIN_MESSAGE_WHOLE);
    assert_int_equal(m.content_len, 8);
    assert_memory_equal(m.content, "{\"a\": 1}", 8);
    admin_message_clear(&m);
}

static void every_cut_gives_the_same(void **state)
{
    static const char *const texts[] = {
        "POST http://node/v1/words?x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n[1,2]",
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nbad line\r\n\r\n",
    };

    (void)state;
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        struct admin_message whole;

        feed(&whole, texts[t]);
        for (size_t cut = 0; cut < strlen(texts[t]); cut++) {
            struct admin_message m;

            feed_cut(&m, texts[t], strlen(texts[t]), cut);
            assert_int_equal(m.state, whole.state);
            assert_int_equal(m.status, whole.status);
            assert_int_equal(m.content_len, whole.content_len);
            if (m.path != NULL)
                assert_string_equal(m.path, whole.path);
            admin_message_clear(&m);
        }
        admin_message_clear(&whole);
    }
}

static void what_follows_is_left_for_the_next_request(void **state)
{
    static const char one[] = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
    struct admin_message m;

    (void)state;
    assert_int_equal(feed(&m, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n"),
                     strlen(one));
    assert_string_equal(m.path, "/1");
    admin_message_clear(&m);
}

static void bad(const char *text, int status)
{
    struct admin_message m;

    feed(&m, text);
    if (m.state != ADMIN_MESSAGE_BAD || m.status != status)
        fail_msg("%d instead of %d (%s): %s", m.status, status, m.wrong, text);
    assert_false(m.keep_alive);
    assert_true(m.wrong[0] != '\0');
    admin_message_clear(&m);
}

static void what_makes_no_sense_is_refused(void **state)
{
    char *large = malloc(70000), *many = malloc(70000);

    (void)state;
    bad("\x16\x03\x01 nonsense\r\n\r\n", 400);
    bad("GET / HTTP/1.1\r\n\r\n", 400);
    bad("GET / HTTP/3.1\r\nHost: x\r\n\r\n", 505);
    bad("CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    bad("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400);
    bad("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400);
    bad("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400);
    bad("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501);
    bad("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400);
    bad("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413);
    snprintf(large, 70000, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", 13000, 0);
    bad(large, 414);
    strcpy(many, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 70; i++)
        strcat(many, "A: b\r\n");
    strcat(many, "\r\n");
    bad(many, 431);
    free(large);
    free(many);
}

static void chunks_may_not_exceed_the_limit_either(void **state)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    const size_t room = 80000;
    char *text = malloc(room);
    struct admin_message m;
    size_t n = strlen(head);

    (void)state;
    memcpy(text, head, n);
    for (int i = 0; i < 65; i++) {
        memcpy(text + n, "400\r\n", 5);
        memset(text + n + 5, 'x', 1024);
        memcpy(text + n + 5 + 1024, "\r\n", 2);
        n += 5 + 1024 + 2;
    }
    feed_cut(&m, text, n, n);
    assert_int_equal(m.state, ADMIN_MESSAGE_BAD);
    assert_int_equal(m.status, 413);
    admin_message_clear(&m);
    free(text);
}

static void old_clients_get_one_answer(void **state)
{
    struct admin_message m;

    (void)state;
    feed(&m, "GET /metrics HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(m.state, ADMIN_MESSAGE_WHOLE);
    assert_false(m.keep_alive);
    admin_message_clear(&m);
}

#ifdef WEIR_FAULTS
static void without_memory_it_is_refused_and_nothing_leaks(void **state)
{
    static const char text[] = "POST /a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer z\r\n"
                               "Content-Length: 2\r\n\r\n{}";

    (void)state;
    for (unsigned long n = 1;; n++) {
        struct admin_message m;
        bool failed;

        weir_alloc_fail_at(n);
        feed(&m, text);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_int_equal(m.state, failed ? ADMIN_MESSAGE_BAD : ADMIN_MESSAGE_WHOLE);
        if (failed)
            assert_int_equal(m.status, 503);
        admin_message_clear(&m);
        if (!failed)
            break;
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_without_content_is_whole_with_its_head),
        cmocka_unit_test(the_head_is_shown_before_the_content_is_taken),
        cmocka_unit_test(content_may_be_chunked),
        cmocka_unit_test(every_cut_gives_the_same),
        cmocka_unit_test(what_follows_is_left_for_the_next_request),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(chunks_may_not_exceed_the_limit_either),
        cmocka_unit_test(old_clients_get_one_answer),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_it_is_refused_and_nothing_leaks),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
