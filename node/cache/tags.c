#include "tags.h"

#include <string.h>

#include "weir/arena.h"

#include "http_head.h"
#include "http_sf.h"
#include "purge.h"

static bool separates(char c, bool commas)
{
    return c == ' ' || c == '\t' || (commas && c == ',');
}

bool tags_next(struct weir_span *rest, bool commas, struct weir_span *tag)
{
    size_t from = 0, to;

    while (from < rest->len && separates(rest->ptr[from], commas))
        from++;
    if (from == rest->len)
        return false;
    for (to = from; to < rest->len && !separates(rest->ptr[to], commas);)
        to++;
    *tag = weir_span(rest->ptr + from, to - from);
    *rest = weir_span(rest->ptr + to, rest->len - to);
    return true;
}

bool tags_is_field(struct weir_span name, const char *const *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weir_span_ieq(name, weir_span_str(fields[i])))
            return true;
    return false;
}

/* ---- groups ---- */

/* Every member of a list of strings; none if one member is no string. false: no memory. */
static bool each_string(const struct http_head *head, uint16_t id, struct weir_arena *arena,
                        void (*each)(struct weir_span text, void *arg), void *arg)
{
    struct weir_span value;
    struct http_sf it, again;
    struct http_sf_item item;
    char *room;

    if (!http_head_has(head, id))
        return true;
    if (!http_sf_lines(&value, head, id, arena))
        return false;
    room = weir_arena_alloc(arena, value.len);
    if (room == NULL && value.len > 0)
        return false;
    if (!http_sf_list(&it, value))
        return true;
    for (again = it; http_sf_list_next(&it, &item);)
        if (item.type != HTTP_SF_STRING)
            return true;
    while (http_sf_list_next(&again, &item))
        each(http_sf_text(&item, room), arg);
    return true;
}

bool tags_invalidated_groups(const struct http_head *response, struct weir_arena *arena,
                             void (*each)(struct weir_span group, void *arg), void *arg)
{
    return each_string(response, HTTP_F_CACHE_GROUP_INVALIDATION, arena, each, arg);
}

/* ---- all of a response ---- */

/* Counts first, into nothing, then writes. */
struct collecting {
    const struct purge_table *table;
    const struct tags_question *q;
    uint64_t *hashes;
    char *text;
    size_t count, text_len;
};

static void add_group(struct weir_span group, void *arg)
{
    struct collecting *c = arg;

    if (c->hashes != NULL)
        c->hashes[c->count] = purge_group_hash(c->table, c->q->scheme, c->q->authority, group);
    c->count++;
}

static void add_tag(struct collecting *c, struct weir_span tag)
{
    size_t space = c->text_len > 0;

    if (c->hashes != NULL)
        c->hashes[c->count] = purge_tag_hash(c->table, tag);
    if (c->text != NULL) {
        if (space)
            c->text[c->text_len] = ' ';
        memcpy(c->text + c->text_len + space, tag.ptr, tag.len);
    }
    c->text_len += space + tag.len;
    c->count++;
}

static void add_tags(struct collecting *c, struct weir_span value, bool commas)
{
    struct weir_span tag;

    while (tags_next(&value, commas, &tag))
        add_tag(c, tag);
}

static bool collect(struct collecting *c, struct weir_arena *arena)
{
    const struct http_head *head = c->q->response;
    bool any = false;

    c->count = c->text_len = 0;
    for (size_t i = 0; i < c->q->field_count; i++) {
        const struct http_field *field = http_head_find(head, weir_span_str(c->q->fields[i]));

        any = any || field != NULL;
        for (; field != NULL; field = http_head_next(head, field))
            add_tags(c, field->value, field->id != HTTP_F_SURROGATE_KEY);
    }
    if (!any)
        add_tags(c, c->q->kept, false);
    return each_string(head, HTTP_F_CACHE_GROUPS, arena, add_group, c);
}

bool tags_of(struct tags *out, const struct tags_question *q, const struct purge_table *t,
             struct weir_arena *arena)
{
    struct collecting c = {.table = t, .q = q};

    *out = (struct tags){0};
    if (!collect(&c, arena))
        return false;
    if (c.count == 0)
        return true;
    c.hashes = weir_arena_alloc(arena, c.count * sizeof *c.hashes);
    c.text = weir_arena_alloc(arena, c.text_len);
    if (c.hashes == NULL || (c.text == NULL && c.text_len > 0) || !collect(&c, arena))
        return false;
    *out = (struct tags){c.hashes, (uint32_t)c.count, weir_span(c.text, c.text_len)};
    return true;
}
