/*
 * keepfile.h - small files that a node keeps over restarts: read whole, and replaced whole, so that
 * neither a crash nor a power cut leaves half of one. Readable by their owner alone.
 *
 * Both calls may wait for a disk: not on a loop that serves.
 */
#ifndef WEIR_KEEPFILE_H
#define WEIR_KEEPFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/err.h"
#include "weir/span.h"

/* *text: owned, weir_free(), one byte longer than *len; NULL where there is no such file, which is
 * no error. false: *err; it cannot be read, is no file, or is larger than max. A link is not
 * followed. */
bool weir_keepfile_read(const char *path, size_t max, char **text, size_t *len,
                        struct weir_err *err);
/* By a new file of mode 0600 beside it (path.new), on disk before it takes the name. false: *err,
 * and the old one is still there. */
bool weir_keepfile_write(const char *path, struct weir_span bytes, struct weir_err *err);

#endif
