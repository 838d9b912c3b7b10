/*
 * http2_head.h - field sections of HTTP/2 (and 3) to heads. Pure:
 * knows nothing of frames, HPACK or any library. The other way: http2_fields.h.
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
#include "http2_fields.h"
#include "http_framing.h"
#include "http_head.h"
#include "http_parse.h"

/* What arrives field by field. */
struct http2_head_in {
    struct http_head *head;
    struct weir_arena *arena;
    const struct http_parse_limits *limits;
    /* Pseudo-header fields; ptr NULL: not yet. In the arena, or static. */
    struct weir_span method, scheme, authority, path, protocol;
    struct weir_span status;
    struct weir_span host;          /* the field Host, where :authority came as well */
    struct weir_span websocket_key; /* from the caller; http2_head_request_end() */
    struct weir_span cookie;        /* crumbs joined so far */
    size_t cookie_cap;
    uint32_t cookie_at; /* its index in the head */
    uint32_t bytes;     /* decoded, as RFC 9113 6.5.2 counts: name + value + 32 each */
    uint32_t lines;     /* ordinary fields, dropped ones included; crumbs of cookies are one */
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
/*
 * One field; *borrows* name and value for the call. Limits hold as it arrives: head_bytes for the
 * decoded bytes, fields, field_bytes for name and value as one line of HTTP/1. Names with '_' are
 * dropped or kept as limits->underscores says. false: *err (BAD_REQUEST, BAD_HOST, BAD_TARGET,
 * TARGET_TOO_LONG, HEAD_TOO_LARGE, MEMORY; of responses RESPONSE_MALFORMED,
 * RESPONSE_HEAD_TOO_LARGE): the message is refused, nothing more of the section need be passed.
 */
bool http2_head_field(struct http2_head_in *in, struct weir_span name, struct weir_span value,
                      struct weir_err *err);
/*
 * The section is complete. The head is now as http_parse_request() would have made it of the same
 * message in HTTP/1.1 (origin-form or "*", Host first, method id, minor 1; known names as weir
 * spells them) and *framing as http_request_framing(): LENGTH with content-length, NONE if ended,
 * else CHUNKED, which stands for "content until the end of the stream" (the head has no field for
 * it). Whether the host is valid http_target_parse() judges, as for HTTP/1. ended: END_STREAM came
 * with it.
 *
 * An extended CONNECT for websocket (RFC 8441) becomes a GET with the fields of a handshake and
 * framing->upgrade; in->websocket_key must be set then: base64 of 16 random bytes, 24 characters,
 * which live as long as the head. What the client sends after it is the tunnel's.
 */
bool http2_head_request_end(struct http2_head_in *in, bool ended, bool extended_connect,
                            struct http_framing *framing, struct weir_err *err);
/*
 * Interim responses too (head->status tells). *framing: LENGTH with content-length; NONE if ended,
 * and for 1xx, 204, 304 and HEAD; else CHUNKED. Not ended with NONE: the stream must still end
 * without a byte.
 */
bool http2_head_response_end(struct http2_head_in *in, bool ended, enum http_method method,
                             struct http_framing *framing, struct weir_err *err);
bool http2_head_trailers_end(struct http2_head_in *in, struct weir_err *err);

#endif
