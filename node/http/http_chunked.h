/*
 * http_chunked.h - the chunked transfer coding, decoded in place as it arrives, and encoded.
 *
 * Security rule 1.6: 1 to 15 hex digits; extensions must match the grammar, at most 1 KiB a line
 * and 16 KiB a message; the CRLF after the data is checked; trailers at most 8 KiB, judged like
 * head fields. The same bytes give the same data and outcome, however they were cut.
 *
 * Source: RFC 9112 7.1.
 */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "http_parse.h"

#define HTTP_CHUNK_EXT_LINE    1024
#define HTTP_CHUNK_EXT_MESSAGE 16384
#define HTTP_TRAILER_BYTES     8192

enum http_chunk_result {
    HTTP_CHUNK_DATA, /* *data is content, inside buf */
    HTTP_CHUNK_MORE, /* everything usable is used */
    HTTP_CHUNK_END,  /* the message ended after *used bytes */
    HTTP_CHUNK_BAD   /* err is set: BAD_CHUNK, or RESPONSE_MALFORMED in a response */
};

struct http_chunked {
    uint64_t left;     /* bytes of the present chunk still to come */
    uint64_t total;    /* content bytes delivered so far */
    uint32_t ext_line; /* extension bytes of this line, of the message */
    uint32_t ext_message;
    uint8_t state;
    uint8_t digits;
    bool response;
    bool last; /* the last-chunk has come */
    struct http_head *trailers;
    struct http_parser parser;
    uint32_t held_off, held_len; /* http_chunked_run()'s: decoded, not handed out yet */
};

/* Content inside a buffer. */
struct http_chunk_run {
    uint32_t off, len;
};

/*
 * trailers NULL: trailer fields are judged and dropped, every byte is used at once. Otherwise
 * *keeps* it until the end and fills it with views into buf: bytes of the trailer section are then
 * used (*used) only when it is whole, so buf must be able to hold HTTP_TRAILER_BYTES. Trailers are
 * never merged into the head.
 */
void http_chunked_init(struct http_chunked *d, bool response, struct http_head *trailers);

/*
 * Call until it answers other than DATA, then with the bytes after *used and more of them. *used
 * counts framing and data together. After END and BAD it must not be called again.
 */
enum http_chunk_result http_chunked_next(struct http_chunked *d, const char *buf, size_t len,
                                         size_t *used, struct weir_span *data,
                                         struct weir_err *err);

/*
 * The same by runs: content of small chunks is moved together over the framing between them, so
 * that many of them become one run. Uses bytes of buf from *at on, which must be nobody else's yet.
 * DATA: *run is content and there may be more, call again. MORE, END, BAD: *run is what came before
 * it, its len may be 0.
 */
enum http_chunk_result http_chunked_run(struct http_chunked *d, char *buf, uint32_t len,
                                        uint32_t *at, struct http_chunk_run *run,
                                        struct weir_err *err);
/* A run is waiting that needs no further bytes. */
static inline bool http_chunked_holds(const struct http_chunked *d)
{
    return d->held_len > 0;
}

/* "1a2b" CRLF; returns its length (3 to 18). Size 0 gives the last-chunk line; a CRLF ends the
 * (empty) trailers. */
#define HTTP_CHUNK_HEADER_MAX 20
size_t http_chunk_header(char out[HTTP_CHUNK_HEADER_MAX], uint64_t size);
#define HTTP_CHUNK_LAST "0\r\n\r\n"

#endif
