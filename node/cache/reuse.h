/*
 * reuse.h - may a stored response answer this request now.
 *
 * Pure; seconds as in freshness.h; allocates nothing, cannot fail.
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

/* What a stored response keeps about its own reuse; plain values, computed once on storing or
 * freshening. */
struct reuse_facts {
    int64_t born; /* age at `now` is now - born: response_time minus the age it arrived with */
    int64_t
        response_time; /* the clock may go backwards; the age does not fall below the one here */
    int64_t lifetime;  /* freshness lifetime, >= 0 */
    int64_t stale_while_revalidate; /* seconds past the lifetime; 0 = none */
    int64_t stale_if_error;         /* likewise */
    bool no_cache;                  /* ask the origin every time */
    bool never_stale;               /* must-revalidate, proxy-revalidate, s-maxage or no-cache */
    bool immutable;
};

/* The response's own windows win over the route's. Borrows all three. */
void reuse_facts_from(struct reuse_facts *r, const struct freshness_facts *f,
                      const struct http_cache_control *cc,
                      const struct route_cache_settings *route);

enum reuse_verdict {
    REUSE_FRESH,                  /* serve it */
    REUSE_STALE,                  /* serve it though stale: the client allowed that (max-stale) */
    REUSE_STALE_WHILE_REVALIDATE, /* serve it and start one fetch behind the client's back */
    REUSE_VALIDATE,               /* ask the origin first; see reuse_on_error() should it fail */
    REUSE_GATEWAY_TIMEOUT,        /* only-if-cached, and nothing to serve: 504 */
};

struct reuse {
    enum reuse_verdict verdict;
    int64_t age;        /* for Age, >= 0 */
    int64_t ttl;        /* for Cache-Status; negative by how long it is stale */
    enum cache_fwd fwd; /* why the origin is asked: FWD_STALE, FWD_REQUEST, or FWD_NONE */
};

/* `request_cc` is NULL unless the route lets clients' directives count
 * (route_cache_settings.client_directives). */
struct reuse reuse_check(const struct reuse_facts *r, const struct http_cache_control *request_cc,
                         int64_t now);

/* May it be served because the origin failed (no answer, or 500, 502, 503, 504)? */
bool reuse_on_error(const struct reuse_facts *r, int64_t now);

/* Statuses of an origin that count as failure for reuse_on_error (RFC 5861 4). */
bool reuse_status_is_error(int status);

/* With nothing stored: must a request be answered 504 rather than forwarded (only-if-cached)? NULL
 * as above. */
bool reuse_only_if_cached(const struct http_cache_control *request_cc);

int64_t reuse_age(const struct reuse_facts *r, int64_t now);

/* The last second at which it can be of use without a validator: what a store may expire it by. */
int64_t reuse_useful_until(const struct reuse_facts *r);

#endif
