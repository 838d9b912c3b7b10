#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctl_line.h"

static enum ctl_exit nothing(const struct ctl_options *o)
{
    (void)o;
    return CTL_FINE;
}

static const char *never(const struct ctl_options *o)
{
    return o->all ? "not all" : NULL;
}

static const struct ctl_command rows[] = {
    {.group = "box",
     .arguments = "",
     .options = CTL_NODE,
     .run = nothing,
     .summary = "boxes",
     .help = "Lists boxes.\n"},
    {.group = "box",
     .name = "open",
     .arguments = "NODE [URL]",
     .options = CTL_SAYING | CTL_BIT(TAG) | CTL_BIT(ALL),
     .run = nothing,
     .check = never,
     .summary = "open one",
     .help = "Opens.\n"},
    {.group = "box",
     .name = "close",
     .arguments = "UPSTREAM",
     .options = CTL_NODE,
     .run = nothing,
     .summary = "close one",
     .help = "Closes.\n"},
    {.group = "look",
     .arguments = "",
     .options = CTL_NODE,
     .run = nothing,
     .summary = "looks",
     .help = "Looks.\n"},
    {.group = NULL},
};

struct run {
    struct ctl_options o;
    const struct ctl_command *command;
    char said[1024];
    bool ok;
};

/* The words of a line, between spaces; ~ stands for a space in a word. */
static struct run *read_line(const char *line)
{
    static struct run r;
    static char words[1024];
    char *argv[80], *rest = words, *word;
    int argc = 0;
    FILE *f;

    memset(&r, 0, sizeof r);
    snprintf(words, sizeof words, "weirctl %s", line);
    while ((word = strsep(&rest, " ")) != NULL && argc < 79) {
        for (char *c = word; *c != '\0'; c++)
            *c = *c == '~' ? ' ' : *c;
        if (word[0] != '\0')
            argv[argc++] = word;
    }
    argv[argc] = NULL;
    f = fmemopen(r.said, sizeof r.said, "w");
    r.ok = ctl_line_read(rows, argc, argv, &r.o, &r.command, f);
    fclose(f);
    assert_true(r.ok == (r.said[0] == '\0'));
    return &r;
}

static void says(const char *line, const char *what)
{
    struct run *r = read_line(line);

    assert_false(r->ok);
    if (strstr(r->said, what) == NULL)
        fail_msg("\"%s\" was answered: %s", line, r->said);
}

static void options_stand_before_and_behind_the_words(void **state)
{
    struct run *r = read_line("--tag a box --tag=b open n1 --for 30m --reason new~kernel -j");

    (void)state;
    assert_true(r->ok);
    assert_ptr_equal(r->command, &rows[1]);
    assert_int_equal(r->o.tags.count, 2);
    assert_string_equal(r->o.tags.at[1], "b");
    assert_int_equal(r->o.for_ms, 30 * 60 * 1000);
    assert_string_equal(r->o.reason, "new kernel");
    assert_true(r->o.json);
    assert_int_equal(r->o.argument_count, 1);
    assert_string_equal(r->o.arguments[0], "n1");
}

static void two_dashes_end_the_options(void **state)
{
    struct run *r = read_line("box open -- --tag");

    (void)state;
    assert_true(r->ok);
    assert_string_equal(r->o.arguments[0], "--tag");
}

static void a_group_alone_is_its_list(void **state)
{
    (void)state;
    assert_ptr_equal(read_line("box")->command, &rows[0]);
    assert_ptr_equal(read_line("look")->command, &rows[3]);
    assert_true(read_line("")->ok);
    assert_null(read_line("")->command);
}

static void what_is_not_known_is_told_with_what_is_near(void **state)
{
    (void)state;
    says("bix", "there is no command \"bix\"; box?");
    says("box opne n1", "there is no command \"box opne\"; open?");
    says("elephant", "there is no command \"elephant\"\n");
    says("look --sokcet x", "there is no option --sokcet; --socket?");
    says("look --xyzzy", "there is no option --xyzzy\n");
    says("look -q", "there is no option -q");
    says("look --socket", "--socket needs a value");
    says("look -s", "-s needs a value");
}

static void an_option_of_another_command_is_a_mistake(void **state)
{
    (void)state;
    says("look --tag a", "--tag does not belong to look");
    says("box --reason x", "--reason does not belong to box");
    says("box open n1 --all", "not all");
}

static void arguments_are_counted(void **state)
{
    (void)state;
    says("look here", "unexpected \"here\": look takes no argument");
    says("box open", "box open takes NODE [URL]");
    says("box open a b c", "unexpected \"c\"");
    assert_true(read_line("box open a b")->ok);
}

static void there_is_one_place_to_ask(void **state)
{
    (void)state;
    says("look --socket a --node https://b --token-file c", "one of them");
    says("look --node https://b", "--node needs --token-file");
    says("look --token-file b", "--token-file goes with --node");
    says("look --node https://b --cert-file c", "--cert-file and --key-file");
    says("look --ca-file x", "go with --node or --redis");
    says("box open a --redis r:1", "--secret-file");
    says("box open a --redis r:1 --config f", "no --redis beside it");
    says("box open a --config f --secret-file x", "go with --redis");
    says("box open a --user x", "--password-file");
    assert_true(read_line("box open a --redis r:1 --secret-file s --farm f")->ok);
    assert_true(read_line("box open a --config f --user u --password-file p")->ok);
}

static void durations_have_units(void **state)
{
    (void)state;
    says("box open a --for 30", "--for takes a duration");
    says("box open a --for 0", "--for takes a duration");
    says("box open a --for soon", "not \"soon\"");
}

static void escapes_of_a_terminal_are_not_echoed(void **state)
{
    struct run *r = read_line("\033[31mred");

    (void)state;
    assert_null(strchr(r->said, '\033'));
}

static void too_many_are_refused(void **state)
{
    char line[1024] = "look";

    (void)state;
    for (int i = 0; i < 70; i++)
        strcat(line, " x");
    says(line, "too many");
}

/* ---- help and completion ---- */

static const char *completed(const char *line)
{
    static char out[4096], words[512];
    struct ctl_list list = {.count = 0};
    char *rest = words, *word;
    FILE *f;

    memset(out, 0, sizeof out);
    snprintf(words, sizeof words, "%s", line);
    while ((word = strsep(&rest, " ")) != NULL)
        list.at[list.count++] = word;
    f = fmemopen(out, sizeof out, "w");
    ctl_help_complete(rows, &list, f);
    fclose(f);
    return out;
}

static void completion_follows_the_tables(void **state)
{
    (void)state;
    assert_string_equal(completed(""), "box\nlook\n");
    assert_string_equal(completed("b"), "box\n");
    assert_string_equal(completed("box "), "open\nclose\n");
    assert_string_equal(completed("box o"), "open\n");
    assert_string_equal(completed("--socket x box o"), "open\n");
    assert_string_equal(completed("box open "), ":node\n");
    assert_string_equal(completed("box open n1 "), ":origin\n");
    assert_string_equal(completed("box close "), ":upstream\n");
    assert_string_equal(completed("box open --ta"), "--tag\n");
    assert_string_equal(completed("look --ta"), "");
    assert_string_equal(completed("box open --for 1"), "10m\n1h\n1d\n");
    assert_string_equal(completed("look --socket "), ":file\n");
    assert_string_equal(completed("box open --reason "), "");
}

static void help_names_all_and_one(void **state)
{
    struct ctl_list words = {.at = {"box", "open"}, .count = 2};
    char out[8192] = "";
    FILE *f = fmemopen(out, sizeof out, "w");

    (void)state;
    ctl_help_all(rows, f);
    rewind(f);
    fflush(f);
    assert_non_null(strstr(out, "weirctl box close UPSTREAM"));
    assert_true(ctl_help_of(rows, &words, f));
    fclose(f);
    assert_ptr_equal(strstr(out, "weirctl box open NODE [URL]"), out);
    assert_non_null(strstr(out, "--for DURATION"));
    words.at[0] = "nothing";
    assert_false(ctl_help_of(rows, &words, stdout));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_before_and_behind_the_words),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(a_group_alone_is_its_list),
        cmocka_unit_test(what_is_not_known_is_told_with_what_is_near),
        cmocka_unit_test(an_option_of_another_command_is_a_mistake),
        cmocka_unit_test(arguments_are_counted),
        cmocka_unit_test(there_is_one_place_to_ask),
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(escapes_of_a_terminal_are_not_echoed),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(completion_follows_the_tables),
        cmocka_unit_test(help_names_all_and_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
