#include "slice.h"

#include "http_validator.h"

/* The single line of a field; false for none and for several. */
static bool single(const struct http_field *fields, uint32_t count, uint16_t id,
                   struct weir_span *value)
{
    unsigned lines = 0;

    for (uint32_t i = 0; i < count; i++)
        if (fields[i].id == id) {
            *value = fields[i].value;
            lines++;
        }
    return lines == 1;
}

bool slice_read(const struct http_field *fields, uint32_t count, int status,
                const struct exchange_slice *asked, struct slice_facts *out)
{
    struct http_content_range c;
    struct weir_span value;
    uint64_t end = slice_first(asked) + asked->size;

    if (status != 206 || !single(fields, count, HTTP_F_CONTENT_RANGE, &value) ||
        !http_content_range_parse(value, &c) || !c.satisfied || !c.has_length)
        return false;
    if (c.range.first != slice_first(asked) ||
        c.range.last + 1 != (end < c.length ? end : c.length))
        return false;
    out->range = c.range;
    out->complete = c.length;
    out->validator = http_strong_validator(fields, count);
    return out->validator.ptr != NULL;
}

#define FAR (UINT64_MAX / 2) /* no file is so long: a suffix, counted from an end beyond it */

bool slice_probe(const struct http_head *request, uint64_t size, uint64_t *number)
{
    struct http_ranges set;

    *number = 0;
    if (http_ranges_of(request, UINT64_MAX, &set) != HTTP_RANGE_PARTS)
        return true;
    if (set.count == 1 && set.at[0].first < FAR)
        *number = slice_holding(set.at[0].first, size);
    return set.count == 1;
}
