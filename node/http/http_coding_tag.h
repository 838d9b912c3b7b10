/*
 * http_coding_tag.h - entity tags of a response's codings.
 *
 * A strong tag must differ from coding to coding (RFC 9110 8.8.3.3), and clients hand back what
 * they got: the origin's "abc" becomes "abc-gzip" and so on, W/"abc" becomes W/"abc-gzip".
 */
#ifndef HTTP_CODING_TAG_H
#define HTTP_CODING_TAG_H

#include <stdbool.h>

#include "http_coding.h"
#include "http_text.h"

#define HTTP_CODING_TAG_MAX    256 /* longer tags of origins are not told apart: they go unsent */
#define HTTP_CODING_SUFFIX_MAX 9   /* "-identity" */

/* Writes the tag of the coding for the origin's `tag`; false, and nothing, if that is not exactly
 * one entity-tag, or too long. */
bool http_coding_tag(struct http_text *t, struct weir_span tag, enum coding c);

/*
 * The first of `codings` (bits), by the order of `order`, whose tag the request's If-None-Match
 * lists; CODING_OTHER: none, or there is no such field. sent: the origin's coding, whose tag is
 * `tag` itself. "*" lists every tag.
 */
enum coding http_coding_tag_listed(const struct http_head *request, struct weir_span tag,
                                   enum coding sent, const uint8_t *order, unsigned count);

/*
 * Writes a value of If-None-Match or If-Match for an origin, that knows nothing of our tags: the
 * value as it is, then each tag in it that may be ours without its suffix. Takes at most twice its
 * length and two bytes for each tag.
 */
void http_coding_tag_for_origin(struct http_text *t, struct weir_span value);

#endif
