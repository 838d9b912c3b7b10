#include "hook_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weir/log.h"

#define READ_BYTES 4096
#define LAST_READS 16 /* what a pipe holds; a child of the child may go on writing for ever */

/* ---- its output ---- */

static void end_line(struct hook_process *p)
{
    if (p->line_len == 0)
        return;
    weir_log(WEIR_LOG_INFO, "hook %s: %.*s", p->event, (int)p->line_len, p->line);
    memcpy(p->last, p->line, p->line_len);
    p->last[p->line_len] = '\0';
    p->line_len = 0;
    p->lines++;
}

static void take_output(struct hook_process *p, const char *bytes, size_t len)
{
    p->written += len;
    for (size_t i = 0; i < len && p->logged < HOOK_OUTPUT_MAX && p->lines < HOOK_LINES_MAX; i++) {
        p->logged++;
        if (bytes[i] == '\n')
            end_line(p);
        else if (p->line_len < sizeof p->line)
            p->line[p->line_len++] = bytes[i];
    }
}

bool hook_process_read(struct hook_process *p)
{
    char bytes[READ_BYTES];
    ssize_t n = read(p->fd, bytes, sizeof bytes);

    if (n > 0)
        take_output(p, bytes, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void hook_process_close(struct hook_process *p)
{
    size_t before;

    if (p->fd < 0)
        return;
    for (int i = 0; i < LAST_READS; i++) {
        before = p->written;
        if (!hook_process_read(p) || p->written == before)
            break;
    }
    close(p->fd);
    p->fd = -1;
    end_line(p);
    if (p->written > p->logged)
        weir_log(WEIR_LOG_INFO, "hook %s: %zu bytes more of output are not shown", p->event,
                 p->written - p->logged);
}

/* ---- its life ---- */

/* What a node ignores or handles is for the node: the command begins with the usual. */
static bool usual_signals(posix_spawnattr_t *attr)
{
    static const int numbers[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGUSR1};
    sigset_t usual, none;

    sigemptyset(&none);
    sigemptyset(&usual);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&usual, numbers[i]);
    return posix_spawnattr_setsigdefault(attr, &usual) == 0 &&
           posix_spawnattr_setsigmask(attr, &none) == 0 &&
           posix_spawnattr_setpgroup(attr, 0) == 0 &&
           posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETPGROUP) == 0;
}

/* Nothing of the node's is inherited, even if somebody forgot O_CLOEXEC. */
static bool own_files(posix_spawn_file_actions_t *files, int out)
{
    return posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0) == 0 &&
           (out >= 0 ? posix_spawn_file_actions_adddup2(files, out, 1)
                     : posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0)) == 0 &&
           posix_spawn_file_actions_adddup2(files, 1, 2) == 0 &&
           posix_spawn_file_actions_addclosefrom_np(files, 3) == 0;
}

/* posix_spawn and not fork: no copy of the node's tables, and nothing of ours runs in the child
 * between, which in a process with threads could find a lock held for ever. */
static int spawn(pid_t *pid, char *const *argv, char *const *env, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    int rc = ENOMEM;

    if (posix_spawnattr_init(&attr) != 0)
        return ENOMEM;
    if (posix_spawn_file_actions_init(&files) == 0) {
        if (usual_signals(&attr) && own_files(&files, out))
            rc = posix_spawn(pid, argv[0], &files, &attr, argv, env);
        posix_spawn_file_actions_destroy(&files);
    }
    posix_spawnattr_destroy(&attr);
    return rc;
}

bool hook_process_start(struct hook_process *p, const char *event, char *const *argv,
                        char *const *env, struct weir_err *err)
{
    int pipe_fds[2] = {-1, -1};
    int rc;

    memset(p, 0, sizeof *p);
    p->event = event;
    p->fd = -1;
    if (pipe2(pipe_fds, O_CLOEXEC) == 0)
        fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK); /* only our end: the command may expect to wait */
    rc = spawn(&p->pid, argv, env, pipe_fds[1]);
    if (pipe_fds[1] >= 0)
        close(pipe_fds[1]);
    p->fd = pipe_fds[0];
    if (rc == 0)
        return true;
    p->pid = 0;
    hook_process_close(p);
    return weir_failf(err, WEIR_E_FILE, "hook: start", rc, "%s", argv[0]);
}

void hook_process_signal(const struct hook_process *p, int number)
{
    if (p->pid > 0)
        kill(-p->pid, number);
}

bool hook_process_ended(struct hook_process *p, int *status)
{
    siginfo_t info = {0};

    *status = -1;
    /* Not reaped yet: its number, and that of its group, cannot be anybody else's. */
    if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        if (info.si_pid == 0)
            return false;
        hook_process_signal(p, SIGKILL);
        waitpid(p->pid, status, WNOHANG);
    }
    p->pid = 0;
    return true;
}

void hook_process_kill(struct hook_process *p)
{
    hook_process_signal(p, SIGKILL);
    if (p->pid > 0)
        waitpid(p->pid, NULL, WNOHANG); /* not yet dead: whoever comes after us reaps it */
    p->pid = 0;
}
