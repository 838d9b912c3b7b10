#include "cache_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weir/arena.h"

static struct weir_hash_secret secret;

static struct cache_key_parts parts(const char *scheme, const char *authority, const char *path,
                                    const char *query)
{
    return (struct cache_key_parts){
        .class = CACHE_KEY_GET,
        .scheme = weir_span_str(scheme),
        .authority = weir_span_str(authority),
        .path = weir_span_str(path),
        .query = weir_span_str(query),
        .has_query = query != NULL,
    };
}

static bool same(struct cache_key_parts a, struct cache_key_parts b)
{
    char buf_a[CACHE_KEY_INLINE], buf_b[CACHE_KEY_INLINE];
    struct cache_key ka, kb;

    assert_true(cache_key_build(&ka, &a, &secret, buf_a, sizeof(buf_a), NULL));
    assert_true(cache_key_build(&kb, &b, &secret, buf_b, sizeof(buf_b), NULL));
    assert_int_equal(ka.bytes.len, cache_key_size(&a));
    return cache_key_eq(&ka, &kb);
}

static void every_part_counts(void **state)
{
    struct cache_key_parts a = parts("http", "a.example", "/x", "q=1");

    (void)state;
    assert_true(same(a, parts("http", "a.example", "/x", "q=1")));
    assert_false(same(a, parts("https", "a.example", "/x", "q=1")));
    assert_false(same(a, parts("http", "b.example", "/x", "q=1")));
    assert_false(same(a, parts("http", "a.example", "/y", "q=1")));
    assert_false(same(a, parts("http", "a.example", "/x", "q=2")));
    assert_false(same(a, parts("http", "a.example", "/x", NULL)));
}

static void parts_cannot_run_into_each_other(void **state)
{
    (void)state;
    assert_false(
        same(parts("http", "a.example/b", "/c", NULL), parts("http", "a.example", "/b/c", NULL)));
    assert_false(same(parts("http", "a", "/b?c", NULL), parts("http", "a", "/b", "c")));
    assert_false(same(parts("http", "", "a", NULL), parts("http", "a", "", NULL)));
}

static void an_empty_query_differs_from_none(void **state)
{
    (void)state;
    assert_false(same(parts("http", "a", "/", ""), parts("http", "a", "/", NULL)));
}

static void a_query_that_does_not_count_is_left_out(void **state)
{
    struct cache_key_parts a = parts("http", "a", "/", "x=1"), b = parts("http", "a", "/", "x=2");

    (void)state;
    a.has_query = b.has_query = false;
    assert_true(same(a, b));
}

static void the_route_and_the_forwarded_host_are_parts_of_their_own(void **state)
{
    struct cache_key_parts none = parts("http", "a", "/", NULL), route = none, host = none,
                           both = none;

    (void)state;
    route.route = weir_span_str("x");
    host.forwarded = weir_span_str("x");
    both.route = both.forwarded = weir_span_str("x");
    assert_false(same(none, route));
    assert_false(same(none, host));
    assert_false(same(route, host));
    assert_false(same(route, both));
    assert_true(same(both, both));
}

static void every_optional_part_is_a_part_of_its_own(void **state)
{
    struct cache_key_parts p[7];

    (void)state;
    for (unsigned i = 0; i < 7; i++)
        p[i] = parts("http", "a", "/", "q");
    p[1].route = p[2].forwarded = p[3].selectors = p[4].search = p[5].content = weir_span_str("x");
    p[6].slice = weir_span_str("x");
    for (unsigned i = 0; i < 7; i++)
        for (unsigned k = 0; k < 7; k++)
            assert_int_equal(same(p[i], p[k]), i == k);
}

static void every_slice_has_a_key_of_its_own(void **state)
{
    struct cache_key_parts p = parts("http", "a", "/", NULL), q = p, out;
    char one[CACHE_KEY_SLICE_BYTES], other[CACHE_KEY_SLICE_BYTES], text[100];
    char buf[CACHE_KEY_INLINE];
    struct cache_key k;
    size_t len;

    (void)state;
    p.slice = cache_key_slice(one, 1, 1048576);
    assert_false(same(p, q));
    q.slice = cache_key_slice(other, 1, 1048576);
    assert_true(same(p, q));
    q.slice = cache_key_slice(other, 2, 1048576);
    assert_false(same(p, q));
    q.slice = cache_key_slice(other, 1, 2097152);
    assert_false(same(p, q));
    assert_true(cache_key_build(&k, &p, &secret, buf, sizeof buf, NULL));
    assert_true(cache_key_read(k.bytes, &out));
    len = cache_key_text(&out, text, sizeof text);
    assert_true(weir_span_eq(weir_span(text, len),
                             weir_span_str("GET http://a/ slice 1 of 1048576 bytes")));
}

static void a_query_with_content_is_no_get(void **state)
{
    struct cache_key_parts get = parts("http", "a", "/", NULL), query = get;

    (void)state;
    query.class = CACHE_KEY_QUERY;
    assert_false(same(get, query));
}

static void a_key_can_be_read_again(void **state)
{
    struct cache_key_parts p = parts("https", "a.example", "/x", ""), out;
    struct cache_key k;
    char buf[CACHE_KEY_INLINE];

    (void)state;
    p.route = weir_span_str("shop");
    p.search = weir_span_str("rule");
    p.content = weir_span_str("body");
    assert_true(cache_key_build(&k, &p, &secret, buf, sizeof(buf), NULL));
    assert_true(cache_key_has_search(k.bytes));
    assert_true(cache_key_read(k.bytes, &out));
    assert_true(out.has_query);
    assert_non_null(out.query.ptr);
    assert_int_equal(out.query.len, 0);
    assert_true(weir_span_eq(out.authority, p.authority));
    assert_true(weir_span_eq(out.route, p.route));
    assert_int_equal(out.forwarded.len, 0);
    assert_true(weir_span_eq(out.search, p.search));
    assert_true(weir_span_eq(out.content, p.content));
    for (size_t len = 0; len < k.bytes.len; len++)
        assert_false(cache_key_read(weir_span(k.bytes.ptr, len), &out));
    buf[0] = 'X';
    assert_false(cache_key_read(k.bytes, &out));
}

static void pairs_cannot_run_into_each_other(void **state)
{
    char a[64], b[64];
    size_t la = (size_t)(cache_key_pair(a, weir_span_str("n"), weir_span_str("")) - a);
    size_t lb = (size_t)(cache_key_pair(b, weir_span_str("n"), WEIR_SPAN_NONE) - b);

    (void)state;
    assert_int_equal(la, CACHE_KEY_PAIR_BYTES + 1);
    assert_false(weir_span_eq(weir_span(a, la), weir_span(b, lb)));
    la = (size_t)(cache_key_pair(a, weir_span_str("na"), weir_span_str("v")) - a);
    lb = (size_t)(cache_key_pair(b, weir_span_str("n"), weir_span_str("av")) - b);
    assert_false(weir_span_eq(weir_span(a, la), weir_span(b, lb)));
}

static void people_can_read_a_key(void **state)
{
    struct cache_key_parts p = parts("http", "a", "/x", "q=\"\xff");
    char list[64], buf[128];
    static const char expected[] = "GET http://a/x?q=\"%ff route r with Cookie=v None";

    (void)state;
    p.route = weir_span_str("r");
    p.selectors =
        weir_span(list, (size_t)(cache_key_pair(cache_key_pair(list, weir_span_str("Cookie"),
                                                               weir_span_str("v")),
                                                weir_span_str("None"), WEIR_SPAN_NONE) -
                                 list));
    assert_int_equal(cache_key_text(&p, buf, sizeof(buf)), sizeof(expected) - 1);
    assert_memory_equal(buf, expected, sizeof(expected) - 1);
    for (size_t size = 0; size < sizeof(expected); size++)
        assert_true(cache_key_text(&p, buf, size) <= size);
}

static void a_long_key_goes_to_the_arena(void **state)
{
    struct cache_key_parts p = parts("http", "a.example", "/x", NULL);
    struct weir_arena arena;
    struct cache_key k = {{NULL, 7}, {0, 0}}, in_buf;
    char small[8], large[64];

    (void)state;
    assert_false(cache_key_build(&k, &p, &secret, small, sizeof(small), NULL));
    assert_int_equal(k.bytes.len, 7);
    weir_arena_init(&arena, 0);
    assert_true(cache_key_build(&k, &p, &secret, small, sizeof(small), &arena));
    assert_true(cache_key_build(&in_buf, &p, &secret, large, sizeof(large), NULL));
    assert_true(cache_key_eq(&k, &in_buf));
    weir_arena_free(&arena);
    weir_arena_init(&arena, 1);
    assert_false(cache_key_build(&k, &p, &secret, small, sizeof(small), &arena));
    weir_arena_free(&arena);
}

static void the_bytes_are_the_same_on_every_node(void **state)
{
    static const char expected[] = "G\1\4\0\0\0http\1\0\0\0a\2\0\0\0/x\3\0\0\0q=1";
    struct cache_key_parts p = parts("http", "a", "/x", "q=1");
    struct cache_key k;
    char buf[64];

    (void)state;
    assert_true(cache_key_build(&k, &p, &secret, buf, sizeof(buf), NULL));
    assert_int_equal(k.bytes.len, sizeof(expected) - 1);
    assert_memory_equal(k.bytes.ptr, expected, sizeof(expected) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_counts),
        cmocka_unit_test(parts_cannot_run_into_each_other),
        cmocka_unit_test(an_empty_query_differs_from_none),
        cmocka_unit_test(a_query_that_does_not_count_is_left_out),
        cmocka_unit_test(the_route_and_the_forwarded_host_are_parts_of_their_own),
        cmocka_unit_test(every_optional_part_is_a_part_of_its_own),
        cmocka_unit_test(every_slice_has_a_key_of_its_own),
        cmocka_unit_test(a_query_with_content_is_no_get),
        cmocka_unit_test(a_key_can_be_read_again),
        cmocka_unit_test(pairs_cannot_run_into_each_other),
        cmocka_unit_test(people_can_read_a_key),
        cmocka_unit_test(a_long_key_goes_to_the_arena),
        cmocka_unit_test(the_bytes_are_the_same_on_every_node),
    };

    if (!weir_hash_secret_draw(&secret, NULL))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
