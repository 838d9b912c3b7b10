/*
 * An object that others may read while it grows: the open record, which lives as long as bytes
 * come, and goes with the put.
 */
#include <string.h>

#include "store_put.h"
#include "weir/alloc.h"
#include "weir/container.h"

static void on_opened(struct shared_call *c)
{
    struct store_put *p = WEIR_CONTAINER(c, struct store_put, open_call);

    p->opening = false;
    /* Who has a newer lease will overwrite what this one stores; and so it is with any refusal of
     * the meta at the end. All else is the loss of followers alone. */
    if (c->result == SHARED_REFUSED)
        store_put_over(p, SHARED_REFUSED);
}

/* How much followers will find: chunks under way may still be lost. */
static uint64_t stored_bytes(const struct store_put *p)
{
    return (p->chunks - p->busy) * p->chunk_bytes;
}

static void open_put(struct store_put *p)
{
    struct store_facts facts = {.kind = STORE_OBJECT,
                                .growing = true,
                                .chunked = true,
                                .generation = p->generation,
                                .check = p->name.base_check,
                                .body_bytes = stored_bytes(p),
                                .chunk_bytes = p->chunk_bytes};
    struct weir_slice slices[2];
    char key[STORE_KEY_MAX];

    if (!store_record_seal(p->s->set.version, &facts, record_fields_span(&p->opened), NULL, 0,
                           &slices[0], &slices[1]))
        return; /* followers give up; the put need not */
    p->opening = true;
    p->opened_ms = store_now_ms(p->s);
    p->open_call.done = on_opened;
    store_put_fenced(p, &p->open_call, store_key(&p->name, STORE_KEY_OPEN, key), slices, 2,
                     p->s->set.open_lease_ms);
    weir_blob_unref(slices[0].blob);
    weir_blob_unref(slices[1].blob);
}

void store_put_announce(struct store_put *p, struct weir_span meta)
{
    char *copy;

    if (p->state != PUT_TAKING || p->announced)
        return;
    copy = meta.len > 0 ? weir_malloc(meta.len) : NULL;
    if (meta.len > 0 && copy == NULL)
        return; /* not announced: followers wait for the whole */
    if (copy != NULL)
        memcpy(copy, meta.ptr, meta.len);
    p->opened = (struct record_fields){.ptr = copy, .len = meta.len, .cap = meta.len};
    p->announced = true;
    open_put(p);
}

/* Often enough for an answer that takes its time. */
void store_put_progress(struct store_put *p)
{
    if (p->announced && !p->opening &&
        store_now_ms(p->s) - p->opened_ms >= p->s->set.open_lease_ms / 3)
        open_put(p);
}

void store_put_unannounce(struct store_put *p)
{
    char key[STORE_KEY_MAX];

    if (!p->announced)
        return;
    p->announced = p->opening = false;
    record_fields_free(&p->opened);
    store_clean_generation(p->s, store_key(&p->name, STORE_KEY_OPEN, key), p->generation);
}
