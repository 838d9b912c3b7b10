/*
 * front.h - a connection before it is known what it speaks: PROXY header, TLS handshake, ALPN, or
 * the first bytes of HTTP/2.
 *
 *   accept -> [PROXY header] -> [TLS handshake] -> h1 or h2
 *        '------------- time-out, refusal, error ----> closed
 *
 * A connection that is not let in, or fails, is counted, and logged at most FRONT_LOG_MAX times a
 * second. An address that needs none of it hands its connections to HTTP/1 at once.
 */
#ifndef FRONT_H
#define FRONT_H

#include "front_entry.h"
#include "h1_server.h"

#define FRONT_LOG_MAX 10

struct front_conn;
struct h2_server;
struct tls_worker;

struct front {
    struct exchange_worker *w;
    struct net_clients *clients;
    struct tls_worker *tls; /* NULL: no address has TLS */
    struct h1_server *h1;
    struct h2_server *h2;
    unsigned handshakes;                             /* under way */
    struct front_conn *first_waiting, *last_waiting; /* for a handshake of theirs to begin */
    struct net_deferred turn;                        /* begins what waits */
    bool turning;
    int64_t log_second; /* so many lines were logged in this second, so many not */
    unsigned logged, unlogged;
};

/* A new connection: takes fd, keeps a reference of the entry. */
void front_accept(struct front *f, const struct front_entry *entry, int fd,
                  const struct net_addr *peer);

#endif
