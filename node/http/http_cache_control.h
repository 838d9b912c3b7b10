/*
 * http_cache_control.h - the directives of Cache-Control, of a request or a response.
 *
 * Where lines or directives disagree the stricter reading counts: of two max-age the smaller; an
 * argument that is not plain digits, quoted or not (spaced, signed, missing), reads as 0, so stale;
 * one too large as 2^31 (RFC 9111 1.2.2). For what a client is willing to accept (max-stale,
 * stale-if-error) smaller is stricter as well, so an invalid one reads as 0; min-fresh demands, so
 * there the larger counts and an invalid one reads as 2^31. An argument with an unclosed quote may
 * hide anything, so it sets no_cache. Directives match without case; unknown ones are ignored.
 *
 * Source: RFC 9111 5.2, RFC 5861, RFC 8246.
 */
#ifndef HTTP_CACHE_CONTROL_H
#define HTTP_CACHE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "http_head.h"

#define HTTP_CC_ABSENT INT64_MIN
#define HTTP_CC_MAX    ((int64_t)1 << 31) /* "infinity" */

struct http_cache_control {
    bool any; /* the field was there at all */
    bool no_store;
    bool no_cache; /* with or without field names */
    bool private_; /* with or without field names */
    bool public_;
    bool must_revalidate;
    bool proxy_revalidate;
    bool must_understand;
    bool no_transform;
    bool immutable;
    bool only_if_cached;
    bool max_stale_any; /* max-stale without argument: any staleness */
    bool
        conflict; /* max-age or s-maxage came twice with different values, or with an invalid one */
    /* seconds, or HTTP_CC_ABSENT */
    int64_t max_age;
    int64_t s_maxage;
    int64_t min_fresh;
    int64_t max_stale;
    int64_t stale_while_revalidate;
    int64_t stale_if_error;
    /* Inside of private="..." and no-cache="..."; ptr NULL if the directive stands for the whole
     * response, be it because it came twice. Iterate with http_list.h. */
    struct weir_span private_fields;
    struct weir_span no_cache_fields;
};

/* Reads all lines with field id `id` (HTTP_F_CACHE_CONTROL or a field of the same grammar). Cannot
 * fail. */
void http_cache_control_parse(const struct http_head *h, uint16_t id,
                              struct http_cache_control *out);
/* Cache-Control of a request; where there is none, `Pragma: no-cache` counts (RFC 9111 5.4). */
void http_cache_control_request(const struct http_head *h, struct http_cache_control *out);
/* The same for one value. */
void http_cache_control_parse_value(struct weir_span value, struct http_cache_control *out);

#endif
