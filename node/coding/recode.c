#include "recode.h"

#define CHUNK_BYTES 32768

/* Runs all slices through a coder; takes it. */
static bool run_all(struct coder *c, const struct weir_slice *slices, size_t count,
                    struct coding_out *out, struct weir_err *err)
{
    bool ok = c != NULL;

    for (size_t i = 0; ok && i < count; i++)
        ok =
            coder_run(c, weir_span(weir_slice_ptr(slices[i]), slices[i].len), CODER_MORE, out, err);
    ok = ok && coder_run(c, WEIR_SPAN_NONE, CODER_END, out, err);
    coder_free(c);
    return ok;
}

static uint64_t total(const struct weir_slice *slices, size_t count)
{
    uint64_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += slices[i].len;
    return n;
}

bool recode_body(const struct recode *r, struct coding_out *out, uint64_t *identity_len,
                 struct weir_err *err)
{
    struct coding_out plain;
    const struct weir_slice *slices = r->slices;
    size_t count = r->count;
    uint64_t len;
    bool ok = true;

    coding_out_init(&plain, r->identity_max, CHUNK_BYTES);
    if (r->from != CODING_IDENTITY) {
        ok = run_all(coder_new_decoder(r->from, err), r->slices, r->count, &plain, err);
        slices = plain.slices;
        count = plain.count;
    }
    len = total(slices, count);
    if (identity_len != NULL)
        *identity_len = len;
    if (ok && len > r->identity_max)
        ok = weir_fail(err, WEIR_E_RESPONSE_TOO_LARGE, "recode: limit", 0);
    if (ok && r->to != CODING_IDENTITY) {
        ok = run_all(coder_new_encoder(r->to, r->level, len, err), slices, count, out, err);
    } else if (ok) {
        uint64_t max = out->max;

        *out = plain; /* decoded: that is all */
        out->max = max;
        coding_out_init(&plain, 0, 0);
        if (out->len > max)
            ok = weir_fail(err, WEIR_E_RESPONSE_TOO_LARGE, "recode: limit", 0);
    }
    coding_out_clear(&plain);
    if (!ok)
        coding_out_clear(out);
    return ok;
}
