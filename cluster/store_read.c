/*
 * One read of an object: the meta, then the chunks of the wanted range in order, a few of them
 * asked for ahead.
 *
 *     open()                 on_meta()                   range()          next() gave all
 *     ------> [READ_META] -----------------> [READ_FOUND] -----> [READ_BODY] -----------> END
 *                  | nothing there                                  | fail()
 *                  '--------> [READ_NOTHING]                        '--> [READ_BROKEN]
 *
 * META: one call for the record is under way. FOUND, BODY: `record` holds the bytes that meta and
 * an inline body point into. BODY: of a chunked body, the slots hold the chunks from `at` on; a
 * slot is empty, asked for, waiting for another try, or ready. BROKEN: no call is under way but
 * that of cleaning up, which is the store's.
 */
#include "weir/shared_store.h"

#include <assert.h>

#include <event2/event.h>

#include "store_own.h"
#include "weir/alloc.h"
#include "weir/container.h"

/* A chunk that is missing may not have reached a copy yet: it is asked for once more. */
#define LAG_MS 25
/* Growing bodies are looked at after 25, 50, 100, 100 ... (redis.md 3.9). */
#define POLL_FIRST_MS 25
#define POLL_MAX_MS   100
#define WATCHES       12 /* of the open record in a lease, while a chunk is missing */

enum read_state { READ_META, READ_NOTHING, READ_FOUND, READ_BODY, READ_BROKEN };
enum slot_state { SLOT_EMPTY, SLOT_ASKED, SLOT_AGAIN, SLOT_READY };

struct read_slot {
    struct shared_call call;
    struct store_read *r;
    enum slot_state state;
    uint32_t index;   /* of the chunk */
    uint32_t bytes;   /* READY */
    unsigned tries;   /* that found nothing */
    int64_t begun_ms; /* when it was asked for first */
    int64_t again_ms; /* AGAIN */
    bool final_try;   /* asked for after the one who wrote it was gone */
};

/* What only a chunked body needs. */
struct read_chunks {
    struct event timer;       /* for slots in AGAIN */
    struct shared_call watch; /* growing: the open record */
    struct store_read *r;
    bool watching;
    bool writer_gone;   /* growing: the open record is no more */
    int64_t watched_ms; /* when the open record was asked for last */
    int64_t alive_ms;   /* growing: the last sign of life */
    unsigned ahead;
    struct read_slot slots[];
};

struct store_read {
    struct store *s;
    struct store_name name;
    enum store_which which;
    enum read_state state;
    bool waiting; /* next() has said WAIT */
    const struct store_read_events *events;
    void *arg;
    struct shared_call record; /* its value is the record */
    struct store_facts facts;
    struct store_found found;
    struct weir_slice body; /* inline; borrowed from record.value */
    uint64_t at, to;        /* of the body: what is given out next, and where the range ends */
    uint64_t given;
    uint64_t there;            /* growing: bytes known to be stored */
    enum shared_result result; /* BROKEN: why */
    struct read_chunks *chunks;
};

/* ---- the meta ---- */

static struct weir_span record_key(const struct store_read *r, char buf[STORE_KEY_MAX])
{
    bool growing = r->which == STORE_GROWING;

    return store_key(&r->name, growing ? STORE_KEY_OPEN : STORE_KEY_META, buf);
}

static struct weir_span value_span(const struct shared_call *c)
{
    if (c->value.blob == NULL)
        return WEIR_SPAN_NONE;
    return weir_span(weir_slice_ptr(c->value), c->value.len);
}

/* A record that nobody can read is in the way of none, but costs each reader its checksum. What
 * another writer has put there since stays: a sum does not come twice. */
static void remove_damaged(struct store_read *r, struct weir_span bytes)
{
    size_t some = bytes.len < RECORD_TAIL_BYTES ? bytes.len : RECORD_TAIL_BYTES;
    char key[STORE_KEY_MAX];

    if (some > 0)
        store_clean_record(r->s, record_key(r, key), bytes.len - some,
                           weir_span(bytes.ptr + bytes.len - some, some));
}

static enum shared_result judge_record(struct store_read *r)
{
    struct weir_span bytes = value_span(&r->record), body;
    bool growing = r->which == STORE_GROWING;
    enum record_verdict v = store_record_open(bytes, &r->facts, &r->found.meta, &body);

    if (v == RECORD_UNKNOWN)
        return SHARED_NONE; /* those of the other version can use it: it stays */
    /* What lies under the key of another (a copy by hand, say) is as bad as damage. */
    if (v != RECORD_OK || r->facts.growing != growing ||
        r->facts.check != (growing ? r->name.base_check : r->name.check)) {
        remove_damaged(r, bytes);
        return SHARED_BAD;
    }
    r->found.kind = r->facts.kind;
    r->found.growing = growing;
    r->found.generation = r->facts.generation;
    r->found.body_bytes = growing            ? STORE_LENGTH_UNKNOWN
                          : r->facts.chunked ? r->facts.body_bytes
                                             : body.len;
    r->there = r->facts.body_bytes;
    if (!r->facts.chunked)
        r->body = (struct weir_slice){r->record.value.blob,
                                      (uint32_t)(body.ptr - r->record.value.blob->bytes),
                                      (uint32_t)body.len};
    return SHARED_OK;
}

static void on_meta(struct shared_call *c)
{
    struct store_read *r = WEIR_CONTAINER(c, struct store_read, record);
    enum shared_result result = c->result;

    if (result == SHARED_OK)
        result = judge_record(r);
    r->state = result == SHARED_OK ? READ_FOUND : READ_NOTHING;
    if (result != SHARED_OK)
        r->found = (struct store_found){.kind = STORE_NOTHING};
    r->found.result = result;
    r->events->on_found(r, &r->found, r->arg); /* r may be gone now */
}

struct store_read *store_read_open(struct store *s, const struct store_name *name,
                                   enum store_which which, const struct store_read_events *events,
                                   void *arg)
{
    struct store_read *r = weir_calloc(1, sizeof(*r));
    char key[STORE_KEY_MAX];

    if (r == NULL)
        return NULL;
    r->s = s;
    r->name = *name;
    r->which = which;
    r->events = events;
    r->arg = arg;
    r->state = READ_META;
    r->record.done = on_meta;
    r->record.area = SHARED_CACHE;
    r->record.timeout_ms = s->set.meta_timeout_ms;
    r->record.primary = which != STORE_STORED;
    shared_get(s->port, &r->record, record_key(r, key));
    return r;
}

/* ---- the end ---- */

static void drop_chunks(struct store_read *r)
{
    struct read_chunks *cs = r->chunks;
    unsigned i;

    if (cs == NULL)
        return;
    event_del(&cs->timer);
    shared_cancel(r->s->port, &cs->watch);
    for (i = 0; i < cs->ahead; i++)
        shared_cancel(r->s->port, &cs->slots[i].call);
    weir_free(cs);
    r->chunks = NULL;
}

void store_read_close(struct store_read *r)
{
    if (r == NULL)
        return;
    drop_chunks(r);
    shared_cancel(r->s->port, &r->record);
    weir_free(r);
}

/* Not from inside next() and range(), whose caller learns it by the answer. r may be gone after. */
static void tell_ready(struct store_read *r)
{
    if (!r->waiting)
        return;
    r->waiting = false;
    r->events->on_ready(r, r->arg);
}

/* to_blame: what lies in the store is no whole object, and will not become one. */
static void fail(struct store_read *r, enum shared_result result, bool to_blame)
{
    char key[STORE_KEY_MAX];

    r->state = READ_BROKEN;
    r->result = result;
    drop_chunks(r);
    if (to_blame && r->which != STORE_GROWING)
        store_clean_generation(r->s, record_key(r, key), r->facts.generation);
}

/* ---- chunks ---- */

static uint64_t chunk_at(const struct store_read *r, uint64_t offset)
{
    return offset / r->facts.chunk_bytes;
}

static struct read_slot *slot_of(struct read_chunks *cs, uint64_t index)
{
    return &cs->slots[index % cs->ahead];
}

/* Before the first byte a miss is cheap: the origin is asked instead. After it a client is waiting
 * for the rest. */
static uint32_t patience_ms(const struct store_read *r, const struct read_slot *slot)
{
    const struct store_settings *set = &r->s->set;
    bool first = r->given == 0 && slot->index == chunk_at(r, r->at);
    int64_t left = slot->begun_ms + set->stall_timeout_ms - store_now_ms(r->s);

    if (first && r->which != STORE_GROWING)
        return set->chunk_timeout_ms;
    if (r->which == STORE_GROWING || left > set->stall_timeout_ms)
        left = set->stall_timeout_ms;
    return left > 1 ? (uint32_t)left : 1;
}

static void ask(struct store_read *r, struct read_slot *slot)
{
    char key[STORE_KEY_MAX];

    slot->state = SLOT_ASKED;
    slot->final_try = r->chunks->writer_gone;
    slot->call.timeout_ms = patience_ms(r, slot);
    /* The second time, from where it was written. */
    slot->call.primary = r->which == STORE_GROWING || slot->tries > 0;
    shared_get(r->s->port, &slot->call,
               store_chunk_key(&r->name, r->facts.generation, slot->index, key));
}

static void set_timer(struct store_read *r)
{
    struct read_chunks *cs = r->chunks;
    int64_t wait_ms = INT64_MAX;
    struct timeval tv;
    unsigned i;

    for (i = 0; i < cs->ahead; i++)
        if (cs->slots[i].state == SLOT_AGAIN) {
            int64_t left = cs->slots[i].again_ms - store_now_ms(r->s);

            wait_ms = left < wait_ms ? left : wait_ms;
        }
    if (wait_ms == INT64_MAX)
        return;
    wait_ms = wait_ms > 0 ? wait_ms : 0;
    tv = (struct timeval){wait_ms / 1000, wait_ms % 1000 * 1000};
    if (event_add(&cs->timer, &tv) != 0) /* no memory for a timer: look again in the next turn */
        event_active(&cs->timer, EV_TIMEOUT, 0);
}

static void ask_later(struct store_read *r, struct read_slot *slot, int64_t ms)
{
    slot->state = SLOT_AGAIN;
    slot->again_ms = store_now_ms(r->s) + ms;
    set_timer(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct store_read *r = arg;
    struct read_chunks *cs = r->chunks;
    unsigned i;

    (void)fd, (void)what;
    store_enter(r->s);
    for (i = 0; i < cs->ahead; i++)
        if (cs->slots[i].state == SLOT_AGAIN && cs->slots[i].again_ms <= store_now_ms(r->s))
            ask(r, &cs->slots[i]);
    set_timer(r);
}

/* The index behind the last chunk that is worth asking for now. */
static uint64_t ask_end(const struct store_read *r)
{
    uint64_t from = chunk_at(r, r->at), end = from + r->chunks->ahead;
    uint64_t known = r->to;

    /* Of a growing body: what is known to be there, and the next, which is polled for. */
    if (r->which == STORE_GROWING && r->there < known)
        known = (r->there > r->at ? r->there : r->at) + 1;
    known = store_chunk_count(known, r->facts.chunk_bytes);
    return known < end ? known : end;
}

/* Asks for what fits into the slots. */
static void read_ahead(struct store_read *r)
{
    uint64_t i = chunk_at(r, r->at), end = ask_end(r);

    for (; i < end; i++) {
        struct read_slot *slot = slot_of(r->chunks, i);

        if (slot->state != SLOT_EMPTY)
            continue;
        slot->index = (uint32_t)i;
        slot->tries = 0;
        slot->begun_ms = store_now_ms(r->s);
        ask(r, slot);
    }
}

/* How many bytes of the body chunk i must have; of a growing body, at most. */
static uint64_t chunk_due(const struct store_read *r, uint64_t index)
{
    uint64_t from = index * r->facts.chunk_bytes;
    uint64_t left = r->which == STORE_GROWING ? UINT64_MAX : r->facts.body_bytes - from;

    return left < r->facts.chunk_bytes ? left : r->facts.chunk_bytes;
}

static bool chunk_fits(const struct store_read *r, const struct read_slot *slot,
                       const struct store_chunk *c)
{
    uint64_t due = chunk_due(r, slot->index);

    if (c->generation != r->facts.generation || c->index != slot->index)
        return false;
    return r->which == STORE_GROWING && c->last ? c->bytes <= due : c->bytes == due;
}

/* false: it is not what it should be. */
static bool take_chunk(struct store_read *r, struct read_slot *slot)
{
    struct store_chunk c;
    uint64_t end;

    if (!store_chunk_open(value_span(&slot->call), &c) || !chunk_fits(r, slot, &c))
        return false;
    slot->state = SLOT_READY;
    slot->bytes = c.bytes;
    if (r->which != STORE_GROWING)
        return true;
    r->chunks->alive_ms = store_now_ms(r->s);
    end = slot->index * r->facts.chunk_bytes + c.bytes;
    if (end > r->there)
        r->there = end;
    if (c.last && end < r->to)
        r->to = end > r->at ? end : r->at;
    return true;
}

/* ---- growing: is who writes it still there? ---- */

static void on_watched(struct shared_call *c)
{
    struct read_chunks *cs = WEIR_CONTAINER(c, struct read_chunks, watch);
    struct store_read *r = cs->r;
    struct store_facts facts;
    struct weir_span meta, body;

    cs->watching = false;
    if (c->result == SHARED_OK &&
        store_record_open(value_span(c), &facts, &meta, &body) == RECORD_OK && facts.growing &&
        facts.generation == r->facts.generation) {
        cs->alive_ms = store_now_ms(r->s);
        if (facts.body_bytes > r->there)
            r->there = facts.body_bytes;
    } else if (c->result == SHARED_OK || c->result == SHARED_NONE) {
        cs->writer_gone = true; /* the missing chunk is asked for once more: it may be the last */
        store_read_poke(r);
    }
    shared_call_clear(c);
}

static void watch(struct store_read *r)
{
    struct read_chunks *cs = r->chunks;
    int64_t now_ms = store_now_ms(r->s);
    char key[STORE_KEY_MAX];

    if (cs->watching || cs->writer_gone ||
        now_ms - cs->watched_ms < r->s->set.open_lease_ms / WATCHES)
        return;
    cs->watching = true;
    cs->watched_ms = now_ms;
    cs->watch.timeout_ms = r->s->set.stall_timeout_ms;
    shared_get(r->s->port, &cs->watch, record_key(r, key));
}

/* false: it will not come any more. */
static bool await_growth(struct store_read *r, struct read_slot *slot)
{
    struct read_chunks *cs = r->chunks;
    int64_t silent_ms = store_now_ms(r->s) - cs->alive_ms;
    int64_t wait_ms = POLL_FIRST_MS;
    unsigned i;

    /* Twice: the open record itself lives that long without progress. */
    if (slot->final_try || silent_ms > 2 * (int64_t)r->s->set.open_lease_ms)
        return false;
    for (i = 0; i < slot->tries && wait_ms < POLL_MAX_MS; i++)
        wait_ms *= 2;
    slot->tries++;
    watch(r);
    ask_later(r, slot, cs->writer_gone ? 0 : wait_ms);
    return true;
}

/* ---- what came of a question for a chunk ---- */

static bool try_again(struct store_read *r, struct read_slot *slot, enum shared_result result)
{
    bool in_time = store_now_ms(r->s) - slot->begun_ms < r->s->set.stall_timeout_ms;

    if (r->which == STORE_GROWING && result != SHARED_BAD)
        return await_growth(r, slot);
    if (result == SHARED_NONE && slot->tries == 0) {
        slot->tries++;
        ask_later(r, slot, LAG_MS);
        return true;
    }
    if ((result == SHARED_GONE || result == SHARED_FULL) && r->given > 0 && in_time) {
        slot->tries++;
        ask_later(r, slot, POLL_MAX_MS);
        return true;
    }
    return false;
}

static void on_chunk(struct shared_call *c)
{
    struct read_slot *slot = WEIR_CONTAINER(c, struct read_slot, call);
    struct store_read *r = slot->r;
    enum shared_result result = c->result;

    if (result == SHARED_OK && !take_chunk(r, slot))
        result = SHARED_BAD;
    if (result != SHARED_OK && try_again(r, slot, result))
        return;
    if (result != SHARED_OK)
        fail(r, result, result == SHARED_NONE || result == SHARED_BAD);
    else
        read_ahead(r); /* of a growing body more may be known now */
    if (r->state == READ_BROKEN || chunk_at(r, r->at) == slot->index || r->at >= r->to)
        tell_ready(r);
}

static struct read_chunks *chunks_new(struct store_read *r)
{
    unsigned ahead = r->s->set.read_ahead, i;
    struct read_chunks *cs = weir_calloc(1, sizeof(*cs) + ahead * sizeof(cs->slots[0]));

    if (cs == NULL)
        return NULL;
    cs->r = r;
    cs->ahead = ahead;
    cs->alive_ms = cs->watched_ms = store_now_ms(r->s);
    cs->watch.done = on_watched;
    cs->watch.area = SHARED_CACHE;
    cs->watch.primary = true;
    for (i = 0; i < ahead; i++) {
        cs->slots[i].r = r;
        cs->slots[i].call.done = on_chunk;
        cs->slots[i].call.area = SHARED_CACHE;
        cs->slots[i].call.bulk = true;
    }
    event_assign(&cs->timer, r->s->loop.base, -1, 0, on_timer, r);
    return cs;
}

/* ---- the caller's side ---- */

void store_read_range(struct store_read *r, uint64_t from, uint64_t to)
{
    uint64_t end = r->found.body_bytes;

    assert(r->state == READ_FOUND && r->found.kind == STORE_OBJECT);
    r->state = READ_BODY;
    r->to = to < end ? to : end;
    r->at = from < r->to ? from : r->to;
    if (!r->facts.chunked || r->at == r->to)
        return;
    r->chunks = chunks_new(r);
    if (r->chunks == NULL)
        fail(r, SHARED_FULL, false);
    else
        read_ahead(r);
}

static void give(struct store_read *r, struct weir_slice from, uint64_t skip,
                 struct weir_slice *out)
{
    uint64_t len = from.len - skip;

    if (len > r->to - r->at)
        len = r->to - r->at;
    *out =
        (struct weir_slice){weir_blob_ref(from.blob), (uint32_t)(from.off + skip), (uint32_t)len};
    r->at += len;
    r->given += len;
}

static void give_chunk(struct store_read *r, struct read_slot *slot, struct weir_slice *out)
{
    struct weir_slice bytes = slot->call.value;

    bytes.off += STORE_CHUNK_HEAD;
    bytes.len -= STORE_CHUNK_HEAD;
    give(r, bytes, r->at % r->facts.chunk_bytes, out);
    /* A call never ends in less than the chunk or the range, so the slot is free. */
    shared_call_clear(&slot->call);
    slot->state = SLOT_EMPTY;
    if (r->at < r->to)
        read_ahead(r);
}

enum store_step store_read_next(struct store_read *r, struct weir_slice *out)
{
    struct read_slot *slot;

    if (r->state == READ_BROKEN)
        return STORE_BROKEN;
    assert(r->state == READ_BODY);
    if (r->at >= r->to)
        return STORE_END;
    if (!r->facts.chunked) {
        give(r, r->body, r->at, out);
        return STORE_BYTES;
    }
    slot = slot_of(r->chunks, chunk_at(r, r->at));
    if (slot->state == SLOT_READY && slot->bytes > r->at % r->facts.chunk_bytes) {
        give_chunk(r, slot, out);
        return STORE_BYTES;
    }
    r->waiting = true;
    return STORE_WAIT;
}

uint64_t store_read_given(const struct store_read *r)
{
    return r->given;
}

enum shared_result store_read_result(const struct store_read *r)
{
    return r->result;
}

void store_read_poke(struct store_read *r)
{
    unsigned i;

    if (r == NULL || r->chunks == NULL)
        return;
    for (i = 0; i < r->chunks->ahead; i++)
        if (r->chunks->slots[i].state == SLOT_AGAIN)
            ask(r, &r->chunks->slots[i]);
}

void store_read_whole(const struct store_read *r, struct store_whole *out)
{
    assert(r->state >= READ_FOUND && r->found.kind == STORE_OBJECT && !r->found.growing);
    *out = (struct store_whole){.name = &r->name,
                                .generation = r->facts.generation,
                                .body_bytes = r->found.body_bytes,
                                .chunk_bytes = r->facts.chunk_bytes,
                                .chunked = r->facts.chunked,
                                .body = r->body};
}
