#include "test_http.h"

#include "http_coding_tag.h"
#include "http_head.h"

static const uint8_t all[] = {CODING_ZSTD, CODING_BR, CODING_GZIP, CODING_IDENTITY};

static void expect_tag(const char *tag, enum coding c, const char *want)
{
    char buf[400];
    struct http_text t;

    http_text_init(&t, buf, sizeof buf);
    assert_int_equal(http_coding_tag(&t, weir_span_str(tag), c), want != NULL);
    expect_span(http_text_span(&t), want != NULL ? want : "");
}

static void tags_of_codings_differ_and_stay_strong_or_weak(void **state)
{
    (void)state;
    expect_tag("\"abc\"", CODING_GZIP, "\"abc-gzip\"");
    expect_tag("W/\"abc\"", CODING_ZSTD, "W/\"abc-zstd\"");
    expect_tag("\"\"", CODING_BR, "\"-br\"");
    expect_tag("\"abc\"", CODING_IDENTITY, "\"abc-identity\"");
}

static void what_is_not_one_tag_gets_none(void **state)
{
    char tag[HTTP_CODING_TAG_MAX + 2];

    (void)state;
    expect_tag("abc", CODING_GZIP, NULL);
    expect_tag("\"abc", CODING_GZIP, NULL);
    expect_tag("\"a\", \"b\"", CODING_GZIP, NULL);
    expect_tag("", CODING_GZIP, NULL);
    memset(tag, 'x', sizeof tag);
    tag[0] = tag[HTTP_CODING_TAG_MAX] = '"';
    tag[HTTP_CODING_TAG_MAX + 1] = '\0';
    expect_tag(tag, CODING_GZIP, NULL);
}

static enum coding listed(const char *if_none_match, const char *tag, enum coding sent)
{
    struct http_field fields[1];
    struct http_head h;

    http_head_init(&h, fields, 1);
    if (if_none_match != NULL)
        assert_true(http_head_add(&h, NULL, LIT("If-None-Match"), weir_span_str(if_none_match)));
    return http_coding_tag_listed(&h, weir_span_str(tag), sent, all, 4);
}

static void a_tag_that_is_listed_names_its_coding(void **state)
{
    (void)state;
    assert_int_equal(listed("\"a-gzip\"", "\"a\"", CODING_IDENTITY), CODING_GZIP);
    assert_int_equal(listed("W/\"a-br\"", "\"a\"", CODING_IDENTITY), CODING_BR);
    assert_int_equal(listed("\"x\", W/\"a-zstd\"", "W/\"a\"", CODING_IDENTITY), CODING_ZSTD);
    assert_int_equal(listed("\"a\"", "\"a\"", CODING_IDENTITY), CODING_IDENTITY);
    assert_int_equal(listed("\"a\"", "\"a\"", CODING_GZIP), CODING_GZIP);
    assert_int_equal(listed("\"a-identity\"", "\"a\"", CODING_GZIP), CODING_IDENTITY);
    assert_int_equal(listed("*", "\"a\"", CODING_IDENTITY), CODING_ZSTD);
    assert_int_equal(listed("\"a-gzip\", \"a-zstd\"", "\"a\"", CODING_IDENTITY), CODING_ZSTD);
}

static void a_tag_that_is_not_listed_names_none(void **state)
{
    (void)state;
    assert_int_equal(listed(NULL, "\"a\"", CODING_IDENTITY), CODING_OTHER);
    assert_int_equal(listed("\"b-gzip\"", "\"a\"", CODING_IDENTITY), CODING_OTHER);
    assert_int_equal(listed("\"a-gzip", "\"a\"", CODING_IDENTITY), CODING_OTHER);
    assert_int_equal(listed("\"a\"", "\"a\"", CODING_OTHER), CODING_OTHER);
    assert_int_equal(listed("\"a-gzip\"", "a", CODING_IDENTITY), CODING_OTHER);
}

static void expect_for_origin(const char *value, const char *want)
{
    char buf[200];
    char *copy = exact_copy(value, strlen(value));
    struct http_text t;

    http_text_init(&t, buf, sizeof buf);
    http_coding_tag_for_origin(&t, weir_span(copy, strlen(value)));
    expect_span(http_text_span(&t), want);
    assert_true(http_text_len(&t) <= 4 * strlen(value));
    free(copy);
}

static void an_origin_gets_its_own_tag_beside_ours(void **state)
{
    (void)state;
    expect_for_origin("\"a-gzip\"", "\"a-gzip\", \"a\"");
    expect_for_origin("\"a\", W/\"b-zstd\",\"c-br\"",
                      "\"a\", W/\"b-zstd\",\"c-br\", W/\"b\", \"c\"");
    expect_for_origin("\"a-identity\"", "\"a-identity\", \"a\"");
}

static void other_values_go_on_as_they_are(void **state)
{
    (void)state;
    expect_for_origin("*", "*");
    expect_for_origin("", "");
    expect_for_origin("\"gzip\", \"-gzip\", \"a-gzip ", "\"gzip\", \"-gzip\", \"a-gzip ");
    expect_for_origin("a-gzip", "a-gzip");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_of_codings_differ_and_stay_strong_or_weak),
        cmocka_unit_test(what_is_not_one_tag_gets_none),
        cmocka_unit_test(a_tag_that_is_listed_names_its_coding),
        cmocka_unit_test(a_tag_that_is_not_listed_names_none),
        cmocka_unit_test(an_origin_gets_its_own_tag_beside_ours),
        cmocka_unit_test(other_values_go_on_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
