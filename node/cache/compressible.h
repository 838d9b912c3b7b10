/*
 * compressible.h - may a response go out in another content coding than the origin's, and is it
 * worth it.
 *
 * Pure; borrows its arguments. Source: RFC 9110 7.7 (transformations), 8.4; RFC 9111 5.2.2.6
 * (no-transform); RFC 9530 (digests speak of the coded bytes).
 */
#ifndef COMPRESSIBLE_H
#define COMPRESSIBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "http_coding.h"

struct http_head;
struct route_compression_settings;

struct compressible {
    bool yes;           /* weir negotiates its coding */
    bool events;        /* text/event-stream: on the way only, it is never whole */
    bool vary;          /* its Vary has to name Accept-Encoding, and does not */
    enum coding coding; /* the origin's; OTHER: then never `yes` */
};

/* length: of the content as announced; -1 unknown. */
void compressible_response(const struct http_head *response, int64_t length,
                           const struct route_compression_settings *route,
                           struct compressible *out);

#endif
