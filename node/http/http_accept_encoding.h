/*
 * http_accept_encoding.h - which content coding a client likes best.
 *
 * Pure. Source: RFC 9110 12.5.3 (Accept-Encoding), 12.4.2 (weights). Members that are malformed, or
 * name codings weir cannot make, are passed over; of one named twice the lower weight counts.
 */
#ifndef HTTP_ACCEPT_ENCODING_H
#define HTTP_ACCEPT_ENCODING_H

#include <stdbool.h>
#include <stdint.h>

#include "http_coding.h"

struct http_accept_encoding {
    uint8_t order[CODINGS]; /* acceptable ones (enum coding), the best first */
    uint8_t count;          /* of them; 0: none is, not even identity */
    uint8_t accepted;       /* the same as bits */
};

/*
 * Highest weight first; of equal weight zstd, br, gzip, identity. Without the field only identity:
 * it would permit all, but who does not say what he can decode mostly cannot.
 */
void http_accept_encoding_parse(const struct http_head *request, struct http_accept_encoding *out);

static inline bool http_accepts(const struct http_accept_encoding *a, enum coding c)
{
    return (a->accepted >> c & 1) != 0;
}

/* The acceptable coding that comes first, among those whose bit is set in `available`;
 * CODING_OTHER: none is acceptable. */
enum coding http_accept_encoding_best(const struct http_accept_encoding *a, unsigned available);

#define HTTP_ACCEPT_ENCODING_MEMO 96 /* longer values are parsed each time */

/* The last value and what it came to: nearly all clients of a farm send one of three. One
 * thread's. Zeroed: empty. */
struct http_accept_encoding_memo {
    struct http_accept_encoding answer;
    uint8_t len; /* 0: none */
    char value[HTTP_ACCEPT_ENCODING_MEMO];
};

/* The same as parse. Borrows from the memo until it is next used. */
const struct http_accept_encoding *http_accept_encoding(const struct http_head *request,
                                                        struct http_accept_encoding_memo *memo);

#endif
