#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "weir/alloc.h"
#include "pattern.h"
#include "template.h"

static const struct template_values usual = {
    .host = {"example.org", 11},
    .path = {"/a/b", 4},
    .query = {"x=1&y=2", 7},
    .client = {"192.0.2.7", 9},
    .scheme = {"https", 5},
    .request_id = {"r-1", 3},
};

/* Compiles with a pattern of `groups` groups called g1, g2 ... (0: no pattern at all). */
static struct template *compile(const char *text, enum template_use use, int groups,
                                struct weir_arena *arena, struct weir_err *err)
{
    static const char *const sources[] = {"", "(?<g1>.)", "(?<g1>.)(?<g2>.)"};
    struct pattern *p = pattern_compile(sources[groups], err);
    const struct pattern *list[] = {p};
    struct template *t;

    assert_non_null(p);
    t = template_compile(text, use, list, groups > 0 ? 1 : 0, arena, err);
    pattern_free(p);
    return t;
}

/* One expansion with captures $1, $2; *out lives in the arena. */
static bool expand(const char *text, enum template_use use, const char *one, const char *two,
                   struct template_values v, struct weir_arena *arena, struct weir_span *out,
                   struct weir_err *err)
{
    struct weir_span captures[3] = {WEIR_SPAN_LIT("all"), weir_span_str(one), weir_span_str(two)};
    struct template *t = compile(text, use, 2, arena, err);

    if (t == NULL)
        fail_msg("'%s' does not compile: %s", text, err->detail);
    v.captures = captures;
    v.capture_count = 3;
    return template_expand(t, &v, arena, out, err);
}

static void expect(const char *text, enum template_use use, const char *one, const char *two,
                   const char *wanted)
{
    struct weir_arena arena;
    struct weir_err err = {0};
    struct weir_span out = WEIR_SPAN_NONE;
    bool ok;

    weir_arena_init(&arena, 0);
    ok = expand(text, use, one, two, usual, &arena, &out, &err);
    if (ok != (wanted != NULL) || (ok && !weir_span_eq(out, weir_span_str(wanted))))
        fail_msg("'%s' with '%s' '%s' gave '%.*s', wanted '%s'", text, one, two,
                 ok ? (int)out.len : 7, ok ? out.ptr : "failure", wanted ? wanted : "failure");
    weir_arena_free(&arena);
}

static void variables_and_captures_are_replaced(void **state)
{
    (void)state;
    expect("$host $path $query $client $scheme $request_id", TEMPLATE_FIELD, "", "",
           "example.org /a/b x=1&y=2 192.0.2.7 https r-1");
    expect("${host}s", TEMPLATE_FIELD, "", "", "example.orgs");
    expect("$1-$2-$0", TEMPLATE_FIELD, "one", "two", "one-two-all");
    expect("${1}0", TEMPLATE_FIELD, "one", "", "one0");
    expect("$g1${g2}", TEMPLATE_FIELD, "one", "two", "onetwo");
    expect("a $$ sign", TEMPLATE_FIELD, "", "", "a $ sign");
    expect("$$1", TEMPLATE_FIELD, "one", "", "$1");
    expect("plain", TEMPLATE_FIELD, "", "", "plain");
    expect("", TEMPLATE_FIELD, "", "", "");
}

static void a_value_is_never_expanded_again(void **state)
{
    (void)state;
    expect("/$1", TEMPLATE_PATH, "$host", "", "/$host");
    expect("[$1]", TEMPLATE_FIELD, "$2${host}", "two", "[$2${host}]");
}

static void a_capture_that_took_no_part_is_empty(void **state)
{
    struct weir_arena arena;
    struct weir_err err = {0};
    struct weir_span out;
    struct template *t;

    (void)state;
    weir_arena_init(&arena, 0);
    t = compile("<$1$2>", TEMPLATE_FIELD, 2, &arena, &err);
    assert_non_null(t);
    assert_true(template_expand(t, &usual, &arena, &out, &err)); /* no captures at all */
    assert_true(weir_span_eq(out, WEIR_SPAN_LIT("<>")));
    weir_arena_free(&arena);
}

static void the_question_mark_goes_with_an_empty_query(void **state)
{
    struct template_values v = usual;
    struct weir_arena arena;
    struct weir_err err = {0};
    struct weir_span out;

    (void)state;
    expect("$path?$query", TEMPLATE_LOCATION, "", "", "/a/b?x=1&y=2");
    expect("/s?a=1&$query", TEMPLATE_LOCATION, "", "", "/s?a=1&x=1&y=2");
    weir_arena_init(&arena, 0);
    v.query = WEIR_SPAN_NONE;
    assert_true(expand("$path?$query", TEMPLATE_LOCATION, "", "", v, &arena, &out, &err));
    assert_true(weir_span_eq(out, WEIR_SPAN_LIT("/a/b")));
    assert_true(expand("/s?a=1&$query", TEMPLATE_LOCATION, "", "", v, &arena, &out, &err));
    assert_true(weir_span_eq(out, WEIR_SPAN_LIT("/s?a=1")));
    assert_true(expand("https://$host?$query", TEMPLATE_LOCATION, "", "", v, &arena, &out, &err));
    assert_true(weir_span_eq(out, WEIR_SPAN_LIT("https://example.org")));
    weir_arena_free(&arena);
}

static void control_bytes_never_reach_a_field(void **state)
{
    static const char *const evil[] = {"a\r\nSet-Cookie: x=1", "a\nb", "a\rb", "\x01", "\x7f"};

    (void)state;
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++)
        expect("v: $1", TEMPLATE_FIELD, evil[i], "", NULL);
    expect("v: $1", TEMPLATE_FIELD, "a\tb \xc3\xa9", "", "v: a\tb \xc3\xa9");
}

static void a_nul_fails_a_field_and_is_encoded_in_a_location(void **state)
{
    struct weir_arena arena;
    struct weir_err err = {0};
    struct weir_span out;
    struct template_values v = usual;

    (void)state;
    weir_arena_init(&arena, 0);
    v.query = weir_span("a\0b", 3);
    assert_false(expand("$query", TEMPLATE_FIELD, "", "", v, &arena, &out, &err));
    assert_int_equal(err.code, WEIR_E_INTERNAL);
    assert_true(expand("/?$query", TEMPLATE_LOCATION, "", "", v, &arena, &out, &err));
    assert_true(weir_span_eq(out, WEIR_SPAN_LIT("/?a%00b")));
    weir_arena_free(&arena);
}

static void what_a_uri_cannot_hold_is_encoded_in_a_location(void **state)
{
    (void)state;
    expect("/$1", TEMPLATE_LOCATION, "a b\r\n\"<>\\^`{|}", "",
           "/a%20b%0D%0A%22%3C%3E%5C%5E%60%7B%7C%7D");
    expect("/$1", TEMPLATE_LOCATION, "\xc3\xa9", "", "/%C3%A9");
    expect("/$1", TEMPLATE_LOCATION, "a%20b", "", "/a%20b"); /* encoded already: not twice */
    expect("/$1", TEMPLATE_LOCATION, "100%", "", "/100%25");
    expect("/$1", TEMPLATE_LOCATION, "%zz%4", "", "/%25zz%254");
    expect("/$1", TEMPLATE_LOCATION, "a?b#c", "",
           "/a%3Fb%23c"); /* no query, no fragment slips in */
    expect("/$1#top", TEMPLATE_LOCATION, "a", "", "/a#top");
    expect("/$1", TEMPLATE_LOCATION, "[x]", "", "/%5Bx%5D");
}

static void a_client_cannot_choose_the_site_of_a_redirect(void **state)
{
    (void)state;
    expect("/$1", TEMPLATE_LOCATION, "/evil.example", "", "/evil.example");
    expect("/$1", TEMPLATE_LOCATION, "///evil.example", "", "/evil.example");
    expect("/$1", TEMPLATE_LOCATION, "\\evil.example", "", "/%5Cevil.example");
    expect("/$1", TEMPLATE_LOCATION, "\t/evil.example", "", "/%09/evil.example");
    expect("https://example.org$1", TEMPLATE_LOCATION, "/x", "", "https://example.org/x");
    expect("https://example.org$1", TEMPLATE_LOCATION, "", "", "https://example.org");
    expect("https://example.org$1", TEMPLATE_LOCATION, ".evil.example", "", NULL);
    expect("https://example.org$1", TEMPLATE_LOCATION, "@evil.example", "", NULL);
    expect("https://example.co$1", TEMPLATE_LOCATION, "mpany", "", NULL);
    expect("https://example.org$1$2", TEMPLATE_LOCATION, "/x", "@y", "https://example.org/x@y");
    expect("https://example.org$1$2", TEMPLATE_LOCATION, "", "@evil", NULL);
    expect("https://example.org$1", TEMPLATE_LOCATION, "?x", "", NULL);
    expect("https://$1.example.org/", TEMPLATE_LOCATION, "www", "", "https://www.example.org/");
    expect("https://$1.example.org/", TEMPLATE_LOCATION, "evil/", "", NULL);
    expect("https://$1.example.org/", TEMPLATE_LOCATION, "evil?", "", NULL);
    expect("https://$1.example.org/", TEMPLATE_LOCATION, "user:pw@evil", "", NULL);
    expect("https://$1.example.org/", TEMPLATE_LOCATION, "", "", NULL);
    expect("https://$host:8443$path", TEMPLATE_LOCATION, "", "", "https://example.org:8443/a/b");
    expect("$scheme://$1.$host/x", TEMPLATE_LOCATION, "www", "", "https://www.example.org/x");
    expect("//cdn.example$path", TEMPLATE_LOCATION, "", "", "//cdn.example/a/b");
}

static void a_host_that_is_no_host_is_no_site(void **state)
{
    struct template_values v = usual;
    struct weir_arena arena;
    struct weir_err err = {0};
    struct weir_span out;

    (void)state;
    weir_arena_init(&arena, 0);
    v.host = WEIR_SPAN_NONE; /* HTTP/1.0 without Host */
    assert_false(expand("https://$host$path", TEMPLATE_LOCATION, "", "", v, &arena, &out, &err));
    assert_int_equal(err.code, WEIR_E_BAD_TARGET);
    v.host = WEIR_SPAN_LIT("a/b");
    assert_false(expand("https://$host$path", TEMPLATE_LOCATION, "", "", v, &arena, &out, &err));
    v.host = WEIR_SPAN_LIT("[2001:db8::1]");
    assert_true(expand("https://$host$path", TEMPLATE_LOCATION, "", "", v, &arena, &out, &err));
    assert_true(weir_span_eq(out, WEIR_SPAN_LIT("https://[2001:db8::1]/a/b")));
    weir_arena_free(&arena);
}

static void every_fault_of_a_template_is_explained(void **state)
{
    static const struct {
        const char *text;
        enum template_use use;
        int groups;
        const char *says;
    } faults[] = {
        {"$", TEMPLATE_FIELD, 0, "write $$"},
        {"a $ b", TEMPLATE_FIELD, 0, "write $$"},
        {"${}", TEMPLATE_FIELD, 0, "write $$"},
        {"${host", TEMPLATE_FIELD, 0, "has no '}'"},
        {"${1x}", TEMPLATE_FIELD, 2, "captures go from"},
        {"$nonsense", TEMPLATE_FIELD, 2, "unknown ${nonsense}"},
        {"$hostname", TEMPLATE_FIELD, 0, "unknown ${hostname}"},
        {"$1", TEMPLATE_FIELD, 0, "no pattern to capture from"},
        {"$2", TEMPLATE_FIELD, 1, "only 1 captures"},
        {"$16", TEMPLATE_FIELD, 1, "captures go from"},
        {"$99999999999999999999", TEMPLATE_FIELD, 1, "captures go from"},
        {"a\r\nb", TEMPLATE_FIELD, 0, "byte 0x0d"},
        {"a\x7f", TEMPLATE_FIELD, 0, "byte 0x7f"},
        {"/a b", TEMPLATE_LOCATION, 0, "byte 0x20"},
        {"/\xc3\xa9", TEMPLATE_LOCATION, 0, "byte 0xc3"},
        {"/100%", TEMPLATE_LOCATION, 0, "write %25"},
        {"/%zz", TEMPLATE_PATH, 0, "write %25"},
        {"", TEMPLATE_LOCATION, 0, "a redirect begins"},
        {"x/y", TEMPLATE_LOCATION, 0, "a redirect begins"},
        {"$1", TEMPLATE_LOCATION, 1, "a redirect begins"},
        {"$query", TEMPLATE_LOCATION, 1, "a redirect begins"},
        {"javascript:alert(1)", TEMPLATE_LOCATION, 0, "a redirect begins"},
        {"$scheme:$1", TEMPLATE_LOCATION, 1, "a redirect begins"},
        {"https://", TEMPLATE_LOCATION, 0, "names no host"},
        {"https:///x", TEMPLATE_LOCATION, 0, "names no host"},
        {"https://$1", TEMPLATE_LOCATION, 1, "client's alone"},
        {"https://$1/x", TEMPLATE_LOCATION, 1, "client's alone"},
        {"//$1", TEMPLATE_LOCATION, 1, "client's alone"},
        {"https://$path", TEMPLATE_LOCATION, 1, "client's alone"},
        {"/a?b", TEMPLATE_PATH, 0, "byte 0x3f"},
        {"/a#b", TEMPLATE_PATH, 0, "byte 0x23"},
        {"a", TEMPLATE_PATH, 0, "begins with '/'"},
        {"", TEMPLATE_PATH, 0, "begins with '/'"},
        {"&$query", TEMPLATE_PATH, 0, "begins with '/'"},
    };
    struct weir_arena arena;

    (void)state;
    weir_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct weir_err err = {0};

        if (compile(faults[i].text, faults[i].use, faults[i].groups, &arena, &err) != NULL)
            fail_msg("'%s' compiled", faults[i].text);
        assert_int_equal(err.code, WEIR_E_CONFIG);
        if (strstr(err.detail, faults[i].says) == NULL)
            fail_msg("'%s': %s", faults[i].text, err.detail);
    }
    weir_arena_free(&arena);
}

static void a_capture_must_exist_in_every_path_of_the_route(void **state)
{
    struct pattern *one = pattern_compile("(a)", NULL),
                   *named = pattern_compile("(x)(?<n>b)", NULL);
    struct pattern *first = pattern_compile("(?<n>b)", NULL),
                   *host = pattern_compile("(?<host>.)", NULL);
    const struct pattern *with_prefix[] = {one, NULL}, *both[] = {one, named};
    const struct pattern *moved[] = {named, first}, *clash[] = {host};
    struct weir_arena arena;
    struct weir_err err = {0};

    (void)state;
    weir_arena_init(&arena, 0);
    assert_null(template_compile("$1", TEMPLATE_FIELD, with_prefix, 2, &arena, &err));
    assert_non_null(strstr(err.detail, "not every path"));
    assert_non_null(template_compile("$1", TEMPLATE_FIELD, both, 2, &arena, NULL));
    assert_null(template_compile("$2", TEMPLATE_FIELD, both, 2, &arena, NULL));
    assert_null(template_compile("$n", TEMPLATE_FIELD, both, 2, &arena, NULL));
    err = (struct weir_err){0};
    assert_null(template_compile("$n", TEMPLATE_FIELD, moved, 2, &arena, &err));
    assert_non_null(strstr(err.detail, "not the same group"));
    err = (struct weir_err){0};
    assert_null(template_compile("$host", TEMPLATE_FIELD, clash, 1, &arena, &err));
    assert_non_null(strstr(err.detail, "rename the group"));
    weir_arena_free(&arena);
    pattern_free(one);
    pattern_free(named);
    pattern_free(first);
    pattern_free(host);
}

static void a_text_without_variables_costs_nothing(void **state)
{
    struct weir_arena arena;
    struct weir_err err = {0};
    struct weir_span out;
    struct template *t;

    (void)state;
    weir_arena_init(&arena, 0);
    t = compile("no-store, $$1", TEMPLATE_FIELD, 0, &arena, &err);
    assert_true(template_is_constant(t));
    assert_true(template_expand(t, &usual, NULL, &out, &err)); /* needs no arena */
    assert_true(weir_span_eq(out, WEIR_SPAN_LIT("no-store, $1")));
    assert_false(template_is_constant(compile("$host", TEMPLATE_FIELD, 0, &arena, &err)));
    weir_arena_free(&arena);
}

static void an_exhausted_arena_is_an_error(void **state)
{
    struct weir_arena arena, small;
    struct weir_err err = {0};
    struct weir_span out;
    struct template *t;

    (void)state;
    weir_arena_init(&arena, 0);
    weir_arena_init(&small, 1);
    assert_null(compile("/$host", TEMPLATE_LOCATION, 0, &small, &err));
    assert_int_equal(err.code, WEIR_E_MEMORY);
    t = compile("/$host", TEMPLATE_LOCATION, 0, &arena, NULL);
    err = (struct weir_err){0};
    assert_false(template_expand(t, &usual, &small, &out, &err));
    assert_int_equal(err.code, WEIR_E_MEMORY);
    weir_arena_free(&arena);
    weir_arena_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_and_captures_are_replaced),
        cmocka_unit_test(a_value_is_never_expanded_again),
        cmocka_unit_test(a_capture_that_took_no_part_is_empty),
        cmocka_unit_test(the_question_mark_goes_with_an_empty_query),
        cmocka_unit_test(control_bytes_never_reach_a_field),
        cmocka_unit_test(a_nul_fails_a_field_and_is_encoded_in_a_location),
        cmocka_unit_test(what_a_uri_cannot_hold_is_encoded_in_a_location),
        cmocka_unit_test(a_client_cannot_choose_the_site_of_a_redirect),
        cmocka_unit_test(a_host_that_is_no_host_is_no_site),
        cmocka_unit_test(every_fault_of_a_template_is_explained),
        cmocka_unit_test(a_capture_must_exist_in_every_path_of_the_route),
        cmocka_unit_test(a_text_without_variables_costs_nothing),
        cmocka_unit_test(an_exhausted_arena_is_an_error),
    };

    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
