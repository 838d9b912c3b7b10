#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/log.h"
#include "tls_files.h"
#include "tls_own.h"
#include "tls_pem.h"
#include "tls_secrets.h"

#include <xxhash.h>

/* So many certificates are made into OpenSSL's objects at once, as a full check; of more, only what
 * is read of all: that they are certificates, and whose key it is. */
#define CHECKED_WHOLE 128
#define WARNINGS_MAX  20
#define PATH_LEN      4096

/* One load under way. */
struct load {
    struct tls_store *store;
    const struct tls_store_options *o;
    unsigned warnings;
};

/* One certificate under way. */
struct building {
    const char *source;
    char *leaf; /* owned until it is a certificate's */
    size_t leaf_len;
    struct tls_der_certificate facts;
    struct tls_intermediate *chain[TLS_CHAIN_MAX];
    unsigned chain_count;
    bool chain_broken;
    struct weir_span last_issuer; /* of the last certificate read */
    struct weir_span key;
    const char *key_source;
    const char *ocsp; /* a file; NULL: none */
};

static bool wrong(struct weir_err *err, const char *source, const char *what)
{
    return weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: %s", source, what);
}

/* A few of ten thousand say what all of them would. */
static void warn(struct load *l, const char *source, const char *what)
{
    if (++l->warnings <= WARNINGS_MAX)
        weir_log(WEIR_LOG_WARN, "tls: %s: %s", source, what);
}

/* ---- certificates ---- */

static struct tls_intermediate *intern(struct tls_store *s, const void *der, size_t len)
{
    uint64_t hash = XXH3_64bits(der, len);
    struct tls_intermediate **bucket = &s->intermediates[hash % TLS_BUCKETS], *in;

    for (in = *bucket; in != NULL; in = in->next)
        if (in->hash == hash && in->len == len && memcmp(in->der, der, len) == 0)
            return in;
    in = weir_malloc(sizeof *in + len);
    if (in == NULL)
        return NULL;
    *in = (struct tls_intermediate){.next = *bucket, .hash = hash, .len = (uint32_t)len};
    memcpy(in->der, der, len);
    *bucket = in;
    return in;
}

static bool add_leaf(struct building *b, const unsigned char *der, size_t len, struct weir_err *err)
{
    b->leaf = weir_malloc(len);
    if (b->leaf == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "tls", 0);
    memcpy(b->leaf, der, len);
    b->leaf_len = len;
    if (!tls_der_certificate(weir_span(b->leaf, len), &b->facts))
        return wrong(err, b->source, "the certificate is malformed");
    b->last_issuer = b->facts.issuer;
    return true;
}

static bool add_certificate(struct load *l, struct building *b, const unsigned char *der,
                            size_t len, struct weir_err *err)
{
    struct tls_der_certificate facts;
    struct tls_intermediate *in;

    if (b->leaf == NULL)
        return add_leaf(b, der, len, err);
    if (b->chain_count == TLS_CHAIN_MAX)
        return wrong(err, b->source, "more than 11 certificates");
    in = intern(l->store, der, len);
    if (in == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "tls", 0);
    if (!tls_der_certificate(weir_span(in->der, in->len), &facts))
        return wrong(err, b->source, "a certificate behind the first one is malformed");
    b->chain_broken |= !weir_span_eq(facts.subject, b->last_issuer);
    b->last_issuer = facts.issuer;
    b->chain[b->chain_count++] = in;
    return true;
}

/* ---- keys ---- */

static bool is_key(struct weir_span label)
{
    static const char *const labels[] = {"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY",
                                         "ENCRYPTED PRIVATE KEY"};

    for (unsigned i = 0; i < sizeof labels / sizeof labels[0]; i++)
        if (weir_span_eq(label, weir_span_str(labels[i])))
            return true;
    return false;
}

static bool add_key(struct load *l, struct building *b, const struct tls_pem_block *block,
                    const unsigned char *der, size_t len, struct weir_err *err)
{
    (void)block;
    b->key.ptr = tls_secrets_keep(l->store->secrets, der, len);
    b->key.len = len;
    return b->key.ptr != NULL || weir_fail(err, WEIR_E_MEMORY, "tls", 0);
}

/* ---- files ---- */

enum { WANT_CHAIN = 1, WANT_KEY = 2 };

static bool add_block(struct load *l, struct building *b, const struct tls_pem_block *block,
                      const char *source, unsigned want, unsigned char *room, struct weir_err *err)
{
    bool certificate = weir_span_eq(block->label, WEIR_SPAN_LIT("CERTIFICATE")) ||
                       weir_span_eq(block->label, WEIR_SPAN_LIT("X509 CERTIFICATE"));
    bool key = is_key(block->label);
    size_t len;

    if ((!certificate || (want & WANT_CHAIN) == 0) && (!key || (want & WANT_KEY) == 0))
        return true;
    if (key && b->key.len > 0)
        return wrong(err, source, "holds two private keys");
    if (key && block->encrypted)
        return wrong(err, source,
                     "the private key is encrypted; a node has nobody to ask for the password");
    if (!tls_pem_decode(block, room, &len))
        return wrong(err, source, "a block of it is no base64");
    return certificate ? add_certificate(l, b, room, len, err)
                       : add_key(l, b, block, room, len, err);
}

/* room: behind text, as much again. */
static bool add_text(struct load *l, struct building *b, struct weir_span text, const char *source,
                     unsigned want, unsigned char *room, struct weir_err *err)
{
    struct tls_pem_block block;
    enum tls_pem_step step;

    while ((step = tls_pem_next(&text, &block)) == TLS_PEM_BLOCK)
        if (!add_block(l, b, &block, source, want, room, err))
            return false;
    if (step == TLS_PEM_BROKEN)
        return wrong(err, source, "a block of it does not end");
    if ((want & WANT_CHAIN) != 0 && b->leaf == NULL)
        return wrong(err, source, "holds no certificate (PEM)");
    if (want == WANT_KEY && b->key.len == 0)
        return wrong(err, source, "holds no private key (PEM)");
    return true;
}

static bool add_file(struct load *l, struct building *b, const char *path, unsigned want,
                     struct weir_err *err)
{
    struct weir_span text;
    struct stat st;

    if (!tls_file_read(l->store->secrets, l->o->opener, path, &text, &st, err) ||
        !add_text(l, b, text, path, want, tls_file_room(text), err))
        return false;
    return (want & WANT_KEY) == 0 || b->key.len == 0 || tls_file_is_private(path, &st, err);
}

/* ---- a certificate of what was read ---- */

static bool judge_key(struct building *b, struct weir_err *err)
{
    switch (tls_der_match(&b->facts, b->key)) {
    case TLS_MATCH_NO:
        return weir_failf(err, WEIR_E_FILE, "tls", 0,
                          "%s: the private key%s%s does not belong to the certificate", b->source,
                          b->key_source != b->source ? " of " : "",
                          b->key_source != b->source ? b->key_source : "");
    case TLS_MATCH_MALFORMED:
        return wrong(err, b->key_source, "the private key is malformed");
    default:
        return true; /* and if it cannot be told, add() asks OpenSSL */
    }
}

static void judge_dates(struct load *l, const struct tls_certificate *c)
{
    if (c->not_after_s <= l->o->now_s)
        warn(l, c->source, "has expired");
    else if (c->not_before_s > l->o->now_s)
        warn(l, c->source, "is not valid yet");
}

static void judge_chain(struct load *l, const struct building *b, struct tls_certificate *c)
{
    bool own = weir_span_eq(b->facts.issuer, b->facts.subject);

    c->chain_complete = !b->chain_broken && (own || b->chain_count > 0 || !b->facts.issuer_known);
    if (b->chain_broken)
        warn(l, c->source,
             "the chain is out of order: each certificate must be followed by its "
             "issuer's");
    else if (!c->chain_complete)
        warn(l, c->source, "intermediate certificates are missing: many clients will refuse it");
}

static struct weir_span moved(struct weir_span s, const char *from, const char *to)
{
    return s.len > 0 ? weir_span(to + (s.ptr - from), s.len) : WEIR_SPAN_NONE;
}

static struct tls_certificate *make(const struct building *b)
{
    size_t source_len = strlen(b->source) + 1;
    size_t chain_bytes = b->chain_count * sizeof b->chain[0];
    struct tls_certificate *c = weir_calloc(1, sizeof *c + chain_bytes + b->leaf_len + source_len);
    char *at;

    if (c == NULL)
        return NULL;
    memcpy(c->chain, b->chain, chain_bytes);
    at = (char *)c->chain + chain_bytes;
    memcpy(at, b->leaf, b->leaf_len);
    c->der = weir_span(at, b->leaf_len);
    c->names = moved(b->facts.names, b->leaf, at);
    c->common_name = moved(b->facts.common_name, b->leaf, at);
    at += b->leaf_len;
    memcpy(at, b->source, source_len);
    c->source = at;
    c->key = b->key;
    c->not_before_s = b->facts.not_before_s;
    c->not_after_s = b->facts.not_after_s;
    c->bits = (uint16_t)b->facts.bits;
    c->kind = (uint8_t)b->facts.kind;
    c->chain_count = (uint8_t)b->chain_count;
    c->must_staple = b->facts.must_staple;
    c->asks = b->facts.ocsp_url.len > 0 && b->chain_count > 0;
    return c;
}

static void *grown(void *array, size_t count, size_t *cap, size_t size)
{
    size_t more = *cap == 0 ? 16 : *cap * 2;
    void *next;

    if (count < *cap)
        return array;
    next = weir_realloc(array, more * size);
    if (next != NULL)
        *cap = more;
    return next;
}

static bool add_names(struct tls_store *s, struct tls_certificate *c, struct weir_err *err)
{
    struct tls_der_names it = tls_der_names(c->names, c->common_name);
    char name[TLS_NAME_MAX];

    while (tls_der_next_name(&it, name)) {
        struct tls_name *more = grown(s->names, s->name_count, &s->name_cap, sizeof *more);

        if (more == NULL)
            return weir_fail(err, WEIR_E_MEMORY, "tls", 0);
        s->names = more;
        s->names[s->name_count++] = (struct tls_name){XXH3_64bits(name, strlen(name)), c->number};
    }
    return true;
}

static bool keep(struct tls_store *s, struct tls_certificate *c, struct weir_err *err)
{
    struct tls_certificate **more = grown(s->certificates, s->count, &s->cap, sizeof *more);

    if (more == NULL) {
        weir_free(c);
        return weir_fail(err, WEIR_E_MEMORY, "tls", 0);
    }
    s->certificates = more;
    c->number = (uint32_t)s->count;
    s->certificates[s->count++] = c;
    return add_names(s, c, err);
}

static bool check_whole(struct tls_store *s, struct tls_certificate *c, struct weir_err *err)
{
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = tls_live_get(s, c, err) != NULL;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

/* A response that is not good is no reason not to serve: nothing is stapled, and that is said. */
static bool staple_file(struct load *l, struct tls_certificate *c, const char *path,
                        struct weir_err *err)
{
    struct weir_span issuer =
        c->chain_count > 0 ? weir_span(c->chain[0]->der, c->chain[0]->len) : WEIR_SPAN_NONE;
    struct tls_ocsp_answer answer;
    struct weir_span bytes;
    struct stat st;
    char text[160];

    if (path == NULL)
        return true;
    if (!tls_file_read(l->store->secrets, l->o->opener, path, &bytes, &st, err))
        return false;
    tls_ocsp_judge(bytes, c->der, issuer, l->o->now_s, &answer);
    tls_store_staple(l->store, c, bytes, &answer);
    if (answer.state == TLS_OCSP_GOOD) {
        c->asks = false; /* who puts files there renews them */
        return true;
    }
    snprintf(text, sizeof text, "nothing is stapled: %s", answer.error);
    warn(l, path, text);
    return true;
}

static bool finish(struct load *l, struct building *b, struct weir_err *err)
{
    struct tls_certificate *c;
    struct weir_span key = b->key;

    if (!judge_key(b, err))
        return false;
    c = make(b);
    if (c == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "tls", 0);
    if (!keep(l->store, c, err))
        return false;
    judge_dates(l, c);
    judge_chain(l, b, c);
    if (!staple_file(l, c, b->ocsp, err))
        return false;
    return (l->store->count > CHECKED_WHOLE && tls_der_match(&b->facts, key) == TLS_MATCH_YES) ||
           check_whole(l->store, c, err);
}

/* ---- where they come from ---- */

/* key, ocsp: NULL: none of its own. */
static bool load_files(struct load *l, const char *certificate, const char *key, const char *ocsp,
                       struct weir_err *err)
{
    struct building b = {.source = certificate,
                         .key_source = key != NULL ? key : certificate,
                         .ocsp = ocsp};
    bool ok = add_file(l, &b, certificate, key != NULL ? WANT_CHAIN : WANT_CHAIN | WANT_KEY, err) &&
              (key == NULL || add_file(l, &b, key, WANT_KEY, err));

    if (ok && b.key.len == 0)
        ok = wrong(err, certificate,
                   "there is no private key for it, neither in the file nor "
                   "beside it");
    ok = ok && finish(l, &b, err);
    weir_free(b.leaf);
    return ok;
}

static bool load_given(struct load *l, const struct tls_given *g, struct weir_err *err)
{
    struct building b = {.source = g->source, .key_source = g->source};
    size_t room = (g->chain.len > g->key.len ? g->chain.len : g->key.len) + 16;
    unsigned char *scratch = tls_secrets_scratch(l->store->secrets, room);
    bool ok = scratch != NULL || weir_fail(err, WEIR_E_MEMORY, "tls", 0);

    ok = ok && add_text(l, &b, g->chain, g->source, WANT_CHAIN, scratch, err) &&
         add_text(l, &b, g->key, g->source, WANT_KEY, scratch, err) && finish(l, &b, err);
    weir_free(b.leaf);
    return ok;
}

struct names {
    char **items;
    size_t count, cap;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool read_names(struct names *n, DIR *d, struct weir_err *err)
{
    struct dirent *e;

    while ((e = readdir(d)) != NULL) {
        char **more;

        if (e->d_name[0] == '.')
            continue;
        more = grown(n->items, n->count, &n->cap, sizeof *more);
        if (more == NULL)
            return weir_fail(err, WEIR_E_MEMORY, "tls", 0);
        n->items = more;
        if ((n->items[n->count] = weir_strndup(e->d_name, strlen(e->d_name))) == NULL)
            return weir_fail(err, WEIR_E_MEMORY, "tls", 0);
        n->count++;
    }
    if (n->count > 0)
        qsort(n->items, n->count, sizeof *n->items, by_text);
    return true;
}

static bool has_name(const struct names *n, const char *name)
{
    return n->count > 0 && bsearch(&name, n->items, n->count, sizeof *n->items, by_text) != NULL;
}

/* The file of that name and another ending into out; NULL: there is none. */
static const char *beside(const struct load *l, const struct names *n, struct weir_span stem,
                          const char *ending, char out[PATH_LEN])
{
    snprintf(out, PATH_LEN, "%.*s.%s", (int)stem.len, stem.ptr, ending);
    if (!has_name(n, out))
        return NULL;
    snprintf(out, PATH_LEN, "%s/%.*s.%s", l->o->settings->directory, (int)stem.len, stem.ptr,
             ending);
    return out;
}

/* NAME.crt or NAME.pem, with NAME.key and NAME.ocsp if there are any. */
static bool load_named(struct load *l, const struct names *n, const char *name,
                       struct weir_err *err)
{
    const char *directory = l->o->settings->directory, *dot = strrchr(name, '.');
    char certificate[PATH_LEN], key[PATH_LEN], ocsp[PATH_LEN];
    struct weir_span stem;

    if (dot == NULL || (strcmp(dot, ".crt") != 0 && strcmp(dot, ".pem") != 0))
        return true;
    stem = weir_span(name, (size_t)(dot - name));
    if (snprintf(certificate, sizeof certificate, "%s/%s", directory, name) >=
        (int)sizeof certificate - 1) /* .ocsp is one longer */
        return wrong(err, directory, "the path is too long");
    return load_files(l, certificate, beside(l, n, stem, "key", key),
                      beside(l, n, stem, "ocsp", ocsp), err);
}

static bool load_directory(struct load *l, struct weir_err *err)
{
    const char *directory = l->o->settings->directory;
    int fd = weir_opener_open(l->o->opener, directory);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct names n = {0};
    bool ok = true;

    if (d == NULL) {
        weir_failf(err, WEIR_E_FILE, "tls", 0, "%s: cannot be read: %s", directory,
                   strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    ok = read_names(&n, d, err);
    closedir(d);
    for (size_t i = 0; ok && i < n.count; i++)
        ok = load_named(l, &n, n.items[i], err);
    for (size_t i = 0; i < n.count; i++)
        weir_free(n.items[i]);
    weir_free(n.items);
    return ok;
}

bool tls_load_all(struct tls_store *s, const struct tls_store_options *o, struct weir_err *err)
{
    struct load l = {.store = s, .o = o};
    const struct tls_settings *t = o->settings;

    for (size_t i = 0; i < t->certificate_count; i++)
        if (!load_files(&l, t->certificates[i].certificate, t->certificates[i].key,
                        t->certificates[i].ocsp, err))
            return false;
    if (t->directory != NULL && t->directory[0] != '\0' && !load_directory(&l, err))
        return false;
    for (size_t i = 0; i < o->given_count; i++)
        if (!load_given(&l, &o->given[i], err))
            return false;
    if (l.warnings > WARNINGS_MAX)
        weir_log(WEIR_LOG_WARN, "tls: %u more certificates like these", l.warnings - WARNINGS_MAX);
    tls_secrets_scratch(s->secrets, 1); /* nothing of the last key stays there */
    return true;
}
