/*
 * purging.h - what a fetch can be purged by, what purges make of what is stored, and what a
 * response purges.
 *
 * A response that is no error (2xx, 3xx) to a method not known to be safe invalidates what is
 * stored for its target, on whatever route, under whatever scheme, in every variant; and for the
 * URIs in its Location and Content-Location, if they are of the target's origin: another origin's
 * responses are not its to remove. Cache-Group-Invalidation counts on every final response to such
 * a method. All of it is a hard purge: the next request asks without a condition, for a validator
 * of whole seconds would not notice a change within one.
 *
 * Source: RFC 9111 4.4, RFC 9875 3.
 */
#ifndef PURGING_H
#define PURGING_H

#include "exchange.h"

/* Before `fill`, made for x's key, is shared. */
void purging_name(struct weir_exchange *x, struct fill *fill);

/* By what URL a fill that moves to `key` can be purged there: No-Vary-Search. Else the one it has.
 */
uint64_t purging_url(const struct fill *fill, struct weir_span key);

/*
 * What decides about the use of a stored response now: its facts, with a soft purge counted in.
 * false: it was purged for good, and must not be used.
 */
bool purging_reuse(struct exchange_worker *w, struct stored_response *r, struct reuse_facts *out);

/* Was it purged in any way, softly or for good? */
bool purging_is_purged(struct exchange_worker *w, struct stored_response *r);

/* x's answer has begun to come from the origin. Without memory, what could not be read is left
 * alone; the target itself needs none. */
void purging_by(struct weir_exchange *x, const struct http_head *response);

/* What is stored of x's URL turns out not to belong together: all of it is purged for good. */
void purging_drop(struct weir_exchange *x);

#endif
