#include "validate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "weir/arena.h"

#include "policy_heads.h"

static bool answered_304(int status, const char *stored, const char *request)
{
    struct policy_head req, res;

    policy_request(&req, "GET", request);
    policy_response(&res, status, stored);
    return validate_client(&req.head, &res.head, AT);
}

static void the_origin_is_asked_with_the_validators_as_they_came(void **state)
{
    static const struct {
        const char *lines, *etag, *modified;
    } rows[] = {
        {"", NULL, NULL},
        {"ETag: \"a\"", "\"a\"", NULL},
        {"ETag: W/\"a\"", "W/\"a\"", NULL},
        {"ETag: a", NULL, NULL},
        {"ETag: \"a\"\nETag: \"b\"", NULL, NULL},
        {"Last-Modified: " DATE_M1H, NULL, DATE_M1H},
        {"Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT", NULL, "Sunday, 06-Nov-94 08:49:37 GMT"},
        {"Last-Modified: once", NULL, NULL},
        {"ETag: \"a\"\nLast-Modified: " DATE_M1H, "\"a\"", DATE_M1H},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy_head p;
        struct validate_condition c;
        bool any = validate_condition(&c, policy_response(&p, 200, rows[i].lines));

        assert_int_equal(any, rows[i].etag != NULL || rows[i].modified != NULL);
        assert_int_equal(any, validate_possible(&p.head));
        assert_true(weir_span_eq(c.if_none_match, weir_span_str(rows[i].etag)));
        assert_true(weir_span_eq(c.if_modified_since, weir_span_str(rows[i].modified)));
    }
}

static void if_none_match_compares_weakly_over_lists_and_lines(void **state)
{
    static const struct {
        const char *stored, *request;
        bool not_modified;
    } rows[] = {
        {"ETag: \"a\"", "If-None-Match: \"a\"", true},
        {"ETag: \"a\"", "If-None-Match: W/\"a\"", true},
        {"ETag: W/\"a\"", "If-None-Match: \"a\"", true},
        {"ETag: \"a\"", "If-None-Match: \"b\"", false},
        {"ETag: \"a\"", "If-None-Match: \"b\", \"a\"", true},
        {"ETag: \"a\"", "If-None-Match: \"b\"\nIf-None-Match: \"a\"", true},
        {"ETag: \"a,b\"", "If-None-Match: \"x\", \"a,b\"", true},
        {"ETag: \"a\"", "If-None-Match: \"A\"", false},
        {"ETag: \"a\"", "If-None-Match: a", false},
        {"ETag: \"a\"", "If-None-Match: *", true},
        {"", "If-None-Match: *", true},
        {"", "If-None-Match: \"a\"", false},
        {"ETag: \"a\"", "If-None-Match:", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (answered_304(200, rows[i].stored, rows[i].request) != rows[i].not_modified)
            print_error("%s / %s\n", rows[i].stored, rows[i].request);
        assert_int_equal(answered_304(200, rows[i].stored, rows[i].request), rows[i].not_modified);
    }
}

static void if_none_match_makes_if_modified_since_void(void **state)
{
    (void)state;
    assert_false(answered_304(200, "ETag: \"a\"\nLast-Modified: " DATE_M1H,
                              "If-None-Match: \"b\"\nIf-Modified-Since: " DATE_AT));
    assert_false(answered_304(200, "Last-Modified: " DATE_M1H,
                              "If-None-Match: \"b\"\nIf-Modified-Since: " DATE_AT));
    assert_true(answered_304(200, "ETag: \"a\"\nLast-Modified: " DATE_AT,
                             "If-None-Match: \"a\"\nIf-Modified-Since: " DATE_M1H));
}

static void if_modified_since_knows_three_forms_and_three_dates(void **state)
{
    static const struct {
        const char *stored, *request;
        bool not_modified;
    } rows[] = {
        {"Last-Modified: " DATE_AT, "If-Modified-Since: " DATE_AT, true},
        {"Last-Modified: " DATE_AT, "If-Modified-Since: " DATE_P60, true},
        {"Last-Modified: " DATE_AT, "If-Modified-Since: " DATE_M60, false},
        {"Last-Modified: " DATE_AT, "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", true},
        {"Last-Modified: " DATE_AT, "If-Modified-Since: Sun Nov  6 08:49:37 1994", true},
        {"Last-Modified: " DATE_AT, "If-Modified-Since: Sun Nov  6 08:49:36 1994", false},
        {"Last-Modified: " DATE_AT, "If-Modified-Since: now", false},
        {"Date: " DATE_M1H, "If-Modified-Since: " DATE_M60, true},
        {"Date: " DATE_AT, "If-Modified-Since: " DATE_M60, false},
        {"", "If-Modified-Since: " DATE_AT, true}, /* when it was received */
        {"", "If-Modified-Since: " DATE_M60, false},
        {"Last-Modified: " DATE_AT, "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(answered_304(200, rows[i].stored, rows[i].request), rows[i].not_modified);
}

static void only_a_successful_response_turns_into_304(void **state)
{
    (void)state;
    assert_true(answered_304(203, "ETag: \"a\"", "If-None-Match: \"a\""));
    assert_false(answered_304(404, "ETag: \"a\"", "If-None-Match: \"a\""));
    assert_false(answered_304(301, "ETag: \"a\"", "If-None-Match: *"));
    assert_false(answered_304(500, "Last-Modified: " DATE_M1H, "If-Modified-Since: " DATE_AT));
}

static void other_conditions_are_not_for_a_cache(void **state)
{
    struct policy_head p;

    (void)state;
    assert_false(answered_304(200, "ETag: \"a\"", "If-Match: \"b\""));
    assert_false(validate_is_conditional(policy_request(&p, "GET", "If-Match: \"b\"")));
    assert_true(validate_is_conditional(policy_request(&p, "GET", "If-None-Match: \"b\"")));
    assert_true(validate_is_conditional(policy_request(&p, "GET", "If-Modified-Since: x")));
}

static void a_304_must_speak_of_the_stored_response(void **state)
{
    static const struct {
        const char *not_modified, *stored;
        bool names;
    } rows[] = {
        {"", "ETag: \"a\"", true},
        {"", "", true},
        {"ETag: \"a\"", "ETag: \"a\"", true},
        {"ETag: \"b\"", "ETag: \"a\"", false},
        {"ETag: \"a\"", "ETag: W/\"a\"", false}, /* strong says: byte for byte */
        {"ETag: W/\"a\"", "ETag: \"a\"", true},
        {"ETag: W/\"a\"", "ETag: W/\"a\"", true},
        {"ETag: W/\"b\"", "ETag: W/\"a\"", false},
        {"ETag: b", "ETag: \"a\"", false},
        {"ETag: \"a\"", "", false},
        {"ETag: \"a\"\nLast-Modified: " DATE_M1H, "Last-Modified: " DATE_M1H, true},
        {"ETag: \"a\"\nLast-Modified: " DATE_M60, "Last-Modified: " DATE_M1H, false},
        {"ETag: \"a\"\nLast-Modified: " DATE_M60, "ETag: \"a\"\nLast-Modified: " DATE_M1H, true},
        {"Last-Modified: " DATE_M1H, "Last-Modified: " DATE_M1H, true},
        {"Last-Modified: " DATE_M60, "Last-Modified: " DATE_M1H, false},
        {"Last-Modified: " DATE_M60, "ETag: \"a\"", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy_head fresh, old;

        policy_response(&fresh, 304, rows[i].not_modified);
        policy_response(&old, 200, rows[i].stored);
        if (validate_names(&fresh.head, &old.head) != rows[i].names)
            print_error("%s / %s\n", rows[i].not_modified, rows[i].stored);
        assert_int_equal(validate_names(&fresh.head, &old.head), rows[i].names);
    }
}

/* The head as lines, into `buf`. */
static const char *lines_of(const struct http_head *h, char *buf, size_t size)
{
    size_t len = 0;

    for (uint32_t i = 0; i < h->count; i++) {
        const struct http_field *f = &h->fields[i];

        assert_true(len + f->name.len + f->value.len + 4 < size);
        memcpy(buf + len, f->name.ptr, f->name.len);
        len += f->name.len;
        buf[len++] = ':';
        buf[len++] = ' ';
        memcpy(buf + len, f->value.ptr, f->value.len);
        len += f->value.len;
        buf[len++] = '\n';
    }
    buf[len] = '\0';
    return buf;
}

static void a_head_vouches_for_content_by_validators_alone(void **state)
{
    static const struct {
        const char *answer, *stored;
        enum validate_head verdict;
    } rows[] = {
        {"", "ETag: \"a\"", VALIDATE_HEAD_SILENT},
        {"Content-Length: 5", "ETag: \"a\"", VALIDATE_HEAD_SILENT},
        {"Content-Length: 6", "ETag: \"a\"", VALIDATE_HEAD_DIFFERS},
        {"Content-Length: x", "ETag: \"a\"", VALIDATE_HEAD_DIFFERS},
        {"ETag: \"a\"", "ETag: \"a\"", VALIDATE_HEAD_SAME},
        {"ETag: \"a\"\nContent-Length: 5", "ETag: \"a\"", VALIDATE_HEAD_SAME},
        {"ETag: \"a\"\nContent-Length: 6", "ETag: \"a\"", VALIDATE_HEAD_DIFFERS},
        {"ETag: \"b\"", "ETag: \"a\"", VALIDATE_HEAD_DIFFERS},
        {"ETag: W/\"a\"", "ETag: \"a\"", VALIDATE_HEAD_DIFFERS},
        {"ETag: \"a\"", "", VALIDATE_HEAD_DIFFERS},
        {"Last-Modified: " DATE_AT, "Last-Modified: " DATE_AT, VALIDATE_HEAD_SAME},
        {"Last-Modified: " DATE_M60, "Last-Modified: " DATE_AT, VALIDATE_HEAD_DIFFERS},
        {"ETag: \"a\"\nLast-Modified: " DATE_M60, "ETag: \"a\"\nLast-Modified: " DATE_AT,
         VALIDATE_HEAD_DIFFERS},
        {"ETag: \"a\"", "ETag: \"a\"\nLast-Modified: " DATE_AT, VALIDATE_HEAD_SAME},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy_head fresh, old;

        policy_response(&fresh, 200, rows[i].answer);
        policy_response(&old, 200, rows[i].stored);
        if (validate_head(&fresh.head, &old.head, 5) != rows[i].verdict)
            print_error("%s / %s\n", rows[i].answer, rows[i].stored);
        assert_int_equal(validate_head(&fresh.head, &old.head, 5), rows[i].verdict);
    }
}

static void a_304_updates_what_it_carries(void **state)
{
#define DATED "Date: " DATE_AT "\n"
    static const struct {
        const char *stored, *not_modified, *merged;
    } rows[] = {
        /* nothing carried, nothing changed: but the old Date would make it old at once */
        {DATED "Content-Type: a/b\nX: 1\n", "", "Content-Type: a/b\nX: 1\n"},
        {"Content-Type: a/b\n", DATED, "Content-Type: a/b\n" DATED},
        {"Cache-Control: max-age=1\nX: 1\n", DATED "Cache-Control: max-age=9",
         "X: 1\n" DATED "Cache-Control: max-age=9\n"},
        {"Date: " DATE_M1H "\nAge: 99\nX: 1\n", DATED, "X: 1\n" DATED},
        {"X: 1\n", DATED "Age: 7", "X: 1\n" DATED "Age: 7\n"},
        /* all lines of a field go, all lines of the new one come */
        {"X: 1\nX: 2\nY: 3\n", DATED "x: 4", "Y: 3\n" DATED "x: 4\n"},
        {"X: 1\nY: 3\n", DATED "X: 4\nX: 5", "Y: 3\n" DATED "X: 4\nX: 5\n"},
        {"Vary: a\nVary: b\n", DATED "Vary: c", DATED "Vary: c\n"},
        /* the content stays, so does what describes it */
        {"Content-Length: 5\nContent-Encoding: gzip\n",
         DATED "Content-Length: 0\nContent-Encoding: br\nContent-Range: bytes 0-1/2",
         "Content-Length: 5\nContent-Encoding: gzip\n" DATED},
        {"Content-Type: a/b\n", DATED "Content-Type: c/d", DATED "Content-Type: c/d\n"},
        /* what ends at the connection */
        {"X: 1\n", DATED "Transfer-Encoding: chunked\nKeep-Alive: timeout=5\nConnection: close",
         "X: 1\n" DATED},
        {"X: 1\nY: 1\n", DATED "Connection: x, close\nX: 2\nY: 2", "X: 1\n" DATED "Y: 2\n"},
        {"ETag: \"a\"\n", DATED "Connection: etag\nETag: \"a\"", DATED "ETag: \"a\"\n"},
    };
    struct weir_arena arena;

    (void)state;
    weir_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy_head old, fresh;
        struct http_head merged;
        char buf[1024];

        policy_response(&old, 203, rows[i].stored);
        policy_response(&fresh, 304, rows[i].not_modified);
        assert_true(validate_merge(&merged, &old.head, &fresh.head, &arena));
        assert_int_equal(merged.status, 203);
        assert_string_equal(lines_of(&merged, buf, sizeof(buf)), rows[i].merged);
    }
    weir_arena_free(&arena);
}

static void a_merge_without_memory_leaves_the_head_alone(void **state)
{
    struct policy_head old, fresh;
    struct http_head merged = {.status = 7};
    struct weir_arena arena;

    (void)state;
    policy_response(&old, 200, "X: 1");
    policy_response(&fresh, 304, "");
    weir_arena_init(&arena, 1);
    assert_false(validate_merge(&merged, &old.head, &fresh.head, &arena));
    assert_int_equal(merged.status, 7);
    weir_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_origin_is_asked_with_the_validators_as_they_came),
        cmocka_unit_test(if_none_match_compares_weakly_over_lists_and_lines),
        cmocka_unit_test(if_none_match_makes_if_modified_since_void),
        cmocka_unit_test(if_modified_since_knows_three_forms_and_three_dates),
        cmocka_unit_test(only_a_successful_response_turns_into_304),
        cmocka_unit_test(other_conditions_are_not_for_a_cache),
        cmocka_unit_test(a_304_must_speak_of_the_stored_response),
        cmocka_unit_test(a_head_vouches_for_content_by_validators_alone),
        cmocka_unit_test(a_304_updates_what_it_carries),
        cmocka_unit_test(a_merge_without_memory_leaves_the_head_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
