/* With real commands, which write down what they were told into a file. */
#include "hooks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "net_loop.h"

struct world {
    struct net_loop loop;
    struct hooks *h;
    struct hook_settings settings;
    const char *ready[4], *unready[4];
    char file[64]; /* $F of the commands */
    int idle;
};

static void on_idle(void *arg)
{
    struct world *w = arg;

    w->idle++;
}

static void use(struct world *w, const char *ready, const char *unready)
{
    static const char *const shell[] = {"/bin/sh", "-c"};

    for (int i = 0; i < 2; i++)
        w->ready[i] = w->unready[i] = shell[i];
    w->ready[2] = ready;
    w->unready[2] = unready;
    w->settings = (struct hook_settings){
        .ready = w->ready,
        .ready_count = ready != NULL ? 3 : 0,
        .unready = w->unready,
        .unready_count = unready != NULL ? 3 : 0,
        .timeout_ms = 5000,
    };
}

static void open_world(struct world *w)
{
    struct hooks_options o = {.loop = &w->loop, .node = "n1", .idle = on_idle, .arg = w};
    int fd;

    memset(w, 0, sizeof *w);
    snprintf(w->file, sizeof w->file, "/tmp/weir-test-hooks-XXXXXX");
    fd = mkstemp(w->file);
    assert_true(fd >= 0);
    close(fd);
    setenv("F", w->file, 1);
    assert_true(net_loop_init(&w->loop, NULL));
    w->h = hooks_new(&o, NULL);
    assert_non_null(w->h);
}

static void close_world(struct world *w)
{
    hooks_free(w->h);
    net_loop_close(&w->loop);
    unlink(w->file);
}

static void turn(struct world *w)
{
    w->loop.fresh = false;
    event_base_loop(w->loop.base, EVLOOP_ONCE);
}

/* Until nothing runs any more. */
static void finish(struct world *w)
{
    while (hooks_busy(w->h))
        turn(w);
}

static void assert_file(struct world *w, const char *text)
{
    char found[512];
    FILE *f = fopen(w->file, "r");
    size_t n = fread(found, 1, sizeof found - 1, f);

    fclose(f);
    found[n] = '\0';
    assert_string_equal(found, text);
}

static bool file_has(struct world *w, const char *text)
{
    char found[512];
    FILE *f = fopen(w->file, "r");
    size_t n = fread(found, 1, sizeof found - 1, f);

    fclose(f);
    found[n] = '\0';
    return strstr(found, text) != NULL;
}

/* Until a command has written that. */
static void until_file_has(struct world *w, const char *text)
{
    while (!file_has(w, text))
        turn(w);
}

static struct hooks_state state_of(struct world *w)
{
    struct hooks_state s;

    hooks_state(w->h, &s);
    return s;
}

#define TELL "echo $WEIR_EVENT:$WEIR_NODE:$WEIR_REASON >>$F"

static void the_command_is_told_what_where_and_why(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, TELL, TELL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    assert_true(hooks_busy(w.h));
    assert_int_equal(w.idle, 0);
    finish(&w);
    hooks_run(w.h, false, "draining,memory");
    finish(&w);
    assert_file(&w, "ready:n1:\nunready:n1:draining,memory\n");
    assert_int_equal(w.idle, 2);
    assert_int_equal(state_of(&w).outcome, HOOK_EXITED);
    assert_int_equal(state_of(&w).code, 0);
    assert_string_equal(state_of(&w).event, "unready");
    assert_int_equal(state_of(&w).runs, 2);
    assert_int_equal(state_of(&w).failures, 0);
    close_world(&w);
}

static void the_same_again_is_not_run_again(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, TELL, NULL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    hooks_run(w.h, true, "");
    finish(&w);
    hooks_run(w.h, true, "");
    assert_false(hooks_busy(w.h));
    assert_file(&w, "ready:n1:\n");
    close_world(&w);
}

static void without_a_command_nothing_is_run(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    hooks_run(w.h, true, "");
    assert_false(hooks_busy(w.h));
    use(&w, NULL, NULL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, false, "memory");
    assert_false(hooks_busy(w.h));
    assert_int_equal(state_of(&w).outcome, HOOK_NEVER);
    close_world(&w);
}

static void what_flips_while_one_runs_ends_with_the_newest(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, TELL, "echo begun >>$F; while [ ! -s $F.go ]; do sleep 0.01; done; " TELL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, false, "suspect");
    until_file_has(&w, "begun");
    hooks_run(w.h, true, "");
    hooks_run(w.h, false, "memory");
    hooks_run(w.h, true, "");
    assert_int_equal(system("echo 1 >$F.go"), 0);
    finish(&w);
    assert_int_equal(system("rm $F.go"), 0);
    assert_file(&w, "begun\nunready:n1:suspect\nready:n1:\n");
    assert_int_equal(w.idle, 1);
    close_world(&w);
}

static void what_flips_back_while_one_runs_is_not_repeated(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, TELL, TELL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    hooks_run(w.h, false, "memory");
    hooks_run(w.h, true, "");
    finish(&w);
    assert_file(&w, "ready:n1:\n");
    close_world(&w);
}

static void what_failed_is_repeated_only_when_asked_for_again(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, TELL "; exit 3", TELL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    hooks_run(w.h, false, "memory");
    hooks_run(w.h, true, "");
    finish(&w);
    assert_file(&w, "ready:n1:\nready:n1:\n");
    assert_int_equal(state_of(&w).code, 3);
    assert_int_equal(state_of(&w).failures, 2);
    close_world(&w);
}

static void a_command_that_hangs_is_ended_with_its_children(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, "(trap '' HUP; sleep 30; echo late >>$F) & echo begun >>$F; wait", NULL);
    w.settings.timeout_ms = 200;
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    finish(&w);
    assert_int_equal(state_of(&w).outcome, HOOK_LATE);
    assert_true(state_of(&w).took_ms >= 200 && state_of(&w).took_ms < 10000);
    assert_file(&w, "begun\n");
    close_world(&w);
}

static void a_command_that_will_not_end_is_killed(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, "trap '' TERM; while :; do sleep 0.05; done", NULL);
    w.settings.timeout_ms = 500; /* until then the shell has set its trap */
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    finish(&w);
    assert_int_equal(state_of(&w).outcome, HOOK_LATE);
    assert_int_equal(state_of(&w).code, SIGKILL);
    close_world(&w);
}

static void one_that_is_hastened_ends_before_its_time(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, "sleep 30", TELL);
    w.settings.timeout_ms = 60000;
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    turn(&w);
    hooks_run(w.h, false, "draining");
    hooks_hasten(w.h);
    finish(&w);
    assert_file(&w, "unready:n1:draining\n");
    close_world(&w);
}

static void what_a_command_leaves_behind_does_not_act_later(void **state)
{
    struct world w;
    int left;

    (void)state;
    open_world(&w);
    /* The child holds the output open, too: the command has ended all the same. */
    use(&w, "sleep 30 & echo $! >>$F", NULL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    finish(&w);
    assert_int_equal(state_of(&w).outcome, HOOK_EXITED);
    {
        FILE *f = fopen(w.file, "r");

        assert_int_equal(fscanf(f, "%d", &left), 1);
        fclose(f);
    }
    /* Killed; a zombie at most, until whoever inherits it looks. */
    for (int i = 0; i < 100 && kill(left, 0) == 0; i++) {
        char path[64], line[256] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/stat", left);
        f = fopen(path, "r");
        if (f == NULL)
            break;
        if (fgets(line, sizeof line, f) == NULL)
            line[0] = '\0';
        fclose(f);
        if (strstr(line, ") Z ") != NULL)
            break;
        assert_true(i < 99);
        usleep(10000); /* signals take their time */
    }
    close_world(&w);
}

static void megabytes_of_output_hold_nothing_up(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, "head -c 5000000 /dev/zero | tr '\\0' 'a'; yes | head -c 1000000; " TELL, NULL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    finish(&w);
    assert_int_equal(state_of(&w).outcome, HOOK_EXITED);
    assert_file(&w, "ready:n1:\n");
    close_world(&w);
}

static void output_without_end_is_ended_in_time(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, "exec yes", NULL);
    w.settings.timeout_ms = 200;
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    finish(&w);
    assert_int_equal(state_of(&w).outcome, HOOK_LATE);
    assert_int_equal(state_of(&w).code, SIGTERM);
    close_world(&w);
}

static void a_command_that_cannot_be_run_is_a_failure(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, NULL, TELL);
    w.ready[0] = "/nonexistent/command";
    w.settings.ready_count = 1;
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    assert_true(hooks_busy(w.h)); /* told later, not from inside the call */
    finish(&w);
    assert_int_equal(w.idle, 1);
    assert_int_equal(state_of(&w).outcome, HOOK_FAILED);
    assert_int_equal(state_of(&w).code, ENOENT);
    hooks_run(w.h, false, "memory");
    finish(&w);
    assert_file(&w, "unready:n1:memory\n");
    close_world(&w);
}

static void it_inherits_no_descriptor_and_no_ignored_signal(void **state)
{
    struct world w;
    int fd = dup(0); /* not closed by exec */

    (void)state;
    assert_true(fd > 2);
    signal(SIGPIPE, SIG_IGN);
    open_world(&w);
    /* What a shell itself ignores is what it was started with. */
    use(&w,
        "ls /proc/self/fd | wc -l >>$F; grep SigIgn /proc/$$/status | tail -c 5 >>$F; ps -o pgid= "
        "$$ "
        ">/dev/null",
        NULL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    finish(&w);
    assert_file(&w, "4\n0000\n"); /* 0, 1, 2, and the folder itself */
    close(fd);
    close_world(&w);
}

static void another_command_for_the_present_state_is_run(void **state)
{
    struct hook_settings old;
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, TELL, TELL);
    hooks_run(w.h, true, "");
    hooks_configure(w.h, &w.settings); /* by a reload */
    finish(&w);
    old = w.settings;
    hooks_configure(w.h, &old); /* the same words */
    assert_false(hooks_busy(w.h));
    assert_file(&w, "ready:n1:\n");
    close_world(&w);
}

static void a_node_that_ends_kills_what_runs(void **state)
{
    struct world w;

    (void)state;
    open_world(&w);
    use(&w, "echo begun >>$F; sleep 30", NULL);
    hooks_configure(w.h, &w.settings);
    hooks_run(w.h, true, "");
    until_file_has(&w, "begun");
    close_world(&w);
}

static void without_memory_it_fails_and_goes_on(void **state)
{
    (void)state;
#ifdef WEIR_FAULTS
    for (unsigned long n = 1;; n++) {
        struct world w;
        bool failed;

        open_world(&w);
        use(&w, TELL, NULL);
        hooks_configure(w.h, &w.settings);
        weir_alloc_fail_at(n);
        hooks_run(w.h, true, "");
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        finish(&w);
        assert_int_equal(state_of(&w).outcome, failed ? HOOK_FAILED : HOOK_EXITED);
        assert_file(&w, failed ? "" : "ready:n1:\n");
        close_world(&w);
        if (!failed)
            break;
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_is_told_what_where_and_why),
        cmocka_unit_test(the_same_again_is_not_run_again),
        cmocka_unit_test(without_a_command_nothing_is_run),
        cmocka_unit_test(what_flips_while_one_runs_ends_with_the_newest),
        cmocka_unit_test(what_flips_back_while_one_runs_is_not_repeated),
        cmocka_unit_test(what_failed_is_repeated_only_when_asked_for_again),
        cmocka_unit_test(a_command_that_hangs_is_ended_with_its_children),
        cmocka_unit_test(a_command_that_will_not_end_is_killed),
        cmocka_unit_test(one_that_is_hastened_ends_before_its_time),
        cmocka_unit_test(what_a_command_leaves_behind_does_not_act_later),
        cmocka_unit_test(megabytes_of_output_hold_nothing_up),
        cmocka_unit_test(output_without_end_is_ended_in_time),
        cmocka_unit_test(a_command_that_cannot_be_run_is_a_failure),
        cmocka_unit_test(it_inherits_no_descriptor_and_no_ignored_signal),
        cmocka_unit_test(another_command_for_the_present_state_is_run),
        cmocka_unit_test(a_node_that_ends_kills_what_runs),
        cmocka_unit_test(without_memory_it_fails_and_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
