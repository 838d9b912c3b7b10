/*
 * http_field.h - field names known to weir, as small numbers with flags.
 *
 * Source: RFC 9110 5.1 (names compare without case), 7.6.1 (Connection).
 */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

#include <stdint.h>

#include "weir/span.h"

enum http_field_id {
    HTTP_F_NONE, /* not in http_fields.def */
#define X(id, name, flags) HTTP_F_##id,
#include "http_fields.def"
#undef X
    HTTP_FIELD_IDS
};

/* Concerns one connection only: never forwarded, in either direction, and never stored. */
#define HTTP_FF_HOP 0x01
/* Stays even if Connection names it: dropping it could change who is asked, who asks, or what is
 * said. */
#define HTTP_FF_PROTECTED 0x02
/* More than one line makes a request ambiguous; http_request_framing() refuses it. */
#define HTTP_FF_SINGLE 0x04
/* Speaks for the client or overrides target or method: removed when it comes from an untrusted
 * peer. */
#define HTTP_FF_FORWARDING 0x08
/* Content-Length and Transfer-Encoding: written by weir alone, from its own framing. */
#define HTTP_FF_FRAMING 0x10

/* Of FORWARDING: tells only addresses on the way, or names another method. */
#define HTTP_FF_ADDRESS 0x20
#define HTTP_FF_METHOD  0x40

/* The id of a name, any case; HTTP_F_NONE if not known. No allocation, reads only the name. */
uint16_t http_field_intern(struct weir_span name);
/*
 * Flags of a name whose id is known (HTTP_F_NONE: pass the name; unknown names that start with
 * "x-forwarded-" are FORWARDING and PROTECTED, with "proxy-" HOP).
 */
uint16_t http_field_flags(uint16_t id, struct weir_span name);
/* As weir writes it ("Content-Type"); empty for HTTP_F_NONE. */
struct weir_span http_field_name(uint16_t id);

#endif
