/*
 * h1_server.h - one worker's HTTP/1.x clients.
 */
#ifndef H1_SERVER_H
#define H1_SERVER_H

#include "exchange.h"
#include "net_clients.h"

struct front_entry;
struct h1_stream;

#define H1_READ_BYTES 65536

struct h1_server {
    struct exchange_worker *w;
    struct net_clients *clients; /* where its connections have their place */
    struct h1_stream *free_streams;
    unsigned free_count;
    char *scratch; /* H1_READ_BYTES: what arrives is parsed here; idle connections hold no buffer */
};

bool h1_server_init(struct h1_server *s, struct exchange_worker *w, struct net_clients *clients,
                    struct weir_err *err);
/* A plain connection nothing else is expected of: let in, or closed. Takes fd; keeps a reference of
 * the entry, which may be NULL in tests. */
void h1_server_accept(struct h1_server *s, const struct front_entry *entry, int fd,
                      const struct net_addr *peer);
/* `from` has been let in and speaks HTTP/1; its place, channel and addresses go to a connection of
 * this server (net_clients_replace()), and the caller frees the rest. early: bytes already read,
 * borrowed. false without memory: nothing has changed. */
bool h1_server_take(struct h1_server *s, struct net_client *from, struct weir_span early);
/* No connection may be left. */
void h1_server_close(struct h1_server *s);

#endif
