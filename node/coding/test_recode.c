#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"

#include "recode.h"

#define LEN 50000

/* A body in two slices. */
static void plain_body(struct coding_out *o)
{
    coding_out_init(o, UINT64_MAX, 0);
    o->slices = weir_malloc(2 * sizeof o->slices[0]);
    assert_non_null(o->slices);
    for (int i = 0; i < 2; i++) {
        struct weir_blob *b = weir_blob_new(LEN / 2);

        assert_non_null(b);
        for (size_t k = 0; k < LEN / 2; k++)
            b->bytes[k] = (char)('a' + (k * (size_t)(i + 3)) % 11);
        b->len = LEN / 2;
        o->slices[i] = (struct weir_slice){b, 0, LEN / 2};
    }
    o->count = o->cap = 2;
    o->len = LEN;
}

static bool same_body(const struct coding_out *a, const struct coding_out *b)
{
    char *all[2] = {malloc((size_t)a->len), malloc((size_t)b->len)};
    const struct coding_out *o[2] = {a, b};
    bool same = a->len == b->len;

    for (int i = 0; i < 2; i++) {
        size_t at = 0;

        for (size_t k = 0; k < o[i]->count; k++) {
            memcpy(all[i] + at, weir_slice_ptr(o[i]->slices[k]), o[i]->slices[k].len);
            at += o[i]->slices[k].len;
        }
    }
    same = same && memcmp(all[0], all[1], (size_t)a->len) == 0;
    free(all[0]);
    free(all[1]);
    return same;
}

static bool recoded(const struct coding_out *in, enum coding from, enum coding to, uint64_t max,
                    struct coding_out *out, struct weir_err *err)
{
    struct recode r = {in->slices, in->count, from, to, 5, max};
    uint64_t identity = 0;
    bool ok;

    coding_out_init(out, UINT64_MAX, 0);
    ok = recode_body(&r, out, &identity, err);
    if (ok)
        assert_int_equal(identity, LEN);
    return ok;
}

static void every_coding_becomes_every_other_and_identity_again(void **state)
{
    struct coding_out plain;

    (void)state;
    plain_body(&plain);
    for (enum coding a = CODING_GZIP; a < CODINGS; a++)
        for (enum coding b = CODING_GZIP; b < CODINGS; b++) {
            struct coding_out one, two, three;

            assert_true(recoded(&plain, CODING_IDENTITY, a, LEN, &one, NULL));
            assert_true(one.len < LEN / 2);
            assert_true(recoded(&one, a, b, LEN, &two, NULL));
            assert_true(recoded(&two, b, CODING_IDENTITY, LEN, &three, NULL));
            assert_true(same_body(&plain, &three));
            coding_out_clear(&one);
            coding_out_clear(&two);
            coding_out_clear(&three);
        }
    coding_out_clear(&plain);
}

static void a_body_beyond_the_limit_is_refused_and_nothing_is_left(void **state)
{
    struct coding_out plain, code, out;
    struct weir_err err = {0};

    (void)state;
    plain_body(&plain);
    assert_true(recoded(&plain, CODING_IDENTITY, CODING_GZIP, LEN, &code, NULL));
    assert_false(recoded(&code, CODING_GZIP, CODING_IDENTITY, LEN - 1, &out, &err));
    assert_int_equal(err.code, WEIR_E_RESPONSE_TOO_LARGE);
    assert_int_equal(out.count, 0);
    assert_false(recoded(&plain, CODING_IDENTITY, CODING_ZSTD, LEN - 1, &out, NULL));
    coding_out_clear(&code);
    coding_out_clear(&plain);
}

static void a_damaged_body_leaves_nothing(void **state)
{
    struct coding_out plain, code, out;
    struct weir_err err = {0};

    (void)state;
    plain_body(&plain);
    assert_true(recoded(&plain, CODING_IDENTITY, CODING_GZIP, LEN, &code, NULL));
    code.slices[code.count - 1].len -= 4;
    assert_false(recoded(&code, CODING_GZIP, CODING_ZSTD, LEN, &out, &err));
    assert_int_equal(err.code, WEIR_E_RESPONSE_MALFORMED);
    assert_int_equal(out.count, 0);
    assert_null(out.slices);
    coding_out_clear(&code);
    coding_out_clear(&plain);
}

#ifdef WEIR_FAULTS
static void every_failing_allocation_is_reported(void **state)
{
    struct coding_out plain, code, out;
    bool failed = true;

    (void)state;
    plain_body(&plain);
    assert_true(recoded(&plain, CODING_IDENTITY, CODING_BR, LEN, &code, NULL));
    for (unsigned long n = 1; failed; n++) {
        struct weir_err err = {0};
        bool ok;

        weir_alloc_fail_at(n);
        ok = recoded(&code, CODING_BR, CODING_GZIP, LEN, &out, &err);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(ok || (failed && err.code == WEIR_E_MEMORY && out.count == 0));
        coding_out_clear(&out);
    }
    coding_out_clear(&code);
    coding_out_clear(&plain);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_coding_becomes_every_other_and_identity_again),
        cmocka_unit_test(a_body_beyond_the_limit_is_refused_and_nothing_is_left),
        cmocka_unit_test(a_damaged_body_leaves_nothing),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_failing_allocation_is_reported),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
