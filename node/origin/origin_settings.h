/*
 * origin_settings.h - what an operator chooses about an upstream: its origins, balancing,
 * time-outs, retries.
 */
#ifndef ORIGIN_SETTINGS_H
#define ORIGIN_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls_client.h"

enum balance_kind {
    BALANCE_EWMA2,       /* default: two random choices, peak EWMA of latency times load */
    BALANCE_ROUND_ROBIN, /* smooth weighted */
    BALANCE_LEAST,       /* fewest in flight by weight */
    BALANCE_RANDOM,      /* by weight */
    BALANCE_HASH,        /* consistent (rendezvous) with bounded load */
};

enum balance_hash_on { HASH_ON_PATH, HASH_ON_CLIENT, HASH_ON_FIELD, HASH_ON_COOKIE };

/* One origin: "http://10.0.0.1:3000", "https://app.internal", "h2c://app.internal:50051",
 * "unix:/run/app.sock", options after spaces: "http://10.0.0.1:3000 weight=2 max_connections=50
 * backup". */
struct origin_settings {
    const char *url;          /* as written, without the options: identity in logs and state */
    const char *host;         /* name or address literal without brackets; NULL for a Unix socket */
    const char *unix_path;    /* NULL for TCP */
    uint16_t port;            /* 80 by default, 443 with TLS */
    bool tls;                 /* https: as upstream_settings.tls says */
    bool h2c;                 /* HTTP/2 from the first byte, without TLS */
    uint32_t weight;          /* 1..1000, default 1 */
    uint32_t max_connections; /* of the whole node; 0 = the upstream's */
    bool backup;              /* used only when no other origin is available */
};

/* What new connections begin with: whose request they carry. */
enum origin_proxy_protocol { ORIGIN_PROXY_OFF, ORIGIN_PROXY_V1, ORIGIN_PROXY_V2 };

enum health_kind { HEALTH_KIND_OFF, HEALTH_KIND_TCP, HEALTH_KIND_HTTP };

struct health_field_settings {
    const char *name, *value;
};

/* How origins are asked whether they are well (health_check.h). */
struct health_settings {
    enum health_kind kind; /* off: nobody asks, requests alone tell */
    uint16_t port;         /* another than the origin's; 0: that one. Not for Unix sockets */
    /* HTTP */
    const char *path;   /* path and query: "/" */
    const char *host;   /* Host; NULL: the upstream's, or else the origin's own */
    const char *method; /* GET, HEAD or OPTIONS */
    struct health_field_settings *fields;
    size_t field_count;
    const char *expect_status; /* "200-299,304", "2xx" */
    const char *expect_body;   /* a pattern (pattern.h); NULL: any body */

    int64_t interval_ms;      /* 2 s */
    int64_t fast_interval_ms; /* while an origin changes: 500 ms */
    int64_t timeout_ms;       /* of one probe in all: 1 s */
    uint32_t rise, fall;      /* in a row, that turn a vote: 2, 3 */
};

struct upstream_settings {
    const char *name;
    struct origin_settings *origins;
    size_t origin_count;

    enum balance_kind balance;
    enum balance_hash_on hash_on;
    const char *hash_name;      /* field or cookie name */
    uint32_t hash_load_percent; /* bound of the load: 125 */
    uint32_t panic_percent;     /* less healthy weight than this: all are asked: 40 */
    const char *sticky_cookie;  /* name, or NULL: no stickiness */
    int64_t sticky_max_age_s;   /* 0 = session cookie */

    struct tls_client_settings tls; /* for origins with TLS */
    enum origin_proxy_protocol proxy_protocol;
    const char *host;                 /* Host sent to the origin; NULL = the client's */
    uint32_t max_connections;         /* per origin: 512 */
    uint32_t max_idle;                /* kept-alive idle connections per origin and worker: 64 */
    int64_t idle_timeout_ms;          /* close an idle origin connection: 30 s */
    uint64_t requests_per_connection; /* 0 = no limit */
    uint32_t streams;                 /* HTTP/2: at a time on one connection: 100 */
    uint32_t queue;                   /* requests waiting for a connection, per worker: 1024 */
    int64_t queue_timeout_ms;         /* 5 s -> 503 */
    int64_t connect_timeout_ms;       /* TLS handshake included: 2 s */
    int64_t first_byte_timeout_ms;    /* request sent to response head: 30 s */
    int64_t read_timeout_ms;          /* between bytes: 30 s */
    int64_t write_timeout_ms;         /* the origin takes nothing: 30 s */
    int64_t resolve_interval_ms;      /* names are resolved again: 30 s */

    uint32_t retries;              /* more attempts after the first: 1 */
    uint32_t retry_budget_percent; /* of requests, over 10 s, floor 3/s: 20 */
    bool retry_on_status;          /* also 502, 503, 504 answers of safe methods: false */

    uint32_t max_fails;          /* consecutive failures that eject: 5; 0 = never */
    int64_t eject_base_ms;       /* first ejection 10 s; then x2, x3, ... */
    int64_t eject_max_ms;        /* 5 min */
    uint32_t eject_percent;      /* at most this share of the pool: 50 */
    bool fail_on_5xx;            /* count 500, 502, 503, 504 answers as failures: true */
    uint64_t response_max_bytes; /* larger response content is refused; 0 = none */
    uint32_t head_bytes;         /* response head: 64 KiB */
    uint32_t fields;             /* response fields: 200 */

    struct health_settings health;
};

#endif
