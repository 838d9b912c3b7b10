/*
 * net_settings.h - what an operator chooses about client connections.
 */
#ifndef NET_SETTINGS_H
#define NET_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel is asked for on a listening socket; accepted ones inherit it. */
struct net_tuning {
    unsigned backlog;         /* 4096 */
    unsigned fastopen;        /* first data with the SYN: queue length; 0: off */
    int64_t defer_accept_ms;  /* not accepted before data has come, but for so long; 0: off */
    bool keepalive;           /* probes of silent connections: true */
    int64_t keepalive_idle_s; /* this and the next two: 0: the kernel's */
    int64_t keepalive_interval_s;
    unsigned keepalive_count;
};

enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };

/* TLS on an address; what it means is in tls_server.h. */
struct tls_listen_settings {
    bool enabled;
    enum tls_client_auth client_auth;
    const char *client_ca;  /* PEM file of who may issue client certificates; "": none */
    const char *client_crl; /* PEM file of what they have revoked; "": none */
    bool http2;             /* offered: true */
    bool early_data;        /* accepted; routes must allow it, too: false */
};

struct listen_settings {
    const char *address; /* "127.0.0.1:8080", "[::]:80", ":80" (all, both families),
                            "unix:/run/weir.sock", "systemd:NAME" */
    unsigned mode;       /* permissions of a Unix socket, 0660 */
    const char *user;    /* to whom its file belongs, names or numbers; NULL or "": whoever */
    const char *group;   /* weir runs as */
    struct net_tuning tuning;
    struct tls_listen_settings tls;
    bool h2c;                    /* plain: HTTP/2 by prior knowledge */
    const char **proxy_protocol; /* networks that must, and alone may, send a PROXY header */
    size_t proxy_protocol_count;
    bool redirect_https;      /* every request is sent to https, but for health */
    uint16_t https_port;      /* there: 443 */
    const char *alt_svc;      /* Alt-Svc of all responses; "": the origin's */
    bool misdirected_allowed; /* hosts that the certificate does not cover are served */
};

/* Time-outs and limits toward clients. */
struct client_settings {
    int64_t head_timeout_ms;  /* whole head, from its first byte: 10 s -> 408 */
    int64_t first_timeout_ms; /* a new connection's first byte: 30 s -> silent close */
    int64_t idle_timeout_ms;  /* between requests: 60 s -> close */
    int64_t body_timeout_ms;  /* without a byte of the request body: 60 s -> 408 */
    int64_t send_timeout_ms;  /* client takes nothing: 30 s -> reset */
    int64_t total_timeout_ms; /* one exchange in all; 0 = none */
    int64_t tunnel_idle_ms;   /* a tunnel without traffic: 5 min */
    uint64_t
        min_rate_bytes; /* bytes a second, both directions, after 10 s of grace: 500; 0 = none */
    uint64_t requests_per_connection; /* 10000 */
    uint64_t connections;             /* in all: 16384 */
    uint64_t connections_per_client;  /* per address: 1024; 0 = none */
};

/* Limits of one request head. */
struct head_settings {
    uint32_t head_bytes;   /* 32 KiB -> 431 */
    uint32_t fields;       /* 100 -> 431 */
    uint32_t field_bytes;  /* one field line: 8 KiB -> 431 */
    uint32_t target_bytes; /* 8 KiB -> 414 */
    bool underscores;      /* keep names with '_' (default: dropped) */
};

#endif
