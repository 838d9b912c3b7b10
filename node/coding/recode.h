/*
 * recode.h - a whole body from one content coding to another.
 *
 * Takes milliseconds and more: for threads of its own (recoder.h), never for a loop.
 */
#ifndef RECODE_H
#define RECODE_H

#include "coding.h"

struct recode {
    const struct weir_slice *slices; /* borrowed */
    size_t count;
    enum coding from, to;
    unsigned level;        /* of `to` */
    uint64_t identity_max; /* the body without coding may be so large */
};

/*
 * Appends the body to `out`, whose limit holds for what is made. *identity_len (may be NULL): the
 * size without coding. Errors: as coder_run(); `out` is then empty.
 */
bool recode_body(const struct recode *r, struct coding_out *out, uint64_t *identity_len,
                 struct weir_err *err);

#endif
