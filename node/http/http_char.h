/*
 * http_char.h - classes of bytes, as tables. Private to the area.
 *
 * Source: RFC 9110 5.5, 5.6; RFC 3986 2, 3.2.2, 3.3.
 */
#ifndef HTTP_CHAR_H
#define HTTP_CHAR_H

#include <stdbool.h>
#include <stdint.h>

#define HTTP_C_TOKEN  0x01 /* tchar */
#define HTTP_C_TARGET 0x02 /* visible ASCII without '#' */
#define HTTP_C_FIELD  0x04 /* HTAB, SP, visible ASCII, obs-text: inside a field value or reason */
#define HTTP_C_UNRESERVED                                                                          \
    0x08 /* letters, digits, "-._~": never percent-encoded in a normal form                        \
          */
#define HTTP_C_HEX    0x10
#define HTTP_C_HOST   0x20 /* in a host name */
#define HTTP_C_QDTEXT 0x40 /* inside a quoted-string without a backslash */
#define HTTP_C_ETAG   0x80 /* etagc */

extern const uint8_t http_char_class[256];

static inline bool http_char_is(char c, uint8_t classes)
{
    return (http_char_class[(unsigned char)c] & classes) != 0;
}

static inline bool http_char_ows(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool http_char_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Value of a hex digit (HTTP_C_HEX holds). */
static inline unsigned http_char_hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

#endif
