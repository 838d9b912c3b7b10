/*
 * flaps.h - an origin that goes down again and again stays out for a while: each DOWN adds a
 * penalty that halves every minute; above FLAPS_SUPPRESS it is suppressed until below FLAPS_REUSE.
 *
 * Arithmetic only. Source: RFC 2439 (route flap damping), balancing-and-health 4.2.
 */
#ifndef FLAPS_H
#define FLAPS_H

#include <stdbool.h>
#include <stdint.h>

#define FLAPS_EACH     1000.0
#define FLAPS_HALF_MS  60000
#define FLAPS_SUPPRESS 3000.0
#define FLAPS_REUSE    750.0
#define FLAPS_MOST     6000.0 /* so that it is back 3 minutes after its last DOWN */

struct flaps {      /* all zero: never down */
    double penalty; /* as of at_ms */
    int64_t at_ms;
    bool suppressed;
};

void flaps_down(struct flaps *f, int64_t now_ms);
/* Is it suppressed now? */
bool flaps_look(struct flaps *f, int64_t now_ms);

#endif
