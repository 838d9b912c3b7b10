/*
 * request_out.h - the request as an origin gets it: written from the parsed form, never from the
 * client's bytes.
 *
 * Origin-form, one Host, one framing field, HTTP/1.1, no hop-by-hop field; forwarding fields are
 * weir's own, or a trusted peer's continued (security rules 1.9, 1.11).
 */
#ifndef REQUEST_OUT_H
#define REQUEST_OUT_H

#include "exchange.h"

struct request_out {
    struct weir_exchange *x;
    const struct upstream_settings *upstream;
    const struct route *route;
    bool shared;  /* the response may serve others: no condition, no range, Accept-Encoding
                     normalised */
    bool alone;   /* ... but most likely will not: the codings are those of the client */
    bool upgrade; /* pass the WebSocket handshake on */
    const struct stored_response *validating; /* adds its validators; NULL: none */
};

/* Does a shared fetch of this route ask for content without coding, whatever its client accepts? */
static inline bool request_out_asks_identity(const struct route_settings *r)
{
    return r->compression.enabled && r->compression.ask_origin == ASK_IDENTITY;
}

/* Into the arena. Errors: MEMORY, INTERNAL (a rewrite or an edit that cannot be sent). */
bool request_out_write(const struct request_out *r, struct weir_arena *arena, struct weir_span *out,
                       struct weir_err *err);

#endif
