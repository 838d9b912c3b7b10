/*
 * client_addr.h - who the client is, and by which scheme: the peer's, or what a trusted peer says.
 */
#ifndef CLIENT_ADDR_H
#define CLIENT_ADDR_H

#include "exchange.h"

/*
 * Sets x->client_addr, x->peer_trusted and x->secure (a trusted peer's X-Forwarded-Proto). A
 * trusted peer's X-Forwarded-For is read from its right end: trusted addresses are proxies of ours
 * and are passed over, the first other one is the client. What stands further left anybody may have
 * written.
 */
void client_addr_find(struct weir_exchange *x);

#endif
