#include "weir/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define V(s)  WEIR_SPAN_LIT(s)
#define BYTES V("what is sealed")

static struct weir_seal_key key_of(struct weir_span secret, struct weir_span farm)
{
    struct weir_seal_key k;
    struct weir_err err = {.code = WEIR_OK};

    assert_true(weir_seal_key_derive(&k, secret, farm, &err));
    return k;
}

static struct weir_seal_key key(void)
{
    return key_of(V("a secret of some length"), V("farm"));
}

/* A span of `out`. */
static struct weir_span sealed(const struct weir_seal_key *k, struct weir_span place,
                               struct weir_span bytes, char *out)
{
    assert_true(weir_seal(k, "member", place, bytes, out));
    return weir_span(out, WEIR_SEAL_BYTES + bytes.len);
}

static void what_was_sealed_opens(void **state)
{
    struct weir_seal_key k = key();
    char out[64];
    struct weir_span s = sealed(&k, V("node-1/7"), BYTES, out), inside;

    (void)state;
    assert_true(weir_seal_open(&k, "member", V("node-1/7"), s, &inside));
    assert_true(weir_span_eq(inside, BYTES));
    assert_ptr_equal(inside.ptr, out + WEIR_SEAL_BYTES);
    s = sealed(&k, WEIR_SPAN_NONE, WEIR_SPAN_NONE, out);
    assert_true(weir_seal_open(&k, "member", WEIR_SPAN_NONE, s, &inside));
    assert_int_equal(inside.len, 0);
}

static void another_purpose_place_farm_or_secret_does_not_open_it(void **state)
{
    struct weir_seal_key k = key();
    struct weir_seal_key other_farm = key_of(V("a secret of some length"), V("farm2"));
    struct weir_seal_key other_secret = key_of(V("a secret of some lengtH"), V("farm"));
    char out[64];
    struct weir_span s = sealed(&k, V("place"), BYTES, out), inside = V("untouched");

    (void)state;
    assert_false(weir_seal_open(&k, "membe", V("place"), s, &inside));
    assert_false(weir_seal_open(&k, "word", V("place"), s, &inside));
    assert_false(weir_seal_open(&k, "member", V("plac"), s, &inside));
    assert_false(weir_seal_open(&k, "member", WEIR_SPAN_NONE, s, &inside));
    assert_false(weir_seal_open(&other_farm, "member", V("place"), s, &inside));
    assert_false(weir_seal_open(&other_secret, "member", V("place"), s, &inside));
    assert_true(weir_span_eq(inside, V("untouched")));
}

static void any_flipped_bit_and_any_other_length_is_noticed(void **state)
{
    struct weir_seal_key k = key();
    char out[64];
    struct weir_span s = sealed(&k, V("place"), BYTES, out), inside;

    (void)state;
    for (size_t bit = 0; bit < s.len * 8; bit++) {
        out[bit / 8] = (char)(out[bit / 8] ^ 1 << bit % 8);
        assert_false(weir_seal_open(&k, "member", V("place"), s, &inside));
        out[bit / 8] = (char)(out[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < s.len; len++)
        assert_false(weir_seal_open(&k, "member", V("place"), weir_span(out, len), &inside));
    assert_false(weir_seal_open(&k, "member", V("place"), weir_span(out, s.len + 1), &inside));
    assert_true(weir_seal_open(&k, "member", V("place"), s, &inside));
}

static void purpose_place_and_bytes_cannot_be_shifted(void **state)
{
    struct weir_seal_key k = key();
    struct weir_span inside;
    char out[64];

    (void)state;
    assert_true(weir_seal(&k, "a", V("b"), V("c"), out));
    assert_false(weir_seal_open(&k, "ab", WEIR_SPAN_NONE, weir_span(out, 17), &inside));
    assert_false(weir_seal_open(&k, "a", V("bc"), weir_span(out, 16), &inside));
    assert_false(weir_seal(&k, "a", V("b\0c"), V("d"), out)); /* could be place "b", bytes "c\0d" */
    assert_true(weir_seal(&k, "a", V("b"), V("c\0d"), out));
    assert_false(weir_seal_open(&k, "a", V("b\0c"), weir_span(out, 17), &inside));
}

/* Nodes of other versions must open it: printed by an implementation of RFC 2104 and RFC 5869. */
static void the_seal_is_the_one_of_the_header(void **state)
{
    static const unsigned char mac[] = {
        0x53, 0x63, 0xa8, 0x8b, 0xd4, 0x59, 0xb8, 0x11,
        0x64, 0xdb, 0xca, 0xb3, 0xc6, 0xe5, 0x0b, 0x1e,
    };
    struct weir_seal_key k = key();
    char out[64];

    (void)state;
    sealed(&k, V("node-1/7"), BYTES, out);
    assert_memory_equal(out, mac, WEIR_SEAL_BYTES);
}

static void without_a_secret_a_key_is_drawn(void **state)
{
    struct weir_seal_key a = key_of(WEIR_SPAN_NONE, V("farm")),
                         b = key_of(WEIR_SPAN_NONE, V("farm"));

    (void)state;
    assert_memory_not_equal(a.bytes, b.bytes, sizeof a.bytes);
}

static void a_name_that_is_too_long_is_an_error(void **state)
{
    char name[600] = {0};
    struct weir_seal_key k;
    struct weir_err err = {.code = WEIR_OK};

    (void)state;
    assert_false(weir_seal_key_derive(&k, V("secret"), weir_span(name, sizeof name), &err));
    assert_int_not_equal(err.code, WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens),
        cmocka_unit_test(another_purpose_place_farm_or_secret_does_not_open_it),
        cmocka_unit_test(any_flipped_bit_and_any_other_length_is_noticed),
        cmocka_unit_test(purpose_place_and_bytes_cannot_be_shifted),
        cmocka_unit_test(the_seal_is_the_one_of_the_header),
        cmocka_unit_test(without_a_secret_a_key_is_drawn),
        cmocka_unit_test(a_name_that_is_too_long_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
