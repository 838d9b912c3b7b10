/*
 * reply.h - answers of weir's own: errors, redirects, fixed responses. Small, uniform, silent about
 * the software.
 */
#ifndef REPLY_H
#define REPLY_H

#include "exchange.h"

/*
 * x->err becomes a response: HTML, or problem details (RFC 9457) for clients that prefer JSON;
 * for a call of gRPC its status, as a response with trailers only.
 * Never fails: without memory it has no content. Faults in framing close the connection.
 */
void reply_with_error(struct weir_exchange *x);
/* x->route's redirect. false: x->err. */
bool reply_with_redirect(struct weir_exchange *x);
/* Elsewhere, with this status. false: x->err. */
bool reply_with_location(struct weir_exchange *x, int status, struct weir_span location);
/* x->route's fixed response. */
bool reply_with_fixed(struct weir_exchange *x);
/* How this node is, as x->route asks: 200 or 503, not to be stored. */
bool reply_with_health(struct weir_exchange *x);
/* This content, which lives as long as x. false: x->err. */
bool reply_with_text(struct weir_exchange *x, int status, struct weir_span content);
bool reply_with_json(struct weir_exchange *x, int status, struct weir_span content);

#endif
