/*
 * ctl_text.h - numbers, times and sizes as people read them, and colours for terminals.
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CTL_TEXT_MAX 48

/* Each writes into buf and returns it. */
const char *ctl_count(char buf[CTL_TEXT_MAX], int64_t n);      /* 1,234,567 */
const char *ctl_bytes(char buf[CTL_TEXT_MAX], int64_t bytes);  /* 812 B, 3.1 KiB, 256 MiB */
const char *ctl_seconds(char buf[CTL_TEXT_MAX], int64_t s);    /* 42 s, 3 min 5 s, 2 d 4 h */
const char *ctl_age(char buf[CTL_TEXT_MAX], int64_t s);        /* 42s, 3m5s, 2d4h */
const char *ctl_rate(char buf[CTL_TEXT_MAX], double rate);     /* 0.0, 12.3, 1,234 */
const char *ctl_percent(char buf[CTL_TEXT_MAX], double ratio); /* 93.1 % */

enum ctl_colour { CTL_PLAIN, CTL_BOLD, CTL_DIM, CTL_GREEN, CTL_YELLOW, CTL_RED };

/* Colours are wanted: a terminal, and NO_COLOR is not set. */
bool ctl_colours(FILE *out);

void ctl_colour(FILE *out, bool colours, enum ctl_colour colour); /* from here on */

/*
 * What comes from somewhere else: control characters, those that turn the direction of writing, and
 * what is no UTF-8 are escaped, so that no stored field, reason or name can play with the terminal.
 */
void ctl_put(FILE *out, const char *text);
void ctl_paint(FILE *out, bool colours, enum ctl_colour colour, const char *text);
/* How many columns of a terminal that takes. */
unsigned ctl_columns(const char *text);
/* At most `width` columns of it, the last an ellipsis where there is more; how many it took. */
unsigned ctl_put_within(FILE *out, const char *text, unsigned width);

#define CTL_GLYPH_MAX 24
/* The first character of text as it is shown, and the columns it takes; returns its bytes, 0 at the
 * end. */
size_t ctl_glyph(const char *text, char out[CTL_GLYPH_MAX], unsigned *columns);

#endif
