#include "purge_feed_parts.h"

#include "weir/alloc.h"
#include "weir/container.h"
#include "weir/log.h"
#include "purge_wire.h"

#define CHUNK   512   /* entries read at once */
#define TELL_MS 10000 /* a Redis that comes and goes each second does not fill the log */

static void ask(struct purge_feed *f);

static void set_reachable(struct purge_feed *f, bool reachable)
{
    f->reachable = reachable;
    if (f->told == reachable || feed_now_ms(f) < f->tell_ms)
        return; /* if it stays so, a later answer tells */
    weir_log(reachable ? WEIR_LOG_INFO : WEIR_LOG_WARN, "purge log: %s",
             reachable ? "reachable" : "cannot be reached");
    f->told = reachable;
    f->tell_ms = feed_now_ms(f) + TELL_MS;
}

static void give_up(struct purge_feed *f)
{
    f->reader.busy = f->reader.wanted = false;
    set_reachable(f, false);
    purge_log_doubt(f->table);
    purge_feed_doubt(f);
    purge_feed_retry(f);
}

void purge_reader_heard(struct purge_reader *r, uint64_t id)
{
    if (id > r->newest)
        r->newest = id;
}

/* ---- one entry ---- */

/* Its records, with its id as sequence; owned by the caller. NULL: there are none, or it cannot be
 * known what they are; then everything has been purged. */
static struct purge_record *records_of(struct purge_feed *f, const struct shared_entry *e,
                                       size_t *count)
{
    struct purge_record *r = NULL;
    bool readable = purge_wire_read(e->bytes, count);

    if (readable && *count == 0)
        return NULL;
    if (readable)
        r = weir_malloc(*count * sizeof *r);
    if (r == NULL) {
        weir_log(WEIR_LOG_WARN, "purge log: an entry cannot be read: everything counts as purged");
        purge_log_missed(f->table, e->id);
        return NULL;
    }
    for (size_t i = 0; i < *count; i++) {
        r[i] = purge_wire_record(e->bytes, i);
        r[i].sequence = e->id;
    }
    return r;
}

static void apply(struct purge_feed *f, const struct shared_entry *e, struct purge_trail *trail,
                  bool restore)
{
    size_t count;
    struct purge_record *r = records_of(f, e, &count);

    if (r == NULL)
        return;
    purge_log_apply(f->table, r, count, e->id);
    for (size_t i = 0; i < count; i++) {
        purge_trail_add(trail, &r[i], e->id);
        if (restore)
            purge_feed_restore(f, &r[i]);
        else
            purge_feed_found(f, &r[i]);
    }
    weir_free(r);
}

/* ---- reading on ---- */

static void begin_compare(struct purge_feed *f)
{
    struct purge_reader *r = &f->reader;
    const struct purge_record *oldest = purge_trail_first(&r->trail);

    purge_feed_doubt(f); /* what was appended last may be among what is lost */
    r->mode = READ_COMPARE;
    r->cursor = oldest != NULL ? oldest->sequence - 1 : 0;
    r->lost = 0;
    purge_trail_init(&r->rebuilt, r->trail.max);
}

static void missed(struct purge_feed *f, uint64_t first)
{
    weir_log(WEIR_LOG_WARN, "purge log: what was not read yet has been dropped: everything counts "
                            "as purged");
    purge_log_missed(f->table, first);
    f->missed++;
}

/* It was read from the entry before, which must still be the one that was applied last. */
static void read_on(struct purge_feed *f, const struct shared_call *c)
{
    struct purge_reader *r = &f->reader;
    size_t i = 0;

    if (c->log_first > r->position && c->entry_count > 0) {
        missed(f, c->log_first);
    } else if (c->entry_count > 0 && c->entries[0].id == r->position) {
        i = 1;
    } else {
        begin_compare(f);
        r->wanted = true;
        return;
    }
    for (; i < c->entry_count; i++)
        apply(f, &c->entries[i], &r->trail, false);
    r->position = c->entries[c->entry_count - 1].id;
}

/* ---- for the first time ---- */

static void read_first(struct purge_feed *f, const struct shared_call *c)
{
    struct purge_reader *r = &f->reader;

    if (r->cursor == 0)
        purge_log_begins(f->table, c->entry_count > 0 ? c->entries[0].id : c->log_last);
    else if (c->log_first > r->cursor)
        purge_log_begins(f->table, c->log_first);
    for (size_t i = 0; i < c->entry_count; i++)
        apply(f, &c->entries[i], &r->trail, false);
    r->cursor = c->entry_count > 0 ? c->entries[c->entry_count - 1].id : c->log_last;
}

/* ---- comparing ---- */

static void lose(struct purge_feed *f)
{
    purge_feed_restore(f, purge_trail_first(&f->reader.trail));
    purge_trail_drop(&f->reader.trail);
    f->reader.lost++;
}

/* Keeps of the trail what has this id; false: there is nothing. */
static bool keep(struct purge_reader *r, uint64_t id)
{
    const struct purge_record *first;
    bool found = false;

    while ((first = purge_trail_first(&r->trail)) != NULL && first->sequence == id) {
        purge_trail_add(&r->rebuilt, first, id);
        purge_trail_drop(&r->trail);
        found = true;
    }
    return found;
}

static void compare(struct purge_feed *f, const struct shared_entry *e)
{
    struct purge_reader *r = &f->reader;
    const struct purge_record *first;

    while ((first = purge_trail_first(&r->trail)) != NULL && first->sequence < e->id)
        lose(f);
    /* What others have appended under ids that are older than what was lost is no newer than stamps
     * from before the loss: it is appended again, too. */
    if (!keep(r, e->id))
        apply(f, e, &r->rebuilt, e->id <= r->position);
}

static void read_compare(struct purge_feed *f, const struct shared_call *c)
{
    struct purge_reader *r = &f->reader;
    const struct purge_record *first;

    while ((first = purge_trail_first(&r->trail)) != NULL && first->sequence < c->log_first)
        purge_trail_drop(&r->trail); /* too old for the log, not lost */
    if (c->log_first > r->position)
        missed(f, c->log_first);
    for (size_t i = 0; i < c->entry_count; i++)
        compare(f, &c->entries[i]);
    r->cursor = c->entry_count > 0 ? c->entries[c->entry_count - 1].id : c->log_last;
}

/* The log was read to its end. */
static void end_compare(struct purge_feed *f)
{
    struct purge_reader *r = &f->reader;

    while (purge_trail_first(&r->trail) != NULL)
        lose(f);
    purge_trail_free(&r->trail);
    r->trail = r->rebuilt;
    purge_trail_init(&r->rebuilt, r->trail.max);
    if (r->lost == 0)
        return;
    weir_log(WEIR_LOG_WARN, "purge log: it has lost %zu records, which it gets again", r->lost);
    f->losses++;
}

/* The log vanished while it was compared: all over again, with what the trail was made of. */
static void undo_compare(struct purge_reader *r)
{
    const struct purge_record *first;

    while ((first = purge_trail_first(&r->trail)) != NULL) {
        purge_trail_add(&r->rebuilt, first, first->sequence);
        purge_trail_drop(&r->trail);
    }
    purge_trail_free(&r->trail);
    r->trail = r->rebuilt;
    purge_trail_init(&r->rebuilt, r->trail.max);
}

/* ---- asking ---- */

static void finish(struct purge_feed *f)
{
    struct purge_reader *r = &f->reader;

    if (r->mode == READ_COMPARE)
        end_compare(f);
    if (r->mode != READ_ON)
        r->position = r->cursor;
    if (!f->known)
        weir_log(WEIR_LOG_INFO, "purge log: read");
    r->mode = READ_ON;
    r->busy = false;
    f->known = true;
    f->contact_ms = feed_now_ms(f);
    purge_log_reached(f->table, r->position);
    if (r->reads >= r->least_current)
        purge_log_current_at(f->table, r->asked_ms);
    purge_ack_reached(f);
    purge_feed_reached(f, r->reads);
    if (r->wanted && !r->busy)
        ask(f);
}

static void understand(struct purge_feed *f, const struct shared_call *c)
{
    struct purge_reader *r = &f->reader;
    bool more = c->entry_count >= CHUNK;

    r->was_none = false;
    set_reachable(f, true);
    purge_reader_heard(r, c->log_last);
    switch (r->mode) {
    case READ_FIRST:
        read_first(f, c);
        break;
    case READ_ON:
        read_on(f, c);
        more = more || r->mode == READ_COMPARE;
        break;
    case READ_COMPARE:
        read_compare(f, c);
        break;
    }
    if (more)
        ask(f);
    else
        finish(f);
}

/* There is no log: somebody emptied Redis, or it came back empty. */
static void on_none(struct purge_feed *f)
{
    struct purge_reader *r = &f->reader;

    r->must_open = true;
    if (r->was_none) { /* twice: something is very wrong with it */
        give_up(f);
        return;
    }
    r->was_none = true;
    if (r->mode == READ_COMPARE)
        undo_compare(r);
    if (r->mode != READ_FIRST)
        begin_compare(f);
    r->cursor = 0;
    ask(f);
}

static void on_read(struct shared_call *c)
{
    struct purge_feed *f = WEIR_CONTAINER(c, struct purge_feed, reader.call);

    f->loop.enter(f->loop.arg);
    if (c->result == SHARED_OK)
        understand(f, c);
    else if (c->result == SHARED_NONE)
        on_none(f);
    else
        give_up(f);
}

static void on_open(struct shared_call *c)
{
    struct purge_feed *f = WEIR_CONTAINER(c, struct purge_feed, reader.call);

    f->loop.enter(f->loop.arg);
    if (c->result != SHARED_OK) {
        give_up(f);
        return;
    }
    f->reader.must_open = false;
    purge_reader_heard(&f->reader, c->number);
    ask(f);
}

/* Reads the next part. */
static void ask(struct purge_feed *f)
{
    struct purge_reader *r = &f->reader;
    uint64_t after = r->cursor;

    if (r->mode == READ_ON)
        after = r->position > 0 ? r->position - 1 : 0;
    r->busy = true;
    r->wanted = false;
    r->reads++;
    r->asked_ms = feed_now_ms(f);
    shared_call_clear(&r->call);
    r->call.done = r->must_open ? on_open : on_read;
    r->call.area = SHARED_STATE;
    r->call.timeout_ms = FEED_TIMEOUT_MS;
    if (r->must_open)
        shared_log_open(f->port, &r->call, &f->log);
    else
        shared_log_read(f->port, &r->call, &f->log, after, CHUNK);
}

/* ---- hints ---- */

static void on_hint(struct shared_listener *l, struct weir_span bytes)
{
    struct purge_feed *f = WEIR_CONTAINER(l, struct purge_feed, reader.listener);

    f->loop.enter(f->loop.arg);
    if (!purge_ack_is_asked(f, bytes)) /* else an id: the log itself is asked for it */
        purge_reader_look(f);
}

static void on_gap(struct shared_listener *l)
{
    struct purge_feed *f = WEIR_CONTAINER(l, struct purge_feed, reader.listener);

    f->loop.enter(f->loop.arg);
    f->reader.least_current =
        f->reader.reads + 1; /* one that is under way may have been too early */
    purge_log_doubt(f->table);
    purge_reader_look(f);
}

void purge_reader_look(struct purge_feed *f)
{
    struct purge_reader *r = &f->reader;
    struct weir_err err = {0};

    if (!r->listening) /* again and again until there is memory for it */
        r->listening = shared_listen(f->port, &r->listener, SHARED_STATE, f->log.channel, &err);
    if (r->busy)
        r->wanted = true;
    else
        ask(f);
}

void purge_reader_start(struct purge_feed *f)
{
    struct purge_reader *r = &f->reader;

    r->must_open = true;
    r->listener = (struct shared_listener){.on_hint = on_hint, .on_gap = on_gap};
    purge_trail_init(&r->trail, PURGE_TRAIL_MAX);
    purge_trail_init(&r->rebuilt, PURGE_TRAIL_MAX);
    purge_reader_look(f);
}

void purge_reader_stop(struct purge_feed *f)
{
    struct purge_reader *r = &f->reader;

    if (r->listening)
        shared_unlisten(f->port, &r->listener);
    if (r->busy)
        shared_cancel(f->port, &r->call);
    shared_call_clear(&r->call);
    purge_trail_free(&r->trail);
    purge_trail_free(&r->rebuilt);
}
