#include <zstd.h>
#include <zstd_errors.h>

#include "coding_kinds.h"

/* RFC 8878 by libzstd. */
#define LEVEL_MAX      19 /* beyond, the window grows past 8 MiB */
#define WINDOW_LOG_MAX 23 /* 8 MiB: RFC 9659 3 */
#define STREAM_LEVEL   3  /* at most, for what is compressed on a loop */

/* Tables of a streaming encoder: some 600 KiB with its buffers, where the usual 128 KiB blocks of
 * level 3 would take two megabytes. */
static const struct {
    ZSTD_cParameter name;
    int value;
} stream_parameters[] = {
    {ZSTD_c_windowLog, 16},
    {ZSTD_c_hashLog, 14},
    {ZSTD_c_chainLog, 14},
};

static bool set(ZSTD_CCtx *c, ZSTD_cParameter name, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(c, name, value));
}

static bool set_streaming(ZSTD_CCtx *c)
{
    bool ok = true;

    for (size_t i = 0; i < sizeof stream_parameters / sizeof stream_parameters[0]; i++)
        ok = ok && set(c, stream_parameters[i].name, stream_parameters[i].value);
    return ok;
}

static void *zstd_encoder(unsigned level, uint64_t size)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    bool streamed = size == CODING_SIZE_UNKNOWN;
    unsigned top = streamed ? STREAM_LEVEL : LEVEL_MAX;

    if (c == NULL)
        return NULL;
    /* A known size is written into the frame, and makes window and tables no larger than it needs.
     */
    if (set(c, ZSTD_c_compressionLevel, (int)(level < top ? level : top)) &&
        set(c, ZSTD_c_checksumFlag, 0) &&
        (streamed ? set_streaming(c) : !ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(c, size))))
        return c;
    ZSTD_freeCCtx(c);
    return NULL;
}

static enum coding_step zstd_encode(void *state, struct coding_io *io, enum coder_op op)
{
    static const ZSTD_EndDirective directives[] = {
        [CODER_MORE] = ZSTD_e_continue,
        [CODER_FLUSH] = ZSTD_e_flush,
        [CODER_END] = ZSTD_e_end,
    };
    ZSTD_inBuffer in = {io->in, io->in_len, 0};
    ZSTD_outBuffer out = {io->out, io->out_room, 0};
    size_t left = ZSTD_compressStream2(state, &out, &in, directives[op]);

    io->in += in.pos;
    io->in_len -= in.pos;
    io->out += out.pos;
    io->out_room -= out.pos;
    if (ZSTD_isError(left))
        return STEP_MEMORY;
    if (op == CODER_MORE) /* here `left` is only a hint */
        return io->in_len > 0 ? STEP_ROOM : STEP_ON;
    return left > 0 ? STEP_ROOM : STEP_ON;
}

static void zstd_encoder_free(void *state)
{
    ZSTD_freeCCtx(state);
}

static void *zstd_decoder(void)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();

    if (d != NULL)
        ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    return d;
}

static enum coding_step zstd_decode(void *state, struct coding_io *io)
{
    ZSTD_inBuffer in = {io->in, io->in_len, 0};
    ZSTD_outBuffer out = {io->out, io->out_room, 0};
    size_t rc = ZSTD_decompressStream(state, &out, &in);

    io->in += in.pos;
    io->in_len -= in.pos;
    io->out += out.pos;
    io->out_room -= out.pos;
    if (ZSTD_isError(rc))
        return ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation ? STEP_MEMORY : STEP_DAMAGED;
    if (rc == 0)
        return STEP_DONE;
    return io->out_room == 0 ? STEP_ROOM : STEP_ON;
}

/* Others' bodies may be several frames; the decoder begins the next one by itself. */
static bool zstd_next(void *state)
{
    (void)state;
    return true;
}

static void zstd_decoder_free(void *state)
{
    ZSTD_freeDCtx(state);
}

const struct coding_kind coding_kind_zstd = {zstd_encoder, zstd_encode, zstd_encoder_free,
                                             zstd_decoder, zstd_decode, zstd_decoder_free,
                                             zstd_next};
