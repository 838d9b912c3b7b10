/*
 * opener.h - how files are opened that only a privileged process may read (keys, after privileges
 * were dropped): directly, or by somebody who may.
 */
#ifndef WEIR_OPENER_H
#define WEIR_OPENER_H

#include "weir/err.h"

/* Any thread. */
struct weir_opener {
    /* A file or directory for reading. Returns the descriptor, the caller's; -1: errno. */
    int (*open)(void *arg, const char *path);
    void *arg;
};

/* Asks this process first and, when it may not, the opener. o: NULL: nobody else. -1: errno. */
int weir_opener_open(const struct weir_opener *o, const char *path);

#endif
