#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "weir/alloc.h"

#include "coding.h"

/* Text that compresses, the same each time. */
static char *text_of(size_t len)
{
    char *text = malloc(len + 1);
    unsigned seed = 7;

    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245 + 12345;
        text[i] = i % 7 == 6 ? ' ' : (char)('a' + (seed >> 16) % 6);
    }
    return text;
}

static char *join(const struct coding_out *o)
{
    char *all = malloc((size_t)o->len + 1);
    size_t at = 0;

    assert_non_null(all);
    for (size_t i = 0; i < o->count; i++) {
        assert_true(o->slices[i].len > 0);
        memcpy(all + at, weir_slice_ptr(o->slices[i]), o->slices[i].len);
        at += o->slices[i].len;
    }
    assert_int_equal(at, o->len);
    return all;
}

/* Feeds in pieces of `piece` bytes; the last call is END. */
static bool feed(struct coder *c, const char *in, size_t len, size_t piece, struct coding_out *out,
                 struct weir_err *err)
{
    for (size_t at = 0; at < len; at += piece)
        if (!coder_run(c, weir_span(in + at, len - at < piece ? len - at : piece), CODER_MORE, out,
                       err))
            return false;
    return coder_run(c, WEIR_SPAN_NONE, CODER_END, out, err);
}

static char *encoded(enum coding coding, unsigned level, uint64_t size, const char *text,
                     size_t len, size_t *out_len)
{
    struct coder *c = coder_new_encoder(coding, level, size, NULL);
    struct coding_out out;
    char *all;

    assert_non_null(c);
    coding_out_init(&out, UINT64_MAX, 0);
    assert_true(feed(c, text, len, 1000, &out, NULL));
    coder_free(c);
    all = join(&out);
    *out_len = (size_t)out.len;
    coding_out_clear(&out);
    return all;
}

static bool decodes_to(enum coding coding, const char *in, size_t len, size_t piece,
                       const char *text, size_t text_len, struct weir_err *err)
{
    struct coder *c = coder_new_decoder(coding, NULL);
    struct coding_out out;
    bool ok;
    char *all;

    assert_non_null(c);
    coding_out_init(&out, UINT64_MAX, 0);
    ok = feed(c, in, len, piece, &out, err);
    coder_free(c);
    all = join(&out);
    if (ok) {
        assert_int_equal(out.len, text_len);
        assert_memory_equal(all, text, text_len);
    }
    free(all);
    coding_out_clear(&out);
    return ok;
}

static const enum coding made[] = {CODING_GZIP, CODING_BR, CODING_ZSTD};
#define EACH_CODING(c) for (size_t i_ = 0; i_ < 3 && ((c) = made[i_], true); i_++)

static void names_go_both_ways_without_regard_to_case(void **state)
{
    enum coding c;

    (void)state;
    EACH_CODING(c)
    assert_int_equal(coding_by_name(coding_name(c)), c);
    assert_int_equal(coding_by_name(WEIR_SPAN_LIT("GZip")), CODING_GZIP);
    assert_int_equal(coding_by_name(WEIR_SPAN_LIT("x-gzip")), CODING_GZIP);
    assert_int_equal(coding_by_name(WEIR_SPAN_LIT("identity")), CODING_IDENTITY);
    assert_int_equal(coding_by_name(WEIR_SPAN_LIT("deflate")), CODING_OTHER);
    assert_int_equal(coding_by_name(WEIR_SPAN_LIT("")), CODING_OTHER);
}

static void what_is_encoded_decodes_to_the_same_bytes_however_it_is_cut(void **state)
{
    static const size_t sizes[] = {0, 1, 1000, 70000, 300000};
    enum coding c;

    (void)state;
    EACH_CODING(c)
    {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            char *text = text_of(sizes[k]);
            size_t len;

            for (int known = 0; known < 2; known++) {
                char *code =
                    encoded(c, 6, known ? sizes[k] : CODING_SIZE_UNKNOWN, text, sizes[k], &len);

                assert_true(decodes_to(c, code, len, 1, text, sizes[k], NULL));
                assert_true(decodes_to(c, code, len, len, text, sizes[k], NULL));
                if (sizes[k] >= 1000)
                    assert_true(len < sizes[k]);
                free(code);
            }
            free(text);
        }
    }
}

static void zstd_is_one_frame_with_its_size_and_a_small_window(void **state)
{
    static const unsigned levels[] = {1, 6, 19, 22};
    const size_t size = 12 << 20; /* larger than the largest window */
    char *text = text_of(size);

    (void)state;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        size_t n = levels[i] > 6 ? 100000 : size, len;
        char *code = encoded(CODING_ZSTD, levels[i], n, text, n, &len);

        assert_int_equal(ZSTD_findFrameCompressedSize(code, len), len);
        assert_int_equal(ZSTD_getFrameContentSize(code, len), n);
        /* Frame_Header_Descriptor: bit 2 is the checksum, bit 5 single segment (RFC 8878 3.1.1). */
        assert_int_equal(code[4] & 0x04, 0);
        if ((code[4] & 0x20) == 0)
            assert_true(10 + ((unsigned char)code[5] >> 3) <= 23);
        else
            assert_true(n <= 8 << 20);
        free(code);
    }
    free(text);
}

static void zstd_of_unknown_size_is_one_frame_too(void **state)
{
    char *text = text_of(300000), *code;
    size_t len;

    (void)state;
    code = encoded(CODING_ZSTD, 19, CODING_SIZE_UNKNOWN, text, 300000, &len);
    assert_int_equal(ZSTD_findFrameCompressedSize(code, len), len);
    assert_true(10 + ((unsigned char)code[5] >> 3) <= 17);
    free(code);
    free(text);
}

static void after_a_flush_all_that_was_fed_can_be_decoded(void **state)
{
    enum coding coding;

    (void)state;
    EACH_CODING(coding)
    {
        struct coder *e = coder_new_encoder(coding, 6, CODING_SIZE_UNKNOWN, NULL);
        struct coder *d = coder_new_decoder(coding, NULL);

        assert_non_null(e);
        assert_non_null(d);
        for (int event = 0; event < 50; event++) {
            struct coding_out out, plain;
            char text[64], *seen;
            int n = snprintf(text, sizeof text, "data: event %d\n\n", event);

            coding_out_init(&out, UINT64_MAX, 512);
            coding_out_init(&plain, UINT64_MAX, 512);
            assert_true(coder_run(e, weir_span(text, (size_t)n), CODER_FLUSH, &out, NULL));
            for (size_t i = 0; i < out.count; i++)
                assert_true(coder_run(d,
                                      weir_span(weir_slice_ptr(out.slices[i]), out.slices[i].len),
                                      CODER_MORE, &plain, NULL));
            seen = join(&plain);
            assert_int_equal(plain.len, n);
            assert_memory_equal(seen, text, (size_t)n);
            free(seen);
            coding_out_clear(&out);
            coding_out_clear(&plain);
        }
        coder_free(e);
        coder_free(d);
    }
}

static void a_body_that_breaks_off_is_damaged(void **state)
{
    char *text = text_of(5000);
    enum coding c;

    (void)state;
    EACH_CODING(c)
    {
        size_t len;
        char *code = encoded(c, 6, 5000, text, 5000, &len);

        for (size_t cut = 0; cut < len; cut += 97) {
            struct weir_err err = {0};

            assert_false(decodes_to(c, code, cut, 50, text, 5000, &err));
            assert_int_equal(err.code, WEIR_E_RESPONSE_MALFORMED);
        }
        assert_false(decodes_to(c, code, len - 1, len, text, 5000, NULL));
        free(code);
    }
    free(text);
}

static void what_goes_on_behind_the_end_is_damaged(void **state)
{
    char *text = text_of(500);
    enum coding c;

    (void)state;
    EACH_CODING(c)
    {
        struct weir_err err = {0};
        size_t len;
        char *code = encoded(c, 6, 500, text, 500, &len);
        char *longer = malloc(len + 20);

        assert_non_null(longer);
        memcpy(longer, code, len);
        memcpy(longer + len, "what does this want?", 20);
        assert_false(decodes_to(c, longer, len + 20, 7, text, 500, &err));
        assert_int_equal(err.code, WEIR_E_RESPONSE_MALFORMED);
        free(longer);
        free(code);
    }
    free(text);
}

static void a_flipped_byte_in_gzip_is_damage(void **state)
{
    char *text = text_of(5000);
    size_t len;
    char *code = encoded(CODING_GZIP, 6, 5000, text, 5000, &len);

    (void)state;
    code[len / 2] ^= 1;
    assert_false(decodes_to(CODING_GZIP, code, len, len, text, 5000, NULL));
    free(code);
    free(text);
}

static void several_gzip_members_and_zstd_frames_are_one_body(void **state)
{
    static const enum coding can[] = {CODING_GZIP, CODING_ZSTD};
    char *text = text_of(2000);

    (void)state;
    for (int i = 0; i < 2; i++) {
        size_t a_len, b_len;
        char *a = encoded(can[i], 6, 1200, text, 1200, &a_len);
        char *b = encoded(can[i], 6, 800, text + 1200, 800, &b_len);
        char *both = malloc(a_len + b_len);

        assert_non_null(both);
        memcpy(both, a, a_len);
        memcpy(both + a_len, b, b_len);
        assert_true(decodes_to(can[i], both, a_len + b_len, 11, text, 2000, NULL));
        assert_true(decodes_to(can[i], both, a_len + b_len, a_len + b_len, text, 2000, NULL));
        free(a);
        free(b);
        free(both);
    }
    free(text);
}

static void a_decoder_stops_at_the_limit(void **state)
{
    const size_t size = 32 << 20;
    char *zeros = calloc(1, size);
    enum coding coding;

    (void)state;
    assert_non_null(zeros);
    EACH_CODING(coding)
    {
        struct coder *d = coder_new_decoder(coding, NULL);
        struct coding_out out;
        struct weir_err err = {0};
        size_t len;
        char *bomb = encoded(coding, 6, size, zeros, size, &len);

        assert_true(len < size / 100);
        coding_out_init(&out, 100000, 0);
        assert_false(feed(d, bomb, len, len, &out, &err));
        assert_int_equal(err.code, WEIR_E_RESPONSE_TOO_LARGE);
        assert_true(out.len <= 100000 + 16384 + 64);
        coding_out_clear(&out);
        coder_free(d);
        free(bomb);
    }
    free(zeros);
}

static void a_decoder_pauses_when_enough_has_come(void **state)
{
    const size_t size = 4 << 20, enough = 100000;
    char *zeros = calloc(1, size);
    enum coding coding;

    (void)state;
    assert_non_null(zeros);
    EACH_CODING(coding)
    {
        struct coder *d = coder_new_decoder(coding, NULL);
        struct coding_out out;
        uint64_t total = 0;
        size_t len;
        char *bomb = encoded(coding, 6, size, zeros, size, &len);
        struct weir_span rest = weir_span(bomb, len);
        bool more;

        coding_out_init(&out, UINT64_MAX, 0);
        do {
            coding_out_clear(&out);
            assert_true(coder_decode(d, &rest, enough, &out, &more, NULL));
            assert_true(out.len < enough + 16384);
            total += out.len;
        } while (more);
        assert_int_equal(total, size);
        coding_out_clear(&out);
        assert_true(coder_run(d, WEIR_SPAN_NONE, CODER_END, &out, NULL));
        coder_free(d);
        free(bomb);
    }
    free(zeros);
}

static void a_zstd_window_larger_than_eight_megabytes_is_refused(void **state)
{
    char *text = text_of(9 << 20), *code = malloc(ZSTD_compressBound(9 << 20));
    ZSTD_CCtx *c = ZSTD_createCCtx();
    struct weir_err err = {0};
    ZSTD_inBuffer in = {text, 9 << 20, 0};
    ZSTD_outBuffer out = {code, ZSTD_compressBound(9 << 20), 0};

    (void)state;
    assert_non_null(code);
    ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 24);
    assert_false(ZSTD_isError(ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue)));
    while (ZSTD_compressStream2(c, &out, &in, ZSTD_e_end) != 0)
        ;
    assert_false(decodes_to(CODING_ZSTD, code, out.pos, out.pos, text, 9 << 20, &err));
    assert_int_equal(err.code, WEIR_E_RESPONSE_MALFORMED);
    ZSTD_freeCCtx(c);
    free(code);
    free(text);
}

#ifdef WEIR_FAULTS
static void every_failing_allocation_is_reported(void **state)
{
    char *text = text_of(40000);
    enum coding coding;

    (void)state;
    EACH_CODING(coding)
    {
        size_t len;
        char *code = encoded(coding, 6, 40000, text, 40000, &len);
        bool failed = true;

        for (unsigned long n = 1; failed; n++) {
            struct weir_err err = {0};
            struct coder *e, *d;
            struct coding_out out, plain;
            bool ok;

            coding_out_init(&out, UINT64_MAX, 0);
            coding_out_init(&plain, UINT64_MAX, 0);
            weir_alloc_fail_at(n);
            e = coder_new_encoder(coding, 6, 40000, &err);
            d = coder_new_decoder(coding, &err);
            ok = e != NULL && d != NULL && feed(e, text, 40000, 4000, &out, &err) &&
                 feed(d, code, len, len, &plain, &err);
            failed = weir_alloc_failed();
            weir_alloc_fail_at(0);
            if (!ok)
                assert_int_equal(err.code, WEIR_E_MEMORY);
            assert_true(ok || failed);
            coder_free(e);
            coder_free(d);
            coding_out_clear(&out);
            coding_out_clear(&plain);
        }
        free(code);
    }
    free(text);
}
#endif

static void there_is_no_coder_for_identity(void **state)
{
    (void)state;
    assert_null(coder_new_encoder(CODING_IDENTITY, 1, 1, NULL));
    assert_null(coder_new_decoder(CODING_OTHER, NULL));
    coder_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways_without_regard_to_case),
        cmocka_unit_test(what_is_encoded_decodes_to_the_same_bytes_however_it_is_cut),
        cmocka_unit_test(zstd_is_one_frame_with_its_size_and_a_small_window),
        cmocka_unit_test(zstd_of_unknown_size_is_one_frame_too),
        cmocka_unit_test(after_a_flush_all_that_was_fed_can_be_decoded),
        cmocka_unit_test(a_body_that_breaks_off_is_damaged),
        cmocka_unit_test(what_goes_on_behind_the_end_is_damaged),
        cmocka_unit_test(a_flipped_byte_in_gzip_is_damage),
        cmocka_unit_test(several_gzip_members_and_zstd_frames_are_one_body),
        cmocka_unit_test(a_decoder_stops_at_the_limit),
        cmocka_unit_test(a_decoder_pauses_when_enough_has_come),
        cmocka_unit_test(a_zstd_window_larger_than_eight_megabytes_is_refused),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_failing_allocation_is_reported),
#endif
        cmocka_unit_test(there_is_no_coder_for_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
