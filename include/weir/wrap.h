/*
 * wrap.h - hides bytes that go through shared state, or lie in a file, from everybody who does not
 * know the farm's secret, and notices every change to them: authenticated encryption. What nobody
 * needs to hide is sealed instead (seal.h).
 *
 *     wrapped = nonce[12] | AES-256-GCM(key, nonce, bytes; with purpose 0 place as what belongs to
 *               it) | tag[16]
 *
 * Nonces are drawn: one key is good for 2^32 values (NIST SP 800-38D 8.3), far more than keys and
 * certificates are made of. Wrapping does not keep anybody from showing old values again: what must
 * not come back says in its place, or inside, what it is for.
 *
 * Source: RFC 5116, NIST SP 800-38D; RFC 5869 (HKDF).
 */
#ifndef WEIR_WRAP_H
#define WEIR_WRAP_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/err.h"
#include "weir/span.h"

#define WEIR_WRAP_BYTES 28 /* what wrapping adds */

struct weir_wrap_key {
    unsigned char bytes[32];
};

/* From the farm's secret and name. An empty secret (no farm): a key that is drawn, good for this
 * process alone. false: *err. */
bool weir_wrap_key_derive(struct weir_wrap_key *k, struct weir_span secret, struct weir_span farm,
                          struct weir_err *err);

/* Writes WEIR_WRAP_BYTES + bytes.len bytes to out. purpose: a word, "ticket"; place: an id without
 * NUL in it. false: *err (OpenSSL has no memory, or the place has a NUL). */
bool weir_wrap(const struct weir_wrap_key *k, const char *purpose, struct weir_span place,
               struct weir_span bytes, char *out, struct weir_err *err);
/* Writes wrapped.len - WEIR_WRAP_BYTES bytes to out, which the caller overwrites after use. false:
 * too short, changed, or for another purpose, place or farm; nothing is left in out. */
bool weir_wrap_open(const struct weir_wrap_key *k, const char *purpose, struct weir_span place,
                    struct weir_span wrapped, char *out);

/* Key material that everybody who has the key can make: the same for the same purpose and place,
 * and nothing is to be learned from it of any other. At most 8160 bytes. false: *err. */
bool weir_wrap_expand(const struct weir_wrap_key *k, const char *purpose, struct weir_span place,
                      unsigned char *out, size_t len, struct weir_err *err);

#endif
