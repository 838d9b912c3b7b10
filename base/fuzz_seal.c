/* Bytes that claim to be sealed. The first one says what to do: nothing forged opens, and what was
 * sealed here does, whatever it is. */
#include "weir/seal.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal_and_open(const struct weir_seal_key *k, struct weir_span place,
                          struct weir_span bytes)
{
    char *out = calloc(1, WEIR_SEAL_BYTES + bytes.len);
    struct weir_span sealed = weir_span(out, WEIR_SEAL_BYTES + bytes.len), inside;

    if (out != NULL && weir_seal(k, "fuzz", place, bytes, out)) {
        assert(weir_seal_open(k, "fuzz", place, sealed, &inside));
        assert(weir_span_eq(inside, bytes));
        out[place.len % sealed.len] ^= 1;
        assert(!weir_seal_open(k, "fuzz", place, sealed, &inside));
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct weir_seal_key k = {.bytes = {1, 2, 3}};
    struct weir_span all, place, rest, inside;
    size_t split;

    if (size == 0)
        return 0;
    all = weir_span((const char *)data + 1, size - 1);
    split = data[0] < all.len ? data[0] : all.len;
    place = weir_span(all.ptr, split);
    rest = weir_span(all.ptr + split, all.len - split);
    seal_and_open(&k, place, rest);
    assert(!weir_seal_open(&k, "another purpose", place, rest, &inside));
    return 0;
}
