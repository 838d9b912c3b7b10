#include "weir/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/alloc.h"

static char dir[64], path[128], moved[128];
static char text[1 << 20];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/weir-test-log-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/error.log", dir);
    snprintf(moved, sizeof(moved), "%s/error.log.1", dir);
    return weir_log_open(path, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    weir_log_set_level(WEIR_LOG_INFO);
    weir_log_open(NULL, NULL);
    unlink(path);
    unlink(moved);
    return rmdir(dir);
}

static const char *read_file(const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    assert_true(n >= 0);
    close(fd);
    text[n] = '\0';
    return text;
}

/* What follows the time stamp of the file's only line. */
static const char *only_line(void)
{
    const char *line = read_file(path);

    assert_int_equal(line[10], 'T');
    assert_int_equal(line[23], 'Z');
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    return line + 25;
}

static void a_line_has_time_level_and_message(void **state)
{
    (void)state;
    errno = EPIPE;
    weir_log(WEIR_LOG_WARN, "origin %s is %d", "app", 7);
    assert_int_equal(errno, EPIPE);
    assert_string_equal(only_line(), "warn origin app is 7\n");
}

static void control_bytes_cannot_forge_a_line(void **state)
{
    (void)state;
    weir_log(WEIR_LOG_ERROR, "%s", "a\r\nb\x1b[31m\x7f\tc \xc3\xa4");
    assert_string_equal(only_line(), "error a\\x0d\\x0ab\\x1b[31m\\x7f\\x09c \xc3\xa4\n");
}

static void what_drives_a_terminal_beyond_ascii_is_escaped(void **state)
{
    (void)state;
    weir_log(WEIR_LOG_ERROR, "%s",
             "\x9b"
             "31m \xc2\x9b"
             "31m \xe2\x80\xae \xe2\x80\xa8 \xe2\x82\xac");
    assert_string_equal(only_line(), "error \\x9b31m \\xc2\\x9b31m \\xe2\\x80\\xae "
                                     "\\xe2\\x80\\xa8 \xe2\x82\xac\n");
}

static void long_messages_are_cut_even_when_all_is_escaped(void **state)
{
    char long_text[5000];
    const char *line;

    (void)state;
    memset(long_text, '\x01', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    weir_log(WEIR_LOG_ERROR, "%s", long_text);
    line = only_line();
    assert_in_range(strlen(line), 3000, 4096);
    assert_string_equal(line + strlen(line) - 8, "\\x01...\n");
}

static void lower_levels_are_left_out(void **state)
{
    enum weir_log_level level;

    (void)state;
    assert_false(weir_log_enabled(WEIR_LOG_DEBUG));
    weir_log(WEIR_LOG_DEBUG, "no");
    assert_string_equal(read_file(path), "");
    assert_true(weir_log_level_parse("debug", &level));
    weir_log_set_level(level);
    weir_log(WEIR_LOG_DEBUG, "yes");
    assert_string_equal(only_line(), "debug yes\n");
    assert_false(weir_log_level_parse("loud", &level));
    assert_false(weir_log_level_parse("", &level));
}

static void an_error_value_is_logged_with_its_causes(void **state)
{
    struct weir_err err;

    (void)state;
    weir_failf(&err, WEIR_E_LISTEN, "net: bind", EADDRINUSE, "[::]:80");
    weir_log_err(WEIR_LOG_ERROR, "start", &err);
    assert_string_equal(only_line(),
                        "error start: net: bind: cannot listen: [::]:80: Address already in use\n");
}

static void reopen_follows_a_rotation(void **state)
{
    struct stat st;

    (void)state;
    weir_log(WEIR_LOG_INFO, "old");
    assert_int_equal(rename(path, moved), 0);
    weir_log(WEIR_LOG_INFO, "still old");
    weir_log_reopen();
    weir_log(WEIR_LOG_INFO, "new");
    assert_string_equal(only_line(), "info new\n");
    assert_non_null(strstr(read_file(moved), "info still old\n"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0); /* 0640 at most */
}

static void a_failed_reopen_keeps_the_old_file(void **state)
{
    struct weir_err err;

    (void)state;
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* cannot be opened for writing, not even by root */
    weir_log_reopen();
    weir_log(WEIR_LOG_INFO, "here");
    assert_non_null(strstr(read_file(moved), "the error log stays where it was"));
    assert_non_null(strstr(read_file(moved), "info here\n"));
    assert_false(weir_log_open(path, &err));
    assert_int_equal(err.code, WEIR_E_FILE);
    assert_int_equal(err.os, EISDIR);
    rmdir(path);
}

static void a_full_pipe_never_holds_the_caller_and_the_loss_is_told(void **state)
{
    int pipe_fds[2], real_stderr = dup(STDERR_FILENO), i;
    ssize_t before, after;

    (void)state;
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
    weir_log_open(NULL, NULL);
    dup2(pipe_fds[1], STDERR_FILENO);
    for (i = 0; i < 2000; i++)
        weir_log(WEIR_LOG_INFO, "line %0100d", i);
    before = read(pipe_fds[0], text, sizeof(text) - 1);
    weir_log(WEIR_LOG_INFO, "after");
    after = read(pipe_fds[0], text, sizeof(text) - 1);
    dup2(real_stderr, STDERR_FILENO);
    assert_true(before > 0 && after > 0);
    text[after] = '\0';
    assert_non_null(strstr(text, " lines lost\n"));
    assert_non_null(strstr(text, "info after\n"));
    close(real_stderr);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void *log_many(void *arg)
{
    int i;

    for (i = 0; i < 500; i++)
        weir_log(WEIR_LOG_INFO, "thread %d %050d end", *(int *)arg, i);
    return NULL;
}

static void threads_and_reopening_never_mix_lines(void **state)
{
    int numbers[4] = {0, 1, 2, 3};
    pthread_t threads[4];
    const char *at;
    int i, lines = 0;

    (void)state;
    for (i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &numbers[i]), 0);
    for (i = 0; i < 50; i++)
        weir_log_reopen();
    for (i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (at = read_file(path); *at != '\0'; at = strchr(at, '\n') + 1) {
        assert_memory_equal(strchr(at, '\n') - 4, " end", 4);
        lines++;
    }
    assert_int_equal(lines, 2000);
}

#ifdef WEIR_FAULTS
static void no_memory_keeps_the_old_file(void **state)
{
    struct weir_err err;

    (void)state;
    weir_alloc_fail_at(1);
    assert_false(weir_log_open(moved, &err));
    weir_alloc_fail_at(0);
    assert_int_equal(err.code, WEIR_E_MEMORY);
    weir_log(WEIR_LOG_INFO, "here");
    assert_string_equal(only_line(), "info here\n");
}
#endif

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_has_time_level_and_message),
        LOG_TEST(control_bytes_cannot_forge_a_line),
        LOG_TEST(what_drives_a_terminal_beyond_ascii_is_escaped),
        LOG_TEST(long_messages_are_cut_even_when_all_is_escaped),
        LOG_TEST(lower_levels_are_left_out),
        LOG_TEST(an_error_value_is_logged_with_its_causes),
        LOG_TEST(reopen_follows_a_rotation),
        LOG_TEST(a_failed_reopen_keeps_the_old_file),
        LOG_TEST(a_full_pipe_never_holds_the_caller_and_the_loss_is_told),
        LOG_TEST(threads_and_reopening_never_mix_lines),
#ifdef WEIR_FAULTS
        LOG_TEST(no_memory_keeps_the_old_file),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
