/*
 * pem_file.h - certificates, lists of revoked ones and keys from PEM files, opened by whoever may.
 *
 * What OpenSSL's functions that take names of files do, for files that only an opener can read. The
 * objects are libcrypto's, and freed by its functions. Errors (CONFIG) name the file.
 */
#ifndef WEIR_PEM_FILE_H
#define WEIR_PEM_FILE_H

#include <stdbool.h>

#include <openssl/x509.h>

#include "weir/err.h"
#include "weir/opener.h"

/* opener: NULL: nobody but this process, in all of these. */

/* Who is trusted, and what they have revoked: all certificates and lists of the file. At least one,
 * or false. */
bool weir_pem_trust(const struct weir_opener *opener, const char *path, X509_STORE *store,
                    struct weir_err *err);
/* Certificates in the order of the file, at least one. Returns owned; NULL: *err. */
STACK_OF(X509) *
    weir_pem_certificates(const struct weir_opener *opener, const char *path, struct weir_err *err);
/* The private key. One that needs a passphrase cannot be used. Returns owned; NULL: *err. */
EVP_PKEY *weir_pem_key(const struct weir_opener *opener, const char *path, struct weir_err *err);
/* Who we are: the certificate in `certificate` that comes first, those behind it, and the key that
 * fits it, in `key` (which may be the same file). false: *err, and *out is empty. */
struct weir_pem_identity {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};
bool weir_pem_identity(const struct weir_opener *opener, const char *certificate, const char *key,
                       struct weir_pem_identity *out, struct weir_err *err);
void weir_pem_identity_free(struct weir_pem_identity *identity);
/* Subjects of certificates, for who asks clients for theirs. Returns owned; NULL: no memory. */
STACK_OF(X509_NAME) * weir_pem_subjects(STACK_OF(X509) * certificates);

#endif
