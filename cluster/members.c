#include "weir/members.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "weir/alloc.h"
#include "weir/blob.h"
#include "weir/container.h"
#include "weir/record.h"
#include "members_own.h"
#include "shared_engine.h"

#define LEAVE_MS        500
#define RECORD_MAX      (32 * 1024)
#define RECORD_TTL_MS   20000
#define RECORD_AGAIN_MS 10000 /* what has not changed is put again */

static void beat(struct members *m);

/* ---- time ---- */

uint64_t members_draw(struct members *m, uint64_t below)
{
    m->random ^= m->random << 13; /* xorshift64 */
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random % below;
}

static bool beats(const struct members *m)
{
    return !m->watcher && !m->leaving && m->farm;
}

void members_arm(struct members *m)
{
    int64_t due = INT64_MAX, wait;

    if (!m->reader.busy && m->farm)
        due = m->reader.due_ms;
    if (beats(m) && !m->beating && m->beat_due_ms < due)
        due = m->beat_due_ms;
    if (m->leaving && !m->left_told && m->leave_until_ms < due)
        due = m->leave_until_ms;
    if (due == INT64_MAX) {
        event_del(m->timer); /* an answer comes, or its time runs out */
        return;
    }
    wait = due - members_now(m);
    if (wait < 0)
        wait = 0;
    event_add(m->timer, &(struct timeval){wait / 1000, wait % 1000 * 1000});
}

/* May end with m gone. */
static void tell_left(struct members *m)
{
    void (*left)(void *arg) = m->left;

    m->left_told = true;
    shared_cancel(m->port, &m->beat);
    m->beating = false;
    if (left != NULL)
        left(m->left_arg);
}

void members_turn(struct members *m)
{
    int64_t now = members_now(m);

    if (m->leaving && !m->left_told && now >= m->leave_until_ms) {
        tell_left(m);
        return;
    }
    if (beats(m) && !m->beating && now >= m->beat_due_ms)
        beat(m);
    if (m->farm)
        members_reader_turn(m);
    members_arm(m);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct members *m = arg;

    (void)fd;
    (void)what;
    m->loop.enter(m->loop.arg);
    members_turn(m);
}

/* ---- the record ---- */

static struct weir_span record_key(const struct members *m, struct weir_span entry,
                                   char buf[MEMBERS_NAME_MAX])
{
    int len =
        snprintf(buf, MEMBERS_NAME_MAX, "%s%.*s", m->record_prefix, (int)entry.len, entry.ptr);

    return weir_span(buf, (size_t)len);
}

static void on_record(struct shared_call *c)
{
    struct members *m = WEIR_CONTAINER(c, struct members, record_call);

    m->loop.enter(m->loop.arg);
    m->recording = false;
    if (c->result != SHARED_OK)
        m->record_ms = 0;
    shared_call_clear(c);
}

/* The JSON stands behind the seal, which is made in its place. */
static bool seal_record(struct members *m, struct weir_blob *b, size_t len)
{
    char *sealed = weir_malloc(len + WEIR_SEAL_BYTES);
    bool ok =
        sealed != NULL && weir_seal(&m->key, "record", m->entry, weir_span(b->bytes, len), sealed);

    if (ok) {
        memcpy(b->bytes, sealed, len + WEIR_SEAL_BYTES);
        b->len = (uint32_t)(len + WEIR_SEAL_BYTES);
    }
    weir_free(sealed);
    return ok;
}

static void put_record(struct members *m, struct weir_blob *b)
{
    const struct weir_slice s = {.blob = b, .len = b->len};
    char key[MEMBERS_NAME_MAX];

    m->recording = true;
    m->record_call.done = on_record;
    m->record_call.area = SHARED_STATE;
    m->record_call.timeout_ms = MEMBERS_TIMEOUT_MS;
    shared_put(m->port, &m->record_call, record_key(m, m->entry, key), &s, 1, RECORD_TTL_MS);
}

static void write_record(struct members *m)
{
    struct weir_blob *b;
    uint64_t hash;
    size_t len;

    if (m->record == NULL || m->recording ||
        (b = weir_blob_new(RECORD_MAX + WEIR_SEAL_BYTES)) == NULL)
        return;
    len = m->record(m->arg, b->bytes, RECORD_MAX);
    hash = XXH3_64bits(b->bytes, len);
    if ((hash != m->record_hash || m->record_ms == 0 ||
         members_now(m) - m->record_ms >= RECORD_AGAIN_MS) &&
        seal_record(m, b, len)) {
        m->record_hash = hash;
        m->record_ms = members_now(m);
        put_record(m, b);
    }
    weir_blob_unref(b);
}

void members_record(struct members *m, struct shared_call *c, const char *id, uint64_t incarnation)
{
    char entry[MEMBER_ENTRY_MAX + 1], key[MEMBERS_NAME_MAX];

    shared_get(m->port, c, record_key(m, member_entry(weir_span_str(id), incarnation, entry), key));
}

bool members_record_json(const struct members *m, const struct shared_call *c, const char *id,
                         uint64_t incarnation, struct weir_span *json)
{
    char entry[MEMBER_ENTRY_MAX + 1];

    return c->result == SHARED_OK && c->value.blob != NULL &&
           weir_seal_open(&m->key, "record", member_entry(weir_span_str(id), incarnation, entry),
                          weir_span(weir_slice_ptr(c->value), c->value.len), json);
}

/* ---- beats ---- */

static void schedule_beat(struct members *m)
{
    m->beat_due_ms = m->beat_sent_ms + MEMBER_BEAT_MS +
                     (int64_t)members_draw(m, MEMBERS_JITTER_MS + 1) - MEMBERS_JITTER_MS / 2;
}

static void beat_at_once(struct members *m)
{
    int64_t soonest = m->beat_sent_ms + MEMBERS_SPACE_MS;

    if (soonest < m->beat_due_ms)
        m->beat_due_ms = soonest;
}

static void on_beat(struct shared_call *c)
{
    struct members *m = WEIR_CONTAINER(c, struct members, beat);

    m->loop.enter(m->loop.arg);
    m->beating = false;
    if (c->result == SHARED_OK)
        m->self.beat_ms = m->beat_sent_ms;
    else if (m->telling)
        m->tell = true; /* with the next regular one */
    shared_call_clear(c);
    if (!m->leaving) {
        members_arm(m);
    } else if (m->leave_sent) {
        tell_left(m);
    } else {
        m->leave_sent = true;
        beat(m);
    }
}

/* The brief, sealed, as one allocation of the caller's; ptr NULL without memory. */
static struct weir_span seal_brief(struct members *m)
{
    struct member_said said = {.format = MEMBER_FORMAT,
                               .sequence = m->self.sequence + 1,
                               .shared_ms = members_shared_now(m),
                               .brief = m->self.brief};
    struct record_fields fs = {0};
    struct weir_span out = WEIR_SPAN_NONE, bytes;
    char *sealed;

    if (m->leaving)
        said.brief.flags |= MEMBER_LEFT;
    member_brief_write(&fs, &said);
    bytes = record_fields_span(&fs);
    sealed = fs.failed ? NULL : weir_malloc(bytes.len + WEIR_SEAL_BYTES);
    if (sealed != NULL && weir_seal(&m->key, "member", m->entry, bytes, sealed)) {
        out = weir_span(sealed, bytes.len + WEIR_SEAL_BYTES);
        m->self.sequence++;
    } else {
        weir_free(sealed);
    }
    record_fields_free(&fs);
    return out;
}

static void put_beat(struct members *m, struct weir_span sealed)
{
    const struct shared_post post = {.id = m->entry, .bytes = sealed, .ttl_ms = MEMBER_LIVE_MS};
    struct weir_span hint = WEIR_SPAN_NONE;
    char buf[SHARED_HINT_MAX];

    m->telling = m->tell || m->leaving;
    m->tell = false;
    if (m->telling) {
        hint = member_hint_write(m->entry, sealed, buf);
        if (hint.len == 0)
            hint = MEMBER_HINT_LOOK;
    }
    m->beating = true;
    m->beat.done = on_beat;
    m->beat.area = SHARED_STATE;
    m->beat.timeout_ms = MEMBERS_TIMEOUT_MS;
    shared_board_put(m->port, &m->beat, &m->board, &post, 1, hint);
}

static void beat(struct members *m)
{
    struct weir_span sealed;
    bool regular = members_now(m) - m->record_ms >= MEMBER_BEAT_MS - MEMBERS_JITTER_MS;

    m->beat_sent_ms = members_now(m);
    schedule_beat(m);
    if (beats(m) && (regular || m->record_ms == 0))
        write_record(m);
    sealed = seal_brief(m);
    if (sealed.ptr == NULL)
        return; /* no memory: others hear of it with the next one */
    put_beat(m, sealed);
    weir_free((char *)(uintptr_t)sealed.ptr);
}

bool members_say(struct members *m, const struct member_brief *b, bool at_once)
{
    char *votes = NULL;

    if (b->votes.len > MEMBER_VOTES_MAX)
        return false;
    if (b->votes.len > 0) {
        votes = weir_malloc(b->votes.len);
        if (votes == NULL)
            return false;
        memcpy(votes, b->votes.ptr, b->votes.len);
    }
    weir_free(m->votes);
    m->votes = votes;
    m->self.brief = *b;
    m->self.brief.flags &= ~(uint32_t)MEMBER_LEFT;
    m->self.brief.votes.ptr = votes;
    if (!at_once || !beats(m))
        return true;
    m->tell = true;
    beat_at_once(m);
    members_arm(m);
    return true;
}

void members_leave(struct members *m, void (*left)(void *arg), void *arg)
{
    if (m->leaving)
        return;
    m->leaving = true;
    m->left = left;
    m->left_arg = arg;
    m->leave_until_ms = members_now(m) + (m->farm ? LEAVE_MS : 0); /* nobody has to hear of it */
    if (!m->watcher && m->farm &&
        !m->beating) { /* else when that beat has ended, for the last one put holds */
        m->leave_sent = true;
        beat(m);
    }
    members_arm(m);
}

/* ---- seeing ---- */

size_t members_list(struct members *m, const struct member **out)
{
    const struct member *own = m->watcher ? NULL : &m->self;

    if (!m->farm)
        m->self.beat_ms = members_now(m); /* as if it did */
    if (members_sees(m))
        return table_list(&m->table, own, out);
    *out = own;
    return own != NULL;
}

size_t members_live(const struct members *m)
{
    return atomic_load_explicit(&m->live, memory_order_relaxed);
}

void members_state(const struct members *m, struct members_state *out)
{
    const struct members_reader *r = &m->reader;

    *out = (struct members_state){
        .current = r->sight == SIGHT_CURRENT,
        .lost = !members_sees(m),
        .last_live = r->last_live,
        .contact_ms = !m->farm  ? 0
                      : r->ever ? members_now(m) - r->contact_ms
                                : -1,
        .skew_ms = r->skew_ms,
        .forged = r->forged,
        .stale = r->stale,
        .foreign = r->foreign,
    };
}

/* ---- life ---- */

static bool set_up_names(struct members *m, const char *farm, struct weir_err *err)
{
    if (snprintf(m->board_key, sizeof m->board_key, "w1:{N.%s}:b", farm) >=
            (int)sizeof m->board_key ||
        snprintf(m->record_prefix, sizeof m->record_prefix, "w1:{N.%s}:n:", farm) >=
            (int)(sizeof m->record_prefix - MEMBER_ENTRY_MAX))
        return weir_fail(err, WEIR_E_INTERNAL, "members: name of the farm", 0);
    snprintf(m->channel, sizeof m->channel, "w1:{N.%s}:ch", farm);
    m->board = (struct shared_board){.key = weir_span_str(m->board_key),
                                     .channel = weir_span_str(m->channel)};
    return true;
}

static bool set_up_self(struct members *m, const struct members_options *o, struct weir_err *err)
{
    if (!member_id_valid(weir_span_str(o->id)) || o->incarnation == 0)
        return weir_failf(err, WEIR_E_INTERNAL, "members: id", 0, "%.64s", o->id);
    strcpy(m->id, o->id);
    m->entry = member_entry(weir_span_str(m->id), o->incarnation, m->entry_text);
    m->self = (struct member){.id = m->id,
                              .incarnation = o->incarnation,
                              .self = true,
                              .format = MEMBER_FORMAT,
                              .beat_ms = members_now(m),
                              .since_ms = members_now(m)};
    m->random = o->incarnation;
    m->record = o->record;
    return true;
}

static bool set_up(struct members *m, const struct members_options *o, struct weir_err *err)
{
    if (!set_up_names(m, o->farm, err) || (!m->watcher && !set_up_self(m, o, err)))
        return false;
    m->timer = event_new(m->loop.base, -1, 0, on_timer, m);
    return m->timer != NULL || weir_fail(err, WEIR_E_MEMORY, "members: create", 0);
}

static struct members *make(const struct members_options *o, bool watcher, struct weir_err *err)
{
    struct members *m = weir_calloc(1, sizeof *m);

    if (m == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "members: create", 0);
        return NULL;
    }
    m->port = o->port;
    m->loop = *o->loop;
    m->key = *o->key;
    m->changed = o->changed;
    m->arg = o->arg;
    m->watcher = watcher;
    m->farm = shared_is_farm(o->port->shared);
    m->random = 1;
    atomic_init(&m->live, 1);
    if (!set_up(m, o, err)) {
        members_free(m);
        return NULL;
    }
    members_reader_start(m);
    m->tell = true; /* that it is there */
    m->beat_due_ms = members_now(m);
    m->beat_sent_ms = m->beat_due_ms - MEMBER_BEAT_MS;
    members_arm(m); /* in the next turn, with what is said meanwhile */
    return m;
}

struct members *members_new(const struct members_options *o, struct weir_err *err)
{
    return make(o, false, err);
}

struct members *members_watch(const struct members_options *o, struct weir_err *err)
{
    return make(o, true, err);
}

void members_free(struct members *m)
{
    if (m == NULL)
        return;
    if (m->timer != NULL) {
        event_free(m->timer);
        members_reader_stop(m);
        shared_cancel(m->port, &m->beat);
        shared_cancel(m->port, &m->record_call);
    }
    table_free(&m->table);
    weir_free(m->votes);
    weir_free(m);
}
