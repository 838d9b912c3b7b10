/*
 * One put: bytes become chunks as they come, and an end (store_finish.c) or none.
 *
 *                       append()                finish()            all chunks are stored
 *     begin() --> [PUT_TAKING] --,  [PUT_TAKING] ------> [PUT_CHUNKS] ------,
 *                       ^--------'                                          v      stub needed
 *     store_freshen() --> [PUT_TOUCH] ---------------------------------> [PUT_META] ----------,
 *                                                                           |                 v
 *     any state --store_put_over()--> [PUT_OVER] --on_done()                |     [PUT_STUB_LOOK]
 *                                         ^---------------------------------'                 v
 *                                         '--------------------------------------[PUT_STUB_SET]
 *
 * TAKING: pieces hold less than a chunk; `writes` the chunks under way. An object that stays below
 * inline_max never has a chunk: finish() goes from TAKING to META. OVER: no call is under way.
 */
#include "weir/shared_store.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>

#include <event2/event.h>

#include "store_put.h"
#include "weir/alloc.h"
#include "weir/container.h"

#define WRITES_MIN 2
#define WRITES_MAX 16

/* ---- the end ---- */

static void drop_calls(struct store_put *p)
{
    unsigned i;

    for (i = 0; p->writes != NULL && i < p->write_max; i++) {
        shared_cancel(p->s->port, &p->writes[i].call);
        p->writes[i].busy = false;
    }
    p->busy = 0;
    p->flying = 0;
    shared_cancel(p->s->port, &p->call);
    shared_cancel(p->s->port, &p->open_call);
}

static void drop_bytes(struct store_put *p)
{
    store_pieces_free(&p->pieces);
    weir_blob_unref(p->head.blob);
    weir_blob_unref(p->tail.blob);
    p->head.blob = p->tail.blob = NULL;
    record_fields_free(&p->stub);
}

/* From any state to OVER, without a word. */
static void end(struct store_put *p, enum shared_result result)
{
    drop_calls(p);
    drop_bytes(p);
    store_put_unannounce(p);
    if (!p->kept && !p->borrowed)
        store_clean_chunks(p->s, &p->name, p->generation, p->chunks);
    p->state = PUT_OVER;
    p->result = result;
}

void store_put_over(struct store_put *p, enum shared_result result)
{
    if (p->state == PUT_OVER)
        return;
    end(p, result);
    event_active(&p->tell, EV_TIMEOUT, 0);
}

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
    struct store_put *p = arg;

    (void)fd, (void)what;
    store_enter(p->s);
    p->on_done(p, p->result, p->arg); /* p may be gone now */
}

void store_put_close(struct store_put *p)
{
    if (p == NULL)
        return;
    if (p->state != PUT_OVER)
        end(p, SHARED_NONE);
    event_del(&p->tell);
    weir_free(p->writes);
    weir_free(p);
}

/* ---- the beginning ---- */

/* From 95 to 105 % of ttl, by chance. */
static int64_t jittered_ms(int64_t ttl_ms, uint64_t chance)
{
    int64_t part = ttl_ms / 1000;

    return ttl_ms - 50 * part + (int64_t)(chance % 101) * part;
}

static bool draw(uint64_t *out)
{
    return getrandom(out, sizeof(*out), GRND_NONBLOCK) == (ssize_t)sizeof(*out);
}

struct store_put *store_put_new(struct store *s, const struct store_put_wish *wish)
{
    struct store_put *p = weir_calloc(1, sizeof(*p));
    char *stub;

    if (p == NULL)
        return NULL;
    assert(wish->on_done != NULL && (wish->kind == STORE_OBJECT || wish->kind == STORE_MARKER));
    p->s = s;
    p->name = *wish->name;
    p->leased = wish->leased != NULL ? *wish->leased : *wish->name;
    p->kind = wish->kind;
    p->fence = wish->fence;
    p->on_room = wish->on_room;
    p->on_done = wish->on_done;
    p->arg = wish->arg;
    p->begun_ms = store_now_ms(s);
    p->chunk_bytes = s->set.chunk_bytes;
    p->write_max = (unsigned)(s->set.write_ahead / s->set.chunk_bytes);
    if (p->write_max < WRITES_MIN)
        p->write_max = WRITES_MIN;
    if (p->write_max > WRITES_MAX)
        p->write_max = WRITES_MAX;
    p->call.area = p->open_call.area = SHARED_CACHE;
    stub = wish->stub.len > 0 ? weir_malloc(wish->stub.len) : NULL;
    if (!draw(&p->generation) || (wish->stub.len > 0 && stub == NULL)) {
        weir_free(stub);
        weir_free(p);
        return NULL;
    }
    if (stub != NULL)
        memcpy(stub, wish->stub.ptr, wish->stub.len);
    p->stub = (struct record_fields){.ptr = stub, .len = wish->stub.len, .cap = wish->stub.len};
    p->ttl_ms = jittered_ms(wish->ttl_ms, p->generation);
    event_assign(&p->tell, s->loop.base, -1, 0, on_tell, p);
    return p;
}

struct store_put *store_put_begin(struct store *s, const struct store_put_wish *wish)
{
    return store_put_new(s, wish);
}

uint64_t store_put_generation(const struct store_put *p)
{
    return p->generation;
}

/* ---- chunks ---- */

static size_t held(const struct store_put *p)
{
    return p->pieces.bytes + p->flying;
}

size_t store_put_room(const struct store_put *p)
{
    if (p->state != PUT_TAKING)
        return SIZE_MAX;
    return p->write_max * p->chunk_bytes - held(p);
}

static void on_written(struct shared_call *c)
{
    struct put_write *w = WEIR_CONTAINER(c, struct put_write, call);
    struct store_put *p = w->p;
    bool was_full = p->state == PUT_TAKING && store_put_room(p) == 0;

    w->busy = false;
    p->busy--;
    p->flying -= w->bytes;
    w->bytes = 0;
    if (p->state == PUT_TOUCH && c->result == SHARED_NONE)
        p->lost_body = true;
    else if (c->result != SHARED_OK) {
        store_put_over(p, c->result);
        return;
    }
    if (p->state == PUT_CHUNKS)
        store_put_chunks_step(p);
    else if (p->state == PUT_TOUCH)
        store_put_touch_step(p);
    else if (was_full && p->on_room != NULL)
        p->on_room(p, p->arg); /* p may be gone now */
}

static bool make_writes(struct store_put *p)
{
    unsigned i;

    p->writes = weir_calloc(p->write_max, sizeof(*p->writes));
    if (p->writes == NULL)
        return false;
    for (i = 0; i < p->write_max; i++) {
        p->writes[i].p = p;
        p->writes[i].call.done = on_written;
        p->writes[i].call.area = SHARED_CACHE;
        p->writes[i].call.timeout_ms = p->s->set.write_timeout_ms;
        p->writes[i].call.bulk = true;
    }
    return true;
}

struct put_write *store_put_write(struct store_put *p)
{
    unsigned i;

    if (p->writes == NULL && !make_writes(p)) {
        store_put_over(p, SHARED_FULL);
        return NULL;
    }
    for (i = 0; i < p->write_max; i++)
        if (!p->writes[i].busy)
            return &p->writes[i];
    return NULL;
}

void store_put_chunk(struct store_put *p, bool last)
{
    struct store_pieces *ps = &p->pieces;
    struct store_chunk chunk = {.generation = p->generation,
                                .index = (uint32_t)p->chunks,
                                .last = last,
                                .bytes = (uint32_t)ps->bytes};
    struct put_write *w = store_put_write(p);
    struct weir_slice alone, *slices = ps->at != NULL ? ps->at : &alone;
    struct weir_blob *head;
    char key[STORE_KEY_MAX];

    if (p->state == PUT_OVER)
        return;
    assert(w != NULL); /* what is held is bounded by what can be under way */
    head = store_chunk_head(&chunk, slices + 1, ps->count);
    if (head == NULL) {
        store_put_over(p, SHARED_FULL);
        return;
    }
    slices[0] = (struct weir_slice){head, 0, STORE_CHUNK_HEAD};
    w->busy = true;
    w->bytes = ps->bytes;
    p->busy++;
    p->flying += w->bytes;
    shared_put(p->s->port, &w->call, store_chunk_key(&p->name, p->generation, p->chunks, key),
               slices, ps->count + 1, p->ttl_ms + p->s->set.chunk_extra_ms);
    p->chunks++;
    weir_blob_unref(head);
    store_pieces_drop(ps);
}

/* As much of *bytes as the chunk has room for. */
static bool take(struct store_put *p, struct weir_slice *bytes)
{
    struct weir_slice part = *bytes;

    if (part.len > p->chunk_bytes - p->pieces.bytes)
        part.len = (uint32_t)(p->chunk_bytes - p->pieces.bytes);
    bytes->off += part.len;
    bytes->len -= part.len;
    p->total += part.len;
    return store_pieces_add(&p->pieces, part);
}

void store_put_append(struct store_put *p, struct weir_slice bytes)
{
    if (p->state != PUT_TAKING)
        return;
    if (bytes.len > store_put_room(p)) {
        store_put_over(p, SHARED_FULL);
        return;
    }
    while (bytes.len > 0 && p->state == PUT_TAKING) {
        if (!take(p, &bytes))
            store_put_over(p, SHARED_FULL);
        else if (p->pieces.bytes == p->chunk_bytes)
            store_put_chunk(p, false);
    }
    if (p->state == PUT_TAKING)
        store_put_progress(p);
}
