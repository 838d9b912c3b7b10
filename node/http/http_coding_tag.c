#include "http_coding_tag.h"

#include "http_head.h"
#include "http_validator.h"

bool http_coding_tag(struct http_text *t, struct weir_span tag, enum coding c)
{
    struct http_etag parsed;

    if (tag.len > HTTP_CODING_TAG_MAX || !http_etag_parse(tag, &parsed))
        return false;
    http_text_bytes(t, tag.ptr, tag.len - 1); /* all but the closing quote */
    http_text_char(t, '-');
    http_text_add(t, coding_name(c));
    http_text_char(t, '"');
    return true;
}

static bool listed(const struct http_head *request, struct weir_span tag)
{
    struct http_etag parsed;

    return http_etag_parse(tag, &parsed) &&
           http_if_none_match(request, true, &parsed) == HTTP_COND_FALSE;
}

enum coding http_coding_tag_listed(const struct http_head *request, struct weir_span tag,
                                   enum coding sent, const uint8_t *order, unsigned count)
{
    char buf[HTTP_CODING_TAG_MAX + HTTP_CODING_SUFFIX_MAX];

    if (!http_head_has(request, HTTP_F_IF_NONE_MATCH))
        return CODING_OTHER;
    for (unsigned i = 0; i < count; i++) {
        enum coding c = (enum coding)order[i];
        struct http_text t;

        http_text_init(&t, buf, sizeof buf);
        if (c == sent ? listed(request, tag)
                      : http_coding_tag(&t, tag, c) && listed(request, http_text_span(&t)))
            return c;
    }
    return CODING_OTHER;
}

/* The opaque part without quotes, less a suffix that may be ours; false if it has none. */
static bool without_suffix(struct weir_span *opaque)
{
    for (int c = 0; c < CODINGS; c++) {
        struct weir_span name = coding_name((enum coding)c);
        size_t n = name.len + 1;

        if (opaque->len > n && opaque->ptr[opaque->len - n] == '-' &&
            memcmp(opaque->ptr + opaque->len - name.len, name.ptr, name.len) == 0) {
            opaque->len -= n;
            return true;
        }
    }
    return false;
}

void http_coding_tag_for_origin(struct http_text *t, struct weir_span value)
{
    const char *end = value.ptr + value.len, *open, *close;

    http_text_add(t, value);
    for (const char *at = value.ptr; at < end; at = close + 1) {
        struct weir_span opaque;

        open = memchr(at, '"', (size_t)(end - at));
        close = open != NULL ? memchr(open + 1, '"', (size_t)(end - open - 1)) : NULL;
        if (close == NULL)
            return;
        opaque = weir_span(open + 1, (size_t)(close - open - 1));
        if (!without_suffix(&opaque))
            continue;
        http_text_lit(t, ", ");
        if (open - at >= 2 && open[-1] == '/' && open[-2] == 'W')
            http_text_lit(t, "W/");
        http_text_char(t, '"');
        http_text_add(t, opaque);
        http_text_char(t, '"');
    }
}
