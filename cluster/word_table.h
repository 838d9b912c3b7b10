/*
 * word_table.h - the words that a node knows: the newest for each target and aspect.
 *
 * Pure: time is a parameter; what comes in is opened and sound. Keeps its own copies, sealed as
 * they came, so that a word of a newer format is given on as it is.
 */
#ifndef WORD_TABLE_H
#define WORD_TABLE_H

#include "word_codec.h"

struct word_known {
    struct word_said said; /* texts point into `sealed` */
    char *sealed;
    size_t len;
    bool guessed;     /* its end was reckoned without the shared clock */
    bool pending;     /* said here, and not on the board yet */
    bool on_board;    /* by the last read */
    bool older_there; /* the board has an older one */
    uint64_t put;     /* serial number of the put that is under way; 0: none */
};

struct word_table {
    struct word_known **known; /* by target, name, URL, aspect */
    size_t count, cap;
    struct word *list; /* room for all */
    uint64_t greatest; /* number of any word */
    bool changed;      /* what is in force, since word_table_take_changed() */
};

enum word_news {
    WORD_NEWS,
    WORD_KNOWN, /* the same */
    WORD_OLDER, /* than what is known */
    WORD_TOO_MANY,
    WORD_NO_MEMORY, /* nothing has changed, here and above */
};

void word_table_free(struct word_table *t);
/* s was read from `sealed`, in which its texts lie; until_ms is set. *k: what is known now, unless
 * there is no room. Of two with one number the one with the greater bytes is newer, for everybody.
 */
enum word_news word_table_take(struct word_table *t, const struct word_said *s,
                               struct weir_span sealed, struct word_known **k);
void word_table_drop(struct word_table *t, size_t at);
/* Drops what has ended. */
void word_table_expire(struct word_table *t, int64_t now_ms);
/* When the next one ends; INT64_MAX: none does. */
int64_t word_table_next_end(const struct word_table *t);
/* All but NOTHING; valid until anything else is done. */
size_t word_table_list(struct word_table *t, const struct word **out);
bool word_table_take_changed(struct word_table *t);

#endif
