/*
 * test_purge_farm.h - a few nodes, each with a table and a feed, and one log between them that does
 * what it is told: answers, is gone, answers too late, loses its end, vanishes.
 *
 * This is the door itself (weir/shared.h), as far as feeds use it, on one thread and without time:
 * farm_run() lets everything happen that can.
 */
#ifndef TEST_PURGE_FARM_H
#define TEST_PURGE_FARM_H

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <event2/event.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "weir/shared.h"
#include "purge_feed_parts.h"
#include "purge_mark.h"
#include "purge_wire.h"

#define FARM_NODES   3
#define FARM_ENTRIES 4096
#define FARM_MARKS   64

enum farm_op_kind { OP_OPEN, OP_READ, OP_APPEND, OP_GET, OP_PUT };

struct farm_op {
    struct shared_call *c; /* NULL: cancelled */
    struct shared_port *port;
    enum farm_op_kind kind;
    struct farm_op *next;
    uint64_t after, above;
    size_t max, len;
    char bytes[]; /* of the entry, or the key */
};

struct farm_entry {
    uint64_t id;
    size_t len;
    char *bytes;
};

/* One node's way to the log. */
struct shared_port {
    struct farm *farm;
    bool gone;   /* nothing arrives */
    bool late;   /* what is asked arrives, the answer does not */
    bool unsure; /* appended, but in one place only */
    bool marks_gone;
    struct shared_listener *listener;
    bool hint; /* to be heard */
};

struct farm_node {
    struct purge_table *table;
    struct shared_port port;
    struct weir_mailbox box, home;
    struct weir_clock clock;
    struct shared_loop loop;
    struct purge_feed *feed;           /* NULL: it is down */
    struct purge_submission *answered; /* the last one; freed with the next */
    unsigned answers;
};

struct farm {
    struct event_base *base;
    struct weir_hash_secret secret;
    struct farm_node node[FARM_NODES];
    struct farm_op *first, **last;
    bool there; /* the log */
    struct farm_entry entry[FARM_ENTRIES];
    size_t count;
    uint64_t dropped, newest; /* as log_first and log_last */
    int64_t now_ms;           /* of the log's clock */
    char mark[FARM_MARKS][64];
    size_t marks, asked_marks;
};

/* ---- the log ---- */

static inline uint64_t farm_put(struct farm *w, const char *bytes, size_t len, uint64_t above)
{
    uint64_t id = (uint64_t)w->now_ms << 20;

    if (id <= w->newest)
        id = w->newest + 1;
    if (id <= above)
        id = above + 1;
    assert_true(w->count < FARM_ENTRIES);
    w->entry[w->count].id = w->newest = id;
    w->entry[w->count].len = len;
    w->entry[w->count].bytes = malloc(len + 1);
    memcpy(w->entry[w->count++].bytes, bytes, len);
    return id;
}

static inline void farm_open(struct farm *w)
{
    if (w->there)
        return;
    w->there = true;
    farm_put(w, "", 0, 0);
}

/* Drops what is newer than `id`, as after a failover. */
static inline void farm_lose(struct farm *w, uint64_t id)
{
    while (w->count > 0 && w->entry[w->count - 1].id > id)
        free(w->entry[--w->count].bytes);
    w->newest = w->count > 0 ? w->entry[w->count - 1].id : 0;
}

/* Drops the oldest until `keep` are left. */
static inline void farm_trim(struct farm *w, size_t keep)
{
    size_t drop = w->count > keep ? w->count - keep : 0;

    for (size_t i = 0; i < drop; i++)
        free(w->entry[i].bytes);
    memmove(w->entry, w->entry + drop, (w->count - drop) * sizeof w->entry[0]);
    w->count -= drop;
    if (drop > 0)
        w->dropped = w->entry[0].id;
}

static inline void farm_flush(struct farm *w)
{
    farm_lose(w, 0);
    w->there = false;
    w->dropped = 0;
}

/* ---- the door ---- */

static inline void farm_ask(struct shared_port *p, struct shared_call *c, enum farm_op_kind kind,
                            struct weir_span bytes, uint64_t after, size_t max, uint64_t above)
{
    struct farm_op *op = malloc(sizeof *op + bytes.len + 1);

    *op = (struct farm_op){.c = c,
                           .port = p,
                           .kind = kind,
                           .after = after,
                           .max = max,
                           .above = above,
                           .len = bytes.len};
    if (bytes.len > 0)
        memcpy(op->bytes, bytes.ptr, bytes.len);
    op->bytes[bytes.len] = '\0';
    c->pending = op;
    *p->farm->last = op;
    p->farm->last = &op->next;
}

void shared_call_clear(struct shared_call *c)
{
    free(c->owned);
    c->owned = NULL;
    c->entries = NULL;
    c->entry_count = 0;
}

void shared_cancel(struct shared_port *p, struct shared_call *c)
{
    (void)p;
    if (c->pending != NULL)
        ((struct farm_op *)c->pending)->c = NULL;
    c->pending = NULL;
    shared_call_clear(c);
}

bool shared_ready(const struct shared_port *p, enum shared_area area)
{
    return area == SHARED_CACHE ? !p->marks_gone : !p->gone;
}

void shared_log_open(struct shared_port *p, struct shared_call *c, const struct shared_log *log)
{
    farm_ask(p, c, OP_OPEN, log->key, 0, 0, 0);
}

void shared_log_read(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                     uint64_t after, size_t max)
{
    farm_ask(p, c, OP_READ, log->key, after, max, 0);
}

void shared_log_append(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                       struct weir_span bytes)
{
    farm_ask(p, c, OP_APPEND, bytes, 0, 0, log->above);
}

void shared_get(struct shared_port *p, struct shared_call *c, struct weir_span key)
{
    farm_ask(p, c, OP_GET, key, 0, 0, 0);
}

void shared_put(struct shared_port *p, struct shared_call *c, struct weir_span key,
                const struct weir_slice *slices, size_t count, int64_t ttl_ms)
{
    (void)slices;
    assert_int_equal(count, 0);
    assert_true(ttl_ms > 0);
    farm_ask(p, c, OP_PUT, key, 0, 0, 0);
}

bool shared_listen(struct shared_port *p, struct shared_listener *l, enum shared_area area,
                   struct weir_span channel, struct weir_err *err)
{
    (void)err;
    assert_int_equal(area, SHARED_STATE);
    assert_true(channel.len > 0);
    p->listener = l;
    return true;
}

void shared_unlisten(struct shared_port *p, struct shared_listener *l)
{
    (void)l;
    p->listener = NULL;
}

/* Nodes that were not introduced say nothing. */
void shared_hint(struct shared_port *p, struct shared_call *c, struct weir_span channel,
                 struct weir_span bytes)
{
    (void)p;
    (void)c;
    (void)channel;
    (void)bytes;
    fail();
}

/* ---- what the log does ---- */

static inline void farm_read(struct farm *w, struct shared_call *c, const struct farm_op *op)
{
    struct shared_entry *e = malloc(sizeof *e * (op->max + 1));
    size_t n = 0;

    if (!w->there) {
        free(e);
        c->result = SHARED_NONE;
        return;
    }
    for (size_t i = 0; i < w->count && n < op->max; i++)
        if (w->entry[i].id > op->after)
            e[n++] = (struct shared_entry){w->entry[i].id,
                                           weir_span(w->entry[i].bytes, w->entry[i].len)};
    c->owned = e;
    c->entries = e;
    c->entry_count = n;
    c->log_first = w->dropped;
    c->log_last = w->newest;
}

static inline bool farm_marked(const struct farm *w, const char *key)
{
    for (size_t i = 0; i < w->marks; i++)
        if (strcmp(w->mark[i], key) == 0)
            return true;
    return false;
}

static inline void farm_do(struct farm *w, struct shared_call *c, struct farm_op *op)
{
    c->result = SHARED_OK;
    c->unconfirmed = false;
    switch (op->kind) {
    case OP_OPEN:
        farm_open(w);
        c->number = w->newest;
        break;
    case OP_READ:
        farm_read(w, c, op);
        break;
    case OP_APPEND:
        farm_open(w);
        c->number = farm_put(w, op->bytes, op->len, op->above);
        c->unconfirmed = op->port->unsure;
        for (int i = 0; i < FARM_NODES; i++)
            w->node[i].port.hint = true;
        break;
    case OP_GET:
        w->asked_marks++;
        c->result = farm_marked(w, op->bytes) ? SHARED_OK : SHARED_NONE;
        break;
    case OP_PUT:
        snprintf(w->mark[w->marks++], sizeof w->mark[0], "%s", op->bytes);
        break;
    }
}

static inline bool farm_reaches(const struct farm_op *op)
{
    if (op->kind == OP_GET || op->kind == OP_PUT)
        return !op->port->marks_gone;
    return !op->port->gone;
}

/* One thing that was asked; false: nothing is. */
static inline bool farm_step(struct farm *w)
{
    struct farm_op *op = w->first;
    struct shared_call *c;

    if (op == NULL)
        return false;
    w->first = op->next;
    if (w->first == NULL)
        w->last = &w->first;
    c = op->c;
    if (c != NULL) {
        c->pending = NULL;
        shared_call_clear(c);
        if (farm_reaches(op))
            farm_do(w, c, op);
        else
            c->result = SHARED_GONE;
        if (op->port->late && op->kind != OP_GET && op->kind != OP_PUT) {
            shared_call_clear(c);
            c->result = SHARED_LATE;
        }
        c->done(c);
    }
    free(op);
    return true;
}

static inline bool farm_mail(struct farm_node *n)
{
    bool any = atomic_load(&n->box.head) != NULL || atomic_load(&n->home.head) != NULL;

    weir_mailbox_drain(&n->box);
    weir_mailbox_drain(&n->home);
    return any;
}

static inline bool farm_hint(struct farm_node *n)
{
    if (!n->port.hint)
        return false;
    n->port.hint = false;
    if (n->port.listener == NULL || n->port.gone)
        return false;
    n->port.listener->on_hint(n->port.listener, WEIR_SPAN_LIT("1"));
    return true;
}

/* Until nothing happens any more. */
static inline void farm_run(struct farm *w)
{
    bool any = true;

    while (any) {
        any = farm_step(w);
        for (int i = 0; i < FARM_NODES; i++)
            if (w->node[i].feed != NULL) {
                any = farm_mail(&w->node[i]) || any;
                any = farm_hint(&w->node[i]) || any;
            }
    }
}

/* Each node in its turn does what its timer is for. */
static inline void farm_timers(struct farm *w, bool poll)
{
    for (int i = 0; i < FARM_NODES; i++) {
        struct purge_feed *f = w->node[i].feed;

        if (f == NULL)
            continue;
        event_active(poll ? f->poll : f->soon, EV_TIMEOUT, 1);
        event_base_loop(w->base, EVLOOP_NONBLOCK);
        farm_run(w);
    }
}

static inline void farm_pass(struct farm *w, int64_t ms)
{
    w->now_ms += ms;
    for (int i = 0; i < FARM_NODES; i++) {
        w->node[i].clock.mono_ms += ms;
        w->node[i].clock.wall_ms += ms;
        w->node[i].clock.wall_s = w->node[i].clock.wall_ms / 1000;
    }
}

/* A second later: every feed has looked, and tried again what it could not do. */
static inline void farm_second(struct farm *w)
{
    for (int i = 0; i < 50; i++) {
        farm_pass(w, 20);
        farm_timers(w, i == 0);
    }
}

/* ---- nodes ---- */

static inline void farm_enter(void *arg)
{
    (void)arg;
}

static inline void node_start(struct farm *w, int i)
{
    struct farm_node *n = &w->node[i];
    struct purge_feed_options o = {
        .port = &n->port,
        .box = &n->box,
        .loop = &n->loop,
        .name = "test",
        .seed = (uint64_t)i + 1,
    };

    n->table = purge_new(&w->secret, 0, NULL);
    assert_non_null(n->table);
    n->clock.wall_ms = w->now_ms;
    n->clock.wall_s = w->now_ms / 1000;
    n->clock.mono_ms = 1;
    n->loop = (struct shared_loop){.base = w->base, .enter = farm_enter, .clock = &n->clock};
    n->port = (struct shared_port){.farm = w};
    assert_true(weir_mailbox_init(&n->box, NULL) && weir_mailbox_init(&n->home, NULL));
    o.table = n->table;
    n->feed = purge_feed_new(&o, NULL);
    assert_non_null(n->feed);
}

static inline void node_end(struct farm_node *n)
{
    if (n->feed == NULL)
        return;
    weir_mailbox_drain(&n->box);
    purge_feed_free(n->feed);
    weir_mailbox_drain(&n->home);
    n->feed = NULL;
    purge_submission_free(n->answered);
    n->answered = NULL;
    n->answers = 0;
    weir_mailbox_close(&n->box);
    weir_mailbox_close(&n->home);
    purge_free(n->table);
}

static inline struct farm *farm_new_nodes(int nodes)
{
    struct farm *w = calloc(1, sizeof *w);

    weir_log_set_level(WEIR_LOG_ERROR);
    w->base = event_base_new();
    w->last = &w->first;
    w->now_ms = 1700000000000;
    for (size_t i = 0; i < sizeof w->secret.bytes; i++)
        w->secret.bytes[i] = (unsigned char)(i * 151 + 17);
    for (int i = 0; i < nodes; i++)
        node_start(w, i);
    return w;
}

static inline void farm_end(struct farm *w)
{
    for (int i = 0; i < FARM_NODES; i++)
        node_end(&w->node[i]);
    while (farm_step(w))
        continue;
    farm_flush(w);
    event_base_free(w->base);
    free(w);
}

/* ---- purging, storing ---- */

static inline void on_farm_answer(struct purge_submission *s)
{
    struct farm_node *n = s->arg;

    purge_submission_free(n->answered);
    n->answered = s;
    n->answers++;
}

static inline struct purge_record url_record(struct farm_node *n, const char *path,
                                             enum purge_mode mode)
{
    struct purge_target t = {.scope = PURGE_URL,
                             .mode = mode,
                             .authority = WEIR_SPAN_LIT("a.example"),
                             .path = weir_span_str(path)};
    struct purge_record r;

    assert_true(purge_record_make(n->table, &t, n->clock.wall_s, &r));
    return r;
}

static inline void submit(struct farm_node *n, const struct purge_record *r, size_t count,
                          int token, bool ask)
{
    struct purge_submission *s = purge_submission_new();

    assert_non_null(s);
    for (size_t i = 0; i < count; i++)
        assert_true(purge_submission_add(s, &r[i]));
    s->home = &n->home;
    s->done = on_farm_answer;
    s->arg = n;
    s->token = token;
    s->ask = ask;
    purge_feed_submit(n->feed, s);
}

static inline void purge_path(struct farm_node *n, const char *path)
{
    struct purge_record r = url_record(n, path, PURGE_HARD);

    submit(n, &r, 1, -1, false);
}

/* What a fetch of n that begins now brings. */
static inline struct purge_subject fetched(struct farm_node *n, const char *path)
{
    return (struct purge_subject){
        .logged = purge_logged(n->table),
        .stamp = purge_stamp(n->table),
        .url = purge_url_hash(n->table, WEIR_SPAN_LIT("a.example"), weir_span_str(path),
                              WEIR_SPAN_NONE),
        .host = purge_host_hash(n->table, WEIR_SPAN_LIT("a.example")),
        .path = weir_span_str(path),
    };
}

static inline bool usable(struct farm_node *n, struct purge_subject *s)
{
    int64_t since;

    return purge_check(n->table, s, &since) == PURGE_VALID;
}

/* The same of what another node has put into the shared store. */
static inline bool usable_shared(struct farm_node *n, const struct purge_subject *s)
{
    struct purge_subject here = {.logged = s->logged,
                                 .url = s->url,
                                 .host = s->host,
                                 .path = s->path};

    return s->logged != 0 && purge_admit(n->table, s->logged, n->clock.mono_ms, &here.stamp) &&
           usable(n, &here);
}

#endif
