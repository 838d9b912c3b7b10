#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir/secret.h"

static char path[] = "/tmp/weir-test-secret-XXXXXX";

static void write_file(const char *bytes, size_t len)
{
    int fd;

    strcpy(path + sizeof path - 7, "XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static void line_ends_behind_it_do_not_count(void **state)
{
    struct weir_secret s;

    (void)state;
    write_file("a b\nc\r\n\n", 8);
    assert_true(weir_secret_read(&s, path, NULL));
    assert_int_equal(s.len, 5);
    assert_string_equal(s.bytes, "a b\nc");
    weir_secret_clear(&s);
    assert_int_equal(s.len, 0);
    assert_int_equal(s.bytes[0], 0);
    unlink(path);
}

static void what_cannot_be_a_secret_is_named(void **state)
{
    static char large[WEIR_SECRET_MAX + 1];
    struct weir_secret s;
    struct weir_err err = {0};

    (void)state;
    assert_false(weir_secret_read(&s, "/nowhere/secret", &err));
    assert_int_equal(err.code, WEIR_E_FILE);
    assert_non_null(strstr(err.detail, "No such file"));
    write_file("\n", 1);
    assert_false(weir_secret_read(&s, path, NULL));
    unlink(path);
    memset(large, 'x', sizeof large);
    write_file(large, sizeof large);
    assert_false(weir_secret_read(&s, path, NULL));
    assert_int_equal(s.len, 0);
    unlink(path);
    write_file(large, WEIR_SECRET_MAX);
    assert_true(weir_secret_read(&s, path, NULL));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends_behind_it_do_not_count),
        cmocka_unit_test(what_cannot_be_a_secret_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
