/*
 * Freshening (a 304): the chunks are made to live longer, then the meta is replaced.
 */
#include <assert.h>

#include "store_put.h"

void store_put_touch_step(struct store_put *p)
{
    uint64_t count = store_chunk_count(p->total, p->chunk_bytes);
    struct put_write *w;
    char key[STORE_KEY_MAX];

    while (p->chunks < count && !p->lost_body && (w = store_put_write(p)) != NULL) {
        w->busy = true;
        p->busy++;
        shared_touch(p->s->port, &w->call, store_chunk_key(&p->name, p->generation, p->chunks, key),
                     p->ttl_ms + p->s->set.chunk_extra_ms);
        p->chunks++;
    }
    if (p->state != PUT_TOUCH || p->busy > 0)
        return;
    if (!p->lost_body) {
        store_put_meta(p);
        return;
    }
    store_clean_generation(p->s, store_key(&p->name, STORE_KEY_META, key), p->generation);
    store_put_over(p, SHARED_NONE);
}

struct store_put *store_freshen(struct store *s, const struct store_read *r,
                                const struct store_put_wish *wish, struct weir_span meta)
{
    struct store_put *p = store_put_new(s, wish);
    struct store_whole whole;

    if (p == NULL)
        return NULL;
    store_read_whole(r, &whole);
    p->borrowed = true;
    p->generation = whole.generation;
    p->total = whole.body_bytes;
    p->chunk_bytes = whole.chunk_bytes;
    if (!whole.chunked && whole.body.len > 0 && !store_pieces_add(&p->pieces, whole.body)) {
        store_put_over(p, SHARED_FULL);
        return p;
    }
    if (!store_put_seal(p, whole.chunked, meta))
        return p;
    if (whole.chunked) {
        p->state = PUT_TOUCH;
        store_put_touch_step(p);
    } else {
        store_put_meta(p);
    }
    return p;
}
