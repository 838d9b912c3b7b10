/*
 * hook_process.h - one command as a child process: started without a shell, in a process group of
 * its own, its output read without waiting. For hooks, and for the client of ACME.
 *
 * A child is looked for by its number, never by SIGCHLD: whatever else the process may start is not
 * disturbed, and a node without a free descriptor can still end one.
 */
#ifndef HOOK_PROCESS_H
#define HOOK_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "weir/err.h"

#define HOOK_LINE_MAX   240  /* bytes of one line in the log; longer ones are cut */
#define HOOK_LINES_MAX  20   /* of one command in the log */
#define HOOK_OUTPUT_MAX 4096 /* bytes of one command in the log; the rest is counted */

struct hook_process {
    pid_t pid; /* 0: none; also of its group */
    int fd;    /* its output; -1: none, or it has ended */
    const char *event;
    size_t written, logged; /* bytes */
    unsigned lines;
    size_t line_len;
    char line[HOOK_LINE_MAX];
    char last[HOOK_LINE_MAX + 1]; /* the last line that was whole; "" */
};

/* argv and env end with NULL; borrowed for the call, event until it has ended. false: *err, its
 * `os` is why. Without descriptors for a pipe, it runs and its output is lost. */
bool hook_process_start(struct hook_process *p, const char *event, char *const *argv,
                        char *const *env, struct weir_err *err);
/* p->fd is readable: takes some of it into the log. false: nothing more will come. */
bool hook_process_read(struct hook_process *p);
/* To the whole group. */
void hook_process_signal(const struct hook_process *p, int number);
/* Whether it has ended; then *status is as of waitpid(2) (-1: not known), what was left of its
 * group is killed, and hook_process_close() is due. */
bool hook_process_ended(struct hook_process *p, int *status);
/* Kills what runs, without waiting for its end; then as after hook_process_ended(). */
void hook_process_kill(struct hook_process *p);
/* The last of its output. Nobody may watch p->fd any more. */
void hook_process_close(struct hook_process *p);

#endif
