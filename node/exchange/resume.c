#include "resume.h"

#include "fill.h"
#include "http_range.h"
#include "http_text.h"
#include "http_validator.h"
#include "slice.h"

bool resume_cause(enum weir_code code)
{
    return code == WEIR_E_ORIGIN_RESET || code == WEIR_E_RESPONSE_TRUNCATED ||
           code == WEIR_E_ORIGIN_READ_TIMEOUT;
}

/* ---- the validator ---- */

static struct weir_span value_of(const struct fill_head *h, uint16_t id)
{
    for (uint32_t i = 0; i < h->field_count; i++)
        if (h->fields[i].id == id)
            return h->fields[i].value;
    return WEIR_SPAN_NONE;
}

struct weir_span resume_validator(const struct fill_head *h)
{
    return http_strong_validator(h->fields, h->field_count);
}

static bool offers_no_ranges(const struct fill_head *h)
{
    struct weir_span offer = value_of(h, HTTP_F_ACCEPT_RANGES);

    return offer.ptr != NULL && weir_span_ieq(offer, WEIR_SPAN_LIT("none"));
}

bool resume_possible(const struct fill_head *h, const struct exchange_slice *asked,
                     struct resume_extent *out)
{
    struct slice_facts slice;

    if (h->length <= 0 || resume_validator(h).ptr == NULL)
        return false;
    if (h->status == 200 && !offers_no_ranges(h)) {
        *out = (struct resume_extent){{0, (uint64_t)h->length - 1}, (uint64_t)h->length};
        return true;
    }
    if (asked->size == 0 || !slice_read(h->fields, h->field_count, h->status, asked, &slice))
        return false;
    *out = (struct resume_extent){slice.range, slice.complete};
    return true;
}

/* ---- asking ---- */

/* Fields that the request for the rest has its own of, or must not have. */
static bool left_out(struct weir_span line)
{
    static const struct weir_span names[] = {
        WEIR_SPAN_LIT("Range:"),
        WEIR_SPAN_LIT("If-Range:"),
        WEIR_SPAN_LIT("If-Match:"),
        WEIR_SPAN_LIT("If-None-Match:"),
        WEIR_SPAN_LIT("If-Modified-Since:"),
        WEIR_SPAN_LIT("If-Unmodified-Since:"),
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (line.len >= names[i].len && weir_span_ieq(weir_span(line.ptr, names[i].len), names[i]))
            return true;
    return false;
}

struct weir_span resume_request(struct weir_span first, const struct fill_head *h,
                                const struct resume_extent *e, uint64_t from, struct weir_arena *a)
{
    struct weir_span validator = resume_validator(h);
    size_t room = first.len + validator.len + 100;
    char *buf = weir_arena_alloc(a, room);
    struct http_text t;

    if (buf == NULL)
        return WEIR_SPAN_NONE;
    http_text_init(&t, buf, room);
    while (first.len > 2) { /* the empty line stays */
        const char *newline = memchr(first.ptr, '\n', first.len);
        size_t n = newline != NULL ? (size_t)(newline - first.ptr) + 1 : first.len;

        if (!left_out(weir_span(first.ptr, n)))
            http_text_bytes(&t, first.ptr, n);
        first = weir_span(first.ptr + n, first.len - n);
    }
    http_text_lit(&t, "Range: bytes=");
    http_text_u64(&t, from);
    http_text_char(&t, '-');
    if (e->range.last + 1 < e->complete)
        http_text_u64(&t, e->range.last);
    http_text_lit(&t, "\r\n");
    http_text_field(&t, http_field_name(HTTP_F_IF_RANGE), validator);
    http_text_lit(&t, "\r\n");
    return http_text_ok(&t) ? http_text_span(&t) : WEIR_SPAN_NONE;
}

/* ---- what comes ---- */

static bool same_validator(const struct fill_head *h, const struct http_head *rest)
{
    struct http_etag ours, theirs;

    if (h->etag.ptr != NULL)
        return http_etag_parse(h->etag, &ours) && http_etag_of(rest, &theirs) &&
               http_etag_strong_eq(&ours, &theirs);
    return !http_head_repeats(rest, HTTP_F_LAST_MODIFIED) &&
           weir_span_eq(http_head_value(rest, HTTP_F_LAST_MODIFIED), h->last_modified);
}

bool resume_fits(const struct fill_head *h, const struct resume_extent *e, uint64_t from,
                 const struct http_head *rest, const struct http_framing *framing, uint64_t *end)
{
    struct http_content_range c;

    if (rest->status != 206 || !http_content_range_of(rest, &c) || !c.satisfied || !c.has_length ||
        c.range.first != from || c.range.last > e->range.last || c.length != e->complete ||
        !same_validator(h, rest))
        return false;
    *end = c.range.last + 1;
    return !framing->has_length || framing->length == http_range_length(&c.range);
}
