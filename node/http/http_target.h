/*
 * http_target.h - request-target and Host, checked and brought to one form.
 *
 * What comes out decides the route, makes the cache key, is logged and goes upstream: the same
 * bytes everywhere.
 *
 * Path:
 * - Percent-encoded unreserved bytes are decoded and hex digits made upper case, then dot segments
 * are removed (RFC 3986 6.2.2, 5.2.4). So "/a/%2e%2e/%7euser" is "/~user".
 * - A path that climbs above its root is refused, not clipped: clients remove dot segments
 * themselves.
 * - "//" stays: it names another resource. %2F stays encoded: it is not a separator.
 * - Refused: an invalid escape, an encoded control (%00 to %1F, %7F), a backslash, '#', any byte
 * outside visible ASCII. Encoded bytes from 0x80 up, and other visible ASCII, stay as they are.
 * - Absolute-form without a path is "/" (for OPTIONS: "*", RFC 9112 3.2.4).
 * Query: kept byte for byte, for applications give it their own grammar; only what a target may not
 * hold is refused. Host: a name of letters, digits, '-', '_', '~' and '.', no empty label, one
 * final dot removed; an IPv4 address; or an IPv6 address in brackets, written canonically. Lower
 * case. No userinfo, no percent-encoding, no zone. A port is 1 to 65535 in digits without leading
 * zero; the scheme's default port is dropped.
 * - Absolute-form: http or https; its authority counts, and a Host that says otherwise is refused.
 * - HTTP/1.0 without Host in origin-form: host and authority are empty.
 *
 * Zero-copy when the target is already normal, the usual case; otherwise the arena holds the new
 * bytes.
 *
 * Source: RFC 9112 3.2, RFC 9110 4.2 and 7.2, RFC 3986.
 */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/err.h"
#include "http_head.h"

enum http_target_form { HTTP_TARGET_ORIGIN, HTTP_TARGET_ABSOLUTE, HTTP_TARGET_ASTERISK };

struct http_target {
    enum http_target_form form;
    bool https;                   /* the scheme: of the absolute-form, else of the connection */
    uint16_t port;                /* 0 = the default of the scheme */
    struct weir_span host;        /* without port; empty if none was given */
    struct weir_span authority;   /* host[:port]: as Host goes upstream and into the key */
    struct weir_span path;        /* begins with '/', or is "*" */
    struct weir_span query;       /* without '?'; ptr NULL if there is no '?' */
    struct weir_span origin_form; /* path[?query], in one piece */
};

/*
 * `secure`: the connection is TLS (or a trusted peer said so). Borrows the head's bytes for as long
 * as *out is used. Errors: BAD_TARGET, BAD_HOST, MEMORY.
 */
bool http_target_parse(const struct http_head *head, bool secure, struct weir_arena *a,
                       struct http_target *out, struct weir_err *err);

/*
 * Host alone: fills host, authority, port by the rules above (https must be set before). For
 * HTTP/2's :authority, for configuration. Errors: BAD_HOST, MEMORY.
 */
bool http_authority_parse(struct weir_span text, struct weir_arena *a, struct http_target *out,
                          struct weir_err *err);

/* path[?query] alone: fills path, query, origin_form. Must begin with '/'. Errors: BAD_TARGET,
 * MEMORY. */
bool http_origin_form_parse(struct weir_span text, struct weir_arena *a, struct http_target *out,
                            struct weir_err *err);

#endif
