/*
 * config.h - from a YAML file to settings, or to every error the file holds.
 *
 * A file is read, merged with what it includes and checked whole: all errors are gathered, not
 * the first alone. Only a file without any becomes settings. What the keys are called, what they
 * accept and their defaults are in config_schema.c, for people in conf/reference.yaml.
 *
 * Nothing here logs, exits or keeps state; all calls may block on files and belong to no loop.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "weir/arena.h"
#include "weir/opener.h"
#include "settings.h"

/* One thing that is wrong. The strings belong to the list that holds it. */
struct config_error {
    const char *file;    /* as given or included; "command line" for config_from_args() */
    unsigned file_order; /* files sort in the order they were read */
    unsigned line;       /* from 1; 0 = unknown or not a file */
    unsigned column;     /* from 1, in characters; 0 = unknown */
    const char
        *path; /* "routes[2].match.paths[0]", counted in its own file; "" = the file as a whole */
    const char *message; /* no trailing newline or full stop */
};

/* Zero-initialise (`struct config_errors errors = {0};`), use for any number of loads, then free.
 */
struct config_errors {
    struct config_error *items;
    size_t count;
    size_t cap;
    size_t dropped;     /* found, but beyond what anybody would read: CONFIG_ERRORS_MAX */
    bool out_of_memory; /* memory failed: the list may be shorter than the truth */
    struct weir_arena arena;
    bool arena_ready;
};

#define CONFIG_ERRORS_MAX 100
#define CONFIG_FILE_MAX   ((size_t)4 << 20) /* bytes of one file */

/*
 * Loads the file and what it includes. NULL when there is any error, and then *errors holds at
 * least one or says out_of_memory; errors are sorted by file, line and column. Returns owned,
 * with one reference.
 */
struct settings *config_load(const char *path, struct config_errors *errors);
/* The same, with somebody who opens what this process may not; NULL: nobody. */
struct settings *config_load_by(const char *path, const struct weir_opener *opener,
                                struct config_errors *errors);

/* The same from bytes that are already in memory (borrows); `name` stands in the errors. `include`
 * is refused. */
struct settings *config_load_text(const char *name, const char *text, size_t len,
                                  struct config_errors *errors);

/* `weir --listen ADDR --origin URL`: one upstream "app" of these origins, one route to it. */
struct settings *config_from_args(const char *const *listens, size_t listen_count,
                                  const char *const *origins, size_t origin_count,
                                  struct config_errors *errors);

/* One line per error: `weir.yaml:12:5: upstreams[0].orgins: unknown key "orgins"; did you mean
 * "origins"?`. */
void config_errors_print(const struct config_errors *errors, FILE *out);
/* Gives the memory back and leaves an empty list. NULL does nothing. */
void config_errors_free(struct config_errors *errors);

#endif
