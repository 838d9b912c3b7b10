#include "weir/shared_store.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "store_own.h"
#include "weir/alloc.h"
#include "weir/container.h"

#define READ_AHEAD_MAX 8

const struct store_settings store_settings_default = {
    .meta_timeout_ms = 20,
    .chunk_timeout_ms = 50,
    .stall_timeout_ms = 2000,
    .write_timeout_ms = 1000,
    .open_lease_ms = 3000,
    .chunk_extra_ms = 60000,
    .inline_max = 48 << 10,
    .read_ahead = 3,
    .write_ahead = 768 << 10,
    .chunk_bytes = (1 << 18) - 64 - STORE_CHUNK_HEAD,
    .version = RECORD_VERSION,
};

/* ---- removals ---- */

struct store_task {
    struct shared_call call;
    struct store *s;
    struct store_task *next, **at;
    struct store_name name; /* chunks */
    uint64_t generation;
    uint64_t index, count;
};

static struct store_task *task_new(struct store *s, void (*done)(struct shared_call *c))
{
    struct store_task *t;

    if (s->task_count >= STORE_TASKS_MAX)
        return NULL;
    t = weir_calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->s = s;
    t->call.done = done;
    t->call.area = SHARED_CACHE;
    t->call.timeout_ms = s->set.write_timeout_ms;
    t->next = s->tasks;
    t->at = &s->tasks;
    if (t->next != NULL)
        t->next->at = &t->next;
    s->tasks = t;
    s->task_count++;
    return t;
}

static void task_free(struct store_task *t)
{
    shared_cancel(t->s->port, &t->call);
    *t->at = t->next;
    if (t->next != NULL)
        t->next->at = t->at;
    t->s->task_count--;
    weir_free(t);
}

static void on_removed(struct shared_call *c)
{
    task_free(WEIR_CONTAINER(c, struct store_task, call));
}

void store_clean_record(struct store *s, struct weir_span key, size_t offset,
                        struct weir_span bytes)
{
    struct store_task *t = bytes.len > 0 ? task_new(s, on_removed) : NULL;

    if (t != NULL)
        shared_remove_if(s->port, &t->call, key, offset, bytes);
}

void store_clean_generation(struct store *s, struct weir_span key, uint64_t generation)
{
    uint64_t le = htole64(generation);

    store_clean_record(s, key, STORE_GENERATION_AT, weir_span((const char *)&le, sizeof(le)));
}

static void remove_chunk(struct store_task *t)
{
    char key[STORE_KEY_MAX];

    /* In the order of the writes: a removal must not overtake what it is to remove. */
    t->call.bulk = true;
    shared_remove(t->s->port, &t->call, store_chunk_key(&t->name, t->generation, t->index, key));
}

/* One after the other: a large body that was given up is no reason for a burst. */
static void on_chunk_removed(struct shared_call *c)
{
    struct store_task *t = WEIR_CONTAINER(c, struct store_task, call);

    t->index++;
    if (c->result != SHARED_OK || t->index >= t->count)
        task_free(t);
    else
        remove_chunk(t);
}

void store_clean_chunks(struct store *s, const struct store_name *name, uint64_t generation,
                        uint64_t count)
{
    struct store_task *t = count > 0 ? task_new(s, on_chunk_removed) : NULL;

    if (t == NULL)
        return;
    t->name = *name;
    t->generation = generation;
    t->count = count;
    remove_chunk(t);
}

void store_remove(struct store *s, const struct store_name *name)
{
    struct store_task *t = task_new(s, on_removed);
    char key[STORE_KEY_MAX];

    if (t != NULL)
        shared_remove(s->port, &t->call, store_key(name, STORE_KEY_META, key));
}

/* ---- the store ---- */

void store_enter(const struct store *s)
{
    if (s->loop.enter != NULL)
        s->loop.enter(s->loop.arg);
}

struct store *store_new(struct shared_port *port, const struct shared_loop *loop,
                        const struct store_settings *settings, struct weir_err *err)
{
    struct store *s = weir_calloc(1, sizeof(*s));

    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "store: new", 0);
        return NULL;
    }
    assert(settings->chunk_bytes > 0 &&
           settings->chunk_bytes <= SHARED_VALUE_MAX - STORE_CHUNK_HEAD &&
           settings->inline_max <= SHARED_VALUE_MAX);
    s->port = port;
    s->loop = *loop;
    s->set = *settings;
    if (s->set.read_ahead < 1)
        s->set.read_ahead = 1;
    if (s->set.read_ahead > READ_AHEAD_MAX)
        s->set.read_ahead = READ_AHEAD_MAX;
    return s;
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    for (struct store_task *t = s->tasks, *next; t != NULL; t = next) {
        next = t->next;
        task_free(t);
    }
    weir_free(s);
}
