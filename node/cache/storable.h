/*
 * storable.h - may this request be looked up, and may this response be stored.
 *
 * A verdict says why not in one word, for Cache-Status and the log. Pure; borrows its arguments for
 * the call, allocates nothing, cannot fail.
 *
 * Source: RFC 9111 3 and 3.5, 5.2 (directives), RFC 6585 3-6 and RFC 8470 5.2 (statuses never
 * stored).
 */
#ifndef STORABLE_H
#define STORABLE_H

#include <stdbool.h>

#include "freshness.h"

struct control;
struct http_cache_control;
struct http_head;
struct route_cache_settings;
struct vary_spec;

enum storable_verdict {
    STORABLE_YES = 0,
    /* the request's doing: says nothing of the key, so no hit-for-miss */
    STORABLE_NO_ROUTE,            /* the route does not cache */
    STORABLE_NO_METHOD,           /* not GET or QUERY (for a look-up: nor HEAD) */
    STORABLE_NO_REQUEST_CONTENT,  /* content that is not in the key: of a GET, or of a QUERY that is
                                     too large */
    STORABLE_NO_REQUEST_NO_STORE, /* the client asked so */
    STORABLE_NO_AUTHORIZATION,    /* Authorization, and nothing in the response permits sharing */
    /* the response's doing: the next response for the key will most likely be the same */
    STORABLE_NO_STATUS, /* 1xx, 304, 428, 429, 431 and others that must never be stored; with
                           must-understand, those nobody here understands */
    STORABLE_NO_RANGE,  /* 206 or 416: an answer to a part */
    STORABLE_NO_STORE,
    STORABLE_NO_PRIVATE,
    STORABLE_NO_NO_CACHE,   /* with nothing to validate it by */
    STORABLE_NO_SET_COOKIE, /* and the route does not allow it */
    STORABLE_NO_VARY_STAR,  /* `*` in any Vary line, a Vary that does not parse or names too many
                               fields */
    STORABLE_NO_FRESHNESS,  /* no lifetime named, none may be guessed */
    STORABLE_NO_STALE,      /* stale on arrival, no validator, no stale window: never usable */
    STORABLE_VERDICTS
};

/* Of a request alone, before look-up and fill: YES, or why it must pass the cache by (fwd=bypass,
 * fwd=method). request_has_content: some that the key does not hold. */
enum storable_verdict storable_request(const struct http_head *request, bool request_has_content,
                                       const struct route_cache_settings *route);

/* The whole question. Every pointer is required; `facts` were made from the response and its
 * `control`. */
struct storable_question {
    const struct http_head *request;
    const struct http_cache_control *request_cc;
    bool request_has_content;
    const struct http_head *response;
    const struct control *control;
    const struct freshness_facts *facts;
    const struct route_cache_settings *route;
    bool part; /* a part was asked for, and is stored as what it is: 206 */
};

/* YES may also be a response that is always stale, to be validated each time (no-cache or max-age=0
 * with a validator). */
enum storable_verdict storable_response(const struct storable_question *q);

/* The fields that select among responses for this key, as far as the route heeds Vary. */
void storable_vary(const struct http_head *response, const struct route_cache_settings *route,
                   struct vary_spec *spec);

/* True if the verdict lies in the response, so that the key deserves a hit-for-miss marker. */
bool storable_marks_key(enum storable_verdict v);

/* Static text for Cache-Status `detail` and the log, a token: "set-cookie". "" for YES. */
const char *storable_text(enum storable_verdict v);

#endif
