#include "tls_session_own.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "weir/alloc.h"
#include "weir/opener.h"
#include "weir/pem_file.h"
#include "tls_context_files.h"
#include "tls_tickets.h"

/* AEAD and forward secrecy alone. AES with 128 bits first: it costs least where the processor knows
 * AES; clients whose processor does not put ChaCha20 first, and get it (SSL_OP_PRIORITIZE_CHACHA).
 */
#define CIPHERS                                                                                    \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define SUITES        "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
#define TLS_EARLY_MAX 16384 /* a head, mostly */
#define GROUPS        "X25519:P-256:P-384"

struct tls_server_context {
    atomic_uint refs;
    SSL_CTX *ctx;
    struct tls_store *store; /* reference */
    struct tls_tickets *tickets;
    bool http2, early_data;
};

/* ---- names ---- */

void tls_server_name(const SSL *ssl, char *out)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t len = name != NULL ? strlen(name) : 0;

    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len > TLS_NAME_MAX)
        len = 0;
    for (size_t i = 0; i < len; i++)
        out[i] = weir_ascii_lower(name[i]);
    out[len] = '\0';
}

/* That there is a callback makes OpenSSL acknowledge the name, and put it into tickets. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- callbacks ---- */

/* 1: go on; 0: fail; -1: stop here, and come again (on another thread). */
static int on_certificate(SSL *ssl, void *arg)
{
    struct tls_server_context *c = arg;
    struct tls_session *s = tls_session_of(ssl);
    struct weir_err err = {0};
    char name[TLS_NAME_MAX + 1];

    if (s->chosen)
        return 1;
    tls_server_name(ssl, name);
    if (!tls_store_choose(c->store, ssl, name, &s->facts.cert, &err)) {
        s->chose = weir_malloc(sizeof err);
        if (s->chose != NULL)
            *s->chose = err;
        return 0;
    }
    s->chosen = true;
    s->stopped = s->w->pool != NULL && tls_certificate_slow(s->facts.cert);
    return s->stopped ? -1 : 1;
}

static bool offers(const unsigned char *in, unsigned len, const char *word)
{
    size_t want = strlen(word);

    for (unsigned at = 0; at < len; at += 1u + in[at])
        if (in[at] == want && len - at > want && memcmp(in + at + 1, word, want) == 0)
            return true;
    return false;
}

/*
 * Our preference. Who offers only what we do not speak is refused (RFC 7301 3.2): to talk HTTP to
 * somebody who expects another protocol is how attacks across protocols work.
 */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    const struct tls_server_context *c = arg;
    const char *chosen = NULL;

    (void)ssl;
    if (c->http2 && offers(in, in_len, "h2"))
        chosen = "h2";
    else if (offers(in, in_len, "http/1.1"))
        chosen = "http/1.1";
    else if (offers(in, in_len, "http/1.0"))
        chosen = "http/1.0";
    if (chosen == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = (const unsigned char *)chosen;
    *out_len = (unsigned char)strlen(chosen);
    return SSL_TLSEXT_ERR_OK;
}

static struct tls_server_context *context_of(const SSL *ssl)
{
    return tls_session_of(ssl)->server;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    int good = tls_tickets_key(context_of(ssl)->tickets, name, iv, cipher, mac, encrypt == 1);

    /* 2: and issue another one. Tickets of TLS 1.3 are for one use: who sees one twice knows that
     * it is the same client (RFC 8446 C.4). */
    return encrypt == 0 && good == 1 && SSL_version(ssl) == TLS1_3_VERSION ? 2 : good;
}

/* ---- settings ---- */

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static bool set_versions(SSL_CTX *ctx, const char *min)
{
    bool only_13 = min != NULL && strcmp(min, "1.3") == 0;

    return SSL_CTX_set_min_proto_version(ctx, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1;
}

/* OpenSSL's macro drops the const of what it only reads. */
static bool set_groups(SSL_CTX *ctx, const char *groups)
{
    return SSL_CTX_set1_groups_list(ctx, (void *)(uintptr_t)groups) == 1;
}

static bool set_ciphers(SSL_CTX *ctx, const struct tls_settings *s, struct weir_err *err)
{
    if (!set_versions(ctx, s->min_version))
        return tls_fail_setting(err, "tls.min_version");
    if (SSL_CTX_set_cipher_list(ctx, is_set(s->ciphers) ? s->ciphers : CIPHERS) != 1)
        return tls_fail_setting(err, "tls.ciphers");
    if (SSL_CTX_set_ciphersuites(ctx, is_set(s->ciphersuites) ? s->ciphersuites : SUITES) != 1)
        return tls_fail_setting(err, "tls.ciphersuites");
    if (!set_groups(ctx, is_set(s->groups) ? s->groups : GROUPS))
        return tls_fail_setting(err, "tls.groups");
    return true;
}

static void set_options(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(ctx, 0); /* what is refused is skipped, up to OpenSSL's limit */
}

/* OpenSSL would want a memory of sessions to refuse what comes twice; see tls_early.c. */
static void allow_early_data(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY);
    SSL_CTX_set_max_early_data(ctx, TLS_EARLY_MAX);
    SSL_CTX_set_recv_max_early_data(ctx, TLS_EARLY_MAX);
}

static bool load_crl(SSL_CTX *ctx, const char *file, const struct weir_opener *opener,
                     struct weir_err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);

    return weir_pem_trust(opener, file, store, err) &&
           (X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1 || tls_fail_setting(err, file));
}

static bool set_clients(SSL_CTX *ctx, const struct tls_listen_settings *l,
                        const struct weir_opener *opener, struct weir_err *err)
{
    int mode = SSL_VERIFY_PEER;

    if (l->client_auth == TLS_CLIENT_NONE)
        return true;
    if (!is_set(l->client_ca))
        return tls_fail_setting(err, "listen[].tls.client_ca is missing");
    if (!tls_load_clients(ctx, l->client_ca, opener, err) ||
        (is_set(l->client_crl) && !load_crl(ctx, l->client_crl, opener, err)))
        return false;
    /* `optional`, too: a certificate that is shown must be good. Nobody shows one by accident, and
     * who shows a revoked one is not to be served as if they had none. */
    if (l->client_auth == TLS_CLIENT_REQUIRED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, mode, NULL);
    return true;
}

static bool digest_file(EVP_MD_CTX *md, const char *path, const struct weir_opener *opener)
{
    unsigned char bytes[4096];
    ssize_t n = 0;
    int fd = is_set(path) ? weir_opener_open(opener, path) : -1;

    if (!is_set(path))
        return true;
    while (fd >= 0 && (n = read(fd, bytes, sizeof bytes)) > 0)
        EVP_DigestUpdate(md, bytes, (size_t)n);
    if (fd >= 0)
        close(fd);
    return fd >= 0 && n == 0;
}

/*
 * A session is resumed only where it would have been accepted: where the same clients are asked for
 * the same proof. The same on every node with the same files; another CA or CRL ends them all.
 */
static bool set_session_id(SSL_CTX *ctx, const struct tls_listen_settings *l,
                           const struct weir_opener *opener, struct weir_err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0}, mode = (unsigned char)l->client_auth;
    bool asked = l->client_auth != TLS_CLIENT_NONE, ok;
    unsigned len = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
         EVP_DigestUpdate(md, &mode, 1) == 1 && (!asked || digest_file(md, l->client_ca, opener)) &&
         (!asked || digest_file(md, l->client_crl, opener)) &&
         EVP_DigestFinal_ex(md, digest, &len) == 1 &&
         SSL_CTX_set_session_id_context(ctx, digest, SSL_MAX_SID_CTX_LENGTH) == 1;
    EVP_MD_CTX_free(md);
    return ok || tls_fail_setting(err, "listen[].tls");
}

static bool set_tickets(struct tls_server_context *c, struct weir_err *err)
{
    SSL_CTX *ctx = c->ctx;

    if (c->tickets == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ctx, 0) == 1 || tls_fail_setting(err, "tls.tickets");
    }
    /* One: a second one would serve who opens two connections at once, and costs everybody. */
    if (SSL_CTX_set_num_tickets(ctx, 1) != 1 ||
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 1)
        return tls_fail_setting(err, "tls.tickets");
    SSL_CTX_set_timeout(ctx, (long)tls_tickets_lifetime_s(c->tickets));
    return true;
}

static void set_callbacks(struct tls_server_context *c)
{
    SSL_CTX_set_cert_cb(c->ctx, on_certificate, c);
    SSL_CTX_set_alpn_select_cb(c->ctx, on_alpn, c);
    SSL_CTX_set_tlsext_servername_callback(c->ctx, on_name);
    SSL_CTX_set_tlsext_status_cb(c->ctx, tls_store_status);
}

/* ---- life ---- */

struct tls_server_context *tls_server_context_new(const struct tls_settings *s,
                                                  const struct tls_listen_settings *l,
                                                  const struct tls_server_tools *tools,
                                                  struct weir_err *err)
{
    struct tls_server_context *c = weir_calloc(1, sizeof *c);

    ERR_clear_error();
    if (c == NULL || (c->ctx = SSL_CTX_new(TLS_server_method())) == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "tls: context", 0);
        goto failed;
    }
    atomic_init(&c->refs, 1);
    c->store = tls_store_ref(tools->store);
    c->tickets = s->tickets ? tools->tickets : NULL;
    c->http2 = l->http2;
    c->early_data = l->early_data && c->tickets != NULL;
    set_options(c->ctx);
    set_callbacks(c);
    if (c->early_data)
        allow_early_data(c->ctx);
    if (set_ciphers(c->ctx, s, err) && set_clients(c->ctx, l, tools->opener, err) &&
        set_session_id(c->ctx, l, tools->opener, err) && set_tickets(c, err))
        return c;
    tls_store_unref(c->store);
failed:
    if (c != NULL)
        SSL_CTX_free(c->ctx);
    weir_free(c);
    return NULL;
}

struct tls_server_context *tls_server_context_ref(struct tls_server_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_server_context_unref(struct tls_server_context *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(c->ctx);
    tls_store_unref(c->store);
    weir_free(c);
}

bool tls_server_early_data(const struct tls_server_context *c)
{
    return c->early_data;
}

SSL_CTX *tls_server_ssl(const struct tls_server_context *c)
{
    return c->ctx;
}

const struct tls_certificate *tls_server_find(const struct tls_server_context *c, const char *name)
{
    return tls_store_find(c->store, name);
}
