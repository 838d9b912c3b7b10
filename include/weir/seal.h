/*
 * seal.h - marks bytes that go through shared state as written by a node of this farm: a message
 * authentication code under a key that is made from the farm's secret. Not encryption: the bytes
 * stay readable. What was sealed for one purpose and place does not open for another.
 *
 *     sealed = mac[16] | bytes
 *     mac = first half of HMAC-SHA256(key, purpose 0 place 0 bytes)
 *
 * Sealing does not keep anybody from showing old bytes again: what must not be repeated carries a
 * number that only grows.
 *
 * Source: RFC 2104, RFC 5869 (the key, by HKDF).
 */
#ifndef WEIR_SEAL_H
#define WEIR_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/err.h"
#include "weir/span.h"

#define WEIR_SEAL_BYTES 16

struct weir_seal_key {
    unsigned char bytes[32];
};

/* From the farm's secret and name. An empty secret (no farm): a key that is drawn, good for this
 * process alone. false: *err. */
bool weir_seal_key_derive(struct weir_seal_key *k, struct weir_span secret, struct weir_span farm,
                          struct weir_err *err);

/* Writes WEIR_SEAL_BYTES + bytes.len bytes to out. purpose: a word, "member"; place: an id. */
bool weir_seal(const struct weir_seal_key *k, const char *purpose, struct weir_span place,
               struct weir_span bytes, char *out);
/* *bytes: what was sealed, within `sealed`. false: too short, forged, or for another purpose, place
 * or farm. Takes the same time whatever is wrong. */
bool weir_seal_open(const struct weir_seal_key *k, const char *purpose, struct weir_span place,
                    struct weir_span sealed, struct weir_span *bytes);

#endif
