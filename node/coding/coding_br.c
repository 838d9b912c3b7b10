#include <brotli/decode.h>
#include <brotli/encode.h>

#include "weir/alloc.h"

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

/* The smallest window that holds the body: it decides what encoder and decoder allocate. */
static unsigned window_for(uint64_t size)
{
    unsigned bits = BROTLI_MIN_WINDOW_BITS;

    while (bits < WINDOW_MAX && (UINT64_C(1) << bits) - 16 < size)
        bits++;
    return bits;
}

static void *br_encoder(unsigned level, uint64_t size)
{
    BrotliEncoderState *s = BrotliEncoderCreateInstance(br_alloc, br_free, NULL);
    bool streamed = size == CODING_SIZE_UNKNOWN;
    unsigned top = streamed ? STREAM_QUALITY : BROTLI_MAX_QUALITY;

    if (s == NULL)
        return NULL;
    BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, level < top ? level : top);
    BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, streamed ? STREAM_WINDOW : window_for(size));
    if (!streamed && size <= UINT32_MAX)
        BrotliEncoderSetParameter(s, BROTLI_PARAM_SIZE_HINT, (uint32_t)size);
    return s;
}

static enum coding_step br_encode(void *state, struct coding_io *io, enum coder_op op)
{
    static const BrotliEncoderOperation operations[] = {
        [CODER_MORE] = BROTLI_OPERATION_PROCESS,
        [CODER_FLUSH] = BROTLI_OPERATION_FLUSH,
        [CODER_END] = BROTLI_OPERATION_FINISH,
    };

    if (!BrotliEncoderCompressStream(state, operations[op], &io->in_len, &io->in, &io->out_room,
                                     &io->out, NULL))
        return STEP_MEMORY;
    if (io->in_len > 0 || BrotliEncoderHasMoreOutput(state) ||
        (op == CODER_END && !BrotliEncoderIsFinished(state)))
        return STEP_ROOM;
    return STEP_ON;
}

static void br_encoder_free(void *state)
{
    BrotliEncoderDestroyInstance(state);
}

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

const struct coding_kind coding_kind_br = {br_encoder, br_encode, br_encoder_free,
                                           br_decoder, br_decode, br_decoder_free,
                                           NULL};
