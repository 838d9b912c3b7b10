#include "key_query.h"

#include <stdlib.h>

#include "weir/arena.h"
#include "cache_settings.h"

struct parameter {
    struct weir_span text; /* "name=value", as it stands */
    size_t name_len;
};

static struct weir_span name_of(const struct parameter *p)
{
    return weir_span(p->text.ptr, p->name_len);
}

/* "utm_*" stands for every name that begins so. */
static bool names(const char *pattern, struct weir_span name)
{
    size_t len = strlen(pattern);

    if (len > 0 && pattern[len - 1] == '*')
        return weir_span_starts(name, weir_span(pattern, len - 1));
    return weir_span_eq(name, weir_span(pattern, len));
}

static bool listed(const struct cache_key_settings *rules, struct weir_span name)
{
    for (size_t i = 0; i < rules->parameter_count; i++)
        if (names(rules->parameters[i], name))
            return true;
    return false;
}

static bool counts(const struct cache_key_settings *rules, const struct parameter *p)
{
    if (p->text.len == 0)
        return false;
    switch (rules->query) {
    case KEY_QUERY_NONE:
        return false;
    case KEY_QUERY_ONLY:
        return listed(rules, name_of(p));
    case KEY_QUERY_EXCEPT:
        return !listed(rules, name_of(p));
    case KEY_QUERY_ALL:
        break;
    }
    return true;
}

static size_t parameters_in(struct weir_span query)
{
    size_t n = 1;

    for (size_t i = 0; i < query.len; i++)
        n += query.ptr[i] == '&';
    return n;
}

/* Takes the next one off *rest, the last with its end. */
static struct parameter next_parameter(struct weir_span *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '&', rest->len) : NULL;
    struct parameter p = {.text = *rest};
    const char *equals;

    if (end != NULL)
        p.text.len = (size_t)(end - rest->ptr);
    rest->len -= p.text.len + (end != NULL);
    rest->ptr += p.text.len + (end != NULL);
    equals = p.text.len > 0 ? memchr(p.text.ptr, '=', p.text.len) : NULL;
    p.name_len = equals != NULL ? (size_t)(equals - p.text.ptr) : p.text.len;
    return p;
}

static int compare(const void *left, const void *right)
{
    const struct parameter *a = left, *b = right;
    size_t common = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = common > 0 ? memcmp(a->text.ptr, b->text.ptr, common) : 0;

    if (order != 0)
        return order;
    if (a->name_len != b->name_len)
        return a->name_len < b->name_len ? -1 : 1;
    /* Of the same name: in the order they came. */
    return a->text.ptr < b->text.ptr ? -1 : a->text.ptr > b->text.ptr;
}

static bool in_order(const struct parameter *list, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (compare(&list[i - 1], &list[i]) > 0)
            return false;
    return true;
}

static bool join(const struct parameter *list, size_t n, size_t room, struct weir_arena *arena,
                 struct weir_span *out)
{
    char *buf = weir_arena_alloc(arena, room), *at = buf;

    if (buf == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            *at++ = '&';
        memcpy(at, list[i].text.ptr, list[i].text.len);
        at += list[i].text.len;
    }
    *out = weir_span(buf, (size_t)(at - buf));
    return true;
}

bool key_query_apply(const struct cache_key_settings *rules, struct weir_span query,
                     struct weir_arena *arena, struct weir_span *out)
{
    struct weir_span rest = query;
    struct parameter *list;
    size_t total, n = 0;

    *out = query;
    if (query.ptr == NULL || (rules->query == KEY_QUERY_ALL && !rules->sort))
        return true;
    total = parameters_in(query);
    if (total > KEY_QUERY_PARAMETERS_MAX && rules->query != KEY_QUERY_NONE)
        return true;
    list = weir_arena_alloc(arena, (total > KEY_QUERY_PARAMETERS_MAX ? 1 : total) * sizeof *list);
    if (list == NULL)
        return false;
    for (size_t i = 0; i < total; i++) {
        struct parameter p = next_parameter(&rest);

        if (counts(rules, &p))
            list[n++] = p;
    }
    if (n == 0) {
        *out = WEIR_SPAN_NONE;
        return true;
    }
    if (rules->sort && !in_order(list, n))
        qsort(list, n, sizeof *list, compare);
    else if (n == total)
        return true;
    return join(list, n, query.len, arena, out);
}
