/*
 * coding.h - content codings (RFC 9110 8.4.1): bytes to gzip, br or zstd and back.
 *
 * A *coder* works in one direction over one body. It is fed bytes as they come and appends what it
 * makes to a list of blobs, never beyond the list's limit: a body of a few bytes may decode to
 * gigabytes. Its memory is bounded whatever the input; input is judged, never trusted.
 *
 * zstd is always exactly one frame, its window 8 MiB at most (RFC 9659 3), its size written into
 * the frame where it is known, without checksum: some clients decode the first frame alone, and
 * browsers refuse larger windows.
 *
 * No clock, no thread, no file. A coder is one thread's at a time.
 */
#ifndef CODING_H
#define CODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/err.h"
#include "weir/span.h"

#include "http_coding.h"

/* ---- what is made ---- */

/* A growing list of blobs. Set up by coding_out_init(); owns its slices until they are taken. */
struct coding_out {
    struct weir_slice *slices;
    size_t count, cap;
    uint64_t len;
    uint64_t max; /* bytes; to exceed it is RESPONSE_TOO_LARGE */
    size_t chunk; /* bytes of one blob */
};

/* chunk 0: 16 KiB. */
void coding_out_init(struct coding_out *o, uint64_t max, size_t chunk);
/* Releases what it holds; it can be filled again. */
void coding_out_clear(struct coding_out *o);

/* ---- coders ---- */

struct coder;

#define CODING_SIZE_UNKNOWN UINT64_MAX

/*
 * level: as the coding counts them (gzip 1-9, br 1-11, zstd 1-19; a level beyond is the highest).
 * size: what will be fed in all, or CODING_SIZE_UNKNOWN: then the coder is one of many that live
 * long, takes at most some 600 KiB and works fast. NULL without memory, and for identity.
 */
struct coder *coder_new_encoder(enum coding c, unsigned level, uint64_t size, struct weir_err *err);
/* NULL without memory, and for identity. */
struct coder *coder_new_decoder(enum coding c, struct weir_err *err);
void coder_free(struct coder *c); /* NULL does nothing */

enum coder_op {
    CODER_MORE,  /* more will come: may hold bytes back */
    CODER_FLUSH, /* all that was fed can be decoded from what has been made (decoders: as MORE) */
    CODER_END,   /* the body is complete */
};

/*
 * Feeds `in` and appends to `out`. false: RESPONSE_MALFORMED (a decoder's input is damaged, goes on
 * behind its end, or ends early), RESPONSE_TOO_LARGE, MEMORY; nothing may be fed after that. What
 * `out` then holds is not the whole.
 */
bool coder_run(struct coder *c, struct weir_span in, enum coder_op op, struct coding_out *out,
               struct weir_err *err);

/*
 * As coder_run() with MORE, for a decoder whose output is sent while it is made: stops once `out`
 * holds `enough` bytes. *in becomes what was not taken; *more: call again for the rest, even if *in
 * is empty, before anything else is fed.
 */
bool coder_decode(struct coder *c, struct weir_span *in, uint64_t enough, struct coding_out *out,
                  bool *more, struct weir_err *err);

#endif
