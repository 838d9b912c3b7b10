/*
 * word_codec.h - an operator's word as bytes, the id it has on the board, and what makes it sound.
 *
 * Fields (weir/record.h); texts end with a NUL, so that what is read points into the bytes. A
 * reader skips fields it does not know unless they are critical. A kind or a target that it does
 * not know makes the word unreadable: it is left to those who do.
 *
 * Pure. Any bytes may be read.
 */
#ifndef WORD_CODEC_H
#define WORD_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/span.h"
#include "weir/words.h"

struct record_fields;

#define WORD_FORMAT    1
#define WORD_BYTES_MAX 4096 /* of a word, unsealed */
#define WORD_LEFT_MAX  ((int64_t)10 * 365 * 86400 * 1000)

/* What can be said of a target beside each other. */
enum word_aspect { WORD_STATE, WORD_WEIGHING, WORD_ORDERING, WORD_ASPECTS };

/* weight_only: of NOTHING. */
enum word_aspect word_aspect_of(enum word_target t, enum word_kind k, bool weight_only);

struct word_said {
    unsigned format;
    struct word word; /* until_ms is not written */
    enum word_aspect aspect;
    int64_t ends_at_ms; /* Unix time by the shared clock; 0: no end */
};

/* Texts are UTF-8 without control characters and not too long, the kind fits the target, the weight
 * is in its range. false: *err says what is wrong, for who said it. */
bool word_check(const struct word_said *s, struct weir_err *err);

/* The id on the board. What would be too long for one is told by a hash. */
struct weir_span word_entry(const struct word_said *s, char buf[SHARED_BOARD_ID_MAX + 1]);

/* Without memory fs->failed. */
void word_write(struct record_fields *fs, const struct word_said *s);
/* out's texts point into `bytes`. false: not readable here, or not sound. */
bool word_read(struct weir_span bytes, struct word_said *out);

/* "origin", ...; the target of that name, or -1. */
const char *word_target_name(enum word_target t);
int word_target_of(const char *name);
const char *word_aspect_name(enum word_aspect a);
int word_aspect_of_name(const char *name);

#endif
