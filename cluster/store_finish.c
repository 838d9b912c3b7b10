/*
 * What follows the bytes of a put: the last chunk, the meta once all chunks are stored, and the
 * stub of a variant.
 */
#include <assert.h>

#include "store_put.h"
#include "weir/container.h"

static int64_t left_ms(const struct store_put *p)
{
    return p->ttl_ms - (store_now_ms(p->s) - p->begun_ms);
}

void store_put_fenced(struct store_put *p, struct shared_call *c, struct weir_span key,
                      const struct weir_slice *slices, size_t count, int64_t ttl_ms)
{
    char fence_key[STORE_KEY_MAX];

    c->timeout_ms = p->s->set.write_timeout_ms;
    if (p->fence == 0)
        shared_put(p->s->port, c, key, slices, count, ttl_ms);
    else
        shared_put_fenced(p->s->port, c, key, store_key(&p->leased, STORE_KEY_FENCE, fence_key),
                          p->fence, slices, count, ttl_ms);
}

/* ---- the stub ---- */

static struct weir_span stub_key(const struct store_put *p, char buf[STORE_KEY_MAX])
{
    struct store_name base = p->name;

    base.variant[0] = '\0';
    return store_key(&base, STORE_KEY_META, buf);
}

static void on_stub_set(struct shared_call *c)
{
    struct store_put *p = WEIR_CONTAINER(c, struct store_put, call);

    store_put_over(p, c->result);
}

static void stub_put(struct store_put *p)
{
    struct store_facts facts = {.kind = STORE_STUB,
                                .generation = p->generation,
                                .check = p->name.base_check};
    struct weir_slice slices[2];
    char key[STORE_KEY_MAX];

    if (!store_record_seal(p->s->set.version, &facts, record_fields_span(&p->stub), NULL, 0,
                           &slices[0], &slices[1])) {
        store_put_over(p, SHARED_FULL);
        return;
    }
    store_put_fenced(p, &p->call, stub_key(p, key), slices, 2, left_ms(p));
    weir_blob_unref(slices[0].blob);
    weir_blob_unref(slices[1].blob);
}

static bool is_our_stub(const struct store_put *p, const struct shared_call *c)
{
    struct weir_span value = weir_span(weir_slice_ptr(c->value), c->value.len), meta, body;
    struct store_facts facts;

    return store_record_open(value, &facts, &meta, &body) == RECORD_OK &&
           facts.kind == STORE_STUB && facts.check == p->name.base_check &&
           weir_span_eq(meta, record_fields_span(&p->stub));
}

static void on_stub_touched(struct shared_call *c)
{
    struct store_put *p = WEIR_CONTAINER(c, struct store_put, call);

    if (c->result != SHARED_NONE) {
        store_put_over(p, c->result);
        return;
    }
    c->done = on_stub_set;
    stub_put(p);
}

/* The stub of other variants that says the same stays and lives no shorter: with a life as short
 * as ours those would be lost, which nobody else leads to. */
static void on_stub_looked(struct shared_call *c)
{
    struct store_put *p = WEIR_CONTAINER(c, struct store_put, call);
    char key[STORE_KEY_MAX];

    p->state = PUT_STUB_SET;
    if (c->result == SHARED_OK && c->value.blob != NULL && is_our_stub(p, c)) {
        c->done = on_stub_touched;
        shared_touch(p->s->port, c, stub_key(p, key), left_ms(p) > 0 ? left_ms(p) : 1);
    } else if (left_ms(p) <= 0) {
        store_put_over(p, SHARED_LATE);
    } else {
        c->done = on_stub_set;
        stub_put(p);
    }
}

/* ---- the meta ---- */

static void on_meta_put(struct shared_call *c)
{
    struct store_put *p = WEIR_CONTAINER(c, struct store_put, call);
    char key[STORE_KEY_MAX];

    /* Of LATE and BAD nobody knows whether a meta leads to the chunks now. */
    if (c->result == SHARED_REFUSED || c->result == SHARED_FULL || c->result == SHARED_GONE)
        p->kept = false;
    if (c->result != SHARED_OK || p->name.variant[0] == '\0') {
        store_put_over(p, c->result);
        return;
    }
    p->state = PUT_STUB_LOOK;
    c->done = on_stub_looked;
    c->timeout_ms = p->s->set.write_timeout_ms;
    c->primary = true;
    c->bulk = false;
    shared_get(p->s->port, c, stub_key(p, key));
}

bool store_put_seal(struct store_put *p, bool chunked, struct weir_span meta)
{
    struct store_facts facts = {.kind = p->kind,
                                .chunked = chunked,
                                .generation = p->generation,
                                .check = p->name.check,
                                .body_bytes = p->total,
                                .chunk_bytes = p->chunk_bytes};
    const struct weir_slice *body = chunked || p->pieces.count == 0 ? NULL : p->pieces.at + 1;

    if (store_record_seal(p->s->set.version, &facts, meta, body, body != NULL ? p->pieces.count : 0,
                          &p->head, &p->tail))
        return true;
    store_put_over(p, SHARED_FULL);
    return false;
}

/* Head, pieces and tail in a row. */
static bool put_record(struct store_put *p, struct weir_span key)
{
    struct store_pieces *ps = &p->pieces;
    struct weir_slice two[2] = {p->head, p->tail}, *slices = two;
    size_t bytes = p->head.len + ps->bytes + p->tail.len;

    if (ps->count > 0) {
        if (!store_pieces_add(ps, p->tail))
            return false;
        slices = ps->at;
        slices[0] = p->head;
    }
    p->call.bulk = bytes >= STORE_BULK;
    store_put_fenced(p, &p->call, key, slices, ps->count > 0 ? ps->count + 1 : 2, left_ms(p));
    store_pieces_drop(ps);
    return true;
}

void store_put_meta(struct store_put *p)
{
    char key[STORE_KEY_MAX];

    if (left_ms(p) <= 0) { /* it took longer than what it brought is worth */
        store_put_over(p, SHARED_LATE);
        return;
    }
    p->state = PUT_META;
    p->kept = true; /* also if it is closed while this is under way */
    p->call.done = on_meta_put;
    if (!put_record(p, store_key(&p->name, STORE_KEY_META, key)))
        store_put_over(p, SHARED_FULL);
}

/* ---- the chunks before it ---- */

void store_put_chunks_step(struct store_put *p)
{
    bool more = p->pieces.bytes > 0 || p->announced; /* who follows waits for a last one */

    if (more && !p->last_cut && store_put_write(p) != NULL) {
        p->last_cut = true;
        store_put_chunk(p, true);
    }
    if (p->state == PUT_CHUNKS && p->busy == 0 && (p->last_cut || !more))
        store_put_meta(p);
}

void store_put_finish(struct store_put *p, struct weir_span meta)
{
    size_t whole = store_record_bytes(meta.len, p->pieces.bytes);
    bool chunked =
        p->chunks > 0 || p->announced || (p->pieces.bytes > 0 && whole > p->s->set.inline_max);

    if (p->state != PUT_TAKING)
        return;
    if (!store_put_seal(p, chunked, meta))
        return;
    if (!chunked) {
        store_put_meta(p);
        return;
    }
    p->state = PUT_CHUNKS;
    store_put_chunks_step(p);
}
