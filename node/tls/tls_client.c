#include "tls_session_own.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "weir/alloc.h"
#include "weir/pem_file.h"
#include "tls_context_files.h"

#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS  "X25519:P-256:P-384"
#define KEY_MAX (TLS_NAME_MAX + 16)

struct tls_client_context {
    atomic_uint refs;
    SSL_CTX *ctx;
    struct tls_resume *sessions;
    char *name; /* instead of the origin's; NULL: none */
    bool verify, http2;
};

/* ---- settings ---- */

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static bool load_trust(SSL_CTX *ctx, const struct tls_client_settings *s,
                       const struct weir_opener *opener, struct weir_err *err)
{
    SSL_CTX_set_verify(ctx, s->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (!s->verify)
        return true;
    if (!is_set(s->ca))
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ||
               tls_fail_setting(err, "the system's certificates");
    return weir_pem_trust(opener, s->ca, SSL_CTX_get_cert_store(ctx), err);
}

static bool load_identity(SSL_CTX *ctx, const struct tls_client_settings *s,
                          const struct weir_opener *opener, struct weir_err *err)
{
    const struct tls_identity_files files = {s->certificate,
                                             is_set(s->key) ? s->key : s->certificate};

    return !is_set(s->certificate) || tls_load_identity(ctx, &files, opener, err);
}

/* OpenSSL's macro drops the const of what it only reads. */
static bool set_groups(SSL_CTX *ctx, const char *groups)
{
    return SSL_CTX_set1_groups_list(ctx, (void *)(uintptr_t)groups) == 1;
}

static bool set_ciphers(SSL_CTX *ctx, const struct tls_client_settings *s, struct weir_err *err)
{
    bool only_13 = s->min_version != NULL && strcmp(s->min_version, "1.3") == 0;

    if (SSL_CTX_set_min_proto_version(ctx, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1)
        return tls_fail_setting(err, "upstreams[].tls.min_version");
    if (SSL_CTX_set_cipher_list(ctx, is_set(s->ciphers) ? s->ciphers : CIPHERS) != 1)
        return tls_fail_setting(err, "upstreams[].tls.ciphers");
    if (is_set(s->ciphersuites) && SSL_CTX_set_ciphersuites(ctx, s->ciphersuites) != 1)
        return tls_fail_setting(err, "upstreams[].tls.ciphersuites");
    if (!set_groups(ctx, is_set(s->groups) ? s->groups : GROUPS))
        return tls_fail_setting(err, "upstreams[].tls.groups");
    return true;
}

/* ---- sessions to resume ---- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *s = tls_session_of(ssl);

    return s->key != NULL && tls_resume_put(s->client->sessions, s->key, session) ? 1 : 0;
}

void tls_client_return(struct tls_session *s)
{
    SSL_SESSION *session;

    if (s->key == NULL || !s->facts.resumed || SSL_version(s->ssl) == TLS1_3_VERSION)
        return;
    session = SSL_get1_session(s->ssl);
    if (session != NULL && !tls_resume_put(s->client->sessions, s->key, session))
        SSL_SESSION_free(session);
}

static void resume(struct tls_session *s)
{
    SSL_SESSION *session = tls_resume_take(s->client->sessions, s->key);

    if (session == NULL)
        return;
    if (SSL_SESSION_is_resumable(session) == 1)
        SSL_set_session(s->ssl, session);
    SSL_SESSION_free(session);
}

/* ---- one connection ---- */

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

struct where {
    char address[INET6_ADDRSTRLEN]; /* "": a Unix socket */
    unsigned port;
};

static void look_where(int fd, struct where *to)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;

    *to = (struct where){"", 0};
    if (getpeername(fd, (struct sockaddr *)&a, &len) != 0)
        return;
    if (a.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a;

        inet_ntop(AF_INET, &in->sin_addr, to->address, sizeof to->address);
        to->port = ntohs(in->sin_port);
    } else if (a.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&a;

        inet_ntop(AF_INET6, &in->sin6_addr, to->address, sizeof to->address);
        to->port = ntohs(in->sin6_port);
    }
}

/* An address must be among the certificate's addresses; SNI knows names alone (RFC 6066 3). */
static bool expect(struct tls_session *s, const char *name)
{
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), name) == 1;
    SSL_set_hostflags(s->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(s->ssl, name) == 1 &&
           SSL_set_tlsext_host_name(s->ssl, (char *)(uintptr_t)name) == 1;
}

static bool offer(SSL *ssl, bool http2)
{
    static const unsigned char words[] = "\x02h2\x08http/1.1";
    unsigned skip = http2 ? 0 : 3;

    return SSL_set_alpn_protos(ssl, words + skip, (unsigned)sizeof words - 1 - skip) == 0;
}

void tls_offer_http1(struct tls_session *s)
{
    offer(s->ssl, false); /* without memory h2 is offered, and what is chosen is looked at */
    ERR_clear_error();
}

bool tls_client_prepare(struct tls_session *s, const char *name, struct weir_err *err)
{
    const struct tls_client_context *c = s->client;
    struct where where;
    char key[KEY_MAX];

    look_where(s->fd, &where);
    if (c->name != NULL)
        name = c->name;
    else if (name == NULL)
        name = where.address;
    if (name[0] == '\0' && c->verify)
        return weir_failf(err, WEIR_E_ORIGIN_CERTIFICATE, "tls: connect", 0,
                          "no name to verify a Unix socket by: tls.name is missing");
    if (name[0] != '\0' && !expect(s, name))
        return tls_fail(err, WEIR_E_ORIGIN_TLS, "tls: name");
    snprintf(key, sizeof key, "%s:%u", name, where.port);
    s->key = weir_strndup(key, strlen(key));
    if (s->key == NULL || !offer(s->ssl, c->http2))
        return weir_fail(err, WEIR_E_MEMORY, "tls: connect", 0);
    resume(s);
    ERR_clear_error();
    return true;
}

/* ---- life ---- */

static bool set_name(struct tls_client_context *c, const char *name)
{
    if (!is_set(name))
        return true;
    c->name = weir_strndup(name, strlen(name));
    return c->name != NULL;
}

struct tls_client_context *tls_client_context_new(const struct tls_client_settings *s,
                                                  const struct weir_opener *opener,
                                                  struct weir_err *err)
{
    struct tls_client_context *c = weir_calloc(1, sizeof *c);

    ERR_clear_error();
    if (c != NULL) {
        atomic_init(&c->refs, 1);
        c->verify = s->verify;
        c->http2 = s->http2;
        c->sessions = tls_resume_new(err);
        c->ctx = SSL_CTX_new(TLS_client_method());
    }
    if (c == NULL || c->ctx == NULL || c->sessions == NULL || !set_name(c, s->name)) {
        weir_fail(err, WEIR_E_MEMORY, "tls: context", 0);
        goto failed;
    }
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_session);
    if (set_ciphers(c->ctx, s, err) && load_trust(c->ctx, s, opener, err) &&
        load_identity(c->ctx, s, opener, err))
        return c;
failed:
    tls_client_context_unref(c);
    return NULL;
}

struct tls_client_context *tls_client_context_ref(struct tls_client_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_client_context_unref(struct tls_client_context *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(c->ctx);
    tls_resume_free(c->sessions);
    weir_free(c->name);
    weir_free(c);
}

SSL_CTX *tls_client_ssl(const struct tls_client_context *c)
{
    return c->ctx;
}
