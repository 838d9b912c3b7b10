/*
 * http_coding.h - the content codings weir can make and undo, by name (RFC 9110 8.4.1).
 */
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include "weir/span.h"

struct http_head;

enum coding {
    CODING_IDENTITY,
    CODING_GZIP,
    CODING_BR,
    CODING_ZSTD,
    CODINGS,
    CODING_OTHER = CODINGS, /* one that weir can neither make nor undo, or several */
};

/* "gzip" as it stands in Content-Encoding; "identity" too. Static. */
struct weir_span coding_name(enum coding c);
/* By name, any case, "x-gzip" included (RFC 9110 8.4.1.3); CODING_OTHER if it is not known. */
enum coding coding_by_name(struct weir_span name);
/* What a response's Content-Encoding says; IDENTITY without that field, OTHER also for an empty
 * one. */
enum coding coding_of(const struct http_head *response);

#endif
