#include "admin_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static const char where[] = "admin: tls";

static bool fail_file(struct weir_err *err, const char *file)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return weir_failf(err, WEIR_E_CONFIG, where, 0, "%s: %s", file,
                      reason != NULL ? reason : "cannot be used");
}

/* A key that needs a passphrase cannot be used: OpenSSL would ask on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static bool load_identity(SSL_CTX *ctx, const struct admin_tcp_settings *s, struct weir_err *err)
{
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, s->certificate_file) != 1)
        return fail_file(err, s->certificate_file);
    return (SSL_CTX_use_PrivateKey_file(ctx, s->key_file, SSL_FILETYPE_PEM) == 1 &&
            SSL_CTX_check_private_key(ctx) == 1) ||
           fail_file(err, s->key_file);
}

static bool load_clients(SSL_CTX *ctx, const char *file, struct weir_err *err)
{
    STACK_OF(X509_NAME) * names;

    if (file[0] == '\0')
        return true;
    if (SSL_CTX_load_verify_locations(ctx, file, NULL) != 1 ||
        (names = SSL_load_client_CA_file(file)) == NULL)
        return fail_file(err, file);
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

struct ssl_ctx_st *admin_tls_new(const struct admin_tcp_settings *s, struct weir_err *err)
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
    if (load_identity(ctx, s, err) && load_clients(ctx, s->client_ca_file, err))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}
