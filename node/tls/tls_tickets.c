#include "tls_tickets_own.h"

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "weir/alloc.h"
#include "weir/keeper.h"
#include "weir/keepfile.h"
#include "weir/log.h"
#include "ticket_cipher.h"

#define PUBLISH_AGAIN_MS 10    /* a worker is just reading the keys before those before */
#define KEEP_AGAIN_MS    60000 /* after a failure */
#define WEEK_S           604800

_Static_assert(TICKET_KEYS_MAX == TLS_TICKETS_KEYS_MAX, "one number");

/* ---- time ---- */

int64_t tickets_now(const struct tls_tickets *t)
{
    return t->board.clock_known ? tickets_mono(t) + t->board.clock_ms : t->loop.clock->wall_ms;
}

int64_t tickets_random(struct tls_tickets *t, int64_t below)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return below > 1 ? (int64_t)(t->random % (uint64_t)below) : 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* By our monotonic clock. */
static int64_t next_period_ms(const struct tls_tickets *t)
{
    int64_t now = tickets_now(t);

    return tickets_mono(t) + t->rotation_ms - (now > 0 ? now % t->rotation_ms : 0);
}

void tickets_arm(struct tls_tickets *t)
{
    int64_t due = next_period_ms(t), wait;

    if (t->farm)
        due = earlier(due, tickets_board_due(t));
    if (t->unpublished || t->unclean)
        due = earlier(due, tickets_mono(t) + PUBLISH_AGAIN_MS);
    if (t->keep_again_ms != 0)
        due = earlier(due, t->keep_again_ms);
    wait = due - tickets_mono(t);
    if (wait < 0)
        wait = 0;
    event_add(t->timer, &(struct timeval){wait / 1000, wait % 1000 * 1000});
}

/* ---- the file ---- */

void tickets_changed(struct tls_tickets *t)
{
    t->unpublished = true;
    t->dirty = true;
}

static void on_kept(void *arg, bool ok, const struct weir_err *err)
{
    struct tls_tickets *t = arg;

    t->loop.enter(t->loop.arg);
    if (!ok && !t->keep_failed)
        weir_log_err(WEIR_LOG_ERROR, "tls: ticket keys are not kept over a restart", err);
    else if (ok && t->keep_failed)
        weir_log(WEIR_LOG_INFO, "tls: ticket keys are kept again");
    t->keep_failed = !ok;
    t->kept = ok;
    if (!ok)
        t->keep_again_ms = tickets_mono(t) + KEEP_AGAIN_MS;
    tickets_arm(t);
}

static const struct weir_wrap_key *wrapping(const struct tls_tickets *t)
{
    return t->farm ? &t->key : NULL;
}

static void keep(struct tls_tickets *t)
{
    size_t len;
    char *text;

    if (t->keeper == NULL)
        return;
    if (t->dirty && (text = ticket_file_text(&t->ring, wrapping(t), &len)) != NULL) {
        t->dirty = false;
        weir_keeper_put(t->keeper, text, len);
    } else if (t->keep_again_ms != 0 && tickets_mono(t) >= t->keep_again_ms) {
        t->keep_again_ms = 0;
        weir_keeper_again(t->keeper);
    }
}

/* A file that makes no sense is as none: it holds nothing that is not made anew. */
static void read_file(struct tls_tickets *t, const char *path)
{
    struct weir_err err = {0};
    char *text = NULL;
    size_t len = 0;

    if (!weir_keepfile_read(path, TICKET_FILE_MAX, &text, &len, &err))
        weir_log_err(WEIR_LOG_WARN, "tls: kept ticket keys", &err);
    else if (text != NULL &&
             !ticket_file_read(weir_span(text, len), wrapping(t), &t->ring, tickets_now(t)))
        weir_log(WEIR_LOG_WARN,
                 "tls: %s: not all ticket keys in it make sense to this node, or it was written in "
                 "another farm: they are made anew",
                 path);
    if (text != NULL)
        explicit_bzero(text, len);
    weir_free(text);
}

static bool open_file(struct tls_tickets *t, const struct tls_tickets_options *o,
                      struct weir_err *err)
{
    const struct weir_keeper_options k = {
        .path = o->file, .pool = o->pool, .box = o->box, .told = on_kept, .arg = t};

    if (o->file == NULL)
        return true;
    read_file(t, o->file);
    t->keeper = weir_keeper_new(&k, err);
    return t->keeper != NULL;
}

/* ---- keys ---- */

bool tickets_draw(struct ticket_held *out, int64_t rotation_ms, uint64_t period)
{
    *out =
        (struct ticket_held){.kind = TICKET_STORED, .rotation_ms = rotation_ms, .period = period};
    return RAND_bytes(out->key.name, sizeof out->key.name) == 1 &&
           RAND_priv_bytes(out->key.aes, sizeof out->key.aes) == 1 &&
           RAND_priv_bytes(out->key.mac, sizeof out->key.mac) == 1;
}

static bool derive(const struct tls_tickets *t, struct ticket_held *out, uint64_t period)
{
    char id[TICKET_ID_MAX];

    *out = (struct ticket_held){.kind = TICKET_DERIVED,
                                .rotation_ms = t->rotation_ms,
                                .period = period};
    return weir_wrap_expand(&t->key, "ticket key", ticket_id(out, id), (unsigned char *)&out->key,
                            sizeof out->key, NULL);
}

/* Every node of the farm has these three. */
static void derive_missing(struct tls_tickets *t, uint64_t period, int64_t now)
{
    struct ticket_held h;
    bool changed = false;

    for (uint64_t p = period > 0 ? period - 1 : 0; p <= period + 1; p++)
        if (ticket_ring_find(&t->ring, TICKET_DERIVED, t->rotation_ms, p) == NULL &&
            derive(t, &h, p))
            ticket_ring_put(&t->ring, &h, now, &changed);
    t->unpublished = t->unpublished || changed;
    explicit_bzero(&h, sizeof h);
}

static void draw_missing(struct tls_tickets *t, uint64_t period, int64_t now)
{
    struct ticket_held h;
    bool changed = false;

    for (uint64_t p = period; p <= period + 1; p++)
        if (ticket_ring_find(&t->ring, TICKET_STORED, t->rotation_ms, p) == NULL &&
            tickets_draw(&h, t->rotation_ms, p))
            ticket_ring_put(&t->ring, &h, now, &changed);
    if (changed)
        tickets_changed(t);
    explicit_bzero(&h, sizeof h);
}

static void tell_kind(struct tls_tickets *t, const struct ticket_held *issuer)
{
    bool stored = issuer != NULL && issuer->kind == TICKET_STORED;

    if (t->had_stored && !stored)
        weir_log(WEIR_LOG_WARN, "tls: shared state has no ticket key for this time: tickets are "
                                "issued under one that comes from the farm's secret");
    else if (!t->had_stored && stored && t->farm)
        weir_log(WEIR_LOG_INFO, "tls: tickets are issued under the farm's keys");
    t->had_stored = stored;
}

/* Makes the ring what it is to be now. */
static void advance(struct tls_tickets *t)
{
    int64_t now = tickets_now(t);
    uint64_t period = ticket_period(now, t->rotation_ms);

    if (ticket_ring_expire(&t->ring, now))
        tickets_changed(t);
    if (t->farm)
        derive_missing(t, period, now);
    else
        draw_missing(t, period, now);
    if (period == t->period)
        return;
    t->period = period;
    t->unpublished = true;
    if (t->farm)
        tickets_board_period(t);
}

/* ---- what workers see ---- */

static void make_view(struct tls_tickets *t, struct ticket_view *v)
{
    const struct ticket_held *issuer = ticket_ring_issuer(&t->ring, t->rotation_ms, tickets_now(t));

    *v = (struct ticket_view){.count = t->ring.count, .issuer = t->ring.count};
    for (size_t i = 0; i < t->ring.count; i++) {
        const struct ticket_held *h = &t->ring.held[i];

        v->keys[i] = h->key;
        if (h == issuer)
            v->issuer = i;
        else /* not one of a node that has switched already */
            v->renew[i] = issuer == NULL || h->rotation_ms != issuer->rotation_ms ||
                          h->period <= issuer->period;
    }
    tell_kind(t, issuer);
}

static void publish(struct tls_tickets *t)
{
    struct ticket_view v;

    if (t->unpublished) {
        make_view(t, &v);
        if (ticket_slots_publish(&t->slots, &v)) {
            t->unpublished = false;
            t->unclean = true;
        }
        explicit_bzero(&v, sizeof v);
    }
    if (t->unclean && ticket_slots_clean(&t->slots))
        t->unclean = false;
}

int tls_tickets_key(struct tls_tickets *t, unsigned char name[16], unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
    unsigned place;
    const struct ticket_view *v = ticket_slots_enter(&t->slots, &place);
    int rc = encrypt ? ticket_encrypt(v, name, iv, cipher, mac)
                     : ticket_decrypt(v, name, iv, cipher, mac);

    ticket_slots_leave(&t->slots, place);
    return rc;
}

long tls_tickets_lifetime_s(const struct tls_tickets *t)
{
    int64_t s = 2 * t->rotation_ms / 1000;

    return (long)(s < WEEK_S ? s : WEEK_S);
}

/* ---- turns ---- */

void tls_tickets_turn(struct tls_tickets *t)
{
    advance(t);
    if (t->farm)
        tickets_board_turn(t);
    publish(t);
    keep(t);
    tickets_arm(t);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct tls_tickets *t = arg;

    (void)fd;
    (void)what;
    t->loop.enter(t->loop.arg);
    tls_tickets_turn(t);
}

void tls_tickets_rotate(struct tls_tickets *t, int64_t rotation_ms)
{
    if (t->rotation_ms == rotation_ms)
        return;
    t->rotation_ms = rotation_ms;
    t->period = UINT64_MAX;
    tls_tickets_turn(t);
}

/* ---- seeing ---- */

static void see_key(const struct tls_tickets *t, const struct ticket_held *h,
                    struct tls_tickets_key_facts *out)
{
    uint64_t period = ticket_period(tickets_now(t), h->rotation_ms);

    for (int i = 0; i < 8; i++)
        snprintf(out->name + 2 * i, 3, "%02x", h->key.name[i]);
    out->kind = h->kind == TICKET_DERIVED ? "derived" : t->farm ? "stored" : "own";
    out->use = h->period < period ? "previous" : h->period > period ? "next" : "current";
    out->issues = h == ticket_ring_issuer(&t->ring, t->rotation_ms, tickets_now(t));
    out->begins_ms = ticket_begins_ms(h);
    out->ends_ms = ticket_ends_ms(h);
}

void tls_tickets_facts(const struct tls_tickets *t, struct tls_tickets_facts *out)
{
    *out = (struct tls_tickets_facts){
        .count = t->ring.count,
        .now_ms = tickets_now(t),
        .rotation_ms = t->rotation_ms,
        .farm = t->farm,
        .contact_ms =
            t->farm && t->board.contact_ms >= 0 ? tickets_mono(t) - t->board.contact_ms : -1,
        .refused = t->board.refused,
        .kept = t->kept,
    };
    for (size_t i = 0; i < t->ring.count; i++)
        see_key(t, &t->ring.held[i], &out->keys[i]);
}

/* ---- life ---- */

static bool set_up(struct tls_tickets *t, const struct tls_tickets_options *o, struct weir_err *err)
{
    t->timer = event_new(t->loop.base, -1, 0, on_timer, t);
    if (t->timer == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "tickets: create", 0);
    if ((t->farm && !tickets_board_start(t, o->farm, err)) || !open_file(t, o, err))
        return false;
    tls_tickets_turn(t);
    return ticket_ring_issuer(&t->ring, t->rotation_ms, tickets_now(t)) != NULL ||
           weir_fail(err, WEIR_E_INTERNAL, "tickets: draw a key", 0);
}

struct tls_tickets *tls_tickets_new(const struct tls_tickets_options *o, struct weir_err *err)
{
    struct tls_tickets *t = weir_calloc(1, sizeof *t);

    if (t == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "tickets: create", 0);
        return NULL;
    }
    t->port = o->port;
    t->loop = *o->loop;
    t->farm = o->key != NULL;
    if (t->farm)
        t->key = *o->key;
    t->rotation_ms = o->rotation_ms;
    t->random = o->seed | 1;
    t->period = UINT64_MAX;
    if (set_up(t, o, err))
        return t;
    tls_tickets_free(t);
    return NULL;
}

void tls_tickets_free(struct tls_tickets *t)
{
    struct weir_err err = {0};

    if (t == NULL)
        return;
    if (t->farm)
        tickets_board_stop(t);
    keep(t);
    if (!weir_keeper_free(t->keeper, &err))
        weir_log_err(WEIR_LOG_ERROR, "tls: ticket keys are not kept over a restart", &err);
    if (t->timer != NULL)
        event_free(t->timer);
    explicit_bzero(t, sizeof *t);
    weir_free(t);
}
