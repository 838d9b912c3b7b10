/*
 * reuse.h - may a stored response answer this request now.
 *
 * Pure; seconds as in freshness.h; allocates nothing, cannot fail. Every pointer is borrowed.
 *
 * Source: RFC 9111 4 and 4.2.4, 5.2.1 (request directives), 5.2.2; RFC 5861 (stale windows); RFC
 * 8246 (immutable).
 */
#ifndef REUSE_H
#define REUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache_status.h"
#include "freshness.h"

struct http_cache_control;
struct route_cache_settings;
struct stored_facts;

/* What is kept beside a stored response: its freshness facts and the directives that govern reuse.
 */
void reuse_facts_from(struct stored_facts *r, const struct freshness_facts *f,
                      const struct http_cache_control *cc);

enum reuse_verdict {
    REUSE_FRESH,                  /* serve it */
    REUSE_STALE,                  /* serve it though stale: the client allowed that (max-stale) */
    REUSE_STALE_WHILE_REVALIDATE, /* serve it and start one fetch behind the client's back */
    REUSE_VALIDATE,               /* ask the origin first; see reuse_on_error() should it fail */
    REUSE_GATEWAY_TIMEOUT,        /* only-if-cached, and nothing that may be served: 504 */
};

struct reuse {
    enum reuse_verdict verdict;
    int64_t age;        /* for Age, >= 0 */
    int64_t ttl;        /* for Cache-Status; negative by how long it is stale */
    enum cache_fwd fwd; /* why the origin is asked: FWD_STALE, FWD_REQUEST, or FWD_NONE */
};

/*
 * `request_cc` counts only if the route lets it (route_cache_settings.client_directives); may be
 * NULL. A stale window that the response does not name is the route's.
 */
struct reuse reuse_check(const struct stored_facts *r, const struct route_cache_settings *route,
                         const struct http_cache_control *request_cc, int64_t now);

/* May it be served because the origin failed (no answer, or a status of reuse_status_is_error)? */
bool reuse_on_error(const struct stored_facts *r, const struct route_cache_settings *route,
                    const struct http_cache_control *request_cc, int64_t now);

/* 500, 502, 503, 504: the statuses of an origin that count as failure (RFC 5861 4). */
bool reuse_status_is_error(int status);

/* With nothing stored: is 504 the answer rather than a fetch (only-if-cached)? As above. */
bool reuse_only_if_cached(const struct route_cache_settings *route,
                          const struct http_cache_control *request_cc);

/* Never to be served stale: must-revalidate, proxy-revalidate, s-maxage or no-cache (9111 4.2.4).
 */
bool reuse_never_stale(const struct stored_facts *r);

#endif
