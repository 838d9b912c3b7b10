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

struct control;
struct http_cache_control;
struct route_cache_settings;

/* What a stored response keeps about its own reuse: made once, on storing and on freshening. */
struct reuse_facts {
    int64_t response_time;          /* when its header section had arrived, or was last freshened */
    int64_t initial_age;            /* its age at that time, >= 0 */
    int64_t lifetime;               /* freshness lifetime, >= 0 */
    int64_t stale_while_revalidate; /* seconds past the lifetime; 0 = none */
    int64_t stale_if_error;         /* likewise */
    bool no_cache;                  /* ask the origin every time */
    bool never_stale;    /* must-revalidate, proxy-revalidate, s-maxage or no-cache (9111 4.2.4) */
    int64_t refresh_age; /* from this age on a hit fetches a new one behind the client's back */
    bool immutable;
};

/*
 * From the facts of one response and what in it counts for this cache. A stale window that it does
 * not name is the route's.
 */
void reuse_facts_from(struct reuse_facts *r, const struct freshness_facts *f,
                      const struct control *control, const struct route_cache_settings *route);

/* *out is *r as of a response that counts as stale from `since` on, if it was not before: its stale
 * windows begin then. */
void reuse_soften(struct reuse_facts *out, const struct reuse_facts *r, int64_t since);

/* Current age at `now`, >= initial_age: a clock that went backwards does not make it younger. */
int64_t reuse_age(const struct reuse_facts *r, int64_t now);

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

/* `request_cc` is NULL unless the route lets clients' directives count (client_directives). */
struct reuse reuse_check(const struct reuse_facts *r, const struct http_cache_control *request_cc,
                         int64_t now);

/* May it be served because the origin failed (no answer, or a status of reuse_status_is_error)? */
bool reuse_on_error(const struct reuse_facts *r, int64_t now);

/* 500, 502, 503, 504: the statuses of an origin that count as failure (RFC 5861 4). */
bool reuse_status_is_error(int status);

/* With nothing stored: is 504 the answer rather than a fetch (only-if-cached)? NULL as above. */
bool reuse_only_if_cached(const struct http_cache_control *request_cc);

#endif
