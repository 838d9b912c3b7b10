/*
 * trace.h - the request id, and W3C trace context passed on.
 *
 * A request id (ours: 32 hex digits) names the exchange in logs, toward the origin and to the
 * client. It is the client's own only if a trusted peer sent it. traceparent (W3C Trace Context) is
 * passed on as it came when it is well-formed; its trace-id is then logged too.
 */
#ifndef TRACE_H
#define TRACE_H

#include "exchange.h"

void trace_begin(struct weir_exchange *x);
/* The request's id, made when first asked for: most hits never need one. */
struct weir_span trace_request_id(struct weir_exchange *x);
/* True for a traceparent that may be passed on. */
bool trace_parent_valid(struct weir_span value);

#endif
