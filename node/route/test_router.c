#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "weir/alloc.h"
#include "edits.h"
#include "http_head.h"
#include "router.h"
#include "template.h"

#define COUNT(list)        (sizeof(list) / sizeof((list)[0]))
#define STRINGS(...)       ((const char *[]){__VA_ARGS__})
#define HOSTS(...)         .hosts = STRINGS(__VA_ARGS__), .host_count = COUNT(STRINGS(__VA_ARGS__))
#define PATHS(...)         .paths = STRINGS(__VA_ARGS__), .path_count = COUNT(STRINGS(__VA_ARGS__))
#define METHODS(...)       .methods = STRINGS(__VA_ARGS__), .method_count = COUNT(STRINGS(__VA_ARGS__))
#define CLIENTS(...)       .clients = STRINGS(__VA_ARGS__), .client_count = COUNT(STRINGS(__VA_ARGS__))
#define PAIR(what, n, ...) .what = (struct match_pair_settings[]){{__VA_ARGS__}}, .n = 1
/* A route that only matches. */
#define ROUTE(...)                                                                                 \
    {                                                                                              \
        .match = {__VA_ARGS__}, .action = ROUTE_RESPOND, .respond_status = 200                     \
    }

static void print_problem(void *arg, size_t route, const char *path, const char *message)
{
    (void)arg;
    print_error("route %zu: %s: %s\n", route, path, message);
}

static const struct route_problems loud = {print_problem, NULL};

static struct router *compiled(const struct route_settings *routes, size_t count)
{
    struct weir_err err = {0};
    struct router *r = router_compile(routes, count, NULL, 0, &loud, &err);

    if (r == NULL)
        fail_msg("%s", err.detail);
    return r;
}

/* The index of the route for a plain GET, -1 for none. */
static int find(const struct router *r, const char *host, const char *path, struct route_match *m)
{
    struct http_head head;
    struct pattern_scratch *scratch = pattern_scratch_new(NULL);
    struct route_query q = {.host = weir_span_str(host),
                            .path = weir_span_str(path),
                            .method = WEIR_SPAN_LIT("GET"),
                            .head = &head,
                            .scratch = scratch};
    struct route_match unused;
    const struct route *found;

    http_head_init(&head, NULL, 0);
    found = router_find(r, &q, m != NULL ? m : &unused);
    pattern_scratch_free(scratch);
    return found != NULL ? (int)found->index : -1;
}

struct sample {
    const char *host, *path;
    int route;
};

static void check_samples(const struct route_settings *routes, size_t count,
                          const struct sample *samples, size_t sample_count)
{
    struct router *r = compiled(routes, count);

    for (size_t i = 0; i < sample_count; i++) {
        int got = find(r, samples[i].host, samples[i].path, NULL);

        if (got != samples[i].route)
            fail_msg("%s%s took route %d, wanted %d", samples[i].host, samples[i].path, got,
                     samples[i].route);
    }
    router_free(r);
}

static void an_exact_host_beats_the_longest_wildcard_beats_any(void **state)
{
    static const struct sample samples[] = {
        {"example.org", "/", 2},
        {"www.example.org", "/", 1},
        {"a.b.example.org", "/", 1},
        {"x.www.example.org", "/", 4},
        {"EXAMPLE.org", "/", 2},
        {"other.net", "/", 0},
        {"", "/", 0},
        {"org", "/", 0},
        {"www.org", "/", 3},
        {"badexample.org", "/", 3},
        {"a.x.www.example.org", "/", 4},
        {"[2001:db8::1]", "/", 5},
        {"192.0.2.7", "/", 6},
        {".", "/", 0},
        {"..", "/", 0},
    };
    const struct route_settings routes[] = {
        ROUTE(0),
        ROUTE(HOSTS("*.example.org")),
        ROUTE(HOSTS("Example.ORG")),
        ROUTE(HOSTS("*.org")),
        ROUTE(HOSTS("*.www.example.org")),
        ROUTE(HOSTS("[2001:DB8:0::1]")),
        ROUTE(HOSTS("192.0.2.7")),
    };

    (void)state;
    check_samples(routes, COUNT(routes), samples, COUNT(samples));
}

static void an_exact_path_beats_a_pattern_beats_the_longest_prefix(void **state)
{
    static const struct sample samples[] = {
        {"h", "/media/x", 4},       {"h", "/media/x/y", 2},       {"h", "/media/1", 3},
        {"h", "/media/1/deep", 3},  {"h", "/media", 1},           {"h", "/", 0},
        {"h", "/mediax", 0},        {"h", "/media/deep/er/z", 5}, {"h", "*", 0},
        {"h", "/media/deep/er", 5}, {"h", "/media/deep/erx", 2},  {"h", "/media/deep/", 2},
    };
    const struct route_settings routes[] = {
        ROUTE(PATHS("/")),          ROUTE(PATHS("/media")),
        ROUTE(PATHS("/media/")),    ROUTE(PATHS("~ ^/media/\\d")),
        ROUTE(PATHS("= /media/x")), ROUTE(PATHS("/media/deep/er")),
    };

    (void)state;
    check_samples(routes, COUNT(routes), samples, COUNT(samples));
}

static void a_prefix_matches_whole_segments(void **state)
{
    static const struct sample samples[] = {
        {"h", "/media", 0},    {"h", "/media/", 0},  {"h", "/media/x", 0}, {"h", "/mediax", -1},
        {"h", "/media.x", -1}, {"h", "/below", -1},  {"h", "/below/", 1},  {"h", "/below/x/y", 1},
        {"h", "/med", -1},     {"h", "//media", -1}, {"h", "/a//b/c", 2},  {"h", "/a/b/c", -1},
        {"h", "//", -1},       {"h", "*", -1},       {"h", "/~u/x", 3},
    };
    const struct route_settings routes[] = {
        ROUTE(PATHS("/media")), ROUTE(PATHS("/below/")), ROUTE(PATHS("/a//b")),
        ROUTE(PATHS("/x/../%7eu")), /* brought to the form that requests have */
    };

    (void)state;
    check_samples(routes, COUNT(routes), samples, COUNT(samples));
}

static void an_exact_path_is_exact_to_its_last_slash(void **state)
{
    static const struct sample samples[] = {
        {"h", "/", 0}, {"h", "/a", 1}, {"h", "/a/", 2}, {"h", "/a/b", -1}, {"h", "//", -1},
    };
    const struct route_settings routes[] = {ROUTE(PATHS("= /")), ROUTE(PATHS("= /a")),
                                            ROUTE(PATHS("=/a/"))};

    (void)state;
    check_samples(routes, COUNT(routes), samples, COUNT(samples));
}

static void patterns_are_tried_in_file_order(void **state)
{
    static const struct sample samples[] = {
        {"h", "/a1", 0},
        {"h", "/a", 1},
        {"h", "/b1", 2},
        {"h", "/c", -1},
    };
    const struct route_settings routes[] = {ROUTE(PATHS("~ ^/a\\d")), ROUTE(PATHS("~ ^/a")),
                                            ROUTE(PATHS("~ ^/b", "~^/a"))};

    (void)state;
    check_samples(routes, COUNT(routes), samples, COUNT(samples));
}

static void equal_routes_are_tried_in_file_order(void **state)
{
    static const struct sample samples[] = {{"h", "/x", 0}, {"h", "/", 0}, {"other", "/x", 2}};
    const struct route_settings routes[] = {ROUTE(HOSTS("h"), PATHS("/")), ROUTE(HOSTS("h")),
                                            ROUTE(0), ROUTE(HOSTS("*"))};

    (void)state;
    check_samples(routes, COUNT(routes), samples, COUNT(samples));
}

static void a_host_without_a_fitting_path_lets_less_specific_hosts_try(void **state)
{
    static const struct sample samples[] = {
        {"www.example.org", "/only", 0}, {"www.example.org", "/wild/x", 1},
        {"www.example.org", "/any", 2},  {"www.example.org", "/none", -1},
        {"x.example.org", "/only", -1},
    };
    const struct route_settings routes[] = {
        ROUTE(HOSTS("www.example.org"), PATHS("/only")),
        ROUTE(HOSTS("*.example.org"), PATHS("/wild")),
        ROUTE(PATHS("/any")),
    };

    (void)state;
    check_samples(routes, COUNT(routes), samples, COUNT(samples));
}

static void captures_point_into_the_path_and_only_of_the_route_taken(void **state)
{
    const struct route_settings routes[] = {
        {.match = {PATHS("~ ^/u/(.*)$"), METHODS("POST")},
         .action = ROUTE_RESPOND,
         .respond_status = 200},
        ROUTE(PATHS("~ ^/u/(\\d+)/(?<tail>.*)$")),
        ROUTE(PATHS("/u")),
    };
    struct router *r = compiled(routes, COUNT(routes));
    struct route_match m;
    const char *path = "/u/42/x/y";

    (void)state;
    assert_int_equal(find(r, "h", path, &m), 1);
    assert_int_equal(m.captures.count, 3);
    assert_ptr_equal(m.captures.at[1].ptr, path + 3);
    assert_true(weir_span_eq(m.captures.at[2], WEIR_SPAN_LIT("x/y")));
    assert_int_equal(find(r, "h", "/u/z", &m), 2);
    assert_int_equal(m.captures.count, 0); /* not those of the pattern that a method ruled out */
    assert_true(m.method_refused);
    router_free(r);
}

static void what_was_missed_is_told_apart(void **state)
{
    const struct route_settings routes[] = {
        ROUTE(HOSTS("h"), PATHS("/x"), METHODS("POST", "PUT")),
        ROUTE(HOSTS("h"), PATHS("/y"), METHODS("POST"), PAIR(fields, field_count, .name = "X")),
    };
    struct router *r = compiled(routes, COUNT(routes));
    struct route_match m;

    (void)state;
    assert_int_equal(find(r, "other", "/x", &m), -1);
    assert_false(m.host_known);
    assert_int_equal(find(r, "h", "/z", &m), -1);
    assert_true(m.host_known);
    assert_false(m.method_refused);
    assert_int_equal(find(r, "h", "/x", &m), -1);
    assert_true(m.method_refused);
    assert_int_equal(find(r, "h", "/y", &m), -1);
    assert_false(m.method_refused); /* the field is missing too: another method would not help */
    router_free(r);
}

/* ---- conditions ---- */

struct request {
    const char *method, *query, *client; /* NULL: GET, none, none */
    const char *fields[4];               /* "Name: value" */
};

static bool matches(const struct match_settings *match, const struct request *request)
{
    const struct route_settings routes[] = {
        {.match = *match, .action = ROUTE_RESPOND, .respond_status = 200}};
    struct router *r = compiled(routes, 1);
    struct pattern_scratch *scratch = pattern_scratch_new(NULL);
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct http_field fields[4];
    struct http_head head;
    struct route_match m;
    struct route_query q = {.path = WEIR_SPAN_LIT("/"),
                            .head = &head,
                            .scratch = scratch,
                            .method =
                                weir_span_str(request->method != NULL ? request->method : "GET"),
                            .query = weir_span_str(request->query)};
    bool found;

    http_head_init(&head, fields, 4);
    for (size_t i = 0; i < 4 && request->fields[i] != NULL; i++) {
        const char *colon = strstr(request->fields[i], ": ");
        struct weir_span name = weir_span(request->fields[i], (size_t)(colon - request->fields[i]));

        assert_true(http_head_add(&head, NULL, name, weir_span_str(colon + 2)));
    }
    if (request->client != NULL) {
        assert_int_equal(inet_pton(AF_INET, request->client, &in.sin_addr), 1);
        q.client = (const struct sockaddr *)&in;
    }
    found = router_find(r, &q, &m) != NULL;
    pattern_scratch_free(scratch);
    router_free(r);
    return found;
}

#define MATCH(...)   (&(struct match_settings){__VA_ARGS__})
#define REQUEST(...) (&(struct request){__VA_ARGS__})
#define FIELDS(...)  PAIR(fields, field_count, __VA_ARGS__)
#define COOKIES(...) PAIR(cookies, cookie_count, __VA_ARGS__)
#define QUERY(...)   PAIR(query, query_count, __VA_ARGS__)

static void methods_compare_exactly(void **state)
{
    (void)state;
    assert_true(matches(MATCH(METHODS("GET", "POST")), REQUEST(.method = "POST")));
    assert_false(matches(MATCH(METHODS("GET")), REQUEST(.method = "HEAD")));
    assert_false(matches(MATCH(METHODS("GET")), REQUEST(.method = "get")));
}

static void a_field_condition_holds_if_any_line_meets_it(void **state)
{
    const struct request *two = REQUEST(.fields = {"X-Kind: a", "x-kind: b", "Accept: text/html"});

    (void)state;
    assert_true(matches(MATCH(FIELDS(.name = "X-KIND")), two));
    assert_true(matches(MATCH(FIELDS(.name = "x-kind", .value = "b")), two));
    assert_false(matches(MATCH(FIELDS(.name = "x-kind", .value = "B")), two));
    assert_false(matches(MATCH(FIELDS(.name = "x-kind", .value = "a, b")), two));
    assert_true(matches(MATCH(FIELDS(.name = "accept", .pattern = "^text/")), two));
    assert_false(matches(MATCH(FIELDS(.name = "accept", .pattern = "json")), two));
    assert_false(matches(MATCH(FIELDS(.name = "x-none")), two));
    assert_true(matches(MATCH(FIELDS(.name = "x-none", .absent = true)), two));
    assert_false(matches(MATCH(FIELDS(.name = "accept", .absent = true)), two));
    assert_true(
        matches(MATCH(FIELDS(.name = "x-kind", .value = "")), REQUEST(.fields = {"X-Kind: "})));
}

static void cookies_and_parameters_filter_by_their_first_value(void **state)
{
    const struct request *r = REQUEST(.query = "a=1&a=2&flag", .fields = {"Cookie: s=x; t=y; s=z"});

    (void)state;
    assert_true(matches(MATCH(COOKIES(.name = "s", .value = "x")), r));
    assert_false(matches(MATCH(COOKIES(.name = "s", .value = "z")), r));
    assert_true(matches(MATCH(COOKIES(.name = "t", .pattern = "^[xy]$")), r));
    assert_true(matches(MATCH(COOKIES(.name = "none", .absent = true)), r));
    assert_false(matches(MATCH(COOKIES(.name = "t", .absent = true)), r));
    assert_false(matches(MATCH(COOKIES(.name = "none")), r));
    assert_true(matches(MATCH(QUERY(.name = "a", .value = "1")), r));
    assert_false(matches(MATCH(QUERY(.name = "a", .value = "2")), r));
    assert_true(matches(MATCH(QUERY(.name = "flag", .value = "")), r));
    assert_false(matches(MATCH(QUERY(.name = "flag", .absent = true)), r));
    assert_false(matches(MATCH(QUERY(.name = "b", .pattern = ".")), r));
}

static void every_kind_of_condition_must_hold(void **state)
{
    const struct match_settings *all =
        MATCH(METHODS("GET"), CLIENTS("10.0.0.0/8", "192.0.2.7"), FIELDS(.name = "X"),
              COOKIES(.name = "c"), QUERY(.name = "q"));

    (void)state;
    assert_true(matches(all, REQUEST(.client = "10.1.1.1", .query = "q",
                                     .fields = {"X: 1", "Cookie: c=1"})));
    assert_true(matches(all, REQUEST(.client = "192.0.2.7", .query = "q",
                                     .fields = {"X: 1", "Cookie: c=1"})));
    assert_false(matches(all, REQUEST(.client = "192.0.2.8", .query = "q",
                                      .fields = {"X: 1", "Cookie: c=1"})));
    assert_false(matches(all, REQUEST(.query = "q", .fields = {"X: 1", "Cookie: c=1"})));
    assert_false(matches(all, REQUEST(.client = "10.1.1.1", .fields = {"X: 1", "Cookie: c=1"})));
    assert_false(
        matches(all, REQUEST(.client = "10.1.1.1", .query = "q", .fields = {"Cookie: c=1"})));
    assert_false(matches(all, REQUEST(.client = "10.1.1.1", .query = "q", .fields = {"X: 1"})));
    assert_false(matches(all, REQUEST(.method = "PUT", .client = "10.1.1.1", .query = "q",
                                      .fields = {"X: 1", "Cookie: c=1"})));
}

static void a_route_whose_conditions_fail_lets_the_next_one_try(void **state)
{
    static const struct sample samples[] = {{"h", "/x", 4}, {"g", "/x", 5}};
    const struct route_settings routes[] = {
        ROUTE(HOSTS("h"), PATHS("= /x"), METHODS("POST")),
        ROUTE(HOSTS("h"), PATHS("~ ^/x"), FIELDS(.name = "X")),
        ROUTE(HOSTS("h"), PATHS("/x"), CLIENTS("10.0.0.0/8")),
        ROUTE(HOSTS("h"), PATHS("/x"), QUERY(.name = "q")),
        ROUTE(HOSTS("h"), PATHS("/")),
        ROUTE(PATHS("/x")),
    };

    (void)state;
    check_samples(routes, COUNT(routes), samples, COUNT(samples));
}

/* ---- size ---- */

static void among_thousands_of_routes_a_request_looks_at_one(void **state)
{
    enum { HOST_COUNT = 50, PATH_COUNT = 60, ALL = HOST_COUNT * PATH_COUNT };
    static struct route_settings routes[ALL];
    static char host[HOST_COUNT][32], path[PATH_COUNT][40];
    static const char *host_list[HOST_COUNT], *path_list[PATH_COUNT];
    struct route_match m;
    struct router *r;

    (void)state;
    for (int h = 0; h < HOST_COUNT; h++) {
        snprintf(host[h], sizeof(host[h]), h % 2 ? "*.h%d.example" : "h%d.example", h);
        host_list[h] = host[h];
    }
    for (int p = 0; p < PATH_COUNT; p++) {
        snprintf(path[p], sizeof(path[p]), p % 2 ? "/api/v%d/part" : "= /page/%d", p);
        path_list[p] = path[p];
    }
    for (int i = 0; i < ALL; i++)
        routes[i] =
            (struct route_settings)ROUTE(.hosts = &host_list[i / PATH_COUNT], .host_count = 1,
                                         .path_count = 1, .paths = &path_list[i % PATH_COUNT]);
    r = compiled(routes, ALL);
    assert_int_equal(router_count(r), ALL);
    for (int i = 0; i < ALL; i += 7) {
        char name[40], target[64];
        int h = i / PATH_COUNT, p = i % PATH_COUNT;

        snprintf(name, sizeof(name), h % 2 ? "www.h%d.example" : "h%d.example", h);
        snprintf(target, sizeof(target), p % 2 ? "/api/v%d/part/a/b" : "/page/%d", p);
        assert_int_equal(find(r, name, target, &m), i);
        assert_int_equal(m.tried, 1);
    }
    assert_int_equal(find(r, "h0.example", "/api/v999/part", &m), -1);
    assert_int_equal(m.tried, 0);
    router_free(r);
}

static void patterns_of_other_hosts_are_not_tried(void **state)
{
    static struct route_settings routes[1000];
    static char host[1000][16];
    static const char *host_list[1000], *paths[] = {"~ ^/x"};
    struct route_match m;
    struct router *r;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(host[i], sizeof(host[i]), "h%d", i);
        host_list[i] = host[i];
        routes[i] = (struct route_settings)ROUTE(.hosts = &host_list[i], .host_count = 1,
                                                 .paths = paths, .path_count = 1);
    }
    r = compiled(routes, 1000);
    assert_int_equal(find(r, "h777", "/x", &m), 777);
    assert_int_equal(m.tried, 1);
    router_free(r);
}

static void a_hostile_host_or_path_is_only_a_miss(void **state)
{
    const struct route_settings routes[] = {ROUTE(HOSTS("a.b.c"), PATHS("/a/b")), ROUTE(0)};
    struct router *r = compiled(routes, COUNT(routes));
    static char dots[70000], slashes[70000];

    (void)state;
    memset(dots, '.', sizeof(dots) - 1);
    memset(slashes, '/', sizeof(slashes) - 1);
    assert_int_equal(find(r, dots, slashes, NULL), 1);
    memcpy(dots + sizeof(dots) - 7, ".a.b.c", 6);
    assert_int_equal(find(r, dots, "/a/b", NULL), 1);
    assert_int_equal(find(r, "a.b.c", "", NULL), 1);
    router_free(r);
}

static void a_pattern_beyond_its_limits_is_no_match_and_is_told(void **state)
{
    const struct route_settings routes[] = {ROUTE(PATHS("~ ^/(a+)+$")), ROUTE(PATHS("/"))};
    struct router *r = compiled(routes, COUNT(routes));
    struct route_match m;
    static char path[4000];

    (void)state;
    memset(path, 'a', sizeof(path) - 2);
    path[0] = '/';
    path[sizeof(path) - 2] = '!';
    assert_int_equal(find(r, "h", path, &m), 1);
    assert_true(m.limit_hit);
    assert_int_equal(m.captures.count, 0);
    assert_int_equal(find(r, "h", "/aaa", &m), 0);
    assert_false(m.limit_hit);
    router_free(r);
}

/* ---- what a route does ---- */

static void an_upstream_is_picked_by_weight(void **state)
{
    static const char *const names[] = {"x", "a", "b"};
    struct split_settings split[] = {{"b", 1}, {"x", 0}, {"a", 3}};
    const struct route_settings routes[] = {{.split = split, .split_count = 3}};
    struct router *r = router_compile(routes, 1, names, 3, &loud, NULL);
    const struct route *route;
    unsigned picked[3] = {0};

    (void)state;
    assert_non_null(r);
    route = router_route(r, 0);
    for (uint32_t i = 0; i < 4096; i++)
        picked[route_pick_upstream(route, i << 20)]++;
    assert_int_equal(picked[0], 0);
    assert_int_equal(picked[1], 3072);
    assert_int_equal(picked[2], 1024);
    assert_int_equal(route_pick_upstream(route, UINT32_MAX), 1);
    assert_int_equal(route_pick_upstream(route, 0), 2);
    router_free(r);
}

static void a_redirect_uses_the_captures_of_its_path(void **state)
{
    const struct route_settings routes[] = {{.match = {PATHS("~ ^/old/(.*)$")},
                                             .action = ROUTE_REDIRECT,
                                             .redirect_status = 308,
                                             .redirect_to = "https://$host/new/$1?$query"}};
    struct router *r = compiled(routes, 1);
    struct route_match m;
    struct weir_arena arena;
    struct weir_span out;
    struct template_values v = {.host = WEIR_SPAN_LIT("example.org"), .query = WEIR_SPAN_LIT("q")};

    (void)state;
    weir_arena_init(&arena, 0);
    assert_int_equal(find(r, "example.org", "/old/a/b", &m), 0);
    v.captures = m.captures.at;
    v.capture_count = m.captures.count;
    assert_true(template_expand(router_route(r, 0)->redirect_to, &v, &arena, &out, NULL));
    assert_true(weir_span_eq(out, WEIR_SPAN_LIT("https://example.org/new/a/b?q")));
    weir_arena_free(&arena);
    router_free(r);
}

/* ---- faults ---- */

struct notes {
    char text[8192];
    size_t len, count;
};

static void note_problem(void *arg, size_t route, const char *path, const char *message)
{
    struct notes *n = arg;

    n->len += (size_t)snprintf(n->text + n->len, sizeof(n->text) - n->len, "%zu %s: %s\n", route,
                               path, message);
    n->count++;
}

static void all_faults_of_a_table_are_told_at_once(void **state)
{
    static const char *const names[] = {"app"};
    struct split_settings unknown[] = {{"app", 1}, {"ap", 1}}, nothing[] = {{"app", 0}};
    struct split_settings heavy[] = {{"app", UINT32_MAX}, {"app", 2}};
    struct field_edit_settings edits[] = {{"Content-Length", "1"}, {"X", "$2"}, {"a b", ""}};
    struct field_edit_settings host[] = {{"Host", "x"}};
    const char *removals[] = {"connection", "Proxy-Anything", "Host"};
    struct match_pair_settings pairs[] = {{.name = ""},
                                          {.name = "x", .value = "1", .pattern = "1"},
                                          {.name = "x", .absent = true, .value = "1"},
                                          {.name = "x y"},
                                          {.name = "x", .pattern = "("}};
    const struct route_settings routes[] = {
        ROUTE(HOSTS("ok", "a.*.org", "host:80", "bad host", "*.", ""),
              PATHS("media", "~ (", "= x", "/a?b", "/ok", "/%00", "/..")),
        {.split = unknown, .split_count = 2},
        {.split = nothing, .split_count = 1},
        {.split = heavy, .split_count = 2},
        {.split_count = 0},
        {.action = ROUTE_REDIRECT, .redirect_status = 200},
        {.action = ROUTE_REDIRECT, .redirect_status = 301, .redirect_to = "/$1"},
        {.action = ROUTE_RESPOND, .respond_status = 99, .respond_type = "a\nb"},
        ROUTE(METHODS("GET", "G T"), CLIENTS("10.0.0.1", "nowhere", "10.0.0.1/8"), .fields = pairs,
              .field_count = 5),
        {.action = ROUTE_RESPOND,
         .respond_status = 200,
         .request_fields = {.set = edits, .set_count = 3, .remove = removals, .remove_count = 3},
         .response_fields = {.set = host, .set_count = 1, .add = host, .add_count = 1}},
        {.action = ROUTE_RESPOND,
         .respond_status = 200,
         .rewrite_pattern = "^/(.*)$",
         .rewrite_to = "/$2",
         .strip_prefix = "x",
         .add_prefix = "/a?b",
         .trailers = STRINGS("a:b"),
         .trailer_count = 1},
        {.action = ROUTE_RESPOND, .respond_status = 200, .rewrite_to = "/x"},
    };
    static const char *const wanted[] = {
        "0 match.hosts[1]: 'a.*.org': '*' stands",
        "0 match.hosts[2]: 'host:80' has a port",
        "0 match.hosts[3]: 'bad host' is no host",
        "0 match.hosts[4]: ",
        "0 match.hosts[5]: ",
        "0 match.paths[0]: 'media': expected",
        "0 match.paths[1]: at offset",
        "0 match.paths[2]: ",
        "0 match.paths[3]: '/a?b' holds a query",
        "0 match.paths[5]: '/%00' is no path",
        "0 match.paths[6]: '/..' is no path",
        "1 split[1].upstream: no upstream is called 'ap'",
        "2 split: all weights are 0",
        "3 split: the weights add up",
        "4 split: the route names no",
        "5 redirect_status: 200: expected",
        "5 redirect_to: missing",
        "6 redirect_to: $1: there is",
        "7 respond_status: 99",
        "7 respond_type: ",
        "8 match.methods[1]: 'G T'",
        "8 match.clients[1]: 'nowhere' is no network",
        "8 match.clients[2]: '10.0.0.1/8' has bits",
        "8 match.fields[0]: a condition needs",
        "8 match.fields[1]: value and pattern",
        "8 match.fields[2]: what must be absent",
        "8 match.fields[3]: 'x y' is no field name",
        "8 match.fields[4].pattern: at offset",
        "9 request_fields.set[0].name: Content-Length",
        "9 request_fields.set[1].value: $2",
        "9 request_fields.set[2].name: 'a b'",
        "9 request_fields.remove[0]: connection",
        "9 request_fields.remove[1]: Proxy-Anything",
        "9 request_fields.remove[2]: Host can only",
        "9 response_fields.set[0].name: Host can only",
        "9 response_fields.add[0].name: Host can only",
        "10 rewrite_to: $2",
        "10 strip_prefix: 'x'",
        "10 add_prefix: '/a?b' holds",
        "10 trailers[0]: 'a:b'",
        "11 rewrite_pattern: missing",
    };
    struct notes notes = {.len = 0};
    struct route_problems problems = {note_problem, &notes};
    struct weir_err err = {0};

    (void)state;
    assert_null(router_compile(routes, COUNT(routes), names, 1, &problems, &err));
    assert_int_equal(err.code, WEIR_E_CONFIG);
    for (size_t i = 0; i < COUNT(wanted); i++) {
        if (strstr(notes.text, wanted[i]) == NULL)
            fail_msg("nothing about '%s' in\n%s", wanted[i], notes.text);
    }
    if (notes.count != COUNT(wanted))
        fail_msg("%zu faults, %zu expected:\n%s", notes.count, COUNT(wanted), notes.text);
    assert_null(router_compile(routes, COUNT(routes), names, 1, NULL, NULL)); /* nobody listens */
}

static void an_empty_table_has_no_route(void **state)
{
    struct router *r = compiled(NULL, 0);
    struct route_match m;

    (void)state;
    assert_int_equal(find(r, "h", "/", &m), -1);
    assert_false(m.host_known);
    router_free(r);
    router_free(NULL);
}

#ifdef WEIR_FAULTS
static void every_failed_allocation_is_reported(void **state)
{
    static const char *const names[] = {"app"};
    struct split_settings split[] = {{"app", 1}};
    struct field_edit_settings edits[] = {{"X-Id", "$request_id"}};
    const struct route_settings routes[] = {
        {.match = {HOSTS("a.example", "*.b.example"), PATHS("~ ^/x(.)", "~ ^/y(.)"), METHODS("GET"),
                   CLIENTS("10.0.0.0/8"), FIELDS(.name = "X", .pattern = "y")},
         .split = split,
         .split_count = 1,
         .rewrite_pattern = "^/(.*)$",
         .rewrite_to = "/$1",
         .request_fields = {.add = edits, .add_count = 1}},
        {.match = {PATHS("/a/b", "= /c/", "/%7e/../x")},
         .action = ROUTE_REDIRECT,
         .redirect_status = 301,
         .redirect_to = "/b?$query"},
    };
    struct router *r = NULL;

    (void)state;
    for (unsigned long n = 1; r == NULL; n++) {
        struct notes notes = {.len = 0};
        struct route_problems problems = {note_problem, &notes};
        struct weir_err err = {0};

        weir_alloc_fail_at(n);
        r = router_compile(routes, COUNT(routes), names, 1, &problems, &err);
        weir_alloc_fail_at(0);
        assert_int_equal(notes.count, 0);
        assert_true(r != NULL || err.code == WEIR_E_MEMORY);
    }
    assert_int_equal(find(r, "h", "/a/b/c", NULL), 1);
    router_free(r);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_host_beats_the_longest_wildcard_beats_any),
        cmocka_unit_test(an_exact_path_beats_a_pattern_beats_the_longest_prefix),
        cmocka_unit_test(a_prefix_matches_whole_segments),
        cmocka_unit_test(an_exact_path_is_exact_to_its_last_slash),
        cmocka_unit_test(patterns_are_tried_in_file_order),
        cmocka_unit_test(equal_routes_are_tried_in_file_order),
        cmocka_unit_test(a_host_without_a_fitting_path_lets_less_specific_hosts_try),
        cmocka_unit_test(captures_point_into_the_path_and_only_of_the_route_taken),
        cmocka_unit_test(what_was_missed_is_told_apart),
        cmocka_unit_test(methods_compare_exactly),
        cmocka_unit_test(a_field_condition_holds_if_any_line_meets_it),
        cmocka_unit_test(cookies_and_parameters_filter_by_their_first_value),
        cmocka_unit_test(every_kind_of_condition_must_hold),
        cmocka_unit_test(a_route_whose_conditions_fail_lets_the_next_one_try),
        cmocka_unit_test(among_thousands_of_routes_a_request_looks_at_one),
        cmocka_unit_test(patterns_of_other_hosts_are_not_tried),
        cmocka_unit_test(a_hostile_host_or_path_is_only_a_miss),
        cmocka_unit_test(a_pattern_beyond_its_limits_is_no_match_and_is_told),
        cmocka_unit_test(an_upstream_is_picked_by_weight),
        cmocka_unit_test(a_redirect_uses_the_captures_of_its_path),
        cmocka_unit_test(all_faults_of_a_table_are_told_at_once),
        cmocka_unit_test(an_empty_table_has_no_route),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_failed_allocation_is_reported),
#endif
    };

    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
