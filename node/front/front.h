/*
 * front.h - a connection before it is known what it speaks: PROXY header, TLS handshake, ALPN, or
 * the first bytes of HTTP/2.
 *
 *   accept -> [PROXY header] -> [TLS handshake] -> h1 or h2
 *        '------------- time-out, refusal, error ----> closed
 *
 * An address that needs none of it hands its connections to HTTP/1 at once.
 */
#ifndef FRONT_H
#define FRONT_H

#include "front_entry.h"
#include "h1_server.h"
#include "h2_server.h"
#include "tls_session.h"

struct front {
    struct exchange_worker *w;
    struct net_clients *clients;
    struct tls_worker *tls; /* NULL: no address has TLS */
    struct h1_server *h1;
    struct h2_server *h2;
    unsigned handshakes; /* under way */
};

/* For net_listener.accepted: takes fd. */
void front_accept(struct front *f, struct front_entry *entry, int fd, const struct net_addr *peer);

#endif
