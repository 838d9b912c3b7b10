#include "redis_tls.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "redis_settings.h"
#include "weir/alloc.h"
#include "weir/pem_file.h"

struct redis_tls {
    SSL_CTX *ctx;
    char *server_name; /* NULL = the host connected to */
};

static bool fail_file(struct weir_err *err, const char *file)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return weir_failf(err, WEIR_E_CONFIG, "redis: tls", 0, "%s: %s", file,
                      reason != NULL ? reason : "cannot be used");
}

static bool load_trust(SSL_CTX *ctx, const struct redis_tls_settings *s, struct weir_err *err)
{
    if (s->ca_file == NULL)
        return SSL_CTX_set_default_verify_paths(ctx) == 1 || fail_file(err, "trusted certificates");
    return weir_pem_trust(s->opener, s->ca_file, SSL_CTX_get_cert_store(ctx), err);
}

static bool load_identity(SSL_CTX *ctx, const struct redis_tls_settings *s, struct weir_err *err)
{
    struct weir_pem_identity id;
    bool ok;

    if (s->cert_file == NULL)
        return true;
    if (s->key_file == NULL)
        return weir_failf(err, WEIR_E_CONFIG, "redis: tls", 0, "%s: no key_file for it",
                          s->cert_file);
    if (!weir_pem_identity(s->opener, s->cert_file, s->key_file, &id, err))
        return false;
    ok = SSL_CTX_use_cert_and_key(ctx, id.leaf, id.key, id.chain, 1) == 1 ||
         fail_file(err, s->cert_file);
    weir_pem_identity_free(&id);
    return ok;
}

struct redis_tls *redis_tls_new(const struct redis_tls_settings *s, struct weir_err *err)
{
    struct redis_tls *t = weir_calloc(1, sizeof *t);

    ERR_clear_error();
    if (t == NULL || (t->ctx = SSL_CTX_new(TLS_client_method())) == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "redis: tls", 0);
        goto failed;
    }
    if (s->server_name != NULL) {
        t->server_name = weir_strndup(s->server_name, strlen(s->server_name));
        if (t->server_name == NULL) {
            weir_fail(err, WEIR_E_MEMORY, "redis: tls", 0);
            goto failed;
        }
    }
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(t->ctx, s->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if ((s->insecure || load_trust(t->ctx, s, err)) && load_identity(t->ctx, s, err))
        return t;
failed:
    redis_tls_free(t);
    return NULL;
}

void redis_tls_free(struct redis_tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    weir_free(t->server_name);
    weir_free(t);
}

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

struct ssl_st *redis_tls_session(const struct redis_tls *t, const char *host)
{
    const char *name = t->server_name != NULL ? t->server_name : host;
    SSL *ssl = SSL_new(t->ctx);
    bool ok;

    if (ssl == NULL)
        return NULL;
    /* An address must be among the certificate's addresses; SNI knows names alone (RFC 6066 3). */
    if (is_address(name))
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    else
        ok = SSL_set1_host(ssl, name) == 1 && /* OpenSSL's macro drops the const it keeps */
             SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)name) == 1;
    if (ok)
        return ssl;
    ERR_clear_error();
    SSL_free(ssl);
    return NULL;
}
