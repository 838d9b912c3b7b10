#include "purge_ask.h"
#include "purge_feed.h"

#include "test_exchange.h"

/* What is asked, what is stored under it, and what the purges make of that. */
struct asking {
    struct made m;
    struct purge_asked ask;
    struct weir_arena arena;
    struct weir_err err;
};

static void begin(struct asking *a)
{
    memset(a, 0, sizeof *a);
    made_open(&a->m);
    a->ask.table = purge_new(&a->m.secret, 0, NULL);
    a->ask.mode = PURGE_HARD;
    a->ask.out = purge_submission_new();
    assert_non_null(a->ask.table);
    assert_non_null(a->ask.out);
    weir_arena_init(&a->arena, 0);
}

static void end(struct asking *a)
{
    purge_submission_free(a->ask.out);
    purge_free(a->ask.table);
    weir_arena_free(&a->arena);
    made_close(&a->m);
}

/* Would a response that was stored before all purges still be used? */
static bool valid(struct asking *a, const char *host, const char *path, const char *query)
{
    struct weir_span q = query != NULL ? weir_span_str(query) : WEIR_SPAN_NONE;
    struct purge_subject s = {
        .url = purge_url_hash(a->ask.table, weir_span_str(host), weir_span_str(path), q),
        .host = purge_host_hash(a->ask.table, weir_span_str(host)),
        .path = weir_span_str(path),
    };
    int64_t since_s;

    purge_ask_apply(&a->ask);
    a->ask.out->count = 0;
    return purge_check(a->ask.table, &s, &since_s) == PURGE_VALID;
}

static void a_url_is_purged_as_it_is_keyed_too(void **state)
{
    struct asking a;

    (void)state;
    begin(&a);
    a.m.route_settings.cache.key.host = "main.example";
    a.m.route_settings.cache.key.sort = true;
    made_request(&a.m, "PURGE /x/../a?c&b HTTP/1.1\r\nHost: WWW.example:80\r\n\r\n");
    assert_true(purge_ask_url(&a.ask, &a.m.x, &a.err));
    assert_int_equal(a.ask.out->count, 2);
    assert_false(valid(&a, "www.example", "/a", "c&b"));
    assert_false(valid(&a, "main.example", "/a", "b&c"));
    assert_true(valid(&a, "main.example", "/a", NULL));
    assert_true(valid(&a, "www.example", "/x", NULL));
    end(&a);
}

static void without_a_route_it_is_purged_as_it_is_written(void **state)
{
    struct asking a;

    (void)state;
    begin(&a);
    made_request(&a.m, "PURGE /a HTTP/1.1\r\nHost: a.example\r\n\r\n");
    a.m.x.route = NULL;
    assert_true(purge_ask_url(&a.ask, &a.m.x, &a.err));
    assert_int_equal(a.ask.out->count, 1);
    assert_false(valid(&a, "a.example", "/a", NULL));
    end(&a);
}

static void prefixes_are_of_one_host_or_of_all(void **state)
{
    struct asking a;

    (void)state;
    begin(&a);
    assert_true(
        purge_ask_prefix(&a.ask, WEIR_SPAN_LIT("https://A.example:443/%6eews"), &a.arena, &a.err));
    assert_false(valid(&a, "a.example", "/news/1", "q"));
    assert_true(valid(&a, "b.example", "/news/1", NULL));
    assert_true(purge_ask_prefix(&a.ask, WEIR_SPAN_LIT("/media/"), &a.arena, &a.err));
    assert_false(valid(&a, "b.example", "/media/x", NULL));
    assert_true(valid(&a, "b.example", "/media", NULL));
    assert_true(purge_ask_prefix(&a.ask, WEIR_SPAN_LIT("http://c.example"), &a.arena, &a.err));
    assert_false(valid(&a, "c.example", "/", NULL));
    end(&a);
}

static void a_host_is_purged_on_every_port(void **state)
{
    struct asking a;

    (void)state;
    begin(&a);
    assert_true(purge_ask_host(&a.ask, WEIR_SPAN_LIT("A.Example:1"), &a.arena, &a.err));
    assert_false(valid(&a, "a.example:8080", "/", NULL));
    assert_true(valid(&a, "b.a.example", "/", NULL));
    end(&a);
}

static void what_cannot_be_meant_is_refused_and_purges_nothing(void **state)
{
    static const char *const prefixes[] = {"",     "a",        "ftp://a/",    "http://",
                                           "/a?b", "/a/../..", "http://a/%zz"};
    static const char *const hosts[] = {"", "a b", "a/b", "a:99999", "[::1"};
    char longest[PURGE_TAG_MAX + 2];
    struct asking a;

    (void)state;
    begin(&a);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        assert_false(purge_ask_prefix(&a.ask, weir_span_str(prefixes[i]), &a.arena, &a.err));
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        assert_false(purge_ask_host(&a.ask, weir_span_str(hosts[i]), &a.arena, &a.err));
    memset(longest, 'a', sizeof longest);
    assert_false(purge_ask_tag(&a.ask, weir_span(longest, PURGE_TAG_MAX + 1), &a.err));
    assert_false(purge_ask_tag(&a.ask, WEIR_SPAN_LIT(""), &a.err));
    assert_false(purge_ask_tag(&a.ask, WEIR_SPAN_LIT("a b"), &a.err));
    assert_int_equal(a.err.code, WEIR_E_BAD_REQUEST);
    assert_int_equal(a.ask.out->count, 0);
    assert_true(purge_ask_tag(&a.ask, weir_span(longest, PURGE_TAG_MAX), &a.err));
    end(&a);
}

static void too_many_at_once_are_refused(void **state)
{
    struct asking a;

    (void)state;
    begin(&a);
    for (int i = 0; i < PURGE_BATCH_MAX; i++)
        assert_true(purge_ask_tag(&a.ask, WEIR_SPAN_LIT("a"), &a.err));
    assert_false(purge_ask_all(&a.ask, &a.err));
    assert_int_equal(a.err.code, WEIR_E_BAD_REQUEST);
    assert_int_equal(a.ask.out->count, PURGE_BATCH_MAX);
    assert_int_equal(purge_stamp(a.ask.table), 0);
    end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_purged_as_it_is_keyed_too),
        cmocka_unit_test(without_a_route_it_is_purged_as_it_is_written),
        cmocka_unit_test(prefixes_are_of_one_host_or_of_all),
        cmocka_unit_test(a_host_is_purged_on_every_port),
        cmocka_unit_test(what_cannot_be_meant_is_refused_and_purges_nothing),
        cmocka_unit_test(too_many_at_once_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
