/*
 * tls_server.h - how connections to one address are accepted under TLS: versions, ciphers, ALPN,
 * client certificates, tickets, early data. Counted and immutable; a reload makes new ones.
 */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include "tls_settings.h"
#include "tls_store.h"

struct tls_server_context;
struct tls_tickets; /* tls_tickets.h */
struct weir_opener;

/* What a context is made with. */
struct tls_server_tools {
    struct tls_store *store;          /* a reference is kept */
    struct tls_tickets *tickets;      /* shared by all addresses, outlives it; NULL: no tickets */
    const struct weir_opener *opener; /* of files; NULL: nobody but this process. For the call */
};

/* Control thread. Returns owned; NULL: *err names the setting. */
struct tls_server_context *tls_server_context_new(const struct tls_settings *s,
                                                  const struct tls_listen_settings *l,
                                                  const struct tls_server_tools *tools,
                                                  struct weir_err *err);
struct tls_server_context *tls_server_context_ref(struct tls_server_context *c);
void tls_server_context_unref(struct tls_server_context *c); /* NULL does nothing */

#endif
