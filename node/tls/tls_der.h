/*
 * tls_der.h - what stands in a certificate and in a private key, read from their encoding.
 *
 * OpenSSL 3.0 needs a tenth of a millisecond to make an object of a certificate and three of a key;
 * of ten thousand, most are never asked for. This reads what a node must know of all of them, at a
 * hundredth of that, and judges no more than it reads: OpenSSL judges what is used.
 *
 * Pure; no memory. All spans point into what was given. Strict DER lengths; anything else is
 * refused. Source: X.690; RFC 5280 4.1, RFC 5480, 5915, 5958, 8017 A.1, 7633.
 */
#ifndef TLS_DER_H
#define TLS_DER_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/span.h"

#define TLS_NAME_MAX 256 /* of a name in a certificate, with its NUL */

enum tls_key_kind { TLS_KEY_OTHER, TLS_KEY_EC, TLS_KEY_ED25519, TLS_KEY_RSA };

struct tls_der_certificate {
    struct weir_span serial;          /* content of the INTEGER */
    struct weir_span issuer, subject; /* whole encodings of the Names */
    struct weir_span public_key;      /* content of the BIT STRING, without unused bits */
    struct weir_span curve;           /* content of the OID; EC only */
    struct weir_span names;           /* content of subjectAltName's GeneralNames; empty: none */
    struct weir_span common_name;     /* of the subject; empty: none */
    struct weir_span ocsp_url;        /* of the responder (AIA); empty: none */
    int64_t not_before_s, not_after_s;
    enum tls_key_kind kind;
    unsigned bits;     /* of the key, as people count */
    bool must_staple;  /* RFC 7633 */
    bool issuer_known; /* says where its issuer's certificate can be had (AIA) */
};

/* false: it is none. */
bool tls_der_certificate(struct weir_span der, struct tls_der_certificate *out);

/* "ECDSA P-256", "RSA 2048", "Ed25519", "other". `out` holds 24 bytes. */
const char *tls_der_key_text(const struct tls_der_certificate *c, char out[24]);

/* The names a certificate is for: DNS names in lower case without a final dot, IP addresses as
 * text; of one without subjectAltName, its common name. */
struct tls_der_names {
    struct weir_span rest, common_name;
    bool any;
};

struct tls_der_names tls_der_names(struct weir_span names, struct weir_span common_name);
bool tls_der_next_name(struct tls_der_names *it, char out[TLS_NAME_MAX]);

enum tls_match {
    TLS_MATCH_YES,
    TLS_MATCH_NO,
    TLS_MATCH_UNKNOWN, /* the key does not say; OpenSSL can calculate it */
    TLS_MATCH_MALFORMED
};

/* Do they belong together? der: PKCS #8, SEC 1 or PKCS #1. */
enum tls_match tls_der_match(const struct tls_der_certificate *c, struct weir_span der);

#endif
