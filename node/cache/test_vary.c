#include "vary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "weir/arena.h"

#include "policy_heads.h"

static struct vary_spec spec_of(const char *response)
{
    struct policy_head p;
    struct vary_spec spec;

    vary_parse(policy_response(&p, 200, response), &spec);
    return spec;
}

static bool same(const char *response, const char *a, const char *b)
{
    struct vary_spec spec = spec_of(response);
    struct policy_head pa, pb;
    char buf_a[512], buf_b[512];
    struct weir_span ka, kb;
    bool equal;

    policy_request(&pa, "GET", a);
    policy_request(&pb, "GET", b);
    ka = vary_key(&spec, &pa.head, buf_a, sizeof(buf_a), NULL);
    kb = vary_key(&spec, &pb.head, buf_b, sizeof(buf_b), NULL);
    assert_non_null(ka.ptr);
    assert_non_null(kb.ptr);
    equal = weir_span_eq(ka, kb);
    assert_true(vary_matches(ka, &pa.head));
    assert_int_equal(vary_matches(ka, &pb.head), equal);
    assert_int_equal(vary_matches(kb, &pa.head), equal);
    return equal;
}

static void a_star_anywhere_never_matches(void **state)
{
    static const char *const stars[] = {"Vary: *", "Vary: Accept, *", "Vary: Accept\nVary: *",
                                        "Vary: *, Accept", "Vary: accept,,*"};
    struct policy_head p;
    char buf[64];

    (void)state;
    policy_request(&p, "GET", "Accept: a/b");
    for (size_t i = 0; i < sizeof(stars) / sizeof(stars[0]); i++) {
        struct vary_spec spec = spec_of(stars[i]);

        assert_true(spec.star);
        assert_int_equal(spec.fields, 0);
        assert_null(vary_key(&spec, &p.head, buf, sizeof(buf), NULL).ptr);
    }
}

static void what_is_no_field_name_never_matches_either(void **state)
{
    (void)state;
    assert_true(spec_of("Vary: a b").star);
    assert_true(spec_of("Vary: \"accept\"").star);
    assert_true(spec_of("Vary: a;b").star);
}

static void no_vary_matches_everything(void **state)
{
    (void)state;
    assert_int_equal(spec_of("").fields, 0);
    assert_int_equal(spec_of("Vary:").fields, 0);
    assert_int_equal(spec_of("Vary: ,,").fields, 0);
    assert_true(same("", "Accept: a/b", "Cookie: x"));
}

static void names_are_folded_ordered_and_counted_once(void **state)
{
    struct vary_spec a = spec_of("Vary: Cookie, ACCEPT\nVary: cookie , X-Y");
    struct vary_spec b = spec_of("vary: x-y,accept,Cookie");
    struct policy_head p;
    char buf_a[128], buf_b[128];

    (void)state;
    policy_request(&p, "GET", "X-Y: 1\nAccept: a/b");
    assert_int_equal(a.fields, 3);
    assert_true(weir_span_eq(vary_key(&a, &p.head, buf_a, sizeof(buf_a), NULL),
                             vary_key(&b, &p.head, buf_b, sizeof(buf_b), NULL)));
}

static void too_many_names_select_nothing(void **state)
{
    char line[4096] = "Vary: x";
    size_t len = strlen(line);

    (void)state;
    for (int i = 1; i < VARY_FIELDS_MAX; i++)
        len += (size_t)snprintf(line + len, sizeof(line) - len, ", x%d", i);
    assert_int_equal(spec_of(line).fields, VARY_FIELDS_MAX);
    snprintf(line + len, sizeof(line) - len, ", x1");
    assert_false(spec_of(line).star); /* named before */
    snprintf(line + len, sizeof(line) - len, ", y");
    assert_true(spec_of(line).star);
}

static void too_long_names_select_nothing(void **state)
{
    char line[VARY_NAMES_MAX + 16] = "Vary: ";

    (void)state;
    memset(line + 6, 'a', VARY_NAMES_MAX);
    assert_int_equal(spec_of(line).fields, 1);
    memset(line + 6, 'a', VARY_NAMES_MAX + 1);
    assert_true(spec_of(line).star);
}

static void absent_differs_from_empty(void **state)
{
    (void)state;
    assert_false(same("Vary: X-Y", "", "X-Y:"));
    assert_false(same("Vary: Cookie", "", "Cookie:"));
    assert_false(same("Vary: Accept-Encoding", "", "Accept-Encoding:"));
    assert_true(same("Vary: X-Y", "", "X-Z: 1"));
    assert_true(same("Vary: X-Y", "X-Y:", "x-y: "));
}

static void values_are_compared_not_their_concatenation(void **state)
{
    (void)state;
    assert_false(same("Vary: A, B", "A: xB\nB: y", "A: x\nB: By"));
    assert_false(same("Vary: A, B", "A: x", "B: x"));
    assert_false(same("Vary: A, B", "A: 1\nB: 2", "A: 2\nB: 1"));
}

static void lines_are_combined_and_space_around_commas_dropped(void **state)
{
    (void)state;
    assert_true(same("Vary: X-Y", "X-Y: a, b", "X-Y: a\nX-Y: b"));
    assert_true(same("Vary: X-Y", "X-Y: a,b", "X-Y: a \t,\t b"));
    assert_false(same("Vary: X-Y", "X-Y: a b", "X-Y: a  b"));
    assert_false(same("Vary: X-Y", "X-Y: a,b", "X-Y: b,a"));
    assert_false(same("Vary: X-Y", "X-Y: a", "X-Y: A"));
    assert_false(same("Vary: X-Y", "X-Y: a,b", "X-Y: a,,b"));
    assert_false(same("Vary: X-Y", "X-Y: \"a,b\"", "X-Y: \"a, b\""));
    assert_false(same("Vary: X-Y", "X-Y: \"a\\\", b\"", "X-Y: \"a\\\",b\""));
    assert_false(same("Vary: X-Y", "X-Y: \"a, b", "X-Y: \"a,b"));
    assert_false(same("Vary: X-Y", "X-Y: a ;b", "X-Y: a;b")); /* may not be a list of parameters */
}

static void credentials_and_the_like_are_compared_raw(void **state)
{
    (void)state;
    assert_false(same("Vary: Cookie", "Cookie: a=1,b", "Cookie: a=1, b"));
    assert_true(same("Vary: Cookie", "Cookie: a=1; b=2", "Cookie: a=1\nCookie: b=2"));
    assert_false(same("Vary: Cookie", "Cookie: a=1", "Cookie: a=2"));
    assert_false(same("Vary: Authorization", "Authorization: Basic a", "Authorization: basic a"));
    assert_false(same("Vary: User-Agent", "User-Agent: a (b, c)", "User-Agent: a (b,c)"));
    assert_false(same("Vary: Origin", "Origin: http://a", "Origin: http://A"));
}

static void languages_have_no_case(void **state)
{
    (void)state;
    assert_true(same("Vary: Accept-Language", "Accept-Language: de-DE, en;q=0.5",
                     "Accept-Language: DE-de,EN ; Q=0.5"));
    assert_false(
        same("Vary: Accept-Language", "Accept-Language: de, en", "Accept-Language: en, de"));
}

static void media_types_have_no_case_but_parameter_values_do(void **state)
{
    (void)state;
    assert_true(
        same("Vary: Accept", "Accept: Text/HTML; Level=1, */*", "Accept: text/html;level=1,*/*"));
    assert_false(same("Vary: Accept", "Accept: a/b;p=X", "Accept: a/b;p=x"));
    assert_false(same("Vary: Accept", "Accept: a/b;p=\"X; Y\"", "Accept: a/b;p=\"X;Y\""));
    assert_true(same("Vary: Accept", "Accept: a/b;p=X, C/D", "Accept: a/b;p=X,c/d"));
}

static void accept_encoding_becomes_the_set_of_codings_we_serve(void **state)
{
    static const struct {
        const char *lines, *set;
    } rows[] = {
        {"", ""},
        {"Accept-Encoding:", "identity"},
        {"Accept-Encoding: gzip", "gzip"},
        {"Accept-Encoding: GZIP", "gzip"},
        {"Accept-Encoding: x-gzip", "gzip"},
        {"Accept-Encoding: br, gzip", "br, gzip"},
        {"Accept-Encoding: gzip,br", "br, gzip"},
        {"Accept-Encoding: gzip\nAccept-Encoding: br", "br, gzip"},
        {"Accept-Encoding: gzip, deflate, br, zstd", "zstd, br, gzip"},
        {"Accept-Encoding: gzip;q=0.5, br;q=1.0", "br, gzip"},
        {"Accept-Encoding: gzip;q=0, br", "br"},
        {"Accept-Encoding: gzip;q=0.000, br", "br"},
        {"Accept-Encoding: gzip ; q=0.001", "gzip"},
        {"Accept-Encoding: gzip;q=2", "identity"}, /* malformed weights accept nothing */
        {"Accept-Encoding: gzip, gzip;q=0", "identity"},
        {"Accept-Encoding: deflate", "identity"},
        {"Accept-Encoding: identity", "identity"},
        {"Accept-Encoding: *", "zstd, br, gzip"},
        {"Accept-Encoding: *, gzip;q=0", "zstd, br"},
        {"Accept-Encoding: *;q=0, gzip", "gzip, identity;q=0"},
        {"Accept-Encoding: *;q=0", "identity;q=0"},
        {"Accept-Encoding: *;q=0, identity", "identity"},
        {"Accept-Encoding: identity;q=0", "identity;q=0"},
        {"Accept-Encoding: identity;q=0, br", "br, identity;q=0"},
        {"Accept-Encoding: *, identity;q=0", "zstd, br, gzip, identity;q=0"},
    };
    struct vary_accept_memo memo = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy_head p;
        char buf[VARY_ACCEPT_ENCODING_MAX];
        struct http_head *request = policy_request(&p, "GET", rows[i].lines);
        size_t len = vary_accept_encoding(request, buf);

        for (int times = 0; times < 2; times++) /* read, then remembered */
            assert_true(
                weir_span_eq(vary_accept_encoding_memo(request, &memo), weir_span(buf, len)));
        if (!weir_span_eq(weir_span(buf, len), weir_span_str(rows[i].set)))
            print_error("%s -> %.*s\n", rows[i].lines, (int)len, buf);
        assert_true(weir_span_eq(weir_span(buf, len), weir_span_str(rows[i].set)));
    }
}

static void clients_that_accept_the_same_codings_share_a_variant(void **state)
{
#define AE "Vary: Accept-Encoding"
    (void)state;
    assert_true(same(AE, "Accept-Encoding: gzip, br", "Accept-Encoding: br;q=0.9,  gzip"));
    assert_true(same(AE, "Accept-Encoding: gzip, deflate", "Accept-Encoding: gzip"));
    assert_false(same(AE, "Accept-Encoding: gzip", "Accept-Encoding: br"));
    assert_false(same(AE, "Accept-Encoding: gzip", "Accept-Encoding: gzip, identity;q=0"));
    assert_true(same(AE "\nContent-Encoding: br", "Accept-Encoding: br", "Accept-Encoding: BR"));
}

static void another_coding_is_never_normalised_away(void **state)
{
    const char *deflated = AE "\nContent-Encoding: deflate";
    const char *delta = AE ", Available-Dictionary\nContent-Encoding: dcz";

    (void)state;
    assert_false(same(deflated, "Accept-Encoding: gzip, deflate", "Accept-Encoding: gzip"));
    assert_true(same(deflated, "Accept-Encoding: gzip, deflate", "Accept-Encoding: GZIP,deflate"));
    assert_false(same(delta, "Accept-Encoding: gzip, dcz\nAvailable-Dictionary: :a=:",
                      "Accept-Encoding: gzip\nAvailable-Dictionary: :a=:"));
    assert_false(same(delta, "Accept-Encoding: gzip, dcz\nAvailable-Dictionary: :a=:",
                      "Accept-Encoding: gzip, dcz\nAvailable-Dictionary: :b=:"));
}

static void a_long_key_goes_to_the_arena(void **state)
{
    struct vary_spec spec = spec_of("Vary: X-Y, Cookie");
    struct policy_head p;
    struct weir_arena arena;
    char buf[16];
    struct weir_span key;

    (void)state;
    policy_request(&p, "GET", "X-Y: a value that does not fit\nCookie: nor does this");
    assert_null(vary_key(&spec, &p.head, buf, sizeof(buf), NULL).ptr);
    weir_arena_init(&arena, 0);
    key = vary_key(&spec, &p.head, buf, sizeof(buf), &arena);
    assert_non_null(key.ptr);
    assert_true(key.ptr != buf);
    assert_true(vary_matches(key, &p.head));
    weir_arena_free(&arena);
    weir_arena_init(&arena, 1);
    assert_null(vary_key(&spec, &p.head, NULL, 0, &arena).ptr);
    weir_arena_free(&arena);
}

static void a_damaged_key_matches_nothing(void **state)
{
    struct vary_spec spec = spec_of("Vary: X-Y, Accept-Encoding, Cookie");
    struct policy_head p;
    char buf[256];
    struct weir_span key;

    (void)state;
    policy_request(&p, "GET", "X-Y: 1\nCookie: a=b\nAccept-Encoding: gzip");
    key = vary_key(&spec, &p.head, buf, sizeof(buf), NULL);
    assert_true(vary_matches(key, &p.head));
    for (size_t i = 0; i < key.len; i++) {
        buf[i] = (char)(buf[i] ^ 0x55);
        assert_false(vary_matches(key, &p.head));
        buf[i] = (char)(buf[i] ^ 0x55);
    }
}

static void a_variant_key_tells_its_names_and_values(void **state)
{
    struct vary_spec spec = spec_of("Vary: X-B, Accept-Language, X-A");
    struct policy_head p;
    struct vary_part part;
    char buf[256];
    struct weir_span key;
    unsigned seen = 0;

    (void)state;
    policy_request(&p, "GET", "Accept-Language: DE , en\nX-B: 1");
    key = vary_key(&spec, &p.head, buf, sizeof buf, NULL);
    while (vary_next(&key, &part)) {
        seen++;
        if (weir_span_eq(part.name, WEIR_SPAN_LIT("x-a")))
            assert_true(part.absent);
        else if (weir_span_eq(part.name, WEIR_SPAN_LIT("x-b")))
            assert_true(!part.absent && weir_span_eq(part.value, WEIR_SPAN_LIT("1")));
        else
            assert_true(weir_span_eq(part.value, WEIR_SPAN_LIT("de,en")));
    }
    assert_int_equal(seen, 3);
    key = weir_span(buf, 3);
    assert_false(vary_next(&key, &part));
}

static void accept_encoding_can_be_taken_out(void **state)
{
    struct policy_head response, a, b;
    struct vary_spec spec;
    char one[200], two[200];
    struct weir_span key;

    (void)state;
    vary_parse(policy_response(&response, 200, "Vary: Accept, Accept-Encoding, X-Kind"), &spec);
    vary_forget_accept_encoding(&spec);
    assert_int_equal(spec.fields, 2);
    policy_request(&a, "GET", "Accept-Encoding: gzip\nX-Kind: 1");
    policy_request(&b, "GET", "Accept-Encoding: br\nX-Kind: 1");
    key = vary_key(&spec, &a.head, one, sizeof one, NULL);
    assert_true(weir_span_eq(key, vary_key(&spec, &b.head, two, sizeof two, NULL)));
    policy_request(&b, "GET", "Accept-Encoding: gzip\nX-Kind: 2");
    assert_false(vary_matches(key, &b.head));
    vary_parse(policy_response(&response, 200, "Vary: accept-encoding"), &spec);
    vary_forget_accept_encoding(&spec);
    assert_int_equal(spec.fields, 0);
    vary_forget_accept_encoding(&spec); /* it is gone */
    assert_int_equal(spec.fields, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_star_anywhere_never_matches),
        cmocka_unit_test(what_is_no_field_name_never_matches_either),
        cmocka_unit_test(no_vary_matches_everything),
        cmocka_unit_test(names_are_folded_ordered_and_counted_once),
        cmocka_unit_test(too_many_names_select_nothing),
        cmocka_unit_test(too_long_names_select_nothing),
        cmocka_unit_test(absent_differs_from_empty),
        cmocka_unit_test(values_are_compared_not_their_concatenation),
        cmocka_unit_test(lines_are_combined_and_space_around_commas_dropped),
        cmocka_unit_test(credentials_and_the_like_are_compared_raw),
        cmocka_unit_test(languages_have_no_case),
        cmocka_unit_test(media_types_have_no_case_but_parameter_values_do),
        cmocka_unit_test(accept_encoding_becomes_the_set_of_codings_we_serve),
        cmocka_unit_test(clients_that_accept_the_same_codings_share_a_variant),
        cmocka_unit_test(another_coding_is_never_normalised_away),
        cmocka_unit_test(a_long_key_goes_to_the_arena),
        cmocka_unit_test(a_damaged_key_matches_nothing),
        cmocka_unit_test(a_variant_key_tells_its_names_and_values),
        cmocka_unit_test(accept_encoding_can_be_taken_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
