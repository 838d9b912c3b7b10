/*
 * resume.h - the rest of a response whose connection broke off in the middle.
 *
 * Only of a 200 whose length is known, or of a slice of one, and only with a strong validator, so
 * that the rest can be asked for by Range and If-Range and recognised. Pure but for the arena.
 *
 * Source: RFC 9110 8.8.2.2 (when a date is strong), 13.1.5, 15.3.7.3 (combining); RFC
 * 9111 3.3, 3.4.
 */
#ifndef RESUME_H
#define RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/err.h"
#include "weir/span.h"
#include "http_framing.h"
#include "http_head.h"
#include "http_range.h"

struct exchange_slice;
struct fill_head;

/* Did the connection break, rather than the message be wrong? */
bool resume_cause(enum weir_code code);

/* Which bytes of the whole a response carries. */
struct resume_extent {
    struct http_range range;
    uint64_t complete; /* length of the whole */
};

/* Can the rest of this response be asked for, and recognised? `asked`: it was a slice (size > 0),
 * or the whole. */
bool resume_possible(const struct fill_head *h, const struct exchange_slice *asked,
                     struct resume_extent *out);

/*
 * The value for If-Range by which the rest is recognised: the strong ETag, else Last-Modified if it
 * is strong. ptr NULL: neither.
 */
struct weir_span resume_validator(const struct fill_head *h);

/*
 * The request for what is left from byte `from` of the whole on: the first request's head without
 * conditions and ranges, with Range and If-Range. Into the arena; ptr NULL without memory.
 */
struct weir_span resume_request(struct weir_span first, const struct fill_head *h,
                                const struct resume_extent *e, uint64_t from, struct weir_arena *a);

/*
 * Is this 206 what is left of h from byte `from` on: the same validator, first byte and complete
 * length, content as long as it says? *end: the byte behind its last one, for an origin may give
 * less than all of the rest.
 */
bool resume_fits(const struct fill_head *h, const struct resume_extent *e, uint64_t from,
                 const struct http_head *rest, const struct http_framing *framing, uint64_t *end);

#endif
