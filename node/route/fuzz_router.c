/*
 * fuzz_router.c - host, path, query and a cookie line against a fixed table; then the redirect, the
 * rewrite and the edits of the route that was found. Input: four parts, each ended by a newline
 * (the last may be without).
 */
#include <assert.h>
#include <stdint.h>

#include "edits.h"
#include "http_head.h"
#include "pattern.h"
#include "rewrite.h"
#include "router.h"
#include "template.h"

#define COUNT(list)  (sizeof(list) / sizeof((list)[0]))
#define STRINGS(...) ((const char *[]){__VA_ARGS__})
#define HOSTS(...)   .hosts = STRINGS(__VA_ARGS__), .host_count = COUNT(STRINGS(__VA_ARGS__))
#define PATHS(...)   .paths = STRINGS(__VA_ARGS__), .path_count = COUNT(STRINGS(__VA_ARGS__))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPLIT .split = (struct split_settings[]){{"app", 1}}, .split_count = 1

static const struct route_settings routes[] = {
    {.match = {HOSTS("*.example.org"), PATHS("~ ^/to(.*)$")},
     .action = ROUTE_REDIRECT,
     .redirect_status = 308,
     .redirect_to = "https://www.example.org$1?$query"},
    {.match = {PATHS("~ ^/go/(.*)$")},
     .action = ROUTE_REDIRECT,
     .redirect_status = 302,
     .redirect_to = "/$1?$query"},
    {.match = {HOSTS("example.org", "a.b.c"), PATHS("/a/b", "= /x/", "/media/")},
     SPLIT,
     .strip_prefix = "/a",
     .add_prefix = "/base"},
    {.match = {PATHS("~ ^/((?:\\w+/)*)(.*)$"),
               .cookies = (struct match_pair_settings[]){{.name = "s", .pattern = "^(a|b)*$"}},
               .cookie_count = 1},
     SPLIT,
     .rewrite_pattern = "^/([^/]*)/(.*)$",
     .rewrite_to = "/$2$1",
     .add_prefix = "/base",
     .request_fields = {.add = (struct field_edit_settings[]){{"X-All", "$1 $host $path $query"}},
                        .add_count = 1}},
    {.match = {.query = (struct match_pair_settings[]){{.name = "q", .value = "1"}},
               .query_count = 1},
     SPLIT,
     .request_fields = {.set = (struct field_edit_settings[]){{"Host", "$query"}}, .set_count = 1}},
};

static struct router *fixed_router(void)
{
    static const char *const upstreams[] = {"app"};

    return router_compile(routes, COUNT(routes), upstreams, 1, NULL, NULL);
}

static struct weir_span next_part(struct weir_span *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    struct weir_span part = *rest;

    if (end == NULL) {
        *rest = WEIR_SPAN_NONE;
        return part;
    }
    part.len = (size_t)(end - part.ptr);
    rest->ptr = end + 1;
    rest->len -= part.len + 1;
    return part;
}

/* A Location is visible ASCII and leads to its own site or to the one the table names. */
static void check_location(struct weir_span to)
{
    static const char site[] = "https://www.example.org";
    size_t at = sizeof(site) - 1;

    for (size_t i = 0; i < to.len; i++)
        assert(to.ptr[i] > 0x20 && to.ptr[i] < 0x7f && to.ptr[i] != '\\');
    if (weir_span_starts(to, WEIR_SPAN_LIT(site)))
        assert(to.len == at || to.ptr[at] == '/' || to.ptr[at] == '?');
    else
        assert(to.len > 0 && to.ptr[0] == '/' && !(to.len > 1 && to.ptr[1] == '/'));
}

static void check_path(struct weir_span path, bool rewritten)
{
    assert(!rewritten || path.ptr[0] == '/');
    for (size_t i = 0; rewritten && i < path.len; i++)
        assert(path.ptr[i] > 0x20 && path.ptr[i] < 0x7f && path.ptr[i] != '?');
    for (size_t i = 0; rewritten && i + 2 < path.len; i++)
        assert(memcmp(path.ptr + i, "/..", 3) != 0 || (i + 3 < path.len && path.ptr[i + 3] != '/'));
}

static void check_fields(const struct http_head *head, uint32_t first)
{
    for (uint32_t i = first; i < head->count; i++) {
        for (size_t at = 0; at < head->fields[i].value.len; at++) {
            unsigned char c = (unsigned char)head->fields[i].value.ptr[at];

            assert((c >= 0x20 || c == '\t') && c != 0x7f);
        }
    }
}

static void use_route(const struct route *route, const struct route_query *q,
                      const struct route_match *m, struct http_head *head, struct weir_arena *arena)
{
    const struct template_values v = {.host = q->host,
                                      .path = q->path,
                                      .query = q->query,
                                      .captures = m->captures.at,
                                      .capture_count = m->captures.count};
    struct weir_span out = q->path;
    uint32_t before = head->count;

    if (route->redirect_to != NULL) {
        if (template_expand(route->redirect_to, &v, arena, &out, NULL))
            check_location(out);
        return;
    }
    if (rewrite_path(route->rewrite, &v, q->scratch, arena, &out, NULL))
        check_path(out, route->rewrite != NULL && q->path.len > 0 && q->path.ptr[0] == '/');
    if (edits_apply(route->request_edits, &v, head, arena, NULL))
        check_fields(head, before); /* what was set or added stands behind the Cookie line */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct router *router;
    static struct pattern_scratch *scratch;
    struct weir_span rest = weir_span((const char *)data, size);
    struct weir_arena arena;
    struct http_head head;
    struct route_match m;
    struct route_query q = {.method = WEIR_SPAN_LIT("GET"), .head = &head};
    const struct route *route;

    if (router == NULL) {
        router = fixed_router();
        scratch = pattern_scratch_new(NULL);
    }
    assert(router != NULL && scratch != NULL);
    weir_arena_init(&arena, 0);
    http_head_init(&head, NULL, 0);
    q.scratch = scratch;
    q.host = next_part(&rest);
    q.path = next_part(&rest);
    q.query = next_part(&rest);
    if (http_head_add(&head, &arena, WEIR_SPAN_LIT("Cookie"), next_part(&rest))) {
        route = router_find(router, &q, &m);
        if (route != NULL)
            use_route(route, &q, &m, &head, &arena);
    }
    weir_arena_free(&arena);
    return 0;
}
