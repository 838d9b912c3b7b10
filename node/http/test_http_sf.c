#include "test_http.h"

#include <stdio.h>

#include "weir/arena.h"
#include "http_head.h"
#include "http_sf.h"

/*
 * What was read, written in a plain form: integers as they are, decimals as "d1500", strings as
 * 'text', tokens bare, bytes as "b'decoded'", booleans T and F, dates "@1", display strings
 * "u'text'", inner lists in parentheses; parameters behind each as ";key=item".
 */
struct out {
    char text[1024];
    size_t len;
};

static void put(struct out *o, const char *s, size_t len)
{
    assert_true(o->len + len < sizeof o->text);
    memcpy(o->text + o->len, s, len);
    o->len += len;
    o->text[o->len] = '\0';
}

static void put_str(struct out *o, const char *s)
{
    put(o, s, strlen(s));
}

static void put_text(struct out *o, const char *mark, const struct http_sf_item *item)
{
    char room[256];
    struct weir_span s = http_sf_text(item, room);

    assert_non_null(s.ptr);
    put_str(o, mark);
    put(o, s.ptr, s.len);
    put_str(o, "'");
}

static void put_number(struct out *o, const char *mark, int64_t n)
{
    char digits[32];

    snprintf(digits, sizeof digits, "%s%lld", mark, (long long)n);
    put_str(o, digits);
}

static void put_item(struct out *o, const struct http_sf_item *item);

static void put_inner(struct out *o, struct weir_span inner)
{
    struct http_sf_item item;

    put_str(o, "(");
    for (bool first = true; http_sf_inner_next(&inner, &item); first = false) {
        if (!first)
            put_str(o, " ");
        put_item(o, &item);
    }
    put_str(o, ")");
}

static void put_item(struct out *o, const struct http_sf_item *item)
{
    struct weir_span params = item->params, key;
    struct http_sf_item param;

    switch (item->type) {
    case HTTP_SF_INTEGER:
        put_number(o, "", item->number);
        break;
    case HTTP_SF_DECIMAL:
        put_number(o, "d", item->number);
        break;
    case HTTP_SF_DATE:
        put_number(o, "@", item->number);
        break;
    case HTTP_SF_BOOLEAN:
        put_str(o, item->truth ? "T" : "F");
        break;
    case HTTP_SF_STRING:
        put_text(o, "'", item);
        break;
    case HTTP_SF_BYTES:
        put_text(o, "b'", item);
        break;
    case HTTP_SF_DISPLAY:
        put_text(o, "u'", item);
        break;
    case HTTP_SF_TOKEN:
        put(o, item->text.ptr, item->text.len);
        break;
    case HTTP_SF_INNER:
        put_inner(o, item->text);
        break;
    }
    while (http_sf_param_next(&params, &key, &param)) {
        put_str(o, ";");
        put(o, key.ptr, key.len);
        put_str(o, "=");
        put_item(o, &param);
    }
}

enum kind { ITEM, LIST, DICT };

/* false: it does not parse. */
static bool show(struct out *o, enum kind kind, struct weir_span text)
{
    struct http_sf_item item;
    struct weir_span key;
    struct http_sf it;
    bool first = true;

    o->len = 0;
    o->text[0] = '\0';
    if (kind == ITEM) {
        if (!http_sf_item(text, &item))
            return false;
        put_item(o, &item);
        return true;
    }
    if (kind == LIST ? !http_sf_list(&it, text) : !http_sf_dict(&it, text))
        return false;
    while (kind == LIST ? http_sf_list_next(&it, &item) : http_sf_dict_next(&it, &key, &item)) {
        if (!first)
            put_str(o, ", ");
        first = false;
        if (kind == DICT) {
            put(o, key.ptr, key.len);
            put_str(o, "=");
        }
        put_item(o, &item);
    }
    return true;
}

struct row {
    const char *text, *want; /* want NULL: it does not parse */
};

static void check_rows(enum kind kind, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(rows[i].text);
        char *copy = exact_copy(rows[i].text, len);
        struct out o;
        bool parsed = show(&o, kind, weir_span(copy, len));

        if (parsed != (rows[i].want != NULL))
            fail_msg("<%s> %s", rows[i].text, parsed ? "parsed" : "did not parse");
        if (parsed && strcmp(o.text, rows[i].want) != 0)
            fail_msg("<%s> read as <%s>, not <%s>", rows[i].text, o.text, rows[i].want);
        free(copy);
    }
}

#define CHECK(kind, rows) check_rows((kind), (rows), sizeof(rows) / sizeof((rows)[0]))

/* RFC 9651 3.3.1, 3.3.2, 4.2.4 */
static void integers_and_decimals_keep_their_limits(void **state)
{
    static const struct row rows[] = {
        {"42", "42"},
        {"0", "0"},
        {"-0", "0"},
        {"-42", "-42"},
        {"042", "42"},
        {"  42  ", "42"},
        {"999999999999999", "999999999999999"},
        {"-999999999999999", "-999999999999999"},
        {"1000000000000000", NULL},
        {"-", NULL},
        {"--1", NULL},
        {"+1", NULL},
        {"4 2", NULL},
        {"\t42", NULL},
        {"42\t", NULL},
        {"42a", NULL},
        {"", NULL},
        {"  ", NULL},
        {"1.5", "d1500"},
        {"-1.25", "d-1250"},
        {"0.001", "d1"},
        {"-0.5", "d-500"},
        {"1.0", "d1000"},
        {"1.", NULL},
        {".1", NULL},
        {"1.1234", NULL},
        {"1.2.3", NULL},
        {"999999999999.999", "d999999999999999"},
        {"1000000000000.0", NULL},
        {"1e3", NULL},
    };

    (void)state;
    CHECK(ITEM, rows);
}

/* RFC 9651 3.3.3, 4.2.5 */
static void strings_are_printable_ascii_with_two_escapes(void **state)
{
    static const struct row rows[] = {
        {"\"\"", "''"},
        {"\"hello world\"", "'hello world'"},
        {"\"a\\\"b\\\\c\"", "'a\"b\\c'"},
        {"\"a", NULL},
        {"\"", NULL},
        {"\"a\\", NULL},
        {"\"a\\\"", NULL},
        {"\"a\\n\"", NULL},
        {"\"a\tb\"", NULL},
        {"\"\x7f\"", NULL},
        {"\"f\xc3\xbc\"", NULL},
        {"\"a\" b", NULL},
        {"'a'", NULL},
    };

    (void)state;
    CHECK(ITEM, rows);
}

/* RFC 9651 3.3.4, 4.2.6 */
static void tokens_begin_with_a_letter_or_a_star(void **state)
{
    static const struct row rows[] = {
        {"a", "a"},
        {"text/html", "text/html"},
        {"*foo", "*foo"},
        {"a:b", "a:b"},
        {"Aa1!#$%&'*+-.^_`|~:/", "Aa1!#$%&'*+-.^_`|~:/"},
        {"a b", NULL},
        {"!a", NULL},
        {"/a", NULL},
        {"a\"b\"", NULL},
        {"a(", NULL},
        {"a,b", NULL},
    };

    (void)state;
    CHECK(ITEM, rows);
}

/* RFC 9651 3.3.5, 4.2.7 */
static void byte_sequences_are_base64_between_colons(void **state)
{
    static const struct row rows[] = {
        {":aGVsbG8=:", "b'hello'"},
        {":aGVsbG8:", "b'hello'"}, /* missing padding may be accepted */
        {":aA==:", "b'h'"},
        {":YWJj:", "b'abc'"},
        {"::", "b''"},
        {":aGVsbG8=", NULL},
        {":", NULL},
        {":a:", NULL},
        {":aGVs bG8=:", NULL},
        {":aGVsbG8-:", NULL},
        {":=:", NULL},
        {":aA=:", NULL},
        {":YWJj=:", NULL},
        {":a=A=:", NULL},
    };

    (void)state;
    CHECK(ITEM, rows);
}

/* RFC 9651 3.3.6, 3.3.7, 4.2.8, 4.2.9 */
static void booleans_and_dates_have_one_form(void **state)
{
    static const struct row rows[] = {
        {"?1", "T"},
        {"?0", "F"},
        {"?", NULL},
        {"?2", NULL},
        {"?T", NULL},
        {"?10", NULL},
        {"@1659578233", "@1659578233"},
        {"@0", "@0"},
        {"@-1", "@-1"},
        {"@1.5", NULL},
        {"@", NULL},
        {"@a", NULL},
    };

    (void)state;
    CHECK(ITEM, rows);
}

/* RFC 9651 3.3.8, 4.2.10 */
static void display_strings_are_percent_encoded_utf8(void **state)
{
    static const struct row rows[] = {
        {"%\"plain\"", "u'plain'"},
        {"%\"f%c3%bc\"", "u'f\xc3\xbc'"},
        {"%\"%f0%9f%98%80\"", "u'\xf0\x9f\x98\x80'"},
        {"%\"%25 %22\"", "u'% \"'"},
        {"%\"back\\slash\"", "u'back\\slash'"},
        {"%\"%C3%BC\"", NULL}, /* upper case */
        {"%\"%c3\"", NULL},
        {"%\"%c3(\"", NULL},
        {"%\"%c0%80\"", NULL},       /* overlong */
        {"%\"%e0%9f%bf\"", NULL},    /* overlong */
        {"%\"%ed%a0%80\"", NULL},    /* a surrogate */
        {"%\"%f4%90%80%80\"", NULL}, /* past the last */
        {"%\"%ff\"", NULL},
        {"%\"%c\"", NULL},
        {"%\"%\"", NULL},
        {"%\"%zz\"", NULL},
        {"%\"a", NULL},
        {"%a", NULL},
        {"%\"\xc3\xbc\"", NULL}, /* not encoded */
        {"%\"a\tb\"", NULL},
    };

    (void)state;
    CHECK(ITEM, rows);
}

/* RFC 9651 3.1.2, 4.2.3.2 */
static void parameters_follow_an_item_at_once(void **state)
{
    static const struct row rows[] = {
        {"a;b;c=1", "a;b=T;c=1"},
        {"a; b=?0;   c=\"x\"", "a;b=F;c='x'"},
        {"1;a=:aA==:;d=@5", "1;a=b'h';d=@5"},
        {"a;b=1;b=2", "a;b=1;b=2"}, /* the later takes the place of the earlier: the caller's */
        {"a;*k.1_-*=x", "a;*k.1_-*=x"},
        {"a ;b", NULL},
        {"a;\tb", NULL},
        {"a;", NULL},
        {"a;B", NULL},
        {"a;1", NULL},
        {"a;b =1", NULL},
        {"a;b= 1", NULL},
        {"a;b=", NULL},
        {"a;b=(1)", NULL},
        {"a;b;;c", NULL},
    };

    (void)state;
    CHECK(ITEM, rows);
}

/* RFC 9651 3.1, 4.2.1 */
static void lists_are_separated_by_commas_and_end_with_a_member(void **state)
{
    static const struct row rows[] = {
        {"", ""},
        {"   ", ""},
        {"1", "1"},
        {"sugar, tea, rum", "sugar, tea, rum"},
        {"1,2\t,\t3", "1, 2, 3"},
        {"a;q=1 , b;q=0.5", "a;q=1, b;q=d500"},
        {"\"a,b\", c", "'a,b', c"},
        {"1,", NULL},
        {"1, ", NULL},
        {",1", NULL},
        {"1,,2", NULL},
        {"1, , 2", NULL},
        {"1 2", NULL},
        {"1;", NULL},
        {"a, \"b", NULL},
        {"\t", NULL},
    };

    (void)state;
    CHECK(LIST, rows);
}

/* RFC 9651 3.1.1, 4.2.1.2 */
static void inner_lists_hold_items_between_parentheses(void **state)
{
    static const struct row rows[] = {
        {"()", "()"},
        {"(   )", "()"},
        {"(1)", "(1)"},
        {"( 1  2 )", "(1 2)"},
        {"(\"foo\" \"bar\"), (\"baz\"), ()", "('foo' 'bar'), ('baz'), ()"},
        {"(\"foo\"; a=1;b=2);lvl=5, (\"bar\" \"baz\");lvl=1",
         "('foo';a=1;b=2);lvl=5, ('bar' 'baz');lvl=1"},
        {"(\") (\" a)", "(') (' a)"},
        {"(1", NULL},
        {"(1 ", NULL},
        {"(1 2", NULL},
        {"(", NULL},
        {"(1\t2)", NULL},
        {"(1,2)", NULL},
        {"(\"a\"\"b\")", NULL},
        {"((1))", NULL},
        {"(1) 2", NULL},
        {"(1))", NULL},
        {"(1;)", NULL},
    };

    (void)state;
    CHECK(LIST, rows);
    assert_false(http_sf_item(LIT("(1)"), &(struct http_sf_item){.number = 0}));
}

/* RFC 9651 3.2, 4.2.2 */
static void dictionaries_map_lower_case_keys_to_members(void **state)
{
    static const struct row rows[] = {
        {"", ""},
        {"a=1", "a=1"},
        {"en=\"Applepie\", da=:w4ZibGV0w6ZydGU=:", "en='Applepie', da=b'\xc3\x86"
                                                   "blet\xc3\xa6rte'"},
        {"a=?0, b, c; foo=bar", "a=F, b=T, c=T;foo=bar"},
        {"rating=1.5, feelings=(joy sadness)", "rating=d1500, feelings=(joy sadness)"},
        {"a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid", "a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid=T"},
        {"max-age=60, no-store", "max-age=60, no-store=T"},
        {"a=1,b=2", "a=1, b=2"},
        {"a=1, a=2", "a=1, a=2"},
        {"*a_b-c.d*=1", "*a_b-c.d*=1"},
        {"a=1,", NULL},
        {"a=1 b=2", NULL},
        {"a=", NULL},
        {"=1", NULL},
        {"A=1", NULL},
        {"Max-Age=60", NULL},
        {"1a=1", NULL},
        {"a =1", NULL},
        {"a= 1", NULL},
        {"a=1, , b=2", NULL},
        {"a,b=\"", NULL},
        {"a=1;b=(1)", NULL},
        {"\"a\"=1", NULL},
    };

    (void)state;
    CHECK(DICT, rows);
}

/* RFC 9651 3.2: "if a key occurs again, the last one counts" */
static void the_last_value_of_a_key_counts(void **state)
{
    struct http_sf_item item;

    (void)state;
    assert_true(http_sf_dict_find(LIT("a=1, b=2, a=\"x\""), LIT("a"), &item));
    assert_int_equal(item.type, HTTP_SF_STRING);
    assert_false(http_sf_dict_find(LIT("a=1, b=2"), LIT("c"), &item));
    assert_false(http_sf_dict_find(LIT("a=1, b=2,"), LIT("a"), &item));
}

/* RFC 9651 4.2: "parsers MUST fail" for the whole, however late the fault comes */
static void a_fault_at_the_end_fails_the_whole(void **state)
{
    struct http_sf it;

    (void)state;
    assert_true(http_sf_dict(&it, LIT("a=1, b=(1 2);c, d=\"x\"")));
    assert_false(http_sf_dict(&it, LIT("a=1, b=(1 2);c, d=\"x")));
    assert_false(http_sf_list(&it, LIT("a, b, c, d=")));
}

/* RFC 9651 4.2: the lines of a field are joined by commas first */
static void lines_are_joined_before_they_are_read(void **state)
{
    struct http_field fields[5];
    struct weir_arena arena;
    struct weir_span text;
    struct http_head h;
    struct out o;

    (void)state;
    weir_arena_init(&arena, 0);
    http_head_init(&h, fields, 5);
    assert_false(http_sf_lines(&text, &h, HTTP_F_CACHE_CONTROL, &arena));
    http_head_add(&h, NULL, LIT("Cache-Control"), LIT("a=1"));
    assert_true(http_sf_lines(&text, &h, HTTP_F_CACHE_CONTROL, NULL)); /* one is not copied */
    assert_ptr_equal(text.ptr, fields[0].value.ptr);
    http_head_add(&h, NULL, LIT("X-Groups"), LIT("x"));
    http_head_add(&h, NULL, LIT("cache-control"), LIT("b;c, a=2"));
    assert_true(http_sf_lines(&text, &h, HTTP_F_CACHE_CONTROL, &arena));
    assert_true(show(&o, DICT, text));
    assert_string_equal(o.text, "a=1, b=T;c=T, a=2");
    assert_true(http_sf_lines_name(&text, &h, LIT("x-groups"), &arena));
    expect_span(text, "x");
    http_head_add(&h, NULL, LIT("Cache-Control"), LIT("")); /* leaves a comma at the end */
    assert_true(http_sf_lines(&text, &h, HTTP_F_CACHE_CONTROL, &arena));
    assert_false(show(&o, DICT, text));
    http_head_reset(&h);
    http_head_add(&h, NULL, LIT("X-Groups"), LIT("")); /* and one at the front */
    http_head_add(&h, NULL, LIT("X-Groups"), LIT("a"));
    assert_true(http_sf_lines_name(&text, &h, LIT("X-Groups"), &arena));
    expect_span(text, ", a");
    weir_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_and_decimals_keep_their_limits),
        cmocka_unit_test(strings_are_printable_ascii_with_two_escapes),
        cmocka_unit_test(tokens_begin_with_a_letter_or_a_star),
        cmocka_unit_test(byte_sequences_are_base64_between_colons),
        cmocka_unit_test(booleans_and_dates_have_one_form),
        cmocka_unit_test(display_strings_are_percent_encoded_utf8),
        cmocka_unit_test(parameters_follow_an_item_at_once),
        cmocka_unit_test(lists_are_separated_by_commas_and_end_with_a_member),
        cmocka_unit_test(inner_lists_hold_items_between_parentheses),
        cmocka_unit_test(dictionaries_map_lower_case_keys_to_members),
        cmocka_unit_test(the_last_value_of_a_key_counts),
        cmocka_unit_test(a_fault_at_the_end_fails_the_whole),
        cmocka_unit_test(lines_are_joined_before_they_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
