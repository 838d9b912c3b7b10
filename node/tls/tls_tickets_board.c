#include "tls_tickets_own.h"

#include <stdio.h>
#include <string.h>

#include "weir/container.h"
#include "weir/log.h"

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A part of a period, so that short ones, which a test wants, are kept as well. */
static int64_t part_of_period(const struct tls_tickets *t, int64_t most)
{
    int64_t part = t->rotation_ms / 4;

    return at_most(part < 250 ? 250 : part, most);
}

static void look_at(struct tls_tickets *t, int64_t when_ms)
{
    struct tickets_board *b = &t->board;

    if (when_ms < b->sent_ms + TICKETS_SPACE_MS)
        when_ms = b->sent_ms + TICKETS_SPACE_MS;
    if (b->reading)
        b->again = true;
    else if (when_ms < b->due_ms)
        b->due_ms = when_ms;
    tickets_arm(t);
}

static void look(struct tls_tickets *t)
{
    look_at(t, tickets_mono(t));
}

/* ---- what was read ---- */

static void refuse(struct tls_tickets *t)
{
    struct tickets_board *b = &t->board;

    b->refused++;
    if (tickets_mono(t) < b->tell_refused_ms)
        return;
    weir_log(
        WEIR_LOG_WARN,
        "tls: a ticket key in shared state makes no sense or was not written by a node of this "
        "farm: it is not used (%llu so far)",
        (unsigned long long)b->refused);
    b->tell_refused_ms = tickets_mono(t) + TICKETS_TELL_MS;
}

/* Whatever stands there is there: nodes of another version, or with another secret during a change
 * of it, do not fight over an entry. */
static void see_entry(struct tls_tickets *t, struct weir_span id)
{
    uint64_t period = ticket_period(tickets_now(t), t->rotation_ms);
    struct ticket_held h = {.rotation_ms = t->rotation_ms, .period = period};
    char own[TICKET_ID_MAX];

    if (weir_span_eq(id, ticket_id(&h, own)))
        t->board.has_current = true;
    h.period++;
    if (weir_span_eq(id, ticket_id(&h, own)))
        t->board.has_next = true;
}

static void read_note(struct tls_tickets *t, const struct shared_note *n)
{
    struct ticket_held h;
    bool changed = false;

    see_entry(t, n->id);
    if (!ticket_open(&t->key, n->id, n->bytes, &h)) {
        refuse(t);
        return;
    }
    ticket_ring_put(&t->ring, &h, tickets_now(t), &changed);
    if (changed)
        tickets_changed(t);
    explicit_bzero(&h, sizeof h);
}

/* The answer was given half a round trip ago. */
static void learn_clock(struct tls_tickets *t, uint64_t shared_ms)
{
    struct tickets_board *b = &t->board;

    b->clock_ms = (int64_t)shared_ms + (tickets_mono(t) - b->sent_ms) / 2 - tickets_mono(t);
    b->clock_known = true;
    b->contact_ms = tickets_mono(t);
}

/* ---- what is missing ---- */

static void on_put(struct shared_call *c)
{
    struct tls_tickets *t = WEIR_CONTAINER(c, struct tls_tickets, board.put);

    t->loop.enter(t->loop.arg);
    t->board.putting = false;
    if (c->result == SHARED_OK) /* whose it is, is what is read */
        look(t);
    else
        look_at(t, tickets_mono(t) + part_of_period(t, TICKETS_AGAIN_MS));
    shared_call_clear(c);
}

/* What this node knows goes back there; what nobody knows is drawn. */
static bool propose(struct tls_tickets *t, uint64_t period, char id[TICKET_ID_MAX],
                    char wrapped[TICKET_WRAPPED_BYTES], struct shared_post *post)
{
    const struct ticket_held *known =
        ticket_ring_find(&t->ring, TICKET_STORED, t->rotation_ms, period);
    struct ticket_held h;
    bool ok = known != NULL || tickets_draw(&h, t->rotation_ms, period);

    if (known != NULL)
        h = *known;
    ok = ok && ticket_wrap(&t->key, &h, wrapped, NULL);
    *post = (struct shared_post){.id = ticket_id(&h, id),
                                 .bytes = weir_span(wrapped, TICKET_WRAPPED_BYTES),
                                 .ttl_ms = ticket_ends_ms(&h) - tickets_now(t),
                                 .if_absent = true};
    explicit_bzero(&h, sizeof h);
    return ok;
}

static void put_missing(struct tls_tickets *t)
{
    char ids[2][TICKET_ID_MAX], wrapped[2][TICKET_WRAPPED_BYTES];
    uint64_t period = ticket_period(tickets_now(t), t->rotation_ms);
    struct tickets_board *b = &t->board;
    struct shared_post posts[2];
    size_t n = 0;

    if (!b->has_current && propose(t, period, ids[n], wrapped[n], &posts[n]))
        n++;
    if (!b->has_next && propose(t, period + 1, ids[n], wrapped[n], &posts[n]))
        n++;
    if (n == 0)
        return;
    b->putting = true;
    b->put.done = on_put;
    b->put.area = SHARED_STATE;
    b->put.timeout_ms = TICKETS_TIMEOUT_MS;
    b->put.confirm = true;
    shared_board_put(t->port, &b->put, &t->place, posts, n, WEIR_SPAN_LIT("k"));
}

/* ---- a read ---- */

static void understand(struct tls_tickets *t)
{
    struct tickets_board *b = &t->board;

    learn_clock(t, b->read.number);
    b->has_current = b->has_next = false;
    for (size_t i = 0; i < b->read.note_count; i++)
        read_note(t, &b->read.notes[i]);
    if (!b->putting)
        put_missing(t);
}

static void on_read(struct shared_call *c)
{
    struct tls_tickets *t = WEIR_CONTAINER(c, struct tls_tickets, board.read);
    struct tickets_board *b = &t->board;
    bool again = b->again;

    t->loop.enter(t->loop.arg);
    b->reading = b->again = false;
    if (c->result == SHARED_OK)
        understand(t);
    else
        look_at(t, tickets_mono(t) + part_of_period(t, TICKETS_AGAIN_MS));
    shared_call_clear(c);
    if (again)
        look(t);
    tls_tickets_turn(t);
}

static void open_ears(struct tls_tickets *t)
{
    struct tickets_board *b = &t->board;
    struct weir_err err = {0};

    if (!b->listening) /* again and again until there is memory for it */
        b->listening = shared_listen(t->port, &b->listener, SHARED_STATE, t->place.channel, &err);
}

void tickets_board_turn(struct tls_tickets *t)
{
    struct tickets_board *b = &t->board;

    if (b->reading || tickets_mono(t) < b->due_ms)
        return;
    open_ears(t);
    b->reading = true;
    b->again = false;
    b->sent_ms = tickets_mono(t);
    b->due_ms = b->sent_ms + part_of_period(t, TICKETS_LOOK_MS);
    b->read.done = on_read;
    b->read.area = SHARED_STATE;
    b->read.timeout_ms = TICKETS_TIMEOUT_MS;
    shared_board_read(t->port, &b->read, &t->place);
}

int64_t tickets_board_due(const struct tls_tickets *t)
{
    return t->board.reading ? INT64_MAX : t->board.due_ms;
}

void tickets_board_period(struct tls_tickets *t)
{
    int64_t spread = at_most(t->rotation_ms / 16, TICKETS_SPREAD_MS);

    look_at(t, tickets_mono(t) + tickets_random(t, spread));
}

/* ---- hints ---- */

static void on_hint(struct shared_listener *l, struct weir_span hint)
{
    struct tls_tickets *t = WEIR_CONTAINER(l, struct tls_tickets, board.listener);

    (void)hint;
    t->loop.enter(t->loop.arg);
    look(t);
}

static void on_gap(struct shared_listener *l)
{
    on_hint(l, WEIR_SPAN_NONE);
}

/* ---- life ---- */

bool tickets_board_start(struct tls_tickets *t, const char *farm, struct weir_err *err)
{
    struct tickets_board *b = &t->board;

    if (snprintf(t->board_key, sizeof t->board_key, "w1:{T.%s}:k", farm) >=
        (int)sizeof t->board_key)
        return weir_fail(err, WEIR_E_INTERNAL, "tickets: name of the farm", 0);
    snprintf(t->channel, sizeof t->channel, "w1:{T.%s}:ch", farm);
    t->place = (struct shared_board){.key = weir_span_str(t->board_key),
                                     .channel = weir_span_str(t->channel)};
    b->listener = (struct shared_listener){.on_hint = on_hint, .on_gap = on_gap};
    b->contact_ms = -1;
    b->due_ms = tickets_mono(t);
    b->sent_ms = b->due_ms - TICKETS_SPACE_MS;
    return true;
}

void tickets_board_stop(struct tls_tickets *t)
{
    if (t->board.listening)
        shared_unlisten(t->port, &t->board.listener);
    shared_cancel(t->port, &t->board.read);
    shared_cancel(t->port, &t->board.put);
}
