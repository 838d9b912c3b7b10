/* Bytes that claim to be wrapped: nothing forged opens, and what was wrapped here does, whatever it
 * is, until a bit of it changes. */
#include "weir/wrap.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void wrap_and_open(const struct weir_wrap_key *k, struct weir_span place,
                          struct weir_span bytes, char *in)
{
    size_t len = WEIR_WRAP_BYTES + bytes.len;
    char *out = calloc(1, len);

    if (out != NULL && weir_wrap(k, "fuzz", place, bytes, out, NULL)) {
        assert(weir_wrap_open(k, "fuzz", place, weir_span(out, len), in));
        assert(bytes.len == 0 || memcmp(in, bytes.ptr, bytes.len) == 0);
        out[place.len % len] ^= 1;
        assert(!weir_wrap_open(k, "fuzz", place, weir_span(out, len), in));
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct weir_wrap_key k = {.bytes = {1, 2, 3}};
    struct weir_span all, place, rest;
    size_t split;
    char *in;

    if (size == 0 || (in = malloc(size)) == NULL)
        return 0;
    all = weir_span((const char *)data + 1, size - 1);
    split = data[0] < all.len ? data[0] : all.len;
    place = weir_span(all.ptr, split);
    rest = weir_span(all.ptr + split, all.len - split);
    wrap_and_open(&k, place, rest, in);
    assert(!weir_wrap_open(&k, "another purpose", place, rest, in));
    free(in);
    return 0;
}
