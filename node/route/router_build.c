#include <inttypes.h>

#include "weir/alloc.h"
#include "http_list.h"
#include "http_target.h"
#include "router_table.h"

struct builder {
    struct router *r;
    struct route_compiler c;
    const char *const *upstreams;
    size_t upstream_count;
};

/* Room for one more of an array that doubles. */
static bool make_room(void **array, uint32_t count, uint32_t *cap, size_t size)
{
    uint32_t bigger = *cap == 0 ? 16 : *cap * 2;
    void *moved;

    if (count < *cap)
        return true;
    moved = weir_realloc(*array, bigger * size);
    if (moved == NULL)
        return false;
    *array = moved;
    *cap = bigger;
    return true;
}

static void append_entry(struct builder *b, uint32_t *list, uint32_t route,
                         const struct pattern *pattern)
{
    struct router *r = b->r;
    void *array = r->entries;
    uint32_t at = r->entry_count;
    bool ok = make_room(&array, r->entry_count, &r->entry_cap, sizeof(*r->entries));

    r->entries = array;
    if (!ok) {
        b->c.no_memory = true;
        return;
    }
    r->entry_count++;
    r->entries[at] = (struct router_entry){route, at, pattern};
    if (*list != SEGTRIE_NONE) {
        r->entries[at].next = r->entries[*list].next;
        r->entries[*list].next = at;
    }
    *list = at;
}

/* A new site, or SEGTRIE_NONE without memory. */
static uint32_t add_site(struct builder *b)
{
    struct router *r = b->r;
    void *array = r->sites;
    bool ok = make_room(&array, r->site_count, &r->site_cap, sizeof(*r->sites));
    uint32_t root = ok ? segtrie_root(&r->paths) : SEGTRIE_NONE;

    r->sites = array;
    if (root == SEGTRIE_NONE) {
        b->c.no_memory = true;
        return SEGTRIE_NONE;
    }
    r->sites[r->site_count] = (struct router_site){root, SEGTRIE_NONE};
    return r->site_count++;
}

/* ---- hosts ---- */

static bool has_port(const char *host)
{
    const char *bracket = strrchr(host, ']');

    return strchr(bracket != NULL ? bracket : host, ':') != NULL;
}

/* The node of a host, label by label from the right. */
static uint32_t host_node(struct builder *b, struct weir_span host)
{
    uint32_t node = 0;
    size_t end = host.len;

    for (;;) {
        const char *dot = end > 0 ? memrchr(host.ptr, '.', end) : NULL;
        size_t begin = dot != NULL ? (size_t)(dot - host.ptr) + 1 : 0;

        node = segtrie_add(&b->r->hosts, node, weir_span(host.ptr + begin, end - begin));
        if (node == SEGTRIE_NONE) {
            b->c.no_memory = true;
            return SEGTRIE_NONE;
        }
        if (dot == NULL)
            return node;
        end = begin - 1;
    }
}

/* The host in the form requests have (http_target.h), or false after a fault. */
static bool normal_host(struct builder *b, const char *text, const char *path,
                        struct weir_span *host)
{
    struct http_target target = {0};
    struct weir_err err = {0};
    const char *name = strncmp(text, "*.", 2) == 0 ? text + 2 : text;

    if (strchr(name, '*') != NULL)
        return route_fault_text(
            &b->c, path, "'%.64s': '*' stands alone or for the first labels: \"*.example.org\"",
            text);
    if (has_port(name))
        return route_fault_text(&b->c, path, "'%.64s' has a port: hosts are matched without", text);
    if (!http_authority_parse(weir_span_str(name), b->c.arena, &target, &err)) {
        if (err.code == WEIR_E_MEMORY)
            return route_fault(&b->c, &err, path);
        return route_fault_text(&b->c, path, "'%.64s' is no host name or address", text);
    }
    if (target.host.len == 0 || target.host.len > ROUTER_HOST_MAX)
        return route_fault_text(&b->c, path, "'%.64s' is empty or too long for a host", text);
    *host = target.host;
    return true;
}

/* The site of a host pattern; SEGTRIE_NONE after a fault. */
static uint32_t site_of_host(struct builder *b, const char *text, const char *path)
{
    struct weir_span host = {0};
    uint32_t node, site;
    int slot = strncmp(text, "*.", 2) == 0 ? HOST_WILDCARD : HOST_EXACT;

    if (strcmp(text, "*") == 0) {
        b->r->any_host = true;
        return 0;
    }
    if (!normal_host(b, text, path, &host))
        return SEGTRIE_NONE;
    node = host_node(b, host);
    if (node == SEGTRIE_NONE)
        return SEGTRIE_NONE;
    site = b->r->hosts.nodes[node].slot[slot];
    if (site == SEGTRIE_NONE) {
        site = add_site(b);
        b->r->hosts.nodes[node].slot[slot] = site;
    }
    return site;
}

/* ---- paths ---- */

enum path_kind { PATH_KIND_EXACT, PATH_KIND_PATTERN, PATH_KIND_PREFIX };

struct route_path {
    enum path_kind kind;
    struct weir_span path; /* EXACT, PREFIX: in the form requests have */
    const struct pattern *pattern;
};

static const char *skip_spaces(const char *text)
{
    while (*text == ' ')
        text++;
    return text;
}

static bool parse_path(struct builder *b, const char *text, const char *place,
                       struct route_path *out)
{
    struct http_target target = {0};
    struct weir_err err = {0};
    const char *rest = skip_spaces(text[0] == '=' || text[0] == '~' ? text + 1 : text);

    if (text[0] == '~') {
        out->kind = PATH_KIND_PATTERN;
        out->pattern = route_pattern(&b->c, rest, place);
        return out->pattern != NULL;
    }
    out->kind = text[0] == '=' ? PATH_KIND_EXACT : PATH_KIND_PREFIX;
    if (rest[0] != '/')
        return route_fault_text(&b->c, place,
                                "'%.64s': expected \"/prefix\", \"= /exact\" or \"~ pattern\"",
                                text);
    if (!http_origin_form_parse(weir_span_str(rest), b->c.arena, &target, &err)) {
        if (err.code == WEIR_E_MEMORY)
            return route_fault(&b->c, &err, place);
        return route_fault_text(&b->c, place, "'%.64s' is no path", rest);
    }
    if (target.query.ptr != NULL)
        return route_fault_text(&b->c, place, "'%.64s' holds a query: use match.query", rest);
    out->path = target.path;
    return true;
}

/* The node of a path, segment by segment; "/" has the one segment "". */
static uint32_t path_node(struct builder *b, uint32_t root, struct weir_span path)
{
    uint32_t node = root;
    size_t at = 0;

    while (at < path.len) {
        const char *begin = path.ptr + at + 1;
        const char *end = memchr(begin, '/', path.len - at - 1);
        size_t len = end != NULL ? (size_t)(end - begin) : path.len - at - 1;

        node = segtrie_add(&b->r->paths, node, weir_span(begin, len));
        if (node == SEGTRIE_NONE) {
            b->c.no_memory = true;
            return SEGTRIE_NONE;
        }
        at += 1 + len;
    }
    return node;
}

static void insert_path(struct builder *b, uint32_t site, const struct route_path *p,
                        uint32_t route)
{
    struct weir_span path = p->path;
    uint32_t node;
    int slot = PATH_EXACT;

    if (p->kind == PATH_KIND_PATTERN) {
        append_entry(b, &b->r->sites[site].patterns, route, p->pattern);
        return;
    }
    if (p->kind == PATH_KIND_PREFIX) {
        bool slash = path.len > 0 && path.ptr[path.len - 1] == '/';

        /* "/media/" lies at the node of "/media"; "/" and no path at all lie whole at the root. */
        slot = slash && path.len > 1 ? PATH_BELOW : PATH_WHOLE;
        path.len -= slash;
    }
    node = path_node(b, b->r->sites[site].root, path);
    if (node != SEGTRIE_NONE)
        append_entry(b, &b->r->paths.nodes[node].slot[slot], route, NULL);
}

static void insert_in_site(struct builder *b, uint32_t site, const struct route_path *paths,
                           size_t path_count, uint32_t route)
{
    static const struct route_path any = {.kind = PATH_KIND_PREFIX};

    if (path_count == 0)
        insert_path(b, site, &any, route);
    for (size_t i = 0; i < path_count && !b->c.no_memory; i++)
        insert_path(b, site, &paths[i], route);
}

static void insert_route(struct builder *b, const struct match_settings *m,
                         const struct route_path *paths, size_t path_count, uint32_t route)
{
    struct route_place place;

    if (m->host_count == 0) {
        b->r->any_host = true;
        insert_in_site(b, 0, paths, path_count, route);
    }
    for (size_t i = 0; i < m->host_count && !b->c.no_memory; i++) {
        uint32_t site;

        place = route_place("match.hosts[%zu]", i);
        site = site_of_host(b, m->hosts[i], place.text);
        if (site != SEGTRIE_NONE)
            insert_in_site(b, site, paths, path_count, route);
    }
}

/* ---- what a route does ---- */

static bool find_upstream(const struct builder *b, const char *name, uint32_t *index)
{
    for (size_t i = 0; i < b->upstream_count; i++) {
        if (strcmp(b->upstreams[i], name) == 0) {
            *index = (uint32_t)i;
            return true;
        }
    }
    return false;
}

static void compile_split(struct builder *b, const struct route_settings *s, struct route *route)
{
    struct route_split *split = route_alloc(&b->c, s->split_count, sizeof(*split));
    struct route_place place;
    uint64_t total = 0;

    for (size_t i = 0; split != NULL && i < s->split_count; i++) {
        place = route_place("split[%zu].upstream", i);
        if (s->split[i].upstream == NULL ||
            !find_upstream(b, s->split[i].upstream, &split[i].upstream))
            route_fault_text(&b->c, place.text, "no upstream is called '%.64s'",
                             s->split[i].upstream != NULL ? s->split[i].upstream : "");
        total += s->split[i].weight;
        split[i].below = (uint32_t)total;
    }
    if (s->split_count == 0)
        route_fault_text(&b->c, "split", "the route names no upstream");
    else if (total == 0)
        route_fault_text(&b->c, "split", "all weights are 0");
    else if (total > UINT32_MAX)
        route_fault_text(&b->c, "split", "the weights add up to more than %" PRIu32, UINT32_MAX);
    route->split = split;
    route->split_count = (uint32_t)s->split_count;
    route->weight_total = (uint32_t)total;
}

static void compile_redirect(struct builder *b, const struct route_settings *s, struct route *route)
{
    int status = s->redirect_status;

    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        route_fault_text(&b->c, "redirect_status", "%d: expected 301, 302, 303, 307 or 308",
                         status);
    if (s->redirect_to == NULL)
        route_fault_text(&b->c, "redirect_to", "missing: where does the redirect lead?");
    else
        route->redirect_to =
            route_template(&b->c, s->redirect_to, TEMPLATE_LOCATION, "redirect_to");
}

static void check_response(struct builder *b, const struct route_settings *s)
{
    if (s->respond_status < 200 || s->respond_status > 599)
        route_fault_text(&b->c, "respond_status", "%d: expected 200 to 599", s->respond_status);
    for (const char *c = s->respond_type; c != NULL && *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            route_fault_text(&b->c, "respond_type", "holds a control byte");
            return;
        }
    }
}

static void compile_action(struct builder *b, const struct route_settings *s, struct route *route)
{
    switch (s->action) {
    case ROUTE_UPSTREAM:
        compile_split(b, s, route);
        break;
    case ROUTE_REDIRECT:
        compile_redirect(b, s, route);
        break;
    case ROUTE_RESPOND:
        check_response(b, s);
        break;
    case ROUTE_HEALTH:
        break;
    }
}

/* ---- routes ---- */

/* All paths of a route. A faulty one is reported, and noted in c.patterns_faulty. */
static struct route_path *parse_paths(struct builder *b, const struct match_settings *m)
{
    struct route_path *paths = route_alloc(&b->c, m->path_count, sizeof(*paths));
    const struct pattern **patterns = route_alloc(&b->c, m->path_count, sizeof(struct pattern *));
    struct route_place place;

    b->c.patterns_faulty = false;
    for (size_t i = 0; !b->c.no_memory && i < m->path_count; i++) {
        place = route_place("match.paths[%zu]", i);
        if (!parse_path(b, m->paths[i], place.text, &paths[i]))
            b->c.patterns_faulty = true;
        else
            patterns[i] = paths[i].pattern;
    }
    b->c.patterns = patterns;
    b->c.pattern_count = m->path_count;
    return paths;
}

static void compile_route(struct builder *b, const struct route_settings *s, struct route *route)
{
    struct route_path *paths = parse_paths(b, &s->match);

    if (b->c.no_memory)
        return;
    route->settings = s;
    route->action = s->action;
    /* With a faulty path there will be no table, but its hosts are judged all the same. */
    insert_route(b, &s->match, paths, b->c.patterns_faulty ? 0 : s->match.path_count, route->index);
    route->conditions = conditions_compile(&b->c, &s->match);
    compile_action(b, s, route);
    route->rewrite = rewrite_compile(&b->c, s);
    route->request_edits = edits_compile(&b->c, &s->request_fields, true, "request_fields");
    route->response_edits = edits_compile(&b->c, &s->response_fields, false, "response_fields");
    for (size_t i = 0; i < s->trailer_count; i++) {
        struct route_place place;

        place = route_place("trailers[%zu]", i);
        if (!http_is_token(weir_span_str(s->trailers[i])))
            route_fault_text(&b->c, place.text, "'%.64s' is no field name", s->trailers[i]);
    }
}

static bool compile_all(struct builder *b, const struct route_settings *routes, size_t count)
{
    struct router *r = b->r;

    if (segtrie_root(&r->hosts) == SEGTRIE_NONE || add_site(b) == SEGTRIE_NONE)
        return false;
    r->routes = route_alloc(&b->c, count, sizeof(*r->routes));
    for (size_t i = 0; i < count && !b->c.no_memory; i++) {
        b->c.route = i;
        r->routes[i].index = (uint32_t)i;
        compile_route(b, &routes[i], &r->routes[i]);
    }
    r->count = count;
    return !b->c.no_memory;
}

struct router *router_compile(const struct route_settings *routes, size_t count,
                              const char *const *upstreams, size_t upstream_count,
                              const struct route_problems *problems, struct weir_err *err)
{
    struct router *r = weir_calloc(1, sizeof(*r));
    struct builder b = {.r = r, .upstreams = upstreams, .upstream_count = upstream_count};

    if (r == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "router: compile", 0);
        return NULL;
    }
    weir_arena_init(&r->arena, 0);
    b.c.arena = &r->arena;
    b.c.owned = &r->owned;
    b.c.problems = problems;
    if (!compile_all(&b, routes, count))
        weir_fail(err, WEIR_E_MEMORY, "router: compile", 0);
    else if (b.c.faults > 0)
        weir_failf(err, WEIR_E_CONFIG, "router: compile", 0, "%zu faults in the routes",
                   b.c.faults);
    else
        return r;
    router_free(r);
    return NULL;
}

void router_free(struct router *r)
{
    if (r == NULL)
        return;
    route_owned_free(r->owned);
    segtrie_free(&r->hosts);
    segtrie_free(&r->paths);
    weir_free(r->sites);
    weir_free(r->entries);
    weir_arena_free(&r->arena);
    weir_free(r);
}
