/*
 * tls_facts.h - what is known of a connection under TLS: for logs, for routes, for origins.
 *
 * Set when the handshake is over (client certificate, version, name) and then left alone, but for
 * `early`, which turns false once the handshake behind early data is complete.
 */
#ifndef TLS_FACTS_H
#define TLS_FACTS_H

#include <stdbool.h>

#include "weir/span.h"

/* A client that has proved who it is. All strings end with NUL. */
struct tls_identity {
    const char *subject;     /* RFC 2253: "CN=alice,O=Example" */
    const char *issuer;      /* likewise */
    const char *serial;      /* hex */
    const char *fingerprint; /* SHA-256 of the certificate, hex */
    const char *san;         /* "DNS:a.example, URI:spiffe://x"; "" if none */
    struct weir_span der;    /* the certificate: for Client-Cert (RFC 9440) */
};

struct tls_facts {
    const char *version; /* "TLSv1.3"; static */
    const char *cipher;  /* "TLS_AES_128_GCM_SHA256"; static */
    const char *alpn;    /* "h2", "http/1.1", "" */
    const char *name;    /* SNI in lower case without a final dot; "": none was sent */
    bool resumed;
    bool early;                         /* what is read now came before the handshake was over */
    const struct tls_identity *client;  /* a verified certificate; NULL: none */
    const struct tls_certificate *cert; /* the one that was shown: tls_covers() */
    bool name_covered;                  /* it covers `name`: the usual host of all requests */
};

#endif
