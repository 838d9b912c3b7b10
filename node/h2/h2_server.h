/*
 * h2_server.h - one worker's HTTP/2 clients.
 */
#ifndef H2_SERVER_H
#define H2_SERVER_H

#include "exchange.h"
#include "net_clients.h"

struct h2_server {
    struct exchange_worker *w;
    struct net_clients *clients;
    struct h2_stream *free_streams;
    unsigned free_count;
    char *out; /* frames of one turn are gathered here: one write */
};

bool h2_server_init(struct h2_server *s, struct exchange_worker *w, struct net_clients *clients,
                    struct weir_err *err);
/* `from` has been let in and speaks HTTP/2; its place, channel and addresses go to a connection of
 * this server (net_clients_replace()), and the caller frees the rest. early: bytes already read,
 * borrowed. false without memory: nothing has changed. */
bool h2_server_take(struct h2_server *s, struct net_client *from, struct weir_span early);
/* No connection may be left. */
void h2_server_close(struct h2_server *s);

#endif
