/*
 * tls_pem.h - the blocks of a PEM file, one after the other (RFC 7468). Pure.
 */
#ifndef TLS_PEM_H
#define TLS_PEM_H

#include <stdbool.h>

#include "weir/span.h"

struct tls_pem_block {
    struct weir_span label; /* "CERTIFICATE", "EC PRIVATE KEY" */
    struct weir_span text;  /* between the lines that begin and end it */
    bool encrypted;         /* by its label, or by its fields (RFC 1421) */
};

enum tls_pem_step {
    TLS_PEM_BLOCK, /* *out */
    TLS_PEM_END,   /* there is no further one */
    TLS_PEM_BROKEN /* one begins and does not end */
};

/* Takes the next block of *text; what stands between blocks is passed over. */
enum tls_pem_step tls_pem_next(struct weir_span *text, struct tls_pem_block *out);
/* Its bytes into `out`, which holds tls_pem_room(); false: that is no base64. */
size_t tls_pem_room(const struct tls_pem_block *b);
bool tls_pem_decode(const struct tls_pem_block *b, unsigned char *out, size_t *len);

#endif
