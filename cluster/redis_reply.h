/*
 * redis_reply.h - bytes from Redis (RESP2) to replies, and replies taken apart.
 *
 * hiredis' redisReader does the parsing, except for a large bulk that is a reply of its own (the
 * usual GET): its bytes go straight into a blob, so that they are copied once, or not at all when
 * they are received there (redis_reader_room()).
 *
 * Redis is a peer: whatever it sends ends in a reply or in REDIS_READ_BAD. Memory is bounded by
 * redis_limits. A reader and its replies belong to one thread; blobs may leave it.
 *
 * Source: Redis serialization protocol, version 2; redis.md 3.1, M19.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/err.h"
#include "weir/span.h"

#define REDIS_BLOB_MIN     256 /* a bulk of so many bytes or more lies in a blob of its own */
#define REDIS_ELEMENTS_MAX (1u << 18)  /* of one reply, nested ones included */
#define REDIS_DEPTH_MAX    7           /* of nested arrays; what hiredis 0.14 can do */
#define REDIS_LINE_MAX     (64u << 10) /* of a status or an error */

enum redis_kind {
    REDIS_KIND_NIL, /* null bulk or null array */
    REDIS_KIND_STATUS,
    REDIS_KIND_ERROR,
    REDIS_KIND_INTEGER,
    REDIS_KIND_BULK,
    REDIS_KIND_ARRAY,
};

struct redis_reply {
    enum redis_kind kind;
    uint32_t count;            /* ARRAY: its elements */
    int64_t integer;           /* INTEGER */
    struct weir_span text;     /* STATUS, ERROR, BULK: its bytes, for as long as the whole reply is
                                  held or, if there is a blob, the blob */
    struct weir_blob *blob;    /* BULK of at least REDIS_BLOB_MIN bytes: text is all of it, from
                                  blob->bytes on. Keep it with weir_blob_ref(). Else NULL */
    struct redis_reply *items; /* ARRAY */
};

/* Counted, for one thread. Only for a whole reply, never for one of its elements. NULL does
 * nothing. */
struct redis_reply *redis_reply_ref(struct redis_reply *whole);
void redis_reply_unref(struct redis_reply *whole);

/* ---- taking apart. NULL and the wrong kind are never a crash: false, or NULL ---- */

/* Element i of an array; NULL if it is none or has fewer. */
const struct redis_reply *redis_reply_at(const struct redis_reply *r, size_t i);
bool redis_reply_is_nil(const struct redis_reply *r);
/* An error whose first word is `word`, upper case; NULL = any error. */
bool redis_reply_is_error(const struct redis_reply *r, const char *word);
bool redis_reply_is_status(const struct redis_reply *r, const char *text); /* "OK" */
bool redis_reply_int(const struct redis_reply *r, int64_t *out);           /* INTEGER */
bool redis_reply_text(const struct redis_reply *r, struct weir_span *out); /* BULK or STATUS */
/* INTEGER, or a BULK or STATUS of decimal digits, with a sign if negative. */
bool redis_reply_number(const struct redis_reply *r, int64_t *out);
/* The whole of a BULK as a slice with a reference of its own (returns owned). Copies a bulk that
 * has no blob. false: not a bulk, or no memory. */
bool redis_reply_slice(const struct redis_reply *r, struct weir_slice *out);
/* What it is, for logs: the text of an error, else "nil", "array of 3" ... Returns buf. */
const char *redis_reply_str(const struct redis_reply *r, char *buf, size_t size);

/* ---- reading ---- */

struct redis_limits {
    size_t bulk_max_bytes;  /* at most UINT32_MAX - 64 */
    size_t reply_max_bytes; /* sum over the texts of a reply, as they are announced */
};

enum redis_read {
    REDIS_READ_MORE,   /* all of the input was taken, and the reply is not complete */
    REDIS_READ_REPLY,  /* *reply is set; what follows it is left in the input */
    REDIS_READ_BAD,    /* not RESP2, or beyond a limit: close the connection; err says what */
    REDIS_READ_MEMORY, /* as BAD, for want of memory */
};

struct redis_reader;

/* Keeps a copy of limits. NULL without memory. */
struct redis_reader *redis_reader_new(const struct redis_limits *limits);
void redis_reader_free(struct redis_reader *r); /* NULL does nothing */

/* Reads on. *in is advanced past what was taken. Call until it says something else than
 * REDIS_READ_REPLY: replies may be complete without further input, so an empty *in is no reason to
 * stop. *reply: returns owned with one reference. After BAD or MEMORY only free the reader. */
enum redis_read redis_reader_next(struct redis_reader *r, struct weir_span *in,
                                  struct redis_reply **reply, struct weir_err *err);

/* In the middle of a large bulk: where its next bytes belong, *room of them. Whoever receives there
 * says how many by redis_reader_filled(), then calls redis_reader_next(). NULL: nowhere. */
char *redis_reader_room(struct redis_reader *r, size_t *room);
void redis_reader_filled(struct redis_reader *r, size_t len);

#endif
