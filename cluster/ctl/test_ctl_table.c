#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctl_table.h"
#include "weir/alloc.h"

static const struct ctl_column columns[] = {
    {"NAME", .least = 6},
    {"N", .right = true},
    {"LESS", .rank = 1},
    {"LEAST", .rank = 2},
};

static void fill(struct ctl_table *t)
{
    ctl_table_init(t, columns, 4);
    ctl_table_add(t, CTL_PLAIN, "a long name");
    ctl_table_addf(t, CTL_PLAIN, "%d", 7);
    ctl_table_add(t, CTL_PLAIN, "less");
    ctl_table_add(t, CTL_RED, "least");
    ctl_table_add(t, CTL_PLAIN, "b");
    ctl_table_add(t, CTL_PLAIN, "1,000");
    ctl_table_add(t, CTL_PLAIN, "x");
    ctl_table_add(t, CTL_PLAIN, NULL);
}

static char shown[4096];

static const char *show(const struct ctl_table *t, unsigned width, bool colours)
{
    struct ctl_look look = {width, colours};
    FILE *out = fmemopen(shown, sizeof shown, "w");

    ctl_table_print(t, out, &look, 0);
    fclose(out);
    return shown;
}

static void columns_are_as_wide_as_need_be(void **state)
{
    struct ctl_table t;

    (void)state;
    fill(&t);
    assert_string_equal(show(&t, 0, false), "NAME             N  LESS  LEAST\n"
                                            "a long name      7  less  least\n"
                                            "b            1,000  x     \n");
    ctl_table_free(&t);
}

static void the_least_important_are_left_out_first_and_then_cut(void **state)
{
    struct ctl_table t;

    (void)state;
    fill(&t);
    assert_string_equal(show(&t, 30, false), "NAME            N  LESS  LEAST\n"
                                             "a long na\xe2\x80\xa6      7  less  least\n"
                                             "b           1,000  x     \n");
    assert_string_equal(show(&t, 20, false), "NAME         N  LESS\n"
                                             "a long\xe2\x80\xa6      7  less\n"
                                             "b        1,000  x\n");
    ctl_table_free(&t);
}

static void nothing_is_wider_than_the_look(void **state)
{
    struct ctl_table t;

    (void)state;
    fill(&t);
    for (unsigned width = 1; width < 40; width++) {
        const char *line = show(&t, width, false);

        while (*line != '\0') {
            size_t len = strcspn(line, "\n");
            char copy[200];

            snprintf(copy, sizeof copy, "%.*s", (int)len, line);
            assert_true(ctl_columns(copy) <= width);
            line += len + 1;
        }
    }
    ctl_table_free(&t);
}

static void a_column_of_nothing_is_not_there(void **state)
{
    struct ctl_table t;

    (void)state;
    ctl_table_init(&t, columns, 4);
    for (int i = 0; i < 4; i++)
        ctl_table_add(&t, CTL_PLAIN, i == 1 ? NULL : "x");
    assert_string_equal(show(&t, 0, false), "NAME  LESS  LEAST\nx     x     x\n");
    ctl_table_free(&t);
}

static void colours_take_no_room(void **state)
{
    struct ctl_table t;

    (void)state;
    fill(&t);
    assert_non_null(strstr(show(&t, 0, true), "less  \033[31mleast\033[0m\n"));
    ctl_table_free(&t);
}

static void wide_characters_count_twice_and_controls_are_told(void **state)
{
    (void)state;
    assert_int_equal(ctl_columns("\xe6\xbc\xa2"), 2); /* a Chinese character */
    assert_int_equal(ctl_columns("e\xcc\x81"), 1);    /* e and an accent of its own */
    assert_int_equal(ctl_columns("\033"), 4);
    assert_int_equal(ctl_columns("\xe2\x80\xae"), 12); /* turns the direction */
    assert_int_equal(ctl_columns("\x9b"), 4);          /* no UTF-8 */
}

#ifdef WEIR_FAULTS
static void without_memory_it_says_so(void **state)
{
    (void)state;
    for (unsigned long n = 1;; n++) {
        struct ctl_table t;
        bool failed;

        weir_alloc_fail_at(n);
        fill(&t);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_int_equal(strstr(show(&t, 0, false), "no memory") != NULL, failed);
        ctl_table_free(&t);
        if (!failed)
            break;
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_need_be),
        cmocka_unit_test(the_least_important_are_left_out_first_and_then_cut),
        cmocka_unit_test(nothing_is_wider_than_the_look),
        cmocka_unit_test(a_column_of_nothing_is_not_there),
        cmocka_unit_test(colours_take_no_room),
        cmocka_unit_test(wide_characters_count_twice_and_controls_are_told),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_it_says_so),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
