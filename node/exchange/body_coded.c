#include "body_coded.h"

#include <string.h>

#include "coding.h"
#include "exchange.h"

#define ROUND_BYTES 65536 /* fed at most before something is sent: a millisecond or two */
#define CHUNK_BYTES 8192
#define PARTS_MAX   12

struct coded {
    struct exchange_body from;
    struct coder *coder;
    struct coding_out out; /* made and not yet taken, from slice `next` on */
    size_t next;
    struct exchange_part part[PARTS_MAX]; /* drawn; fed up to part[at], and that one in part */
    unsigned at, count;
    bool decodes;
    bool dirty; /* fed since the last flush */
    bool ended;
};

/* ---- what has been made ---- */

static bool anything_made(const struct coded *c)
{
    return c->next < c->out.count;
}

/* Hands out what was made; each slice takes its blob along. */
static unsigned hand_out(struct coded *c, struct exchange_part *out, unsigned max)
{
    unsigned n = 0;

    while (n < max && anything_made(c)) {
        struct weir_slice s = c->out.slices[c->next++];

        out[n++] = (struct exchange_part){weir_slice_ptr(s), s.len, s.blob};
    }
    if (!anything_made(c)) {
        c->next = 0;
        c->out.count = 0; /* the list is used again, its blobs are not */
        c->out.len = 0;
    }
    return n;
}

static bool run(struct weir_exchange *x, struct coded *c, struct weir_span in, enum coder_op op)
{
    bool ok = coder_run(c->coder, in, op, &c->out, &x->err);

    if (op != CODER_MORE)
        c->dirty = false;
    else if (in.len > 0)
        c->dirty = true;
    c->ended = op == CODER_END;
    return ok;
}

/* ---- what is drawn on ---- */

/* The front of a part; a decoder may make so much of it that the rest waits until that is sent. */
static bool feed(struct weir_exchange *x, struct coded *c, size_t *fed)
{
    struct exchange_part *p = &c->part[c->at];
    struct weir_span in = weir_span(p->ptr, p->len);
    bool more = false;
    bool ok = c->decodes ? coder_decode(c->coder, &in, ROUND_BYTES, &c->out, &more, &x->err)
                         : run(x, c, in, CODER_MORE);

    if (!c->decodes)
        in.len = 0;
    *fed += p->len - in.len;
    p->ptr = in.ptr;
    p->len = in.len;
    if (ok && !more) {
        weir_blob_unref(p->blob);
        c->at++;
    }
    return ok;
}

/* Feeds what is at hand; what stands in the way of more, or DATA when enough was fed or made. */
static enum exchange_pull draw(struct weir_exchange *x, struct coded *c)
{
    size_t fed = 0;

    while (fed < ROUND_BYTES && c->out.len < ROUND_BYTES) {
        if (c->at == c->count) {
            enum exchange_pull result;

            c->at = c->count = 0;
            result = body_pull(x, &c->from, c->part, PARTS_MAX, &c->count);
            if (result != PULL_DATA)
                return result;
        }
        while (c->at < c->count && c->out.len < ROUND_BYTES)
            if (!feed(x, c, &fed))
                return PULL_FAILED;
        if (c->at == c->count && body_pulled_all(x, &c->from))
            return PULL_END;
    }
    return PULL_DATA;
}

/* One round: false, when the body breaks off. *wait: nothing more is at hand. */
static bool round_of(struct weir_exchange *x, struct coded *c, bool *wait)
{
    *wait = false;
    switch (draw(x, c)) {
    case PULL_DATA:
        return true;
    case PULL_END:
        return run(x, c, WEIR_SPAN_NONE, CODER_END);
    case PULL_WAIT:
        *wait = true;
        return !c->dirty || run(x, c, WEIR_SPAN_NONE, CODER_FLUSH);
    case PULL_FAILED:
        break;
    }
    return false;
}

static enum exchange_pull coded_pull(struct weir_exchange *x, void *state,
                                     struct exchange_part *out, unsigned max, unsigned *n)
{
    struct coded *c = state;
    bool wait = false;

    while (!anything_made(c) && !c->ended && !wait)
        if (!round_of(x, c, &wait))
            return PULL_FAILED;
    *n = hand_out(c, out, max);
    if (*n > 0)
        return PULL_DATA;
    return c->ended ? PULL_END : PULL_WAIT;
}

static bool coded_pulled_all(struct weir_exchange *x, const void *state)
{
    const struct coded *c = state;

    (void)x;
    return c->ended && !anything_made(c);
}

static struct weir_span coded_trailers(struct weir_exchange *x, const void *state)
{
    const struct coded *c = state;

    return body_trailers(x, &c->from);
}

static void coded_close(struct weir_exchange *x, void *state)
{
    struct coded *c = state;

    for (; anything_made(c); c->next++)
        weir_blob_unref(c->out.slices[c->next].blob);
    c->out.count = 0;
    coding_out_clear(&c->out);
    for (; c->at < c->count; c->at++)
        weir_blob_unref(c->part[c->at].blob);
    coder_free(c->coder);
    c->coder = NULL;
    body_close(x, &c->from);
}

static const struct body_source coded_source = {
    .pull = coded_pull,
    .pulled_all = coded_pulled_all,
    .trailers = coded_trailers,
    .close = coded_close,
};

bool body_coded(struct weir_exchange *x, enum coding from, enum coding to, unsigned level)
{
    struct coded *c = weir_arena_alloc(&x->arena, sizeof *c);

    if (c == NULL)
        return weir_fail(&x->err, WEIR_E_MEMORY, "body: coded", 0);
    memset(c, 0, sizeof *c);
    c->decodes = from != CODING_IDENTITY;
    c->coder = c->decodes ? coder_new_decoder(from, &x->err)
                          : coder_new_encoder(to, level, CODING_SIZE_UNKNOWN, &x->err);
    if (c->coder == NULL)
        return false;
    coding_out_init(&c->out, UINT64_MAX, CHUNK_BYTES);
    c->from = x->response.body;
    x->response.body = (struct exchange_body){&coded_source, c};
    return true;
}
