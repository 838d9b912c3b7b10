#include "coding.h"

#include <assert.h>

#include "weir/alloc.h"

#include "coding_kinds.h"

#define CHUNK_BYTES 16384

static const struct coding_kind *const kinds[CODINGS] = {
    [CODING_GZIP] = &coding_kind_gzip,
    [CODING_BR] = &coding_kind_br,
    [CODING_ZSTD] = &coding_kind_zstd,
};

/* ---- what is made ---- */

void coding_out_init(struct coding_out *o, uint64_t max, size_t chunk)
{
    *o = (struct coding_out){.max = max, .chunk = chunk != 0 ? chunk : CHUNK_BYTES};
}

void coding_out_clear(struct coding_out *o)
{
    for (size_t i = 0; i < o->count; i++)
        weir_blob_unref(o->slices[i].blob);
    weir_free(o->slices);
    coding_out_init(o, o->max, o->chunk);
}

static bool out_grow(struct coding_out *o)
{
    size_t cap = o->cap == 0 ? 4 : o->cap * 2;
    struct weir_slice *slices = weir_realloc(o->slices, cap * sizeof *slices);

    if (slices == NULL)
        return false;
    o->slices = slices;
    o->cap = cap;
    return true;
}

/* The last slice if its blob has room, else a new one; NULL without memory. */
static struct weir_slice *out_tail(struct coding_out *o)
{
    struct weir_slice *s;

    if (o->count > 0) {
        s = &o->slices[o->count - 1];
        if (s->blob->len < s->blob->cap)
            return s;
    }
    if (o->count == o->cap && !out_grow(o))
        return NULL;
    s = &o->slices[o->count];
    *s = (struct weir_slice){weir_blob_new(o->chunk), 0, 0};
    if (s->blob == NULL)
        return NULL;
    o->count++;
    return s;
}

static void out_commit(struct coding_out *o, struct weir_slice *s, size_t n)
{
    s->len += (uint32_t)n;
    s->blob->len += (uint32_t)n;
    o->len += n;
    if (s->len == 0) { /* nobody wants an empty slice */
        weir_blob_unref(s->blob);
        o->count--;
    }
}

/* ---- coders ---- */

struct coder {
    const struct coding_kind *kind;
    void *state;
    bool decodes;
    bool ended;  /* decoders: at the end of a body, or of a member of one */
    bool failed; /* or complete: takes nothing any more */
};

static struct coder *coder_new(enum coding c, bool decodes, struct weir_err *err)
{
    struct coder *coder = c > CODING_IDENTITY && c < CODINGS ? weir_calloc(1, sizeof *coder) : NULL;

    if (coder == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "coding: coder", 0);
        return NULL;
    }
    coder->kind = kinds[c];
    coder->decodes = decodes;
    return coder;
}

static struct coder *with_state(struct coder *c, void *state, struct weir_err *err)
{
    c->state = state;
    if (state != NULL)
        return c;
    weir_free(c);
    weir_fail(err, WEIR_E_MEMORY, "coding: coder", 0);
    return NULL;
}

struct coder *coder_new_encoder(enum coding c, unsigned level, uint64_t size, struct weir_err *err)
{
    struct coder *coder = coder_new(c, false, err);

    return coder == NULL ? NULL : with_state(coder, coder->kind->encoder(level, size), err);
}

struct coder *coder_new_decoder(enum coding c, struct weir_err *err)
{
    struct coder *coder = coder_new(c, true, err);

    return coder == NULL ? NULL : with_state(coder, coder->kind->decoder(), err);
}

void coder_free(struct coder *c)
{
    if (c == NULL)
        return;
    if (c->decodes)
        c->kind->decoder_free(c->state);
    else
        c->kind->encoder_free(c->state);
    weir_free(c);
}

static bool fail_step(enum coding_step step, struct weir_err *err)
{
    return step == STEP_MEMORY
               ? weir_fail(err, WEIR_E_MEMORY, "coding: run", 0)
               : weir_fail(err, WEIR_E_RESPONSE_MALFORMED, "coding: damaged content", 0);
}

/* One step into the blob at the end of the list. */
static bool step(struct coder *c, struct coding_io *io, enum coder_op op, struct coding_out *out,
                 enum coding_step *result, struct weir_err *err)
{
    struct weir_slice *to = out_tail(out);
    size_t room, made;

    if (to == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "coding: out", 0);
    room = to->blob->cap - to->blob->len;
    io->out = (uint8_t *)to->blob->bytes + to->blob->len;
    io->out_room = room;
    *result = c->decodes ? c->kind->decode(c->state, io) : c->kind->encode(c->state, io, op);
    made = room - io->out_room;
    out_commit(out, to, made);
    if (out->len > out->max)
        return weir_fail(err, WEIR_E_RESPONSE_TOO_LARGE, "coding: limit", 0);
    return true;
}

/* *more: `out` holds `enough`, and more can be made without further input. */
static bool decode(struct coder *c, struct coding_io *io, uint64_t enough, struct coding_out *out,
                   bool *more, struct weir_err *err)
{
    enum coding_step result;

    *more = false;

    do {
        if (c->ended && io->in_len == 0)
            return true;
        if (c->ended && (c->kind->decoder_next == NULL || !c->kind->decoder_next(c->state)))
            return fail_step(STEP_DAMAGED, err);
        c->ended = false;
        if (!step(c, io, CODER_MORE, out, &result, err))
            return false;
        if (result == STEP_DAMAGED || result == STEP_MEMORY)
            return fail_step(result, err);
        c->ended = result == STEP_DONE;
        *more = out->len >= enough && (result == STEP_ROOM || io->in_len > 0);
        if (*more)
            return true;
    } while (result != STEP_ON || io->in_len > 0);
    return true;
}

static bool encode(struct coder *c, struct coding_io *io, enum coder_op op, struct coding_out *out,
                   struct weir_err *err)
{
    enum coding_step result;

    do {
        if (!step(c, io, op, out, &result, err))
            return false;
        if (result == STEP_MEMORY)
            return fail_step(result, err);
    } while (result != STEP_ON);
    return true;
}

/* Steps move the pointer, if only by nothing: it must not be NULL. */
static struct coding_io input(struct weir_span in)
{
    return (struct coding_io){(const uint8_t *)(in.ptr != NULL ? in.ptr : ""), in.len, NULL, 0};
}

bool coder_run(struct coder *c, struct weir_span in, enum coder_op op, struct coding_out *out,
               struct weir_err *err)
{
    struct coding_io io = input(in);
    bool ok, more;

    assert(!c->failed);
    if (op == CODER_MORE && in.len == 0)
        return true;
    if (c->decodes) {
        ok = decode(c, &io, UINT64_MAX, out, &more, err);
        if (ok && op == CODER_END && !c->ended)
            ok = fail_step(STEP_DAMAGED, err); /* it breaks off */
    } else {
        ok = encode(c, &io, op, out, err);
    }
    c->failed = !ok || op == CODER_END;
    return ok;
}

bool coder_decode(struct coder *c, struct weir_span *in, uint64_t enough, struct coding_out *out,
                  bool *more, struct weir_err *err)
{
    struct coding_io io = input(*in);
    bool ok;

    assert(!c->failed && c->decodes);
    ok = decode(c, &io, enough, out, more, err);
    *in = weir_span((const char *)io.in, io.in_len);
    c->failed = !ok;
    return ok;
}
