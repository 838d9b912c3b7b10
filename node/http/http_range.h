/*
 * http_range.h - byte ranges: what a Range field asks of a representation of known length, and what
 * a Content-Range field says of a part.
 *
 * Pure: no allocation, cannot fail. Positions are counted from 0 and inclusive, as on the wire.
 *
 * Source: RFC 9110 14.1.2 (byte ranges), 14.2 (Range), 14.4 (Content-Range), 15.3.7.2 (coalescing).
 */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/span.h"

struct http_head;
struct http_text;

/*
 * Against abuse (RFC 9110 14.2, 17.15): who names more than HTTP_RANGE_SPECS_MAX ranges, or more
 * than HTTP_RANGES_MAX that do not touch, is not answered in parts but sent the whole, once. What
 * overlaps is coalesced and so never sent twice: an answer in parts is at most as large as the
 * whole and 32 times what stands between parts. 32 is far beyond what document viewers and players
 * ask.
 */
#define HTTP_RANGES_MAX      32
#define HTTP_RANGE_SPECS_MAX 200

struct http_range {
    uint64_t first, last; /* first <= last < length */
};

enum http_range_verdict {
    HTTP_RANGE_WHOLE,         /* no Range, or one that is ignored: 200 */
    HTTP_RANGE_PARTS,         /* 206 */
    HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

/*
 * Coalesced: in the order asked, none of which overlaps or touches another. A coalesced range
 * stands where the first of its parts was asked.
 */
struct http_ranges {
    unsigned count;
    struct http_range at[HTTP_RANGES_MAX];
};

/*
 * What the Range value asks of `length` bytes. Another unit than bytes, and a value that does not
 * parse as a whole, are ignored; so is a suffix of an empty representation, which has no byte to
 * name. A position beyond 2^64 - 1 reads as that.
 */
enum http_range_verdict http_ranges_parse(struct weir_span value, uint64_t length,
                                          struct http_ranges *out);
/* The same of a request: WHOLE for other methods than GET and for several Range lines. */
enum http_range_verdict http_ranges_of(const struct http_head *request, uint64_t length,
                                       struct http_ranges *out);

static inline uint64_t http_range_length(const struct http_range *r)
{
    return r->last - r->first + 1;
}

struct http_content_range {
    bool satisfied; /* false: the form of a 416, with a length alone */
    struct http_range range;
    bool has_length; /* false: an asterisk stands for the complete length */
    uint64_t length;
};

/* Strict: one "bytes" range that holds together. False for anything else. */
bool http_content_range_parse(struct weir_span value, struct http_content_range *out);
/* Of the head's single line; false for none, several or an invalid one. */
bool http_content_range_of(const struct http_head *h, struct http_content_range *out);

#define HTTP_CONTENT_RANGE_MAX 70 /* "bytes ", three numbers of 20 digits, "-", "/" */
/* "bytes 0-99/200"; r NULL: "bytes *" with the length. */
void http_text_content_range(struct http_text *t, const struct http_range *r, uint64_t length);

#endif
