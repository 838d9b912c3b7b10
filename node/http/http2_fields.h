/*
 * http2_fields.h - heads as they are written for HTTP/1.1 to fields of HTTP/2 (and 3). Pure, and
 * fast: it runs for every response, a hit in memory included.
 *
 * Input is what weir itself has serialized: well-formed lines. Values are borrowed from there,
 * names go to the arena in lower case (RFC 9113 8.2).
 */
#ifndef HTTP2_FIELDS_H
#define HTTP2_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/span.h"

struct http2_field {
    struct weir_span name, value;
    bool sensitive; /* not to be indexed: Authorization, short Cookies (RFC 7541 7.1.3) */
};

/*
 * "HTTP/1.1 200\r\nName: value\r\n...", with or without first line (which is skipped: :status is
 * the caller's) and empty line (which ends it). Connection-specific lines are left out
 * (RFC 9113 8.2.2). Adds to out[*n], at most max in all. false: no memory, too many, or no lines
 * of ours.
 */
bool http2_fields_of(struct weir_span lines, struct weir_arena *arena, struct http2_field *out,
                     uint32_t *n, uint32_t max);

/*
 * The same of a request head: :method, :scheme, :authority (from Host, which must be there) and
 * :path come first. trailers: "te: trailers" follows.
 */
bool http2_request_fields_of(struct weir_span lines, struct weir_span scheme, bool trailers,
                             struct weir_arena *arena, struct http2_field *out, uint32_t *n,
                             uint32_t max);

#endif
