/*
 * http_text.h - writes text into a bounded buffer without format strings.
 *
 * What does not fit is left out and remembered: check http_text_ok() once at the end.
 */
#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "weir/span.h"
#include "http_head.h"

struct http_text {
    char *start;
    char *at;
    char *end;
    bool full;
};

static inline void http_text_init(struct http_text *t, char *buf, size_t size)
{
    *t = (struct http_text){buf, buf, buf + size, false};
}

static inline bool http_text_ok(const struct http_text *t)
{
    return !t->full;
}

static inline size_t http_text_len(const struct http_text *t)
{
    return (size_t)(t->at - t->start);
}

static inline struct weir_span http_text_span(const struct http_text *t)
{
    return weir_span(t->start, http_text_len(t));
}

static inline void http_text_bytes(struct http_text *t, const char *ptr, size_t len)
{
    if ((size_t)(t->end - t->at) < len || t->full) {
        t->full =
            true; /* from here on nothing: a hole in the middle would be worse than a short text */
        return;
    }
    if (len > 0)
        memcpy(t->at, ptr, len);
    t->at += len;
}

static inline void http_text_add(struct http_text *t, struct weir_span s)
{
    http_text_bytes(t, s.ptr, s.len);
}

/* The "" makes anything but a string literal a syntax error. */
#define http_text_lit(t, literal) http_text_bytes((t), "" literal, sizeof(literal) - 1)

static inline void http_text_char(struct http_text *t, char c)
{
    http_text_bytes(t, &c, 1);
}

void http_text_u64(struct http_text *t, uint64_t value);
void http_text_i64(struct http_text *t, int64_t value);
/* Lower case, without leading zeros; `digits` pads with them. */
void http_text_hex(struct http_text *t, uint64_t value, unsigned digits);
/* Decimal digits into out (no NUL); returns how many, at most 20. */
size_t http_u64_digits(char out[20], uint64_t value);

/* "name: value" CRLF */
void http_text_field(struct http_text *t, struct weir_span name, struct weir_span value);
/* Every field of the head, in order, one line each. Not the empty line. */
void http_text_fields(struct http_text *t, const struct http_head *h);
/* "HTTP/1.1 200 OK" CRLF; the usual reason if `reason` is empty. */
void http_text_status_line(struct http_text *t, int status, struct weir_span reason);
/* "GET /x HTTP/1.1" CRLF */
void http_text_request_line(struct http_text *t, struct weir_span method, struct weir_span target);

/* Bytes that the field line, or all of them, take: to size a buffer exactly. */
static inline size_t http_field_bytes(const struct http_field *f)
{
    return f->name.len + 2 + f->value.len + 2;
}
size_t http_fields_bytes(const struct http_head *h);

#endif
