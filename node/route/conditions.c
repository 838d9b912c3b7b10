#include "conditions.h"

#include "cookie.h"
#include "http_head.h"
#include "http_list.h"
#include "netset.h"
#include "pattern.h"
#include "route_compiler.h"
#include "router.h"

struct condition {
    struct weir_span name;
    uint16_t id;                   /* of a field; else HTTP_F_NONE */
    bool absent;                   /* must not be there */
    struct weir_span value;        /* ptr NULL: any */
    const struct pattern *pattern; /* NULL: any */
};

struct conditions {
    struct condition *at;
    size_t count;
};

struct route_conditions {
    struct weir_span *methods;
    size_t method_count;
    const struct netset *clients; /* NULL: any */
    struct conditions fields, cookies, query;
};

/* ---- compiling ---- */

static bool check_condition(struct route_compiler *c, const struct match_pair_settings *s,
                            const char *path)
{
    if (s->name == NULL || s->name[0] == '\0')
        return route_fault_text(c, path, "a condition needs a name");
    if (s->value != NULL && s->pattern != NULL)
        return route_fault_text(c, path, "value and pattern exclude each other");
    if (s->absent && (s->value != NULL || s->pattern != NULL))
        return route_fault_text(c, path, "what must be absent has no value and no pattern");
    return true;
}

static void compile_condition(struct route_compiler *c, struct condition *to,
                              const struct match_pair_settings *s, bool field, const char *path)
{
    struct route_place place;

    if (!check_condition(c, s, path))
        return;
    to->name = weir_span_str(s->name);
    to->absent = s->absent;
    to->value = weir_span_str(s->value);
    if (field && !http_is_token(to->name))
        route_fault_text(c, path, "'%.64s' is no field name", s->name);
    to->id = field ? http_field_intern(to->name) : HTTP_F_NONE;
    if (s->pattern == NULL)
        return;
    place = route_place("%s.pattern", path);
    to->pattern = route_pattern(c, s->pattern, place.text);
}

static void compile_list(struct route_compiler *c, struct conditions *to,
                         const struct match_pair_settings *s, size_t count, const char *what)
{
    struct route_place place;

    to->at = route_alloc(c, count, sizeof(*to->at));
    if (to->at == NULL)
        return;
    to->count = count;
    for (size_t i = 0; i < count; i++) {
        place = route_place("match.%s[%zu]", what, i);
        compile_condition(c, &to->at[i], &s[i], strcmp(what, "fields") == 0, place.text);
    }
}

static void compile_methods(struct route_compiler *c, struct route_conditions *to,
                            const struct match_settings *s)
{
    struct route_place place;

    to->methods = route_alloc(c, s->method_count, sizeof(*to->methods));
    if (to->methods == NULL)
        return;
    to->method_count = s->method_count;
    for (size_t i = 0; i < s->method_count; i++) {
        to->methods[i] = weir_span_str(s->methods[i]);
        place = route_place("match.methods[%zu]", i);
        if (!http_is_token(to->methods[i]))
            route_fault_text(c, place.text, "'%.64s' is no method", s->methods[i]);
    }
}

struct route_conditions *conditions_compile(struct route_compiler *c,
                                            const struct match_settings *s)
{
    struct route_conditions *to;

    if (s->method_count + s->field_count + s->cookie_count + s->query_count + s->client_count == 0)
        return NULL;
    to = route_alloc(c, 1, sizeof(*to));
    if (to == NULL)
        return NULL;
    compile_methods(c, to, s);
    compile_list(c, &to->fields, s->fields, s->field_count, "fields");
    compile_list(c, &to->cookies, s->cookies, s->cookie_count, "cookies");
    compile_list(c, &to->query, s->query, s->query_count, "query");
    if (s->client_count > 0)
        to->clients = route_netset(c, s->clients, s->client_count, "match.clients");
    return to;
}

/* ---- filtering ---- */

static bool value_fits(const struct condition *c, struct weir_span value,
                       const struct route_query *q, struct route_match *out)
{
    if (c->value.ptr != NULL)
        return weir_span_eq(c->value, value);
    if (c->pattern == NULL)
        return true;
    switch (pattern_match(c->pattern, value, q->scratch, NULL)) {
    case PATTERN_MATCH:
        return true;
    case PATTERN_LIMIT:
        out->limit_hit = true;
        return false;
    case PATTERN_NO_MATCH:
        break;
    }
    return false;
}

static bool field_holds(const struct condition *c, const struct route_query *q,
                        struct route_match *out)
{
    const struct http_field *f =
        c->id != HTTP_F_NONE ? http_head_first(q->head, c->id) : http_head_find(q->head, c->name);

    if (c->absent)
        return f == NULL;
    for (; f != NULL; f = http_head_next(q->head, f)) {
        if (value_fits(c, f->value, q, out))
            return true;
    }
    return false;
}

static bool cookie_holds(const struct condition *c, const struct route_query *q,
                         struct route_match *out)
{
    struct weir_span value;
    bool found = cookie_find(q->head, c->name, &value);

    return c->absent ? !found : found && value_fits(c, value, q, out);
}

static bool query_holds(const struct condition *c, const struct route_query *q,
                        struct route_match *out)
{
    struct weir_span value;
    bool found = query_find(q->query, c->name, &value);

    return c->absent ? !found : found && value_fits(c, value, q, out);
}

static bool all_hold(const struct conditions *list,
                     bool (*holds)(const struct condition *c, const struct route_query *q,
                                   struct route_match *out),
                     const struct route_query *q, struct route_match *out)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!holds(&list->at[i], q, out))
            return false;
    }
    return true;
}

static bool method_allowed(const struct route_conditions *c, struct weir_span method)
{
    for (size_t i = 0; i < c->method_count; i++) {
        if (weir_span_eq(c->methods[i], method))
            return true;
    }
    return c->method_count == 0;
}

bool conditions_hold(const struct route_conditions *c, const struct route_query *q,
                     struct route_match *out)
{
    if (c == NULL)
        return true;
    if (c->clients != NULL && !netset_has(c->clients, q->client))
        return false;
    if (!all_hold(&c->fields, field_holds, q, out) ||
        !all_hold(&c->cookies, cookie_holds, q, out) || !all_hold(&c->query, query_holds, q, out))
        return false;
    if (method_allowed(c, q->method)) /* last: a 405 is true only if all else fits */
        return true;
    out->method_refused = true;
    return false;
}
