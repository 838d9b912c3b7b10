#include "tls_context_files.h"

#include <openssl/ssl.h>

#include "weir/pem_file.h"
#include "tls_session_own.h"

/* The context keeps references; the leaf comes first. */
static bool use_pair(SSL_CTX *ctx, STACK_OF(X509) * chain, EVP_PKEY *key)
{
    X509 *leaf = sk_X509_shift(chain);
    bool ok = SSL_CTX_use_cert_and_key(ctx, leaf, key, chain, 1) == 1;

    X509_free(leaf);
    return ok;
}

bool tls_load_identity(struct ssl_ctx_st *ctx, const struct tls_identity_files *files,
                       const struct weir_opener *opener, struct weir_err *err)
{
    STACK_OF(X509) *chain = weir_pem_certificates(opener, files->certificate, err);
    EVP_PKEY *key = chain != NULL ? weir_pem_key(opener, files->key, err) : NULL;
    bool ok = key != NULL && (use_pair(ctx, chain, key) || tls_fail_setting(err, files->key));

    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    return ok;
}

bool tls_load_clients(struct ssl_ctx_st *ctx, const char *file, const struct weir_opener *opener,
                      struct weir_err *err)
{
    STACK_OF(X509) *issuers = weir_pem_certificates(opener, file, err);
    STACK_OF(X509_NAME) *names = issuers != NULL ? weir_pem_subjects(issuers) : NULL;
    bool ok = names != NULL && weir_pem_trust(opener, file, SSL_CTX_get_cert_store(ctx), err);

    if (ok)
        SSL_CTX_set_client_CA_list(ctx, names);
    else if (issuers != NULL && names == NULL)
        weir_fail(err, WEIR_E_MEMORY, "tls: client_ca", 0);
    if (!ok)
        sk_X509_NAME_pop_free(names, X509_NAME_free);
    sk_X509_pop_free(issuers, X509_free);
    return ok;
}
