#include "members_own.h"

#include <stdlib.h>

#include "weir/container.h"
#include "weir/log.h"

#define LOST_MS       ((int64_t)3 * MEMBER_BEAT_MS)
#define OLD_MS        60000 /* a brief that was sealed so long ago was kept by somebody */
#define SKEW_LOUD_MS  2000  /* said in the log */
#define SKEW_QUIET_MS 1000  /* and that it is over */
#define SKEW_JUMP_MS  1000  /* is no noise: a clock was set */

bool members_sees(const struct members *m)
{
    return m->reader.sight == SIGHT_UNKNOWN || m->reader.sight == SIGHT_CURRENT;
}

/* ---- who is live ---- */

static size_t count_live(const struct members *m)
{
    size_t n = m->table.live + (m->watcher ? 0 : 1);

    return n > 0 ? n : 1;
}

/* At first not all are back where Redis was away: how many there were stands until they had time.
 */
static void count(struct members *m)
{
    struct members_reader *r = &m->reader;
    size_t live = count_live(m);

    if (live > r->last_live || members_now(m) - r->current_ms >= MEMBER_LIVE_MS)
        r->last_live = live;
    atomic_store_explicit(&m->live, members_sees(m) ? live : r->last_live, memory_order_relaxed);
}

void members_notify(struct members *m)
{
    void (*changed)(void *arg) = m->changed;

    if (table_take_changed(&m->table) && changed != NULL)
        changed(m->arg);
}

static void see(struct members *m, enum members_sight sight)
{
    bool saw = members_sees(m);

    m->reader.sight = sight;
    if (members_sees(m) != saw)
        m->table.changed = true;
}

/* ---- an entry ---- */

/* false: it is counted and means nothing. */
static bool open_brief(struct members *m, struct weir_span entry, struct weir_span sealed,
                       struct weir_span *bytes, struct member_said *said, struct weir_span *id,
                       uint64_t *incarnation)
{
    if (!weir_seal_open(&m->key, "member", entry, sealed, bytes)) {
        m->reader.forged++;
        return false;
    }
    if (!member_entry_read(entry, id, incarnation) || !member_brief_read(*bytes, said)) {
        m->reader.foreign++;
        return false;
    }
    return true;
}

uint64_t members_shared_now(const struct members *m)
{
    const struct members_reader *r = &m->reader;

    return r->skew_known ? (uint64_t)(members_now(m) + r->clock_ms) : 0;
}

/* Who can write to Redis and has kept what a member said that is gone could let it live on, for
 * those who were started since. Both times are by the shared clock, no host's. */
static bool is_kept(const struct members *m, const struct member_said *said)
{
    return said->shared_ms != 0 && said->shared_ms < m->reader.call.number &&
           m->reader.call.number - said->shared_ms > OLD_MS;
}

static void read_note(struct members *m, const struct shared_note *n)
{
    struct weir_span bytes, id;
    struct member_said said;
    uint64_t incarnation;

    if (weir_span_eq(n->id, m->entry) ||
        !open_brief(m, n->id, n->bytes, &bytes, &said, &id, &incarnation))
        return;
    if (is_kept(m, &said) || table_saw(&m->table, id, incarnation, &said, bytes, n->age_ms,
                                       members_now(m)) == MEMBER_STALE)
        m->reader.stale++;
}

/* ---- clocks ---- */

static void tell_skew(struct members_reader *r)
{
    long long skew = (long long)r->skew_ms;

    if (!r->skew_told && llabs(skew) > SKEW_LOUD_MS)
        weir_log(WEIR_LOG_WARN,
                 "farm: this host's clock is %lld ms %s that of Redis: nothing depends on it here, "
                 "but times in logs and caches do",
                 llabs(skew), skew > 0 ? "ahead of" : "behind");
    else if (r->skew_told && llabs(skew) < SKEW_QUIET_MS)
        weir_log(WEIR_LOG_INFO, "farm: this host's clock is right again");
    r->skew_told = llabs(skew) > (r->skew_told ? SKEW_QUIET_MS - 1 : SKEW_LOUD_MS);
}

/* The answer was given half a round trip ago. Small differences are noise of that half. */
static void measure_skew(struct members *m, uint64_t shared_ms)
{
    struct members_reader *r = &m->reader;
    int64_t half = (members_now(m) - r->sent_ms) / 2;
    int64_t sample = m->loop.clock->wall_ms - half - (int64_t)shared_ms;

    r->clock_ms = (int64_t)shared_ms + half - members_now(m);
    if (!r->skew_known || llabs((long long)(sample - r->skew_ms)) > SKEW_JUMP_MS)
        r->skew_ms = sample;
    else
        r->skew_ms += (sample - r->skew_ms) / 4;
    r->skew_known = true;
    tell_skew(r);
}

/* ---- a read ---- */

static void open_ears(struct members *m)
{
    struct members_reader *r = &m->reader;
    struct weir_err err = {0};

    if (!r->listening) { /* again and again until there is memory for it */
        r->gap = false;
        r->listening = shared_listen(m->port, &r->listener, SHARED_STATE, m->board.channel, &err);
    }
}

static void reopen_ears(struct members *m)
{
    if (m->reader.listening)
        shared_unlisten(m->port, &m->reader.listener);
    m->reader.listening = false;
    open_ears(m);
}

static void become_current(struct members *m)
{
    struct members_reader *r = &m->reader;

    if (r->sight == SIGHT_RETURNING)
        weir_log(WEIR_LOG_INFO, "farm: the other nodes are seen again");
    if (r->sight != SIGHT_CURRENT)
        r->current_ms = members_now(m);
    see(m, SIGHT_CURRENT);
}

/* Lost: what was read may have been old the moment it was read, for hints were missed. Current is
 * what is read when ears are open. Where they cannot be opened, reading every beat must do. */
static void was_read(struct members *m)
{
    struct members_reader *r = &m->reader;
    int64_t now = members_now(m);

    if (r->sight == SIGHT_LOST) {
        see(m, SIGHT_RETURNING);
        r->returning_ms = now;
        reopen_ears(m);
    } else if (r->sight != SIGHT_RETURNING || r->after_gap ||
               now - r->returning_ms >= MEMBER_BEAT_MS) {
        become_current(m);
    }
}

static void was_not_read(struct members *m)
{
    struct members_reader *r = &m->reader;

    if (r->sight == SIGHT_RETURNING)
        see(m, SIGHT_LOST);
    if (!members_sees(m) || members_now(m) - r->contact_ms < LOST_MS)
        return;
    weir_log(WEIR_LOG_WARN, "farm: the other nodes cannot be seen, this one goes on by itself");
    see(m, SIGHT_LOST);
}

static void tell_twin(struct members *m, bool before)
{
    if (m->self.twin && !before)
        weir_log(WEIR_LOG_WARN, "farm: another node runs with the id %s as well: set node.id",
                 m->id);
    else if (before && !m->self.twin)
        weir_log(WEIR_LOG_INFO, "farm: no other node has the id %s any more", m->id);
}

static void understand(struct members *m)
{
    struct members_reader *r = &m->reader;
    bool twin = m->self.twin;

    for (size_t i = 0; i < r->call.note_count; i++)
        read_note(m, &r->call.notes[i]);
    table_end(&m->table, m->watcher ? NULL : &m->self, members_now(m));
    tell_twin(m, twin);
    measure_skew(m, r->call.number);
    r->contact_ms = members_now(m);
    r->ever = true;
}

static void on_read(struct shared_call *c)
{
    struct members *m = WEIR_CONTAINER(c, struct members, reader.call);
    struct members_reader *r = &m->reader;

    m->loop.enter(m->loop.arg);
    r->busy = false;
    if (c->result == SHARED_OK) {
        understand(m);
        was_read(m);
    } else {
        was_not_read(m);
    }
    shared_call_clear(c);
    count(m);
    if (r->again)
        members_look(m);
    members_arm(m);
    members_notify(m);
}

static void read_board(struct members *m)
{
    struct members_reader *r = &m->reader;

    open_ears(m);
    r->busy = true;
    r->again = false;
    r->after_gap = r->gap;
    r->sent_ms = members_now(m);
    r->due_ms = r->sent_ms + MEMBER_BEAT_MS;
    r->call.done = on_read;
    r->call.area = SHARED_STATE;
    r->call.timeout_ms = MEMBERS_TIMEOUT_MS;
    shared_board_read(m->port, &r->call, &m->board);
}

void members_reader_turn(struct members *m)
{
    if (!m->reader.busy && members_now(m) >= m->reader.due_ms)
        read_board(m);
}

void members_look(struct members *m)
{
    struct members_reader *r = &m->reader;
    int64_t now = members_now(m), soonest = r->sent_ms + MEMBERS_SPACE_MS;

    if (r->busy) {
        r->again = true;
        return;
    }
    if (soonest < now)
        soonest = now;
    if (soonest < r->due_ms)
        r->due_ms = soonest;
    members_arm(m);
}

/* ---- hints ---- */

static void hear(struct members *m, struct weir_span entry, struct weir_span sealed)
{
    struct weir_span bytes, id;
    struct member_said said;
    uint64_t incarnation;

    if (weir_span_eq(entry, m->entry) ||
        !open_brief(m, entry, sealed, &bytes, &said, &id, &incarnation))
        return;
    switch (table_heard(&m->table, id, incarnation, &said, bytes)) {
    case MEMBER_STALE:
        m->reader.stale++;
        break;
    case MEMBER_UNKNOWN: /* the board decides who is a member */
    case MEMBER_NO_MEMORY:
        members_look(m);
        break;
    default:
        break;
    }
    count(m);
}

static void on_hint(struct shared_listener *l, struct weir_span hint)
{
    struct members *m = WEIR_CONTAINER(l, struct members, reader.listener);
    struct weir_span entry, sealed;

    m->loop.enter(m->loop.arg);
    if (member_hint_read(hint, &entry, &sealed))
        hear(m, entry, sealed);
    else
        members_look(m);
    members_notify(m);
}

static void on_gap(struct shared_listener *l)
{
    struct members *m = WEIR_CONTAINER(l, struct members, reader.listener);

    m->loop.enter(m->loop.arg);
    m->reader.gap = true;
    members_look(m);
}

/* ---- life ---- */

void members_reader_start(struct members *m)
{
    struct members_reader *r = &m->reader;

    r->listener = (struct shared_listener){.on_hint = on_hint, .on_gap = on_gap};
    r->sight = m->farm ? SIGHT_UNKNOWN : SIGHT_CURRENT;
    r->last_live = 1;
    r->contact_ms = r->current_ms = r->due_ms = members_now(m);
    r->sent_ms = r->due_ms - MEMBERS_SPACE_MS;
}

void members_reader_stop(struct members *m)
{
    if (m->reader.listening)
        shared_unlisten(m->port, &m->reader.listener);
    shared_cancel(m->port, &m->reader.call);
}
