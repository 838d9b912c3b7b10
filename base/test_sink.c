#include "weir/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "weir/alloc.h"

#define PATIENCE_MS 20000 /* only a failing test waits so long */
#define LINE_BYTES  100

static char dir[64], path[128], moved[128], fifo[128], errors[128];
static char text[1 << 20];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/weir-test-sink-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/access.log", dir);
    snprintf(moved, sizeof(moved), "%s/access.log.1", dir);
    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    snprintf(errors, sizeof(errors), "%s/error.log", dir);
    signal(SIGPIPE, SIG_IGN); /* as main does */
    return mkfifo(fifo, 0600) == 0 && weir_log_open(errors, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    weir_log_open(NULL, NULL);
    unlink(path);
    unlink(moved);
    unlink(fifo);
    unlink(errors);
    return rmdir(dir);
}

/* ---- helpers ---- */

static const char *read_file(const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    assert_true(n >= 0);
    close(fd);
    text[n] = '\0';
    return text;
}

static int64_t mono_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void make_line(char line[LINE_BYTES + 1], unsigned producer, unsigned number)
{
    snprintf(line, LINE_BYTES + 1, "%u %08u %.*s\n", producer, number, LINE_BYTES - 12,
             "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
             "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
}

/* Until the ring takes it: for tests that want every line. */
static void write_surely(struct weir_sink *s, unsigned producer, unsigned number)
{
    char line[LINE_BYTES + 1];

    make_line(line, producer, number);
    while (!weir_sink_write(s, producer, line, LINE_BYTES))
        sched_yield();
}

static int open_reader(void)
{
    int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_SETPIPE_SZ, 4096) >= 4096);
    return fd;
}

/* One read, when there is something. */
static ssize_t read_next(int fd, char *to, size_t size)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    return read(fd, to, size);
}

static void wait_until_lost(struct weir_sink *s, uint64_t at_least)
{
    int64_t deadline = mono_ms() + PATIENCE_MS;

    while (weir_sink_lost(s) < at_least) {
        assert_true(mono_ms() < deadline);
        sched_yield();
    }
}

/* Reads to the end of file into text, in pieces that fit nothing. */
static void *read_all(void *arg)
{
    int fd = *(int *)arg;
    size_t at = 0;
    ssize_t n;

    fcntl(fd, F_SETFL, 0); /* from here on wait */
    while ((n = read(fd, text + at, 777)) > 0)
        at += (size_t)n;
    text[at] = '\0';
    return NULL;
}

/* Every line whole, each producer's in order without a gap. Returns how many there are. */
static unsigned check_lines(unsigned producers)
{
    unsigned next[8] = {0}, lines = 0, who;
    char expected[LINE_BYTES + 1];
    const char *at;

    for (at = text; *at != '\0'; at += LINE_BYTES) {
        who = (unsigned)(*at - '0');
        assert_true(who < producers);
        make_line(expected, who, next[who]++);
        assert_true(strlen(at) >= LINE_BYTES);
        assert_memory_equal(at, expected, LINE_BYTES);
        lines++;
    }
    return lines;
}

/* ---- tests ---- */

static void lines_reach_the_file_in_order(void **state)
{
    struct weir_sink *s = weir_sink_open(path, 1, 0, NULL);
    unsigned i;

    (void)state;
    assert_non_null(s);
    for (i = 0; i < 3000; i++)
        write_surely(s, 0, i);
    weir_sink_close(s);
    read_file(path);
    assert_int_equal(check_lines(1), 3000);
}

static void a_sleeping_writer_is_woken_by_one_line(void **state)
{
    int reader = open_reader();
    struct weir_sink *s = weir_sink_open(fifo, 2, 4096, NULL);
    char got[LINE_BYTES * 2];
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) { /* each after the writer has found nothing more */
        write_surely(s, i % 2, i);
        assert_int_equal(read_next(reader, got, sizeof(got)), LINE_BYTES);
    }
    weir_sink_close(s);
    close(reader);
}

struct producer {
    struct weir_sink *s;
    unsigned number;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    unsigned i;

    for (i = 0; i < 1500; i++)
        write_surely(p->s, p->number, i);
    return NULL;
}

static void producers_share_a_slow_pipe_without_mixing_lines(void **state)
{
    int reader = open_reader();
    struct weir_sink *s = weir_sink_open(fifo, 4, 4096, NULL);
    struct producer producers[4];
    pthread_t threads[4], read_thread;
    unsigned i;

    (void)state;
    assert_int_equal(pthread_create(&read_thread, NULL, read_all, &reader), 0);
    for (i = 0; i < 4; i++) {
        producers[i] = (struct producer){s, i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    weir_sink_close(s);
    pthread_join(read_thread, NULL);
    assert_int_equal(check_lines(4), 6000);
    close(reader);
}

static void a_full_ring_drops_whole_lines_and_counts_them(void **state)
{
    int reader = open_reader();
    struct weir_sink *s = weir_sink_open(fifo, 1, 4096, NULL);
    char line[LINE_BYTES + 1], big[5000];
    unsigned taken = 0, i;
    pthread_t read_thread;

    (void)state;
    for (i = 0; i < 1000; i++) { /* nobody reads: one ring and one pipe hold some 80 lines */
        make_line(line, 0, taken);
        taken += weir_sink_write(s, 0, line, LINE_BYTES);
    }
    assert_in_range(taken, 40, 100);
    assert_int_equal(weir_sink_lost(s), 1000 - taken);
    memset(big, '\n', sizeof(big));
    assert_false(weir_sink_write(s, 0, big, sizeof(big))); /* will never fit */
    assert_int_equal(weir_sink_lost(s), 1001 - taken);

    assert_int_equal(pthread_create(&read_thread, NULL, read_all, &reader), 0);
    weir_sink_close(s);
    pthread_join(read_thread, NULL);
    assert_int_equal(check_lines(1), taken);
    assert_non_null(strstr(read_file(errors), "lines lost\n"));
    close(reader);
}

static void wait_for_event(int watch)
{
    char events[4096];

    assert_true(read_next(watch, events, sizeof(events)) > 0);
}

static void reopen_follows_a_rotation(void **state)
{
    struct weir_sink *s = weir_sink_open(path, 1, 4096, NULL);
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct stat st;

    (void)state;
    assert_true(inotify_add_watch(watch, path, IN_MODIFY) >= 0);
    assert_true(weir_sink_write(s, 0, "old\n", 4));
    wait_for_event(watch);
    assert_int_equal(rename(path, moved), 0);
    assert_true(weir_sink_write(s, 0, "still old\n", 10));
    wait_for_event(watch);
    assert_true(inotify_add_watch(watch, dir, IN_CREATE) >= 0);
    weir_sink_reopen(s); /* while the writer sleeps or is about to */
    wait_for_event(watch);
    assert_true(weir_sink_write(s, 0, "new\n", 4));
    weir_sink_close(s);
    assert_string_equal(read_file(moved), "old\nstill old\n");
    assert_string_equal(read_file(path), "new\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    close(watch);
}

static void rotation_under_load_loses_and_splits_nothing(void **state)
{
    struct weir_sink *s = weir_sink_open(path, 1, 4096, NULL);
    size_t len;
    unsigned i;

    (void)state;
    for (i = 0; i < 4000; i++) {
        write_surely(s, 0, i);
        if (i == 2000)
            assert_int_equal(rename(path, moved), 0);
        if (i % 1000 == 500)
            weir_sink_reopen(s);
    }
    weir_sink_close(s);
    len = strlen(read_file(path));
    memmove(text + sizeof(text) / 2, text, len + 1);
    read_file(moved);
    assert_true(strlen(text) % LINE_BYTES == 0);
    memmove(text + strlen(text), text + sizeof(text) / 2, len + 1);
    assert_int_equal(check_lines(1), 4000);
}

static void a_failed_reopen_keeps_the_old_file(void **state)
{
    struct weir_sink *s = weir_sink_open(path, 1, 4096, NULL);
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    (void)state;
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(inotify_add_watch(watch, errors, IN_MODIFY) >= 0);
    weir_sink_reopen(s);
    wait_for_event(watch);
    assert_true(weir_sink_write(s, 0, "here\n", 5));
    weir_sink_close(s);
    assert_string_equal(read_file(moved), "here\n");
    assert_non_null(strstr(read_file(errors), "the access log stays where it was"));
    rmdir(path);
    close(watch);
}

static void without_a_reader_lines_are_dropped_and_counted(void **state)
{
    int reader = open_reader();
    struct weir_sink *s = weir_sink_open(fifo, 1, 4096, NULL);

    (void)state;
    close(reader);
    assert_true(weir_sink_write(s, 0, "gone\n", 5));
    wait_until_lost(s, 1);
    reader = open_reader(); /* and it recovers */
    assert_true(weir_sink_write(s, 0, "back\n", 5));
    assert_int_equal(read_next(reader, text, sizeof(text)), 5);
    assert_memory_equal(text, "back\n", 5);
    weir_sink_close(s);
    close(reader);
}

/* The reader leaves while a line is half written: what was begun ends, the next line is its own. */
static void a_torn_line_does_not_spoil_the_next(void **state)
{
    int reader = open_reader();
    struct weir_sink *s = weir_sink_open(fifo, 1, 16384, NULL);
    char line[LINE_BYTES + 1], *at, *end;
    size_t got = 0;
    unsigned i, torn = 0;

    (void)state;
    for (i = 0; i < 120; i++) {
        make_line(line, 0, i);
        assert_true(weir_sink_write(s, 0, line, LINE_BYTES));
    }
    assert_true(read_next(reader, text, 10) == 10); /* so the writer has begun */
    close(reader);
    wait_until_lost(s, 1);
    reader = open_reader();
    assert_true(weir_sink_write(s, 0, "0 last\n", 7));
    do {
        got += (size_t)read_next(reader, text + 10 + got, 1000);
        text[10 + got] = '\0';
    } while (strstr(text, "0 last\n") == NULL);
    for (at = text; strcmp(at, "0 last\n") != 0; at = end + 1) {
        end = strchr(at, '\n');
        make_line(line, 0, (unsigned)strtoul(at + 2, NULL, 10));
        torn += end - at != LINE_BYTES - 1;
        assert_memory_equal(at, line, (size_t)(end - at));
    }
    assert_in_range(torn, 0, 1); /* 0 if the pipe happened to fill at the end of a line */
    weir_sink_close(s);
    close(reader);
}

static void closing_is_bounded_when_nobody_reads_standard_output(void **state)
{
    int pipe_fds[2], real_stdout, i;
    struct weir_sink *s;
    char line[LINE_BYTES + 1];
    int64_t began_ms;

    (void)state;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0); /* blocking, as a standard output is */
    assert_true(fcntl(pipe_fds[1], F_SETPIPE_SZ, 4096) >= 4096);
    fflush(stdout);
    real_stdout = dup(STDOUT_FILENO);
    dup2(pipe_fds[1], STDOUT_FILENO);
    s = weir_sink_open("-", 1, 16384, NULL);
    for (i = 0; i < 100; i++) {
        make_line(line, 0, (unsigned)i);
        assert_true(weir_sink_write(s, 0, line, LINE_BYTES));
    }
    began_ms = mono_ms();
    weir_sink_close(s);
    dup2(real_stdout, STDOUT_FILENO);
    assert_in_range(mono_ms() - began_ms, 1900, PATIENCE_MS);
    assert_non_null(strstr(read_file(errors), "log: standard output: "));
    assert_non_null(strstr(text, "lines lost\n"));
    close(real_stdout);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void what_cannot_be_opened_is_an_error(void **state)
{
    struct weir_err err;

    (void)state;
    assert_null(weir_sink_open(dir, 1, 4096, &err));
    assert_int_equal(err.code, WEIR_E_FILE);
    assert_string_equal(err.detail, dir);
    assert_null(weir_sink_open(fifo, 1, 4096, &err)); /* nobody reads it: no waiting for a reader */
    assert_int_equal(err.code, WEIR_E_FILE);
    weir_sink_close(NULL);
}

#ifdef WEIR_FAULTS
static void each_failed_allocation_is_reported_and_nothing_leaks(void **state)
{
    struct weir_err err;
    bool failed = true;
    unsigned long n;

    (void)state;
    for (n = 1; failed; n++) {
        struct weir_sink *s;

        weir_alloc_fail_at(n);
        s = weir_sink_open(path, 3, 4096, &err);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_true(failed ? s == NULL && err.code == WEIR_E_MEMORY : s != NULL);
        weir_sink_close(s);
    }
    assert_int_equal(n, 7); /* the sink, three rings and the path can fail */
}
#endif

#define SINK_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SINK_TEST(lines_reach_the_file_in_order),
        SINK_TEST(a_sleeping_writer_is_woken_by_one_line),
        SINK_TEST(producers_share_a_slow_pipe_without_mixing_lines),
        SINK_TEST(a_full_ring_drops_whole_lines_and_counts_them),
        SINK_TEST(reopen_follows_a_rotation),
        SINK_TEST(rotation_under_load_loses_and_splits_nothing),
        SINK_TEST(a_failed_reopen_keeps_the_old_file),
        SINK_TEST(without_a_reader_lines_are_dropped_and_counted),
        SINK_TEST(a_torn_line_does_not_spoil_the_next),
        SINK_TEST(closing_is_bounded_when_nobody_reads_standard_output),
        SINK_TEST(what_cannot_be_opened_is_an_error),
#ifdef WEIR_FAULTS
        SINK_TEST(each_failed_allocation_is_reported_and_nothing_leaks),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
