/*
 * tls_samples.h - certificates for tests: made with OpenSSL, written as files. Aborts on failure.
 */
#ifndef TLS_SAMPLES_H
#define TLS_SAMPLES_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <sys/types.h>

struct tls_sample {
    X509 *x;
    EVP_PKEY *key;
};

struct tls_sample_options {
    const char *names; /* as subjectAltName wants them: "DNS:a.example,DNS:*.b.example" */
    const char *kind;  /* "P-256" (default), "P-384", "RSA", "RSA-4096", "Ed25519" */
    long from_s, to_s; /* from now; 0, 0: since an hour, for a day */
    const struct tls_sample *issuer; /* NULL: itself */
    bool authority, must_staple;
    const char *ocsp_url; /* NULL: none */
};

struct tls_sample tls_sample_make(const struct tls_sample_options *o);
void tls_sample_free(struct tls_sample *s);

/* Appends PEM; a new file gets the mode. */
void tls_sample_write_certificate(const char *path, const struct tls_sample *s);
void tls_sample_write_key(const char *path, const struct tls_sample *s, mode_t mode);
/* SEC 1 or PKCS #1 instead of PKCS #8. */
void tls_sample_write_old_key(const char *path, const struct tls_sample *s, mode_t mode);

#endif
