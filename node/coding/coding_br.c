#include <setjmp.h>
#include <stddef.h>

#include <brotli/decode.h>
#include <brotli/encode.h>

#include "weir/alloc.h"
#include "weir/container.h"

#include "coding_kinds.h"

/* RFC 7932 by libbrotli. */
#define STREAM_QUALITY 4  /* at most, for what is compressed on a loop */
#define STREAM_WINDOW  16 /* 64 KiB */
#define WINDOW_MAX     22 /* 4 MiB: what browsers take without large_window */

static void *br_alloc(void *opaque, size_t size)
{
    (void)opaque;
    return weir_malloc(size);
}

static void br_free(void *opaque, void *block)
{
    (void)opaque;
    weir_free(block);
}

/* ---- encoding ---- */

/*
 * An encoder of libbrotli that gets no memory calls exit(). So it is left by a jump instead, and
 * what it had allocated is freed by our own list.
 */
struct block {
    struct block *next, **at;
    max_align_t bytes[];
};

struct br_encoder {
    BrotliEncoderState *state;
    struct block *blocks;
    bool armed; /* inside a call that must not see NULL */
    jmp_buf out_of_memory;
};

static void *encoder_alloc(void *opaque, size_t size)
{
    struct br_encoder *e = opaque;
    struct block *b = size < SIZE_MAX - sizeof *b ? weir_malloc(sizeof *b + size) : NULL;

    if (b == NULL && e->armed)
        longjmp(e->out_of_memory, 1);
    if (b == NULL)
        return NULL;
    b->next = e->blocks;
    b->at = &e->blocks;
    if (b->next != NULL)
        b->next->at = &b->next;
    e->blocks = b;
    return b->bytes;
}

static void encoder_free(void *opaque, void *bytes)
{
    struct block *b;

    (void)opaque;
    if (bytes == NULL)
        return;
    b = WEIR_CONTAINER(bytes, struct block, bytes);
    *b->at = b->next;
    if (b->next != NULL)
        b->next->at = b->at;
    weir_free(b);
}

/* The smallest window that holds the body: it decides what encoder and decoder allocate. */
static unsigned window_for(uint64_t size)
{
    unsigned bits = BROTLI_MIN_WINDOW_BITS;

    while (bits < WINDOW_MAX && (UINT64_C(1) << bits) - 16 < size)
        bits++;
    return bits;
}

static void *br_encoder_new(unsigned level, uint64_t size)
{
    struct br_encoder *e = weir_calloc(1, sizeof *e);
    bool streamed = size == CODING_SIZE_UNKNOWN;
    unsigned top = streamed ? STREAM_QUALITY : BROTLI_MAX_QUALITY;

    if (e == NULL)
        return NULL;
    e->state = BrotliEncoderCreateInstance(encoder_alloc, encoder_free, e);
    if (e->state == NULL) {
        weir_free(e);
        return NULL;
    }
    BrotliEncoderSetParameter(e->state, BROTLI_PARAM_QUALITY, level < top ? level : top);
    BrotliEncoderSetParameter(e->state, BROTLI_PARAM_LGWIN,
                              streamed ? STREAM_WINDOW : window_for(size));
    if (!streamed && size <= UINT32_MAX)
        BrotliEncoderSetParameter(e->state, BROTLI_PARAM_SIZE_HINT, (uint32_t)size);
    return e;
}

static enum coding_step br_encode(void *state, struct coding_io *io, enum coder_op op)
{
    static const BrotliEncoderOperation operations[] = {
        [CODER_MORE] = BROTLI_OPERATION_PROCESS,
        [CODER_FLUSH] = BROTLI_OPERATION_FLUSH,
        [CODER_END] = BROTLI_OPERATION_FINISH,
    };
    struct br_encoder *e = state;
    bool ok;

    if (setjmp(e->out_of_memory) != 0) {
        e->armed = false;
        return STEP_MEMORY;
    }
    e->armed = true;
    ok = BrotliEncoderCompressStream(e->state, operations[op], &io->in_len, &io->in, &io->out_room,
                                     &io->out, NULL);
    e->armed = false;
    if (!ok)
        return STEP_MEMORY;
    if (io->in_len > 0 || BrotliEncoderHasMoreOutput(e->state) ||
        (op == CODER_END && !BrotliEncoderIsFinished(e->state)))
        return STEP_ROOM;
    return STEP_ON;
}

/* Without the library's own function: after a jump its state may be anything. */
static void br_encoder_free(void *state)
{
    struct br_encoder *e = state;

    for (struct block *b = e->blocks, *next; b != NULL; b = next) {
        next = b->next;
        weir_free(b);
    }
    weir_free(e);
}

/* ---- decoding ---- */

static void *br_decoder(void)
{
    return BrotliDecoderCreateInstance(br_alloc, br_free, NULL);
}

static enum coding_step br_decode(void *state, struct coding_io *io)
{
    switch (
        BrotliDecoderDecompressStream(state, &io->in_len, &io->in, &io->out_room, &io->out, NULL)) {
    case BROTLI_DECODER_RESULT_SUCCESS:
        return STEP_DONE;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
        return STEP_ON;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
        return STEP_ROOM;
    default:
        break;
    }
    switch (BrotliDecoderGetErrorCode(state)) {
    case BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES:
    case BROTLI_DECODER_ERROR_ALLOC_TREE_GROUPS:
    case BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MAP:
    case BROTLI_DECODER_ERROR_ALLOC_RING_BUFFER_1:
    case BROTLI_DECODER_ERROR_ALLOC_RING_BUFFER_2:
    case BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES:
        return STEP_MEMORY;
    default:
        return STEP_DAMAGED;
    }
}

static void br_decoder_free(void *state)
{
    BrotliDecoderDestroyInstance(state);
}

const struct coding_kind coding_kind_br = {
    br_encoder_new, br_encode, br_encoder_free, br_decoder, br_decode, br_decoder_free, NULL};
