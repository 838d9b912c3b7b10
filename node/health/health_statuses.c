#include "health_statuses.h"

#include <string.h>

#include "weir/span.h"

#define LEAST 200
#define MOST  999

static bool parse_code(struct weir_span text, unsigned long long *code)
{
    return text.len == 3 && weir_span_u64(text, MOST, code) && *code >= LEAST;
}

/* "2xx" */
static bool parse_class(struct weir_span text, unsigned long long *first, unsigned long long *last)
{
    if (text.len != 3 || text.ptr[0] < '2' || text.ptr[0] > '9' ||
        weir_ascii_lower(text.ptr[1]) != 'x' || weir_ascii_lower(text.ptr[2]) != 'x')
        return false;
    *first = (unsigned)(text.ptr[0] - '0') * 100U;
    *last = *first + 99;
    return true;
}

static bool parse_item(struct weir_span text, unsigned long long *first, unsigned long long *last)
{
    const char *dash = text.len > 0 ? memchr(text.ptr, '-', text.len) : NULL;

    if (dash == NULL) {
        if (parse_class(text, first, last))
            return true;
        *last = *first = 0;
        if (!parse_code(text, first))
            return false;
        *last = *first;
        return true;
    }
    return parse_code(weir_span_trim(weir_span(text.ptr, (size_t)(dash - text.ptr))), first) &&
           parse_code(weir_span_trim(weir_span(dash + 1, (size_t)(text.ptr + text.len - dash - 1))),
                      last) &&
           *first <= *last;
}

bool health_statuses_parse(const char *text, struct health_statuses *out)
{
    unsigned long long first, last;

    memset(out, 0, sizeof(*out));
    for (;;) {
        size_t len = strcspn(text, ",");

        if (!parse_item(weir_span_trim(weir_span(text, len)), &first, &last))
            return false;
        for (; first <= last; first++)
            out->bits[first / 64] |= UINT64_C(1) << (first % 64);
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

bool health_statuses_have(const struct health_statuses *s, int status)
{
    return status >= LEAST && status <= MOST && (s->bits[status / 64] >> (status % 64) & 1) != 0;
}
