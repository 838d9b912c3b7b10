/*
 * limit_settings.h - what an operator chooses about rates: how many requests, of whom, counted
 * together by what.
 */
#ifndef LIMIT_SETTINGS_H
#define LIMIT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of a request that has no such field or cookie. */
enum limit_missing {
    LIMIT_MISSING_SHARE,  /* all such requests are one, as if they had the same value */
    LIMIT_MISSING_EXEMPT, /* the limit does not see them */
};

struct limit_settings {
    const char *name;
    const char *rate; /* "100/s", "1000/m", "5/h", "10000/d" */
    uint32_t burst;   /* that may come at once; 0: as many as the rate says for its unit */
    const char **key; /* "client", "field NAME", "cookie NAME", "route", "all" (limit_key.h) */
    size_t key_count; /* empty = client */
    uint32_t ipv4_prefix, ipv6_prefix; /* bits of an address that make a client: 32, 64 */
    enum limit_missing missing;
    uint32_t status;     /* 429 */
    const char **exempt; /* networks whose requests it does not see */
    size_t exempt_count;
    bool fields;     /* RateLimit and RateLimit-Policy in answers: true */
    bool dry_run;    /* counts and logs, refuses nothing */
    bool all_routes; /* for every route, named there or not */
};

#endif
