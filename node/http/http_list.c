#include "http_list.h"

#include "http_char.h"

void http_list_begin(struct http_list *l, const struct http_head *h, uint16_t id)
{
    l->head = h;
    l->field = http_head_first(h, id);
    l->rest = l->field != NULL ? l->field->value : WEIR_SPAN_NONE;
}

void http_list_begin_value(struct http_list *l, struct weir_span value)
{
    l->head = NULL;
    l->field = NULL;
    l->rest = value;
}

/* Length up to the next `sep` outside quoted strings, or all of s. */
static size_t until(struct weir_span s, char sep)
{
    bool quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (quoted && s.ptr[i] == '\\')
            i++; /* a quoted-pair: the next byte means nothing */
        else if (!quoted && s.ptr[i] == sep)
            return i;
    }
    return s.len;
}

/* Cuts the part before `sep` off *rest, which then starts behind the separator. */
static struct weir_span cut(struct weir_span *rest, char sep)
{
    size_t n = until(*rest, sep);
    struct weir_span part = weir_span_trim(weir_span(rest->ptr, n));
    size_t gone = n < rest->len ? n + 1 : n;

    if (gone > 0) /* a value that is not there has no address to count from */
        *rest = weir_span(rest->ptr + gone, rest->len - gone);
    return part;
}

bool http_list_next(struct http_list *l, struct weir_span *member)
{
    for (;;) {
        while (l->rest.len > 0) {
            *member = cut(&l->rest, ',');
            if (member->len > 0)
                return true;
        }
        if (l->field != NULL)
            l->field = http_head_next(l->head, l->field);
        if (l->field == NULL)
            return false;
        l->rest = l->field->value;
    }
}

bool http_list_has(const struct http_head *h, uint16_t id, struct weir_span token)
{
    struct http_list l;
    struct weir_span member;

    http_list_begin(&l, h, id);
    while (http_list_next(&l, &member))
        if (weir_span_ieq(member, token))
            return true;
    return false;
}

struct weir_span http_list_item(struct weir_span member, struct weir_span *rest)
{
    *rest = member;
    return cut(rest, ';');
}

bool http_param_next(struct weir_span *rest, char sep, struct http_param *out)
{
    while (rest->len > 0) {
        struct weir_span part = cut(rest, sep);
        size_t eq = until(part, '=');

        if (part.len == 0)
            continue;
        /* RFC 9110 5.6.6 allows no space around '=': what stands there stays part of name or value.
         */
        out->name = weir_span(part.ptr, eq);
        out->value =
            eq < part.len ? weir_span(part.ptr + eq + 1, part.len - eq - 1) : WEIR_SPAN_NONE;
        return true;
    }
    return false;
}

bool http_is_token(struct weir_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_char_is(s.ptr[i], HTTP_C_TOKEN))
            return false;
    return s.len > 0;
}

bool http_is_quoted(struct weir_span s)
{
    size_t i;

    if (s.len < 2 || s.ptr[0] != '"' || s.ptr[s.len - 1] != '"')
        return false;
    for (i = 1; i < s.len - 1; i++) {
        if (s.ptr[i] == '\\' && ++i < s.len - 1 && http_char_is(s.ptr[i], HTTP_C_FIELD))
            continue;
        if (i >= s.len - 1 || !http_char_is(s.ptr[i], HTTP_C_QDTEXT))
            return false;
    }
    return true;
}

bool http_unquote(struct weir_span s, char *room, struct weir_span *out)
{
    struct weir_span inside;
    size_t n = 0;

    if (http_is_token(s)) {
        *out = s;
        return true;
    }
    if (!http_is_quoted(s))
        return false;
    inside = weir_span(s.ptr + 1, s.len - 2);
    *out = inside;
    if (memchr(inside.ptr, '\\', inside.len) == NULL)
        return true;
    if (room == NULL)
        return false;
    for (size_t i = 0; i < inside.len; i++) {
        i += inside.ptr[i] == '\\';
        room[n++] = inside.ptr[i];
    }
    *out = weir_span(room, n);
    return true;
}

/* qvalue of RFC 9110 12.4.2 in thousandths, or -1. */
static int qvalue(struct weir_span s)
{
    int value, scale = 100;

    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1'))
        return -1;
    value = (s.ptr[0] - '0') * 1000;
    if (s.len > 1 && s.ptr[1] != '.')
        return -1;
    for (size_t i = 2; i < s.len; i++, scale /= 10) {
        if (!http_char_digit(s.ptr[i]))
            return -1;
        value += (s.ptr[i] - '0') * scale;
    }
    return value <= 1000 ? value : -1;
}

int http_quality(struct weir_span member)
{
    struct weir_span rest;
    struct http_param p;

    http_list_item(member, &rest);
    while (http_param_next(&rest, ';', &p))
        if (p.name.len == 1 && weir_ascii_lower(p.name.ptr[0]) == 'q')
            return qvalue(p.value);
    return 1000;
}
