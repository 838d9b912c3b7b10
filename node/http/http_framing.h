/*
 * http_framing.h - where the content of a message ends, and what else the head decides for its
 * connection.
 *
 * Security rules 1.4 to 1.8, 1.10 and 2: what is ambiguous is refused, never repaired.
 *
 * Source: RFC 9112 6.3, 9.3; RFC 9110 7.8, 8.6, 10.1.1; RFC 6455 4.
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "http_head.h"

enum http_body {
    HTTP_BODY_NONE,    /* the message ends with its head */
    HTTP_BODY_LENGTH,  /* exactly `length` bytes, which may be 0 */
    HTTP_BODY_CHUNKED, /* http_chunked.h */
    HTTP_BODY_CLOSE    /* responses only: until the connection closes in an orderly way */
};

struct http_framing {
    enum http_body kind;
    bool has_length; /* there was a valid Content-Length, also if kind is NONE (HEAD, 304) */
    uint64_t length; /* its value, else 0 */
    bool keep_alive; /* as far as the head says, the connection may carry another message */
    bool upgrade;    /* request: a complete WebSocket handshake; response: a 101 to websocket */
    bool expect_continue; /* the client waits for 100 (HTTP/1.1 and content to come) */
};

/* A request without framing fields is NONE; Content-Length: 0 is LENGTH with 0.
 * Errors: METHOD_NOT_ALLOWED (CONNECT, TRACE), BAD_HOST (none or repeated), BAD_LENGTH,
 * CODING_UNKNOWN, EXPECTATION, BAD_REQUEST (another field of HTTP_FF_SINGLE repeated). Host's
 * value: http_target.h. */
bool http_request_framing(const struct http_head *h, struct http_framing *out,
                          struct weir_err *err);

/* `method` is the one of the request that is answered. Error: RESPONSE_MALFORMED. */
bool http_response_framing(const struct http_head *h, enum http_method method,
                           struct http_framing *out, struct weir_err *err);

/* More options in Connection are refused: nobody means them, and each costs a look at every field.
 */
#define HTTP_CONNECTION_OPTIONS 32

/* True if a Connection line of h has this option, any case. */
bool http_connection_names(const struct http_head *h, struct weir_span name);

/*
 * What ends at this connection: removes fields with HTTP_FF_HOP, those with HTTP_FF_FRAMING, and
 * those that Connection names unless HTTP_FF_PROTECTED (RFC 9110 7.6.1). Both directions use it
 * before forwarding; the framing, and Upgrade where it applies, are then written anew.
 */
void http_head_remove_hop(struct http_head *h);

#define HTTP_WEBSOCKET_ACCEPT_LEN 28
/* Sec-WebSocket-Accept is the right answer to Sec-WebSocket-Key (RFC 6455 4.2.2): base64 of a
 * SHA-1. */
bool http_websocket_accept_ok(struct weir_span key, struct weir_span accept);

#endif
