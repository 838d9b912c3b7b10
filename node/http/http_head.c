#include "http_head.h"

#include <assert.h>
#include <string.h>

#define FIELDS_MAX UINT16_MAX /* first[] holds indices in 16 bits */
#define GROW_MIN   16

void http_head_init(struct http_head *h, struct http_field *fields, uint32_t cap)
{
    assert(cap <= FIELDS_MAX);
    h->fields = fields;
    h->cap = cap;
    http_head_reset(h);
}

static void forget_fields(struct http_head *h)
{
    h->count = 0;
    memset(h->present, 0, sizeof(h->present));
    memset(h->repeated, 0, sizeof(h->repeated));
}

void http_head_reset(struct http_head *h)
{
    h->method = WEIR_SPAN_NONE;
    h->method_id = HTTP_M_OTHER;
    h->target = WEIR_SPAN_NONE;
    h->status = 0;
    h->reason = WEIR_SPAN_NONE;
    h->minor = 1;
    h->dropped = 0;
    forget_fields(h);
}

static bool same_name(const struct http_field *a, const struct http_field *b)
{
    return a->id == b->id && (a->id != HTTP_F_NONE || weir_span_ieq(a->name, b->name));
}

const struct http_field *http_head_next(const struct http_head *h, const struct http_field *f)
{
    if (f->id != HTTP_F_NONE && !http_head_repeats(h, f->id))
        return NULL;
    for (const struct http_field *g = f + 1; g < h->fields + h->count; g++)
        if (same_name(f, g))
            return g;
    return NULL;
}

const struct http_field *http_head_find(const struct http_head *h, struct weir_span name)
{
    uint16_t id = http_field_intern(name);

    if (id != HTTP_F_NONE)
        return http_head_first(h, id);
    for (uint32_t i = 0; i < h->count; i++)
        if (h->fields[i].id == HTTP_F_NONE && weir_span_ieq(h->fields[i].name, name))
            return &h->fields[i];
    return NULL;
}

static bool grow(struct http_head *h, struct weir_arena *a)
{
    uint32_t cap = h->cap < GROW_MIN ? GROW_MIN : h->cap * 2;
    struct http_field *fields;

    if (a == NULL || h->count >= FIELDS_MAX)
        return false;
    if (cap > FIELDS_MAX)
        cap = FIELDS_MAX;
    fields = weir_arena_alloc(a, cap * sizeof(*fields));
    if (fields == NULL)
        return false;
    if (h->count > 0)
        memcpy(fields, h->fields, h->count * sizeof(*fields));
    h->fields = fields;
    h->cap = cap;
    return true;
}

static bool append(struct http_head *h, struct weir_arena *a, const struct http_field *f)
{
    if ((h->count >= h->cap || h->count >= FIELDS_MAX) && !grow(h, a))
        return false;
    http_head_put(h, f);
    return true;
}

bool http_head_add(struct http_head *h, struct weir_arena *a, struct weir_span name,
                   struct weir_span value)
{
    uint16_t id = http_field_intern(name);
    struct http_field f = {name, value, id, http_field_flags(id, name)};

    if (f.value.ptr == NULL)
        f.value.ptr = "";
    return append(h, a, &f);
}

bool http_head_add_id(struct http_head *h, struct weir_arena *a, uint16_t id,
                      struct weir_span value)
{
    struct http_field f = {http_field_name(id), value, id, 0};

    f.flags = http_field_flags(id, f.name);
    if (f.value.ptr == NULL)
        f.value.ptr = "";
    return append(h, a, &f);
}

bool http_head_set_id(struct http_head *h, struct weir_arena *a, uint16_t id,
                      struct weir_span value)
{
    /* Room first: a failure must leave the old lines where they are. */
    if (h->count >= h->cap && !http_head_has(h, id) && !grow(h, a))
        return false;
    http_head_remove(h, id);
    return http_head_add_id(h, a, id, value);
}

uint32_t http_head_remove_if(struct http_head *h,
                             bool (*drop)(const struct http_field *f, const void *ctx),
                             const void *ctx)
{
    uint32_t before = h->count;

    /* drop() may look into the head's index, so it is renewed only afterwards. */
    for (uint32_t i = 0; i < before; i++)
        if (drop(&h->fields[i], ctx))
            h->fields[i].name.ptr = NULL;
    forget_fields(h);
    for (uint32_t i = 0; i < before; i++) {
        struct http_field f = h->fields[i];

        if (f.name.ptr != NULL)
            http_head_put(h, &f);
    }
    return before - h->count;
}

static bool has_id(const struct http_field *f, const void *ctx)
{
    const uint16_t *id = ctx;

    return f->id == *id;
}

uint32_t http_head_remove(struct http_head *h, uint16_t id)
{
    return http_head_has(h, id) ? http_head_remove_if(h, has_id, &id) : 0;
}

static bool has_name(const struct http_field *f, const void *ctx)
{
    const struct weir_span *name = ctx;

    return f->id == HTTP_F_NONE && weir_span_ieq(f->name, *name);
}

uint32_t http_head_remove_name(struct http_head *h, struct weir_span name)
{
    uint16_t id = http_field_intern(name);

    return id != HTTP_F_NONE ? http_head_remove(h, id) : http_head_remove_if(h, has_name, &name);
}

static size_t bytes_of(const struct http_head *h)
{
    size_t sum = h->method.len + h->target.len + h->reason.len;

    for (uint32_t i = 0; i < h->count; i++)
        sum += h->fields[i].name.len + h->fields[i].value.len;
    return sum;
}

static struct weir_span put(char **at, struct weir_span s)
{
    struct weir_span copy = {*at, s.len};

    if (s.ptr == NULL)
        return s;
    if (s.len > 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

bool http_head_copy(struct http_head *to, const struct http_head *from, struct weir_arena *a)
{
    struct http_field *fields = weir_arena_alloc(a, from->count * sizeof(*fields));
    char *at = weir_arena_alloc(a, bytes_of(from));

    if (fields == NULL || at == NULL)
        return false;
    *to = *from;
    to->fields = fields;
    to->cap = from->count;
    to->method = put(&at, from->method);
    to->target = put(&at, from->target);
    to->reason = put(&at, from->reason);
    for (uint32_t i = 0; i < from->count; i++) {
        fields[i] = from->fields[i];
        /* Known names need no copy: the table lives as long as the program. But keep the sender's
         * spelling. */
        fields[i].name = put(&at, from->fields[i].name);
        fields[i].value = put(&at, from->fields[i].value);
    }
    return true;
}

/* Compared as integers, for the old buffer may be gone already. */
static void move_span(struct weir_span *s, uintptr_t old_base, size_t len, const char *new_base)
{
    uintptr_t offset = (uintptr_t)s->ptr - old_base;

    if (s->ptr != NULL && (uintptr_t)s->ptr >= old_base && offset < len)
        s->ptr = new_base + offset;
}

void http_head_rebase(struct http_head *h, const char *old_base, size_t len, const char *new_base)
{
    uintptr_t old = (uintptr_t)old_base;

    move_span(&h->method, old, len, new_base);
    move_span(&h->target, old, len, new_base);
    move_span(&h->reason, old, len, new_base);
    for (uint32_t i = 0; i < h->count; i++) {
        move_span(&h->fields[i].name, old, len, new_base);
        move_span(&h->fields[i].value, old, len, new_base);
    }
}
