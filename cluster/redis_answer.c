#include "redis_answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "redis_reply.h"
#include "weir/alloc.h"

/* ---- ids ---- */

#define SEQ_MAX ((1ull << REDIS_LOG_SEQ_BITS) - 1)
#define MS_MAX  (UINT64_MAX >> REDIS_LOG_SEQ_BITS)

bool redis_log_id_parse(struct weir_span text, uint64_t *id)
{
    const char *dash = text.len > 0 ? memchr(text.ptr, '-', text.len) : NULL;
    unsigned long long ms, seq;

    if (dash == NULL)
        return false;
    struct weir_span before = weir_span(text.ptr, (size_t)(dash - text.ptr));
    struct weir_span after = weir_span(dash + 1, text.len - before.len - 1);

    if (!weir_span_u64(before, MS_MAX, &ms) || !weir_span_u64(after, SEQ_MAX, &seq))
        return false;
    *id = ms << REDIS_LOG_SEQ_BITS | seq;
    return true;
}

struct weir_span redis_log_id_text(uint64_t id, char buf[REDIS_LOG_ID_TEXT])
{
    int n = snprintf(buf, REDIS_LOG_ID_TEXT, "%llu-%llu",
                     (unsigned long long)(id >> REDIS_LOG_SEQ_BITS),
                     (unsigned long long)(id & SEQ_MAX));

    return weir_span(buf, (size_t)n);
}

static bool log_id(const struct redis_reply *r, uint64_t *id)
{
    struct weir_span text;

    return redis_reply_text(r, &text) && redis_log_id_parse(text, id);
}

/* ---- errors ---- */

enum shared_result redis_answer_error(const struct redis_reply *reply)
{
    static const struct {
        const char *word;
        enum shared_result result;
    } known[] = {
        {"OOM", SHARED_FULL},         {"MISCONF", SHARED_FULL}, /* it cannot write its disk, and so
                                                                   takes no more */
        {"CLUSTERDOWN", SHARED_GONE}, {"LOADING", SHARED_GONE}, {"MASTERDOWN", SHARED_GONE},
        {"NOREPLICAS", SHARED_GONE}, /* min-replicas-to-write */
        {"READONLY", SHARED_GONE},   /* these four: redirected once too often (redis.md 3.3) */
        {"MOVED", SHARED_GONE},       {"ASK", SHARED_GONE},     {"TRYAGAIN", SHARED_GONE},
        {"BUSY", SHARED_GONE}, /* a script of somebody else has run for too long */
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (redis_reply_is_error(reply, known[i].word))
            return known[i].result;
    return SHARED_BAD; /* WRONGTYPE, NOPERM, NOSCRIPT, ERR ... */
}

/* ---- one function for each form of answer; an error reply never comes here ---- */

static enum shared_result answer_get(const struct redis_reply *r, struct shared_call *c)
{
    if (redis_reply_is_nil(r))
        return SHARED_NONE;
    if (r->kind != REDIS_KIND_BULK || r->text.len > SHARED_VALUE_MAX)
        return SHARED_BAD;
    return redis_reply_slice(r, &c->value) ? SHARED_OK : SHARED_FULL;
}

static enum shared_result answer_put(const struct redis_reply *r, struct shared_call *c)
{
    (void)c;
    return redis_reply_is_status(r, "OK") ? SHARED_OK : SHARED_BAD;
}

static enum shared_result answer_put_new(const struct redis_reply *r, struct shared_call *c)
{
    return redis_reply_is_nil(r) ? SHARED_REFUSED : answer_put(r, c);
}

/* A script that says 1: done, or 0: the condition does not hold. */
static enum shared_result answer_condition(const struct redis_reply *r, struct shared_call *c)
{
    int64_t done;

    (void)c;
    if (!redis_reply_int(r, &done) || done < 0 || done > 1)
        return SHARED_BAD;
    return done == 1 ? SHARED_OK : SHARED_REFUSED;
}

/* The same, or -1: there is none. */
static enum shared_result answer_remove_if(const struct redis_reply *r, struct shared_call *c)
{
    int64_t done;

    return redis_reply_int(r, &done) && done == -1 ? SHARED_NONE : answer_condition(r, c);
}

/* 1, or -1: there is none. */
static enum shared_result answer_touch(const struct redis_reply *r, struct shared_call *c)
{
    enum shared_result result = answer_remove_if(r, c);

    return result == SHARED_REFUSED ? SHARED_BAD : result;
}

static enum shared_result answer_remove(const struct redis_reply *r, struct shared_call *c)
{
    int64_t removed;

    if (!redis_reply_int(r, &removed) || removed < 0 || removed > 1)
        return SHARED_BAD;
    c->number = (uint64_t)removed;
    return SHARED_OK;
}

/* How many heard it through this node: true of one node alone, so nobody is told. */
static enum shared_result answer_hint(const struct redis_reply *r, struct shared_call *c)
{
    int64_t heard;

    (void)c;
    return redis_reply_int(r, &heard) && heard >= 0 ? SHARED_OK : SHARED_BAD;
}

/* {1, fence} or {0, milliseconds left of another's}. */
static enum shared_result answer_take(const struct redis_reply *r, struct shared_call *c)
{
    int64_t taken, n;

    if (!redis_reply_int(redis_reply_at(r, 0), &taken) ||
        !redis_reply_int(redis_reply_at(r, 1), &n) || r->count != 2)
        return SHARED_BAD;
    if (taken == 1 && n > 0) {
        c->number = (uint64_t)n;
        return SHARED_OK;
    }
    if (taken == 0 && n >= 0) {
        c->left_ms = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
        return SHARED_REFUSED;
    }
    return SHARED_BAD;
}

/* The waiters' channels, or 0. */
static enum shared_result answer_wake(const struct redis_reply *r, struct shared_call *c)
{
    int64_t none;

    if (redis_reply_int(r, &none))
        return none == 0 ? SHARED_REFUSED : SHARED_BAD;
    if (r->kind != REDIS_KIND_ARRAY)
        return SHARED_BAD;
    for (size_t i = 0; i < r->count; i++) {
        struct weir_span channel;

        if (!redis_reply_text(&r->items[i], &channel) || channel.len == 0 ||
            channel.len > SHARED_KEY_MAX)
            return SHARED_BAD;
    }
    c->number = r->count;
    return SHARED_OK;
}

struct weir_span redis_answer_waiter(const struct redis_reply *reply, size_t i)
{
    struct weir_span channel = WEIR_SPAN_NONE;

    redis_reply_text(redis_reply_at(reply, i), &channel);
    return channel;
}

static enum shared_result answer_log_id(const struct redis_reply *r, struct shared_call *c)
{
    return log_id(r, &c->number) ? SHARED_OK : SHARED_BAD;
}

/* ---- a log's records: {newest, oldest or "0-0", id, bytes, id, bytes ...} ---- */

#define LOG_READ_HEAD 2

/* Are the records whole and in order? How many bytes do they hold? */
static bool records_sound(const struct redis_reply *r, size_t *bytes)
{
    uint64_t before = 0, id;
    struct weir_span text;

    *bytes = 0;
    for (size_t i = LOG_READ_HEAD; i < r->count; i += 2) {
        if (!log_id(&r->items[i], &id) || id <= before || r->items[i + 1].kind != REDIS_KIND_BULK ||
            !redis_reply_text(&r->items[i + 1], &text))
            return false;
        before = id;
        *bytes += text.len;
    }
    return true;
}

/* One block: the entries, and behind them their bytes. */
static bool copy_records(const struct redis_reply *r, size_t bytes, struct shared_call *c)
{
    size_t count = (r->count - LOG_READ_HEAD) / 2;
    struct shared_entry *entries = weir_malloc(count * sizeof *entries + bytes);

    if (entries == NULL)
        return false;
    char *at = (char *)(entries + count);

    for (size_t i = 0; i < count; i++) {
        struct weir_span text = WEIR_SPAN_NONE;

        log_id(&r->items[LOG_READ_HEAD + 2 * i], &entries[i].id);
        redis_reply_text(&r->items[LOG_READ_HEAD + 2 * i + 1], &text);
        if (text.len > 0)
            memcpy(at, text.ptr, text.len);
        entries[i].bytes = weir_span(at, text.len);
        at += text.len;
    }
    c->entries = entries;
    c->entry_count = count;
    c->owned = entries;
    return true;
}

static enum shared_result answer_log_read(const struct redis_reply *r, struct shared_call *c)
{
    uint64_t last, first;
    size_t bytes;

    if (redis_reply_is_nil(r))
        return SHARED_NONE;
    if (!log_id(redis_reply_at(r, 0), &last) || !log_id(redis_reply_at(r, 1), &first) ||
        r->count % 2 != 0 || !records_sound(r, &bytes))
        return SHARED_BAD;
    if (r->count > LOG_READ_HEAD && !copy_records(r, bytes, c))
        return SHARED_FULL;
    c->log_last = last;
    c->log_first = first;
    return SHARED_OK;
}

/* ---- boards: {now, {id, "<put ms> <end ms or 0> <bytes>", ...}} ---- */

#define SHARED_MS_MAX ((1ull << 53) - 1) /* what a script can count */

static enum shared_result answer_board_put(const struct redis_reply *r, struct shared_call *c)
{
    int64_t now;

    if (!redis_reply_int(r, &now) || now < 0 || (uint64_t)now > SHARED_MS_MAX)
        return SHARED_BAD;
    c->number = (uint64_t)now;
    return now > 0 ? SHARED_OK : SHARED_FULL;
}

static enum shared_result answer_board_remove(const struct redis_reply *r, struct shared_call *c)
{
    return answer_board_put(r, c) == SHARED_OK ? SHARED_OK : SHARED_BAD;
}

/* Digits up to the next space, which is taken as well. */
static bool take_ms(struct weir_span *from, uint64_t *ms)
{
    const char *space = from->len > 0 ? memchr(from->ptr, ' ', from->len) : NULL;
    unsigned long long n;

    if (space == NULL ||
        !weir_span_u64(weir_span(from->ptr, (size_t)(space - from->ptr)), SHARED_MS_MAX, &n))
        return false;
    *ms = n;
    *from = weir_span(space + 1, from->len - (size_t)(space + 1 - from->ptr));
    return true;
}

/* One entry, its bytes still in the reply. *alive: it has not ended. What no engine wrote is no
 * entry: one stray field must not blind all who read the board. */
static bool read_note(const struct redis_reply *id, const struct redis_reply *value, uint64_t now,
                      struct shared_note *note, bool *alive)
{
    uint64_t put, end;

    if (id->kind != REDIS_KIND_BULK || value->kind != REDIS_KIND_BULK)
        return false;
    note->id = id->text;
    note->bytes = value->text;
    *alive = false;
    if (note->id.len == 0) /* the sum */
        return true;
    if (note->id.len > SHARED_BOARD_ID_MAX || !take_ms(&note->bytes, &put) ||
        !take_ms(&note->bytes, &end) || note->bytes.len > SHARED_BOARD_POST_MAX)
        return true;
    *alive = end == 0 || end > now;
    note->age_ms = now > put ? (int64_t)(now - put) : 0;
    note->left_ms = end == 0 ? -1 : (int64_t)(end - now);
    /* The clock was set back, or a replica with another one took over: it does not live longer. */
    if (end > put && put > now)
        note->left_ms = (int64_t)(end - put);
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct shared_note *x = a, *y = b;
    size_t common = x->id.len < y->id.len ? x->id.len : y->id.len;
    int order = memcmp(x->id.ptr, y->id.ptr, common);

    return order != 0 ? order : (x->id.len > y->id.len) - (x->id.len < y->id.len);
}

/* The living ones, in order; *bytes: of all ids and entries. */
static bool read_notes(const struct redis_reply *fields, uint64_t now, struct shared_note *notes,
                       size_t *count, size_t *bytes)
{
    bool alive;

    *count = *bytes = 0;
    for (size_t i = 0; i + 1 < fields->count; i += 2) {
        struct shared_note *note = &notes[*count];

        if (!read_note(&fields->items[i], &fields->items[i + 1], now, note, &alive))
            return false;
        *count += alive ? 1 : 0;
        *bytes += alive ? note->id.len + note->bytes.len : 0;
    }
    if (*count > 0)
        qsort(notes, *count, sizeof *notes, by_id);
    for (size_t i = 1; i < *count; i++)
        if (by_id(&notes[i - 1], &notes[i]) == 0)
            return false;
    return true;
}

static struct weir_span copy_bytes(char **at, struct weir_span bytes)
{
    struct weir_span copy = weir_span(*at, bytes.len);

    if (bytes.len > 0)
        memcpy(*at, bytes.ptr, bytes.len);
    *at += bytes.len;
    return copy;
}

/* One block: the notes, and behind them their ids and bytes. */
static bool copy_notes(struct shared_note *notes, size_t count, size_t bytes, struct shared_call *c)
{
    struct shared_note *copy = weir_malloc(count * sizeof *copy + bytes);

    if (copy == NULL)
        return false;
    char *at = (char *)(copy + count);

    for (size_t i = 0; i < count; i++) {
        copy[i] = notes[i];
        copy[i].id = copy_bytes(&at, notes[i].id);
        copy[i].bytes = copy_bytes(&at, notes[i].bytes);
    }
    c->notes = copy;
    c->note_count = count;
    c->owned = copy;
    return true;
}

static enum shared_result answer_board_read(const struct redis_reply *r, struct shared_call *c)
{
    const struct redis_reply *fields = redis_reply_at(r, 1);
    enum shared_result result = SHARED_OK;
    struct shared_note *notes = NULL;
    size_t count = 0, bytes = 0;
    int64_t now;

    if (!redis_reply_int(redis_reply_at(r, 0), &now) || now <= 0 || (uint64_t)now > SHARED_MS_MAX ||
        fields == NULL || r->count != 2 || fields->kind != REDIS_KIND_ARRAY ||
        fields->count % 2 != 0)
        return SHARED_BAD;
    if (fields->count > 0) {
        notes = weir_malloc(fields->count / 2 * sizeof *notes);
        if (notes == NULL)
            return SHARED_FULL;
        if (!read_notes(fields, (uint64_t)now, notes, &count, &bytes))
            result = SHARED_BAD;
        else if (count > 0 && !copy_notes(notes, count, bytes, c))
            result = SHARED_FULL;
        weir_free(notes);
    }
    if (result == SHARED_OK)
        c->number = (uint64_t)now;
    return result;
}

/* {taken, rest, wait_ms}: some and nothing to wait for, or none and a while. */
static enum shared_result answer_tokens(const struct redis_reply *r, struct shared_call *c)
{
    int64_t taken, rest, wait_ms;

    if (!redis_reply_int(redis_reply_at(r, 0), &taken) ||
        !redis_reply_int(redis_reply_at(r, 1), &rest) ||
        !redis_reply_int(redis_reply_at(r, 2), &wait_ms) || r->count != 3 || taken < 0 ||
        taken > SHARED_BURST_MAX || rest < 0 || rest > SHARED_BURST_MAX || wait_ms < 0 ||
        wait_ms > UINT32_MAX || (taken > 0) != (wait_ms == 0) || (taken == 0 && rest > 0))
        return SHARED_BAD;
    c->number = (uint64_t)taken;
    c->rest = (uint32_t)rest;
    c->left_ms = (uint32_t)wait_ms;
    return taken > 0 ? SHARED_OK : SHARED_REFUSED;
}

/* ---- the table ---- */

static const struct {
    const char *name;
    enum shared_result (*answer)(const struct redis_reply *r, struct shared_call *c);
} ops[REDIS_OPS] = {
    [REDIS_OP_GET] = {"get", answer_get},
    [REDIS_OP_PUT] = {"put", answer_put},
    [REDIS_OP_PUT_FENCED] = {"put_fenced", answer_condition},
    [REDIS_OP_PUT_NEW] = {"put_new", answer_put_new},
    [REDIS_OP_REMOVE] = {"remove", answer_remove},
    [REDIS_OP_REMOVE_IF] = {"remove_if", answer_remove_if},
    [REDIS_OP_TOUCH] = {"touch", answer_touch},
    [REDIS_OP_LEASE_TAKE] = {"lease_take", answer_take},
    [REDIS_OP_LEASE_RENEW] = {"lease_renew", answer_condition},
    [REDIS_OP_LEASE_WAKE] = {"lease_wake", answer_wake},
    [REDIS_OP_LEASE_RELEASE] = {"lease_release", answer_wake},
    [REDIS_OP_LOG_APPEND] = {"log_append", answer_log_id},
    [REDIS_OP_LOG_OPEN] = {"log_open", answer_log_id},
    [REDIS_OP_LOG_READ] = {"log_read", answer_log_read},
    [REDIS_OP_BOARD_PUT] = {"board_put", answer_board_put},
    [REDIS_OP_BOARD_REMOVE] = {"board_remove", answer_board_remove},
    [REDIS_OP_BOARD_READ] = {"board_read", answer_board_read},
    [REDIS_OP_TOKENS_TAKE] = {"tokens_take", answer_tokens},
    [REDIS_OP_HINT] = {"hint", answer_hint},
};

const char *redis_op_name(enum redis_op op)
{
    return ops[op].name;
}

void redis_answer(enum redis_op op, const struct redis_reply *reply, struct shared_call *c)
{
    c->result =
        redis_reply_is_error(reply, NULL) ? redis_answer_error(reply) : ops[op].answer(reply, c);
}
