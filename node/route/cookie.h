/*
 * cookie.h - find one cookie, or one query parameter, by name. No allocation; results borrow the
 * input's bytes.
 *
 * Names compare byte by byte. Of several the first one wins. Values come as sent: quotes kept,
 * nothing percent-decoded, for the bytes that decide a route are the bytes that go to the origin.
 *
 * Source: RFC 6265 4.2.1 (Cookie field), 5.4.
 */
#ifndef COOKIE_H
#define COOKIE_H

#include <stdbool.h>

#include "weir/span.h"

struct http_head;

/* Over all Cookie field lines of the head. A part without '=' or without a name is no cookie. */
bool cookie_find(const struct http_head *head, struct weir_span name, struct weir_span *value);
/* The same in one Cookie field value. */
bool cookie_find_in(struct weir_span field_value, struct weir_span name, struct weir_span *value);

/* The next one of that name in what is left of a field value: for those to whom all count. */
bool cookie_next_in(struct weir_span *rest, struct weir_span name, struct weir_span *value);

/* query: without its '?'. "a", "a=" have the empty value. */
bool query_find(struct weir_span query, struct weir_span name, struct weir_span *value);

#endif
