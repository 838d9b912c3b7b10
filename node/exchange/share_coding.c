#include "share_coding.h"

#include "weir/alloc.h"

#define CHUNK_BYTES  (64 * 1024)
#define ENOUGH_BYTES (256 * 1024) /* decoded at a time: what is made waits in memory */

/* ---- into the store ---- */

struct share_encoder {
    struct coder *coder;
    struct coding_out out;
};

struct share_encoder *share_encoder_new(unsigned level)
{
    struct share_encoder *e = weir_calloc(1, sizeof *e);

    if (e == NULL)
        return NULL;
    coding_out_init(&e->out, UINT64_MAX, CHUNK_BYTES);
    e->coder = coder_new_encoder(CODING_ZSTD, level, CODING_SIZE_UNKNOWN, NULL);
    if (e->coder != NULL)
        return e;
    share_encoder_free(e);
    return NULL;
}

void share_encoder_free(struct share_encoder *e)
{
    if (e == NULL)
        return;
    coder_free(e->coder);
    coding_out_clear(&e->out);
    weir_free(e);
}

bool share_encoder_run(struct share_encoder *e, struct weir_span in, struct coding_out **out)
{
    coding_out_clear(&e->out);
    *out = &e->out;
    return coder_run(e->coder, in, in.ptr == NULL ? CODER_END : CODER_MORE, &e->out, NULL);
}

/* ---- out of the store ---- */

struct share_decoder {
    struct coder *coder;
    struct coding_out out;
    size_t next;            /* of out's slices */
    struct weir_slice from; /* a reference: what is being decoded; blob NULL: nothing */
    struct weir_span left;  /* of it */
    bool more;              /* the coder has more to say of what it took */
    uint64_t given, max;
    bool exact;
};

struct share_decoder *share_decoder_new(uint64_t max, bool exact)
{
    struct share_decoder *d = weir_calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    d->max = max;
    d->exact = exact;
    coding_out_init(&d->out, UINT64_MAX, CHUNK_BYTES);
    d->coder = coder_new_decoder(CODING_ZSTD, NULL);
    if (d->coder != NULL)
        return d;
    share_decoder_free(d);
    return NULL;
}

static void drop_source(struct share_decoder *d)
{
    if (d->from.blob != NULL)
        weir_blob_unref(d->from.blob);
    d->from.blob = NULL;
    d->left = WEIR_SPAN_NONE;
}

/* The slices that were given out belong to others. */
static void drop_output(struct share_decoder *d)
{
    for (size_t i = 0; i < d->next; i++)
        d->out.slices[i].blob = NULL;
    coding_out_clear(&d->out);
    d->next = 0;
}

void share_decoder_free(struct share_decoder *d)
{
    if (d == NULL)
        return;
    drop_source(d);
    drop_output(d);
    coder_free(d->coder);
    weir_free(d);
}

/* The store has no more: so must it be with the frame. */
static enum store_step end_of(struct share_decoder *d)
{
    if (!coder_run(d->coder, WEIR_SPAN_NONE, CODER_END, &d->out, NULL) || d->out.count > 0 ||
        (d->exact && d->given != d->max))
        return STORE_BROKEN;
    return STORE_END;
}

/* Decodes what is at hand, or gets more of it; BYTES: go on. */
static enum store_step advance(struct share_decoder *d, struct store_read *r)
{
    enum store_step step;

    drop_output(d);
    if (d->more || d->left.len > 0)
        return coder_decode(d->coder, &d->left, ENOUGH_BYTES, &d->out, &d->more, NULL)
                   ? STORE_BYTES
                   : STORE_BROKEN;
    drop_source(d);
    step = store_read_next(r, &d->from);
    if (step == STORE_BYTES)
        d->left = weir_span(weir_slice_ptr(d->from), d->from.len);
    else
        d->from.blob = NULL;
    return step == STORE_END ? end_of(d) : step;
}

enum store_step share_decoder_next(struct share_decoder *d, struct store_read *r,
                                   struct weir_slice *out)
{
    while (d->next == d->out.count) {
        enum store_step step = advance(d, r);

        if (step != STORE_BYTES)
            return step;
    }
    d->given += d->out.slices[d->next].len;
    if (d->given > d->max)
        return STORE_BROKEN;
    *out = d->out.slices[d->next++];
    return STORE_BYTES;
}
