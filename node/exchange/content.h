/*
 * content.h - the content of a QUERY, gathered before the look-up, for it is a part of the key.
 *
 *   stage -> not a QUERY, not to be looked up, announced too large -> NEXT
 *     '----> gathers from x->body --- all of it ----------------> x->content, whole
 *                 |           '------ more than the route allows -> its beginning; the rest
 *                 |                                                 stays in x->body
 *                 '---- the client fails, or leaves --------------> FAIL, cancelled
 *
 * What is whole goes to the origin together with the head, so the request can be repeated (RFC
 * 10008 2: QUERY is safe and idempotent). What is not goes on as a stream, its beginning first.
 *
 * The client's time-outs for content hold while it is gathered.
 */
#ifndef CONTENT_H
#define CONTENT_H

#include "exchange.h"

enum exchange_verdict content_run(struct weir_exchange *x);
void content_cancel(struct weir_exchange *x);

/* Is there content the key does not hold? */
static inline bool content_unkeyed(const struct weir_exchange *x)
{
    return x->body != NULL && !x->content_whole;
}

/* What still has to be streamed to the origin; NULL: nothing. */
static inline struct net_pipe *content_stream(const struct weir_exchange *x)
{
    return x->content_whole ? NULL : x->body;
}

#endif
