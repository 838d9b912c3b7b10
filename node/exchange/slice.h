/*
 * slice.h - one slice of something large: what is asked of an origin for it, and whether an answer
 * is exactly that.
 *
 * Pure. Source: RFC 9110 14.4, 15.3.7; RFC 9111 3.3 (a part is stored only as what it is), 3.4
 * (parts are put together only under the same strong validator).
 */
#ifndef SLICE_H
#define SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "http_range.h"
#include "exchange.h"

/* What a 206 says of itself and of the whole. */
struct slice_facts {
    struct http_range range;
    uint64_t complete;          /* length of the whole */
    struct weir_span validator; /* strong; of the whole; inside the fields */
};

static inline uint64_t slice_first(const struct exchange_slice *s)
{
    return s->number * s->size;
}

/* Which slice holds this byte. */
static inline uint64_t slice_holding(uint64_t byte, uint64_t size)
{
    return byte / size;
}

/*
 * Is a response with this status and these fields the slice that was asked for: a 206 that begins
 * where it must and ends where the slice or the whole ends, of known complete length, under a
 * strong validator? Whether its content is as long as it says is the caller's to compare.
 */
bool slice_read(const struct http_field *fields, uint32_t count, int status,
                const struct exchange_slice *asked, struct slice_facts *out);

/*
 * Which slice tells most about what this request asks, before the length of the whole is known: the
 * one with its first byte, else the first one. false: it asks for several ranges, which slices do
 * not answer.
 */
bool slice_probe(const struct http_head *request, uint64_t size, uint64_t *number);

#endif
