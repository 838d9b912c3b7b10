#include "tls_samples.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static void must_do(int ok)
{
    if (ok <= 0)
        abort();
}

static EVP_PKEY *make_key(const char *kind)
{
    if (kind == NULL)
        kind = "P-256";
    if (strcmp(kind, "Ed25519") == 0)
        return must(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    if (strncmp(kind, "RSA", 3) == 0)
        return must(EVP_RSA_gen(kind[3] == '-' ? (unsigned)atoi(kind + 4) : 2048));
    return must(EVP_EC_gen(kind));
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;
    char copy[1024];

    snprintf(copy, sizeof copy, "%s", value);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = must(X509V3_EXT_conf_nid(NULL, &ctx, nid, copy));
    must_do(X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

static void name_it(X509 *x, const char *text)
{
    X509_NAME *name = X509_get_subject_name(x);

    must_do(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)text, -1,
                                       -1, 0));
}

struct tls_sample tls_sample_make(const struct tls_sample_options *o)
{
    struct tls_sample s = {must(X509_new()), make_key(o->kind)};
    X509 *issuer = o->issuer != NULL ? o->issuer->x : s.x;
    EVP_PKEY *signer = o->issuer != NULL ? o->issuer->key : s.key;
    char url[256];
    unsigned serial;

    must_do(getentropy(&serial, sizeof serial) == 0);
    X509_set_version(s.x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(s.x), (long)(serial >> 1) + 1);
    X509_gmtime_adj(X509_getm_notBefore(s.x), o->to_s == 0 ? -3600 : o->from_s);
    X509_gmtime_adj(X509_getm_notAfter(s.x), o->to_s == 0 ? 86400 : o->to_s);
    X509_set_pubkey(s.x, s.key);
    name_it(s.x, o->authority ? "an authority" : "a host");
    X509_set_issuer_name(s.x, X509_get_subject_name(issuer));
    if (o->names != NULL)
        extend(s.x, issuer, NID_subject_alt_name, o->names);
    if (o->authority)
        extend(s.x, issuer, NID_basic_constraints, "critical,CA:TRUE");
    if (o->must_staple)
        extend(s.x, issuer, NID_tlsfeature, "status_request");
    if (o->ocsp_url != NULL) {
        snprintf(url, sizeof url, "OCSP;URI:%s", o->ocsp_url);
        extend(s.x, issuer, NID_info_access, url);
    }
    must_do(X509_sign(s.x, signer,
                      EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()));
    return s;
}

void tls_sample_free(struct tls_sample *s)
{
    X509_free(s->x);
    EVP_PKEY_free(s->key);
}

static BIO *append(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode);

    if (fd < 0)
        abort();
    must_do(fchmod(fd, mode) == 0); /* whatever the umask says */
    return must(BIO_new_fd(fd, BIO_CLOSE));
}

void tls_sample_write_certificate(const char *path, const struct tls_sample *s)
{
    BIO *b = append(path, 0600);

    must_do(PEM_write_bio_X509(b, s->x));
    BIO_free(b);
}

void tls_sample_write_key(const char *path, const struct tls_sample *s, mode_t mode)
{
    BIO *b = append(path, mode);

    must_do(PEM_write_bio_PrivateKey(b, s->key, NULL, NULL, 0, NULL, NULL));
    BIO_free(b);
}

void tls_sample_write_old_key(const char *path, const struct tls_sample *s, mode_t mode)
{
    BIO *b = append(path, mode);

    must_do(PEM_write_bio_PrivateKey_traditional(b, s->key, NULL, NULL, 0, NULL, NULL));
    BIO_free(b);
}
