#include "admin_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tls_context_files.h"

static const char where[] = "admin: tls";

static bool load_identity(SSL_CTX *ctx, const struct admin_tcp_settings *s,
                          const struct weir_opener *opener, struct weir_err *err)
{
    const struct tls_identity_files files = {s->certificate_file, s->key_file};

    return tls_load_identity(ctx, &files, opener, err);
}

static bool load_clients(SSL_CTX *ctx, const char *file, const struct weir_opener *opener,
                         struct weir_err *err)
{
    if (file[0] == '\0')
        return true;
    if (!tls_load_clients(ctx, file, opener, err))
        return false;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

struct ssl_ctx_st *admin_tls_new(const struct admin_tcp_settings *s,
                                 const struct weir_opener *opener, struct weir_err *err)
{
    SSL_CTX *ctx;

    ERR_clear_error();
    ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL) {
        weir_fail(err, WEIR_E_MEMORY, where, 0);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    if (load_identity(ctx, s, opener, err) && load_clients(ctx, s->client_ca_file, opener, err))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}
