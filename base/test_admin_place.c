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

#include "weir/admin_place.h"

static void a_session_adds_a_place_between_the_service_and_the_last_resort(void **state)
{
    struct weir_admin_place p[WEIR_ADMIN_PLACES];
    char last[64];

    (void)state;
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_int_equal(weir_admin_places(p), 3);
    assert_string_equal(p[0].path, "/run/weir/admin.sock");
    assert_string_equal(p[1].path, "/run/user/7/weir/admin.sock");
    snprintf(last, sizeof last, "/tmp/weir-%lu/admin.sock", (unsigned long)geteuid());
    assert_string_equal(p[2].path, last);
    assert_true(p[2].ours);
}

static void a_session_that_is_no_path_or_too_long_is_left_out(void **state)
{
    struct weir_admin_place p[WEIR_ADMIN_PLACES];
    char longest[200];

    (void)state;
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(weir_admin_places(p), 2);
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    assert_int_equal(weir_admin_places(p), 2);
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    setenv("XDG_RUNTIME_DIR", longest, 1);
    assert_int_equal(weir_admin_places(p), 2);
}

static void a_folder_that_others_may_enter_is_not_ours(void **state)
{
    struct weir_admin_place p = {.ours = true};
    char at[] = "/tmp/weir-place-XXXXXX";
    char link[sizeof at + 2];

    (void)state;
    assert_non_null(mkdtemp(at));
    strcpy(p.folder, at);
    assert_true(weir_admin_place_fit(&p));
    chmod(at, 0750);
    assert_false(weir_admin_place_fit(&p));
    p.ours = false;
    assert_true(weir_admin_place_fit(&p));
    p.ours = true;
    chmod(at, 0700);
    snprintf(link, sizeof link, "%s-l", at);
    assert_int_equal(symlink(at, link), 0);
    strcpy(p.folder, link);
    assert_false(weir_admin_place_fit(&p));
    unlink(link);
    rmdir(at);
    assert_false(weir_admin_place_fit(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_adds_a_place_between_the_service_and_the_last_resort),
        cmocka_unit_test(a_session_that_is_no_path_or_too_long_is_left_out),
        cmocka_unit_test(a_folder_that_others_may_enter_is_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
