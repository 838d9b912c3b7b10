#include "http_validator.h"

#include "http_char.h"
#include "http_date.h"

/* Length of the entity-tag at the front of s, or 0. Backslash means nothing here (RFC 9110 8.8.3).
 */
static size_t tag_length(struct weir_span s)
{
    size_t i = s.len > 2 && s.ptr[0] == 'W' && s.ptr[1] == '/' ? 2 : 0;

    if (i >= s.len || s.ptr[i] != '"')
        return 0;
    for (i++; i < s.len && http_char_is(s.ptr[i], HTTP_C_ETAG); i++)
        ;
    return i < s.len && s.ptr[i] == '"' ? i + 1 : 0;
}

bool http_etag_parse(struct weir_span text, struct http_etag *out)
{
    *out = (struct http_etag){WEIR_SPAN_NONE, false};
    if (text.len == 0 || tag_length(text) != text.len)
        return false;
    out->weak = text.ptr[0] == 'W';
    out->opaque = out->weak ? weir_span(text.ptr + 2, text.len - 2) : text;
    return true;
}

bool http_etag_of(const struct http_head *h, struct http_etag *out)
{
    if (http_head_repeats(h, HTTP_F_ETAG)) {
        *out = (struct http_etag){WEIR_SPAN_NONE, false};
        return false;
    }
    return http_etag_parse(http_head_value(h, HTTP_F_ETAG), out);
}

bool http_etag_weak_eq(const struct http_etag *a, const struct http_etag *b)
{
    return a->opaque.ptr != NULL && b->opaque.ptr != NULL && weir_span_eq(a->opaque, b->opaque);
}

bool http_etag_strong_eq(const struct http_etag *a, const struct http_etag *b)
{
    return !a->weak && !b->weak && http_etag_weak_eq(a, b);
}

/* The first line of a field, and how many there are. */
static unsigned lines_of(const struct http_field *fields, uint32_t count, uint16_t id,
                         struct weir_span *first)
{
    unsigned lines = 0;

    *first = WEIR_SPAN_NONE;
    for (uint32_t i = 0; i < count; i++)
        if (fields[i].id == id && lines++ == 0)
            *first = fields[i].value;
    return lines;
}

struct weir_span http_strong_validator(const struct http_field *fields, uint32_t count)
{
    struct weir_span etag, last_modified, date;
    int64_t modified, at;
    struct http_etag tag;
    unsigned etags = lines_of(fields, count, HTTP_F_ETAG, &etag);

    if (etags > 0)
        return etags == 1 && http_etag_parse(etag, &tag) && !tag.weak ? etag : WEIR_SPAN_NONE;
    /* Two-digit years: both are read the same way, and only compared. */
    if (lines_of(fields, count, HTTP_F_LAST_MODIFIED, &last_modified) == 1 &&
        lines_of(fields, count, HTTP_F_DATE, &date) == 1 &&
        http_date_parse(last_modified, 0, &modified) && http_date_parse(date, 0, &at) &&
        modified < at)
        return last_modified;
    return WEIR_SPAN_NONE;
}

/* ---- lists of entity tags: not http_list.h, for a backslash in a tag quotes nothing ---- */

static void skip_separators(struct weir_span *s)
{
    while (s->len > 0 && (http_char_ows(s->ptr[0]) || s->ptr[0] == ',')) {
        s->ptr++;
        s->len--;
    }
}

static void skip_member(struct weir_span *s)
{
    const char *comma = memchr(s->ptr, ',', s->len);
    size_t n = comma != NULL ? (size_t)(comma - s->ptr) : s->len;

    s->ptr += n;
    s->len -= n;
}

/* A tag is a member only if a comma or the end follows it. */
static bool ends_member(struct weir_span s)
{
    while (s.len > 0 && http_char_ows(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    return s.len == 0 || s.ptr[0] == ',';
}

static bool value_matches(struct weir_span rest, const struct http_etag *tag)
{
    struct http_etag member;

    for (skip_separators(&rest); rest.len > 0; skip_separators(&rest)) {
        size_t n = tag_length(rest);
        bool whole = n > 0 && ends_member(weir_span(rest.ptr + n, rest.len - n));

        if (whole && http_etag_parse(weir_span(rest.ptr, n), &member) &&
            http_etag_weak_eq(&member, tag))
            return true;
        if (n > 0) {
            rest.ptr += n;
            rest.len -= n;
        }
        if (!whole && rest.len > 0)
            skip_member(&rest);
    }
    return false;
}

static bool any_matches(const struct http_head *h, bool exists, const struct http_etag *tag)
{
    const struct http_field *f = http_head_first(h, HTTP_F_IF_NONE_MATCH);

    for (; f != NULL; f = http_head_next(h, f)) {
        if (weir_span_eq(f->value, WEIR_SPAN_LIT("*")) && exists)
            return true;
        if (tag != NULL && value_matches(f->value, tag))
            return true;
    }
    return false;
}

enum http_condition http_if_none_match(const struct http_head *h, bool exists,
                                       const struct http_etag *tag)
{
    if (!http_head_has(h, HTTP_F_IF_NONE_MATCH))
        return HTTP_COND_ABSENT;
    return any_matches(h, exists, tag) ? HTTP_COND_FALSE : HTTP_COND_TRUE;
}

/* ---- dates ---- */

static bool single_date(const struct http_head *h, uint16_t id, int64_t now, int64_t *out)
{
    return http_head_has(h, id) && !http_head_repeats(h, id) &&
           http_date_parse(http_head_value(h, id), now, out);
}

enum http_condition http_if_modified_since(const struct http_head *h, int64_t last_modified,
                                           int64_t now)
{
    int64_t date;

    if (last_modified == INT64_MIN || !single_date(h, HTTP_F_IF_MODIFIED_SINCE, now, &date))
        return HTTP_COND_ABSENT;
    return last_modified > date ? HTTP_COND_TRUE : HTTP_COND_FALSE;
}

/* Last-Modified is strong only if the response's Date is at least a second later (RFC
 * 9110 8.8.2.2). */
static bool date_is_strong(int64_t last_modified, int64_t date)
{
    return last_modified != INT64_MIN && date != INT64_MIN && last_modified < date;
}

enum http_condition http_if_range(const struct http_head *h, const struct http_etag *tag,
                                  int64_t last_modified, int64_t date, int64_t now)
{
    struct weir_span value = http_head_value(h, HTTP_F_IF_RANGE);
    struct http_etag asked;
    int64_t since;

    if (value.ptr == NULL)
        return HTTP_COND_ABSENT;
    if (http_head_repeats(h, HTTP_F_IF_RANGE))
        return HTTP_COND_FALSE;
    if (http_etag_parse(value, &asked))
        return tag != NULL && http_etag_strong_eq(&asked, tag) ? HTTP_COND_TRUE : HTTP_COND_FALSE;
    if (http_date_parse(value, now, &since) && date_is_strong(last_modified, date) &&
        since == last_modified)
        return HTTP_COND_TRUE;
    return HTTP_COND_FALSE;
}
