#include "validate.h"

#include "weir/arena.h"

#include "http_date.h"
#include "http_framing.h"
#include "http_head.h"
#include "http_status.h"
#include "http_validator.h"

#define NONE INT64_MIN

/* The date in the single line of a field, or NONE. */
static int64_t date_of(const struct http_head *h, uint16_t id, int64_t now)
{
    int64_t at;

    if (!http_head_has(h, id) || http_head_repeats(h, id))
        return NONE;
    return http_date_parse(http_head_value(h, id), now, &at) ? at : NONE;
}

bool validate_condition(struct validate_condition *c, const struct http_head *stored)
{
    struct http_etag tag;

    c->if_none_match = WEIR_SPAN_NONE;
    c->if_modified_since = WEIR_SPAN_NONE;
    if (http_etag_of(stored, &tag))
        c->if_none_match = http_head_value(stored, HTTP_F_ETAG);
    /* The century of a two-digit year is the origin's business here: it gets its own bytes back. */
    if (date_of(stored, HTTP_F_LAST_MODIFIED, 0) != NONE)
        c->if_modified_since = http_head_value(stored, HTTP_F_LAST_MODIFIED);
    return c->if_none_match.ptr != NULL || c->if_modified_since.ptr != NULL;
}

bool validate_possible(const struct http_head *stored)
{
    struct validate_condition c;

    return validate_condition(&c, stored);
}

bool validate_is_conditional(const struct http_head *request)
{
    return http_head_has(request, HTTP_F_IF_NONE_MATCH) ||
           http_head_has(request, HTTP_F_IF_MODIFIED_SINCE);
}

/* RFC 9111 4.3.2: Last-Modified, else Date, else when it was received. */
static int64_t modification_date(const struct http_head *stored, int64_t response_time)
{
    int64_t at = date_of(stored, HTTP_F_LAST_MODIFIED, response_time);

    if (at == NONE)
        at = date_of(stored, HTTP_F_DATE, response_time);
    return at != NONE ? at : response_time;
}

bool validate_client(const struct http_head *request, const struct http_head *stored,
                     int64_t response_time)
{
    struct http_etag tag = {WEIR_SPAN_NONE, false};

    if (http_status_class(stored->status) != 2)
        return false;
    if (http_head_has(request, HTTP_F_IF_NONE_MATCH)) {
        /* Also one that does not parse makes If-Modified-Since void (RFC 9110 13.1.3). */
        if (!http_etag_of(stored, &tag))
            tag.opaque = WEIR_SPAN_NONE;
        return http_if_none_match(request, true, &tag) == HTTP_COND_FALSE;
    }
    return http_if_modified_since(request, modification_date(stored, response_time),
                                  response_time) == HTTP_COND_FALSE;
}

/* Do both heads have this date, and is it the same? */
static bool same_modification(const struct http_head *a, const struct http_head *b)
{
    int64_t at = date_of(a, HTTP_F_LAST_MODIFIED, 0);

    return at != NONE && at == date_of(b, HTTP_F_LAST_MODIFIED, 0);
}

bool validate_names(const struct http_head *not_modified, const struct http_head *stored)
{
    struct http_etag fresh, old;
    bool has_old = http_etag_of(stored, &old);

    if (http_head_has(not_modified, HTTP_F_ETAG)) {
        if (!http_etag_of(not_modified, &fresh))
            return false; /* says something, but not what */
        if (!has_old)
            return same_modification(not_modified, stored);
        return fresh.weak ? http_etag_weak_eq(&fresh, &old) : http_etag_strong_eq(&fresh, &old);
    }
    /* Many origins leave Last-Modified in a 304 to an If-None-Match: the tag it confirmed decides,
     * unless the dates disagree. */
    if (http_head_has(not_modified, HTTP_F_LAST_MODIFIED) &&
        http_head_has(stored, HTTP_F_LAST_MODIFIED))
        return same_modification(not_modified, stored);
    return true;
}

enum validate_head validate_head(const struct http_head *answer, const struct http_head *stored,
                                 uint64_t stored_len)
{
    static const uint16_t validators[] = {HTTP_F_ETAG, HTTP_F_LAST_MODIFIED};
    struct weir_span length = http_head_value(answer, HTTP_F_CONTENT_LENGTH);
    unsigned long long bytes;
    bool same = false;

    if (length.ptr != NULL && (!weir_span_u64(length, UINT64_MAX, &bytes) || bytes != stored_len))
        return VALIDATE_HEAD_DIFFERS;
    for (size_t i = 0; i < 2; i++) {
        if (!http_head_has(answer, validators[i]))
            continue;
        if (!weir_span_eq(http_head_value(answer, validators[i]),
                          http_head_value(stored, validators[i])))
            return VALIDATE_HEAD_DIFFERS;
        same = true;
    }
    return same ? VALIDATE_HEAD_SAME : VALIDATE_HEAD_SILENT;
}

/* May a 304 bring this field into a stored head (RFC 9111 3.2)? */
static bool updates(const struct http_head *not_modified, const struct http_field *f)
{
    switch (f->id) {
    case HTTP_F_CONTENT_LENGTH: /* these describe the content, and the content stays */
    case HTTP_F_CONTENT_ENCODING:
    case HTTP_F_CONTENT_RANGE:
        return false;
    default:
        break;
    }
    if ((f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING)) != 0)
        return false;
    return (f->flags & HTTP_FF_PROTECTED) != 0 || !http_head_has(not_modified, HTTP_F_CONNECTION) ||
           !http_connection_names(not_modified, f->name);
}

static bool replaced(const struct http_head *not_modified, const struct http_field *f)
{
    const struct http_field *fresh;

    if (f->id == HTTP_F_AGE || f->id == HTTP_F_DATE)
        return true;
    fresh = f->id != HTTP_F_NONE ? http_head_first(not_modified, f->id)
                                 : http_head_find(not_modified, f->name);
    return fresh != NULL && updates(not_modified, fresh);
}

static bool add_field(struct http_head *h, const struct http_field *f)
{
    if (f->id != HTTP_F_NONE)
        return http_head_add_id(h, NULL, f->id, f->value);
    return http_head_add(h, NULL, f->name, f->value);
}

bool validate_merge(struct http_head *out, const struct http_head *stored,
                    const struct http_head *not_modified, struct weir_arena *arena)
{
    uint32_t cap = stored->count + not_modified->count;
    struct http_field *fields = weir_arena_alloc(arena, cap * sizeof(*fields));
    struct http_head h;

    if (fields == NULL)
        return false;
    http_head_init(&h, fields, cap);
    h.status = stored->status;
    h.reason = stored->reason;
    h.minor = stored->minor;
    for (uint32_t i = 0; i < stored->count; i++)
        if (!replaced(not_modified, &stored->fields[i]) && !add_field(&h, &stored->fields[i]))
            return false;
    for (uint32_t i = 0; i < not_modified->count; i++)
        if (updates(not_modified, &not_modified->fields[i]) &&
            !add_field(&h, &not_modified->fields[i]))
            return false;
    *out = h;
    return true;
}
