#include "words_own.h"

#include "weir/container.h"
#include "weir/log.h"

#define CLOCK_MAX UINT64_C(7258118400000) /* the year 2200: a clock beyond that is none */

/* ---- what stands on the board ---- */

/* The end of what was read from the file is known now. */
static void reckon_guessed(struct words *w)
{
    for (size_t i = w->table.count; i-- > 0;) {
        struct word_known *k = w->table.known[i];

        if (!k->guessed)
            continue;
        k->guessed = false;
        if (!words_reckon(w, &k->said))
            word_table_drop(&w->table, i);
    }
}

static void take(struct words *w, struct word_said *s, struct weir_span sealed)
{
    struct word_known *k;

    switch (word_table_take(&w->table, s, sealed, &k)) {
    case WORD_NEWS:
        w->dirty = true;
        k->on_board = true;
        break;
    case WORD_KNOWN:
        w->dirty = w->dirty || k->pending;
        k->on_board = true;
        k->pending = false;
        break;
    case WORD_OLDER:
        k->older_there = true;
        break;
    case WORD_TOO_MANY:
        if (!w->reader.full_told)
            weir_log(WEIR_LOG_ERROR, "words: there are more than %d: the others are ignored",
                     WORDS_MAX);
        w->reader.full_told = true;
        break;
    case WORD_NO_MEMORY: /* the next read tries again */
        break;
    }
}

static void read_note(struct words *w, const struct shared_note *n)
{
    char id[SHARED_BOARD_ID_MAX + 1];
    struct weir_span bytes;
    struct word_said s;

    if (!weir_seal_open(&w->key, "word", n->id, n->bytes, &bytes)) {
        w->reader.forged++;
        return;
    }
    if (!word_read(bytes, &s) || !weir_span_eq(word_entry(&s, id), n->id)) {
        w->reader.foreign++;
        return;
    }
    if (words_reckon(w, &s))
        take(w, &s, n->bytes);
}

/* ---- what it lacks ---- */

static uint64_t draw(struct words *w, uint64_t below)
{
    w->random ^= w->random << 13; /* xorshift64 */
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

static bool lacks(const struct word_known *k)
{
    return !k->on_board && k->put == 0;
}

/* Puts at most one call's worth; false: that was not all, but no memory. */
static bool put_some(struct words *w, bool all)
{
    struct words_put *p = words_put_new(w, false);
    size_t n = 0;

    if (p == NULL)
        return false;
    for (size_t i = 0; i < w->table.count && n < SHARED_BOARD_POSTS; i++) {
        struct word_known *k = w->table.known[i];

        if (lacks(k) && (all || k->pending)) {
            k->put = p->serial;
            n++;
        }
    }
    words_put_ask(w, p);
    return true;
}

static size_t count_lacking(const struct words *w, bool pending)
{
    size_t n = 0;

    for (size_t i = 0; i < w->table.count; i++)
        n += lacks(w->table.known[i]) && w->table.known[i]->pending == pending;
    return n;
}

static void put_lacking(struct words *w, bool all)
{
    while (count_lacking(w, true) + (all ? count_lacking(w, false) : 0) > 0)
        if (!put_some(w, all))
            return;
}

/* Somebody may have taken back what this node has known since before the last word of that was
 * forgotten. */
static void forget(struct words *w, int64_t last_contact)
{
    size_t n = 0;

    for (size_t i = w->table.count; i-- > 0;) {
        const struct word_known *k = w->table.known[i];

        if (!lacks(k) || k->pending || (int64_t)k->said.word.number > last_contact)
            continue;
        word_table_drop(&w->table, i);
        n++;
    }
    if (n > 0)
        weir_log(WEIR_LOG_WARN,
                 "words: %zu are not known to the farm any more, which this node had not seen for "
                 "a week: they are forgotten",
                 n);
    w->dirty = w->dirty || n > 0;
}

/* At first one waits, so that not all nodes put it back at once; then one looks again. */
static void restore(struct words *w, bool checked)
{
    struct words_reader *r = &w->reader;
    size_t lost = count_lacking(w, false);

    put_lacking(w, checked);
    if (checked || lost == 0)
        r->restore_ms = 0;
    else if (r->restore_ms == 0)
        r->restore_ms = words_now(w) + 1 + (int64_t)draw(w, WORDS_RESTORE_MS);
}

/* ---- reading ---- */

/* A board of this process alone changes only when somebody here says something, which is a hint. */
static bool read_once(const struct words *w)
{
    return !w->farm && count_lacking(w, true) + count_lacking(w, false) == 0;
}

static void set_clock(struct words *w, uint64_t shared_ms)
{
    struct words_reader *r = &w->reader;
    int64_t half = (words_now(w) - r->sent_ms) / 2;

    /* Numbers follow this clock and never go back: near the last of all numbers no word could be
     * said any more. */
    if (shared_ms > CLOCK_MAX)
        return;
    r->clock_ms = (int64_t)shared_ms + half - words_now(w);
    r->clock_known = true;
}

static void understand(struct words *w, const struct shared_call *c, bool checked)
{
    struct words_reader *r = &w->reader;
    int64_t last_contact = r->contact_at;

    set_clock(w, c->number);
    reckon_guessed(w);
    for (size_t i = 0; i < w->table.count; i++)
        w->table.known[i]->on_board = w->table.known[i]->older_there = false;
    for (size_t i = 0; i < c->note_count; i++)
        read_note(w, &c->notes[i]);
    r->ever = true;
    r->failed = false;
    r->contact_ms = words_now(w);
    r->contact_at = words_shared_now(w);
    if (w->farm && last_contact != 0 && r->contact_at - last_contact >= WORD_NOTHING_MS)
        forget(w, last_contact);
    restore(w, checked);
    if (read_once(w))
        r->due_ms = INT64_MAX;
}

static void on_read(struct shared_call *c)
{
    struct words *w = WEIR_CONTAINER(c, struct words, reader.call);
    struct words_reader *r = &w->reader;
    bool checked = r->check;

    w->loop.enter(w->loop.arg);
    r->busy = r->check = false;
    if (c->result == SHARED_OK)
        understand(w, c, checked);
    else
        r->failed = true;
    shared_call_clear(c);
    if (r->again)
        words_look(w);
    words_keep(w);
    words_arm(w);
    words_notify(w);
}

static void open_ears(struct words *w)
{
    struct words_reader *r = &w->reader;
    struct weir_err err = {0};

    if (!r->listening) /* again and again until there is memory for it */
        r->listening = shared_listen(w->port, &r->listener, SHARED_STATE, w->board.channel, &err);
}

static void read_board(struct words *w)
{
    struct words_reader *r = &w->reader;
    int64_t now = words_now(w);

    open_ears(w);
    r->busy = true;
    r->again = false;
    r->check = r->restore_ms != 0 && now >= r->restore_ms;
    r->sent_ms = now;
    r->due_ms = now + WORDS_READ_MS;
    r->call.done = on_read;
    r->call.area = SHARED_STATE;
    r->call.timeout_ms = WORDS_TIMEOUT_MS;
    shared_board_read(w->port, &r->call, &w->board);
}

void words_reader_again(struct words *w)
{
    if (w->reader.due_ms == INT64_MAX)
        w->reader.due_ms = words_now(w) + WORDS_READ_MS;
}

int64_t words_reader_due(const struct words *w)
{
    const struct words_reader *r = &w->reader;

    if (r->busy)
        return INT64_MAX; /* an answer comes, or its time runs out */
    return r->restore_ms != 0 && r->restore_ms < r->due_ms ? r->restore_ms : r->due_ms;
}

void words_reader_turn(struct words *w)
{
    if (words_now(w) >= words_reader_due(w))
        read_board(w);
    words_arm(w);
}

void words_look(struct words *w)
{
    struct words_reader *r = &w->reader;
    int64_t now = words_now(w), soonest = r->sent_ms + WORDS_SPACE_MS;

    if (r->busy) {
        r->again = true;
        return;
    }
    if (soonest < now)
        soonest = now;
    if (soonest < r->due_ms)
        r->due_ms = soonest;
    words_arm(w);
}

static void on_hint(struct shared_listener *l, struct weir_span hint)
{
    struct words *w = WEIR_CONTAINER(l, struct words, reader.listener);

    (void)hint; /* whatever it says: the board tells */
    w->loop.enter(w->loop.arg);
    words_look(w);
}

static void on_gap(struct shared_listener *l)
{
    struct words *w = WEIR_CONTAINER(l, struct words, reader.listener);

    w->loop.enter(w->loop.arg);
    words_look(w);
}

/* ---- life ---- */

void words_reader_start(struct words *w)
{
    struct words_reader *r = &w->reader;

    r->listener = (struct shared_listener){.on_hint = on_hint, .on_gap = on_gap};
    r->due_ms = words_now(w);
    r->sent_ms = r->due_ms - WORDS_SPACE_MS;
}

void words_reader_stop(struct words *w)
{
    if (w->reader.listening)
        shared_unlisten(w->port, &w->reader.listener);
    shared_cancel(w->port, &w->reader.call);
}
