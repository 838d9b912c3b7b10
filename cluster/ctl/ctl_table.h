/*
 * ctl_table.h - rows and columns within the width of a terminal.
 *
 * Columns are as wide as what they hold. Where that is too much, the least important ones are left
 * out, then those that may be cut are. A column with nothing in it is left out too.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ctl_text.h"
#include "weir/arena.h"

/* What is drawn on. */
struct ctl_look {
    unsigned width; /* columns; 0: as wide as need be */
    bool colours;
};

#define CTL_TABLE_COLUMNS 16

struct ctl_column {
    const char *title; /* NULL: the table has no line of titles */
    bool right;        /* numbers */
    unsigned rank;     /* 0: always there; the highest is left out first */
    unsigned least;    /* may be cut down to so many columns; 0: never */
};

struct ctl_cell {
    const char *text;
    enum ctl_colour colour;
};

struct ctl_table {
    const struct ctl_column *columns;
    size_t count;
    struct weir_arena arena;
    struct ctl_cell *cells; /* row by row */
    size_t used, room;
    bool failed; /* no memory: something is missing */
};

/* count: at most CTL_TABLE_COLUMNS; columns are borrowed. */
void ctl_table_init(struct ctl_table *t, const struct ctl_column *columns, size_t count);
void ctl_table_free(struct ctl_table *t);
/* The next cell, row by row; copied. NULL text is an empty cell. */
void ctl_table_add(struct ctl_table *t, enum ctl_colour colour, const char *text);
void ctl_table_addf(struct ctl_table *t, enum ctl_colour colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
size_t ctl_table_rows(const struct ctl_table *t);
void ctl_table_print(const struct ctl_table *t, FILE *out, const struct ctl_look *look,
                     unsigned indent);

#endif
