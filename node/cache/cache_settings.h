/*
 * cache_settings.h - what an operator chooses about storing: for the node and per route.
 */
#ifndef CACHE_SETTINGS_H
#define CACHE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What nodes of a farm share of their stored responses. */
struct shared_cache_settings {
    bool enabled;              /* where the farm has a Redis: true */
    uint64_t object_max_bytes; /* larger responses are not shared: 64 MiB */
    uint32_t store_after;      /* misses in the farm before a response is shared: 1 */
    int64_t lease_ms;          /* how long a node may be silent while it fetches for all: 3 s */
    int64_t wait_ms;           /* others wait so long, then ask the origin: 2 s */
    int64_t head_timeout_ms;   /* a look-up takes longer: it is a miss: 20 ms */
    int64_t body_timeout_ms;   /* the next part of a content, likewise: 50 ms */
};

struct cache_settings {
    uint64_t memory_bytes;       /* hard limit of the memory tier: 256 MiB; 0 = no cache */
    uint64_t object_max_bytes;   /* larger responses are not stored: 8 MiB */
    uint32_t variants;           /* per key: 16 */
    int64_t collapse_timeout_ms; /* a follower waits this long for the head of a fetch: 5 s; then
                                    goes alone */
    int64_t hit_for_miss_ms;     /* how long an uncacheable key is not collapsed: 120 s */
    bool status_field;           /* send Cache-Status: true */

    const char **targets; /* targeted fields in order (RFC 9213 2.1): CDN-Cache-Control */
    size_t target_count;
    bool targets_forward;    /* pass them on to clients: true */
    bool surrogate_control;  /* obey Surrogate-Control (and remove it): false */
    const char **tag_fields; /* response fields that name tags: Surrogate-Key, Cache-Tag */
    size_t tag_field_count;
    bool tag_fields_forward;    /* pass them on to clients: false */
    const char **purge_clients; /* networks that may send PURGE: none */
    size_t purge_client_count;
    const char **debug_clients; /* networks that may ask for the key in Cache-Status: none */
    size_t debug_client_count;
    struct shared_cache_settings shared;
};

/* Which directives of a request's Cache-Control count, beside no-store, which always does. */
enum cache_client_directives {
    CLIENT_DIRECTIVES_NONE,
    CLIENT_DIRECTIVES_SPARING, /* those that spare the origin: only-if-cached, max-stale */
    CLIENT_DIRECTIVES_ALL,     /* those too by which a client forces a reload */
};

/* What becomes of a response with Set-Cookie. */
enum cache_set_cookie {
    SET_COOKIE_PASS,  /* it is not stored */
    SET_COOKIE_STRIP, /* stored without that field: only who caused the fetch gets it */
    SET_COOKIE_STORE, /* stored as it is */
};

enum cache_range_miss {
    RANGE_MISS_FETCH, /* the whole is fetched and stored if it is within object_max */
    RANGE_MISS_PASS,  /* the part is asked for and passed on */
};

/* Which parameters of the query are part of the key. */
enum cache_key_query {
    KEY_QUERY_ALL,
    KEY_QUERY_NONE,
    KEY_QUERY_ONLY,   /* those in `parameters` */
    KEY_QUERY_EXCEPT, /* all but those */
};

struct cache_key_settings {
    enum cache_key_query query; /* all */
    const char **parameters;    /* names; `*` at the end stands for any rest */
    size_t parameter_count;
    bool sort;            /* parameters by name: false */
    const char *host;     /* instead of the host asked for; NULL: that one */
    const char **cookies; /* names of cookies whose values are part of the key */
    size_t cookie_count;
    const char **fields; /* names of request fields, likewise */
    size_t field_count;
    bool no_vary_search; /* obey No-Vary-Search of responses: true */
};

/* The lifetime of a response with one of these statuses that names none. */
struct cache_status_ttl {
    uint32_t first, last; /* status codes; the same for one */
    int64_t seconds;
};

/* Lifetimes, where the response leaves it open. Seconds. */
struct cache_ttl_settings {
    int64_t otherwise;               /* of responses that name none: 0 = not stored */
    struct cache_status_ttl *status; /* by status code; the first row that fits counts */
    size_t status_count;
    int64_t min; /* named lifetimes below are raised to it: 0 */
    int64_t max; /* those above are lowered to it: 0 = no limit */
};

/* What the origin says and the route does not heed. Bits. */
enum cache_despite {
    DESPITE_NO_STORE = 1,
    DESPITE_PRIVATE = 2,
    DESPITE_NO_CACHE = 4,
    DESPITE_AUTHORIZATION = 8,
    DESPITE_VARY_STAR = 16,
    DESPITE_MUST_REVALIDATE = 32,
    DESPITE_PROXY_REVALIDATE = 64,
    DESPITE_S_MAXAGE = 128,
};

/* Each of these breaks RFC 9111; the name says what. */
struct cache_despite_settings {
    int64_t ttl;              /* lifetime whatever the response says; 0 = none */
    uint32_t store;           /* store despite these: none */
    uint32_t stale;           /* serve stale, where a window allows it, despite these: none */
    const char **ignore_vary; /* names of request fields that Vary may name in vain */
    size_t ignore_vary_count;
};

/* Edge Side Includes. */
struct esi_settings {
    bool enabled;           /* false */
    bool require_surrogate; /* only where Surrogate-Control says content="ESI/1.0": false */
    bool other_hosts;       /* fragments may lie at other hosts: false */
    uint32_t depth;         /* fragments within fragments: 3 */
    uint32_t includes;      /* of one page in all: 64 */
    uint64_t page_bytes;    /* of one page in all: 8 MiB */
};

struct route_cache_settings {
    bool enabled;   /* true */
    bool shared;    /* with the other nodes of the farm: true */
    bool heuristic; /* freshness guessed from Last-Modified (RFC 9111 4.2.2): false */
    enum cache_client_directives client_directives; /* sparing */
    enum cache_set_cookie set_cookie;               /* pass */
    struct cache_key_settings key;
    struct cache_ttl_settings ttl;
    struct cache_despite_settings despite;
    struct esi_settings esi;
    int64_t stale_while_revalidate_s; /* when the response does not say: 0 */
    int64_t stale_if_error_s;         /* when the response does not say: 0 */
    uint32_t refresh_ahead_percent;   /* the last part of a lifetime in which a hit refreshes: 0 */
    enum cache_range_miss range_miss; /* fetch */
    uint64_t slice_bytes;             /* large media is fetched in such parts; 0 = as a whole */
    uint64_t query_body_bytes;        /* content of QUERY that is kept in the key: 16 KiB */
};

/* Codings of the content: what weir makes of stored responses, for the node and per route. */
struct compression_settings {
    uint32_t zstd_level;   /* 6 */
    uint32_t brotli_level; /* 5 */
    uint32_t gzip_level;   /* 6 */
};

/* Which Accept-Encoding a shared fetch sends. */
enum compression_ask { ASK_IDENTITY, ASK_CLIENT };

struct route_compression_settings {
    bool enabled;       /* true */
    const char **types; /* media types; a star as subtype stands for all of them */
    size_t type_count;
    uint64_t min_bytes;              /* smaller content is left alone: 1 KiB */
    bool stream;                     /* on the way too, where nothing is stored: false */
    enum compression_ask ask_origin; /* identity */
};

#endif
