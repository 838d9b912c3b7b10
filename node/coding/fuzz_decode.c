/*
 * fuzz_decode.c - whatever bytes claim to be gzip, br or zstd: whole and cut in two the same comes
 * out, and never more than the limit and a blob.
 *
 * The first byte chooses the coding, the second where to cut.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "coding.h"

#define LIMIT (1 << 20)

static bool run(enum coding coding, struct weir_span in, size_t cut, struct coding_out *out)
{
    struct coder *c = coder_new_decoder(coding, NULL);
    bool ok;

    assert(c != NULL);
    coding_out_init(out, LIMIT, 4096);
    ok = coder_run(c, weir_span(in.ptr, cut), CODER_MORE, out, NULL) &&
         coder_run(c, weir_span(in.ptr + cut, in.len - cut), CODER_END, out, NULL);
    assert(out->len <= LIMIT + 4096 + 64);
    coder_free(c);
    return ok;
}

static uint64_t sum_of(const struct coding_out *o)
{
    uint64_t sum = 14695981039346656037ULL;

    for (size_t i = 0; i < o->count; i++)
        for (uint32_t k = 0; k < o->slices[i].len; k++)
            sum = (sum ^ (unsigned char)weir_slice_ptr(o->slices[i])[k]) * 1099511628211ULL;
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct coding_out whole, cut;
    struct weir_span in;
    enum coding coding;
    bool ok;

    if (size < 2)
        return 0;
    coding = (enum coding)(CODING_GZIP + data[0] % 3);
    in = weir_span((const char *)data + 2, size - 2);
    ok = run(coding, in, 0, &whole);
    assert(run(coding, in, data[1] * in.len / 256, &cut) == ok);
    if (ok) {
        assert(whole.len == cut.len && sum_of(&whole) == sum_of(&cut));
    }
    coding_out_clear(&whole);
    coding_out_clear(&cut);
    return 0;
}
