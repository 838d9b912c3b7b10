#include "weir/wrap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define V(s)  WEIR_SPAN_LIT(s)
#define BYTES V("what is wrapped")

static struct weir_wrap_key key_of(struct weir_span secret, struct weir_span farm)
{
    struct weir_wrap_key k;

    assert_true(weir_wrap_key_derive(&k, secret, farm, NULL));
    return k;
}

static struct weir_wrap_key key(void)
{
    return key_of(V("a secret of some length"), V("farm"));
}

/* A span of `out`. */
static struct weir_span wrapped(const struct weir_wrap_key *k, struct weir_span place,
                                struct weir_span bytes, char *out)
{
    assert_true(weir_wrap(k, "ticket", place, bytes, out, NULL));
    return weir_span(out, WEIR_WRAP_BYTES + bytes.len);
}

static void what_was_wrapped_opens(void **state)
{
    struct weir_wrap_key k = key();
    char out[64], in[64];
    struct weir_span w = wrapped(&k, V("5.7"), BYTES, out);

    (void)state;
    assert_true(weir_wrap_open(&k, "ticket", V("5.7"), w, in));
    assert_memory_equal(in, BYTES.ptr, BYTES.len);
    w = wrapped(&k, WEIR_SPAN_NONE, WEIR_SPAN_NONE, out);
    assert_true(weir_wrap_open(&k, "ticket", WEIR_SPAN_NONE, w, in));
}

static void it_cannot_be_read_and_never_looks_the_same(void **state)
{
    struct weir_wrap_key k = key();
    char a[64], b[64];
    struct weir_span w = wrapped(&k, V("5.7"), BYTES, a);

    (void)state;
    wrapped(&k, V("5.7"), BYTES, b);
    assert_null(memmem(w.ptr, w.len, BYTES.ptr, BYTES.len));
    assert_memory_not_equal(a, b, 12);
    assert_memory_not_equal(a + 12, b + 12, BYTES.len);
}

static void another_purpose_place_farm_or_secret_does_not_open_it(void **state)
{
    struct weir_wrap_key k = key();
    struct weir_wrap_key other_farm = key_of(V("a secret of some length"), V("farm2"));
    struct weir_wrap_key other_secret = key_of(V("a secret of some lengtH"), V("farm"));
    char out[64], in[64], nothing[64] = {0};
    struct weir_span w = wrapped(&k, V("place"), BYTES, out);

    (void)state;
    assert_false(weir_wrap_open(&k, "ticke", V("place"), w, in));
    assert_false(weir_wrap_open(&k, "acme", V("place"), w, in));
    assert_false(weir_wrap_open(&k, "ticket", V("plac"), w, in));
    assert_false(weir_wrap_open(&k, "ticket", WEIR_SPAN_NONE, w, in));
    assert_false(weir_wrap_open(&other_farm, "ticket", V("place"), w, in));
    assert_false(weir_wrap_open(&other_secret, "ticket", V("place"), w, in));
    assert_memory_equal(in, nothing, BYTES.len); /* not even what it would have been */
}

static void any_flipped_bit_and_any_other_length_is_noticed(void **state)
{
    struct weir_wrap_key k = key();
    char out[64], in[64];
    struct weir_span w = wrapped(&k, V("place"), BYTES, out);

    (void)state;
    for (size_t bit = 0; bit < w.len * 8; bit++) {
        out[bit / 8] = (char)(out[bit / 8] ^ 1 << bit % 8);
        assert_false(weir_wrap_open(&k, "ticket", V("place"), w, in));
        out[bit / 8] = (char)(out[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < w.len; len++)
        assert_false(weir_wrap_open(&k, "ticket", V("place"), weir_span(out, len), in));
    assert_true(weir_wrap_open(&k, "ticket", V("place"), w, in));
}

static void purpose_and_place_cannot_be_shifted(void **state)
{
    struct weir_wrap_key k = key();
    char out[64], in[64];

    (void)state;
    assert_true(weir_wrap(&k, "a", V("b"), V("c"), out, NULL));
    assert_false(weir_wrap_open(&k, "ab", WEIR_SPAN_NONE, weir_span(out, 29), in));
    assert_false(weir_wrap(&k, "a", V("b\0c"), V("d"), out, NULL));
    assert_false(weir_wrap_open(&k, "a", V("b\0c"), weir_span(out, 29), in));
}

/* Nodes of other versions must open it: made by an implementation of RFC 5869 and of AES-GCM other
 * than the one in use. */
static void the_wrapping_is_the_one_of_the_header(void **state)
{
    static const unsigned char there[] = {
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0xb5, 0xd9, 0xe6,
        0xb7, 0x15, 0xfb, 0x51, 0xab, 0x5d, 0x7c, 0xba, 0xc7, 0x8e, 0x7b, 0xf3, 0x8d, 0xa1, 0x8b,
        0xd4, 0x2c, 0x9c, 0xd9, 0x00, 0x1c, 0x68, 0x42, 0x30, 0xdf, 0x71, 0x5d, 0x50,
    };
    static const unsigned char expanded[] = {
        0xee, 0x98, 0x57, 0x68, 0x4b, 0xbe, 0x87, 0x1a, 0xce, 0x03, 0x67, 0x8a, 0x0d, 0x0b,
        0xd4, 0x07, 0xe8, 0x78, 0x39, 0xb1, 0x7b, 0x77, 0x18, 0x89, 0xfb, 0xa6, 0x94, 0xc9,
        0x5b, 0xf6, 0xb4, 0x3f, 0x09, 0x43, 0xe8, 0xab, 0x2a, 0xfe, 0x36, 0x03,
    };
    struct weir_wrap_key k = key();
    unsigned char more[40];
    char in[64];

    (void)state;
    assert_true(
        weir_wrap_open(&k, "ticket", V("5.7"), weir_span((const char *)there, sizeof there), in));
    assert_memory_equal(in, BYTES.ptr, BYTES.len);
    assert_true(weir_wrap_expand(&k, "ticket", V("5.7"), more, sizeof more, NULL));
    assert_memory_equal(more, expanded, sizeof more);
}

static void what_is_expanded_is_another_for_each_place(void **state)
{
    struct weir_wrap_key k = key();
    unsigned char a[80], b[80], c[80];

    (void)state;
    assert_true(weir_wrap_expand(&k, "ticket", V("1"), a, sizeof a, NULL));
    assert_true(weir_wrap_expand(&k, "ticket", V("1"), b, sizeof b, NULL));
    assert_memory_equal(a, b, sizeof a);
    assert_true(weir_wrap_expand(&k, "ticket", V("2"), c, sizeof c, NULL));
    assert_memory_not_equal(a, c, 16);
    assert_true(weir_wrap_expand(&k, "tickets", V("1"), c, sizeof c, NULL));
    assert_memory_not_equal(a, c, 16);
    assert_false(weir_wrap_expand(&k, "ticket", V("1"), a, 8161, NULL));
}

static void without_a_secret_a_key_is_drawn(void **state)
{
    struct weir_wrap_key a = key_of(WEIR_SPAN_NONE, V("farm")),
                         b = key_of(WEIR_SPAN_NONE, V("farm"));

    (void)state;
    assert_memory_not_equal(a.bytes, b.bytes, sizeof a.bytes);
}

static void a_name_that_is_too_long_is_an_error(void **state)
{
    char name[600] = {0};
    struct weir_wrap_key k;
    struct weir_err err = {.code = WEIR_OK};

    (void)state;
    memset(name, 'x', sizeof name);
    assert_false(weir_wrap_key_derive(&k, V("secret"), weir_span(name, sizeof name), &err));
    assert_int_not_equal(err.code, WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_wrapped_opens),
        cmocka_unit_test(it_cannot_be_read_and_never_looks_the_same),
        cmocka_unit_test(another_purpose_place_farm_or_secret_does_not_open_it),
        cmocka_unit_test(any_flipped_bit_and_any_other_length_is_noticed),
        cmocka_unit_test(purpose_and_place_cannot_be_shifted),
        cmocka_unit_test(the_wrapping_is_the_one_of_the_header),
        cmocka_unit_test(what_is_expanded_is_another_for_each_place),
        cmocka_unit_test(without_a_secret_a_key_is_drawn),
        cmocka_unit_test(a_name_that_is_too_long_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
