/*
 * tls_ocsp.h - whether a certificate is still good, in its issuer's words: asked for, judged.
 *
 * Pure but for OpenSSL's memory. Source: RFC 6960; RFC 6066 8.
 */
#ifndef TLS_OCSP_H
#define TLS_OCSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"
#include "tls_store.h"

#define TLS_OCSP_MAX ((size_t)64 * 1024) /* bytes of a response */

struct tls_ocsp_answer {
    enum tls_ocsp_state state; /* GOOD, REVOKED, EXPIRED, FAILED */
    int64_t this_s, next_s;    /* thisUpdate, nextUpdate; FAILED: 0 */
    char error[96];            /* why it is not GOOD; "" */
};

/* A request for the certificate (both DER) into *out, to be freed with OPENSSL_free(). 0: it cannot
 * be made. */
int tls_ocsp_request(struct weir_span leaf, struct weir_span issuer, unsigned char **out);
/* Judges a response: is it about this certificate, signed by its issuer or by whom that one
 * named, and in force? */
void tls_ocsp_judge(struct weir_span response, struct weir_span leaf, struct weir_span issuer,
                    int64_t now_s, struct tls_ocsp_answer *out);

#endif
