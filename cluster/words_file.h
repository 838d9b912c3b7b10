/*
 * words_file.h - operators' words in a file: JSON, so that people can read it, written whole.
 *
 *     {"format": 1, "contact_ms": 1763900000000, "words": [{"target": "origin", ...}, ...]}
 *
 * Texts to values and back are pure; any bytes may be read. Writing blocks (fsync): in a work pool,
 * or when the process ends.
 */
#ifndef WORDS_FILE_H
#define WORDS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/span.h"
#include "word_codec.h"

#define WORDS_FILE_MAX ((size_t)32 << 20)

struct words_file_word {
    struct word_said said;
    bool pending; /* was not on the board yet */
};

struct words_file {
    int64_t contact_ms; /* shared clock: when the board was read last; 0: never */
    struct words_file_word *words;
    size_t count;
    void *owned; /* what the texts lie in */
};

/* false: *err (WEIR_E_MEMORY, or what is wrong), and *out is empty. */
bool words_file_parse(struct weir_span text, struct words_file *out, struct weir_err *err);
void words_file_clear(struct words_file *f); /* harmless twice */
/* Returns owned text (free()); NULL without memory. */
char *words_file_text(const struct words_file *f);

/* *text: returns owned (weir_free()); NULL and true: there is no such file. false: *err. */
bool words_file_read(const char *path, char **text, size_t *len, struct weir_err *err);
/* To a new file beside it, onto the disk, in its place. Any thread, one at a time. */
bool words_file_write(const char *path, struct weir_span text, struct weir_err *err);

#endif
