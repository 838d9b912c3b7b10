/*
 * body.h - where the content of a response comes from, behind one small interface, so that whoever
 * sends it cannot tell.
 *
 *   h1 -> exchange_pull() -> x->response.body -> stored | fill | bytes
 *                                             -> a page (esi) -> its text, sub-exchanges
 *                                             -> slices -> sub-exchanges
 *                                             -> a transform -> another body
 *
 * A source is a row of functions; what it must remember lies in `state` (the exchange's arena, or
 * the exchange itself). A body that draws on another one holds that other struct exchange_body and
 * calls it by the functions below; it must close it.
 */
#ifndef BODY_H
#define BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/blob.h"
#include "weir/span.h"

struct weir_exchange;

/* One piece of the body to send. blob is set where the receiver must drop a reference after
 * sending; else the bytes live as long as the exchange a client asked for: what comes from a
 * sub-exchange has a blob, for it may be over before its bytes are out. */
struct exchange_part {
    const char *ptr;
    size_t len;
    struct weir_blob *blob;
};

enum exchange_pull { PULL_DATA, PULL_WAIT, PULL_END, PULL_FAILED };

struct body_source {
    /* Up to max parts, *n is 0 on entry. WAIT: x->client->more() comes. FAILED: x->err is set. What
     * waits must have been pulled to WAIT; a source may call more() unasked. */
    enum exchange_pull (*pull)(struct weir_exchange *x, void *state, struct exchange_part *out,
                               unsigned max, unsigned *n);
    /* The next pull() would say END. */
    bool (*pulled_all)(struct weir_exchange *x, const void *state);
    /* After END; NULL: never any. */
    struct weir_span (*trailers)(struct weir_exchange *x, const void *state);
    /* Releases what the state holds; once. NULL: nothing. */
    void (*close)(struct weir_exchange *x, void *state);
    bool at_hand; /* the whole is in memory: it never waits and never fails */
};

/* source NULL: no content. */
struct exchange_body {
    const struct body_source *source;
    void *state;
};

#define BODY_EMPTY ((struct exchange_body){NULL, NULL})

/* The three every response begins with; they keep their state in x->response. */
struct exchange_body body_bytes(void);  /* x->response.bytes */
struct exchange_body body_stored(void); /* x->stored, from slice x->response.next_slice on */
struct exchange_body body_fill(void);   /* x->reader's fill */

enum exchange_pull body_pull(struct weir_exchange *x, const struct exchange_body *b,
                             struct exchange_part *out, unsigned max, unsigned *n);
bool body_pulled_all(struct weir_exchange *x, const struct exchange_body *b);
struct weir_span body_trailers(struct weir_exchange *x, const struct exchange_body *b);
/* Empties *b. Does nothing to an empty one. */
void body_close(struct weir_exchange *x, struct exchange_body *b);

static inline bool body_at_hand(const struct exchange_body *b)
{
    return b->source == NULL || b->source->at_hand;
}

#endif
