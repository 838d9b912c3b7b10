/*
 * tls_settings.h - what an operator chooses about TLS with clients. (With origins: in
 * origin_settings.h.)
 */
#ifndef TLS_SETTINGS_H
#define TLS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net_settings.h" /* struct tls_listen_settings */

/* One certificate with its chain and key: PEM files. */
struct tls_certificate_settings {
    const char *certificate; /* leaf first, then intermediates */
    const char *key;         /* NULL: in the same file */
    const char *ocsp;        /* a response (DER) to staple; NULL: fetched, if tls.ocsp says so */
};

/* `tls:` of the whole node. */
struct tls_settings {
    struct tls_certificate_settings *certificates;
    size_t certificate_count;
    const char *directory;        /* every NAME.crt or NAME.pem with NAME.key; NULL: none */
    const char *min_version;      /* "1.2" (default), "1.3" */
    const char *ciphers;          /* of TLS 1.2, OpenSSL's words; NULL: ours */
    const char *ciphersuites;     /* of TLS 1.3; NULL: ours */
    const char *groups;           /* "X25519:P-256:P-384" */
    bool ocsp_fetch;              /* staple what the issuer's responder says */
    int64_t handshake_timeout_ms; /* 5 s */
    uint32_t handshakes;          /* under way at once, per worker: 1024; more wait */
    uint32_t handshake_threads;   /* for RSA keys of 3072 bits and more; 0: none */
    int64_t ticket_rotation_ms;   /* a key issues tickets for this long: 8 h */
    bool tickets;                 /* true */
};

#endif
