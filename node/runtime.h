/*
 * runtime.h - one node from settings to its end: builds everything in order, runs the control
 * thread, tears down in reverse.
 *
 *   SIGTERM, SIGINT  drain: not ready, grace, stop accepting, finish, leave; again: faster
 *   SIGHUP           reload the configuration; a bad one changes nothing
 *   SIGUSR1          reopen log files
 */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/err.h"
#include "settings.h"

struct warden;

struct runtime_options {
    struct settings *settings; /* taken */
    /* Reads the configuration anew for SIGHUP; reports its errors itself, and the first one into
     * `error`. NULL result: keep the old. A NULL function: started without a file, nothing to
     * reload. */
    struct settings *(*load)(void *arg, char *error, size_t size);
    void *arg;
    const char *version;
    const char *file;      /* of the configuration; NULL: none */
    struct warden *warden; /* borrowed; NULL: the node has the privileges it has */
};

/* Certificates, keys and the like, as a start would read them, by this process itself. false: *err.
 */
bool runtime_check(const struct settings *s, struct weir_err *err);

/* Runs until told to stop. Returns the exit status: 0, or 1 when the node could not start (logged).
 */
int runtime_run(const struct runtime_options *options);

#endif
