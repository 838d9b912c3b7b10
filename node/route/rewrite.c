#include "rewrite.h"

#include "http_target.h"
#include "pattern.h"
#include "route_compiler.h"
#include "template.h"

struct rewrite {
    struct weir_span strip; /* without its final '/'; empty: none */
    bool strip_below;       /* it had a final '/': the bare prefix itself stays */
    const struct pattern *pattern;
    const struct template *to;
    struct weir_span prefix; /* without its final '/'; empty: none */
};

/* ---- compiling ---- */

/* A prefix in the form paths have, less its final '/'. */
static bool compile_prefix(struct route_compiler *c, const char *text, const char *path,
                           struct weir_span *out, bool *slash)
{
    struct weir_err err = {0};
    struct http_target target = {0};

    if (text[0] != '/')
        return route_fault_text(c, path, "'%.64s' does not begin with '/'", text);
    if (!http_origin_form_parse(weir_span_str(text), c->arena, &target, &err))
        return route_fault(c, &err, path);
    if (target.query.ptr != NULL)
        return route_fault_text(c, path, "'%.64s' holds a query", text);
    *out = target.path;
    *slash = out->ptr[out->len - 1] == '/';
    if (*slash)
        out->len--;
    return true;
}

static void compile_pattern(struct route_compiler *c, const struct route_settings *s,
                            struct rewrite *r)
{
    struct weir_err err = {0};
    const struct pattern *pattern;

    if (s->rewrite_pattern == NULL || s->rewrite_to == NULL) {
        route_fault_text(c, s->rewrite_pattern == NULL ? "rewrite_pattern" : "rewrite_to",
                         "missing: a rewrite needs a pattern and a new path");
        return;
    }
    pattern = route_pattern(c, s->rewrite_pattern, "rewrite_pattern");
    if (pattern == NULL)
        return;
    r->to = template_compile(s->rewrite_to, TEMPLATE_PATH, &pattern, 1, c->arena, &err);
    if (r->to == NULL)
        route_fault(c, &err, "rewrite_to");
    else
        r->pattern = pattern;
}

struct rewrite *rewrite_compile(struct route_compiler *c, const struct route_settings *s)
{
    struct rewrite *r;
    bool slash;

    if (s->rewrite_pattern == NULL && s->rewrite_to == NULL && s->strip_prefix == NULL &&
        s->add_prefix == NULL)
        return NULL;
    r = route_alloc(c, 1, sizeof(*r));
    if (r == NULL)
        return NULL;
    if (s->strip_prefix != NULL)
        compile_prefix(c, s->strip_prefix, "strip_prefix", &r->strip, &r->strip_below);
    if (s->rewrite_pattern != NULL || s->rewrite_to != NULL)
        compile_pattern(c, s, r);
    if (s->add_prefix != NULL)
        compile_prefix(c, s->add_prefix, "add_prefix", &r->prefix, &slash);
    return r;
}

/* ---- rewriting ---- */

/* "//x" is a path here and another site to whoever reads it as a reference. */
static struct weir_span one_leading_slash(struct weir_span path)
{
    while (path.len > 1 && path.ptr[0] == '/' && path.ptr[1] == '/') {
        path.ptr++;
        path.len--;
    }
    return path;
}

static struct weir_span strip(const struct rewrite *r, struct weir_span path)
{
    struct weir_span rest;

    if (r->strip.len == 0 || !weir_span_starts(path, r->strip))
        return path;
    rest = weir_span(path.ptr + r->strip.len, path.len - r->strip.len);
    if (rest.len == 0)
        return r->strip_below ? path : WEIR_SPAN_LIT("/");
    return rest.ptr[0] == '/' ? one_leading_slash(rest) : path;
}

static bool apply_pattern(const struct rewrite *r, const struct template_values *v,
                          struct pattern_scratch *scratch, struct weir_arena *arena,
                          struct weir_span *path, struct weir_err *err)
{
    struct pattern_captures captures;
    struct template_values values = *v;

    switch (pattern_match(r->pattern, *path, scratch, &captures)) {
    case PATTERN_NO_MATCH:
        return true;
    case PATTERN_LIMIT:
        return weir_fail(err, WEIR_E_INTERNAL, "rewrite: pattern exceeds its limits", 0);
    case PATTERN_MATCH:
        break;
    }
    values.captures = captures.at;
    values.capture_count = captures.count;
    if (!template_expand(r->to, &values, arena, path, err))
        return false;
    *path = one_leading_slash(*path);
    return true;
}

static bool prepend(struct weir_span prefix, struct weir_arena *arena, struct weir_span *path,
                    struct weir_err *err)
{
    char *joined = weir_arena_alloc(arena, prefix.len + path->len);

    if (joined == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "rewrite: add prefix", 0);
    memcpy(joined, prefix.ptr, prefix.len);
    memcpy(joined + prefix.len, path->ptr, path->len);
    *path = weir_span(joined, prefix.len + path->len);
    return true;
}

/* Normal means that normalising changes nothing: the bytes that were judged are the bytes that go
 * out. */
static bool check_result(struct weir_span path, struct weir_arena *arena, struct weir_err *err)
{
    struct http_target target = {0};
    struct weir_err why = {0};

    if (path.len > 0 && path.ptr[0] == '/' && http_origin_form_parse(path, arena, &target, &why) &&
        target.query.ptr == NULL && weir_span_eq(target.path, path))
        return true;
    if (why.code == WEIR_E_MEMORY)
        return weir_fail(err, WEIR_E_MEMORY, "rewrite: check", 0);
    return weir_failf(err, WEIR_E_INTERNAL, "rewrite: result", 0, "'%.*s' is no normalised path",
                      path.len < 100 ? (int)path.len : 100, path.ptr);
}

bool rewrite_path(const struct rewrite *r, const struct template_values *v,
                  struct pattern_scratch *scratch, struct weir_arena *arena, struct weir_span *path,
                  struct weir_err *err)
{
    struct weir_span now = *path;

    if (r == NULL || now.len == 0 || now.ptr[0] != '/') /* "*" has no prefix and no segments */
        return true;
    now = strip(r, now);
    if (r->pattern != NULL && !apply_pattern(r, v, scratch, arena, &now, err))
        return false;
    /* Judged before the prefix goes in front, or "/.." could climb out of it. */
    if (!check_result(now, arena, err))
        return false;
    if (r->prefix.len > 0 && !prepend(r->prefix, arena, &now, err))
        return false;
    *path = now;
    return true;
}
