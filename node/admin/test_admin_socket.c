#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "weir/log.h"
#include "admin_socket.h"

static char folder[] = "/tmp/weir-admin-XXXXXX";
static char path[sizeof folder + 8];

static struct admin_settings named(void)
{
    return (struct admin_settings){.socket = path, .mode = 0660};
}

static struct admin_socket opened(void)
{
    struct admin_settings settings = named();
    struct admin_socket s;
    struct weir_err err = {0};

    if (!admin_socket_open(&s, &settings, NULL, &err))
        fail_msg("%s: %s", err.where, err.detail);
    assert_true(s.fd >= 0);
    return s;
}

static bool there(void)
{
    return access(path, F_OK) == 0;
}

static bool connects(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool ok;

    strcpy(a.sun_path, path);
    ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return ok;
}

static void it_listens_with_its_mode_and_goes_with_its_file(void **state)
{
    struct admin_socket s = opened();
    struct stat st;

    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_true(connects());
    admin_socket_mode(&s, 0600);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    admin_socket_close(&s);
    assert_false(there());
    admin_socket_close(&s);
}

static void off_is_none(void **state)
{
    struct admin_settings off = {.socket = "off", .mode = 0660};
    struct admin_socket s;

    (void)state;
    assert_true(admin_socket_open(&s, &off, NULL, NULL));
    assert_int_equal(s.fd, -1);
    assert_false(admin_socket_is(&s, &off));
    admin_socket_close(&s);
}

static void another_nodes_socket_is_not_taken(void **state)
{
    struct admin_socket first = opened(), second;
    struct admin_settings settings = named();
    struct weir_err err = {0};

    (void)state;
    assert_false(admin_socket_open(&second, &settings, NULL, &err));
    assert_int_equal(err.code, WEIR_E_LISTEN);
    assert_non_null(strstr(err.detail, "another node"));
    admin_socket_close(&second);
    assert_true(connects());
    admin_socket_close(&first);
}

static void what_a_crash_left_is_replaced(void **state)
{
    struct admin_socket crashed = opened(), next;

    (void)state;
    close(crashed.fd);
    assert_true(there());
    assert_false(connects());
    for (next = opened(); next.changed.tv_nsec == crashed.changed.tv_nsec; next = opened())
        admin_socket_close(&next); /* the file system's clock ticks slowly */
    assert_true(connects());
    crashed.fd = dup(0);
    admin_socket_close(&crashed); /* its file has another owner now */
    assert_true(connects());
    admin_socket_close(&next);
    assert_false(there());
}

static void something_else_at_the_path_stays(void **state)
{
    struct admin_settings settings = named();
    struct admin_socket s;
    struct weir_err err = {0};
    FILE *f = fopen(path, "w");

    (void)state;
    fclose(f);
    assert_false(admin_socket_open(&s, &settings, NULL, &err));
    assert_non_null(strstr(err.detail, "something else"));
    assert_true(there());
    unlink(path);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct admin_settings settings = {.socket = "/nonexistent-weir/admin.sock"};
    struct admin_socket s;
    struct weir_err err = {0};

    (void)state;
    assert_false(admin_socket_open(&s, &settings, NULL, &err));
    assert_int_equal(err.code, WEIR_E_LISTEN);
    settings.socket = "relative";
    assert_false(admin_socket_open(&s, &settings, NULL, NULL));
}

static void the_same_path_again_is_the_same_socket(void **state)
{
    struct admin_socket s = opened();
    struct admin_settings same = named(), other = {.socket = "/tmp/other.sock"};

    (void)state;
    assert_true(admin_socket_is(&s, &same));
    assert_false(admin_socket_is(&s, &other));
    other.socket = "auto";
    assert_false(admin_socket_is(&s, &other));
    admin_socket_close(&s);
}

static int make_folder(void **state)
{
    (void)state;
    weir_log_set_level(WEIR_LOG_ERROR);
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/a.sock", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_listens_with_its_mode_and_goes_with_its_file),
        cmocka_unit_test(off_is_none),
        cmocka_unit_test(another_nodes_socket_is_not_taken),
        cmocka_unit_test(what_a_crash_left_is_replaced),
        cmocka_unit_test(something_else_at_the_path_stays),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test(the_same_path_again_is_the_same_socket),
    };

    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
