#define ZLIB_CONST
#include <zlib.h>

#include "weir/alloc.h"

#include "coding_kinds.h"

/* RFC 1952 by zlib. 16 added to the window asks for the gzip wrapper. */
#define WINDOW_BITS (15 + 16)
#define LEVEL_MAX   9
#define FAST_LEVEL  6 /* at most, for what is compressed on a loop */

static void *z_alloc(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return weir_calloc(count, size);
}

static void z_free(void *opaque, void *block)
{
    (void)opaque;
    weir_free(block);
}

static z_stream *stream_new(void)
{
    z_stream *z = weir_calloc(1, sizeof *z);

    if (z == NULL)
        return NULL;
    z->zalloc = z_alloc;
    z->zfree = z_free;
    return z;
}

static void io_begin(z_stream *z, const struct coding_io *io)
{
    z->next_in = io->in;
    z->avail_in = io->in_len > UINT32_MAX ? UINT32_MAX : (unsigned)io->in_len;
    z->next_out = io->out;
    z->avail_out = io->out_room > UINT32_MAX ? UINT32_MAX : (unsigned)io->out_room;
}

static void io_end(const z_stream *z, struct coding_io *io)
{
    io->in_len -= (size_t)(z->next_in - io->in);
    io->in = z->next_in;
    io->out_room -= (size_t)(z->next_out - io->out);
    io->out = z->next_out;
}

static void *gzip_encoder(unsigned level, uint64_t size)
{
    z_stream *z = stream_new();
    unsigned top = size == CODING_SIZE_UNKNOWN ? FAST_LEVEL : LEVEL_MAX;

    if (z == NULL)
        return NULL;
    if (deflateInit2(z, (int)(level < top ? level : top), Z_DEFLATED, WINDOW_BITS, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        weir_free(z);
        return NULL;
    }
    return z;
}

static enum coding_step gzip_encode(void *state, struct coding_io *io, enum coder_op op)
{
    z_stream *z = state;
    int rc;

    io_begin(z, io);
    rc = deflate(z, op == CODER_END ? Z_FINISH : op == CODER_FLUSH ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    io_end(z, io);
    if (rc == Z_STREAM_END)
        return STEP_ON;
    /* Z_BUF_ERROR: nothing to do, as for a second flush in a row. */
    return z->avail_out == 0 || io->in_len > 0 || op == CODER_END ? STEP_ROOM : STEP_ON;
}

static void gzip_encoder_free(void *state)
{
    deflateEnd(state);
    weir_free(state);
}

static void *gzip_decoder(void)
{
    z_stream *z = stream_new();

    if (z != NULL && inflateInit2(z, WINDOW_BITS) != Z_OK) {
        weir_free(z);
        z = NULL;
    }
    return z;
}

static enum coding_step gzip_decode(void *state, struct coding_io *io)
{
    z_stream *z = state;
    int rc;

    io_begin(z, io);
    rc = inflate(z, Z_NO_FLUSH);
    io_end(z, io);
    switch (rc) {
    case Z_STREAM_END:
        return STEP_DONE;
    case Z_OK:
    case Z_BUF_ERROR:
        return z->avail_out == 0 ? STEP_ROOM : STEP_ON;
    case Z_MEM_ERROR:
        return STEP_MEMORY;
    default:
        return STEP_DAMAGED;
    }
}

/* A body may be several members in a row (RFC 1952 2.2). */
static bool gzip_next(void *state)
{
    return inflateReset(state) == Z_OK;
}

static void gzip_decoder_free(void *state)
{
    inflateEnd(state);
    weir_free(state);
}

const struct coding_kind coding_kind_gzip = {gzip_encoder, gzip_encode, gzip_encoder_free,
                                             gzip_decoder, gzip_decode, gzip_decoder_free,
                                             gzip_next};
