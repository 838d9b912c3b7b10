/*
 * cache_key.h - the bytes that name what a request asks for.
 *
 * Layout: class (1), what is present of the parts that may be missing (1), then scheme, authority,
 * path and query, each as a 4-byte little-endian length and its bytes; the other parts likewise, in
 * the order of struct cache_key_parts, if they are there. So no two different requests share a key,
 * whatever their parts contain. The bytes are the same on every node; the hash is this process's
 * own.
 *
 * GET and HEAD share a class. The caller has normalised the parts: the same strings that go to the
 * origin.
 *
 * Source: RFC 9111 2; RFC 10008 2.7 (QUERY).
 */
#ifndef CACHE_KEY_H
#define CACHE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/hash.h"
#include "weir/span.h"

struct weir_arena;

#define CACHE_KEY_INLINE 512 /* a stack buffer of this size holds nearly every key */

enum cache_key_class {
    CACHE_KEY_GET = 'G',   /* GET and HEAD */
    CACHE_KEY_QUERY = 'Q', /* QUERY, whose content is a part */
};

struct cache_key {
    struct weir_span bytes;
    struct weir_hash128 hash;
};

struct cache_key_parts {
    enum cache_key_class class;
    struct weir_span scheme;    /* "http", "https" */
    struct weir_span authority; /* lower-case, default port dropped */
    struct weir_span path;
    struct weir_span query; /* without "?" */
    bool has_query; /* "/a?" differs from "/a"; false also when the route leaves the query out */
    struct weir_span route; /* its name, where not the URL alone decides it; else empty */
    /* These, empty where there is nothing, are lists of pairs: see cache_key_pair(). */
    struct weir_span forwarded; /* what a trusted peer says of how it was asked */
    struct weir_span selectors; /* fields and cookies that the route's rules add */
    /* The No-Vary-Search rule that brought `query` to its form: search_rule.h; empty: none. */
    struct weir_span search;
    struct weir_span content; /* QUERY: what the content is, as pairs, then the content itself */
    struct weir_span slice;   /* which slice of it, by cache_key_slice(); empty: the whole */
};

size_t cache_key_size(const struct cache_key_parts *p);

/*
 * Writes the key to `buf` if it fits into `size`, else into `arena` (may be NULL), and hashes it.
 * k->bytes borrows whichever it was. false: neither had room, or a part is 4 GiB or longer; *k is
 * then untouched.
 */
bool cache_key_build(struct cache_key *k, const struct cache_key_parts *p,
                     const struct weir_hash_secret *secret, char *buf, size_t size,
                     struct weir_arena *arena);

/* The parts of a key, borrowed from its bytes. false: these are not the bytes of a key. */
bool cache_key_read(struct weir_span bytes, struct cache_key_parts *out);

/* The n-th slice of `size` bytes of something large, as a part of a key. */
#define CACHE_KEY_SLICE_BYTES 16
struct weir_span cache_key_slice(char buf[CACHE_KEY_SLICE_BYTES], uint64_t n, uint64_t size);

/* Was its query brought to a form by a No-Vary-Search rule? */
bool cache_key_has_search(struct weir_span bytes);

/* One pair of a list, at `at`; returns the end. value.ptr NULL: the name alone, which differs from
 * an empty value. CACHE_KEY_PAIR_BYTES of room beside name and value. */
#define CACHE_KEY_PAIR_BYTES 9
char *cache_key_pair(char *at, struct weir_span name, struct weir_span value);

/*
 * The key for people: "GET https://host/path?query" and what else is there, non-ASCII and control
 * bytes as "%xx", content as its length. Cut to `size`; returns the length. No NUL.
 */
size_t cache_key_text(const struct cache_key_parts *p, char *buf, size_t size);

/* The same key: the hash finds, the bytes decide. */
static inline bool cache_key_eq(const struct cache_key *a, const struct cache_key *b)
{
    return a->hash.lo == b->hash.lo && a->hash.hi == b->hash.hi && weir_span_eq(a->bytes, b->bytes);
}

#endif
