/*
 * http_sf.h - Structured Field Values: items, lists, dictionaries, inner lists, parameters.
 *
 * Strict, and all or nothing as the RFC asks: the begin functions read the whole value before they
 * yield anything, and a value with one fault anywhere is a value that does not parse; what to do
 * with the field then is its own specification's choice (mostly: as if it were absent). The next
 * functions walk what is known to be sound and cannot fail.
 *
 * Nothing is copied: every span points into the value. Only http_sf_lines() may need memory, where
 * a field came in several lines, and http_sf_text() writes where the caller says.
 *
 *     struct weir_span text, key;
 *     struct http_sf it;
 *     struct http_sf_item member;
 *
 *     if (http_sf_lines(&text, head, HTTP_F_CDN_CACHE_CONTROL, arena) && http_sf_dict(&it, text))
 *         while (http_sf_dict_next(&it, &key, &member)) ...
 *
 * Source: RFC 9651 3 (types), 4.2 (parsing). Reading costs time linear in the value.
 */
#ifndef HTTP_SF_H
#define HTTP_SF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"

struct http_field;
struct http_head;
struct weir_arena;

enum http_sf_type {
    HTTP_SF_INTEGER, /* number: up to 15 digits */
    HTTP_SF_DECIMAL, /* number: thousandths */
    HTTP_SF_STRING,  /* text: between the quotes; `escaped`: with its backslashes */
    HTTP_SF_TOKEN,   /* text */
    HTTP_SF_BYTES,   /* text: between the colons, base64 */
    HTTP_SF_BOOLEAN, /* truth */
    HTTP_SF_DATE,    /* number: seconds since the epoch */
    HTTP_SF_DISPLAY, /* text: between the quotes; `escaped`: with its %xx */
    HTTP_SF_INNER,   /* text: between the parentheses, for http_sf_inner_next() */
};

/* One bare item, or an inner list, with its parameters. */
struct http_sf_item {
    enum http_sf_type type;
    bool truth;
    bool escaped; /* http_sf_text() is needed to read `text` */
    int64_t number;
    struct weir_span text;
    struct weir_span params; /* for http_sf_param_next(); may be empty */
};

/* A walk over the members of a list or a dictionary that parses. */
struct http_sf {
    struct weir_span rest;
};

/*
 * All lines of a field as one value, joined by ", " (RFC 9651 4.2). One line is taken as it is;
 * more are copied into `arena`. false: no such field, or no memory. http_sf_lines_name() goes by
 * name, for fields that are not known by number.
 */
bool http_sf_lines(struct weir_span *text, const struct http_head *h, uint16_t id,
                   struct weir_arena *arena);
bool http_sf_lines_name(struct weir_span *text, const struct http_head *h, struct weir_span name,
                        struct weir_arena *arena);

/* Begins a walk; false: the value does not parse as that. Empty ones parse, without members. */
bool http_sf_list(struct http_sf *it, struct weir_span text);
bool http_sf_dict(struct http_sf *it, struct weir_span text);
/* The next member; false: that was all. A dictionary's key that comes again takes the place of the
 * earlier: overwrite, be it by a value of another type. */
bool http_sf_list_next(struct http_sf *it, struct http_sf_item *member);
bool http_sf_dict_next(struct http_sf *it, struct weir_span *key, struct http_sf_item *member);

/* The value of a dictionary's key, the last one; false: not there, or the value does not parse. */
bool http_sf_dict_find(struct weir_span text, struct weir_span key, struct http_sf_item *member);
/* A value that is one item; false: it is not. */
bool http_sf_item(struct weir_span text, struct http_sf_item *item);

/* Items of an inner list: *inner begins as its `text`. */
bool http_sf_inner_next(struct weir_span *inner, struct http_sf_item *item);
/* A Byte Sequence of these bytes: ":base64:" (RFC 9651 4.1.8); ptr NULL without memory. */
struct weir_span http_sf_bytes(struct weir_span bytes, struct weir_arena *arena);
/* Parameters of an item: *params begins as its `params`. A key that comes again takes the place of
 * the earlier. */
bool http_sf_param_next(struct weir_span *params, struct weir_span *key, struct http_sf_item *item);

/*
 * What a string, token, display string or byte sequence says, without escapes. `room` takes it if
 * it has to be unescaped or decoded; item->text.len bytes always suffice. ptr is NULL for other
 * types.
 */
struct weir_span http_sf_text(const struct http_sf_item *item, char *room);

#endif
