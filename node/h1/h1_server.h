/*
 * h1_server.h - one worker's HTTP/1.x clients: accepting, limits, idle connections, draining.
 */
#ifndef H1_SERVER_H
#define H1_SERVER_H

#include "exchange.h"
#include "net_peers.h"

struct h1_conn;
struct h1_stream;

#define H1_READ_BYTES 65536

struct h1_server {
    struct exchange_worker *w;
    struct net_peers *peers; /* shared by all workers */
    struct h1_conn *conns;   /* all */
    struct h1_conn *oldest_idle, *newest_idle;
    unsigned count;
    struct h1_stream *free_streams;
    unsigned free_count;
    bool polite;   /* answers say that the connection closes */
    bool draining; /* and nothing new is awaited */
    char *scratch; /* H1_READ_BYTES: what arrives is parsed here; idle connections hold no buffer */
    void (*drained)(void *arg); /* draining and no connection left */
    void *drained_arg;
    void (*closed)(void *arg); /* a descriptor came free */
    void *closed_arg;
};

bool h1_server_init(struct h1_server *s, struct exchange_worker *w, struct net_peers *peers,
                    struct weir_err *err);
/* Takes fd. For net_listener.accepted. */
void h1_server_accept(void *server, int fd, const struct net_addr *peer);
/* From now on each connection is closed after its next response: clients go elsewhere, and lose
 * nothing. */
void h1_server_be_polite(struct h1_server *s);
/* No new requests: idle connections close now, busy ones after their response. What has been sent
 * already is answered; a connection that has not said anything yet has half a second for it. */
void h1_server_drain(struct h1_server *s);
/* Closes connections between requests: a node short of memory. */
void h1_server_shed(struct h1_server *s);
/* Ends every connection now, whatever it does. */
void h1_server_abort(struct h1_server *s);
/* No connection may be left. */
void h1_server_close(struct h1_server *s);

#endif
