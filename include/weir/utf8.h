/*
 * utf8.h - is it UTF-8.
 */
#ifndef WEIR_UTF8_H
#define WEIR_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes of the well-formed sequence at p, 1 to 4; 0 if there is none: overlong forms, surrogates
 * and what lies beyond U+10FFFF are none. left >= 1. Source: RFC 3629 4; Unicode 15, table 3-7.
 */
size_t weir_utf8_length(const unsigned char *p, size_t left);

/* What such a sequence of `len` bytes, 1 to 4, stands for. */
uint32_t weir_utf8_code_point(const unsigned char *p, size_t len);

/*
 * The same, but 0 as well for what must not reach a terminal or a line of a log as it stands:
 * controls (C0, DEL and C1, of which 0x9b begins an escape sequence as ESC [ does), separators of
 * lines and paragraphs, and what turns the direction of writing round, so that a line reads as
 * another one.
 */
size_t weir_utf8_plain(const unsigned char *p, size_t left);

#endif
