#include "tls_store.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "weir/alloc.h"
#include "tls_own.h"
#include "tls_secrets.h"

#include <xxhash.h>

#define SLOW_RSA_BITS 3072

/* ---- making and ending ---- */

/* ECDSA first, for it costs the least; what has expired last of all. */
static int rank_of(const struct tls_certificate *c, int64_t now_s)
{
    return (c->not_after_s <= now_s ? 8 : 0) + (c->kind == TLS_KEY_EC        ? 0
                                                : c->kind == TLS_KEY_ED25519 ? 1
                                                : c->kind == TLS_KEY_RSA     ? 2
                                                                             : 3);
}

struct order {
    struct tls_store *store;
    int64_t now_s;
};

static int by_hash_and_rank(const void *pa, const void *pb, void *arg)
{
    const struct tls_name *a = pa, *b = pb;
    const struct order *o = arg;
    int ra, rb;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    ra = rank_of(o->store->certificates[a->certificate], o->now_s);
    rb = rank_of(o->store->certificates[b->certificate], o->now_s);
    if (ra != rb)
        return ra - rb;
    return a->certificate < b->certificate ? -1 : a->certificate > b->certificate;
}

struct tls_store *tls_store_new(const struct tls_store_options *options, struct weir_err *err)
{
    struct tls_store *s = weir_calloc(1, sizeof *s);
    struct order order = {s, options->now_s};

    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "tls", 0);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    tls_live_init(s);
    s->secrets = tls_secrets_new();
    if (s->secrets == NULL)
        weir_fail(err, WEIR_E_MEMORY, "tls", 0);
    if (s->secrets == NULL || !tls_load_all(s, options, err)) {
        tls_store_unref(s);
        return NULL;
    }
    if (s->name_count > 0)
        qsort_r(s->names, s->name_count, sizeof *s->names, by_hash_and_rank, &order);
    return s;
}

struct tls_store *tls_store_ref(struct tls_store *s)
{
    if (s != NULL)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static void free_certificate(struct tls_certificate *c)
{
    if (c->staple != NULL)
        weir_free(c->staple->bytes);
    weir_free(c->staple);
    weir_free(c);
}

static void free_intermediates(struct tls_store *s)
{
    for (unsigned b = 0; b < TLS_BUCKETS; b++)
        while (s->intermediates[b] != NULL) {
            struct tls_intermediate *in = s->intermediates[b];

            s->intermediates[b] = in->next;
            X509_free(in->x);
            weir_free(in);
        }
}

void tls_store_unref(struct tls_store *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    tls_live_end(s);
    for (size_t i = 0; i < s->count; i++)
        free_certificate(s->certificates[i]);
    weir_free(s->certificates);
    weir_free(s->names);
    free_intermediates(s);
    tls_secrets_free(s->secrets);
    pthread_mutex_destroy(&s->lock);
    weir_free(s);
}

size_t tls_store_count(const struct tls_store *s)
{
    return s->count;
}

/* ---- names ---- */

/* Is it `name`, or does its "*" stand for the first label of it? (RFC 9525 6.3) */
static bool name_covers(const char *pattern, struct weir_span name)
{
    size_t len = strlen(pattern);
    const char *dot;

    if (pattern[0] != '*')
        return len == name.len && memcmp(pattern, name.ptr, len) == 0;
    if (len < 2 || pattern[1] != '.' || (dot = memchr(name.ptr, '.', name.len)) == NULL ||
        dot == name.ptr)
        return false;
    return len - 1 == name.len - (size_t)(dot - name.ptr) && memcmp(pattern + 1, dot, len - 1) == 0;
}

bool tls_covers(const struct tls_certificate *c, struct weir_span host)
{
    struct tls_der_names it = tls_der_names(c->names, c->common_name);
    char name[TLS_NAME_MAX];

    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len == 0)
        return false;
    while (tls_der_next_name(&it, name))
        if (name_covers(name, host))
            return true;
    return false;
}

bool tls_certificate_slow(const struct tls_certificate *c)
{
    return c->kind == TLS_KEY_RSA && c->bits >= SLOW_RSA_BITS;
}

/* The first row of a hash; NULL: none. */
static const struct tls_name *find_hash(const struct tls_store *s, uint64_t hash)
{
    size_t low = 0, high = s->name_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->names[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->name_count && s->names[low].hash == hash ? &s->names[low] : NULL;
}

/* ---- what a client can use ---- */

/* Code points of TLS 1.3, which bind the curve (RFC 8446 4.2.3). */
static bool scheme_fits(const struct tls_certificate *c, unsigned scheme, bool tls13)
{
    switch (c->kind) {
    case TLS_KEY_EC:
        if (!tls13)
            return (scheme & 0xff) == 3;
        return (c->bits == 256 && scheme == 0x0403) || (c->bits == 384 && scheme == 0x0503) ||
               (c->bits == 521 && scheme == 0x0603);
    case TLS_KEY_ED25519:
        return scheme == 0x0807;
    case TLS_KEY_RSA:
        return (scheme >= 0x0804 && scheme <= 0x0806) || (!tls13 && (scheme & 0xff) == 1);
    default:
        return true;
    }
}

static bool suite_fits(const struct tls_certificate *c, SSL *ssl)
{
    STACK_OF(SSL_CIPHER) *theirs = SSL_get_client_ciphers(ssl);
    int wanted = c->kind == TLS_KEY_RSA ? NID_auth_rsa : NID_auth_ecdsa;

    for (int i = 0; i < sk_SSL_CIPHER_num(theirs); i++)
        if (SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(theirs, i)) == wanted)
            return true;
    return false;
}

/* ssl: NULL: any client. */
static bool can_use(const struct tls_certificate *c, SSL *ssl)
{
    bool tls13;
    int count;

    if (ssl == NULL)
        return true;
    tls13 = SSL_version(ssl) >= TLS1_3_VERSION;
    count = SSL_get_shared_sigalgs(ssl, 0, NULL, NULL, NULL, NULL, NULL);
    if (!tls13 && !suite_fits(c, ssl))
        return false;
    for (int i = 0; i < count; i++) {
        unsigned char low = 0, high = 0;

        if (SSL_get_shared_sigalgs(ssl, i, NULL, NULL, NULL, &low, &high) > 0 &&
            scheme_fits(c, (unsigned)high << 8 | low, tls13))
            return true;
    }
    return false;
}

/* Of those that cover `name`, under the hash of `key`: the first that the client can use, else the
 * first of all. NULL: none covers it. */
static struct tls_certificate *find_usable(const struct tls_store *s, const char *key,
                                           struct weir_span name, SSL *ssl)
{
    uint64_t hash = XXH3_64bits(key, strlen(key));
    const struct tls_name *row = find_hash(s, hash), *end = s->names + s->name_count;
    struct tls_certificate *first = NULL;

    for (; row != NULL && row < end && row->hash == hash; row++) {
        struct tls_certificate *c = s->certificates[row->certificate];

        if (!tls_covers(c, name))
            continue; /* another name of the same hash */
        if (first == NULL)
            first = c;
        if (can_use(c, ssl))
            return c;
    }
    return first;
}

static struct tls_certificate *find_named(const struct tls_store *s, const char *name, SSL *ssl)
{
    struct tls_certificate *c = find_usable(s, name, weir_span_str(name), ssl);
    const char *dot = strchr(name, '.');
    char wildcard[TLS_NAME_MAX + 1];

    if (c != NULL || dot == NULL || dot == name || strlen(dot) >= TLS_NAME_MAX)
        return c;
    snprintf(wildcard, sizeof wildcard, "*%s", dot);
    return find_usable(s, wildcard, weir_span_str(name), ssl);
}

/* The first one configured, or one beside it that this client can use. */
static struct tls_certificate *find_default(const struct tls_store *s, SSL *ssl)
{
    struct tls_certificate *c = s->count > 0 ? s->certificates[0] : NULL;
    struct tls_der_names it;
    char name[TLS_NAME_MAX];

    if (c == NULL || can_use(c, ssl))
        return c;
    it = tls_der_names(c->names, c->common_name);
    if (tls_der_next_name(&it, name)) {
        struct tls_certificate *other = find_usable(s, name, weir_span_str(name), ssl);

        c = other != NULL ? other : c;
    }
    return c;
}

/* ---- the answer to a hello ---- */

/* OpenSSL takes the bytes. Without memory: nothing is stapled. */
static void staple(const struct tls_certificate *c, SSL *ssl)
{
    const struct tls_staple *st = c->staple;
    unsigned char *copy;

    if (st == NULL || st->bytes == NULL ||
        SSL_get_tlsext_status_type(ssl) != TLSEXT_STATUSTYPE_ocsp || time(NULL) >= st->until_s)
        return;
    copy = OPENSSL_memdup(st->bytes, st->len);
    if (copy != NULL && SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)st->len) != 1)
        OPENSSL_free(copy);
}

int tls_store_status(SSL *ssl, void *unused)
{
    const unsigned char *bytes;

    (void)unused;
    return SSL_get_tlsext_status_ocsp_resp(ssl, &bytes) > 0 ? SSL_TLSEXT_ERR_OK
                                                            : SSL_TLSEXT_ERR_NOACK;
}

static bool give(struct tls_store *s, struct tls_certificate *c, SSL *ssl, struct weir_err *err)
{
    struct tls_live *l;
    bool ok;

    pthread_mutex_lock(&s->lock);
    l = tls_live_get(s, c, err);
    ok = l != NULL;
    if (ok && SSL_use_cert_and_key(ssl, l->x, l->key, l->chain, 1) != 1)
        ok = weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: OpenSSL refuses it: %s", c->source,
                        ERR_reason_error_string(ERR_peek_last_error()));
    if (ok)
        staple(c, ssl);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static struct tls_certificate *find(const struct tls_store *s, const char *name, SSL *ssl)
{
    struct tls_certificate *c = name[0] != '\0' ? find_named(s, name, ssl) : NULL;

    return c != NULL ? c : find_default(s, ssl);
}

const struct tls_certificate *tls_store_find(const struct tls_store *s, const char *name)
{
    return find(s, name, NULL);
}

bool tls_store_choose(struct tls_store *s, SSL *ssl, const char *name,
                      const struct tls_certificate **chosen, struct weir_err *err)
{
    struct tls_certificate *c = find(s, name, ssl);

    if (c == NULL)
        return weir_failf(err, WEIR_E_FILE, "tls", 0, "there is no certificate");
    *chosen = c;
    return give(s, c, ssl, err);
}

/* ---- for operators ---- */

struct view_text {
    char names[TLS_VIEW_NAMES][TLS_NAME_MAX];
    const char *list[TLS_VIEW_NAMES];
    char key_type[24];
};

static void view_names(const struct tls_certificate *c, struct view_text *t,
                       struct tls_certificate_view *v)
{
    struct tls_der_names it = tls_der_names(c->names, c->common_name);
    char rest[TLS_NAME_MAX];

    while (
        tls_der_next_name(&it, v->names_total < TLS_VIEW_NAMES ? t->names[v->names_total] : rest))
        v->names_total++;
    v->name_count = v->names_total < TLS_VIEW_NAMES ? v->names_total : TLS_VIEW_NAMES;
    for (size_t i = 0; i < v->name_count; i++)
        t->list[i] = t->names[i];
    v->names = t->list;
    v->subject = v->name_count > 0 ? t->names[0] : "";
}

static void view_staple(const struct tls_certificate *c, struct tls_certificate_view *v)
{
    const struct tls_staple *st = c->staple;

    v->ocsp_error = "";
    v->asks = c->asks;
    if (st == NULL)
        return;
    v->ocsp = st->state;
    v->ocsp_next_s = st->until_s;
    v->ocsp_error = st->error;
    if (st->bytes != NULL && time(NULL) >= st->until_s)
        v->ocsp = TLS_OCSP_EXPIRED;
}

void tls_store_each(struct tls_store *s,
                    void (*seen)(void *arg, const struct tls_certificate_view *v), void *arg)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count; i++) {
        const struct tls_certificate *c = s->certificates[i];
        struct tls_der_certificate facts;
        struct tls_certificate_view v = {
            .source = c->source,
            .not_before_s = c->not_before_s,
            .not_after_s = c->not_after_s,
            .must_staple = c->must_staple,
            .chain_complete = c->chain_complete,
            .chain_count = c->chain_count,
            .in_use = c->live != NULL,
        };
        struct view_text t;

        (void)tls_der_certificate(c->der, &facts);
        v.key_type = tls_der_key_text(&facts, t.key_type);
        view_names(c, &t, &v);
        view_staple(c, &v);
        seen(arg, &v);
    }
    pthread_mutex_unlock(&s->lock);
}

static void sum_one(const struct tls_certificate *c, int64_t now_s, struct tls_store_summary *out)
{
    struct tls_certificate_view v = {.ocsp = TLS_OCSP_NONE};

    view_staple(c, &v);
    out->expired += c->not_after_s <= now_s;
    out->expiring += c->not_after_s > now_s && c->not_after_s - now_s <= TLS_EXPIRES_SOON_S;
    if (out->nearest_expiry_s == 0 || c->not_after_s < out->nearest_expiry_s)
        out->nearest_expiry_s = c->not_after_s;
    out->stapled += v.ocsp == TLS_OCSP_GOOD;
    out->ocsp_failed += v.ocsp > TLS_OCSP_GOOD;
    out->must_staple_failed += c->must_staple && v.ocsp != TLS_OCSP_GOOD;
}

void tls_store_sum(struct tls_store *s, int64_t now_s, struct tls_store_summary *out)
{
    *out = (struct tls_store_summary){.certificates = s->count};
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count; i++)
        sum_one(s->certificates[i], now_s, out);
    pthread_mutex_unlock(&s->lock);
}

/* ---- what is stapled ---- */

void tls_store_staple(struct tls_store *s, struct tls_certificate *c, struct weir_span response,
                      const struct tls_ocsp_answer *answer)
{
    bool good = answer->state == TLS_OCSP_GOOD && response.len > 0;
    unsigned char *copy = good ? weir_malloc(response.len) : NULL;

    if (copy != NULL)
        memcpy(copy, response.ptr, response.len);
    pthread_mutex_lock(&s->lock);
    if (c->staple == NULL)
        c->staple = weir_calloc(1, sizeof *c->staple);
    /* What was good stays so until it expires, whatever a responder says now; but for "revoked". */
    if (c->staple != NULL && (copy != NULL || answer->state == TLS_OCSP_REVOKED)) {
        weir_free(c->staple->bytes);
        c->staple->bytes = copy;
        c->staple->len = copy != NULL ? (uint32_t)response.len : 0;
        c->staple->until_s = answer->next_s;
        copy = NULL;
    }
    if (c->staple != NULL) {
        c->staple->state = c->staple->bytes != NULL ? TLS_OCSP_GOOD : answer->state;
        snprintf(c->staple->error, sizeof c->staple->error, "%s", answer->error);
    }
    pthread_mutex_unlock(&s->lock);
    weir_free(copy);
}
