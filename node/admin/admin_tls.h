/*
 * admin_tls.h - what TLS connections of operators share: certificate, key, and whose certificates
 * are asked for. TLS 1.2 and newer; no sessions are kept.
 */
#ifndef ADMIN_TLS_H
#define ADMIN_TLS_H

#include "weir/err.h"
#include "admin_settings.h"

struct ssl_ctx_st;
struct weir_opener;

/* Reads the files, with opener where this process may not (NULL: nobody). Returns owned
 * (SSL_CTX_free()). NULL: CONFIG, with the name of the file that cannot be used; MEMORY. */
struct ssl_ctx_st *admin_tls_new(const struct admin_tcp_settings *s,
                                 const struct weir_opener *opener, struct weir_err *err);

#endif
