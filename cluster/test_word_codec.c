#include "word_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir/alloc.h"
#include "weir/record.h"
#include "words_file.h"

#define URL "http://10.0.0.1:3000"

static const struct word_said drain = {
    .format = 1,
    .word = {.target = WORD_ORIGIN,
             .kind = WORD_DRAIN,
             .name = "app",
             .url = URL,
             .author = "alice",
             .reason = "new disks \xe2\x9a\x99",
             .number = 1763900000123,
             .said_at_s = 1763900000},
    .aspect = WORD_STATE,
    .ends_at_ms = 1763900600123,
};

static void assert_same(const struct word_said *a, const struct word_said *b)
{
    assert_int_equal(a->word.target, b->word.target);
    assert_int_equal(a->word.kind, b->word.kind);
    assert_int_equal(a->aspect, b->aspect);
    assert_string_equal(a->word.name, b->word.name);
    assert_string_equal(a->word.url, b->word.url);
    assert_string_equal(a->word.author, b->word.author);
    assert_string_equal(a->word.reason, b->word.reason);
    assert_int_equal(a->word.weight, b->word.weight);
    assert_int_equal(a->word.number, b->word.number);
    assert_int_equal(a->word.said_at_s, b->word.said_at_s);
    assert_int_equal(a->ends_at_ms, b->ends_at_ms);
}

/* ---- bytes ---- */

static void what_is_written_is_read(void **state)
{
    struct record_fields fs = {0};
    struct word_said read;

    (void)state;
    word_write(&fs, &drain);
    assert_true(word_read(record_fields_span(&fs), &read));
    assert_same(&read, &drain);
    record_fields_free(&fs);
}

static void a_word_that_is_cut_off_is_never_the_whole_one(void **state)
{
    struct record_fields fs = {0};
    struct word_said read;

    (void)state;
    word_write(&fs, &drain);
    for (size_t len = 0; len < fs.len; len++)
        assert_false(word_read(weir_span(fs.ptr, len), &read) &&
                     read.ends_at_ms == drain.ends_at_ms);
    record_fields_free(&fs);
}

static void a_kind_that_is_not_known_is_left_to_others(void **state)
{
    struct word_said newer = drain, read;
    struct record_fields fs = {0};

    (void)state;
    newer.word.kind = WORD_KINDS;
    word_write(&fs, &newer);
    assert_false(word_read(record_fields_span(&fs), &read));
    record_fields_free(&fs);
}

static void fields_of_newer_words_are_skipped(void **state)
{
    struct record_fields fs = {0};
    struct word_said read;

    (void)state;
    word_write(&fs, &drain);
    record_add(&fs, 0x03f0, WEIR_SPAN_LIT("new"));
    assert_true(word_read(record_fields_span(&fs), &read));
    assert_same(&read, &drain);
    record_add(&fs, 0x03f1 | RECORD_CRITICAL, WEIR_SPAN_LIT("new"));
    assert_false(word_read(record_fields_span(&fs), &read));
    record_fields_free(&fs);
}

/* ---- what is sound ---- */

static void refuse(struct word_said s, const char *why)
{
    struct weir_err err = {0};

    s.aspect = word_aspect_of(s.word.target, s.word.kind, s.aspect == WORD_WEIGHING);
    assert_false(word_check(&s, &err));
    assert_string_equal(err.detail, why);
}

static void what_makes_no_sense_is_refused_with_a_reason(void **state)
{
    char long_text[WORD_URL_MAX + 2];
    struct word_said s;

    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_true(word_check(&drain, NULL));
    s = drain, s.word.name = "";
    refuse(s, "the name is missing, too long or no name");
    s = drain, s.word.name = "a\nb";
    refuse(s, "the name is missing, too long or no name");
    s = drain, s.word.url = "";
    refuse(s, "the URL is missing, too long or none");
    s = drain, s.word.url = long_text;
    refuse(s, "the URL is missing, too long or none");
    s = drain, s.word.url = "http://a|b";
    refuse(s, "the URL is missing, too long or none");
    s = drain, s.word.author = long_text;
    refuse(s, "the author is too long or no text");
    s = drain, s.word.reason = "\xff";
    refuse(s, "the reason is too long or no text");
    s = drain, s.word.reason = "\xc2\x9b"
                               "31m"; /* an escape sequence in two bytes */
    refuse(s, "the reason is too long or no text");
    s = drain, s.word.author = "\xe2\x80\xaetoor";
    refuse(s, "the author is too long or no text");
    s = drain, s.word.kind = WORD_MAINTENANCE;
    refuse(s, "no such word for this target");
    s = drain, s.word.kind = WORD_WEIGHT;
    refuse(s, "a weight is 1 to 1000");
    s.word.weight = 1001;
    refuse(s, "a weight is 1 to 1000");
    s = drain, s.word.target = WORD_UPSTREAM;
    refuse(s, "no such word for this target");
    s.word.kind = WORD_MAINTENANCE;
    refuse(s, "the URL is missing, too long or none"); /* it has none */
    s = drain, s.word.target = WORD_NODE;
    s.word.name = "no/id";
    refuse(s, "the name is missing, too long or no name");
    s = drain, s.word.number = 0;
    refuse(s, "no such time");
}

static void aspects_are_told_by_kind(void **state)
{
    (void)state;
    assert_int_equal(word_aspect_of(WORD_ORIGIN, WORD_DRAIN, false), WORD_STATE);
    assert_int_equal(word_aspect_of(WORD_ORIGIN, WORD_WEIGHT, false), WORD_WEIGHING);
    assert_int_equal(word_aspect_of(WORD_ORIGIN, WORD_NOTHING, false), WORD_STATE);
    assert_int_equal(word_aspect_of(WORD_ORIGIN, WORD_NOTHING, true), WORD_WEIGHING);
    assert_int_equal(word_aspect_of(WORD_NODE, WORD_DRAIN, false), WORD_ORDERING);
    assert_int_equal(word_aspect_of(WORD_NODE, WORD_RELOAD, false), WORD_ORDERING);
    assert_int_equal(word_aspect_of(WORD_NODE, WORD_UNREADY, false), WORD_STATE);
}

static void names_of_kinds_lead_back_to_them(void **state)
{
    (void)state;
    for (int k = 0; k < WORD_KINDS; k++)
        assert_int_equal(word_kind_of(word_kind_name((enum word_kind)k)), k);
    assert_int_equal(word_kind_of("stop"), -1);
    assert_int_equal(word_target_of("node"), WORD_NODE);
    assert_int_equal(word_target_of(""), -1);
}

static void each_target_and_aspect_has_an_id_of_its_own(void **state)
{
    char a[SHARED_BOARD_ID_MAX + 1], b[SHARED_BOARD_ID_MAX + 1], url[WORD_URL_MAX + 1];
    struct word_said s = drain, other = drain;

    (void)state;
    word_entry(&drain, a);
    assert_string_equal(a, "origin|state|" URL "|app");
    other.aspect = WORD_WEIGHING;
    word_entry(&other, b);
    assert_string_equal(b, "origin|weight|" URL "|app");
    memset(url, 'u', WORD_URL_MAX);
    url[WORD_URL_MAX] = '\0';
    s.word.url = url;
    assert_true(word_entry(&s, a).len <= SHARED_BOARD_ID_MAX);
    other = s, other.word.name = "apq";
    word_entry(&other, b);
    assert_string_not_equal(a, b);
}

/* ---- the file ---- */

static char *text_with(const struct words_file_word *words, size_t count)
{
    struct words_file_word copies[4];
    struct words_file f = {.contact_ms = 42, .words = copies, .count = count};
    char *text;

    memcpy(copies, words, count * sizeof *words);
    text = words_file_text(&f);
    assert_non_null(text);
    return text;
}

static void a_file_holds_what_was_written_to_it(void **state)
{
    struct words_file_word words[2] = {{.said = drain, .pending = true}, {.said = drain}};
    struct words_file f;
    char *text;

    (void)state;
    words[1].said.word.kind = WORD_NOTHING;
    words[1].said.aspect = WORD_WEIGHING;
    text = text_with(words, 2);
    assert_true(words_file_parse(weir_span_str(text), &f, NULL));
    assert_int_equal(f.contact_ms, 42);
    assert_int_equal(f.count, 2);
    assert_same(&f.words[0].said, &words[0].said);
    assert_true(f.words[0].pending);
    assert_same(&f.words[1].said, &words[1].said);
    assert_false(f.words[1].pending);
    words_file_clear(&f);
    words_file_clear(&f);
    free(text);
}

static void a_file_that_is_cut_off_makes_no_sense(void **state)
{
    struct words_file_word word = {.said = drain};
    char *text = text_with(&word, 1);
    struct words_file f;

    (void)state;
    for (size_t len = 0; len < strlen(text); len++) {
        struct weir_err err = {0};

        assert_false(words_file_parse(weir_span(text, len), &f, &err));
        assert_int_equal(err.code, WEIR_E_FILE);
        assert_true(err.detail[0] != '\0');
    }
    free(text);
}

static void a_file_of_others_makes_no_sense(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "null",
        "{\"format\": 2, \"contact_ms\": 0, \"words\": []}",
        "{\"format\": 1, \"words\": []}",
        "{\"format\": 1, \"contact_ms\": 0}",
        "{\"format\": 1, \"contact_ms\": -1, \"words\": []}",
        "{\"format\": 1, \"contact_ms\": 0, \"words\": [{}]}",
        "{\"format\": 1, \"contact_ms\": 0, \"words\": [7]}",
    };
    struct words_file f;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (words_file_parse(weir_span_str(bad[i]), &f, NULL))
            fail_msg("%s is taken for a file of words", bad[i]);
    assert_true(words_file_parse(WEIR_SPAN_LIT("{\"format\": 1, \"contact_ms\": 0, \"words\": []}"),
                                 &f, NULL));
    assert_int_equal(f.count, 0);
    words_file_clear(&f);
}

static void a_file_is_replaced_whole(void **state)
{
    char dir[] = "/tmp/weir-test-words-XXXXXX", path[64], other[80];
    struct weir_err err = {0};
    char *text;
    size_t len;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/words", dir);
    snprintf(other, sizeof other, "%s.new", path);
    assert_true(words_file_read(path, &text, &len, &err));
    assert_null(text);
    assert_true(words_file_write(path, WEIR_SPAN_LIT("one"), &err));
    assert_true(words_file_write(path, WEIR_SPAN_LIT("other"), &err));
    assert_true(words_file_read(path, &text, &len, &err));
    assert_int_equal(len, 5);
    assert_memory_equal(text, "other", 5);
    weir_free(text);
    assert_int_not_equal(remove(other), 0); /* it is not left behind */
    remove(path);
    rmdir(dir);
    assert_false(words_file_write(path, WEIR_SPAN_LIT("x"), &err));
    assert_int_equal(err.code, WEIR_E_FILE);
}

static void what_is_no_plain_file_is_refused_at_once(void **state)
{
    char dir[] = "/tmp/weir-test-words-XXXXXX", path[64];
    struct weir_err err = {0};
    char *text;
    size_t len;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/words", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(words_file_read(path, &text, &len, &err));
    assert_int_equal(err.code, WEIR_E_FILE);
    remove(path);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_false(words_file_read(path, &text, &len, &err));
    remove(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_word_that_is_cut_off_is_never_the_whole_one),
        cmocka_unit_test(a_kind_that_is_not_known_is_left_to_others),
        cmocka_unit_test(fields_of_newer_words_are_skipped),
        cmocka_unit_test(what_makes_no_sense_is_refused_with_a_reason),
        cmocka_unit_test(aspects_are_told_by_kind),
        cmocka_unit_test(names_of_kinds_lead_back_to_them),
        cmocka_unit_test(each_target_and_aspect_has_an_id_of_its_own),
        cmocka_unit_test(a_file_holds_what_was_written_to_it),
        cmocka_unit_test(a_file_that_is_cut_off_makes_no_sense),
        cmocka_unit_test(a_file_of_others_makes_no_sense),
        cmocka_unit_test(a_file_is_replaced_whole),
        cmocka_unit_test(what_is_no_plain_file_is_refused_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
