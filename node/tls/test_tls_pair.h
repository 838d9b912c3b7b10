/*
 * test_tls_pair.h - a client and a server of ours over a socket pair, with a certificate made for
 * the test. The store and the ticket keys are the simplest ones; the true ones have their own
 * tests.
 */
#ifndef TEST_TLS_PAIR_H
#define TEST_TLS_PAIR_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "weir/work.h"
#include "tls_session_own.h"
#include "tls_tickets.h"

/* ---- a store of one certificate ---- */

struct tls_store {
    X509 *certificate;
    EVP_PKEY *key;
    bool slow;
};

static struct tls_store shown;

struct tls_store *tls_store_ref(struct tls_store *s)
{
    return s;
}

void tls_store_unref(struct tls_store *s)
{
    (void)s;
}

bool tls_store_choose(struct tls_store *s, SSL *ssl, const char *name,
                      const struct tls_certificate **chosen, struct weir_err *err)
{
    if (strcmp(name, "none.example") == 0)
        return weir_fail(err, WEIR_E_TLS_HANDSHAKE, "store: empty", 0);
    *chosen = (const struct tls_certificate *)(const void *)s;
    return SSL_use_certificate(ssl, s->certificate) == 1 && SSL_use_PrivateKey(ssl, s->key) == 1;
}

const struct tls_certificate *tls_store_find(const struct tls_store *s, const char *name)
{
    (void)name;
    return (const struct tls_certificate *)(const void *)s;
}

bool tls_covers(const struct tls_certificate *c, struct weir_span host)
{
    return c != NULL && weir_span_eq(host, WEIR_SPAN_LIT("www.example"));
}

int tls_store_status(SSL *ssl, void *unused)
{
    (void)ssl;
    (void)unused;
    return SSL_TLSEXT_ERR_NOACK;
}

bool tls_certificate_slow(const struct tls_certificate *c)
{
    return ((const struct tls_store *)(const void *)c)->slow;
}

/* ---- ticket keys that never change ---- */

struct tls_tickets {
    unsigned opened;
};

static struct tls_tickets keys;

int tls_tickets_key(struct tls_tickets *t, unsigned char name[16], unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
    static unsigned char secret[32] = "the same for all";
    OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 6),
                           OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof secret),
                           OSSL_PARAM_END};

    if (encrypt) {
        memset(name, 'k', 16);
        memset(iv, 7, 16);
    } else {
        t->opened++;
    }
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, secret, iv, encrypt) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

int64_t tls_tickets_lifetime_s(const struct tls_tickets *t)
{
    (void)t;
    return 3600;
}

/* ---- certificates ---- */

static EVP_PKEY *make_key(unsigned rsa_bits)
{
    return rsa_bits > 0 ? EVP_RSA_gen(rsa_bits) : EVP_EC_gen("P-256");
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* Signed by itself. */
static X509 *make_certificate(EVP_PKEY *key, const char *common_name, const char *names)
{
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 0x1234);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1,
                               -1, 0);
    X509_set_issuer_name(x, subject);
    add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x, NID_subject_alt_name, names);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

static char *write_pem(X509 *x, EVP_PKEY *key)
{
    char *path = strdup("/tmp/weir-tls-XXXXXX");
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    if (x != NULL)
        PEM_write_X509(f, x);
    if (key != NULL)
        PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    return path;
}

/* ---- the pair ---- */

struct end {
    int fd;
    struct tls_session *s;
    struct net_layer *l;
    struct weir_err err;
};

struct pair {
    struct net_loop loop;
    struct weir_metrics metrics;
    struct weir_work_pool *pool;
    struct tls_worker *w;
    struct tls_settings settings;
    struct tls_listen_settings listen;
    struct tls_client_settings origin;
    struct tls_server_context *server_context;
    struct tls_client_context *client_context;
    char *ca;
    struct end server, client;
    unsigned again;
};

static inline void on_again(void *arg)
{
    struct pair *p = arg;

    p->again++;
}

static inline void pair_init(struct pair *p)
{
    struct weir_err err = {0};

    memset(p, 0, sizeof *p);
    assert_true(net_loop_init(&p->loop, &err));
    weir_clock_update(&p->loop.clock);
    shown = (struct tls_store){.key = make_key(0)};
    shown.certificate = make_certificate(shown.key, "www", "DNS:www.example,IP:127.0.0.1");
    p->ca = write_pem(shown.certificate, NULL);
    p->settings.tickets = true;
    p->listen = (struct tls_listen_settings){.enabled = true, .http2 = true};
    p->origin = (struct tls_client_settings){.verify = true, .ca = p->ca, .http2 = true};
    p->pool = weir_work_pool_new(1, &err);
    p->w = tls_worker_new(&p->loop, &p->metrics, p->pool, &err);
    assert_non_null(p->w);
}

/* A new connection, with the settings as they are. */
static inline void pair_connect(struct pair *p, const char *name)
{
    struct weir_err err = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    if (p->server_context == NULL)
        p->server_context =
            tls_server_context_new(&p->settings, &p->listen,
                                   &(struct tls_server_tools){.store = &shown, .tickets = &keys},
                                   &err);
    if (p->client_context == NULL)
        p->client_context = tls_client_context_new(&p->origin, NULL, &err);
    assert_non_null(p->server_context);
    assert_non_null(p->client_context);
    p->server = (struct end){.fd = fds[0]};
    p->client = (struct end){.fd = fds[1]};
    p->server.s = tls_accept(p->w, p->server_context, fds[0], &err);
    p->client.s = tls_connect(p->w, p->client_context, fds[1], name, &err);
    assert_non_null(p->server.s);
    assert_non_null(p->client.s);
    p->server.l = tls_session_layer(p->server.s);
    p->client.l = tls_session_layer(p->client.s);
}

static inline enum tls_step step_end(struct pair *p, struct end *e)
{
    return tls_handshake(e->s, on_again, p, &e->err);
}

/* Steps on both sides until both are over. true: both are up. */
static inline bool pair_handshake(struct pair *p)
{
    enum tls_step a = TLS_WANT_READ, b = TLS_WANT_READ;

    for (int i = 0; i < 3000; i++) {
        if (b != TLS_DONE && b != TLS_FAILED)
            b = step_end(p, &p->client);
        if (b == TLS_FAILED)
            shutdown(p->client.fd, SHUT_WR);
        if (a != TLS_DONE && a != TLS_FAILED)
            a = step_end(p, &p->server);
        if (a == TLS_FAILED)
            shutdown(p->server.fd, SHUT_WR);
        if (a == TLS_BUSY) {
            usleep(1000);
            weir_mailbox_drain(&p->loop.box);
        }
        if ((a == TLS_DONE || a == TLS_FAILED) && (b == TLS_DONE || b == TLS_FAILED))
            return a == TLS_DONE && b == TLS_DONE;
    }
    fail_msg("the handshake does not end");
    return false;
}

static inline void pair_close(struct pair *p)
{
    tls_session_free(p->server.s);
    tls_session_free(p->client.s);
    close(p->server.fd);
    close(p->client.fd);
    p->server.s = p->client.s = NULL;
}

/* The next connection is made with the settings as they are then. */
static inline void pair_forget(struct pair *p)
{
    tls_server_context_unref(p->server_context);
    tls_client_context_unref(p->client_context);
    p->server_context = NULL;
    p->client_context = NULL;
}

static inline void pair_free(struct pair *p)
{
    pair_forget(p);
    tls_worker_free(p->w);
    weir_work_pool_free(p->pool);
    net_loop_close(&p->loop);
    unlink(p->ca);
    free(p->ca);
    X509_free(shown.certificate);
    EVP_PKEY_free(shown.key);
    assert_int_equal(ERR_peek_error(), 0);
}

static inline ssize_t say(struct end *e, const void *data, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    return e->l->ops->send(e->l, &iov, 1);
}

static inline ssize_t hear(struct end *e, void *buf, size_t len)
{
    return e->l->ops->recv(e->l, buf, len);
}

static inline int64_t counted(const struct pair *p, enum weir_metric which)
{
    return atomic_load(&p->metrics.value[which]);
}

#endif
