#include <stdio.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "acme_own.h"

/* ---- what was read ---- */

/* Whether the board has what we have, or better, for a while to come. */
static bool *on_board(struct acme *a, struct weir_span id, const struct acme_held **ours)
{
    for (size_t i = 0; i < a->count; i++)
        if (weir_span_eq(id, weir_span_str(a->certs[i].id))) {
            *ours = &a->certs[i].held;
            return &a->certs[i].on_board;
        }
    *ours = &a->account;
    return weir_span_eq(id, weir_span_str(a->account_id)) ? &a->account_on_board : NULL;
}

static void refuse(struct acme *a)
{
    if (!a->board.refused_told)
        weir_log(WEIR_LOG_WARN, "acme: a certificate in shared state makes no sense or was not "
                                "written by a node of this farm: it is not used");
    a->board.refused_told = true;
}

/* true: it is news. */
static bool read_note(struct acme *a, const struct shared_note *n)
{
    const struct acme_held *ours;
    struct acme_held h;
    bool *there = on_board(a, n->id, &ours), news;

    if (there == NULL) /* of another configuration */
        return false;
    if (!acme_record_read(&a->key, n->id, n->bytes, &h)) {
        refuse(a);
        return false;
    }
    news = acme_adopt(a, &h);
    *there = (news || ours->key == NULL || ours->made_ms <= h.made_ms) &&
             (n->left_ms < 0 || n->left_ms > ACME_TTL_MS / 2);
    acme_held_clear(&h);
    return news;
}

static bool understand(struct acme *a)
{
    struct acme_board *b = &a->board;
    bool news = false;

    b->clock_ms = (int64_t)b->read.number + (acme_mono(a) - b->sent_ms) / 2 - acme_mono(a);
    b->clock_known = true;
    b->contact_ms = acme_mono(a);
    for (size_t i = 0; i < a->count; i++)
        a->certs[i].on_board = false;
    a->account_on_board = false;
    for (size_t i = 0; i < b->read.note_count; i++)
        if (read_note(a, &b->read.notes[i]))
            news = true;
    return news;
}

static void on_read(struct shared_call *c)
{
    struct acme *a = WEIR_CONTAINER(c, struct acme, board.read);
    struct acme_board *b = &a->board;
    bool ok = c->result == SHARED_OK, news = false;

    net_loop_enter(a->o.loop);
    b->reading = false;
    if (ok)
        news = understand(a);
    else
        b->due_ms = acme_mono(a) + ACME_AGAIN_MS;
    shared_call_clear(c);
    if (b->again)
        b->due_ms = acme_mono(a);
    acme_board_was_read(a, ok, news);
}

void acme_board_turn(struct acme *a)
{
    struct acme_board *b = &a->board;
    struct weir_err err = {0};

    if (b->reading || acme_mono(a) < b->due_ms)
        return;
    if (!b->listening) /* again and again until there is memory for it */
        b->listening = shared_listen(a->o.port, &b->listener, SHARED_STATE, b->place.channel, &err);
    b->reading = true;
    b->again = false;
    b->sent_ms = acme_mono(a);
    b->due_ms = b->sent_ms + ACME_LOOK_MS;
    b->read.done = on_read;
    b->read.area = SHARED_STATE;
    b->read.timeout_ms = ACME_TIMEOUT_MS;
    b->read.bulk = true;
    shared_board_read(a->o.port, &b->read, &b->place);
}

void acme_board_look(struct acme *a)
{
    if (a->board.reading)
        a->board.again = true;
    a->board.due_ms = acme_mono(a);
    acme_board_turn(a);
}

/* ---- what is put ---- */

struct posts {
    struct shared_post list[SHARED_BOARD_POSTS];
    size_t count;
};

static void add_post(struct acme *a, struct posts *p, const struct acme_held *h, bool there)
{
    struct weir_span bytes;

    if (h->key == NULL || there || p->count == SHARED_BOARD_POSTS)
        return;
    bytes = acme_record_write(&a->key, h);
    if (bytes.ptr != NULL)
        p->list[p->count++] =
            (struct shared_post){.id = weir_span_str(h->id), .bytes = bytes, .ttl_ms = ACME_TTL_MS};
}

/* Whether it is there now is what the next read tells. */
static void on_put(struct shared_call *c)
{
    struct acme *a = WEIR_CONTAINER(c, struct acme, board.put);

    net_loop_enter(a->o.loop);
    a->board.putting = false;
    if (c->result != SHARED_OK)
        weir_log(WEIR_LOG_WARN,
                 "acme: shared state does not take what was obtained (%s): again "
                 "within a minute",
                 shared_result_text(c->result));
    else
        acme_board_look(a);
    shared_call_clear(c);
}

void acme_board_put(struct acme *a)
{
    struct acme_board *b = &a->board;
    struct posts p = {.count = 0};

    if (b->putting)
        return;
    add_post(a, &p, &a->account, a->account_on_board);
    for (size_t i = 0; i < a->count; i++)
        add_post(a, &p, &a->certs[i].held, a->certs[i].on_board);
    if (p.count == 0)
        return;
    b->putting = true;
    b->put.done = on_put;
    b->put.area = SHARED_STATE;
    b->put.timeout_ms = ACME_TIMEOUT_MS;
    b->put.bulk = b->put.confirm = true;
    shared_board_put(a->o.port, &b->put, &b->place, p.list, p.count, WEIR_SPAN_LIT("a"));
    for (size_t i = 0; i < p.count; i++)
        weir_free((char *)(uintptr_t)p.list[i].bytes.ptr); /* wrapped: nothing to overwrite */
}

/* ---- hints ---- */

static void on_hint(struct shared_listener *l, struct weir_span hint)
{
    struct acme *a = WEIR_CONTAINER(l, struct acme, board.listener);

    (void)hint;
    net_loop_enter(a->o.loop);
    acme_board_look(a);
}

static void on_gap(struct shared_listener *l)
{
    on_hint(l, WEIR_SPAN_NONE);
}

/* ---- life ---- */

bool acme_board_start(struct acme *a, struct weir_err *err)
{
    struct acme_board *b = &a->board;

    if (snprintf(b->key, sizeof b->key, "w1:{A.%s}:b", a->farm) >= (int)sizeof b->key)
        return weir_fail(err, WEIR_E_INTERNAL, "acme: name of the farm", 0);
    snprintf(b->channel, sizeof b->channel, "w1:{A.%s}:ch", a->farm);
    b->place =
        (struct shared_board){.key = weir_span_str(b->key), .channel = weir_span_str(b->channel)};
    b->listener = (struct shared_listener){.on_hint = on_hint, .on_gap = on_gap};
    b->contact_ms = -1;
    b->due_ms = acme_mono(a);
    return true;
}

void acme_board_stop(struct acme *a)
{
    if (a->board.listening)
        shared_unlisten(a->o.port, &a->board.listener);
    shared_cancel(a->o.port, &a->board.read);
    shared_cancel(a->o.port, &a->board.put);
}
