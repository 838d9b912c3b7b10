/*
 * http_validator.h - entity tags and conditional requests. Pure. Source: RFC 9110 8.8, 13.1.
 */
#ifndef HTTP_VALIDATOR_H
#define HTTP_VALIDATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "http_head.h"

struct http_etag {
    struct weir_span opaque; /* with its double quotes; ptr NULL: no entity tag */
    bool weak;
};

/* Exactly one entity-tag; false (and no tag) for anything else. */
bool http_etag_parse(struct weir_span text, struct http_etag *out);
/* Of the head's single valid ETag line; false for none, several or an invalid one. */
bool http_etag_of(const struct http_head *h, struct http_etag *out);
/*
 * What of a response says that two of them are the same to the byte: the ETag if it is strong;
 * where there is none, Last-Modified, if it is at least a second older than Date (RFC
 * 9110 8.8.2.2). ptr NULL: neither. Inside the fields.
 */
struct weir_span http_strong_validator(const struct http_field *fields, uint32_t count);
bool http_etag_strong_eq(const struct http_etag *a, const struct http_etag *b);
bool http_etag_weak_eq(const struct http_etag *a, const struct http_etag *b);

enum http_condition {
    HTTP_COND_ABSENT, /* no such field, or one that must be ignored */
    HTTP_COND_TRUE,
    HTTP_COND_FALSE
};

/* If-None-Match against the tag of the selected representation (weak comparison). `exists`: there
 * is one ("*"). FALSE means: it matched, answer 304 (GET, HEAD) or 412. Members that do not parse
 * match nothing. */
enum http_condition http_if_none_match(const struct http_head *h, bool exists,
                                       const struct http_etag *tag);
/*
 * FALSE means not modified. ABSENT for an invalid date, one that comes twice, or last_modified
 * INT64_MIN (none). If-None-Match comes first and overrules it (RFC 9110 13.2.2): the caller's
 * part.
 */
enum http_condition http_if_modified_since(const struct http_head *h, int64_t last_modified,
                                           int64_t now);
/* If-Range: TRUE: the Range counts; FALSE: send it all (RFC 9110 13.1.5). `date` is the response's
 * Date, for a Last-Modified is a strong validator only if at least a second older (8.8.2.2). */
enum http_condition http_if_range(const struct http_head *h, const struct http_etag *tag,
                                  int64_t last_modified, int64_t date, int64_t now);

#endif
