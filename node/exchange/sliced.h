/*
 * sliced.h - a response put together from slices, each fetched and stored by itself.
 *
 *   begin --> PROBING --a slice--> STREAMING: current, and at most the next one --> closed
 *                |                     '-- another validator or length: the body breaks off, and
 *                |                         what is stored of the URL is purged
 *                '--anything else--> the whole is asked for (lookup), or the request passes
 *
 * A slice is a sub-exchange with a key and a Range of its own, so it is collapsed, stored,
 * validated and purged like any response. The first one asked tells length, validator and fields of
 * the whole; conditions and ranges of the client are judged by them. Slices are fetched only when
 * the client has taken what comes before, but for the next one.
 *
 * Answered in slices are GET and HEAD on routes with cache.slice for which no whole is stored.
 * Several ranges at once pass; so does a request when the origin's parts cannot be put together
 * (no strong validator, no complete length, may not be stored).
 */
#ifndef SLICED_H
#define SLICED_H

#include "exchange.h"

/* Is x one to be answered in slices? Its route and request are known. */
bool sliced_wanted(const struct weir_exchange *x);
/* A part of the look-up. WAIT: x is resumed once the first slice is there. */
enum exchange_verdict sliced_begin(struct weir_exchange *x);
/* The client has left, or is answered otherwise. NULL does nothing. */
void sliced_close(struct sliced *z);

#endif
