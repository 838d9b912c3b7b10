/*
 * http_list.h - values that are lists, and their parameters. No allocation; spans stay inside the
 * value.
 *
 * Source: RFC 9110 5.6.1 (lists), 5.6.4 (quoted strings), 5.6.6 (parameters), 12.4.2 (q).
 */
#ifndef HTTP_LIST_H
#define HTTP_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "http_head.h"

struct http_list {
    struct weir_span rest;
    const struct http_head *head; /* NULL: a single value */
    const struct http_field *field;
};

/* Over all lines of the head with this id, as if joined by commas. Borrows the head while
 * iterating. */
void http_list_begin(struct http_list *l, const struct http_head *h, uint16_t id);
/* Over one value. */
void http_list_begin_value(struct http_list *l, struct weir_span value);
/* Next member, without surrounding OWS; empty members are skipped. Commas inside a quoted string do
 * not separate; one that is not closed runs to the end of its line. */
bool http_list_next(struct http_list *l, struct weir_span *member);
/* True if a member of that field equals token, any case. */
bool http_list_has(const struct http_head *h, uint16_t id, struct weir_span token);

struct http_param {
    struct weir_span name; /* never empty unless malformed */
    struct weir_span
        value; /* as written: a token, or a quoted string with its quotes; ptr NULL: no '=' */
};

/* The part of a member before its first ';', and *rest for http_param_next(). */
struct weir_span http_list_item(struct weir_span member, struct weir_span *rest);
/* Next parameter separated by `sep` (';' usually); empty ones are skipped. */
bool http_param_next(struct weir_span *rest, char sep, struct http_param *out);

bool http_is_token(struct weir_span s);
/* Exactly one well-formed quoted-string. */
bool http_is_quoted(struct weir_span s);
/*
 * A token as it is, or the inside of a quoted string. Without quoted pairs no copy is made;
 * otherwise `room` (at least s.len bytes, may be NULL: then fails) takes it. False if s is neither.
 */
bool http_unquote(struct weir_span s, char *room, struct weir_span *out);
/* The weight of a member in thousandths, 1000 without q; -1 if it is malformed. */
int http_quality(struct weir_span member);

#endif
