/*
 * h2_server.h - one worker's HTTP/2 clients.
 */
#ifndef H2_SERVER_H
#define H2_SERVER_H

#include "exchange.h"
#include "h2_memory.h"
#include "h2_settings.h"
#include "net_clients.h"

struct h2_out;
struct h2_stream;
struct nghttp2_option;
struct nghttp2_session_callbacks;

struct h2_server {
    struct exchange_worker *w;
    struct net_clients *clients;
    struct h2_stream *free_streams;
    unsigned free_count;
    struct h2_memory memory; /* of sessions */
    /* From here on made with the first connection: a node without HTTP/2 holds none of it. */
    char *in;           /* what arrives is read into this: idle connections hold no buffer */
    struct h2_out *out; /* frames of one turn are gathered here: one write */
    struct nghttp2_option *option;
    struct nghttp2_session_callbacks *callbacks;
    int64_t abuse_logged_ms; /* h2_abuse.h: when, and what has happened since */
    unsigned abuse_unlogged;
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
