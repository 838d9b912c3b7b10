/*
 * route_lifetime.h - what a route makes of the lifetime of a response (routes[].cache.ttl,
 * despite).
 *
 * Lifetimes the route gives count from arrival, however old the response was by then; those it only
 * bounds stay what they are, counted from the origin. Pure; cannot fail.
 */
#ifndef ROUTE_LIFETIME_H
#define ROUTE_LIFETIME_H

struct control;
struct freshness_facts;
struct route_cache_settings;

/*
 * Adds the route's say to facts that are otherwise complete:
 *
 *   despite.ttl        the lifetime, whatever the response says, but for statuses that blame the
 *                      request
 *   a named lifetime   within ttl.min and ttl.max
 *   none named         ttl.status by the status code (statuses that blame the request only where
 *                      they are named alone, not in a range); else the guess, where the route
 * guesses; else ttl.otherwise, for responses that may be guessed at (RFC 9111 4.2.2: by status
 * code, or `public`)
 */
void route_lifetime_apply(struct freshness_facts *f, const struct control *c, int status,
                          const struct route_cache_settings *route);

#endif
