#include "http_range.h"

#include "http_char.h"
#include "http_head.h"
#include "http_text.h"

/* ---- parsing ---- */

/* Digits at the front of *s, at least one; saturates. */
static bool take_number(struct weir_span *s, uint64_t *out)
{
    uint64_t n = 0;
    size_t i = 0;

    for (; i < s->len && http_char_digit(s->ptr[i]); i++) {
        uint64_t digit = (uint64_t)(s->ptr[i] - '0');

        n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
    }
    *s = weir_span(s->ptr + i, s->len - i);
    *out = n;
    return i > 0;
}

static bool take_char(struct weir_span *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = weir_span(s->ptr + 1, s->len - 1);
    return true;
}

/* "bytes" and the separator: unit names compare without case (RFC 9110 14.1). */
static bool take_unit(struct weir_span *s, char separator)
{
    const struct weir_span unit = WEIR_SPAN_LIT("bytes");

    if (s->len <= unit.len || !weir_span_ieq(weir_span(s->ptr, unit.len), unit) ||
        s->ptr[unit.len] != separator)
        return false;
    *s = weir_span(s->ptr + unit.len + 1, s->len - unit.len - 1);
    return true;
}

enum spec { SPEC_INVALID, SPEC_BEYOND, SPEC_EMPTY, SPEC_RANGE };

/* One range-spec against the length (RFC 9110 14.1.2). */
static enum spec resolve_spec(struct weir_span s, uint64_t length, struct http_range *out)
{
    uint64_t n, last = UINT64_MAX;

    if (take_char(&s, '-')) { /* suffix-range */
        if (!take_number(&s, &n) || s.len > 0)
            return SPEC_INVALID;
        if (n == 0)
            return SPEC_BEYOND;
        if (length == 0)
            return SPEC_EMPTY;
        *out = (struct http_range){n < length ? length - n : 0, length - 1};
        return SPEC_RANGE;
    }
    if (!take_number(&s, &n) || !take_char(&s, '-'))
        return SPEC_INVALID;
    if (s.len > 0 && (!take_number(&s, &last) || s.len > 0 || last < n))
        return SPEC_INVALID;
    if (n >= length)
        return SPEC_BEYOND;
    *out = (struct http_range){n, last < length ? last : length - 1};
    return SPEC_RANGE;
}

/* ---- coalescing ---- */

static bool touches(const struct http_range *a, const struct http_range *b)
{
    /* The first bytes are below a length: 1 can be taken off what is greater. */
    return a->first <= b->last ? b->first <= a->last || b->first - 1 == a->last
                               : a->first - 1 == b->last;
}

/* r grows by `with`. */
static void unite(struct http_range *r, const struct http_range *with)
{
    if (with->first < r->first)
        r->first = with->first;
    if (with->last > r->last)
        r->last = with->last;
}

static void remove_at(struct http_ranges *set, unsigned i)
{
    set->count--;
    for (; i < set->count; i++)
        set->at[i] = set->at[i + 1];
}

/* False if there are too many. */
static bool add(struct http_ranges *set, struct http_range r)
{
    unsigned i = 0;

    while (i < set->count && !touches(&set->at[i], &r))
        i++;
    if (i == set->count) {
        if (i == HTTP_RANGES_MAX)
            return false;
        set->at[set->count++] = r;
        return true;
    }
    unite(&set->at[i], &r);
    for (unsigned k = i + 1; k < set->count;) { /* what it has grown into */
        if (touches(&set->at[i], &set->at[k])) {
            unite(&set->at[i], &set->at[k]);
            remove_at(set, k);
        } else {
            k++;
        }
    }
    return true;
}

/* Next member of the set, white space around it dropped; empty ones are skipped (RFC 9110
 * 5.6.1.2). */
static bool next_member(struct weir_span *rest, struct weir_span *member)
{
    while (rest->len > 0) {
        const char *comma = memchr(rest->ptr, ',', rest->len);
        size_t n = comma != NULL ? (size_t)(comma - rest->ptr) : rest->len;
        size_t gone = comma != NULL ? n + 1 : n;

        *member = weir_span_trim(weir_span(rest->ptr, n));
        *rest = weir_span(rest->ptr + gone, rest->len - gone);
        if (member->len > 0)
            return true;
    }
    return false;
}

enum http_range_verdict http_ranges_parse(struct weir_span value, uint64_t length,
                                          struct http_ranges *out)
{
    struct weir_span member;
    unsigned specs = 0, empty = 0;

    out->count = 0;
    if (!take_unit(&value, '='))
        return HTTP_RANGE_WHOLE;
    while (next_member(&value, &member)) {
        struct http_range r;

        if (++specs > HTTP_RANGE_SPECS_MAX)
            return HTTP_RANGE_WHOLE;
        switch (resolve_spec(member, length, &r)) {
        case SPEC_INVALID: /* one invalid range-spec makes the whole set so */
            return HTTP_RANGE_WHOLE;
        case SPEC_BEYOND:
            break;
        case SPEC_EMPTY:
            empty++;
            break;
        case SPEC_RANGE:
            if (!add(out, r))
                return HTTP_RANGE_WHOLE;
            break;
        }
    }
    if (out->count > 0)
        return HTTP_RANGE_PARTS;
    return specs == 0 || empty > 0 ? HTTP_RANGE_WHOLE : HTTP_RANGE_UNSATISFIABLE;
}

enum http_range_verdict http_ranges_of(const struct http_head *request, uint64_t length,
                                       struct http_ranges *out)
{
    out->count = 0;
    if (request->method_id != HTTP_M_GET || !http_head_has(request, HTTP_F_RANGE) ||
        http_head_repeats(request, HTTP_F_RANGE))
        return HTTP_RANGE_WHOLE;
    return http_ranges_parse(http_head_value(request, HTTP_F_RANGE), length, out);
}

/* ---- Content-Range ---- */

bool http_content_range_parse(struct weir_span value, struct http_content_range *out)
{
    struct http_content_range c = {.satisfied = true};

    if (!take_unit(&value, ' '))
        return false;
    if (take_char(&value, '*'))
        c.satisfied = false;
    else if (!take_number(&value, &c.range.first) || !take_char(&value, '-') ||
             !take_number(&value, &c.range.last) || c.range.last < c.range.first ||
             c.range.last == UINT64_MAX)
        return false;
    if (!take_char(&value, '/'))
        return false;
    if (c.satisfied && take_char(&value, '*')) {
        *out = c;
        return value.len == 0;
    }
    c.has_length = true;
    if (!take_number(&value, &c.length) || value.len > 0 || c.length == UINT64_MAX ||
        (c.satisfied && c.length <= c.range.last))
        return false;
    *out = c;
    return true;
}

bool http_content_range_of(const struct http_head *h, struct http_content_range *out)
{
    return http_head_has(h, HTTP_F_CONTENT_RANGE) && !http_head_repeats(h, HTTP_F_CONTENT_RANGE) &&
           http_content_range_parse(http_head_value(h, HTTP_F_CONTENT_RANGE), out);
}

void http_text_content_range(struct http_text *t, const struct http_range *r, uint64_t length)
{
    http_text_lit(t, "bytes ");
    if (r != NULL) {
        http_text_u64(t, r->first);
        http_text_char(t, '-');
        http_text_u64(t, r->last);
    } else {
        http_text_char(t, '*');
    }
    http_text_char(t, '/');
    http_text_u64(t, length);
}
