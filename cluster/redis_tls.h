/*
 * redis_tls.h - what TLS connections to Redis share: one SSL_CTX, made once, used by all threads.
 */
#ifndef REDIS_TLS_H
#define REDIS_TLS_H

#include "weir/err.h"

struct redis_tls_settings;
struct redis_tls;
struct ssl_st;

/* Reads the files. Borrows settings. NULL with err set: a file that cannot be read or does not fit.
 */
struct redis_tls *redis_tls_new(const struct redis_tls_settings *settings, struct weir_err *err);
/* Connections that were made with it must be gone. NULL does nothing. */
void redis_tls_free(struct redis_tls *t);

/* A client's SSL that will accept `host` (a name or an IP address) alone, or the server_name of the
 * settings. Any thread. Returns owned; NULL without memory or if the name is unusable. */
struct ssl_st *redis_tls_session(const struct redis_tls *t, const char *host);

#endif
