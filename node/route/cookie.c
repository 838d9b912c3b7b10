#include "cookie.h"

#include "http_head.h"

/* Takes the part before the next `separator` off *rest; false at the end. */
static bool next_part(struct weir_span *rest, char separator, struct weir_span *part)
{
    const char *end;

    if (rest->len == 0)
        return false;
    end = memchr(rest->ptr, separator, rest->len);
    if (end == NULL) {
        *part = *rest;
        *rest = WEIR_SPAN_NONE;
        return true;
    }
    *part = weir_span(rest->ptr, (size_t)(end - rest->ptr));
    rest->ptr = end + 1;
    rest->len -= part->len + 1;
    return true;
}

/* Name before the first '=', value behind it; false without '='. */
static bool cut_pair(struct weir_span part, struct weir_span *name, struct weir_span *value)
{
    const char *equals = part.len > 0 ? memchr(part.ptr, '=', part.len) : NULL;

    if (equals == NULL)
        return false;
    *name = weir_span(part.ptr, (size_t)(equals - part.ptr));
    *value = weir_span(equals + 1, part.len - name->len - 1);
    return true;
}

bool cookie_next_in(struct weir_span *rest, struct weir_span name, struct weir_span *value)
{
    struct weir_span part, key, found;

    if (name.len == 0)
        return false;
    while (next_part(rest, ';', &part)) {
        if (!cut_pair(weir_span_trim(part), &key, &found))
            continue;
        if (weir_span_eq(weir_span_trim(key), name)) { /* RFC 6265 5.2 trims, and so do origins */
            *value = weir_span_trim(found);
            return true;
        }
    }
    return false;
}

bool cookie_find_in(struct weir_span field_value, struct weir_span name, struct weir_span *value)
{
    struct weir_span rest = field_value;

    return cookie_next_in(&rest, name, value);
}

bool cookie_find(const struct http_head *head, struct weir_span name, struct weir_span *value)
{
    const struct http_field *f;

    for (f = http_head_first(head, HTTP_F_COOKIE); f != NULL; f = http_head_next(head, f)) {
        if (cookie_find_in(f->value, name, value))
            return true;
    }
    return false;
}

bool query_find(struct weir_span query, struct weir_span name, struct weir_span *value)
{
    struct weir_span rest = query, part, key, found;

    while (next_part(&rest, '&', &part)) {
        if (!cut_pair(part, &key, &found)) {
            key = part;
            found = weir_span(part.ptr + part.len, 0);
        }
        if (key.len > 0 && weir_span_eq(key, name)) {
            *value = found;
            return true;
        }
    }
    return false;
}
