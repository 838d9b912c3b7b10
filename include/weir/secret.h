/*
 * secret.h - what must not stand in a configuration: read from a file of its own, wiped after use.
 */
#ifndef WEIR_SECRET_H
#define WEIR_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/err.h"
#include "weir/opener.h"

#define WEIR_SECRET_MAX 4096

struct weir_secret {
    size_t len;
    char bytes[WEIR_SECRET_MAX + 1]; /* NUL-terminated; may hold any bytes */
};

/* The content of a file without line ends behind it. false: *err (FILE) says what is wrong with it;
 * nothing is left in *s. */
bool weir_secret_read(struct weir_secret *s, const char *path, struct weir_err *err);
/* The same, with somebody who opens what this process may not; NULL: nobody. */
bool weir_secret_read_by(struct weir_secret *s, const struct weir_opener *opener, const char *path,
                         struct weir_err *err);
/* Overwrites it. */
void weir_secret_clear(struct weir_secret *s);

#endif
