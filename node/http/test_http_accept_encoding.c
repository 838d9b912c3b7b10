#include "test_http.h"

#include "http_accept_encoding.h"
#include "http_head.h"

/* A request with these Accept-Encoding lines, up to the NULL. */
static void request(struct http_head *h, struct http_field *fields, const char *const *lines)
{
    http_head_init(h, fields, 4);
    for (; *lines != NULL; lines++)
        assert_true(http_head_add(h, NULL, LIT("accept-encoding"), weir_span_str(*lines)));
}

/* `order` as words: "zstd br". */
static void orders_lines(const char *const *lines, const char *order)
{
    struct http_field fields[4];
    struct http_head h;
    struct http_accept_encoding a;
    char text[64] = "";

    request(&h, fields, lines);
    http_accept_encoding_parse(&h, &a);
    for (unsigned i = 0; i < a.count; i++) {
        strcat(text, i > 0 ? " " : "");
        strncat(text, coding_name(a.order[i]).ptr, coding_name(a.order[i]).len);
        assert_true(http_accepts(&a, a.order[i]));
    }
    assert_string_equal(text, order);
    assert_int_equal(__builtin_popcount(a.accepted), a.count);
}

static void orders(const char *value, const char *order)
{
    orders_lines((const char *[]){value, NULL}, order);
}

static void of_equal_weight_zstd_comes_before_br_before_gzip(void **state)
{
    (void)state;
    orders("gzip, deflate, br, zstd", "zstd br gzip identity");
    orders("br,gzip", "br gzip identity");
    orders("gzip", "gzip identity");
    orders("GZIP;Q=0.5 , BR;q=0.5", "br gzip identity");
}

static void a_higher_weight_comes_first(void **state)
{
    (void)state;
    orders("gzip;q=1.0, zstd;q=0.5, br;q=0.8", "gzip br zstd identity");
    orders("gzip;q=0.001, br;q=0.002", "br gzip identity");
    orders("identity;q=1, gzip;q=0.5", "identity gzip");
    orders("identity, gzip", "gzip identity");
}

static void weight_zero_refuses(void **state)
{
    (void)state;
    orders("gzip;q=0", "identity");
    orders("gzip;q=0.000, br", "br identity");
    orders("identity;q=0", "");
    orders("gzip, identity;q=0", "gzip");
    orders("*;q=0", "");
    orders("br, *;q=0", "br");
    orders("identity;q=0.5, *;q=0", "identity");
}

static void a_star_means_all_that_are_not_named(void **state)
{
    (void)state;
    orders("*", "zstd br gzip identity");
    orders("gzip, *;q=0.5", "gzip zstd br identity");
    orders("*, zstd;q=0", "br gzip identity");
    orders("*;q=0.1, identity;q=0", "zstd br gzip");
}

static void without_the_field_or_with_an_empty_one_only_identity_is_sent(void **state)
{
    (void)state;
    orders_lines((const char *[]){NULL}, "identity");
    orders("", "identity");
    orders(" , ", "identity");
}

static void x_gzip_is_gzip(void **state)
{
    (void)state;
    orders("x-gzip", "gzip identity");
    orders("x-gzip;q=0, gzip", "identity");
}

static void malformed_members_are_passed_over(void **state)
{
    (void)state;
    orders("gzip;q=2, br", "br identity");
    orders("gzip;q=0.1234, br", "br identity");
    orders("gzip;q=, br;q=abc, zstd;q=-1", "identity");
    orders("gzip;level=1;q=0, br", "br identity");
    orders("gz ip, =, ;q=1, \"gzip\", br", "br identity");
    orders("deflate, compress, dcb, dcz, gzip1", "identity");
}

static void lines_are_one_list(void **state)
{
    (void)state;
    orders_lines((const char *[]){"gzip", "br;q=0.5, identity;q=0", NULL}, "gzip br");
}

static void named_twice_the_lower_weight_counts(void **state)
{
    (void)state;
    orders("gzip, br;q=0.5, gzip;q=0.1", "br gzip identity");
    orders("br;q=0, br", "identity");
}

static void the_best_is_the_first_that_is_there(void **state)
{
    struct http_field fields[4];
    struct http_head h;
    struct http_accept_encoding a;

    (void)state;
    request(&h, fields, (const char *[]){"zstd, gzip, identity;q=0", NULL});
    http_accept_encoding_parse(&h, &a);
    assert_int_equal(http_accept_encoding_best(&a, 0xf), CODING_ZSTD);
    assert_int_equal(http_accept_encoding_best(&a, 1U << CODING_GZIP | 1U << CODING_BR),
                     CODING_GZIP);
    assert_int_equal(http_accept_encoding_best(&a, 1U << CODING_IDENTITY), CODING_OTHER);
    assert_int_equal(http_accept_encoding_best(&a, 0), CODING_OTHER);
}

static void the_memo_answers_as_the_parser_does(void **state)
{
    static const char *const values[] = {
        "gzip, br",
        "gzip, br",
        "gzip",
        "identity;q=0",
        "gzip, br",
        "",
        ("zstd;q=0.3,"
         "gzip;q=0.1,br;q=0.2,identity;q=0,deflate;q=0.4,compress;q=0.5,dcb;q=0.6,dcz;q=0.7,x;q=0."
         "8"),
    };
    struct http_accept_encoding_memo memo = {0};
    struct http_field fields[4];
    struct http_head h;

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        for (int lines = 0; lines < 3; lines++) {
            struct http_accept_encoding want;

            request(&h, fields,
                    (const char *[]){lines > 0 ? values[i] : NULL, lines > 1 ? "zstd" : NULL,
                                     NULL});
            http_accept_encoding_parse(&h, &want);
            assert_memory_equal(http_accept_encoding(&h, &memo), &want, sizeof want);
        }
}

static void content_encoding_says_which_coding_a_response_has(void **state)
{
    static const struct {
        const char *value;
        enum coding coding;
    } cases[] = {
        {NULL, CODING_IDENTITY},    {"gzip", CODING_GZIP},      {"X-GZIP", CODING_GZIP},
        {"br", CODING_BR},          {"zstd", CODING_ZSTD},      {"deflate", CODING_OTHER},
        {"gzip, br", CODING_OTHER}, {"identity", CODING_OTHER}, {"", CODING_OTHER},
        {"dcz", CODING_OTHER},      {", gzip ,", CODING_GZIP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_field fields[1];
        struct http_head h;

        http_head_init(&h, fields, 1);
        if (cases[i].value != NULL)
            assert_true(
                http_head_add(&h, NULL, LIT("content-encoding"), weir_span_str(cases[i].value)));
        assert_int_equal(coding_of(&h), cases[i].coding);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_equal_weight_zstd_comes_before_br_before_gzip),
        cmocka_unit_test(a_higher_weight_comes_first),
        cmocka_unit_test(weight_zero_refuses),
        cmocka_unit_test(a_star_means_all_that_are_not_named),
        cmocka_unit_test(without_the_field_or_with_an_empty_one_only_identity_is_sent),
        cmocka_unit_test(x_gzip_is_gzip),
        cmocka_unit_test(malformed_members_are_passed_over),
        cmocka_unit_test(lines_are_one_list),
        cmocka_unit_test(named_twice_the_lower_weight_counts),
        cmocka_unit_test(the_best_is_the_first_that_is_there),
        cmocka_unit_test(the_memo_answers_as_the_parser_does),
        cmocka_unit_test(content_encoding_says_which_coding_a_response_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
