#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "weir/alloc.h"
#include "weir/arena.h"

#include "policy_heads.h"
#include "purge.h"
#include "tags.h"

#define S(lit) WEIR_SPAN_LIT(lit)

static struct weir_hash_secret secret;
static const char *const usual[] = {"Surrogate-Key", "Cache-Tag"};

struct fixture {
    struct purge_table *table;
    struct weir_arena arena;
};

static int set_up(void **state)
{
    static struct fixture f;

    for (size_t i = 0; i < sizeof secret.bytes; i++)
        secret.bytes[i] = (unsigned char)(i * 151 + 17); /* the same run each time */
    f.table = purge_new(&secret, 0, NULL);
    weir_arena_init(&f.arena, 0);
    *state = &f;
    return f.table == NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    weir_arena_free(&f->arena);
    purge_free(f->table);
    return 0;
}

static struct tags tags_after(struct fixture *f, const char *kept, const char *lines)
{
    static struct policy_head p;
    struct tags tags;
    struct tags_question q = {
        .response = policy_response(&p, 200, lines),
        .fields = usual,
        .field_count = 2,
        .scheme = S("https"),
        .authority = S("a.example"),
        .kept = weir_span_str(kept),
    };

    assert_true(tags_of(&tags, &q, f->table, &f->arena));
    return tags;
}

static struct tags tags_in(struct fixture *f, const char *lines)
{
    return tags_after(f, NULL, lines);
}

static bool has_tag(const struct fixture *f, struct tags t, const char *tag)
{
    for (uint32_t i = 0; i < t.count; i++)
        if (t.hashes[i] == purge_tag_hash(f->table, weir_span_str(tag)))
            return true;
    return false;
}

static bool has_group(const struct fixture *f, struct tags t, const char *group)
{
    for (uint32_t i = 0; i < t.count; i++)
        if (t.hashes[i] ==
            purge_group_hash(f->table, S("https"), S("a.example"), weir_span_str(group)))
            return true;
    return false;
}

#define assert_text(tags, expected)                                                                \
    do {                                                                                           \
        assert_int_equal((tags).text.len, strlen(expected));                                       \
        assert_memory_equal((tags).text.ptr, expected, (tags).text.len);                           \
    } while (0)

static void a_response_without_tags_has_none(void **state)
{
    struct tags t = tags_in(*state, "Content-Type: text/plain");

    assert_int_equal(t.count, 0);
    assert_int_equal(t.text.len, 0);
    t = tags_in(*state, "Surrogate-Key:  \nCache-Tag: , ,");
    assert_int_equal(t.count, 0);
}

static void surrogate_keys_are_separated_by_spaces_alone(void **state)
{
    struct tags t = tags_in(*state, "Surrogate-Key: news  a,b\tnews/1");

    assert_int_equal(t.count, 3);
    assert_true(has_tag(*state, t, "news"));
    assert_true(has_tag(*state, t, "a,b"));
    assert_true(has_tag(*state, t, "news/1"));
    assert_text(t, "news a,b news/1");
}

static void cache_tags_are_separated_by_commas_or_spaces(void **state)
{
    struct tags t = tags_in(*state, "Cache-Tag: a,b , c d,,e");

    assert_int_equal(t.count, 5);
    assert_true(has_tag(*state, t, "e"));
    assert_text(t, "a b c d e");
}

static void all_lines_of_all_fields_count(void **state)
{
    struct tags t =
        tags_in(*state, "cache-tag: c\nSURROGATE-KEY: a\nSurrogate-Key: b\nCache-Tag: d");

    assert_int_equal(t.count, 4);
    assert_text(t, "a b c d");
}

static void tags_stay_where_nothing_new_is_said(void **state)
{
    struct tags t = tags_after(*state, "a b,c", "Cache-Groups: \"g\"");

    assert_int_equal(t.count, 3);
    assert_true(has_tag(*state, t, "b,c"));
    assert_true(has_group(*state, t, "g"));
    t = tags_after(*state, "a b,c", "Cache-Tag: d");
    assert_text(t, "d");
    t = tags_after(*state, "a b,c", "Cache-Tag:");
    assert_int_equal(t.count, 0);
}

static void tags_compare_as_bytes(void **state)
{
    struct tags t = tags_in(*state, "Cache-Tag: News");

    assert_true(has_tag(*state, t, "News"));
    assert_false(has_tag(*state, t, "news"));
}

static void groups_are_strings_of_a_structured_field(void **state)
{
    struct tags t =
        tags_in(*state, "Cache-Groups: \"a\", \"b c\";x=1, \"q\\\"\"\nCache-Groups: \"d,e\"");

    assert_int_equal(t.count, 4);
    assert_true(has_group(*state, t, "a"));
    assert_true(has_group(*state, t, "b c"));
    assert_true(has_group(*state, t, "q\""));
    assert_true(has_group(*state, t, "d,e"));
    assert_false(has_tag(*state, t, "a"));
    assert_int_equal(t.text.len, 0);
}

static void groups_of_another_origin_are_others(void **state)
{
    struct fixture *f = *state;
    struct tags t = tags_in(f, "Cache-Groups: \"a\"");

    assert_true(t.hashes[0] != purge_group_hash(f->table, S("http"), S("a.example"), S("a")));
    assert_true(t.hashes[0] != purge_group_hash(f->table, S("https"), S("a.example:8443"), S("a")));
    assert_true(t.hashes[0] != purge_group_hash(f->table, S("https"), S("b.example"), S("a")));
}

static void groups_that_do_not_parse_are_ignored_as_a_whole(void **state)
{
    assert_int_equal(tags_in(*state, "Cache-Groups: \"a\", b").count, 0);
    assert_int_equal(tags_in(*state, "Cache-Groups: \"a\", (\"b\")").count, 0);
    assert_int_equal(tags_in(*state, "Cache-Groups: \"a\",").count, 0);
    assert_int_equal(tags_in(*state, "Cache-Groups: a").count, 0);
    assert_int_equal(tags_in(*state, "Cache-Groups: \"a\" \"b\"").count, 0);
    assert_int_equal(tags_in(*state, "Cache-Groups: ").count, 0);
    assert_int_equal(tags_in(*state, "Cache-Groups: \"a\"\nCache-Groups: 5").count, 0);
}

/* RFC 9875 2: at least 32 groups of at least 32 characters. */
static void far_more_groups_count_than_must(void **state)
{
    char lines[64 * 48] = "Cache-Groups: ";
    struct tags t;

    for (int i = 0; i < 64; i++)
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s\"%040d\"",
                 i > 0 ? "," : "", i);
    t = tags_in(*state, lines);
    assert_int_equal(t.count, 64);
    assert_true(has_group(*state, t, "0000000000000000000000000000000000000063"));
}

static void count_group(struct weir_span group, void *arg)
{
    char *text = arg;

    strncat(text, group.ptr, group.len);
    strcat(text, ";");
}

static void invalidated_groups_are_listed(void **state)
{
    struct fixture *f = *state;
    struct policy_head p = {0};
    char text[64] = "";

    assert_true(tags_invalidated_groups(
        policy_response(&p, 200, "Cache-Group-Invalidation: \"a\", \"b\"\nCache-Groups: \"c\""),
        &f->arena, count_group, text));
    assert_string_equal(text, "a;b;");
}

#ifdef WEIR_FAULTS
static void without_memory_it_says_so(void **state)
{
    struct fixture *f = *state;
    struct policy_head p = {0};
    const char *lines = "Cache-Tag: a\nCache-Groups: \"a\"\nCache-Groups: \"b\"";
    struct tags_question q = {
        .response = policy_response(&p, 200, lines),
        .fields = usual,
        .field_count = 2,
        .scheme = S("https"),
        .authority = S("a.example"),
    };
    struct tags tags;

    weir_arena_free(&f->arena);
    weir_arena_init(&f->arena, 0);
    weir_alloc_fail_at(1);
    assert_false(tags_of(&tags, &q, f->table, &f->arena));
    weir_alloc_fail_at(0);
    assert_true(tags_of(&tags, &q, f->table, &f->arena));
    assert_int_equal(tags.count, 3);
}
#endif

static void only_the_configured_fields_carry_tags(void **state)
{
    (void)state;
    assert_true(tags_is_field(S("surrogate-key"), usual, 2));
    assert_false(tags_is_field(S("surrogate-keys"), usual, 2));
    assert_false(tags_is_field(S("Cache-Tag"), usual, 1));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_response_without_tags_has_none),
        cmocka_unit_test(surrogate_keys_are_separated_by_spaces_alone),
        cmocka_unit_test(cache_tags_are_separated_by_commas_or_spaces),
        cmocka_unit_test(all_lines_of_all_fields_count),
        cmocka_unit_test(tags_stay_where_nothing_new_is_said),
        cmocka_unit_test(tags_compare_as_bytes),
        cmocka_unit_test(groups_are_strings_of_a_structured_field),
        cmocka_unit_test(groups_of_another_origin_are_others),
        cmocka_unit_test(groups_that_do_not_parse_are_ignored_as_a_whole),
        cmocka_unit_test(far_more_groups_count_than_must),
        cmocka_unit_test(invalidated_groups_are_listed),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_it_says_so),
#endif
        cmocka_unit_test(only_the_configured_fields_carry_tags),
    };

    return cmocka_run_group_tests(cases, set_up, tear_down);
}
