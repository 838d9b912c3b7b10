/*
 * admin_tls.h - what TLS connections of operators share: certificate, key, and whose certificates
 * are asked for. TLS 1.2 and newer; no sessions are kept.
 */
#ifndef ADMIN_TLS_H
#define ADMIN_TLS_H

#include "weir/err.h"
#include "admin_settings.h"

struct ssl_ctx_st;

/* Reads the files. Returns owned (SSL_CTX_free()). NULL: CONFIG, with the name of the file that
 * cannot be used; MEMORY. */
struct ssl_ctx_st *admin_tls_new(const struct admin_tcp_settings *s, struct weir_err *err);

#endif
