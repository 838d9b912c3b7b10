/*
 * validate.h - validators at work: asking the origin, answering a client, freshening what is
 * stored.
 *
 * Pure; borrows its arguments. Only validate_merge() allocates, and only in the caller's arena.
 *
 * Source: RFC 9111 3.2 (updating), 4.3 (validation); RFC 9110 8.8, 13.
 */
#ifndef VALIDATE_H
#define VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/span.h"

struct http_head;
struct weir_arena;

/* Values of the fields that ask whether a stored response still holds; ptr NULL: do not send that
 * one. Borrow the head. */
struct validate_condition {
    struct weir_span if_none_match;     /* the stored ETag */
    struct weir_span if_modified_since; /* the stored Last-Modified */
};

/* False if the response has no usable validator; *c is then empty. */
bool validate_condition(struct validate_condition *c, const struct http_head *stored);

/* Has it an ETag or a Last-Modified that parses? */
bool validate_possible(const struct http_head *stored);

/* Does a request carry If-None-Match or If-Modified-Since? The cheap question before the next. */
bool validate_is_conditional(const struct http_head *request);

/*
 * Is 304 the answer to this GET or HEAD, given the stored response that would answer it?
 * If-None-Match decides alone if there (weak comparison); else If-Modified-Since against
 * Last-Modified, or Date, or `response_time`. Always false for a stored response that is not 2xx
 * (RFC 9110 13.2.1). If-Match, If-Unmodified-Since and If-Range are not looked at.
 */
bool validate_client(const struct http_head *request, const struct http_head *stored,
                     int64_t response_time);

/*
 * Does this 304 speak of this stored response (RFC 9111 4.3.4)? True too if it names no validator
 * at all: it answered the condition made from this one. False: the stored response must not be
 * used; ask again without a condition.
 */
bool validate_names(const struct http_head *not_modified, const struct http_head *stored);

/*
 * What a 200 to HEAD says of a stored GET response that could have been chosen for it (RFC 9111
 * 4.3.5). Here a length that is the same is no validator: it cannot vouch for the content, which is
 * not there; a page that is checked by HEAD now and then would never change again.
 */
enum validate_head {
    VALIDATE_HEAD_SAME,    /* a validator it carries is the stored one, and nothing speaks against
                              it: updates it */
    VALIDATE_HEAD_DIFFERS, /* a validator or the length is another: it must count as stale */
    VALIDATE_HEAD_SILENT,  /* says nothing either way */
};
enum validate_head validate_head(const struct http_head *answer, const struct http_head *stored,
                                 uint64_t stored_len);

/*
 * *out becomes the stored head as a 304 updates it: its own status and fields, each field that the
 * 304 carries replaced (all lines of it), save Content-Length, Content-Encoding, Content-Range,
 * hop-by-hop fields and those named by the 304's Connection. The stored Date and Age are dropped,
 * for they were true of another moment: a 304 without Date leaves none, and the caller adds it as
 * to any response that lacks it (RFC 9110 6.6.1). Ask storable_response() again about the result: a
 * 304 may say no-store or set a cookie.
 *
 * Borrows the bytes of both heads; the field list lies in `arena`. false: no memory; *out is then
 * untouched.
 */
bool validate_merge(struct http_head *out, const struct http_head *stored,
                    const struct http_head *not_modified, struct weir_arena *arena);

#endif
