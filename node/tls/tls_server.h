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

/* store: a reference is kept; tickets: shared by all addresses, outlives the context; NULL: no
 * tickets. Control thread. Returns owned; NULL: *err names the setting. */
struct tls_server_context *
tls_server_context_new(const struct tls_settings *s, const struct tls_listen_settings *l,
                       struct tls_store *store, struct tls_tickets *tickets, struct weir_err *err);
struct tls_server_context *tls_server_context_ref(struct tls_server_context *c);
void tls_server_context_unref(struct tls_server_context *c); /* NULL does nothing */

#endif
