#include "tls_context_files.h"

#include <openssl/ssl.h>

#include "weir/pem_file.h"
#include "tls_session_own.h"

bool tls_load_identity(struct ssl_ctx_st *ctx, const struct tls_identity_files *files,
                       const struct weir_opener *opener, struct weir_err *err)
{
    struct weir_pem_identity id;
    bool ok;

    if (!weir_pem_identity(opener, files->certificate, files->key, &id, err))
        return false;
    ok = SSL_CTX_use_cert_and_key(ctx, id.leaf, id.key, id.chain, 1) == 1 ||
         tls_fail_setting(err, files->certificate);
    weir_pem_identity_free(&id);
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
