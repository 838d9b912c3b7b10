#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "pattern.h"
#include "rewrite.h"
#include "router.h"
#include "template.h"

struct sample {
    const char *strip, *pattern, *to, *add; /* settings */
    const char *path, *wanted;              /* wanted NULL: an error */
};

static bool rewrite_one(const struct sample *s, struct weir_arena *arena, struct weir_span *path,
                        struct weir_err *err)
{
    const struct route_settings routes[] = {{.action = ROUTE_RESPOND,
                                             .respond_status = 200,
                                             .strip_prefix = s->strip,
                                             .rewrite_pattern = s->pattern,
                                             .rewrite_to = s->to,
                                             .add_prefix = s->add}};
    struct router *r = router_compile(routes, 1, NULL, 0, NULL, err);
    struct pattern_scratch *scratch = pattern_scratch_new(NULL);
    struct template_values v = {.host = WEIR_SPAN_LIT("h"),
                                .query = WEIR_SPAN_LIT("q=1"),
                                .path = *path};
    struct weir_span result = *path;
    bool ok;

    if (r == NULL)
        fail_msg("%s", err->detail);
    ok = rewrite_path(router_route(r, 0)->rewrite, &v, scratch, arena, &result, err);
    if (ok)
        *path = weir_arena_dup(arena, result); /* it may borrow from the router */
    pattern_scratch_free(scratch);
    router_free(r);
    return ok;
}

static void check(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct sample *s = &samples[i];
        struct weir_span path = weir_span_str(s->path);
        struct weir_err err = {0};
        struct weir_arena arena;
        bool ok;

        weir_arena_init(&arena, 0);
        ok = rewrite_one(s, &arena, &path, &err);
        if (ok != (s->wanted != NULL) || (ok && !weir_span_eq(path, weir_span_str(s->wanted))))
            fail_msg("sample %zu: '%s' became '%.*s', wanted '%s' (%s)", i, s->path, (int)path.len,
                     path.ptr, s->wanted != NULL ? s->wanted : "an error", err.detail);
        if (!ok)
            assert_int_equal(err.code, WEIR_E_INTERNAL);
        weir_arena_free(&arena);
    }
}

#define CHECK(samples) check(samples, sizeof(samples) / sizeof((samples)[0]))

static void a_prefix_is_stripped_by_whole_segments(void **state)
{
    static const struct sample samples[] = {
        {"/api", NULL, NULL, NULL, "/api/x", "/x"},
        {"/api", NULL, NULL, NULL, "/api", "/"},
        {"/api", NULL, NULL, NULL, "/api/", "/"},
        {"/api", NULL, NULL, NULL, "/apix", "/apix"},
        {"/api", NULL, NULL, NULL, "/other", "/other"},
        {"/api/", NULL, NULL, NULL, "/api/x", "/x"},
        {"/api/", NULL, NULL, NULL, "/api", "/api"},
        {"/", NULL, NULL, NULL, "/x", "/x"},
        {"/api", NULL, NULL, NULL, "/api//evil.example/x", "/evil.example/x"},
        {"/api", NULL, NULL, NULL, "*", "*"},
    };

    (void)state;
    CHECK(samples);
}

static void a_prefix_is_added_with_one_slash_between(void **state)
{
    static const struct sample samples[] = {
        {NULL, NULL, NULL, "/v1", "/x", "/v1/x"},    {NULL, NULL, NULL, "/v1/", "/x", "/v1/x"},
        {NULL, NULL, NULL, "/", "/x", "/x"},         {NULL, NULL, NULL, "/v1", "/", "/v1/"},
        {"/api", NULL, NULL, "/v1", "/api", "/v1/"}, {NULL, NULL, NULL, "/v1", "*", "*"},
    };

    (void)state;
    CHECK(samples);
}

static void a_pattern_replaces_the_whole_path_it_matches(void **state)
{
    static const struct sample samples[] = {
        {NULL, "^/u/(\\d+)", "/user/$1", NULL, "/u/42/more", "/user/42"},
        {NULL, "^/u/(\\d+)", "/user/$1", NULL, "/v/42", "/v/42"},
        {NULL, "^/(?<a>[^/]+)/(?<b>.*)$", "/$b/$a", NULL, "/x/y/z", "/y/z/x"},
        {NULL, "^(.*)$", "$1", NULL, "/a", "/a"},
        {NULL, "^/a$", "/$host", NULL, "/a", "/h"},
        {"/api", "^/x$", "/y", "/v1", "/api/x", "/v1/y"},
    };

    (void)state;
    CHECK(samples);
}

static void a_result_that_is_no_normalised_path_is_an_error(void **state)
{
    static const struct sample samples[] = {
        {NULL, "^/(.*)/(.*)$", "/$1$2/etc", NULL, "/./.", NULL},
        {NULL, "^/x(.*)$", "/files/.$1/etc", NULL, "/x.", NULL},
        {NULL, "^/x(.*)$", "$1", NULL, "/xy", NULL},
        {NULL, "^/x(.*)$", "$1", NULL, "/x", NULL},
        {NULL, "^/x(.*)$", "/%2e$1", NULL, "/x.", NULL},
        {NULL, "^/(.*)x(.*)$", "/$1$2", NULL, "/%x2e%2e", NULL},
        {NULL, "^/x$", "/$query", NULL, "/x", "/q=1"},
        {NULL, "^/(.)(.*)$", "/$2", "/safe", "/x../..", NULL},
        {NULL, "^/x(.*)$", "/$1", NULL, "/x/evil.example", "/evil.example"},
    };

    (void)state;
    CHECK(samples);
}

static void values_with_control_bytes_or_spaces_never_become_a_path(void **state)
{
    static const char *const evil[] = {"/a b", "/a\r\nX: y", "/a\tb",  "/a\x7f",
                                       "/a#b", "/a\\b",      "/a\xff", "/%0d%0a"};

    (void)state;
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        struct sample s = {NULL, "(?s)^(.*)$", "$1", NULL, evil[i], NULL};

        check(&s, 1);
    }
}

static void a_pattern_beyond_its_limits_is_an_error(void **state)
{
    static char path[4000];
    struct sample s = {NULL, "^/(a+)+$", "/x", NULL, path, NULL};

    (void)state;
    memset(path, 'a', sizeof(path) - 2);
    path[0] = '/';
    path[sizeof(path) - 2] = '!';
    check(&s, 1);
}

static void without_memory_the_path_stays(void **state)
{
    const struct sample s = {NULL, "^/(.*)$", "/y/$1", "/z", "/x", NULL};
    struct weir_span path = weir_span_str(s.path);
    struct weir_err err = {0};
    struct weir_arena small;

    (void)state;
    weir_arena_init(&small, 1);
    assert_false(rewrite_one(&s, &small, &path, &err));
    assert_int_equal(err.code, WEIR_E_MEMORY);
    assert_true(weir_span_eq(path, WEIR_SPAN_LIT("/x")));
    weir_arena_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_is_stripped_by_whole_segments),
        cmocka_unit_test(a_prefix_is_added_with_one_slash_between),
        cmocka_unit_test(a_pattern_replaces_the_whole_path_it_matches),
        cmocka_unit_test(a_result_that_is_no_normalised_path_is_an_error),
        cmocka_unit_test(values_with_control_bytes_or_spaces_never_become_a_path),
        cmocka_unit_test(a_pattern_beyond_its_limits_is_an_error),
        cmocka_unit_test(without_memory_the_path_stays),
    };

    return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
