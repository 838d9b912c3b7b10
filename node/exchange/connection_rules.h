/*
 * connection_rules.h - what routes and listening addresses ask of the connection that a request
 * came by, and what they tell the client and the origin of it.
 *
 * Judged when the route is known, in this order:
 *   plain where the address sends everybody to https   -> 308, but for health routes
 *   a host that the certificate shown does not cover   -> 421 (RFC 9110 7.4, 15.5.20)
 *   early data where the route takes no replays        -> 425 (RFC 8470)
 *   no client certificate where the route wants one    -> 403
 *
 * A verified identity becomes a Client-Cert field of the request (RFC 9440): Vary may name it,
 * origins get it, and storing judges it as it judges Authorization. What clients say there
 * themselves is gone by then.
 */
#ifndef CONNECTION_RULES_H
#define CONNECTION_RULES_H

#include "exchange.h"
#include "front_entry.h"

struct http_text;
struct tls_identity;

/* Is there anything to judge? */
static inline bool connection_rules_concern(const struct weir_exchange *x)
{
    return x->tls != NULL || (x->entry != NULL && x->entry->redirect_https) ||
           x->route->settings->client_certificate != ROUTE_CLIENT_CERT_NONE;
}

/* NEXT, REPLY, or FAIL with x->err. */
enum exchange_verdict connection_rules_run(struct weir_exchange *x);

/* The verified client this route may know of; NULL: none. */
const struct tls_identity *connection_identity(const struct weir_exchange *x);

/* ---- fields of the response that are the connection's: Strict-Transport-Security, Alt-Svc ---- */

/* Are there any? */
static inline bool connection_fields_concern(const struct weir_exchange *x)
{
    return x->parent == NULL && ((x->entry != NULL && x->entry->alt_svc != NULL) ||
                                 (x->route != NULL && x->route->settings->hsts.max_age_s > 0));
}

/* Has the origin's response some that must give way? */
bool connection_fields_replace(const struct weir_exchange *x, const struct http_field *fields,
                               uint32_t count);
/* Takes those out. */
void connection_fields_remove(const struct weir_exchange *x, struct http_head *head);
/* At least as many bytes as they take. */
size_t connection_fields_room(const struct weir_exchange *x);
void connection_fields_put(struct http_text *t, const struct weir_exchange *x);

#endif
