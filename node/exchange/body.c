#include "body.h"

#include "exchange.h"
#include "stored.h"

/* ---- bytes ---- */

static enum exchange_pull pull_bytes(struct weir_exchange *x, void *state,
                                     struct exchange_part *out, unsigned max, unsigned *n)
{
    (void)state;
    (void)max;
    if (x->response.next_slice++ > 0 || x->response.bytes.len == 0)
        return PULL_END;
    out[(*n)++] = (struct exchange_part){x->response.bytes.ptr, x->response.bytes.len, NULL};
    return PULL_DATA;
}

static bool pulled_all_bytes(struct weir_exchange *x, const void *state)
{
    (void)state;
    return x->response.next_slice > 0 || x->response.bytes.len == 0;
}

static const struct body_source bytes_source = {
    .pull = pull_bytes,
    .pulled_all = pulled_all_bytes,
    .at_hand = true,
};

struct exchange_body body_bytes(void)
{
    return (struct exchange_body){&bytes_source, NULL};
}

/* ---- a stored response ---- */

/* x holds what it sends until its bytes are out, but for a sub-exchange, which is over before. */
static struct weir_blob *keep(const struct weir_exchange *x, struct weir_slice s)
{
    return x->parent != NULL ? weir_blob_ref(s.blob) : NULL;
}

static enum exchange_pull pull_stored(struct weir_exchange *x, void *state,
                                      struct exchange_part *out, unsigned max, unsigned *n)
{
    const struct exchange_content c = exchange_content(x);

    (void)state;
    while (*n < max && x->response.next_slice < c.slice_count) {
        struct weir_slice slice = c.slices[x->response.next_slice++];

        out[(*n)++] = (struct exchange_part){weir_slice_ptr(slice), slice.len, keep(x, slice)};
    }
    return *n > 0 ? PULL_DATA : PULL_END;
}

static bool pulled_all_stored(struct weir_exchange *x, const void *state)
{
    (void)state;
    return x->response.next_slice == exchange_content(x).slice_count;
}

static const struct body_source stored_source = {
    .pull = pull_stored,
    .pulled_all = pulled_all_stored,
    .at_hand = true,
};

struct exchange_body body_stored(void)
{
    return (struct exchange_body){&stored_source, NULL};
}

/* ---- a fill ---- */

static enum exchange_pull pull_fill(struct weir_exchange *x, void *state, struct exchange_part *out,
                                    unsigned max, unsigned *n)
{
    struct weir_slice slices[16];
    unsigned got;

    (void)state;
    switch (fill_reader_take(x->reader, slices, max < 16 ? max : 16, &got)) {
    case FILL_READ_WAIT:
        return PULL_WAIT;
    case FILL_READ_END:
        return PULL_END;
    case FILL_READ_FAILED:
        x->err = x->reader->fill->err;
        return PULL_FAILED;
    case FILL_READ_DATA:
        break;
    }
    for (unsigned i = 0; i < got; i++)
        out[(*n)++] =
            (struct exchange_part){weir_slice_ptr(slices[i]), slices[i].len, slices[i].blob};
    return PULL_DATA;
}

static bool pulled_all_fill(struct weir_exchange *x, const void *state)
{
    (void)state;
    return fill_reader_done(x->reader);
}

static struct weir_span trailers_of_fill(struct weir_exchange *x, const void *state)
{
    const struct weir_blob *b = x->reader->fill->head.trailers;

    (void)state;
    return b != NULL ? weir_span(b->bytes, b->len) : WEIR_SPAN_NONE;
}

static const struct body_source fill_source = {
    .pull = pull_fill,
    .pulled_all = pulled_all_fill,
    .trailers = trailers_of_fill,
};

struct exchange_body body_fill(void)
{
    return (struct exchange_body){&fill_source, NULL};
}

/* ---- any ---- */

enum exchange_pull body_pull(struct weir_exchange *x, const struct exchange_body *b,
                             struct exchange_part *out, unsigned max, unsigned *n)
{
    *n = 0;
    return b->source != NULL ? b->source->pull(x, b->state, out, max, n) : PULL_END;
}

bool body_pulled_all(struct weir_exchange *x, const struct exchange_body *b)
{
    return b->source == NULL || b->source->pulled_all(x, b->state);
}

struct weir_span body_trailers(struct weir_exchange *x, const struct exchange_body *b)
{
    if (b->source == NULL || b->source->trailers == NULL)
        return WEIR_SPAN_NONE;
    return b->source->trailers(x, b->state);
}

void body_close(struct weir_exchange *x, struct exchange_body *b)
{
    const struct body_source *source = b->source;

    b->source = NULL; /* first: what closes may come by here again */
    if (source != NULL && source->close != NULL)
        source->close(x, b->state);
}
