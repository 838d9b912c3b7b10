/*
 * ctl_text.h - numbers, times and sizes as people read them, and colours for terminals.
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CTL_TEXT_MAX 48

/* Each writes into buf and returns it. */
const char *ctl_count(char buf[CTL_TEXT_MAX], int64_t n);      /* 1,234,567 */
const char *ctl_bytes(char buf[CTL_TEXT_MAX], int64_t bytes);  /* 812 B, 3.1 KiB, 256 MiB */
const char *ctl_seconds(char buf[CTL_TEXT_MAX], int64_t s);    /* 42 s, 3 min 5 s, 2 d 4 h */
const char *ctl_percent(char buf[CTL_TEXT_MAX], double ratio); /* 93.1 % */

enum ctl_colour { CTL_PLAIN, CTL_BOLD, CTL_DIM, CTL_GREEN, CTL_YELLOW, CTL_RED };

/* Colours are wanted: a terminal, and NO_COLOR is not set. */
bool ctl_colours(FILE *out);

/* Prints what comes from a node: control bytes are escaped, so that no stored field can play with
 * the terminal. */
void ctl_put(FILE *out, const char *text);
void ctl_paint(FILE *out, bool colours, enum ctl_colour colour, const char *text);

#endif
