#include "test_http.h"

#include "weir/alloc.h"
#include "http_target.h"

static struct weir_arena arena;
static struct http_field fields[8];
static struct http_head head;
static struct weir_err err;

static int setup(void **state)
{
    (void)state;
    weir_arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weir_arena_free(&arena);
    return 0;
}

static bool parse(const char *method, const char *target, const char *host, bool secure,
                  struct http_target *out)
{
    http_head_init(&head, fields, 8);
    head.method = weir_span_str(method);
    head.method_id = http_method_parse(head.method);
    head.target = weir_span_str(target);
    if (host != NULL)
        assert_true(http_head_add_id(&head, NULL, HTTP_F_HOST, weir_span_str(host)));
    memset(&err, 0, sizeof(err));
    return http_target_parse(&head, secure, &arena, out, &err);
}

static void refused(const char *target, const char *host, enum weir_code code)
{
    struct http_target t;

    if (parse("GET", target, host, false, &t))
        fail_msg("accepted %s for %s", target, host);
    expect_code(&err, code);
    assert_true(err.detail[0] != '\0');
}

static void path_becomes(const char *from, const char *to)
{
    struct http_target t;

    if (!parse("GET", from, "a", false, &t))
        fail_msg("refused %s: %s", from, err.detail);
    expect_span(t.origin_form, to);
    /* Normal is normal: once more changes nothing, and copies nothing. */
    assert_true(parse("GET", to, "a", false, &t));
    expect_span(t.origin_form, to);
    assert_ptr_equal(t.origin_form.ptr, to);
}

static void host_becomes(const char *from, bool secure, const char *host, uint16_t port,
                         const char *authority)
{
    struct http_target t;

    if (!parse("GET", "/", from, secure, &t))
        fail_msg("refused %s: %s", from, err.detail);
    expect_span(t.host, host);
    expect_span(t.authority, authority);
    assert_int_equal(t.port, port);
}

static void a_normal_target_is_not_copied(void **state)
{
    static const char target[] = "/a/b.html?x=%41&y";
    struct http_target t;

    (void)state;
    assert_true(parse("GET", target, "example.com", false, &t));
    assert_int_equal(t.form, HTTP_TARGET_ORIGIN);
    assert_false(t.https);
    assert_ptr_equal(t.origin_form.ptr, target);
    expect_span(t.path, "/a/b.html");
    expect_span(t.query, "x=%41&y");
    expect_span(t.origin_form, target);
    assert_ptr_equal(t.host.ptr, http_head_value(&head, HTTP_F_HOST).ptr);
}

static void no_query_and_an_empty_query_are_two_things(void **state)
{
    struct http_target t;

    (void)state;
    assert_true(parse("GET", "/a", "a", false, &t));
    assert_null(t.query.ptr);
    assert_true(parse("GET", "/a?", "a", false, &t));
    assert_non_null(t.query.ptr);
    assert_int_equal(t.query.len, 0);
    expect_span(t.origin_form, "/a?");
    assert_true(parse("GET", "/%61?", "a", false, &t));
    expect_span(t.origin_form, "/a?");
}

static void no_query_is_said_whatever_was_there_before(void **state)
{
    static const char *const paths[] = {"/a", "/a/../b", "/%7e"};
    struct http_target t;

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        memset(&t, 0x5a, sizeof t);
        assert_true(http_origin_form_parse(weir_span_str(paths[i]), &arena, &t, &err));
        assert_null(t.query.ptr);
        assert_int_equal(t.query.len, 0);
    }
}

static void escapes_are_brought_to_one_form(void **state)
{
    (void)state;
    path_becomes("/%7euser", "/~user");
    path_becomes("/%41%2d%2E%5f", "/A-._");
    path_becomes("/%c3%a9", "/%C3%A9");
    path_becomes("/a%2fb", "/a%2Fb");
    path_becomes("/a%2Fb%3f%23%25", "/a%2Fb%3F%23%25");
    path_becomes("/a%5cb", "/a%5Cb");
    path_becomes("/%61?%61", "/a?%61");
    path_becomes("/%25%32e", "/%252e");
}

static void dot_segments_are_removed(void **state)
{
    (void)state;
    path_becomes("/./a", "/a");
    path_becomes("/a/.", "/a/");
    path_becomes("/a/..", "/");
    path_becomes("/a/../b", "/b");
    path_becomes("/a/b/../../c/./d", "/c/d");
    path_becomes("/a/b/..?q=../x", "/a/?q=../x");
    path_becomes("/a/%2e%2E/b", "/b");
    path_becomes("/a/.%2e", "/");
    path_becomes("/.", "/");
    path_becomes("/a//../b", "/a/b");
}

static void dots_in_names_stay(void **state)
{
    (void)state;
    path_becomes("/...", "/...");
    path_becomes("/.a/..b/a..", "/.a/..b/a..");
    path_becomes("/.well-known/x", "/.well-known/x");
}

static void double_slashes_name_another_resource(void **state)
{
    (void)state;
    path_becomes("//a//b/", "//a//b/");
    path_becomes("/.//a", "//a");
}

static void a_path_that_climbs_above_the_root_is_refused(void **state)
{
    (void)state;
    refused("/..", "a", WEIR_E_BAD_TARGET);
    refused("/../a", "a", WEIR_E_BAD_TARGET);
    refused("/a/../../b", "a", WEIR_E_BAD_TARGET);
    refused("/%2e%2e/a", "a", WEIR_E_BAD_TARGET);
    refused("/./..", "a", WEIR_E_BAD_TARGET);
}

static void paths_that_peers_read_differently_are_refused(void **state)
{
    (void)state;
    refused("/%", "a", WEIR_E_BAD_TARGET);
    refused("/%4", "a", WEIR_E_BAD_TARGET);
    refused("/%4?a", "a", WEIR_E_BAD_TARGET);
    refused("/%zz", "a", WEIR_E_BAD_TARGET);
    refused("/%%34%31", "a", WEIR_E_BAD_TARGET);
    refused("/%u0041", "a", WEIR_E_BAD_TARGET);
    refused("/a%00", "a", WEIR_E_BAD_TARGET);
    refused("/a%0d%0ab", "a", WEIR_E_BAD_TARGET);
    refused("/a%7f", "a", WEIR_E_BAD_TARGET);
    refused("/a\\b", "a", WEIR_E_BAD_TARGET);
    refused("/a#b", "a", WEIR_E_BAD_TARGET);
    refused("/a?b#c", "a", WEIR_E_BAD_TARGET);
    refused("/a\x80", "a", WEIR_E_BAD_TARGET);
    refused("/a b", "a", WEIR_E_BAD_TARGET);
}

static void a_query_is_left_as_it_is(void **state)
{
    (void)state;
    path_becomes("/?a=%zz&b=%&c=%00\\&d=/../", "/?a=%zz&b=%&c=%00\\&d=/../");
}

static void hosts_are_brought_to_one_form(void **state)
{
    (void)state;
    host_becomes("example.com", false, "example.com", 0, "example.com");
    host_becomes("EXAMPLE.com", false, "example.com", 0, "example.com");
    host_becomes("example.com.", false, "example.com", 0, "example.com");
    host_becomes("example.com:80", false, "example.com", 0, "example.com");
    host_becomes("example.com:443", false, "example.com", 443, "example.com:443");
    host_becomes("example.com:443", true, "example.com", 0, "example.com");
    host_becomes("example.com:80", true, "example.com", 80, "example.com:80");
    host_becomes("Example.com.:8080", false, "example.com", 8080, "example.com:8080");
    host_becomes("a_b.x:65535", false, "a_b.x", 65535, "a_b.x:65535");
    host_becomes("A:1", false, "a", 1, "a:1");
    host_becomes("127.0.0.1:8080", false, "127.0.0.1", 8080, "127.0.0.1:8080");
    host_becomes("[::1]", false, "[::1]", 0, "[::1]");
    host_becomes("[::1]:8080", false, "[::1]", 8080, "[::1]:8080");
    host_becomes("[2001:DB8:0:0::1]:80", false, "[2001:db8::1]", 0, "[2001:db8::1]");
}

static void hosts_that_are_no_hosts_are_refused(void **state)
{
    static const char *const bad[] = {
        "",         ".",           "..",
        ".a",       "a..",         "a..b",
        "user@a",   "user:p@a",    "a:",
        "a:0",      "a:65536",     "a:080",
        "a:123456", "a:-1",        "a:+1",
        "a:8 0",    "a:80:80",     ":80",
        "a b",      "a/b",         "a%62",
        "a,b",      "a\\b",        "a?b",
        "a#b",      "\"a\"",       "[::1",
        "[::1]x",   "[::1]:",      "[::g]",
        "[]",       "[v1.x]",      "[fe80::1%25eth0]",
        "::1",      "[127.0.0.1]", "a\x80",
        "http://a", "a;b",         "a\tb",
        "[[::1]]",  "a*",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused("/", bad[i], WEIR_E_BAD_HOST);
}

static void a_host_longer_than_a_name_may_be_is_refused(void **state)
{
    char name[300];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[255] = '\0';
    host_becomes(name, false, name, 0, name);
    name[255] = 'a';
    name[256] = '\0';
    refused("/", name, WEIR_E_BAD_HOST);
}

static void host_is_required_in_1_1_once(void **state)
{
    struct http_target t;

    (void)state;
    refused("/", NULL, WEIR_E_BAD_HOST);
    http_head_init(&head, fields, 8);
    head.method_id = HTTP_M_GET;
    head.target = LIT("/");
    http_head_add_id(&head, NULL, HTTP_F_HOST, LIT("a"));
    http_head_add_id(&head, NULL, HTTP_F_HOST, LIT("a"));
    assert_false(http_target_parse(&head, false, &arena, &t, &err));
    expect_code(&err, WEIR_E_BAD_HOST);
    http_head_reset(&head);
    head.method_id = HTTP_M_GET;
    head.target = LIT("/");
    head.minor = 0;
    assert_true(http_target_parse(&head, false, &arena, &t, &err));
    assert_int_equal(t.host.len, 0);
}

static void absolute_form_names_the_host(void **state)
{
    struct http_target t;

    (void)state;
    assert_true(parse("GET", "HTTP://Example.com:80/a?b", "example.com", true, &t));
    assert_int_equal(t.form, HTTP_TARGET_ABSOLUTE);
    assert_false(t.https);
    expect_span(t.authority, "example.com");
    expect_span(t.origin_form, "/a?b");
    assert_true(parse("GET", "https://a:444", "a:444", false, &t));
    assert_true(t.https);
    assert_int_equal(t.port, 444);
    expect_span(t.origin_form, "/");
    assert_true(parse("GET", "http://a?b", "a", false, &t));
    expect_span(t.path, "/");
    expect_span(t.query, "b");
    expect_span(t.origin_form, "/?b");
    assert_true(parse("OPTIONS", "http://a", "a", false, &t));
    expect_span(t.origin_form, "*");
    assert_true(parse("GET", "http://a/%2e/b", "a", false, &t));
    expect_span(t.origin_form, "/b");
}

static void host_must_agree_with_absolute_form(void **state)
{
    struct http_target t;

    (void)state;
    refused("http://a/", "b", WEIR_E_BAD_HOST);
    refused("http://a/", "a:81", WEIR_E_BAD_HOST);
    refused("http://a/", "a@", WEIR_E_BAD_HOST);
    refused("http://u@a/", "a", WEIR_E_BAD_HOST);
    refused("http:///x", "a", WEIR_E_BAD_HOST);
    refused("http://a:0/", "a", WEIR_E_BAD_HOST);
    assert_true(parse("GET", "http://a/", "A:80", false, &t));
    assert_true(parse("GET", "https://a/", "A:443", false, &t));
    refused("https://a/", "A:80", WEIR_E_BAD_HOST);
}

static void other_forms_are_refused(void **state)
{
    struct http_target t;

    (void)state;
    refused("ftp://a/", "a", WEIR_E_BAD_TARGET);
    refused("a:80", "a", WEIR_E_BAD_TARGET);
    refused("http:/a", "a", WEIR_E_BAD_TARGET);
    refused("*", "a", WEIR_E_BAD_TARGET);
    refused("a/b", "a", WEIR_E_BAD_TARGET);
    refused("?a", "a", WEIR_E_BAD_TARGET);
    refused("", "a", WEIR_E_BAD_TARGET);
    assert_true(parse("OPTIONS", "*", "a", false, &t));
    assert_int_equal(t.form, HTTP_TARGET_ASTERISK);
    expect_span(t.origin_form, "*");
    assert_false(parse("OPTIONS", "**", "a", false, &t));
}

#ifdef WEIR_FAULTS
static void without_memory_the_answer_is_503(void **state)
{
    static const char *const targets[] = {"/%61", "http://a/%61", "http://a?b"};
    struct http_target t;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        weir_arena_free(&arena);
        weir_arena_init(&arena, 0);
        weir_alloc_fail_at(1);
        assert_false(parse("GET", targets[i], "a", false, &t));
        expect_code(&err, WEIR_E_MEMORY);
        assert_true(parse("GET", targets[i], "a", false, &t));
    }
    weir_arena_free(&arena);
    weir_arena_init(&arena, 0);
    weir_alloc_fail_at(1);
    assert_false(parse("GET", "/", "A", false, &t));
    expect_code(&err, WEIR_E_MEMORY);
    weir_alloc_fail_at(0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_normal_target_is_not_copied),
        cmocka_unit_test(no_query_and_an_empty_query_are_two_things),
        cmocka_unit_test(no_query_is_said_whatever_was_there_before),
        cmocka_unit_test(escapes_are_brought_to_one_form),
        cmocka_unit_test(dot_segments_are_removed),
        cmocka_unit_test(dots_in_names_stay),
        cmocka_unit_test(double_slashes_name_another_resource),
        cmocka_unit_test(a_path_that_climbs_above_the_root_is_refused),
        cmocka_unit_test(paths_that_peers_read_differently_are_refused),
        cmocka_unit_test(a_query_is_left_as_it_is),
        cmocka_unit_test(hosts_are_brought_to_one_form),
        cmocka_unit_test(hosts_that_are_no_hosts_are_refused),
        cmocka_unit_test(a_host_longer_than_a_name_may_be_is_refused),
        cmocka_unit_test(host_is_required_in_1_1_once),
        cmocka_unit_test(absolute_form_names_the_host),
        cmocka_unit_test(host_must_agree_with_absolute_form),
        cmocka_unit_test(other_forms_are_refused),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_the_answer_is_503),
#endif
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
