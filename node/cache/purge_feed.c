#include "purge_feed_parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "purge_mark.h"
#include "purge_wire.h"

#define ASK_TIMEOUT_MS 100  /* for a mark */
#define ASKING_MAX     256  /* questions about marks at once */
#define FLUSH_MAX      1024 /* records of the journal in one entry */
#define POLL_MS        1000
#define SOON_MS        200 /* what failed is tried again */
#define QUIET_MS       500 /* at most: until lost records are appended again */

static void flush(struct purge_feed *f);

/* ---- submissions ---- */

struct purge_submission *purge_submission_new(void)
{
    struct purge_submission *s = weir_calloc(1, sizeof *s);

    if (s != NULL)
        s->token = -1;
    return s;
}

bool purge_submission_add(struct purge_submission *s, const struct purge_record *r)
{
    size_t cap = s->cap != 0 ? s->cap * 4 : 4;
    struct purge_record *records;

    if (s->count == PURGE_BATCH_MAX)
        return false;
    if (s->count == s->cap) {
        records = weir_realloc(s->records, cap * sizeof *records);
        if (records == NULL)
            return false;
        s->records = records;
        s->cap = cap;
    }
    s->records[s->count++] = *r;
    return true;
}

void purge_submission_free(struct purge_submission *s)
{
    if (s == NULL)
        return;
    weir_free(s->records);
    weir_free(s);
}

static void link_submission(struct purge_feed *f, struct purge_submission *s)
{
    s->next = f->under_way;
    s->at = &f->under_way;
    if (s->next != NULL)
        s->next->at = &s->next;
    f->under_way = s;
}

static void unlink_submission(struct purge_submission *s)
{
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    s->at = NULL;
}

static void on_answer(struct weir_mail *mail)
{
    struct purge_submission *s = WEIR_CONTAINER(mail, struct purge_submission, mail);

    s->done(s);
}

/* The feed is done with it. */
static void answer(struct purge_submission *s, enum purge_outcome outcome)
{
    unlink_submission(s);
    shared_call_clear(&s->call);
    s->outcome = outcome;
    if (s->home == NULL) {
        purge_submission_free(s);
        return;
    }
    s->mail.run = on_answer;
    weir_mailbox_post(s->home, &s->mail);
}

/* ---- the journal ---- */

static void schedule(struct purge_feed *f, int64_t ms)
{
    struct timeval in = {ms / 1000, ms % 1000 * 1000};

    if (!event_pending(f->soon, EV_TIMEOUT, NULL))
        event_add(f->soon, &in);
}

static void absorb(struct purge_pending *all, const struct purge_pending *p)
{
    for (int i = 0; i < PURGE_TOKENS; i++)
        all->ahead[i] += p->ahead[i];
}

/* Beyond what can be remembered, everything is purged. */
static void owe_all(struct purge_feed *f)
{
    struct purge_pending p;

    if (!f->owes_all)
        weir_log(WEIR_LOG_ERROR, "purge log: too many purges wait for it: the farm will be told "
                                 "to purge everything");
    f->owes_all = true;
    while (purge_journal_take(&f->sure, &p))
        absorb(&f->all, &p);
    while (purge_journal_take(&f->unasked, &p))
        absorb(&f->all, &p);
}

static void keep(struct purge_feed *f, struct purge_journal *j, const struct purge_pending *p)
{
    if (!f->owes_all && purge_journal_add(j, p))
        return;
    owe_all(f);
    absorb(&f->all, p);
}

static void land(struct purge_feed *f, const size_t ahead[PURGE_TOKENS])
{
    for (unsigned i = 0; i < PURGE_TOKENS; i++)
        if (ahead[i] > 0)
            purge_landed(f->table, i, ahead[i]);
}

/* Of what is applied ahead, the part of one of `left` records: at least one, while there is. */
static void share(struct purge_submission *s, size_t left, struct purge_pending *p)
{
    size_t total = s->ahead[0] + s->ahead[1], part = total >= left ? total - (left - 1) : total > 0;

    for (int t = 0; t < PURGE_TOKENS; t++) {
        size_t n = s->ahead[t] < part ? s->ahead[t] : part;

        p->ahead[t] = (uint32_t)n;
        s->ahead[t] -= n;
        part -= n;
    }
}

static void keep_records(struct purge_feed *f, struct purge_submission *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct purge_pending p = {.record = s->records[i], .again = s->again};

        share(s, s->count - i, &p);
        keep(f, s->ask ? &f->unasked : &f->sure, &p);
    }
}

/* It could not be brought into the log, or nobody knows whether it is there: in force here at once,
 * in the log later. */
static void put_off(struct purge_feed *f, struct purge_submission *s)
{
    if (s->token < 0 && !s->from_journal) {
        s->token = (int)purge_ahead(f->table, s->records, s->count);
        s->ahead[s->token] = s->count;
    }
    keep_records(f, s);
    if (s->flush)
        f->flushing = false;
    s->sequence = 0;
    schedule(f, SOON_MS);
    answer(s, PURGE_PENDING);
}

/* ---- appending ---- */

static void on_append(struct shared_call *c)
{
    struct purge_submission *s = WEIR_CONTAINER(c, struct purge_submission, call);
    struct purge_feed *f = s->feed;

    f->loop.enter(f->loop.arg);
    if (c->result != SHARED_OK) {
        put_off(f, s);
        return;
    }
    s->sequence = c->number;
    s->least_read = f->reader.reads + 1;
    purge_reader_heard(&f->reader, c->number);
    purge_reader_look(f);
}

static void append(struct purge_feed *f, struct purge_submission *s)
{
    size_t bytes = PURGE_WIRE_BYTES(s->count);
    char *entry = weir_malloc(bytes);

    if (entry == NULL) {
        put_off(f, s);
        return;
    }
    purge_wire_write(entry, s->records, s->count);
    s->call.done = on_append;
    s->call.area = SHARED_STATE;
    s->call.timeout_ms = FEED_TIMEOUT_MS;
    s->call.confirm = true;
    f->log.above = f->reader.newest;
    shared_log_append(f->port, &s->call, &f->log, weir_span(entry, bytes));
    weir_free(entry);
}

/* ---- is it shared at all? ---- */

static void ask_next(struct purge_feed *f, struct purge_submission *s);

static void on_marked(enum purge_marked marked, void *arg)
{
    struct purge_submission *s = arg;
    struct purge_feed *f = s->feed;

    f->loop.enter(f->loop.arg);
    f->asking--;
    s->question = NULL;
    if (marked == PURGE_MARK_UNKNOWN) {
        put_off(f, s);
    } else if (marked == PURGE_MARKED) {
        s->ask = false;
        append(f, s);
    } else if (++s->asked < s->count) {
        ask_next(f, s);
    } else {
        land(f, s->ahead);
        answer(s, PURGE_APPLIED);
    }
}

static void ask_next(struct purge_feed *f, struct purge_submission *s)
{
    if (f->asking < ASKING_MAX && shared_ready(f->port, SHARED_CACHE))
        s->question =
            purge_question_new(f->port, &s->records[s->asked], ASK_TIMEOUT_MS, on_marked, s);
    if (s->question != NULL)
        f->asking++;
    else
        put_off(f, s);
}

static void begin(struct purge_feed *f, struct purge_submission *s)
{
    link_submission(f, s);
    if (s->ask)
        ask_next(f, s);
    else
        append(f, s);
}

/* ---- from the journal ---- */

static struct purge_submission *make_from_journal(struct purge_feed *f)
{
    struct purge_submission *s = purge_submission_new();

    if (s == NULL)
        return NULL;
    s->feed = f;
    s->from_journal = true;
    return s;
}

/* What it stands for goes with it. false without memory. */
static bool move(struct purge_submission *s, const struct purge_pending *p)
{
    if (!purge_submission_add(s, &p->record))
        return false;
    for (int i = 0; i < PURGE_TOKENS; i++)
        s->ahead[i] += p->ahead[i];
    s->again = s->again && p->again;
    return true;
}

static void fill_from_journal(struct purge_feed *f, struct purge_submission *s)
{
    struct purge_pending p;

    if (f->owes_all) {
        if (move(s, &f->all)) {
            f->owes_all = false;
            memset(f->all.ahead, 0, sizeof f->all.ahead);
        }
        return;
    }
    s->again = true;
    while (s->count < FLUSH_MAX && purge_journal_take(&f->sure, &p))
        if (!move(s, &p)) {
            keep(f, &f->sure, &p);
            break;
        }
}

static void flush_sure(struct purge_feed *f)
{
    struct purge_submission *s;

    if (f->flushing || (!f->owes_all && f->sure.count == 0) || feed_now_ms(f) < f->quiet_until_ms ||
        !shared_ready(f->port, SHARED_STATE))
        return;
    s = make_from_journal(f);
    if (s == NULL)
        return;
    fill_from_journal(f, s);
    if (s->count == 0) {
        purge_submission_free(s);
        return;
    }
    s->flush = f->flushing = true;
    begin(f, s);
}

/* Each on its own: most of them lead to no record. */
static void flush_unasked(struct purge_feed *f)
{
    struct purge_submission *s;
    struct purge_pending p;
    size_t before = f->unasked.count + 1;

    /* As long as there get fewer: without memory one is put off at once. */
    while (f->asking < ASKING_MAX && f->unasked.count > 0 && f->unasked.count < before &&
           shared_ready(f->port, SHARED_CACHE)) {
        before = f->unasked.count;
        s = make_from_journal(f);
        if (s == NULL)
            return;
        s->ask = true;
        purge_journal_take(&f->unasked, &p);
        if (!move(s, &p)) {
            purge_submission_free(s);
            keep(f, &f->unasked, &p);
            return;
        }
        begin(f, s);
    }
}

static void flush(struct purge_feed *f)
{
    flush_sure(f);
    flush_unasked(f);
}

/* ---- what the reader says ---- */

void purge_feed_retry(struct purge_feed *f)
{
    schedule(f, SOON_MS);
}

static void settle(struct purge_feed *f, struct purge_submission *s)
{
    land(f, s->ahead);
    if (s->flush)
        f->flushing = false;
    answer(s, s->call.unconfirmed ? PURGE_UNCONFIRMED : PURGE_APPLIED);
}

void purge_feed_reached(struct purge_feed *f, uint64_t read)
{
    struct purge_submission *s, *next;

    for (s = f->under_way; s != NULL; s = next) {
        next = s->next;
        if (s->sequence == 0)
            continue;
        if (s->sequence <= f->reader.position)
            settle(f, s);
        else if (s->least_read <= read) /* gone again */
            put_off(f, s);
    }
    flush(f);
}

void purge_feed_doubt(struct purge_feed *f)
{
    struct purge_submission *s, *next;

    for (s = f->under_way; s != NULL; s = next) {
        next = s->next;
        if (s->sequence != 0)
            put_off(f, s);
    }
}

static int64_t draw(struct purge_feed *f, int64_t below)
{
    f->random ^= f->random << 13; /* xorshift64 */
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (int64_t)(f->random % (uint64_t)below);
}

void purge_feed_restore(struct purge_feed *f, const struct purge_record *r)
{
    struct purge_pending p = {.record = *r, .again = true};

    if (feed_now_ms(f) >= f->quiet_until_ms) {
        f->quiet_until_ms = feed_now_ms(f) + draw(f, QUIET_MS);
        schedule(f, f->quiet_until_ms - feed_now_ms(f) + 1);
    }
    keep(f, &f->sure, &p);
}

void purge_feed_found(struct purge_feed *f, const struct purge_record *r)
{
    struct purge_pending p;

    if (purge_journal_seen(&f->sure, r, &p))
        for (unsigned i = 0; i < PURGE_TOKENS; i++)
            if (p.ahead[i] > 0)
                purge_landed(f->table, i, p.ahead[i]);
}

/* ---- from any thread ---- */

static void on_submit(struct weir_mail *mail)
{
    struct purge_submission *s = WEIR_CONTAINER(mail, struct purge_submission, mail);

    if (s->token >= 0)
        s->ahead[s->token] = s->count;
    begin(s->feed, s);
}

void purge_feed_submit(struct purge_feed *f, struct purge_submission *s)
{
    assert(s->count > 0);
    s->feed = f;
    s->mail.run = on_submit;
    weir_mailbox_post(f->box, &s->mail);
}

static void on_lost(struct weir_mail *mail)
{
    struct purge_feed *f = WEIR_CONTAINER(mail, struct purge_feed, lost_mail);
    unsigned token;

    atomic_store(&f->lost_some, false);
    token = purge_ahead(f->table, &f->all.record, 1);
    f->all.ahead[token]++;
    owe_all(f);
    schedule(f, SOON_MS);
}

void purge_feed_submit_all(struct purge_feed *f)
{
    if (!atomic_exchange(&f->lost_some, true))
        weir_mailbox_post(f->box, &f->lost_mail);
}

/* ---- life ---- */

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    struct purge_feed *f = arg;

    (void)fd;
    (void)what;
    f->loop.enter(f->loop.arg);
    purge_reader_look(f);
    flush(f);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    struct purge_feed *f = arg;

    (void)fd;
    (void)what;
    f->loop.enter(f->loop.arg);
    if (!f->reachable)
        purge_reader_look(f);
    flush(f);
}

static bool set_up(struct purge_feed *f, const struct purge_feed_options *o, struct weir_err *err)
{
    static const struct timeval second = {POLL_MS / 1000, 0};
    struct purge_target all = {.scope = PURGE_ALL, .mode = PURGE_HARD};

    if (snprintf(f->key, sizeof f->key, "w1:{P%s}:log", o->name) >= (int)sizeof f->key ||
        !purge_ack_start(f, o->name))
        return weir_fail(err, WEIR_E_INTERNAL, "purge log: name", 0);
    snprintf(f->channel, sizeof f->channel, "w1:{P%s}:ch", o->name);
    f->log = (struct shared_log){.key = weir_span_str(f->key),
                                 .channel = weir_span_str(f->channel),
                                 .max = FEED_LOG_MAX};
    purge_record_make(f->table, &all, f->loop.clock->wall_s, &f->all.record);
    f->poll = event_new(f->loop.base, -1, EV_PERSIST, on_poll, f);
    f->soon = event_new(f->loop.base, -1, 0, on_soon, f);
    if (f->poll == NULL || f->soon == NULL || event_add(f->poll, &second) != 0)
        return weir_fail(err, WEIR_E_MEMORY, "purge log: create", 0);
    return true;
}

struct purge_feed *purge_feed_new(const struct purge_feed_options *o, struct weir_err *err)
{
    struct purge_feed *f = weir_calloc(1, sizeof *f);

    if (f == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "purge log: create", 0);
        return NULL;
    }
    f->table = o->table;
    f->port = o->port;
    f->box = o->box;
    f->loop = *o->loop;
    f->random = o->seed | 1;
    f->reachable = f->told = true;
    f->lost_mail.run = on_lost;
    purge_journal_init(&f->sure, PURGE_JOURNAL_MAX);
    purge_journal_init(&f->unasked, PURGE_JOURNAL_MAX);
    if (!set_up(f, o, err)) {
        purge_feed_free(f);
        return NULL;
    }
    purge_log_start(f->table, f->loop.clock->wall_ms);
    purge_reader_start(f);
    return f;
}

static void drop(struct purge_feed *f, struct purge_submission *s)
{
    unlink_submission(s);
    purge_question_free(s->question);
    shared_cancel(f->port, &s->call);
    purge_submission_free(s);
}

void purge_feed_free(struct purge_feed *f)
{
    if (f == NULL)
        return;
    if (f->sure.count + f->unasked.count > 0 || f->owes_all)
        weir_log(WEIR_LOG_WARN,
                 "purge log: %zu purges were still to be appended: the other nodes "
                 "will not hear of them",
                 f->sure.count + f->unasked.count);
    for (struct purge_submission *s = f->under_way, *next; s != NULL; s = next) {
        next = s->next;
        drop(f, s);
    }
    purge_reader_stop(f);
    purge_ack_stop(f);
    if (f->poll != NULL)
        event_free(f->poll);
    if (f->soon != NULL)
        event_free(f->soon);
    purge_journal_free(&f->sure);
    purge_journal_free(&f->unasked);
    weir_free(f);
}

bool purge_feed_settled(const struct purge_feed *f)
{
    return f->known || !f->reachable;
}

/* ---- seeing ---- */

void purge_feed_stats(const struct purge_feed *f, struct purge_feed_stats *out)
{
    *out = (struct purge_feed_stats){
        .known = f->known,
        .reachable = f->reachable,
        .applied = purge_logged(f->table),
        .newest = f->reader.newest,
        .pending = f->sure.count + f->unasked.count + (f->owes_all ? 1 : 0),
        .contact_ms = f->known ? feed_now_ms(f) - f->contact_ms : -1,
        .missed = f->missed,
        .losses = f->losses,
    };
}
