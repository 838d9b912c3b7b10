/*
 * http_status.h - methods and status codes: names, classes, properties.
 *
 * Source: RFC 9110 9.2 (safe, idempotent), 15 (status codes), the IANA registries.
 */
#ifndef HTTP_STATUS_H
#define HTTP_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/span.h"

enum http_method {
    HTTP_M_OTHER, /* any other token; its name is in the head */
#define X(id, name, flags) HTTP_M_##id,
#include "http_methods.def"
#undef X
    HTTP_METHODS
};

/* HTTP_M_OTHER for a name not in http_methods.def. */
enum http_method http_method_parse(struct weir_span name);
/* Upper-case name; "" for HTTP_M_OTHER. */
struct weir_span http_method_name(enum http_method m);
bool http_method_safe(enum http_method m);       /* RFC 9110 9.2.1; HTTP_M_OTHER is not */
bool http_method_idempotent(enum http_method m); /* RFC 9110 9.2.2; HTTP_M_OTHER is not */

/* Registered reason phrase, or "Unknown" (never empty). */
struct weir_span http_status_reason(int status);

static inline int http_status_class(int status) /* 1 to 5; 6 to 9 for extensions */
{
    return status / 100;
}

static inline bool http_status_interim(int status)
{
    return status >= 100 && status < 200;
}

/* A response with this status never has content, whatever its fields say (RFC 9112 6.3). */
static inline bool http_status_bodiless(int status)
{
    return http_status_interim(status) || status == 204 || status == 304;
}

/* May be stored without explicit freshness: "heuristically cacheable" (RFC 9110 15.1). */
bool http_status_heuristic(int status);

/*
 * Speaks of how this one client asked rather than of the resource: the next request may well be
 * answered otherwise. So nobody but the origin should say that it holds for all.
 */
bool http_status_blames_request(int status);

#endif
