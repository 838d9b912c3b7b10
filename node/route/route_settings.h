/*
 * route_settings.h - what an operator chooses about routes: what they match and what they do.
 */
#ifndef ROUTE_SETTINGS_H
#define ROUTE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache_settings.h"

/* A condition on a field, cookie or query parameter: present, equal, or matching a PCRE2 pattern.
 */
struct match_pair_settings {
    const char *name;
    const char *value;   /* NULL: any */
    const char *pattern; /* PCRE2; NULL: none. At most one of value and pattern */
    bool absent;         /* must not be there */
};

struct match_settings {
    const char **hosts; /* "example.org", "*.example.org"; empty = any */
    size_t host_count;
    const char **paths; /* "/media/" prefix by whole segments, "= /x" exact, "~ ^/u/(\\d+)$" PCRE2;
                           empty = any */
    size_t path_count;
    const char **methods;
    size_t method_count;
    struct match_pair_settings *fields;
    size_t field_count;
    struct match_pair_settings *cookies;
    size_t cookie_count;
    struct match_pair_settings *query;
    size_t query_count;
    const char **clients; /* "10.0.0.0/8", "2001:db8::/32", "192.0.2.7" */
    size_t client_count;
};

struct split_settings {
    const char *upstream;
    uint32_t weight;
};

struct field_edit_settings {
    const char *name;
    const char *value; /* may hold $1.. of the path pattern, $host, $path, $query, $client,
                          $request_id, $scheme */
};

struct field_edits_settings {
    struct field_edit_settings *set; /* replace all of that name */
    size_t set_count;
    struct field_edit_settings *add;
    size_t add_count;
    const char **remove;
    size_t remove_count;
};

enum route_action { ROUTE_UPSTREAM, ROUTE_REDIRECT, ROUTE_RESPOND, ROUTE_HEALTH };

/* May, or must, the client show a certificate? */
enum route_client_cert {
    ROUTE_CLIENT_CERT_NONE, /* nobody is told of it */
    ROUTE_CLIENT_CERT_OPTIONAL,
    ROUTE_CLIENT_CERT_REQUIRED,
};

/* Who gets 103 responses. */
enum route_early_hints {
    ROUTE_EARLY_HINTS_ALL,         /* as they came */
    ROUTE_EARLY_HINTS_NAVIGATIONS, /* browsers that open a page, and of it what they fetch by */
    ROUTE_EARLY_HINTS_OFF,
};

/* Strict-Transport-Security (RFC 6797) */
struct route_hsts_settings {
    int64_t max_age_s; /* 0: not sent */
    bool include_subdomains, preload;
};

/* What a health endpoint tells. */
enum route_health { ROUTE_HEALTH_LIVE, ROUTE_HEALTH_READY };

struct route_settings {
    const char *name; /* for logs; "route-N" when not given */
    struct match_settings match;

    enum route_action action;
    struct split_settings *split; /* ROUTE_UPSTREAM: one, or several by weight */
    size_t split_count;
    const char *redirect_to; /* may hold $1.., $host, $path, $query */
    int redirect_status;     /* 301, 302, 303, 307, 308 (default) */
    int respond_status;
    const char *respond_body;
    const char *respond_type;
    enum route_health health; /* ROUTE_HEALTH */

    const char *rewrite_pattern; /* PCRE2 over the path; NULL: none */
    const char *rewrite_to;      /* new path; may hold $1.. */
    const char *strip_prefix;    /* NULL: none */
    const char *add_prefix;      /* NULL: none */

    struct field_edits_settings request_fields;
    struct field_edits_settings response_fields;
    struct route_cache_settings cache;
    struct route_compression_settings compression;

    uint64_t body_max_bytes; /* 16 MiB -> 413; 0 = no limit */
    bool websocket;          /* allow upgrades: false */
    const char **trailers;   /* trailer field names let through, both ways */
    size_t trailer_count;
    const char **rates; /* names of rate limits */
    size_t rate_count;
    int64_t total_timeout_ms; /* 0 = the client settings' */
    bool early_data;          /* safe requests are answered before the TLS handshake is over */
    enum route_client_cert client_certificate;
    enum route_early_hints early_hints;
    struct route_hsts_settings hsts;
};

#endif
