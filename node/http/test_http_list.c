#include "test_http.h"

#include "http_list.h"

static void gives(const char *text, const char *const *members)
{
    char *copy = exact_copy(text, strlen(text));
    struct http_list l;
    struct weir_span member;

    http_list_begin_value(&l, weir_span(copy, strlen(text)));
    while (http_list_next(&l, &member)) {
        expect_span(member, *members != NULL ? *members++ : "no more members");
    }
    assert_null(*members);
    free(copy);
}

static void members_are_trimmed_and_empty_ones_skipped(void **state)
{
    (void)state;
    gives("", (const char *[]){NULL});
    gives(" , ,\t,", (const char *[]){NULL});
    gives("a", (const char *[]){"a", NULL});
    gives(",a ,\tb;c=d , e f", (const char *[]){"a", "b;c=d", "e f", NULL});
}

static void commas_in_quotes_do_not_separate(void **state)
{
    (void)state;
    gives("a=\"b,c\", d", (const char *[]){"a=\"b,c\"", "d", NULL});
    gives("\"a\\\",b\",c", (const char *[]){"\"a\\\",b\"", "c", NULL});
    gives("\"a,b", (const char *[]){"\"a,b", NULL});
    gives("\"a\\", (const char *[]){"\"a\\", NULL});
}

static void lines_are_read_as_one_list(void **state)
{
    struct http_field fields[4];
    struct http_head h;
    struct http_list l;
    struct weir_span member;

    (void)state;
    http_head_init(&h, fields, 4);
    http_head_add(&h, NULL, LIT("Vary"), LIT("a, \"b"));
    http_head_add(&h, NULL, LIT("X"), LIT("x"));
    http_head_add(&h, NULL, LIT("vary"), LIT(""));
    http_head_add(&h, NULL, LIT("vary"), LIT("C"));
    http_list_begin(&l, &h, HTTP_F_VARY);
    assert_true(http_list_next(&l, &member));
    expect_span(member, "a");
    assert_true(http_list_next(&l, &member));
    expect_span(member, "\"b");
    assert_true(http_list_next(&l, &member));
    expect_span(member, "C");
    assert_false(http_list_next(&l, &member));
    assert_false(http_list_next(&l, &member));
    assert_true(http_list_has(&h, HTTP_F_VARY, LIT("c")));
    assert_false(http_list_has(&h, HTTP_F_VARY, LIT("x")));
    assert_false(http_list_has(&h, HTTP_F_HOST, LIT("x")));
}

static void parameters_follow_the_item(void **state)
{
    struct weir_span rest;
    struct http_param p;

    (void)state;
    expect_span(http_list_item(LIT("text/html ; a=b;; c=\"d;e\" ;f;g="), &rest), "text/html");
    assert_true(http_param_next(&rest, ';', &p));
    expect_span(p.name, "a");
    expect_span(p.value, "b");
    assert_true(http_param_next(&rest, ';', &p));
    expect_span(p.name, "c");
    expect_span(p.value, "\"d;e\"");
    assert_true(http_param_next(&rest, ';', &p));
    expect_span(p.name, "f");
    assert_null(p.value.ptr);
    assert_true(http_param_next(&rest, ';', &p));
    expect_span(p.name, "g");
    assert_non_null(p.value.ptr);
    assert_int_equal(p.value.len, 0);
    assert_false(http_param_next(&rest, ';', &p));
}

static void quoted_strings_are_opened(void **state)
{
    struct weir_span out;
    char room[32];

    (void)state;
    assert_true(http_unquote(LIT("token"), NULL, &out));
    expect_span(out, "token");
    assert_true(http_unquote(LIT("\"a, b\""), NULL, &out));
    expect_span(out, "a, b");
    assert_true(http_unquote(LIT("\"\""), NULL, &out));
    expect_span(out, "");
    assert_true(http_unquote(LIT("\"a\\\"\\\\b\""), room, &out));
    expect_span(out, "a\"\\b");
    assert_false(http_unquote(LIT("\"a\\\"b\""), NULL, &out));
    assert_false(http_unquote(LIT("\"a"), room, &out));
    assert_false(http_unquote(LIT("\"a\\\""), room, &out));
    assert_false(http_unquote(LIT("\"a\"b\""), room, &out));
    assert_false(http_unquote(LIT("a b"), room, &out));
    assert_false(http_unquote(LIT("\""), room, &out));
    assert_false(http_unquote(LIT(""), room, &out));
}

static void weights_are_read_in_thousandths(void **state)
{
    (void)state;
    assert_int_equal(http_quality(LIT("gzip")), 1000);
    assert_int_equal(http_quality(LIT("gzip;q=1")), 1000);
    assert_int_equal(http_quality(LIT("gzip;q=1.000")), 1000);
    assert_int_equal(http_quality(LIT("gzip; Q=0.5")), 500);
    assert_int_equal(http_quality(LIT("gzip;a=b;q=0.001")), 1);
    assert_int_equal(http_quality(LIT("gzip;q=0")), 0);
    assert_int_equal(http_quality(LIT("gzip;q=0.")), 0);
    assert_int_equal(http_quality(LIT("gzip;q=1.001")), -1);
    assert_int_equal(http_quality(LIT("gzip;q=0.0001")), -1);
    assert_int_equal(http_quality(LIT("gzip;q=2")), -1);
    assert_int_equal(http_quality(LIT("gzip;q=-1")), -1);
    assert_int_equal(http_quality(LIT("gzip;q=.5")), -1);
    assert_int_equal(http_quality(LIT("gzip;q=05")), -1);
    assert_int_equal(http_quality(LIT("gzip;q=")), -1);
    assert_int_equal(http_quality(LIT("gzip;q")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_trimmed_and_empty_ones_skipped),
        cmocka_unit_test(commas_in_quotes_do_not_separate),
        cmocka_unit_test(lines_are_read_as_one_list),
        cmocka_unit_test(parameters_follow_the_item),
        cmocka_unit_test(quoted_strings_are_opened),
        cmocka_unit_test(weights_are_read_in_thousandths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
