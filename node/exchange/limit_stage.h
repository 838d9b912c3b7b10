/*
 * limit_stage.h - the stage that asks the rate limits of a route (limit.h).
 *
 * After the route is known and before anything is looked up, so that hits count as well. All limits
 * of a route must allow; they are asked one after the other, and where one refuses, what was taken
 * from those before it is given back. Sub-exchanges are not counted: the client asked once.
 */
#ifndef LIMIT_STAGE_H
#define LIMIT_STAGE_H

#include "exchange.h"
#include "http_text.h"

/* What limits had to say about a request; in its arena. */
struct exchange_limited;

/* Has this route limits? They come before what it does. */
static inline bool limit_stage_applies(const struct weir_exchange *x)
{
    const struct site *site = x->site->site;

    return site->route_limits != NULL && site->route_limits[x->route->index] != NULL &&
           x->parent == NULL;
}

enum exchange_verdict limit_stage_run(struct weir_exchange *x);
void limit_stage_cancel(struct weir_exchange *x);

/* ---- for answers; only where x->limited is not NULL ---- */

/* Bytes that are enough for them. */
size_t limit_stage_room(const struct weir_exchange *x);
/* The fields that this answer gets for its limits, Retry-After too if one refused. */
void limit_stage_put(struct http_text *t, const struct weir_exchange *x);
/* Of a refusal. */
int limit_stage_status(const struct weir_exchange *x);
/* Name of the limit that refused, or would have in a dry run; NULL: none. */
const char *limit_stage_refused(const struct weir_exchange *x);

#endif
