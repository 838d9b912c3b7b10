/* Logs of the embedded engine: rings of records, which stay until they are too many. */
#include "embedded_own.h"

#include <inttypes.h>
#include <stdio.h>

#include "weir/alloc.h"
#include "weir/container.h"

#define RING_FIRST 16

struct record {
    uint64_t id;
    size_t len;
    char bytes[];
};

struct log {
    struct embedded_item item;
    uint64_t last_id;
    bool dropped; /* any record, ever */
    struct record **ring;
    size_t first, count, cap; /* cap: a power of two */
};

static struct log *log_of(struct embedded_item *it)
{
    return WEIR_CONTAINER(it, struct log, item);
}

static struct record *record_at(const struct log *log, size_t i)
{
    return log->ring[(log->first + i) & (log->cap - 1)];
}

static size_t record_cost(const struct record *r)
{
    return sizeof(*r) + r->len + 2 * sizeof(r); /* with its share of a ring that doubles */
}

static void log_drop(struct embedded_item *it)
{
    struct log *log = log_of(it);
    size_t i;

    for (i = 0; i < log->count; i++)
        weir_free(record_at(log, i));
    weir_free(log->ring);
    weir_free(log);
}

/* ---- writing ---- */

static bool ring_reserve(struct log *log)
{
    size_t cap = log->cap > 0 ? log->cap * 2 : RING_FIRST, i;
    struct record **wider;

    if (log->count < log->cap)
        return true;
    wider = weir_malloc(cap * sizeof(struct record *));
    if (wider == NULL)
        return false;
    for (i = 0; i < log->count; i++)
        wider[i] = record_at(log, i);
    weir_free(log->ring);
    log->ring = wider;
    log->first = 0;
    log->cap = cap;
    return true;
}

static struct record *record_new(struct weir_span bytes)
{
    struct record *r = weir_malloc(sizeof(*r) + bytes.len);

    if (r == NULL)
        return NULL;
    r->len = bytes.len;
    if (bytes.len > 0)
        memcpy(r->bytes, bytes.ptr, bytes.len);
    return r;
}

/* The millisecond and its first number; or, within one millisecond or after the wall clock was set
 * back, the next number. */
static uint64_t next_id(uint64_t above, int64_t wall_ms)
{
    uint64_t id = (uint64_t)wall_ms << 20;

    return id > above ? id : above + 1;
}

/* There is room in the ring. */
static void push(struct log *log, struct record *r, int64_t wall_ms, uint64_t above)
{
    r->id = log->last_id = next_id(above > log->last_id ? above : log->last_id, wall_ms);
    log->ring[(log->first + log->count++) & (log->cap - 1)] = r;
}

static void trim(struct embedded_visit *v, struct log *log, size_t max)
{
    while (log->count > max) {
        struct record *r = record_at(log, 0);

        log->first = (log->first + 1) & (log->cap - 1);
        log->count--;
        log->dropped = true;
        embedded_shrink(v, &log->item, record_cost(r));
        weir_free(r);
    }
}

/* In no place yet, with the beginning in it. */
static struct log *log_new(struct weir_span key, int64_t wall_ms)
{
    struct record *beginning = record_new(WEIR_SPAN_NONE);
    struct embedded_item *it;

    if (beginning == NULL)
        return NULL;
    it = embedded_item_new(sizeof(struct log), key, EMBEDDED_LOG, record_cost(beginning), log_drop);
    if (it == NULL || !ring_reserve(log_of(it))) {
        weir_free(beginning);
        if (it != NULL)
            log_drop(it);
        return NULL;
    }
    push(log_of(it), beginning, wall_ms, 0);
    return log_of(it);
}

static enum shared_result find_log(struct embedded_visit *v, struct weir_span key, struct log **out)
{
    struct embedded_item *it = embedded_find(v, key);

    if (it == NULL)
        return SHARED_NONE;
    if (it->kind != EMBEDDED_LOG)
        return SHARED_BAD;
    *out = log_of(it);
    return SHARED_OK;
}

static enum shared_result open_log(struct embedded_visit *v, struct weir_span key, int64_t wall_ms,
                                   struct log **out)
{
    enum shared_result result = find_log(v, key, out);

    if (result != SHARED_NONE)
        return result;
    *out = log_new(key, wall_ms);
    if (*out == NULL)
        return SHARED_FULL;
    if (!embedded_insert(v, &(*out)->item, EMBEDDED_NEVER)) {
        log_drop(&(*out)->item);
        return SHARED_FULL;
    }
    return SHARED_OK;
}

/* A log that had to be made stays, with its beginning alone, if the record finds no room. */
static enum shared_result append(struct embedded_visit *v, const struct shared_log *to,
                                 struct record *r, int64_t wall_ms)
{
    struct log *log;
    enum shared_result result = open_log(v, to->key, wall_ms, &log);

    if (result != SHARED_OK)
        return result;
    if (!ring_reserve(log) || !embedded_grow(v, &log->item, record_cost(r)))
        return SHARED_FULL;
    push(log, r, wall_ms, to->above);
    trim(v, log, to->max);
    return SHARED_OK;
}

static void say_id(struct shared_port *p, const struct shared_call *c, const struct shared_log *log)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%" PRIu64, c->number);

    embedded_say(&embedded_engine_of(p)->channels, c->area, log->channel,
                 weir_span(digits, (size_t)n));
}

void embedded_log_append(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                         struct weir_span bytes)
{
    struct record *r = record_new(bytes);
    enum shared_result result = SHARED_FULL;
    struct embedded_visit v;

    embedded_visit_for(&v, p, c, log->key);
    if (r != NULL)
        do {
            embedded_lock(&v);
            result = append(&v, log, r, p->loop.clock->wall_ms);
            if (result == SHARED_OK)
                c->number = r->id;
        } while (embedded_unlock_again(&v));
    if (result == SHARED_OK)
        say_id(p, c, log);
    else
        weir_free(r);
    shared_complete(p, c, result);
}

void embedded_log_open(struct shared_port *p, struct shared_call *c, const struct shared_log *log)
{
    enum shared_result result;
    struct embedded_visit v;
    struct log *found;

    embedded_visit_for(&v, p, c, log->key);
    do {
        embedded_lock(&v);
        result = open_log(&v, log->key, p->loop.clock->wall_ms, &found);
        if (result == SHARED_OK)
            c->number = found->last_id;
    } while (embedded_unlock_again(&v));
    shared_complete(p, c, result);
}

/* ---- reading ---- */

/* Index of the first record after `after`: ids grow. */
static size_t first_after(const struct log *log, uint64_t after)
{
    size_t low = 0, high = log->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (record_at(log, middle)->id <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Entries and their bytes in one allocation. False without memory. */
static bool copy_entries(struct shared_call *c, const struct log *log, size_t from, size_t count)
{
    size_t bytes = count * sizeof(struct shared_entry), i;
    struct shared_entry *entries;
    char *at;

    for (i = 0; i < count; i++)
        bytes += record_at(log, from + i)->len;
    entries = weir_malloc(bytes);
    if (entries == NULL)
        return false;
    at = (char *)(entries + count);
    for (i = 0; i < count; i++) {
        const struct record *r = record_at(log, from + i);

        entries[i] = (struct shared_entry){.id = r->id, .bytes = weir_span(at, r->len)};
        if (r->len > 0)
            memcpy(at, r->bytes, r->len);
        at += r->len;
    }
    c->owned = entries;
    c->entries = entries;
    c->entry_count = count;
    return true;
}

static enum shared_result read_log(struct shared_call *c, const struct log *log, uint64_t after,
                                   size_t max)
{
    size_t from = first_after(log, after);
    size_t count = log->count - from < max ? log->count - from : max;

    if (count > 0 && !copy_entries(c, log, from, count))
        return SHARED_FULL;
    c->log_first = log->dropped ? record_at(log, 0)->id : 0;
    c->log_last = log->last_id;
    return SHARED_OK;
}

void embedded_log_read(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                       uint64_t after, size_t max)
{
    enum shared_result result;
    struct embedded_visit v;
    struct log *found;

    embedded_visit_for(&v, p, c, log->key);
    do {
        embedded_lock(&v);
        result = find_log(&v, log->key, &found);
        if (result == SHARED_OK)
            result = read_log(c, found, after, max);
    } while (embedded_unlock_again(&v));
    shared_complete(p, c, result);
}
