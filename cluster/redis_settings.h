/*
 * redis_settings.h - how connections to Redis are made and what they may cost.
 *
 * Plain data, filled from the configuration. A snapshot is immutable and must outlive every
 * connection that was made with it: connections keep pointers to it and to its strings.
 */
#ifndef REDIS_SETTINGS_H
#define REDIS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_opener;

struct redis_tls_settings {
    bool on;
    bool insecure;           /* take any certificate: for trials alone */
    const char *ca_file;     /* PEM; NULL = what the system trusts */
    const char *cert_file;   /* PEM, for servers that ask for one; NULL = none */
    const char *key_file;    /* PEM, with cert_file */
    const char *server_name; /* what certificates must name instead of the host connected to */
    const struct weir_opener *opener; /* of the files, while the context is made; NULL: nobody */
};

struct redis_settings {
    const char *username;    /* ACL user; NULL or "" = AUTH by password alone */
    const char *password;    /* NULL = no AUTH */
    const char *client_name; /* for CLIENT LIST; NULL = none */
    struct redis_tls_settings tls;
    unsigned connect_timeout_ms; /* from the start to the answer to AUTH, names and TLS included */
    unsigned ping_interval_ms;   /* PING after that much silence on an idle connection */
    unsigned silence_max_ms;     /* awaited, but nothing came for that long: closed */
    unsigned look_max_ms;        /* a connection is looked at that often, at least */
    unsigned timeouts_max;       /* time-outs in a row, with nothing heard, until it is closed */
    unsigned in_flight_max;      /* commands of one connection without a reply */
    size_t queued_max_bytes;     /* bytes of one connection not yet taken by the kernel */
    size_t bulk_max_bytes;       /* one bulk of a reply */
    size_t reply_max_bytes;      /* all bulks and texts of one reply */
};

/* What the configuration starts from. */
static inline struct redis_settings redis_settings_default(void)
{
    return (struct redis_settings){
        .client_name = "weir",
        .connect_timeout_ms = 1000,
        .ping_interval_ms = 10000,
        .silence_max_ms = 2000,
        .look_max_ms = 1000,
        .timeouts_max = 3,
        .in_flight_max = 256,
        .queued_max_bytes = (size_t)4 << 20,
        .bulk_max_bytes = (size_t)2 << 20, /* nothing we put there is larger than 1 MiB */
        .reply_max_bytes = (size_t)32 << 20,
    };
}

#endif
