/*
 * tls_store.h - the certificates a node shows, found by the name a client asks for.
 *
 * A store is a counted set, made on the control thread (or on a thread of the work pool) from
 * settings, and shared by all workers; nothing in it changes but the responses of OCSP. Thousands
 * of certificates cost their encoded bytes; what OpenSSL needs is made when a name is first asked
 * for and kept for those in use.
 *
 * A name is looked for as it is, then with its first label replaced by "*" (RFC 9525 6.3). Of
 * several certificates for a name (ECDSA and RSA side by side) the handshake takes the first the
 * client can use, ECDSA before RSA. Without a match: the first certificate configured, and those
 * of the same name.
 */
#ifndef TLS_STORE_H
#define TLS_STORE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/opener.h"
#include "weir/span.h"
#include "tls_settings.h"

struct tls_store;
struct tls_certificate; /* belongs to its store */

/* A certificate that lies in no file: borrowed for the call. */
struct tls_given {
    const char *source;     /* who gives it, for people: "acme www.example.com" */
    struct weir_span chain; /* PEM, leaf first */
    struct weir_span key;   /* PEM */
};

struct tls_store_options {
    const struct tls_settings *settings; /* borrowed for the call */
    const struct weir_opener *opener;    /* NULL: as this process may. For the call */
    int64_t now_s;                       /* Unix time: what is expired */
    const struct tls_given *given;
    size_t given_count;
};

/*
 * Reads and checks everything: key and certificate belong together, keys are readable by their
 * owner and its group alone (an error; see tls_files.h). What clients may refuse is a warning:
 * expired, not valid yet, a chain that does not lead on. The first file that is wrong is named.
 * May block on files. Any thread. Returns owned; NULL: *err. Without any certificate: an empty
 * store, with which no handshake succeeds.
 */
struct tls_store *tls_store_new(const struct tls_store_options *o, struct weir_err *err);
struct tls_store *tls_store_ref(struct tls_store *s);
void tls_store_unref(struct tls_store *s); /* NULL does nothing */
size_t tls_store_count(const struct tls_store *s);

/*
 * Gives the connection of this hello its certificate, chain, key and, if it asked for one, stapled
 * response. For OpenSSL's certificate callback (SSL_CTX_set_cert_cb), any thread. name: SNI in
 * lower case, "" for none. *chosen: for tls_facts.cert, as long as the store lives. false: none can
 * be used; *err.
 */
bool tls_store_choose(struct tls_store *s, SSL *ssl, const char *name,
                      const struct tls_certificate **chosen, struct weir_err *err);
/* What tls_store_choose() would take for this name at first, for a handshake that resumes and
 * chooses none. As long as the store lives; NULL: the store is empty. */
const struct tls_certificate *tls_store_find(const struct tls_store *s, const char *name);
/* For SSL_CTX_set_tlsext_status_cb: sends what tls_store_choose() stapled. */
int tls_store_status(SSL *ssl, void *unused);
/* Does the certificate cover this host (normalised, without port, an IPv6 address without
 * brackets)? (RFC 9110 7.4: else 421.) */
bool tls_covers(const struct tls_certificate *c, struct weir_span host);
/* Is its key so slow to sign with that a handshake belongs off the loop? (RSA, 3072 bits on.) */
bool tls_certificate_slow(const struct tls_certificate *c);

/* ---- for operators ---- */

enum tls_ocsp_state {
    TLS_OCSP_NONE,    /* nothing to staple, and nobody to ask */
    TLS_OCSP_WAITING, /* to be fetched */
    TLS_OCSP_GOOD,    /* stapled */
    TLS_OCSP_EXPIRED, /* what there was is too old: nothing is stapled */
    TLS_OCSP_REVOKED, /* the issuer has revoked the certificate: nothing is stapled */
    TLS_OCSP_FAILED,  /* see ocsp_error */
};

struct tls_certificate_view {
    const char *source;   /* the file of the certificate, or who gave it */
    const char *key_type; /* "ECDSA P-256", "RSA 2048", "Ed25519" */
    const char *subject;  /* the first name */
    const char *const *names;
    size_t name_count; /* of `names`, at most TLS_VIEW_NAMES; in all: names_total */
    size_t names_total;
    int64_t not_before_s, not_after_s;
    bool must_staple;
    bool asks;           /* names a responder, and its issuer's certificate is there */
    bool chain_complete; /* every certificate of the file is the issuer of the one before */
    unsigned chain_count;
    bool in_use; /* OpenSSL's objects for it are held */
    enum tls_ocsp_state ocsp;
    int64_t ocsp_next_s;    /* nextUpdate; 0: unknown */
    const char *ocsp_error; /* of the last attempt; "" */
};

#define TLS_VIEW_NAMES 16

/* Calls with each certificate, in the order of the configuration; the view is borrowed. */
void tls_store_each(struct tls_store *s,
                    void (*seen)(void *arg, const struct tls_certificate_view *v), void *arg);

#define TLS_EXPIRES_SOON_S ((int64_t)14 * 86400)

struct tls_store_summary {
    size_t certificates;
    size_t expired, expiring;  /* already; within TLS_EXPIRES_SOON_S */
    int64_t nearest_expiry_s;  /* the earliest notAfter; 0: no certificate */
    size_t stapled;            /* what is stapled is in force */
    size_t ocsp_failed;        /* asked for, or in a file, and not to be had; expired; revoked */
    size_t must_staple_failed; /* of certificates that clients refuse without */
};

void tls_store_sum(struct tls_store *s, int64_t now_s, struct tls_store_summary *out);

#endif
