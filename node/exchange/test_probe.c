#include "probe.h"

#include "test_exchange.h"

/* Two routes: /private for those who send the field, /shop with a key of its own. */
struct world {
    struct made m;
    struct route_settings routes[2];
    const char *paths[2];
    struct probe_place place;
};

static const char *const upstreams[] = {"app"};
static struct split_settings split = {.upstream = "app", .weight = 1};
static const char *lang[] = {"lang"};

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    made_open(&w->m);
    w->paths[0] = "/private";
    w->paths[1] = "/shop";
    for (int i = 0; i < 2; i++) {
        w->routes[i] = (struct route_settings){
            .name = w->paths[i] + 1,
            .action = ROUTE_UPSTREAM,
            .split = &split,
            .split_count = 1,
            .match = {.paths = &w->paths[i], .path_count = 1},
        };
    }
    w->routes[1].cache.key =
        (struct cache_key_settings){.query = KEY_QUERY_NONE, .cookies = lang, .cookie_count = 1};
    w->m.site.router = router_compile(w->routes, 2, upstreams, 1, NULL, NULL);
    w->place = (struct probe_place){
        .site = &w->m.site,
        .loop = &w->m.loop,
        .metrics = w->m.metrics,
        .secret = &w->m.secret,
        .scratch = pattern_scratch_new(NULL),
    };
    assert_non_null(w->m.site.router);
    assert_non_null(w->place.scratch);
}

static void end(struct world *w)
{
    pattern_scratch_free(w->place.scratch);
    router_free(w->m.site.router);
    made_close(&w->m);
}

static struct probe *probe(struct world *w, const char *url, const char *cookie,
                           struct weir_err *err)
{
    struct http_field field = {WEIR_SPAN_LIT("Cookie"), weir_span_str(cookie), 0, 0};

    return probe_new(&w->place, weir_span_str(url), &field, cookie != NULL, err);
}

/* Have both the same key? */
static bool same(struct world *w, const char *url, const char *other, const char *cookie)
{
    struct probe *a = probe(w, url, "lang=de", NULL), *b = probe(w, other, cookie, NULL);
    bool equal = cache_key_eq(&a->x.key, &b->x.key);

    probe_free(a);
    probe_free(b);
    return equal;
}

static void it_goes_the_way_of_a_request(void **state)
{
    struct world w;
    struct probe *p;

    (void)state;
    begin(&w);
    p = probe(&w, "HTTP://A.example:80/x/../%73hop?a=1", NULL, NULL);
    assert_non_null(p);
    assert_string_equal(p->x.route->settings->name, "shop");
    assert_true(weir_span_eq(p->x.target.authority, WEIR_SPAN_LIT("a.example")));
    assert_non_null(p->x.key.bytes.ptr);
    probe_free(p);
    assert_true(same(&w, "http://a/shop?x", "http://a/shop?y", "lang=de; z=1"));
    assert_false(same(&w, "http://a/shop", "http://a/shop", "lang=en"));
    assert_false(same(&w, "http://a/private?x", "http://a/private?y", "lang=de"));
    end(&w);
}

static void the_other_scheme_is_another_key(void **state)
{
    struct world w;
    struct probe *p;
    struct weir_hash128 before;

    (void)state;
    begin(&w);
    p = probe(&w, "https://a/shop", NULL, NULL);
    before = p->x.key.hash;
    assert_true(p->x.target.https);
    assert_true(probe_swap_scheme(p, NULL));
    assert_false(p->x.target.https);
    assert_int_not_equal(before.lo, p->x.key.hash.lo);
    assert_true(probe_swap_scheme(p, NULL));
    assert_int_equal(before.lo, p->x.key.hash.lo);
    probe_free(p);
    end(&w);
}

static void what_no_route_takes_has_no_key(void **state)
{
    struct world w;
    struct probe *p;

    (void)state;
    begin(&w);
    p = probe(&w, "http://a/elsewhere", NULL, NULL);
    assert_non_null(p);
    assert_null(p->x.route);
    assert_null(p->x.key.bytes.ptr);
    probe_free(p);
    end(&w);
}

static void what_is_no_url_is_refused(void **state)
{
    static const char *const bad[] = {
        "",         "/shop",          "*",           "a/shop",      "http://",
        "http:///", "http://a/../..", "http://a b/", "http://a/\\", "ftp://a/"};
    struct world w;

    (void)state;
    begin(&w);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_err err = {0};

        assert_null(probe(&w, bad[i], NULL, &err));
        assert_true(err.code == WEIR_E_BAD_TARGET || err.code == WEIR_E_BAD_HOST);
    }
    end(&w);
}

#ifdef WEIR_FAULTS
static void any_allocation_may_fail(void **state)
{
    unsigned long n = 1;
    struct world w;

    (void)state;
    begin(&w);
    for (;; n++) {
        struct weir_err err = {0};
        struct probe *p;

        weir_alloc_fail_at(n);
        p = probe(&w, "http://A/x/../shop?a", "lang=de", &err);
        if (!weir_alloc_failed()) {
            assert_non_null(p);
            probe_free(p);
            break;
        }
        assert_true(p != NULL || err.code == WEIR_E_MEMORY);
        probe_free(p);
    }
    weir_alloc_fail_at(0);
    assert_true(n > 1);
    end(&w);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_the_way_of_a_request),
        cmocka_unit_test(the_other_scheme_is_another_key),
        cmocka_unit_test(what_no_route_takes_has_no_key),
        cmocka_unit_test(what_is_no_url_is_refused),
#ifdef WEIR_FAULTS
        cmocka_unit_test(any_allocation_may_fail),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
