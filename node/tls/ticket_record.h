/*
 * ticket_record.h - a key of session tickets as bytes: on the board, and in the file that a node
 * keeps. Any bytes may be read.
 *
 *     id      "<rotation ms>.<period>", digits
 *     record  "WTK1" | u64 rotation | u64 period | name[16] | aes[32] | mac[32]   little-endian
 *
 * On the board the record is wrapped for its id (weir/wrap.h), so that a key cannot be shown again
 * for another period. The file is text: a line that says what it is, and one for each key.
 *
 *     weir session ticket keys 1 wrapped
 *     28800000.60917 <what stands on the board, hex>
 *
 * Without a farm it says "plain" and has the records themselves.
 */
#ifndef TICKET_RECORD_H
#define TICKET_RECORD_H

#include "weir/span.h"
#include "weir/wrap.h"
#include "ticket_ring.h"

#define TICKET_ID_MAX        48 /* with its NUL */
#define TICKET_RECORD_BYTES  100
#define TICKET_WRAPPED_BYTES (TICKET_RECORD_BYTES + WEIR_WRAP_BYTES)
#define TICKET_FILE_MAX      8192

/* out: with a NUL. */
struct weir_span ticket_id(const struct ticket_held *h, char out[TICKET_ID_MAX]);

/* false: *err (OpenSSL has no memory). */
bool ticket_wrap(const struct weir_wrap_key *k, const struct ticket_held *h,
                 char out[TICKET_WRAPPED_BYTES], struct weir_err *err);
/* A stored key. false: it does not open, or makes no sense, or is not what its id says. */
bool ticket_open(const struct weir_wrap_key *k, struct weir_span id, struct weir_span wrapped,
                 struct ticket_held *out);

/* The stored keys of the ring; k: NULL without a farm. Returns owned text, which is overwritten
 * before it is freed; NULL without memory. */
char *ticket_file_text(const struct ticket_ring *r, const struct weir_wrap_key *k, size_t *len);
/* Puts what it finds, and is alive, into the ring. false: not a file of this kind, or a line that
 * makes no sense, and all before it was taken. */
bool ticket_file_read(struct weir_span text, const struct weir_wrap_key *k, struct ticket_ring *r,
                      int64_t now_ms);

#endif
