/*
 * share_coding.h - content that is too large to be coded as a whole: to zstd on its way into the
 * farm's store, and back on its way out.
 *
 * Who reads it gets the bytes as the origin sent them, and never more than were announced.
 */
#ifndef SHARE_CODING_H
#define SHARE_CODING_H

#include <stdbool.h>
#include <stdint.h>

#include "coding.h"
#include "weir/shared_store.h"

/* ---- into the store ---- */

struct share_encoder;

/* NULL: no memory. */
struct share_encoder *share_encoder_new(unsigned level);
void share_encoder_free(struct share_encoder *e); /* NULL does nothing */
/* Feeds bytes, or the end (ptr NULL). What has been made is in *out, to be taken from there. false:
 * the content cannot be stored. */
bool share_encoder_run(struct share_encoder *e, struct weir_span in, struct coding_out **out);

/* ---- out of the store ---- */

struct share_decoder;

/* max: bytes of the content, exactly if `exact`, else at most. NULL: no memory. */
struct share_decoder *share_decoder_new(uint64_t max, bool exact);
void share_decoder_free(struct share_decoder *d); /* NULL does nothing */
/* As store_read_next(r, out), of the decoded content. BROKEN also if it is not what it should be.
 */
enum store_step share_decoder_next(struct share_decoder *d, struct store_read *r,
                                   struct weir_slice *out);

#endif
