/*
 * control.h - which words of a response control this cache, and what they come to.
 *
 * A response may speak to all caches (Cache-Control, Expires), to some by name (targeted fields
 * such as CDN-Cache-Control), or to surrogates (Surrogate-Control). Exactly one of them counts,
 * chosen here, once; whoever asks for freshness, storing or reuse asks with the result. The first
 * of the target list that is there, parses and is not empty wins; then Cache-Control and Expires
 * are not looked at (Age still counts). What the route does not heed (`despite`) is taken out here
 * too.
 *
 * The result borrows from the response and the arena. Cannot fail: what would need memory that is
 * not there reads as no-store.
 *
 * Source: RFC 9213 2.1, 2.2; RFC 9111 5.2.2.4 and 5.2.2.7 (qualified forms); Surrogate-Control:
 * Edge Architecture Specification 1.0, 2.2.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdbool.h>

#include "weir/span.h"
#include "http_cache_control.h"

struct cache_settings;
struct http_field;
struct http_head;
struct route_cache_settings;
struct weir_arena;

enum control_source {
    CONTROL_CACHE_CONTROL, /* or nothing at all */
    CONTROL_TARGETED,
    CONTROL_SURROGATE,
};

struct control {
    enum control_source source;
    struct http_cache_control cc; /* as Cache-Control would say it */
    bool expires_counts;
    bool never_stale; /* must-revalidate, proxy-revalidate, s-maxage or no-cache, and heeded */
    bool withholds;   /* some fields are for the client alone whose request caused the response */
    bool strips_cookies;  /* Set-Cookie is one of them, as the route wants it */
    struct weir_span esi; /* inside of Surrogate-Control's content="..."; ptr NULL: none */
};

/* Whose words count. All borrowed for the call. */
struct control_rules {
    const struct cache_settings *node;
    const struct route_cache_settings *route;
    struct weir_span surrogate; /* our name among surrogates: the pseudonym */
};

void control_of(struct control *c, const struct http_head *response,
                const struct control_rules *rules, struct weir_arena *arena);

/*
 * Is this field for that one client alone: neither stored nor given to others who share the fetch?
 * False for all unless c->withholds. The rest of the response may be shared without it.
 */
bool control_withholds(const struct control *c, const struct http_field *f);

/* Is it a field for caches such as this one alone, that clients are not to see by these settings?
 * Stored responses keep it, for a 304 may leave it out. */
bool control_hides(const struct cache_settings *node, const struct http_field *f);

#endif
