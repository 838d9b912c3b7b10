#include "acme.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/keeper.h"
#include "weir/keepfile.h"
#include "weir/log.h"
#include "acme_own.h"

#define PATH_ROOM 4096

/* ---- time ---- */

int64_t acme_now_ms(const struct acme *a)
{
    return a->board.clock_known ? acme_mono(a) + a->board.clock_ms : a->o.loop->clock.wall_ms;
}

int64_t acme_random(struct acme *a, int64_t below)
{
    a->random ^= a->random << 13;
    a->random ^= a->random >> 7;
    a->random ^= a->random << 17;
    return below > 1 ? (int64_t)(a->random % (uint64_t)below) : 0;
}

/* Not all nodes, and not all certificates, in the same moment. Never before half of its life is
 * over: an operator may want more time before the end than there is. */
static int64_t renew_s(const struct acme *a, const struct acme_cert *c)
{
    int64_t life = c->not_after_s - c->not_before_s, before = a->s->renew_before_ms / 1000;

    if (before == 0)
        before = life / 3;
    if (before > life / 2)
        before = life / 2;
    return c->not_after_s - before + life / 60 * c->jitter / 1000;
}

static bool is_due(const struct acme *a, const struct acme_cert *c)
{
    return c->held.key == NULL || acme_now_ms(a) / 1000 >= renew_s(a, c);
}

/* ---- certificates ---- */

static bool time_of(const ASN1_TIME *t, int64_t *out)
{
    int days, seconds;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool ok = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, t) == 1;

    if (ok)
        *out = (int64_t)days * 86400 + seconds;
    ASN1_TIME_free(epoch);
    return ok;
}

static bool read_life(const char *chain, int64_t *from_s, int64_t *to_s)
{
    BIO *in = BIO_new_mem_buf(chain, -1);
    X509 *x = in != NULL ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    bool ok = x != NULL && time_of(X509_get0_notBefore(x), from_s) &&
              time_of(X509_get0_notAfter(x), to_s) && *to_s > *from_s;

    X509_free(x);
    BIO_free(in);
    return ok;
}

static struct acme_cert *find(struct acme *a, const char *id)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->certs[i].id, id) == 0)
            return &a->certs[i];
    return NULL;
}

/* h is empty afterwards, but for when it was made. */
static void move(struct acme_held *to, struct acme_held *h)
{
    int64_t made = h->made_ms;

    acme_held_clear(to);
    *to = *h;
    *h = (struct acme_held){.made_ms = made};
}

bool acme_adopt(struct acme *a, struct acme_held *h)
{
    struct acme_cert *c = find(a, h->id);
    int64_t from, to;

    if (strcmp(h->id, a->account_id) == 0 && h->made_ms > a->account.made_ms) {
        move(&a->account, h);
        acme_keep(a);
        return false;
    }
    if (c == NULL || (c->held.key != NULL && h->made_ms <= c->held.made_ms))
        return false;
    if (!read_life(h->chain, &from, &to)) {
        weir_log(WEIR_LOG_WARN, "acme: what there is for %s is no certificate", c->s->names[0]);
        return false;
    }
    c->not_before_s = from;
    c->not_after_s = to;
    c->failures = 0;
    c->error[0] = '\0';
    move(&c->held, h);
    acme_keep(a);
    return true;
}

/* ---- the file ---- */

static const struct weir_wrap_key *file_key(const struct acme *a)
{
    return a->o.is_farm ? &a->key : NULL;
}

void acme_keep(struct acme *a)
{
    const struct acme_held **list = weir_calloc(a->count + 1, sizeof *list);
    size_t n = 0, len;
    char *text = NULL;

    if (list != NULL && a->keeper != NULL) {
        if (a->account.key != NULL)
            list[n++] = &a->account;
        for (size_t i = 0; i < a->count; i++)
            if (a->certs[i].held.key != NULL)
                list[n++] = &a->certs[i].held;
        text = acme_file_text(file_key(a), list, n, &len);
    }
    if (text != NULL)
        weir_keeper_put(a->keeper, text, len);
    weir_free(list);
}

static void on_kept(void *arg, bool ok, const struct weir_err *err)
{
    struct acme *a = arg;

    net_loop_enter(a->o.loop);
    if (!ok && !a->keep_failed)
        weir_log_err(WEIR_LOG_ERROR, "acme: certificates are not kept over a restart", err);
    a->keep_failed = !ok;
}

static void on_found(void *arg, struct acme_held *h)
{
    acme_adopt(arg, h);
}

static bool open_file(struct acme *a, struct weir_err *err)
{
    char path[PATH_ROOM], *text = NULL;
    struct weir_keeper_options k = {
        .path = path, .pool = a->o.pool, .box = &a->o.loop->box, .told = on_kept, .arg = a};
    struct weir_err why = {0};
    size_t len = 0;

    if (snprintf(path, sizeof path, "%s/certificates", a->folder) >= PATH_ROOM)
        return weir_fail(err, WEIR_E_FILE, "acme: folder", ENAMETOOLONG);
    if (!weir_keepfile_read(path, ACME_FILE_MAX, &text, &len, &why))
        weir_log_err(WEIR_LOG_ERROR, "acme: kept certificates", &why);
    else if (text != NULL && !acme_file_read(file_key(a), weir_span(text, len), on_found, a))
        weir_log(WEIR_LOG_WARN, "acme: %s: not all in it makes sense to this node", path);
    if (text != NULL)
        explicit_bzero(text, len);
    weir_free(text);
    a->keeper = weir_keeper_new(&k, err);
    return a->keeper != NULL;
}

/* ---- an order ---- */

static void order_over(struct acme *a)
{
    a->order.phase = ACME_NONE;
    a->order.cert = NULL;
}

static void on_released(struct shared_call *c)
{
    struct acme *a = WEIR_CONTAINER(c, struct acme, order.call);

    net_loop_enter(a->o.loop);
    shared_call_clear(c);
    order_over(a);
}

static void prepare_call(struct acme *a, void (*done)(struct shared_call *c))
{
    a->order.call.done = done;
    a->order.call.area = SHARED_STATE;
    a->order.call.timeout_ms = ACME_TIMEOUT_MS;
}

static void release(struct acme *a)
{
    a->order.phase = ACME_RELEASING;
    prepare_call(a, on_released);
    shared_lease_release(a->o.port, &a->order.call, &a->order.lease, WEIR_SPAN_NONE);
}

/* The lease is kept for as long as one should wait: the others do not all try in turn. */
static void order_failed(struct acme *a, const char *why)
{
    struct acme_cert *c = a->order.cert;
    unsigned shift = c->failures < 10 ? c->failures : 10;
    int64_t wait = (int64_t)ACME_RETRY_MS << shift;

    if (wait > ACME_RETRY_MAX)
        wait = ACME_RETRY_MAX;
    wait = wait * 3 / 4 + acme_random(a, wait / 2);
    c->failures++;
    c->next_ms = acme_mono(a) + wait;
    c->error_s = acme_now_ms(a) / 1000;
    snprintf(c->error, sizeof c->error, "%s", why);
    weir_log(WEIR_LOG_ERROR, "acme: no certificate for %s: %s; again in %lld s", c->s->names[0],
             c->error, (long long)(wait / 1000));
    a->order.phase = ACME_RELEASING;
    a->order.lease.lease_ms = (uint32_t)wait;
    prepare_call(a, on_released);
    shared_lease_renew(a->o.port, &a->order.call, &a->order.lease);
}

static void take_account(struct acme *a, const char *key)
{
    struct acme_held h;

    if (a->account.key == NULL &&
        acme_held_set(&h, a->account_id, acme_now_ms(a), WEIR_SPAN_NONE, weir_span_str(key))) {
        acme_adopt(a, &h);
        acme_held_clear(&h);
    }
}

static void on_run_over(void *arg, const struct acme_got *got, const char *why)
{
    struct acme *a = arg;
    struct acme_cert *c = a->order.cert;
    int64_t made = acme_now_ms(a);
    struct acme_held h;
    bool news;

    if (got == NULL) {
        order_failed(a, why);
        return;
    }
    take_account(a, got->account);
    if (made <= c->held.made_ms)
        made = c->held.made_ms + 1;
    news = acme_held_set(&h, c->id, made, weir_span_str(got->chain), weir_span_str(got->key)) &&
           acme_adopt(a, &h);
    acme_held_clear(&h);
    if (!news) {
        order_failed(a, "what came is no certificate");
        return;
    }
    weir_log(WEIR_LOG_INFO, "acme: a certificate for %s was issued", c->s->names[0]);
    c->on_board = false;
    acme_board_put(a);
    release(a);
    a->o.changed(a->o.arg);
}

/* The lease is ours, and the board was read since: nobody else has done it. */
static void check(struct acme *a, bool ok)
{
    struct acme_cert *c = a->order.cert;
    struct weir_err err = {0};

    if (!ok || !is_due(a, c)) {
        c->next_ms = acme_mono(a) + ACME_WAIT_MS;
        release(a);
        return;
    }
    a->order.phase = ACME_RUNNING;
    weir_log(WEIR_LOG_INFO, "acme: ordering a certificate for %s from %s", c->s->names[0],
             a->s->directory);
    if (!acme_run_start(a->run, a->s, c->s, a->account.key, &err))
        order_failed(a, err.detail[0] != '\0' ? err.detail : "the client cannot be run");
}

static void on_lease(struct shared_call *c)
{
    struct acme *a = WEIR_CONTAINER(c, struct acme, order.call);
    enum shared_result result = c->result;
    uint32_t left = c->left_ms;

    net_loop_enter(a->o.loop);
    shared_call_clear(c);
    if (result == SHARED_OK) {
        a->order.phase = ACME_CHECKING;
        acme_board_look(a);
        return;
    }
    a->order.cert->next_ms =
        acme_mono(a) + (result == SHARED_REFUSED && left < ACME_WAIT_MS ? left : ACME_WAIT_MS) +
        acme_random(a, 1000);
    order_over(a);
}

static void take_lease(struct acme *a, struct acme_cert *c)
{
    struct acme_order *o = &a->order;

    o->phase = ACME_LEASING;
    o->cert = c;
    snprintf(o->key, sizeof o->key, "w1:{A.%s}:l:%s", a->farm, c->id);
    snprintf(o->fence, sizeof o->fence, "w1:{A.%s}:f:%s", a->farm, c->id);
    o->lease = (struct shared_lease){.key = weir_span_str(o->key),
                                     .fence_key = weir_span_str(o->fence),
                                     .owner = weir_span_str(o->owner),
                                     .lease_ms = ACME_LEASE_MS,
                                     .fence_ttl_ms = ACME_FENCE_MS};
    prepare_call(a, on_lease);
    shared_lease_take(a->o.port, &o->call, &o->lease);
}

static void order_next(struct acme *a)
{
    int64_t now = acme_mono(a);

    if (a->order.phase != ACME_NONE || a->board.contact_ms < 0 ||
        now - a->board.contact_ms > ACME_FRESH_MS)
        return;
    for (size_t i = 0; i < a->count; i++)
        if (is_due(a, &a->certs[i]) && now >= a->certs[i].next_ms) {
            take_lease(a, &a->certs[i]);
            return;
        }
}

void acme_board_was_read(struct acme *a, bool ok, bool news)
{
    if (ok)
        acme_board_put(a); /* what it lacks */
    if (a->order.phase == ACME_CHECKING && !a->board.again)
        check(a, ok);
    if (news)
        a->o.changed(a->o.arg);
}

static void on_turn(struct net_timer *t)
{
    struct acme *a = WEIR_CONTAINER(t, struct acme, turn);

    acme_board_turn(a);
    order_next(a);
    if (a->keep_failed)
        weir_keeper_again(a->keeper);
    net_timer_start(a->o.loop, t, acme_mono(a) + ACME_TURN_MS);
}

/* ---- challenges ---- */

static bool is_ours(const struct acme *a, struct weir_span name)
{
    const struct acme_cert *c = a->order.cert;

    for (size_t i = 0; a->order.phase == ACME_RUNNING && i < c->s->name_count; i++)
        if (weir_span_ieq(name, weir_span_str(c->s->names[i])))
            return true;
    return false;
}

static void on_challenge(struct shared_call *c)
{
    struct acme *a = WEIR_CONTAINER(c, struct acme, order.challenge);
    bool ok = c->result == SHARED_OK;

    net_loop_enter(a->o.loop);
    a->order.challenging = false;
    if (!ok)
        weir_log(WEIR_LOG_WARN, "acme: shared state does not take a challenge (%s)",
                 shared_result_text(c->result));
    shared_call_clear(c);
    acme_hook_answer(a->hook, ok);
}

static bool put_challenge(struct acme *a, const struct acme_asked *q)
{
    char key[ACME_KEY_MAX];
    struct weir_blob *blob = weir_blob_new(WEIR_SEAL_BYTES + q->answer.len);
    struct weir_slice slice = {.blob = blob, .len = (uint32_t)(WEIR_SEAL_BYTES + q->answer.len)};
    struct shared_call *c = &a->order.challenge;

    if (blob == NULL || !acme_challenge_seal(a->o.place, q->token, q->answer, blob->bytes)) {
        weir_blob_unref(blob);
        return false;
    }
    blob->len = slice.len;
    a->order.challenging = true;
    c->done = on_challenge;
    c->area = SHARED_STATE;
    c->timeout_ms = ACME_TIMEOUT_MS;
    shared_put(a->o.port, c, acme_challenge_key(a->o.place, q->token, key), &slice, 1,
               ACME_CHALLENGE_MS);
    weir_blob_unref(blob);
    return true;
}

/* What is over ends by itself within the hour. */
static void on_asked(void *arg, const struct acme_asked *q)
{
    struct acme *a = arg;

    if (!q->begin)
        acme_hook_answer(a->hook, true);
    else if (!weir_span_eq(q->type, WEIR_SPAN_LIT("http-01")) || !is_ours(a, q->name) ||
             !acme_answer_valid(q->token, q->answer) || a->order.challenging ||
             !put_challenge(a, q))
        acme_hook_answer(a->hook, false);
}

static void on_gone(void *arg)
{
    struct acme *a = arg;

    shared_cancel(a->o.port, &a->order.challenge);
    a->order.challenging = false;
}

/* ---- what is wanted ---- */

static bool hash_id(char kind, EVP_MD_CTX *md, char out[ACME_ID_MAX])
{
    unsigned char hash[EVP_MAX_MD_SIZE];

    if (EVP_DigestFinal_ex(md, hash, NULL) != 1)
        return false;
    snprintf(out, ACME_ID_MAX, "%c-", kind);
    for (int i = 0; i < 8; i++)
        snprintf(out + 2 + 2 * i, 3, "%02x", hash[i]);
    return true;
}

static bool hash_text(EVP_MD_CTX *md, const char *text)
{
    return EVP_DigestUpdate(md, text, strlen(text) + 1) == 1;
}

static bool make_id(char kind, const struct acme_settings *s,
                    const struct acme_certificate_settings *c, char out[ACME_ID_MAX])
{
    const char type[2] = {(char)('a' + s->key_type), '\0'};
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok =
        md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && hash_text(md, s->directory);

    if (ok && c != NULL)
        ok = hash_text(md, type);
    for (size_t i = 0; ok && c != NULL && i < c->name_count; i++)
        ok = hash_text(md, c->names[i]);
    ok = ok && hash_id(kind, md, out);
    EVP_MD_CTX_free(md);
    return ok;
}

/* What is known of a certificate stays with it. The order that is under way goes on, if it is still
 * wanted. */
static void carry_over(struct acme *a, struct acme_cert *certs, size_t count)
{
    struct acme_cert *ordered = NULL;

    for (size_t i = 0; i < count; i++) {
        struct acme_cert *old = find(a, certs[i].id);
        const struct acme_certificate_settings *s = certs[i].s;

        if (old == NULL || old->s == NULL)
            continue;
        certs[i] = *old;
        certs[i].s = s;
        if (old == a->order.cert)
            ordered = &certs[i];
        *old = (struct acme_cert){.s = NULL}; /* once only, if two are alike */
    }
    a->order.cert = ordered;
}

static void drop_certs(struct acme *a)
{
    for (size_t i = 0; i < a->count; i++)
        acme_held_clear(&a->certs[i].held);
    weir_free(a->certs);
    a->certs = NULL;
    a->count = 0;
}

static bool renew_run(struct acme *a, struct weir_err *err)
{
    const struct acme_run_options o = {
        .loop = a->o.loop, .folder = a->folder, .self = a->o.self, .over = on_run_over, .arg = a};
    struct acme_run *run = acme_run_new(&o, err);

    if (run == NULL)
        return false;
    acme_run_free(a->run);
    a->run = run;
    return true;
}

static struct acme_cert *make_certs(struct acme *a, const struct acme_settings *s,
                                    struct weir_err *err)
{
    struct acme_cert *certs = weir_calloc(s->certificate_count + 1, sizeof *certs);

    for (size_t i = 0; certs != NULL && i < s->certificate_count; i++) {
        certs[i].s = &s->certificates[i];
        certs[i].jitter = acme_random(a, 1000);
        if (!make_id('c', s, certs[i].s, certs[i].id)) {
            weir_free(certs);
            certs = NULL;
        }
    }
    if (certs == NULL)
        weir_fail(err, WEIR_E_MEMORY, "acme: certificates", 0);
    return certs;
}

bool acme_configure(struct acme *a, const struct acme_settings *s, struct weir_err *err)
{
    struct acme_cert *certs = make_certs(a, s, err);
    bool ordering = a->order.cert != NULL;
    char account[ACME_ID_MAX];

    if (certs == NULL)
        return false;
    if (!make_id('a', s, NULL, account)) {
        weir_free(certs);
        return weir_fail(err, WEIR_E_MEMORY, "acme: certificates", 0);
    }
    carry_over(a, certs, s->certificate_count);
    drop_certs(a);
    a->certs = certs;
    a->count = s->certificate_count;
    a->s = s;
    if (strcmp(account, a->account_id) != 0) {
        acme_held_clear(&a->account);
        strcpy(a->account_id, account);
    }
    if (ordering && a->order.cert == NULL) { /* nobody wants it any more; its lease runs out */
        shared_cancel(a->o.port, &a->order.call);
        order_over(a);
        return renew_run(a, err);
    }
    acme_board_look(a);
    return true;
}

size_t acme_given(struct acme *a, struct acme_given *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < a->count && n < cap; i++) {
        const struct acme_cert *c = &a->certs[i];

        if (c->held.key != NULL)
            out[n++] = (struct acme_given){.name = c->s->names[0],
                                           .chain = weir_span_str(c->held.chain),
                                           .key = weir_span_str(c->held.key)};
    }
    return n;
}

/* ---- seeing ---- */

void acme_each(struct acme *a, void (*seen)(void *arg, const struct acme_view *v), void *arg)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct acme_cert *c = &a->certs[i];
        bool there = c->held.key != NULL, ordered = a->order.cert == c;
        int64_t wait = c->next_ms - acme_mono(a);
        struct acme_view v = {
            .names = c->s->names,
            .name_count = c->s->name_count,
            .state = ordered && a->order.phase == ACME_RUNNING ? "ordering"
                     : there                                   ? "valid"
                                                               : "waiting",
            .not_after_s = there ? c->not_after_s : 0,
            .renew_s = there ? renew_s(a, c) : 0,
            .next_s = acme_now_ms(a) / 1000 + (wait > 0 ? wait / 1000 : 0),
            .failures = c->failures,
            .error = c->error,
            .error_s = c->error_s,
        };

        seen(arg, &v);
    }
}

/* ---- life ---- */

static bool make_folder(struct acme *a, struct weir_err *err)
{
    char path[PATH_ROOM];

    if (snprintf(path, sizeof path, "%s/acme", a->o.dir) >= PATH_ROOM ||
        (a->folder = weir_strndup(path, strlen(path))) == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "acme: folder", 0);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return weir_failf(err, WEIR_E_FILE, "acme: folder", errno, "%.120s", path);
    return true;
}

static bool set_up(struct acme *a, const struct acme_settings *s, struct weir_err *err)
{
    if (snprintf(a->farm, sizeof a->farm, "%s", a->o.farm) >= (int)sizeof a->farm)
        return weir_fail(err, WEIR_E_INTERNAL, "acme: name of the farm", 0);
    if (!make_folder(a, err) || !acme_board_start(a, err) || !renew_run(a, err))
        return false;
    a->hook = acme_hook_new(a->o.loop, a->folder, on_asked, on_gone, a, err);
    if (a->hook == NULL || !acme_configure(a, s, err) || !open_file(a, err))
        return false;
    on_turn(&a->turn);
    return true;
}

struct acme *acme_new(const struct acme_options *o, const struct acme_settings *s,
                      struct weir_err *err)
{
    struct acme *a = weir_calloc(1, sizeof *a);

    if (a == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "acme: create", 0);
        return NULL;
    }
    a->o = *o;
    a->key = *o->key;
    a->random = o->seed | 1;
    snprintf(a->order.owner, sizeof a->order.owner, "%016llx",
             (unsigned long long)(o->seed ^ (uint64_t)acme_random(a, INT64_MAX)));
    a->turn.fire = on_turn;
    if (set_up(a, s, err))
        return a;
    acme_free(a);
    return NULL;
}

void acme_free(struct acme *a)
{
    struct weir_err err = {0};

    if (a == NULL)
        return;
    net_timer_stop(a->o.loop, &a->turn);
    acme_run_free(a->run);
    acme_hook_free(a->hook);
    acme_board_stop(a);
    shared_cancel(a->o.port, &a->order.call);
    shared_cancel(a->o.port, &a->order.challenge);
    if (!weir_keeper_free(a->keeper, &err))
        weir_log_err(WEIR_LOG_ERROR, "acme: certificates are not kept over a restart", &err);
    drop_certs(a);
    acme_held_clear(&a->account);
    weir_free(a->folder);
    explicit_bzero(a, sizeof *a);
    weir_free(a);
}
