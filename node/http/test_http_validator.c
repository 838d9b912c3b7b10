#include "test_http.h"

#include "http_validator.h"

static struct http_field fields[8];
static struct http_head head;

static const struct http_head *with(uint16_t id, const char *value)
{
    http_head_init(&head, fields, 8);
    http_head_add_id(&head, NULL, id, weir_span_str(value));
    return &head;
}

static struct http_etag tag(const char *text)
{
    struct http_etag t;

    if (!http_etag_parse(weir_span_str(text), &t))
        fail_msg("not a tag: %s", text);
    return t;
}

static void tags_are_weak_or_strong(void **state)
{
    struct http_etag t;

    (void)state;
    assert_true(http_etag_parse(LIT("\"a\\b\x80\""), &t));
    assert_false(t.weak);
    expect_span(t.opaque, "\"a\\b\x80\"");
    assert_true(http_etag_parse(LIT("W/\"\""), &t));
    assert_true(t.weak);
    expect_span(t.opaque, "\"\"");
}

static void what_is_no_tag_is_refused(void **state)
{
    static const char *const bad[] = {"",        "a",       "\"",  "\"a",    "a\"",
                                      "w/\"a\"", "W/",      "W/a", "W\"a\"", "\"a\"b",
                                      "\"a b\"", "\"a\"\"", "*",   "\"a\" ", "W/ \"a\""};
    struct http_etag t;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *copy = exact_copy(bad[i], strlen(bad[i]));

        if (http_etag_parse(weir_span(copy, strlen(bad[i])), &t))
            fail_msg("accepted %s", bad[i]);
        assert_null(t.opaque.ptr);
        free(copy);
    }
}

static void comparison_is_that_of_rfc_9110_8_8_3_2(void **state)
{
    struct http_etag w1 = tag("W/\"1\""), w2 = tag("W/\"2\""), s1 = tag("\"1\""),
                     none = {WEIR_SPAN_NONE, false};

    (void)state;
    assert_false(http_etag_strong_eq(&w1, &w1));
    assert_true(http_etag_weak_eq(&w1, &w1));
    assert_false(http_etag_weak_eq(&w1, &w2));
    assert_false(http_etag_strong_eq(&w1, &s1));
    assert_true(http_etag_weak_eq(&w1, &s1));
    assert_true(http_etag_strong_eq(&s1, &s1));
    assert_false(http_etag_weak_eq(&none, &none));
}

static void two_etag_lines_are_none(void **state)
{
    struct http_etag t;

    (void)state;
    assert_true(http_etag_of(with(HTTP_F_ETAG, "\"a\""), &t));
    http_head_add_id(&head, NULL, HTTP_F_ETAG, LIT("\"a\""));
    assert_false(http_etag_of(&head, &t));
    assert_false(http_etag_of(with(HTTP_F_AGE, "1"), &t));
}

static void if_none_match_searches_the_list(void **state)
{
    struct http_etag t = tag("\"b,c\"");
    const uint16_t id = HTTP_F_IF_NONE_MATCH;

    (void)state;
    assert_int_equal(http_if_none_match(with(HTTP_F_AGE, "1"), true, &t), HTTP_COND_ABSENT);
    assert_int_equal(http_if_none_match(with(id, "\"a\", W/\"b,c\""), true, &t), HTTP_COND_FALSE);
    assert_int_equal(http_if_none_match(with(id, "\"a\",\"b\""), true, &t), HTTP_COND_TRUE);
    assert_int_equal(http_if_none_match(with(id, "\"a\\\", \"b,c\""), true, &t), HTTP_COND_FALSE);
    assert_int_equal(http_if_none_match(with(id, ",, \"b,c\" ,"), true, &t), HTTP_COND_FALSE);
    assert_int_equal(http_if_none_match(with(id, "\"b,c\" x"), true, &t), HTTP_COND_TRUE);
    assert_int_equal(http_if_none_match(with(id, "x, \"b,c\""), true, &t), HTTP_COND_FALSE);
    assert_int_equal(http_if_none_match(with(id, ""), true, &t), HTTP_COND_TRUE);
    assert_int_equal(http_if_none_match(with(id, "\"b"), true, &t), HTTP_COND_TRUE);
    http_head_add_id(&head, NULL, id, LIT("\"b,c\""));
    assert_int_equal(http_if_none_match(&head, true, &t), HTTP_COND_FALSE);
}

static void a_star_matches_whatever_exists(void **state)
{
    struct http_etag t = tag("\"a\"");

    (void)state;
    assert_int_equal(http_if_none_match(with(HTTP_F_IF_NONE_MATCH, "*"), true, NULL),
                     HTTP_COND_FALSE);
    assert_int_equal(http_if_none_match(with(HTTP_F_IF_NONE_MATCH, "*"), false, NULL),
                     HTTP_COND_TRUE);
    assert_int_equal(http_if_none_match(with(HTTP_F_IF_NONE_MATCH, "\"b\", *"), true, &t),
                     HTTP_COND_TRUE);
}

#define DATE   "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_S 784111777

static void modification_dates_are_compared(void **state)
{
    const uint16_t ims = HTTP_F_IF_MODIFIED_SINCE;

    (void)state;
    assert_int_equal(http_if_modified_since(with(ims, DATE), DATE_S, 0), HTTP_COND_FALSE);
    assert_int_equal(http_if_modified_since(with(ims, DATE), DATE_S + 1, 0), HTTP_COND_TRUE);
    assert_int_equal(http_if_modified_since(with(ims, "yesterday"), DATE_S, 0), HTTP_COND_ABSENT);
    assert_int_equal(http_if_modified_since(with(ims, DATE), INT64_MIN, 0), HTTP_COND_ABSENT);
    assert_int_equal(http_if_modified_since(with(HTTP_F_IF_UNMODIFIED_SINCE, DATE), DATE_S, 0),
                     HTTP_COND_ABSENT);
}

static void if_range_needs_a_strong_validator(void **state)
{
    const uint16_t id = HTTP_F_IF_RANGE;
    struct http_etag strong = tag("\"a\""), weak = tag("W/\"a\"");
    const int64_t none = INT64_MIN;

    (void)state;
    assert_int_equal(http_if_range(with(HTTP_F_AGE, "1"), &strong, none, none, 0),
                     HTTP_COND_ABSENT);
    assert_int_equal(http_if_range(with(id, "\"a\""), &strong, none, none, 0), HTTP_COND_TRUE);
    assert_int_equal(http_if_range(with(id, "\"a\""), NULL, none, none, 0), HTTP_COND_FALSE);
    assert_int_equal(http_if_range(with(id, "W/\"a\""), &weak, none, none, 0), HTTP_COND_FALSE);
    assert_int_equal(http_if_range(with(id, "\"b\""), &strong, none, none, 0), HTTP_COND_FALSE);
    assert_int_equal(http_if_range(with(id, DATE), NULL, DATE_S, DATE_S + 1, 0), HTTP_COND_TRUE);
    assert_int_equal(http_if_range(with(id, DATE), NULL, DATE_S, DATE_S, 0), HTTP_COND_FALSE);
    assert_int_equal(http_if_range(with(id, DATE), NULL, DATE_S - 1, DATE_S + 9, 0),
                     HTTP_COND_FALSE);
    assert_int_equal(http_if_range(with(id, "x"), &strong, DATE_S, none, 0), HTTP_COND_FALSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_weak_or_strong),
        cmocka_unit_test(what_is_no_tag_is_refused),
        cmocka_unit_test(comparison_is_that_of_rfc_9110_8_8_3_2),
        cmocka_unit_test(two_etag_lines_are_none),
        cmocka_unit_test(if_none_match_searches_the_list),
        cmocka_unit_test(a_star_matches_whatever_exists),
        cmocka_unit_test(modification_dates_are_compared),
        cmocka_unit_test(if_range_needs_a_strong_validator),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
