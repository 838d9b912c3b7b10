/*
 * The first line is a length, the second a Range or a Content-Range. Ranges lie inside the length,
 * in order, and none touches another; a small length is checked byte by byte against what each spec
 * alone names. A Content-Range that parses is written back and read again.
 */
#include "fuzz_http.h"

#include "http_range.h"
#include "http_text.h"

#define SMALL 256

static void check_set(const struct http_ranges *set, uint64_t length)
{
    MUST(set->count > 0 && set->count <= HTTP_RANGES_MAX);
    for (unsigned i = 0; i < set->count; i++) {
        const struct http_range *a = &set->at[i];

        MUST(a->first <= a->last && a->last < length);
        for (unsigned k = 0; k < i; k++) {
            const struct http_range *b = &set->at[k];

            MUST(a->first > b->last ? a->first - 1 > b->last
                                    : b->first > 0 && b->first - 1 > a->last);
        }
    }
}

static void mark(bool named[SMALL], const struct http_ranges *set)
{
    for (unsigned i = 0; i < set->count; i++)
        for (uint64_t at = set->at[i].first; at <= set->at[i].last; at++)
            named[at] = true;
}

/* The set names exactly the bytes that its members name, each asked alone. */
static void check_members(struct weir_span value, uint64_t length, const struct http_ranges *set)
{
    bool together[SMALL] = {false}, alone[SMALL] = {false};
    struct weir_span rest = weir_span(value.ptr + 6, value.len - 6);

    mark(together, set);
    while (rest.len > 0) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        size_t n = comma != NULL ? (size_t)(comma - rest.ptr) : rest.len;
        char *one = malloc(n + 6);
        struct http_ranges part;

        MUST(one != NULL);
        memcpy(one, "bytes=", 6);
        memcpy(one + 6, rest.ptr, n);
        if (http_ranges_parse(weir_span(one, n + 6), length, &part) == HTTP_RANGE_PARTS) {
            MUST(part.count == 1);
            mark(alone, &part);
        }
        free(one);
        n += comma != NULL;
        rest = weir_span(rest.ptr + n, rest.len - n);
    }
    MUST(memcmp(together, alone, sizeof alone) == 0);
}

static void check_content_range(struct weir_span value)
{
    char buf[HTTP_CONTENT_RANGE_MAX];
    struct http_content_range c, again;
    struct http_text t;

    if (!http_content_range_parse(value, &c))
        return;
    MUST(!c.satisfied || c.range.first <= c.range.last);
    MUST(!c.satisfied || !c.has_length || c.range.last < c.length);
    if (!c.has_length)
        return;
    http_text_init(&t, buf, sizeof buf);
    http_text_content_range(&t, c.satisfied ? &c.range : NULL, c.length);
    MUST(http_text_ok(&t) && http_content_range_parse(http_text_span(&t), &again));
    MUST(memcmp(&c.range, &again.range, sizeof c.range) == 0 && c.length == again.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = exact_copy(data, size);
    const char *newline = memchr(copy, '\n', size);
    unsigned long long length = 0;
    struct weir_span value = {copy, size};
    struct http_ranges set;

    if (newline != NULL) {
        size_t n = (size_t)(newline - copy);

        (void)weir_span_u64(weir_span(copy, n), UINT64_MAX, &length);
        value = weir_span(newline + 1, size - n - 1);
    }
    if (http_ranges_parse(value, length, &set) == HTTP_RANGE_PARTS) {
        check_set(&set, length);
        if (length <= SMALL)
            check_members(value, length, &set);
    }
    check_content_range(value);
    free(copy);
    return 0;
}
