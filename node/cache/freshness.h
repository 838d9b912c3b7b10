/*
 * freshness.h - how long a stored response may be used without validation.
 *
 * Reads no clock, allocates nothing, cannot fail. All values are whole seconds; instants count from
 * the Unix epoch. Every parsed delta-seconds is clamped to 2^31 first (RFC 9111 1.2.2), so no sum
 * here can overflow.
 *
 * Source: RFC 9111 4.2.1 (lifetime), 4.2.2 (heuristic), 4.2.3 (age), 5.1 (Age), 5.3 (Expires).
 */
#ifndef FRESHNESS_H
#define FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

struct control;
struct http_head;

#define FRESHNESS_ABSENT    INT64_MIN          /* the response carried no such field or directive */
#define FRESHNESS_DELTA_MAX (INT64_C(1) << 31) /* a larger delta-seconds reads as this one */

/* What one response says of itself. Borrowed by every call below, never kept. */
struct freshness_facts {
    int64_t request_time;  /* when the request for it was sent */
    int64_t response_time; /* when its header section had arrived */
    int64_t
        date;    /* Date; response_time if there was none, or several, or one that does not parse */
    int64_t age; /* Age, or 0 */
    int64_t s_maxage; /* this one and the next three may be FRESHNESS_ABSENT */
    int64_t max_age;
    int64_t expires; /* a date that does not parse reads as 0, long past (RFC 9111 5.3) */
    int64_t last_modified;
    bool route_says; /* the lifetime below counts, whatever the response names */
    int64_t route_lifetime;
    bool heuristic_ok; /* the route allows guessing, and status code or `public` permits it (RFC
                          9111 4.2.2) */
};

/*
 * Fills *f from a response and what in it counts for this cache (control.h); `heuristic` is the
 * route's switch. Borrows both. Of several Age the first counts, of several Expires the earliest; a
 * directive given without a usable value reads as 0 (stale). route_lifetime.h may add the route's.
 */
void freshness_facts_from(struct freshness_facts *f, const struct http_head *response,
                          const struct control *control, bool heuristic, int64_t request_time,
                          int64_t response_time);

/* Freshness lifetime for a shared cache, >= 0; 0 means stale on arrival. */
int64_t freshness_lifetime(const struct freshness_facts *f);

/* True if the response itself names a lifetime (s-maxage, max-age, Expires), be it 0, or the route
 * gives it one. */
bool freshness_explicit(const struct freshness_facts *f);

/* Age the response had on arrival (corrected_initial_age), >= 0. */
int64_t freshness_initial_age(const struct freshness_facts *f);

/* Current age at `now`, >= initial age: a clock that went backwards does not make it younger. */
int64_t freshness_age(const struct freshness_facts *f, int64_t now);

#endif
