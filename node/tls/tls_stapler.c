#include "tls_stapler.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "tls_ocsp.h"
#include "tls_ocsp_ask.h"
#include "tls_own.h"

#define ASK_MS       10000
#define FIRST_WAIT_S 60 /* after a failure; doubled by each further one */
#define LAST_WAIT_S  3600
#define PATH_LEN     4096

/* One question under way. What the pool's thread reads is in the store, which it holds. */
struct asking {
    struct weir_work work;
    struct tls_stapler *stapler;
    struct tls_store *store; /* reference */
    struct tls_certificate *certificate;
    char file[PATH_LEN]; /* "": not kept */
    int64_t now_s;
    struct tls_ocsp_answer answer;
    size_t len;
    unsigned char bytes[TLS_OCSP_MAX];
};

struct tls_stapler {
    struct weir_work_pool *pool;
    struct weir_mailbox *box;
    char *folder; /* NULL: nowhere */
    struct tls_store *store;
    struct asking *asking; /* NULL: none */
    atomic_bool stop;      /* what is asked is of no use any more */
    bool fetch;
};

static struct weir_span issuer_of(const struct tls_certificate *c)
{
    return c->chain_count > 0 ? weir_span(c->chain[0]->der, c->chain[0]->len) : WEIR_SPAN_NONE;
}

/* ---- files ---- */

/* Named by the certificate, so that what is kept is never for another one. */
static bool file_of(const struct tls_stapler *s, const struct tls_certificate *c, char *out)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    int at;

    out[0] = '\0';
    if (s->folder == NULL)
        return false;
    SHA256((const unsigned char *)c->der.ptr, c->der.len, hash);
    at = snprintf(out, PATH_LEN, "%s/", s->folder);
    if (at + 2 * SHA256_DIGEST_LENGTH + 8 >= PATH_LEN) {
        out[0] = '\0';
        return false;
    }
    for (unsigned i = 0; i < SHA256_DIGEST_LENGTH; i++)
        at += snprintf(out + at, (size_t)(PATH_LEN - at), "%02x", hash[i]);
    snprintf(out + at, (size_t)(PATH_LEN - at), ".ocsp");
    return true;
}

static size_t read_file(const char *path, unsigned char *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, out, TLS_OCSP_MAX) : -1;

    if (fd >= 0)
        close(fd);
    return n > 0 ? (size_t)n : 0;
}

/* Whole or not at all. Without it the node asks once more after its next start. */
static void write_file(const char *path, const unsigned char *bytes, size_t len)
{
    char next[PATH_LEN + 8];
    int fd;
    bool ok;

    snprintf(next, sizeof next, "%s.new", path);
    fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return;
    ok = write(fd, bytes, len) == (ssize_t)len;
    close(fd);
    if (!ok || rename(next, path) != 0)
        unlink(next);
}

/* ---- asking ---- */

static void run(struct weir_work *w)
{
    struct asking *a = WEIR_CONTAINER(w, struct asking, work);
    const struct tls_certificate *c = a->certificate;
    const struct tls_ocsp_patience patience = {ASK_MS, &a->stapler->stop};
    struct tls_der_certificate facts;
    unsigned char *request;
    int len = tls_ocsp_request(c->der, issuer_of(c), &request);

    a->answer = (struct tls_ocsp_answer){.state = TLS_OCSP_FAILED};
    if (len == 0 || !tls_der_certificate(c->der, &facts))
        snprintf(a->answer.error, sizeof a->answer.error,
                 "the file of the certificate does not hold its issuer's");
    else if (tls_ocsp_ask(facts.ocsp_url, weir_span((const char *)request, (size_t)len), &patience,
                          a->bytes, &a->len, a->answer.error))
        tls_ocsp_judge(weir_span((const char *)a->bytes, a->len), c->der, issuer_of(c), a->now_s,
                       &a->answer);
    OPENSSL_free(request);
    if (a->answer.state == TLS_OCSP_GOOD && a->file[0] != '\0')
        write_file(a->file, a->bytes, a->len);
}

static void log_change(const struct tls_certificate *c, const struct tls_ocsp_answer *now)
{
    const struct tls_staple *before = c->staple;

    if (now->state == TLS_OCSP_GOOD) {
        if (before != NULL && before->error[0] != '\0')
            weir_log(WEIR_LOG_INFO, "tls: %s: OCSP works again", c->source);
    } else if (before == NULL || strcmp(before->error, now->error) != 0) {
        weir_log(WEIR_LOG_WARN, "tls: %s: OCSP: %s", c->source, now->error);
    }
}

static int64_t next_try(const struct tls_certificate *c, const struct tls_ocsp_answer *a,
                        int64_t now_s, unsigned failures)
{
    int64_t wait = FIRST_WAIT_S;

    (void)c;
    if (a->state == TLS_OCSP_GOOD) {
        wait = (a->next_s - now_s) / 2;
        return now_s + (wait < FIRST_WAIT_S ? FIRST_WAIT_S : wait);
    }
    for (unsigned i = 1; i < failures && wait < LAST_WAIT_S; i++)
        wait *= 2;
    return now_s + (wait < LAST_WAIT_S ? wait : LAST_WAIT_S);
}

static void forget(struct asking *a)
{
    a->stapler->asking = NULL;
    tls_store_unref(a->store);
    weir_free(a);
}

/* The same certificate in another store, the one before or after; NULL: there is none. */
static struct tls_certificate *same_in(const struct tls_store *other_store,
                                       const struct tls_certificate *c)
{
    struct tls_der_names it = tls_der_names(c->names, c->common_name);
    char name[TLS_NAME_MAX];
    const struct tls_certificate *other = other_store != NULL && tls_der_next_name(&it, name)
                                              ? tls_store_find(other_store, name)
                                              : NULL;

    return other != NULL && weir_span_eq(other->der, c->der)
               ? other_store->certificates[other->number]
               : NULL;
}

static void done(struct weir_work *w)
{
    struct asking *a = WEIR_CONTAINER(w, struct asking, work);
    struct tls_store *store = a->stapler->store;
    struct tls_certificate *c = store == a->store
                                    ? a->certificate
                                    : same_in(store, a->certificate); /* reloaded meanwhile */
    unsigned failures;

    if (c == NULL) {
        forget(a);
        return;
    }
    failures = a->answer.state == TLS_OCSP_GOOD ? 0 : c->failures + 1;
    log_change(c, &a->answer);
    tls_store_staple(store, c, weir_span((const char *)a->bytes, a->len), &a->answer);
    c->failures = failures < 100 ? (uint8_t)failures : 100;
    c->ask_again_s = next_try(c, &a->answer, a->now_s, failures);
    forget(a);
}

static void ask(struct tls_stapler *s, struct tls_certificate *c, int64_t now_s)
{
    struct asking *a = weir_calloc(1, sizeof *a);

    if (a == NULL)
        return; /* the next turn tries again */
    a->stapler = s;
    a->store = tls_store_ref(s->store);
    a->certificate = c;
    a->now_s = now_s;
    a->work.reply = s->box;
    a->work.run = run;
    a->work.done = done;
    (void)file_of(s, c, a->file);
    s->asking = a;
    weir_work_submit(s->pool, &a->work);
}

/* ---- which are asked for ---- */

void tls_stapler_turn(struct tls_stapler *s, int64_t now_s)
{
    if (s == NULL || s->store == NULL || !s->fetch || s->asking != NULL)
        return;
    for (size_t i = 0; i < s->store->count; i++) {
        struct tls_certificate *c = s->store->certificates[i];

        if (c->asks && c->ask_again_s <= now_s && c->not_after_s > now_s) {
            ask(s, c, now_s);
            return;
        }
    }
}

static void take_over(struct tls_store *store, struct tls_certificate *c,
                      const struct tls_certificate *old)
{
    const struct tls_staple *st = old->staple;
    struct tls_ocsp_answer answer = {.state = st->state, .next_s = st->until_s};

    snprintf(answer.error, sizeof answer.error, "%s", st->error);
    tls_store_staple(store, c, weir_span((const char *)st->bytes, st->len), &answer);
    c->ask_again_s = old->ask_again_s;
    c->failures = old->failures;
}

static void begin(struct tls_stapler *s, struct tls_certificate *c, const struct tls_store *before,
                  unsigned char *room, int64_t now_s)
{
    const struct tls_certificate *old = same_in(before, c);
    struct tls_ocsp_answer answer = {.state = TLS_OCSP_WAITING};
    char file[PATH_LEN];
    size_t len;

    if (old != NULL && old->asks && old->staple != NULL) {
        take_over(s->store, c, old);
        return;
    }
    len = file_of(s, c, file) ? read_file(file, room) : 0;
    if (len > 0)
        tls_ocsp_judge(weir_span((const char *)room, len), c->der, issuer_of(c), now_s, &answer);
    if (answer.state == TLS_OCSP_GOOD)
        c->ask_again_s = next_try(c, &answer, now_s, 0);
    else
        answer = (struct tls_ocsp_answer){.state = TLS_OCSP_WAITING};
    tls_store_staple(s->store, c, weir_span((const char *)room, len), &answer);
}

void tls_stapler_serve(struct tls_stapler *s, struct tls_store *store, bool fetch, int64_t now_s)
{
    struct tls_store *before = s->store;
    unsigned char *room = weir_malloc(TLS_OCSP_MAX);

    s->store = tls_store_ref(store);
    s->fetch = fetch;
    for (size_t i = 0; store != NULL && fetch && room != NULL && i < store->count; i++) {
        struct tls_certificate *c = store->certificates[i];

        if (c->asks)
            begin(s, c, before, room, now_s);
    }
    weir_free(room);
    tls_store_unref(before);
}

/* ---- life ---- */

void tls_stapler_stop(struct tls_stapler *s)
{
    if (s != NULL)
        atomic_store(&s->stop, true);
}

struct tls_stapler *tls_stapler_new(const struct tls_stapler_options *o, struct weir_err *err)
{
    struct tls_stapler *s = weir_calloc(1, sizeof *s);

    if (s != NULL && o->folder != NULL)
        s->folder = weir_strndup(o->folder, strlen(o->folder));
    if (s == NULL || (o->folder != NULL && s->folder == NULL)) {
        weir_free(s);
        weir_fail(err, WEIR_E_MEMORY, "tls: stapler", 0);
        return NULL;
    }
    s->pool = o->pool;
    s->box = o->box;
    if (s->folder != NULL && mkdir(s->folder, 0750) != 0 && errno != EEXIST)
        weir_log(WEIR_LOG_WARN, "tls: %s: %s: OCSP responses are not kept", s->folder,
                 strerror(errno));
    return s;
}

void tls_stapler_free(struct tls_stapler *s)
{
    if (s == NULL)
        return;
    if (s->asking != NULL) /* the pool has ended, and told nobody */
        forget(s->asking);
    tls_store_unref(s->store);
    weir_free(s->folder);
    weir_free(s);
}
