#include "member_brief.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weir/record.h"
#include "member_identity.h"

static const struct member_said sample = {
    .format = 1,
    .sequence = 7,
    .brief = {.flags = MEMBER_READY | MEMBER_SUSPECT,
              .config = 0x1122334455667788,
              .purges = UINT64_MAX,
              .order = 3,
              .votes = WEIR_SPAN_LIT("v\0tes")},
};

static void what_is_written_is_read(void **state)
{
    struct record_fields fs = {0};
    struct member_said read;

    (void)state;
    member_brief_write(&fs, &sample);
    assert_true(member_brief_read(record_fields_span(&fs), &read));
    assert_int_equal(read.format, 1);
    assert_int_equal(read.sequence, 7);
    assert_true(member_brief_same(&read.brief, &sample.brief));
    record_fields_free(&fs);
}

static void every_difference_of_briefs_is_one(void **state)
{
    struct member_brief b = sample.brief;

    (void)state;
    assert_true(member_brief_same(&b, &sample.brief));
    b.votes = WEIR_SPAN_LIT("votes");
    assert_false(member_brief_same(&b, &sample.brief));
    b = sample.brief;
    b.flags = 0;
    assert_false(member_brief_same(&b, &sample.brief));
    b = sample.brief;
    b.purges--;
    assert_false(member_brief_same(&b, &sample.brief));
    b = sample.brief;
    b.order++;
    assert_false(member_brief_same(&b, &sample.brief));
    b = sample.brief;
    b.config++;
    assert_false(member_brief_same(&b, &sample.brief));
}

/* Cut off anywhere it is refused, or what it says lacks something. */
static void a_brief_that_is_cut_off_is_never_the_whole_one(void **state)
{
    struct record_fields fs = {0};
    struct member_said read;

    (void)state;
    member_brief_write(&fs, &sample);
    for (size_t len = 0; len < fs.len; len++)
        assert_false(member_brief_read(weir_span(fs.ptr, len), &read) &&
                     member_brief_same(&read.brief, &sample.brief));
    record_fields_free(&fs);
}

static void a_newer_format_is_read_as_far_as_known(void **state)
{
    struct member_said newer = sample, read;
    struct record_fields fs = {0};

    (void)state;
    newer.format = 9;
    member_brief_write(&fs, &newer);
    record_add(&fs, 0x02f0, WEIR_SPAN_LIT("something new"));
    assert_true(member_brief_read(record_fields_span(&fs), &read));
    assert_int_equal(read.format, 9);
    assert_true(member_brief_same(&read.brief, &sample.brief));
    record_add(&fs, 0x02f1 | RECORD_CRITICAL, WEIR_SPAN_LIT("!"));
    assert_false(member_brief_read(record_fields_span(&fs), &read));
    record_fields_free(&fs);
}

static void a_brief_has_a_format_and_a_number(void **state)
{
    struct member_said without = {.format = 1}, read;
    struct record_fields fs = {0};

    (void)state;
    member_brief_write(&fs, &without);
    assert_false(member_brief_read(record_fields_span(&fs), &read));
    record_fields_free(&fs);
    assert_false(member_brief_read(WEIR_SPAN_NONE, &read));
}

static void an_entry_is_an_id_and_an_incarnation(void **state)
{
    static const char *const bad[] = {
        "",
        "/0123456789abcdef",
        "a",
        "a/",
        "a/0123456789abcde",
        "a/0123456789ABCDEF",
        "a/0000000000000000",
        "a 0123456789abcdef",
        "a b/0123456789abcdef",
        "a/b/0123456789abcdef",
    };
    char buf[MEMBER_ENTRY_MAX + 1], name[MEMBER_ID_MAX + 1];
    struct weir_span id, entry;
    uint64_t incarnation;

    (void)state;
    entry = member_entry(WEIR_SPAN_LIT("n-1.example:2_x"), 0xabc, buf);
    assert_string_equal(buf, "n-1.example:2_x/0000000000000abc");
    assert_true(member_entry_read(entry, &id, &incarnation));
    assert_true(weir_span_eq(id, WEIR_SPAN_LIT("n-1.example:2_x")));
    assert_int_equal(incarnation, 0xabc);
    memset(name, 'x', MEMBER_ID_MAX);
    entry = member_entry(weir_span(name, MEMBER_ID_MAX), UINT64_MAX, buf);
    assert_int_equal(entry.len, MEMBER_ENTRY_MAX);
    assert_true(member_entry_read(entry, &id, &incarnation));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (member_entry_read(weir_span_str(bad[i]), &id, &incarnation))
            fail_msg("\"%s\" is taken for an entry", bad[i]);
}

static void a_hint_carries_what_fits(void **state)
{
    static char large[SHARED_HINT_MAX];
    struct weir_span entry = WEIR_SPAN_LIT("n/0000000000000001"), hint, e, s;
    char buf[SHARED_HINT_MAX];

    (void)state;
    hint = member_hint_write(entry, WEIR_SPAN_LIT("sealed"), buf);
    assert_true(member_hint_read(hint, &e, &s));
    assert_true(weir_span_eq(e, entry) && weir_span_eq(s, WEIR_SPAN_LIT("sealed")));
    hint = member_hint_write(entry, weir_span(large, SHARED_HINT_MAX - 2 - entry.len), buf);
    assert_int_equal(hint.len, SHARED_HINT_MAX);
    hint = member_hint_write(entry, weir_span(large, SHARED_HINT_MAX - 1 - entry.len), buf);
    assert_int_equal(hint.len, 0);
    assert_false(member_hint_read(MEMBER_HINT_LOOK, &e, &s));
    assert_false(member_hint_read(WEIR_SPAN_NONE, &e, &s));
    assert_false(member_hint_read(WEIR_SPAN_LIT("b"), &e, &s));
    assert_false(member_hint_read(WEIR_SPAN_LIT("b\x05nnnn"), &e, &s));
}

static void a_node_is_called_as_it_is_set_or_as_its_host(void **state)
{
    char id[MEMBER_ID_MAX + 1];

    (void)state;
    member_identity("rack-7", id);
    assert_string_equal(id, "rack-7");
    member_identity("auto", id);
    assert_true(member_id_valid(weir_span_str(id)));
}

static void the_folder_is_what_is_set_or_what_systemd_gives(void **state)
{
    char *dir;

    (void)state;
    setenv("STATE_DIRECTORY", "/var/lib/weir:/var/lib/other", 1);
    assert_true(member_state_dir("auto", &dir));
    assert_string_equal(dir, "/var/lib/weir");
    free(dir);
    assert_true(member_state_dir("/some:where", &dir));
    assert_string_equal(dir, "/some:where");
    free(dir);
    assert_true(member_state_dir("", &dir));
    assert_null(dir);
    unsetenv("STATE_DIRECTORY");
    assert_true(member_state_dir("auto", &dir));
    assert_null(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(every_difference_of_briefs_is_one),
        cmocka_unit_test(a_brief_that_is_cut_off_is_never_the_whole_one),
        cmocka_unit_test(a_newer_format_is_read_as_far_as_known),
        cmocka_unit_test(a_brief_has_a_format_and_a_number),
        cmocka_unit_test(an_entry_is_an_id_and_an_incarnation),
        cmocka_unit_test(a_hint_carries_what_fits),
        cmocka_unit_test(a_node_is_called_as_it_is_set_or_as_its_host),
        cmocka_unit_test(the_folder_is_what_is_set_or_what_systemd_gives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
