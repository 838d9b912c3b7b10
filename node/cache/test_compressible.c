#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cache_settings.h"
#include "compressible.h"
#include "policy_heads.h"

static const char *types[] = {"text/*", "application/json"};
static const struct route_compression_settings settings = {.enabled = true,
                                                           .types = types,
                                                           .type_count = 2,
                                                           .min_bytes = 1000};

static struct compressible judge(int status, const char *lines, int64_t length)
{
    struct policy_head p;
    struct compressible c;

    compressible_response(policy_response(&p, status, lines), length, &settings, &c);
    return c;
}

static bool yes(const char *lines)
{
    return judge(200, lines, 5000).yes;
}

static void listed_types_are_compressible_others_not(void **state)
{
    (void)state;
    assert_true(yes("Content-Type: text/html"));
    assert_true(yes("Content-Type: TEXT/plain ; charset=utf-8"));
    assert_true(yes("Content-Type: application/json;x=\"a;b\""));
    assert_false(yes("Content-Type: image/png"));
    assert_false(yes("Content-Type: application/jsonp"));
    assert_false(yes("Content-Type: text"));
    assert_false(yes("X: y"));
    assert_false(yes("Content-Type: text/html\nContent-Type: text/html"));
}

static void small_content_is_not_unless_its_size_is_unknown(void **state)
{
    (void)state;
    assert_false(judge(200, "Content-Type: text/html", 999).yes);
    assert_true(judge(200, "Content-Type: text/html", 1000).yes);
    assert_true(judge(200, "Content-Type: text/html", -1).yes);
    assert_true(judge(200, "Content-Type: text/html\nContent-Encoding: gzip", 10).yes);
}

static void no_transform_digests_and_ranges_forbid(void **state)
{
    (void)state;
    assert_false(yes("Content-Type: text/html\nCache-Control: max-age=1, No-Transform"));
    assert_false(yes("Content-Type: text/html\nContent-Digest: sha-256=:a:"));
    assert_false(yes("Content-Type: text/html\nRepr-Digest: sha-256=:a:"));
    assert_false(yes("Content-Type: text/html\nDigest: sha-256=a"));
    assert_false(yes("Content-Type: text/html\nContent-MD5: a"));
    assert_false(yes("Content-Type: text/html\nContent-Range: bytes 0-1/2"));
    assert_false(judge(206, "Content-Type: text/html", 5000).yes);
    assert_false(judge(404, "Content-Type: text/html", 5000).yes);
}

static void codings_that_can_be_undone_are_negotiated_others_not(void **state)
{
    (void)state;
    assert_int_equal(judge(200, "Content-Type: text/html", 5000).coding, CODING_IDENTITY);
    assert_true(yes("Content-Type: text/html\nContent-Encoding: x-gzip"));
    assert_false(yes("Content-Type: text/html\nContent-Encoding: deflate"));
    assert_false(yes("Content-Type: text/html\nContent-Encoding: gzip, br"));
    assert_false(yes("Content-Type: text/html\nContent-Encoding: dcz"));
}

static void vary_is_to_be_added_where_it_does_not_name_the_field(void **state)
{
    (void)state;
    assert_true(judge(200, "Content-Type: text/html", 5000).vary);
    assert_true(judge(200, "Content-Type: text/html\nVary: Accept", 5000).vary);
    assert_false(
        judge(200, "Content-Type: text/html\nVary: a\nVary: b, accept-ENCODING", 5000).vary);
    assert_false(judge(200, "Content-Type: text/html\nVary: *", 5000).vary);
}

static void events_are_known_by_their_type(void **state)
{
    (void)state;
    assert_true(judge(200, "Content-Type: text/event-stream; a=b", -1).events);
    assert_false(judge(200, "Content-Type: text/html", -1).events);
}

static void a_route_may_leave_all_as_it_is(void **state)
{
    struct route_compression_settings off = settings;
    struct policy_head p;
    struct compressible c;

    (void)state;
    off.enabled = false;
    compressible_response(policy_response(&p, 200, "Content-Type: text/html"), 5000, &off, &c);
    assert_false(c.yes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_types_are_compressible_others_not),
        cmocka_unit_test(small_content_is_not_unless_its_size_is_unknown),
        cmocka_unit_test(no_transform_digests_and_ranges_forbid),
        cmocka_unit_test(codings_that_can_be_undone_are_negotiated_others_not),
        cmocka_unit_test(vary_is_to_be_added_where_it_does_not_name_the_field),
        cmocka_unit_test(events_are_known_by_their_type),
        cmocka_unit_test(a_route_may_leave_all_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
