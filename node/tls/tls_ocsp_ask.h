/*
 * tls_ocsp_ask.h - one question to a responder, over HTTP/1.0. Blocks, until a deadline: for a
 * thread of the work pool.
 */
#ifndef TLS_OCSP_ASK_H
#define TLS_OCSP_ASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"

/* For how long to wait for all of it, and a word to give up sooner. */
struct tls_ocsp_patience {
    int timeout_ms;
    const atomic_bool *stop;
};

/* Fills out[] (TLS_OCSP_MAX) with the content of a 200. false: why[]. */
bool tls_ocsp_ask(struct weir_span url, struct weir_span request,
                  const struct tls_ocsp_patience *patience, unsigned char *out, size_t *len,
                  char why[96]);

/* The content of a response that was read to its end; false: why[]. Pure. */
bool tls_ocsp_content(struct weir_span response, struct weir_span *content, char why[96]);

#endif
