/*
 * cache_settings.h - what an operator chooses about storing: for the node and per route.
 */
#ifndef CACHE_SETTINGS_H
#define CACHE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_settings {
    uint64_t memory_bytes;       /* hard limit of the memory tier: 256 MiB; 0 = no cache */
    uint64_t object_max_bytes;   /* larger responses are not stored: 8 MiB */
    uint32_t variants;           /* per key: 16 */
    int64_t collapse_timeout_ms; /* a follower waits this long for the head of a fetch: 5 s; then
                                    goes alone */
    int64_t hit_for_miss_ms;     /* how long an uncacheable key is not collapsed: 120 s */
    bool status_field;           /* send Cache-Status: true */
};

struct route_cache_settings {
    bool enabled;           /* true */
    bool heuristic;         /* freshness guessed from Last-Modified (RFC 9111 4.2.2): false */
    bool client_directives; /* clients' Cache-Control counts (reload, only-if-cached): false */
    bool store_set_cookie;  /* store responses with Set-Cookie: false */
    bool key_query;         /* the query is part of the key: true */
    int64_t stale_while_revalidate_s; /* when the response does not say: 0 */
    int64_t stale_if_error_s;         /* when the response does not say: 0 */
};

#endif
