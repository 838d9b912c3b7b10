/*
 * fuzz_control.c - response lines: what controls the cache, and what follows for its freshness.
 *
 * Holds: lifetimes and windows stay in range; a targeted field that is taken silences
 * Cache-Control; of what is withheld the directive is no longer set; the same response reads the
 * same twice.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/arena.h"

#include "cache_settings.h"
#include "control.h"
#include "freshness.h"
#include "http_head.h"
#include "reuse.h"
#include "route_lifetime.h"

#define FIELDS 32

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #claim);                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *targets[] = {"Weir-Cache-Control", "CDN-Cache-Control"};
static const struct cache_settings node = {.targets = targets,
                                           .target_count = 2,
                                           .surrogate_control = true};
static const struct route_cache_settings routes[] = {
    {.enabled = true, .heuristic = true, .set_cookie = SET_COOKIE_STRIP, .ttl = {.otherwise = 60}},
    {.enabled = true, .despite = {.store = 31, .stale = 255}, .ttl = {.min = 5, .max = 500}},
};

static void read_lines(struct http_head *h, const char *text, size_t len)
{
    for (size_t at = 0; at < len && h->count < FIELDS;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - text) - at : len - at;
        const char *colon = memchr(text + at, ':', line);
        size_t name = colon != NULL ? (size_t)(colon - text) - at : 0;

        if (name > 0)
            (void)http_head_add(h, NULL, weir_span(text + at, name),
                                weir_span_trim(weir_span(colon + 1, line - name - 1)));
        at += line + (end != NULL);
    }
}

static bool in_range(int64_t seconds)
{
    return seconds == HTTP_CC_ABSENT || (seconds >= 0 && seconds <= HTTP_CC_MAX);
}

static void check(const struct http_head *h, const struct route_cache_settings *route)
{
    const struct control_rules rules = {&node, route, WEIR_SPAN_LIT("weir")};
    struct control c, again;
    struct freshness_facts f;
    struct reuse_facts r;
    struct weir_arena arena;

    weir_arena_init(&arena, 0);
    control_of(&c, h, &rules, &arena);
    control_of(&again, h, &rules, &arena);
    MUST(c.source == again.source && c.cc.max_age == again.cc.max_age);
    MUST(c.cc.no_store == again.cc.no_store && c.withholds == again.withholds);
    MUST(in_range(c.cc.max_age) && in_range(c.cc.s_maxage));
    MUST(in_range(c.cc.stale_while_revalidate) && in_range(c.cc.stale_if_error));
    MUST(c.expires_counts == (c.source == CONTROL_CACHE_CONTROL));
    MUST(c.cc.private_fields.ptr == NULL || !c.cc.private_);
    MUST(c.cc.no_cache_fields.ptr == NULL || !c.cc.no_cache);
    for (uint32_t i = 0; i < h->count; i++)
        MUST(!control_withholds(&c, &h->fields[i]) || c.withholds);
    freshness_facts_from(&f, h, &c, route->heuristic, 1000, 1001);
    route_lifetime_apply(&f, &c, 200, route);
    reuse_facts_from(&r, &f, &c, route);
    MUST(r.lifetime >= 0 && r.initial_age >= 0);
    weir_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field fields[FIELDS];
    char *text = malloc(size + 1);
    struct http_head h;

    MUST(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    http_head_init(&h, fields, FIELDS);
    h.status = 200;
    read_lines(&h, text, size);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        check(&h, &routes[i]);
    free(text);
    return 0;
}
