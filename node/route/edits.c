#include "edits.h"

#include "http_head.h"
#include "http_list.h"
#include "http_target.h"
#include "route_compiler.h"
#include "template.h"

struct edit {
    struct weir_span name;
    uint16_t id;                  /* HTTP_F_NONE if the name is not known */
    const struct template *value; /* NULL: remove */
};

struct edits {
    struct edit *remove, *set, *add;
    size_t remove_count, set_count, add_count;
    bool sets_host;
};

enum edit_kind { EDIT_REMOVE, EDIT_SET, EDIT_ADD };

/* ---- compiling ---- */

static bool check_name(struct route_compiler *c, const struct edit *e, enum edit_kind kind,
                       bool request, const char *path)
{
    if (!http_is_token(e->name))
        return route_fault_text(c, path, "'%.64s' is no field name", e->name.ptr);
    if (http_field_flags(e->id, e->name) & (HTTP_FF_HOP | HTTP_FF_FRAMING))
        return route_fault_text(
            c, path, "%.64s frames the message or concerns one connection: it cannot be edited",
            e->name.ptr);
    if (e->id == HTTP_F_EXPECT)
        return route_fault_text(c, path, "Expect is answered by weir: it cannot be edited");
    if (e->id == HTTP_F_HOST && !(request && kind == EDIT_SET))
        return route_fault_text(c, path, "Host can only be set, and only in requests");
    return true;
}

static void compile_edit(struct route_compiler *c, struct edit *e, const char *name,
                         const char *value, enum edit_kind kind, bool request, const char *path)
{
    struct route_place place;

    e->name = weir_span_str(name);
    e->id = http_field_intern(e->name);
    place = route_place("%s.name", path);
    if (!check_name(c, e, kind, request, kind == EDIT_REMOVE ? path : place.text))
        return;
    if (kind == EDIT_REMOVE)
        return;
    place = route_place("%s.value", path);
    e->value = route_template(c, value != NULL ? value : "", TEMPLATE_FIELD, place.text);
}

static struct edit *compile_values(struct route_compiler *c, const struct field_edit_settings *s,
                                   size_t count, enum edit_kind kind, bool request,
                                   const char *path)
{
    struct edit *list = route_alloc(c, count, sizeof(*list));
    struct route_place place;

    for (size_t i = 0; list != NULL && i < count; i++) {
        place = route_place("%s.%s[%zu]", path, kind == EDIT_SET ? "set" : "add", i);
        compile_edit(c, &list[i], s[i].name, s[i].value, kind, request, place.text);
    }
    return list;
}

static struct edit *compile_removals(struct route_compiler *c, const char **names, size_t count,
                                     bool request, const char *path)
{
    struct edit *list = route_alloc(c, count, sizeof(*list));
    struct route_place place;

    for (size_t i = 0; list != NULL && i < count; i++) {
        place = route_place("%s.remove[%zu]", path, i);
        compile_edit(c, &list[i], names[i], NULL, EDIT_REMOVE, request, place.text);
    }
    return list;
}

struct edits *edits_compile(struct route_compiler *c, const struct field_edits_settings *s,
                            bool request, const char *path)
{
    struct edits *e;

    if (s->set_count + s->add_count + s->remove_count == 0)
        return NULL;
    e = route_alloc(c, 1, sizeof(*e));
    if (e == NULL)
        return NULL;
    e->set = compile_values(c, s->set, s->set_count, EDIT_SET, request, path);
    e->add = compile_values(c, s->add, s->add_count, EDIT_ADD, request, path);
    e->remove = compile_removals(c, s->remove, s->remove_count, request, path);
    e->set_count = s->set_count;
    e->add_count = s->add_count;
    e->remove_count = s->remove_count;
    for (size_t i = 0; e->set != NULL && i < e->set_count; i++)
        e->sets_host = e->sets_host || e->set[i].id == HTTP_F_HOST;
    return e;
}

/* ---- applying ---- */

static void remove_lines(struct http_head *head, const struct edit *e)
{
    if (e->id != HTTP_F_NONE)
        http_head_remove(head, e->id);
    else
        http_head_remove_name(head, e->name);
}

/* A Host that is no authority would be one to some origins: refuse it like a client's. */
static bool check_host(struct weir_span value, struct weir_arena *arena, struct weir_err *err)
{
    struct http_target target = {0};
    struct weir_err why = {0};

    if (http_authority_parse(value, arena, &target, &why))
        return true;
    if (why.code == WEIR_E_MEMORY)
        return weir_fail(err, WEIR_E_MEMORY, "edits: host", 0);
    return weir_failf(err, WEIR_E_INTERNAL, "edits: host", 0, "'%.*s' is no host",
                      value.len < 100 ? (int)value.len : 100, value.ptr);
}

static bool add_line(const struct edit *e, const struct template_values *v, struct http_head *head,
                     struct weir_arena *arena, struct weir_err *err)
{
    struct weir_span value;
    bool added;

    if (!template_expand(e->value, v, arena, &value, err))
        return false;
    value = weir_span_trim(value);
    if (e->id == HTTP_F_HOST && !check_host(value, arena, err))
        return false;
    if (e->id != HTTP_F_NONE)
        added = http_head_add_id(head, arena, e->id, value);
    else
        added = http_head_add(head, arena, e->name, value);
    return added || weir_fail(err, WEIR_E_MEMORY, "edits: add a field", 0);
}

bool edits_apply(const struct edits *e, const struct template_values *v, struct http_head *head,
                 struct weir_arena *arena, struct weir_err *err)
{
    if (e == NULL)
        return true;
    for (size_t i = 0; i < e->remove_count; i++)
        remove_lines(head, &e->remove[i]);
    for (size_t i = 0; i < e->set_count; i++) {
        remove_lines(head, &e->set[i]);
        if (!add_line(&e->set[i], v, head, arena, err))
            return false;
    }
    for (size_t i = 0; i < e->add_count; i++) {
        if (!add_line(&e->add[i], v, head, arena, err))
            return false;
    }
    return true;
}

bool edits_set_host(const struct edits *e)
{
    return e != NULL && e->sets_host;
}
