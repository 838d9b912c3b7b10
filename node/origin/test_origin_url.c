#include "origin_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weir/alloc.h"
#include "weir/arena.h"

static struct origin_settings parsed(struct weir_arena *arena, const char *text)
{
    struct origin_settings o;
    struct weir_err err = {0};

    if (!origin_settings_parse(text, arena, &o, &err))
        fail_msg("%s: %s", text, err.detail);
    return o;
}

static void a_url_gives_host_and_port(void **state)
{
    struct weir_arena arena;
    struct origin_settings o;

    (void)state;
    weir_arena_init(&arena, 0);
    o = parsed(&arena, "http://app.internal:3000");
    assert_string_equal(o.url, "http://app.internal:3000");
    assert_string_equal(o.host, "app.internal");
    assert_null(o.unix_path);
    assert_int_equal(o.port, 3000);
    assert_int_equal(o.weight, 1);
    assert_int_equal(o.max_connections, 0);
    assert_false(o.backup);
    o = parsed(&arena, "HTTP://10.0.0.1/");
    assert_string_equal(o.host, "10.0.0.1");
    assert_int_equal(o.port, 80);
    weir_arena_free(&arena);
}

static void brackets_hold_an_ipv6_address(void **state)
{
    struct weir_arena arena;
    struct origin_settings o;

    (void)state;
    weir_arena_init(&arena, 0);
    o = parsed(&arena, "http://[::1]:81");
    assert_string_equal(o.host, "::1");
    assert_int_equal(o.port, 81);
    o = parsed(&arena, "http://[2001:db8::7]");
    assert_string_equal(o.host, "2001:db8::7");
    assert_int_equal(o.port, 80);
    weir_arena_free(&arena);
}

static void a_unix_socket_has_a_path_and_no_host(void **state)
{
    struct weir_arena arena;
    struct origin_settings o;

    (void)state;
    weir_arena_init(&arena, 0);
    o = parsed(&arena, "unix:/run/app.sock weight=3");
    assert_string_equal(o.url, "unix:/run/app.sock");
    assert_string_equal(o.unix_path, "/run/app.sock");
    assert_null(o.host);
    assert_int_equal(o.weight, 3);
    weir_arena_free(&arena);
}

static void options_follow_in_any_order(void **state)
{
    struct weir_arena arena;
    struct origin_settings o;

    (void)state;
    weir_arena_init(&arena, 0);
    o = parsed(&arena, "  http://a:1 \tbackup  max_connections=50 weight=1000 ");
    assert_string_equal(o.url, "http://a:1");
    assert_int_equal(o.weight, 1000);
    assert_int_equal(o.max_connections, 50);
    assert_true(o.backup);
    weir_arena_free(&arena);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"", "http://host:port or unix:/path is expected"},
        {"   ", "http://host:port or unix:/path is expected"},
        {"10.0.0.1:3000", "http://host:port, https://host, h2c://host:port or unix:/path"},
        {"ftp://a", "http://host:port, https://host, h2c://host:port or unix:/path"},
        {"https://", "host name or address"},
        {"https://a/b", "path"},
        {"h2c://a@b", "user information"},
        {"http://", "host name or address"},
        {"http://:80", "host name or address"},
        {"http://a..b", "host name or address"},
        {"http://a.b!", "host name or address"},
        {"http://10.0.0.256", "host name or address"},
        {"http://10.0.1", "host name or address"},
        {"http://::1", "host name or address"},
        {"http://a:0", "from 1 to 65535"},
        {"http://a:65536", "from 1 to 65535"},
        {"http://a:", "from 1 to 65535"},
        {"http://a:80x", "from 1 to 65535"},
        {"http://a:+80", "from 1 to 65535"},
        {"http://[::1", "IPv6 address"},
        {"http://[::g]", "IPv6 address"},
        {"http://[10.0.0.1]", "IPv6 address"},
        {"http://[::1]80", ":port may follow"},
        {"http://me:pw@a", "no user information"},
        {"http://a/app", "no path"},
        {"http://a?x", "no path"},
        {"unix:run/app.sock", "absolute path"},
        {"unix:", "absolute path"},
        {"http://a weight=0", "1 to 1000"},
        {"http://a weight=1001", "1 to 1000"},
        {"http://a weight=", "1 to 1000"},
        {"http://a max_connections=0", "1 to 1000000"},
        {"http://a wieght=2", "'wieght=2': unknown option"},
        {"http://a backup=1", "'backup=1': unknown option"},
        {"http://a backup backup", "given twice"},
        {"http://a weight=2 weight=2", "given twice"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct weir_arena arena;
        struct origin_settings o;
        struct weir_err err = {0};

        weir_arena_init(&arena, 0);
        if (origin_settings_parse(wrong[i].text, &arena, &o, &err))
            fail_msg("'%s' was accepted", wrong[i].text);
        assert_int_equal(err.code, WEIR_E_CONFIG);
        if (strstr(err.detail, wrong[i].says) == NULL)
            fail_msg("'%s': '%s' does not say '%s'", wrong[i].text, err.detail, wrong[i].says);
        weir_arena_free(&arena);
    }
}

static void names_and_paths_have_their_longest(void **state)
{
    char text[400];
    struct weir_arena arena;
    struct origin_settings o;

    (void)state;
    weir_arena_init(&arena, 0);
    for (int len = 107; len <= 108; len++) {
        snprintf(text, sizeof(text), "unix:/%0*d", len - 1, 0);
        assert_int_equal(origin_settings_parse(text, &arena, &o, NULL), len == 107);
    }
    for (int len = 63; len <= 64; len++) {
        snprintf(text, sizeof(text), "http://%.*s.a", len, /* one label */
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_int_equal(origin_settings_parse(text, &arena, &o, NULL), len == 63);
    }
    weir_arena_free(&arena);
}

#ifdef WEIR_FAULTS
static void without_memory_it_says_so(void **state)
{
    (void)state;
    for (unsigned long n = 1;; n++) {
        struct weir_arena arena;
        struct origin_settings o;
        struct weir_err err = {0};
        bool ok;

        weir_arena_init(&arena, 0);
        weir_alloc_fail_at(n);
        ok = origin_settings_parse("http://app.internal:3000 weight=2", &arena, &o, &err);
        weir_arena_free(&arena);
        if (!weir_alloc_failed()) {
            assert_true(ok);
            break;
        }
        assert_false(ok);
        assert_int_equal(err.code, WEIR_E_MEMORY);
    }
    weir_alloc_fail_at(0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_gives_host_and_port),
        cmocka_unit_test(brackets_hold_an_ipv6_address),
        cmocka_unit_test(a_unix_socket_has_a_path_and_no_host),
        cmocka_unit_test(options_follow_in_any_order),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(names_and_paths_have_their_longest),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_it_says_so),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
