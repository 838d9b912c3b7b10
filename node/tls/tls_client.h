/*
 * tls_client.h - how we connect to origins under TLS: whom we trust, who we are, what we resume.
 * Counted; verification is on unless the operator turned it off for that upstream.
 */
#ifndef TLS_CLIENT_H
#define TLS_CLIENT_H

#include <stdbool.h>

#include "weir/err.h"

struct tls_client_context;
struct weir_opener;

struct tls_client_settings {
    bool verify;             /* true */
    const char *ca;          /* PEM file; NULL: the system's */
    const char *certificate; /* ours; NULL: none */
    const char *key;         /* NULL: in the same file */
    const char *name;        /* for SNI and verification; NULL: the origin's host */
    const char *min_version; /* "1.2" */
    const char *ciphers, *ciphersuites, *groups; /* NULL or "": ours */
    bool http2;                                  /* offered by ALPN */
};

/* Reads the files, with opener where this process may not (NULL: nobody). Returns owned; NULL: *err
 * names the file or setting. */
struct tls_client_context *tls_client_context_new(const struct tls_client_settings *s,
                                                  const struct weir_opener *opener,
                                                  struct weir_err *err);
struct tls_client_context *tls_client_context_ref(struct tls_client_context *c);
void tls_client_context_unref(struct tls_client_context *c); /* NULL does nothing */

#endif
