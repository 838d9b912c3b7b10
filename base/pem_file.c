#include "weir/pem_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

static const char where[] = "pem";

static bool fail_file(struct weir_err *err, const char *path, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return weir_failf(err, WEIR_E_CONFIG, where, 0, "%s: %s", path, reason != NULL ? reason : what);
}

static BIO *open_pem(const struct weir_opener *opener, const char *path, struct weir_err *err)
{
    int fd = weir_opener_open(opener, path);
    FILE *f = fd >= 0 ? fdopen(fd, "re") : NULL;
    BIO *bio;

    ERR_clear_error();
    if (f == NULL) {
        weir_failf(err, WEIR_E_CONFIG, where, 0, "%s: cannot be read: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    bio = BIO_new_fp(f, BIO_CLOSE);
    if (bio == NULL) {
        fclose(f);
        weir_fail(err, WEIR_E_MEMORY, where, 0);
    }
    return bio;
}

/* The file ended where another block might have begun: no error. */
static bool at_end(void)
{
    unsigned long e = ERR_peek_last_error();

    if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

bool weir_pem_trust(const struct weir_opener *opener, const char *path, X509_STORE *store,
                    struct weir_err *err)
{
    BIO *bio = open_pem(opener, path, err);
    STACK_OF(X509_INFO) *found = NULL;
    bool ok = true;
    int count = 0;

    if (bio == NULL)
        return false;
    found = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
    for (int i = 0; ok && i < sk_X509_INFO_num(found); i++) {
        const X509_INFO *one = sk_X509_INFO_value(found, i);

        if (one->x509 != NULL)
            ok = ++count > 0 && X509_STORE_add_cert(store, one->x509) == 1;
        if (ok && one->crl != NULL)
            ok = ++count > 0 && X509_STORE_add_crl(store, one->crl) == 1;
    }
    ok = (found != NULL && ok && count > 0) || fail_file(err, path, "there is no certificate");
    sk_X509_INFO_pop_free(found, X509_INFO_free);
    BIO_free(bio);
    return ok;
}

STACK_OF(X509) *
    weir_pem_certificates(const struct weir_opener *opener, const char *path, struct weir_err *err)
{
    BIO *bio = open_pem(opener, path, err);
    STACK_OF(X509) *all = sk_X509_new_null();
    X509 *one;
    bool ok;

    if (bio == NULL) {
        sk_X509_free(all);
        return NULL;
    }
    ok = all != NULL;
    while (ok && (one = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(all, one) == 0) {
            X509_free(one);
            ok = false;
        }
    if (!ok || !at_end() || sk_X509_num(all) == 0) {
        fail_file(err, path, "there is no certificate");
        sk_X509_pop_free(all, X509_free);
        all = NULL;
    }
    BIO_free(bio);
    return all;
}

/* OpenSSL would ask on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

EVP_PKEY *weir_pem_key(const struct weir_opener *opener, const char *path, struct weir_err *err)
{
    BIO *bio = open_pem(opener, path, err);
    EVP_PKEY *key;

    if (bio == NULL)
        return NULL;
    key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (key == NULL)
        fail_file(err, path, "there is no private key");
    BIO_free(bio);
    return key;
}

static bool fits(const struct weir_pem_identity *id, const char *certificate, const char *key,
                 struct weir_err *err)
{
    if (X509_check_private_key(id->leaf, id->key) == 1)
        return true;
    ERR_clear_error();
    return weir_failf(err, WEIR_E_CONFIG, where, 0,
                      "%s: the private key does not belong to the certificate of %s", key,
                      certificate);
}

bool weir_pem_identity(const struct weir_opener *opener, const char *certificate, const char *key,
                       struct weir_pem_identity *out, struct weir_err *err)
{
    bool ok;

    *out = (struct weir_pem_identity){.chain = weir_pem_certificates(opener, certificate, err)};
    if (out->chain == NULL)
        return false;
    out->leaf = sk_X509_shift(out->chain);
    out->key = weir_pem_key(opener, key, err);
    ok = out->key != NULL && fits(out, certificate, key, err);
    if (!ok)
        weir_pem_identity_free(out);
    return ok;
}

void weir_pem_identity_free(struct weir_pem_identity *identity)
{
    X509_free(identity->leaf);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    *identity = (struct weir_pem_identity){0};
}

static bool has_name(STACK_OF(X509_NAME) * names, const X509_NAME *name)
{
    for (int i = 0; i < sk_X509_NAME_num(names); i++)
        if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0)
            return true;
    return false;
}

STACK_OF(X509_NAME) * weir_pem_subjects(STACK_OF(X509) * certificates)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    bool ok = names != NULL;

    for (int i = 0; ok && i < sk_X509_num(certificates); i++) {
        const X509_NAME *subject = X509_get_subject_name(sk_X509_value(certificates, i));
        X509_NAME *copy;

        if (has_name(names, subject))
            continue;
        copy = X509_NAME_dup(subject);
        ok = copy != NULL && sk_X509_NAME_push(names, copy) > 0;
        if (!ok)
            X509_NAME_free(copy);
    }
    if (ok)
        return names;
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return NULL;
}
