/*
 * coding_kinds.h - what each library does for a coder; private to this folder.
 */
#ifndef CODING_KINDS_H
#define CODING_KINDS_H

#include "coding.h"

/* In and out of one step; the step moves the pointers. */
struct coding_io {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_room;
};

enum coding_step {
    STEP_ON,      /* everything that `op` asked for has come out */
    STEP_ROOM,    /* more room is needed */
    STEP_DONE,    /* decoders: a body ends here; there may be input left */
    STEP_DAMAGED, /* decoders only */
    STEP_MEMORY,
};

struct coding_kind {
    void *(*encoder)(unsigned level, uint64_t size); /* NULL without memory */
    enum coding_step (*encode)(void *state, struct coding_io *io, enum coder_op op);
    void (*encoder_free)(void *state);
    void *(*decoder)(void);
    enum coding_step (*decode)(void *state, struct coding_io *io);
    void (*decoder_free)(void *state);
    /* After DONE with input left: begin the next member of the same body; NULL: there is none. */
    bool (*decoder_next)(void *state);
};

extern const struct coding_kind coding_kind_gzip, coding_kind_br, coding_kind_zstd;

#endif
