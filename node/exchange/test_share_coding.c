#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "share_coding.h"
#include "weir/alloc.h"

#define BYTES (3 * 1024 * 1024)
#define PIECE 50000

static char content[BYTES];

static void write_content(void)
{
    for (size_t i = 0; i < BYTES; i += 16)
        snprintf(content + i, 16, "%07zu words  ", i / 16);
}

/* Decodes what the encoder has made and compares it; *made grows by its length. */
static bool follow(struct coder *back, const struct coding_out *made, uint64_t *at, uint64_t *coded)
{
    struct coding_out out;
    bool ok = true;

    coding_out_init(&out, UINT64_MAX, 0);
    for (size_t i = 0; ok && i < made->count; i++) {
        struct weir_slice s = made->slices[i];

        ok = coder_run(back, weir_span(weir_slice_ptr(s), s.len), CODER_MORE, &out, NULL);
        *coded += s.len;
    }
    for (size_t i = 0; ok && i < out.count; i++) {
        assert_memory_equal(weir_slice_ptr(out.slices[i]), content + *at, out.slices[i].len);
        *at += out.slices[i].len;
    }
    coding_out_clear(&out);
    return ok;
}

/* Codes all of it; false: memory failed somewhere. */
static bool round_trip(uint64_t *coded)
{
    struct share_encoder *e = share_encoder_new(3);
    struct coder *back = coder_new_decoder(CODING_ZSTD, NULL);
    struct coding_out *out;
    uint64_t at = 0;
    bool ok = e != NULL && back != NULL;

    *coded = 0;
    for (size_t i = 0; ok && i < BYTES; i += PIECE)
        ok = share_encoder_run(e, weir_span(content + i, BYTES - i < PIECE ? BYTES - i : PIECE),
                               &out) &&
             follow(back, out, &at, coded);
    ok = ok && share_encoder_run(e, WEIR_SPAN_NONE, &out) && follow(back, out, &at, coded);
    assert_true(!ok || at == BYTES);
    share_encoder_free(e);
    coder_free(back);
    return ok;
}

static void what_is_coded_in_pieces_is_one_frame_of_the_whole(void **state)
{
    uint64_t coded;

    (void)state;
    write_content();
    assert_true(round_trip(&coded));
    assert_true(coded > 0 && coded < BYTES * 4 / 10);
}

static void memory_that_fails_is_told(void **state)
{
#ifdef WEIR_FAULTS
    uint64_t coded;
    bool failed = true;

    write_content();
    for (unsigned long n = 1; failed; n++) {
        bool ok;

        weir_alloc_fail_at(n);
        ok = round_trip(&coded);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_int_equal(ok, !failed);
        assert_true(n < 2000);
    }
    (void)state;
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_coded_in_pieces_is_one_frame_of_the_whole),
        cmocka_unit_test(memory_that_fails_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
