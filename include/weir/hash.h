/*
 * hash.h - keyed hashes (XXH3 with a secret drawn at start), so that nobody outside can aim for
 * collisions.
 *
 * A hash only finds candidates; the full key is always compared.
 */
#ifndef WEIR_HASH_H
#define WEIR_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"

struct weir_hash128 {
    uint64_t lo, hi;
};

struct weir_hash_secret {
    unsigned char bytes[192];
};

/* Fills the secret from getrandom(2). */
bool weir_hash_secret_draw(struct weir_hash_secret *s, struct weir_err *err);
struct weir_hash128 weir_hash128(const struct weir_hash_secret *s, const void *bytes, size_t len);
uint64_t weir_hash64(const struct weir_hash_secret *s, const void *bytes, size_t len);

#endif
