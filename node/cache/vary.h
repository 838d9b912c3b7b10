/*
 * vary.h - which variant of a key a request selects.
 *
 * The selecting fields of a response make a *variant key* out of a request: for each field, in the
 * order of their names, name and normalised value. Two requests select the same response if their
 * variant keys are equal bytes. The variant key names its fields itself, so one stored long ago
 * needs no spec to be matched; the empty key (no Vary) matches every request.
 *
 * Normalised means: all lines of a field combined, white space around list commas dropped, and case
 * folded where it has no meaning. Accept-Encoding becomes the codings among zstd, br and gzip that
 * the request accepts, in that order, and "identity;q=0" if it refuses identity; unless the stored
 * response is coded in another way (deflate, dcb, dcz): then it stays a list as the others. Absent
 * differs from empty.
 *
 * A fill whose response may be shared like this sends vary_accept_encoding() to the origin instead
 * of the client's field: what is normalised for the key is forwarded normalised.
 *
 * Pure, allocates nothing beyond the caller's arena. Source: RFC 9111 4.1, RFC 9110 12.5.3, 12.5.5.
 */
#ifndef VARY_H
#define VARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/span.h"

struct http_head;
struct weir_arena;

#define VARY_FIELDS_MAX 12  /* a Vary that names more selects nothing, like `*` */
#define VARY_NAMES_MAX  512 /* bytes of all names together, likewise */
#define VARY_KEY_INLINE 256 /* a stack buffer of this size holds nearly every variant key */

struct vary_spec {
    bool star;      /* never matches: the other members are then empty */
    bool coded;     /* Accept-Encoding stays a list: the response has another coding */
    uint8_t fields; /* 0: every request matches */
    struct {
        uint16_t at, len;     /* in `names` */
    } field[VARY_FIELDS_MAX]; /* by name, each once */
    uint16_t names_len;
    char names[VARY_NAMES_MAX]; /* lower-case */
};

/* Reads all Vary lines (and Content-Encoding) of a response. The result borrows nothing. */
void vary_parse(const struct http_head *response, struct vary_spec *spec);

/* The same, but for what the operator does not heed (routes[].cache.despite): `*`, and some names.
 * It costs correctness wherever the origin meant what it said. */
struct vary_despite {
    bool star;
    const char *const *names;
    size_t name_count;
};
void vary_parse_despite(const struct http_head *response, const struct vary_despite *despite,
                        struct vary_spec *spec);

/* Takes Accept-Encoding out: it selects nothing where all requests went out with the same. */
void vary_forget_accept_encoding(struct vary_spec *spec);

/*
 * The variant key of a request, written to `buf` if it fits into `size`, else into `arena` (may be
 * NULL). ptr is NULL when there is room in neither, and for a spec with `star`. Empty (ptr not
 * NULL, len 0) for a spec without fields.
 */
struct weir_span vary_key(const struct vary_spec *spec, const struct http_head *request, char *buf,
                          size_t size, struct weir_arena *arena);

/* Would `request` make this variant key? Allocates nothing. A key that is damaged matches nothing.
 */
bool vary_matches(struct weir_span key, const struct http_head *request);

/* The spec by which this variant key was made. false: it is damaged. */
bool vary_of_key(struct vary_spec *spec, struct weir_span key);

/* One part of a variant key, for who wants to see what a variant stands for; views of the key. */
struct vary_part {
    struct weir_span name, value;
    bool absent; /* the request had no such field */
};

/* Takes the next part off the front of *key. False at its end, or where it is damaged. */
bool vary_next(struct weir_span *key, struct vary_part *out);

/*
 * The normalised Accept-Encoding of a request, fit for sending: "zstd, br, gzip". Returns its
 * length (0: none of them, or no such field), at most VARY_ACCEPT_ENCODING_MAX.
 */
#define VARY_ACCEPT_ENCODING_MAX 40
size_t vary_accept_encoding(const struct http_head *request, char buf[VARY_ACCEPT_ENCODING_MAX]);

#define VARY_ACCEPT_MEMO 96 /* longer values are read each time */

/* The last value and what it came to: nearly all clients send one of three. One thread's. Zeroed:
 * empty. */
struct vary_accept_memo {
    uint8_t len, out_len; /* len 0: none */
    char value[VARY_ACCEPT_MEMO];
    char out[VARY_ACCEPT_ENCODING_MAX];
};

/* The same as vary_accept_encoding(). Borrows from the memo until it is next used. */
struct weir_span vary_accept_encoding_memo(const struct http_head *request,
                                           struct vary_accept_memo *memo);

#endif
