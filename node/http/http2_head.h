/*
 * http2_head.h - field sections of HTTP/2 (and 3) to heads, and heads to field sections. Pure:
 * knows nothing of frames, HPACK or any library.
 *
 * Inbound everything is judged as strictly as HTTP/1 is parsed (security 3): what could mean
 * something else after it was written as HTTP/1.1 is refused, never repaired. Names: lower-case
 * tokens. Values: RFC 9113 8.2.1, no leading or trailing space. Connection-specific fields:
 * refused, but "te: trailers". Pseudo-header fields: known, once, first. :path starts with "/" or
 * is "*" with OPTIONS. :authority valid and equal to Host where both are there. Cookie lines are
 * joined (8.2.3).
 *
 * Source: RFC 9113 8, RFC 8441, RFC 9220.
 */
#ifndef HTTP2_HEAD_H
#define HTTP2_HEAD_H

#include "weir/arena.h"
#include "weir/err.h"
#include "http_framing.h"
#include "http_head.h"
#include "http_parse.h"

/* What arrives field by field. Spans are kept in the arena. */
struct http2_head_in {
    struct http_head *head;
    struct weir_arena *arena;
    const struct http_parse_limits *limits;
    struct weir_span method, scheme, authority, path, protocol; /* pseudo; ptr NULL: not yet */
    struct weir_span status;
    uint32_t bytes; /* decoded, as RFC 9113 10.5.1 counts: name + value + 32 each */
    bool response, trailers;
    bool pseudo_over; /* an ordinary field has come */
    bool te_trailers; /* "te: trailers": the client takes trailers */
};

/* head: initialised, with its array of fields. */
void http2_head_request(struct http2_head_in *in, struct http_head *head, struct weir_arena *arena,
                        const struct http_parse_limits *limits);
void http2_head_response(struct http2_head_in *in, struct http_head *head, struct weir_arena *arena,
                         const struct http_parse_limits *limits);
void http2_head_trailers(struct http2_head_in *in, struct http_head *head, struct weir_arena *arena,
                         const struct http_parse_limits *limits, bool response);
/* One field. false: *err (BAD_REQUEST, HEAD_TOO_LARGE ..., or RESPONSE_MALFORMED) */
bool http2_head_field(struct http2_head_in *in, struct weir_span name, struct weir_span value,
                      struct weir_err *err);
/*
 * The section is complete. Request: the head is as http_parse_request() would have made it of the
 * same message in HTTP/1.1 (target, Host first, method id, minor 1) and *framing as
 * http_request_framing(): LENGTH with content-length, NONE if ended, else CHUNKED, which stands for
 * "content until the end of the stream". An extended CONNECT for websocket (RFC 8441) becomes a GET
 * with framing->upgrade. ended: END_STREAM came with it.
 */
bool http2_head_request_end(struct http2_head_in *in, bool ended, bool extended_connect,
                            struct http_framing *framing, struct weir_err *err);
bool http2_head_response_end(struct http2_head_in *in, bool ended, enum http_method method,
                             struct http_framing *framing, struct weir_err *err);
bool http2_head_trailers_end(struct http2_head_in *in, struct weir_err *err);

struct http2_field {
    struct weir_span name, value;
    bool sensitive; /* not to be indexed: Authorization, short Cookies (RFC 7541 7.1.3) */
};

/*
 * Outbound: the lines of a serialized head of HTTP/1.1 ("HTTP/1.1 200\r\nName: value\r\n...", with
 * or without first line and empty line) as fields, names in lower case (in `arena`; known names are
 * static). Connection-specific lines do not occur in what we serialize; they are left out. Adds to
 * out[*n], at most max. false: no memory, or too many.
 */
bool http2_fields_of(struct weir_span lines, struct weir_arena *arena, struct http2_field *out,
                     uint32_t *n, uint32_t max);

#endif
