#include "weir/keepfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
    char dir[40], file[64], beside[72];
};

static int setup(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    strcpy(f->dir, "/tmp/weir-test-keepfile-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->file, sizeof f->file, "%s/kept", f->dir);
    snprintf(f->beside, sizeof f->beside, "%s.new", f->file);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct folder *f = *state;

    remove(f->file);
    remove(f->beside);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void check(const char *path, const char *want)
{
    char *text;
    size_t len;

    assert_true(weir_keepfile_read(path, 100, &text, &len, NULL));
    assert_non_null(text);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(text, want, len);
    free(text);
}

static void what_was_written_is_read_and_replaced(void **state)
{
    struct folder *f = *state;

    assert_true(weir_keepfile_write(f->file, WEIR_SPAN_LIT("one"), NULL));
    check(f->file, "one");
    assert_true(weir_keepfile_write(f->file, WEIR_SPAN_LIT("another"), NULL));
    check(f->file, "another");
    assert_int_equal(access(f->beside, F_OK), -1);
}

static void nobody_else_may_read_it(void **state)
{
    struct folder *f = *state;
    struct stat st;
    mode_t before = umask(0);

    assert_true(weir_keepfile_write(f->file, WEIR_SPAN_LIT("secret"), NULL));
    umask(before);
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_file_that_is_not_there_is_no_error(void **state)
{
    struct folder *f = *state;
    char *text;
    size_t len;

    assert_true(weir_keepfile_read(f->file, 100, &text, &len, NULL));
    assert_null(text);
}

static void links_folders_and_what_is_too_large_are_refused(void **state)
{
    struct folder *f = *state;
    struct weir_err err = {0};
    char *text;
    size_t len;

    assert_int_equal(symlink("/etc/hostname", f->file), 0);
    assert_false(weir_keepfile_read(f->file, 100, &text, &len, &err));
    assert_int_equal(err.code, WEIR_E_FILE);
    assert_false(weir_keepfile_read(f->dir, 100, &text, &len, NULL));
    remove(f->file);
    assert_true(weir_keepfile_write(f->file, WEIR_SPAN_LIT("12345"), NULL));
    assert_false(weir_keepfile_read(f->file, 4, &text, &len, NULL));
    assert_null(text);
}

static void what_cannot_be_written_leaves_the_old_one(void **state)
{
    struct folder *f = *state;
    struct weir_err err = {0};

    assert_true(weir_keepfile_write(f->file, WEIR_SPAN_LIT("old"), NULL));
    assert_int_equal(mkdir(f->beside, 0700), 0);
    assert_false(weir_keepfile_write(f->file, WEIR_SPAN_LIT("new"), &err));
    assert_int_equal(err.code, WEIR_E_FILE);
    check(f->file, "old");
    rmdir(f->beside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read_and_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_else_may_read_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_no_error, setup, teardown),
        cmocka_unit_test_setup_teardown(links_folders_and_what_is_too_large_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_leaves_the_old_one, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
