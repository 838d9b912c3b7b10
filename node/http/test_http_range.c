#include "test_http.h"

#include "http_head.h"
#include "http_range.h"
#include "http_text.h"

static struct http_ranges set;

/* "0-1 5-9": what was resolved, in order; "whole"; "416". */
static void asks(const char *value, uint64_t length, const char *want)
{
    char *copy = exact_copy(value, strlen(value));
    char buf[HTTP_RANGES_MAX * 42];
    struct http_text t;

    http_text_init(&t, buf, sizeof buf);
    switch (http_ranges_parse(weir_span(copy, strlen(value)), length, &set)) {
    case HTTP_RANGE_WHOLE:
        http_text_lit(&t, "whole");
        break;
    case HTTP_RANGE_UNSATISFIABLE:
        http_text_lit(&t, "416");
        break;
    case HTTP_RANGE_PARTS:
        for (unsigned i = 0; i < set.count; i++) {
            if (i > 0)
                http_text_char(&t, ' ');
            http_text_u64(&t, set.at[i].first);
            http_text_char(&t, '-');
            http_text_u64(&t, set.at[i].last);
        }
        break;
    }
    free(copy);
    http_text_char(&t, '\0');
    if (strcmp(buf, want) != 0)
        fail_msg("%s of %llu: got %s, want %s", value, (unsigned long long)length, buf, want);
}

static void the_examples_of_rfc_9110_14_1_2_read_as_they_say(void **state)
{
    (void)state;
    asks("bytes=0-499", 10000, "0-499");
    asks("bytes=500-999", 10000, "500-999");
    asks("bytes=-500", 10000, "9500-9999");
    asks("bytes=9500-", 10000, "9500-9999");
    asks("bytes=0-0,-1", 10000, "0-0 9999-9999");
    asks("bytes= 0-999, 4500-5499, -1000", 10000, "0-999 4500-5499 9000-9999");
    asks("bytes=500-600,601-999", 10000, "500-999");
    asks("bytes=500-700,601-999", 10000, "500-999");
}

static void ends_beyond_the_last_byte_are_cut(void **state)
{
    (void)state;
    asks("bytes=0-", 1, "0-0");
    asks("bytes=2-100", 10, "2-9");
    asks("bytes=-100", 10, "0-9");
    asks("bytes=0-18446744073709551615", 10, "0-9");
    asks("bytes=0-99999999999999999999999999", 10, "0-9");
    asks("bytes=-99999999999999999999999999", 10, "0-9");
    asks("bytes=18446744073709551613-", UINT64_MAX, "18446744073709551613-18446744073709551614");
}

static void what_begins_beyond_the_last_byte_cannot_be_satisfied(void **state)
{
    (void)state;
    asks("bytes=10-", 10, "416");
    asks("bytes=10-20,30-", 10, "416");
    asks("bytes=99999999999999999999999999-", 10, "416");
    asks("bytes=-0", 10, "416");
    asks("bytes=0-", 0, "416");
    /* one that can be makes up for those that cannot */
    asks("bytes=10-,0-1,-0", 10, "0-1");
}

static void a_suffix_of_nothing_is_the_whole_nothing(void **state)
{
    (void)state;
    asks("bytes=-5", 0, "whole");
    asks("bytes=0-1,-5", 0, "whole");
}

static void other_units_and_what_does_not_parse_are_ignored(void **state)
{
    static const char *const ignored[] = {
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=, ,",
        "items=0-1",
        "bytes 0-1",
        "bytes =0-1",
        " bytes=0-1",
        "byte=0-1",
        "bytes=0",
        "bytes=-",
        "bytes=--1",
        "bytes=1-0",
        "bytes=0-1-2",
        "bytes=a-1",
        "bytes=0-a",
        "bytes=0x0-1",
        "bytes=+0-1",
        "bytes=0 -1",
        "bytes=0- 1",
        "bytes=- 1",
        "bytes=0-1;",
        "bytes=0-1 2-3",
        "bytes=0-1,x",
        "bytes=0-1,5-4",
        "bytes=0.0-1",
        "bytes=\"0-1\"",
        "0-1",
        "=0-1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        asks(ignored[i], 10, "whole");
}

static void unit_names_have_no_case_and_lists_may_have_empty_members(void **state)
{
    (void)state;
    asks("Bytes=0-1", 10, "0-1");
    asks("BYTES=,0-1 ,\t, 5-6,", 10, "0-1 5-6");
}

static void what_overlaps_or_touches_becomes_one(void **state)
{
    (void)state;
    asks("bytes=0-3,2-5", 10, "0-5");
    asks("bytes=0-3,4-5", 10, "0-5");
    asks("bytes=4-5,0-3", 10, "0-5");
    asks("bytes=0-9,2-3", 10, "0-9");
    asks("bytes=2-3,0-9", 10, "0-9");
    asks("bytes=0-3,5-6", 10, "0-3 5-6");
    /* the one between unites both */
    asks("bytes=0-1,6-7,2-5", 10, "0-7");
    asks("bytes=8-8,0-1,4-5,2-3", 10, "8-8 0-5");
}

static void parts_stand_in_the_order_asked(void **state)
{
    (void)state;
    asks("bytes=-1,0-0,5-5", 10, "9-9 0-0 5-5");
}

/* "0-0,2-2,4-4 ..." */
static void tiny(char *buf, size_t size, unsigned count)
{
    struct http_text t;

    http_text_init(&t, buf, size);
    http_text_lit(&t, "bytes=");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            http_text_char(&t, ',');
        http_text_u64(&t, 2 * i);
        http_text_char(&t, '-');
        http_text_u64(&t, 2 * i);
    }
    http_text_char(&t, '\0');
    assert_true(http_text_ok(&t));
}

static void who_asks_for_too_many_parts_gets_the_whole(void **state)
{
    char value[4000];

    (void)state;
    tiny(value, sizeof value, HTTP_RANGES_MAX);
    assert_int_equal(http_ranges_parse(weir_span_str(value), 1000, &set), HTTP_RANGE_PARTS);
    assert_int_equal(set.count, HTTP_RANGES_MAX);
    tiny(value, sizeof value, HTTP_RANGES_MAX + 1);
    asks(value, 1000, "whole");
}

static void a_long_list_is_the_whole_even_if_it_all_overlaps(void **state)
{
    char value[1200] = "bytes=0-";

    (void)state;
    for (unsigned i = 1; i < HTTP_RANGE_SPECS_MAX; i++)
        strcat(value, ",0-");
    asks(value, 1000, "0-999");
    strcat(value, ",0-");
    asks(value, 1000, "whole");
}

static void only_get_has_ranges_and_only_one_line_counts(void **state)
{
    struct http_field fields[4];
    struct http_head h;

    (void)state;
    http_head_init(&h, fields, 4);
    h.method_id = HTTP_M_GET;
    assert_int_equal(http_ranges_of(&h, 10, &set), HTTP_RANGE_WHOLE);
    assert_true(http_head_add_id(&h, NULL, HTTP_F_RANGE, LIT("bytes=0-1")));
    assert_int_equal(http_ranges_of(&h, 10, &set), HTTP_RANGE_PARTS);
    h.method_id = HTTP_M_HEAD;
    assert_int_equal(http_ranges_of(&h, 10, &set), HTTP_RANGE_WHOLE);
    h.method_id = HTTP_M_POST;
    assert_int_equal(http_ranges_of(&h, 10, &set), HTTP_RANGE_WHOLE);
    h.method_id = HTTP_M_GET;
    assert_true(http_head_add_id(&h, NULL, HTTP_F_RANGE, LIT("bytes=0-1")));
    assert_int_equal(http_ranges_of(&h, 10, &set), HTTP_RANGE_WHOLE);
}

static void content_range_says_part_and_length(void **state)
{
    struct http_content_range c;

    (void)state;
    assert_true(http_content_range_parse(LIT("bytes 42-1233/1234"), &c));
    assert_true(c.satisfied && c.has_length);
    assert_int_equal(c.range.first, 42);
    assert_int_equal(c.range.last, 1233);
    assert_int_equal(c.length, 1234);
    assert_true(http_content_range_parse(LIT("Bytes 42-1233/*"), &c));
    assert_true(c.satisfied && !c.has_length);
    assert_true(http_content_range_parse(LIT("bytes */1234"), &c));
    assert_true(!c.satisfied && c.has_length);
    assert_int_equal(c.length, 1234);
}

static void a_content_range_that_does_not_hold_together_is_refused(void **state)
{
    static const char *const refused[] = {
        "",
        "bytes",
        "bytes ",
        "bytes 0-1",
        "bytes 0-1/",
        "bytes 1-0/5",
        "bytes 0-5/5",
        "bytes 0-9/5",
        "bytes */*",
        "bytes *",
        "bytes -1/5",
        "bytes 0-/5",
        "bytes=0-1/5",
        "bytes  0-1/5",
        "bytes 0-1/5 ",
        "bytes 0-1 /5",
        "bytes 0-1/5,6-7/8",
        "items 0-1/5",
        "bytes 0-1/x",
        "bytes 0-1/5x",
        "bytes 0-18446744073709551615/18446744073709551616",
        "bytes 0-99999999999999999999/*",
        "bytes 0-1/99999999999999999999",
    };
    struct http_content_range c;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (http_content_range_parse(weir_span_str(refused[i]), &c))
            fail_msg("accepted %s", refused[i]);
}

static void several_content_ranges_say_nothing(void **state)
{
    struct http_field fields[2];
    struct http_content_range c;
    struct http_head h;

    (void)state;
    http_head_init(&h, fields, 2);
    assert_false(http_content_range_of(&h, &c));
    assert_true(http_head_add_id(&h, NULL, HTTP_F_CONTENT_RANGE, LIT("bytes 0-1/2")));
    assert_true(http_content_range_of(&h, &c));
    assert_true(http_head_add_id(&h, NULL, HTTP_F_CONTENT_RANGE, LIT("bytes 0-1/2")));
    assert_false(http_content_range_of(&h, &c));
}

static void what_is_written_can_be_read(void **state)
{
    const struct http_range most = {UINT64_MAX - 2, UINT64_MAX - 2};
    char buf[HTTP_CONTENT_RANGE_MAX];
    struct http_content_range c;
    struct http_text t;

    (void)state;
    http_text_init(&t, buf, sizeof buf);
    http_text_content_range(&t, &most, UINT64_MAX - 1);
    assert_true(http_text_ok(&t));
    expect_span(http_text_span(&t),
                "bytes 18446744073709551613-18446744073709551613/18446744073709551614");
    assert_true(http_content_range_parse(http_text_span(&t), &c));
    http_text_init(&t, buf, sizeof buf);
    http_text_content_range(&t, NULL, 7);
    expect_span(http_text_span(&t), "bytes */7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_rfc_9110_14_1_2_read_as_they_say),
        cmocka_unit_test(ends_beyond_the_last_byte_are_cut),
        cmocka_unit_test(what_begins_beyond_the_last_byte_cannot_be_satisfied),
        cmocka_unit_test(a_suffix_of_nothing_is_the_whole_nothing),
        cmocka_unit_test(other_units_and_what_does_not_parse_are_ignored),
        cmocka_unit_test(unit_names_have_no_case_and_lists_may_have_empty_members),
        cmocka_unit_test(what_overlaps_or_touches_becomes_one),
        cmocka_unit_test(parts_stand_in_the_order_asked),
        cmocka_unit_test(who_asks_for_too_many_parts_gets_the_whole),
        cmocka_unit_test(a_long_list_is_the_whole_even_if_it_all_overlaps),
        cmocka_unit_test(only_get_has_ranges_and_only_one_line_counts),
        cmocka_unit_test(content_range_says_part_and_length),
        cmocka_unit_test(a_content_range_that_does_not_hold_together_is_refused),
        cmocka_unit_test(several_content_ranges_say_nothing),
        cmocka_unit_test(what_is_written_can_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
