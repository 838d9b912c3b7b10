#include <openssl/err.h>

#include "weir/alloc.h"
#include "tls_own.h"

static bool broken(struct weir_err *err, const struct tls_certificate *c, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: %s%s%s", c->source, what,
                      reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

static X509 *parse(const char *der, size_t len)
{
    const unsigned char *at = (const unsigned char *)der;

    return d2i_X509(NULL, &at, (long)len);
}

static EVP_PKEY *parse_key(const struct tls_certificate *c)
{
    const unsigned char *at = (const unsigned char *)c->key.ptr;

    return d2i_AutoPrivateKey(NULL, &at, (long)c->key.len);
}

static bool make_chain(struct tls_live *l, struct weir_err *err)
{
    struct tls_certificate *c = l->of;

    l->chain = c->chain_count > 0 ? sk_X509_new_reserve(NULL, c->chain_count) : NULL;
    if (c->chain_count > 0 && l->chain == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "tls", 0);
    for (unsigned i = 0; i < c->chain_count; i++) {
        struct tls_intermediate *in = c->chain[i];

        if (in->x == NULL && (in->x = parse(in->der, in->len)) == NULL)
            return broken(err, c, "a certificate of its chain is malformed");
        X509_up_ref(in->x);
        sk_X509_push(l->chain, in->x); /* there is room for it */
    }
    return true;
}

static bool fill(struct tls_live *l, struct weir_err *err)
{
    l->x = parse(l->of->der.ptr, l->of->der.len);
    if (l->x == NULL)
        return broken(err, l->of, "the certificate is malformed");
    l->key = parse_key(l->of);
    if (l->key == NULL)
        return broken(err, l->of, "its private key is malformed");
    if (X509_check_private_key(l->x, l->key) != 1)
        return broken(err, l->of, "the private key does not belong to the certificate");
    return make_chain(l, err);
}

static void release(struct tls_live *l)
{
    X509_free(l->x);
    EVP_PKEY_free(l->key);
    sk_X509_pop_free(l->chain, X509_free);
    weir_free(l);
}

static void unlink_live(struct tls_live *l)
{
    l->newer->older = l->older;
    l->older->newer = l->newer;
}

static void link_newest(struct tls_store *s, struct tls_live *l)
{
    l->newer = &s->newest;
    l->older = s->newest.older;
    l->older->newer = l;
    s->newest.older = l;
}

static void drop(struct tls_store *s, struct tls_live *l)
{
    unlink_live(l);
    l->of->live = NULL;
    s->live_count--;
    release(l); /* connections have references of their own to what is in it */
}

struct tls_live *tls_live_get(struct tls_store *s, struct tls_certificate *c, struct weir_err *err)
{
    struct tls_live *l = c->live;

    if (l != NULL) {
        unlink_live(l);
        link_newest(s, l);
        return l;
    }
    l = weir_calloc(1, sizeof *l);
    if (l == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "tls", 0);
        return NULL;
    }
    l->of = c;
    if (!fill(l, err)) {
        release(l);
        return NULL;
    }
    if (s->live_count == TLS_LIVE_MAX)
        drop(s, s->newest.newer);
    c->live = l;
    link_newest(s, l);
    s->live_count++;
    return l;
}

void tls_live_init(struct tls_store *s)
{
    s->newest.newer = s->newest.older = &s->newest;
}

void tls_live_end(struct tls_store *s)
{
    struct tls_live *next;

    for (struct tls_live *l = s->newest.newer; l != NULL && l != &s->newest; l = next) {
        next = l->newer;
        drop(s, l);
    }
}
