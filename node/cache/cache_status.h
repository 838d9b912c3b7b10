/*
 * cache_status.h - what the cache says about itself: the values of Cache-Status and Age.
 *
 * Writes into a caller's buffer, no format strings, no allocation. Source: RFC 9211 2; RFC
 * 9111 5.1.
 */
#ifndef CACHE_STATUS_H
#define CACHE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cache_fwd {
    FWD_NONE, /* not forwarded: a hit */
    FWD_BYPASS,
    FWD_METHOD,
    FWD_URI_MISS,
    FWD_VARY_MISS,
    FWD_MISS,
    FWD_REQUEST,
    FWD_STALE,
    FWD_PARTIAL,
    FWD_WORDS
};

/* "uri-miss" and so on; "" for FWD_NONE. Static. The same words go to the log. */
const char *cache_fwd_word(enum cache_fwd fwd);

struct cache_status {
    enum cache_fwd fwd;
    bool hit;    /* only with FWD_NONE: RFC 9211 2.2 lets one exclude the other */
    bool stored; /* this and the next only when forwarded */
    bool collapsed;
    bool has_ttl;
    int64_t ttl;         /* seconds; negative: stale */
    uint16_t fwd_status; /* 0 = none, or the same as the one sent */
    const char
        *detail; /* NULL, or a short ASCII text; sent as a token if it is one, else as a string */
};

#define CACHE_STATUS_MAX        224 /* never longer: a detail is cut to CACHE_STATUS_DETAIL_MAX */
#define CACHE_STATUS_DETAIL_MAX 64

/* Writes the value, "weir; hit; ttl=123", and returns its length. No NUL. */
size_t cache_status_write(char buf[CACHE_STATUS_MAX], const struct cache_status *s);

#define CACHE_AGE_MAX 20

/* Writes the value of Age, digits only, and returns its length. A negative age is 0; none exceeds
 * 2^31. */
size_t cache_age_write(char buf[CACHE_AGE_MAX], int64_t age);

#endif
