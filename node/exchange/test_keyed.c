#include "keyed.h"

#include "test_exchange.h"

#include "cache_settings.h"
#include "client_addr.h"

/* A head with these field lines before one of its own. */
#define HEAD(line, fields) line " HTTP/1.1\r\nHost: a.example\r\n" fields "\r\n"

/* Builds the key of a request; the exchange stays for looking at. */
static void build(struct made *m, const char *request)
{
    made_request(m, request);
    client_addr_find(&m->x);
    assert_true(keyed_build(&m->x));
}

static bool same(struct made *m, const char *a, const char *b)
{
    struct cache_key first;
    struct weir_span bytes;

    build(m, a);
    first = m->x.key;
    bytes = weir_arena_dup(&m->x.arena, first.bytes);
    first.bytes = bytes;
    m->x.peer_trusted = false;
    build(m, b);
    return cache_key_eq(&first, &m->x.key);
}

#define assert_same(m, a, b)   assert_true(same(m, a, b))
#define assert_differ(m, a, b) assert_false(same(m, a, b))

static void without_rules_the_target_is_the_key(void **state)
{
    struct made m;

    (void)state;
    made_open(&m);
    build(&m, HEAD("GET /a?b=1", "Cookie: x=1\r\n"));
    assert_true(weir_span_eq(m.x.keyed.query, weir_span_str("b=1")));
    assert_ptr_equal(m.x.keyed.query.ptr, m.x.target.query.ptr);
    assert_same(&m, HEAD("GET /a?b=1", "Cookie: x=1\r\n"), HEAD("HEAD /a?b=1", "Cookie: x=2\r\n"));
    assert_differ(&m, HEAD("GET /a?b=1", ""), HEAD("GET /a?b=2", ""));
    assert_differ(&m, HEAD("GET /a", ""), HEAD("GET /a?", ""));
    made_close(&m);
}

static void parameters_that_do_not_count_leave_the_key(void **state)
{
    static const char *names[] = {"utm_*"};
    struct made m;

    (void)state;
    made_open(&m);
    m.route_settings.cache.key = (struct cache_key_settings){.query = KEY_QUERY_EXCEPT,
                                                             .parameters = names,
                                                             .parameter_count = 1,
                                                             .sort = true};
    assert_same(&m, HEAD("GET /a?utm_x=1&c&b", ""), HEAD("GET /a?b&c&utm_y", ""));
    assert_true(weir_span_eq(m.x.keyed.query, weir_span_str("b&c")));
    assert_same(&m, HEAD("GET /a?utm_x", ""), HEAD("GET /a", ""));
    assert_null(m.x.keyed.query.ptr);
    made_close(&m);
}

static void an_alias_takes_the_place_of_the_host(void **state)
{
    struct made m;

    (void)state;
    made_open(&m);
    m.route_settings.cache.key.host = "www.example";
    assert_same(&m, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    assert_true(weir_span_eq(m.x.keyed.authority, weir_span_str("www.example")));
    made_close(&m);
}

static void cookies_and_fields_count_by_all_their_values(void **state)
{
    static const char *cookies[] = {"lang"}, *fields[] = {"X-Plan"};
    struct made m;

    (void)state;
    made_open(&m);
    m.route_settings.cache.key = (struct cache_key_settings){.cookies = cookies,
                                                             .cookie_count = 1,
                                                             .fields = fields,
                                                             .field_count = 1};
    assert_same(&m, HEAD("GET /", "Cookie: a=1; lang=en\r\n"),
                HEAD("GET /", "Cookie: lang=en; a=2\r\n"));
    assert_differ(&m, HEAD("GET /", "Cookie: lang=en\r\n"), HEAD("GET /", "Cookie: lang=de\r\n"));
    assert_differ(&m, HEAD("GET /", "Cookie: lang=en\r\n"),
                  HEAD("GET /", "Cookie: lang=en; lang=evil\r\n"));
    assert_differ(&m, HEAD("GET /", "Cookie: lang=en; lang=de\r\n"),
                  HEAD("GET /", "Cookie: lang=de; lang=en\r\n"));
    assert_differ(&m, HEAD("GET /", ""), HEAD("GET /", "Cookie: lang=\r\n"));
    assert_differ(&m, HEAD("GET /", "X-Plan: a\r\n"), HEAD("GET /", "X-Plan: b\r\n"));
    assert_differ(&m, HEAD("GET /", "X-Plan: a\r\n"), HEAD("GET /", "X-Plan: a\r\nx-plan: b\r\n"));
    assert_differ(&m, HEAD("GET /", ""), HEAD("GET /", "X-Plan:\r\n"));
    made_close(&m);
}

static void a_cookie_is_no_field_of_its_name(void **state)
{
    static const char *names[] = {"a"};
    struct made m;
    struct cache_key first;
    char bytes[CACHE_KEY_INLINE];

    (void)state;
    made_open(&m);
    m.route_settings.cache.key = (struct cache_key_settings){.cookies = names, .cookie_count = 1};
    build(&m, HEAD("GET /", "Cookie: a=1\r\n"));
    memcpy(bytes, m.x.key.bytes.ptr, m.x.key.bytes.len);
    first = (struct cache_key){weir_span(bytes, m.x.key.bytes.len), m.x.key.hash};
    m.route_settings.cache.key = (struct cache_key_settings){.fields = names, .field_count = 1};
    build(&m, HEAD("GET /", "A: 1\r\n"));
    assert_false(cache_key_eq(&first, &m.x.key));
    made_close(&m);
}

static void what_nobody_believes_does_not_count(void **state)
{
    static const char *fields[] = {"X-Forwarded-Host"};
    struct made m;

    (void)state;
    made_open(&m);
    m.route_settings.cache.key = (struct cache_key_settings){.fields = fields, .field_count = 1};
    assert_same(&m, HEAD("GET /", ""), HEAD("GET /", "X-Forwarded-Host: evil\r\n"));
    assert_same(&m, HEAD("GET /", ""),
                HEAD("GET /", "X-Original-URL: /admin\r\nForwarded: host=evil\r\n"));
    made_close(&m);
}

static void what_a_trusted_peer_says_counts_but_for_addresses(void **state)
{
    static const char *const count[] = {
        "X-Forwarded-Host: b\r\n",
        "X-Forwarded-Port: 81\r\n",
        "X-Forwarded-Prefix: /app\r\n",
        "X-Forwarded-Whatever: 1\r\n",
        "X-Original-URL: /admin\r\n",
        "X-Rewrite-URL: /admin\r\n",
        "X-Forwarded-Server: b\r\n",
        "X-Host: b\r\n",
        "X-Forwarded-Proto: https, http\r\n",
        "X-Forwarded-Proto: HTTP\r\n",
        "X-Forwarded-User: me\r\n",
        "Forwarded: for=192.0.2.1;host=b\r\n",
        "Forwarded: for=192.0.2.1;proto=https\r\n",
        "Forwarded: for=\"192.0.2.1, host=b\r\n",
        "X-Forwarded-For: <b>\r\n",
    };
    static const char *const ignored[] = {
        "X-Forwarded-For: 192.0.2.1, 2001:db8::1\r\n",
        "X-Real-IP: 192.0.2.1\r\n",
        "Forwarded: for=\"[2001:db8::1]:80\";by=192.0.2.9\r\n",
        "X-Forwarded-Proto: http\r\n",
        "X-HTTP-Method-Override: DELETE\r\n", /* is not sent */
        "Cookie: a=1\r\n",
    };
    struct made m;
    char text[256];

    (void)state;
    made_open(&m);
    made_trust(&m, "192.0.2.0/24");
    for (size_t i = 0; i < sizeof count / sizeof count[0]; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a.example\r\n%s\r\n", count[i]);
        if (same(&m, HEAD("GET /", ""), text))
            fail_msg("does not count: %s", count[i]);
    }
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a.example\r\n%s\r\n", ignored[i]);
        if (!same(&m, HEAD("GET /", ""), text))
            fail_msg("counts: %s", ignored[i]);
    }
    made_close(&m);
}

static void a_route_found_by_who_asks_is_a_part(void **state)
{
    struct made m;

    (void)state;
    made_open(&m);
    build(&m, HEAD("GET /", ""));
    assert_null(memmem(m.x.key.bytes.ptr, m.x.key.bytes.len, "all", 3));
    m.route_settings.match.cookie_count = 1;
    build(&m, HEAD("GET /", ""));
    assert_non_null(memmem(m.x.key.bytes.ptr, m.x.key.bytes.len, "all", 3));
    made_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_the_target_is_the_key),
        cmocka_unit_test(parameters_that_do_not_count_leave_the_key),
        cmocka_unit_test(an_alias_takes_the_place_of_the_host),
        cmocka_unit_test(cookies_and_fields_count_by_all_their_values),
        cmocka_unit_test(a_cookie_is_no_field_of_its_name),
        cmocka_unit_test(what_nobody_believes_does_not_count),
        cmocka_unit_test(what_a_trusted_peer_says_counts_but_for_addresses),
        cmocka_unit_test(a_route_found_by_who_asks_is_a_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
