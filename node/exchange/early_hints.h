/*
 * early_hints.h - 103 responses (RFC 8297) on their way to a client: for whom, and what of them.
 */
#ifndef EARLY_HINTS_H
#define EARLY_HINTS_H

#include "exchange.h"

/*
 * An interim response of the origin as this client gets it: `head` itself (RFC 9110 15.2), unless
 * it is a 103 on a route that restricts those. Then NULL: nothing; or, for navigations, the Link
 * fields alone that have something fetched or connected to ahead (preload, modulepreload,
 * preconnect, dns-prefetch), in *out.
 */
const struct http_head *early_hints(struct weir_exchange *x, const struct http_head *head,
                                    struct http_head *out);

#endif
