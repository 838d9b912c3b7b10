/*
 * farm_settings.h - what an operator chooses about the farm a node belongs to.
 */
#ifndef WEIR_FARM_SETTINGS_H
#define WEIR_FARM_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FARM_SECRET_LEAST 32 /* bytes of a farm's secret */

/* One Redis Cluster, or one Redis or Valkey. Texts may be empty: none. */
struct farm_redis_settings {
    const char **addresses; /* "host:port", "[::1]:port"; of some of its nodes; none: not used */
    size_t address_count;
    const char *username;
    const char *password_file;
    bool tls;
    const char *tls_ca_file;     /* "": those of the system */
    const char *tls_server_name; /* that certificates must bear; "": the address */
    const char *tls_certificate_file, *tls_key_file; /* our own */
    int64_t connect_timeout_ms;                      /* 1 s */
    bool replica_reads;                              /* true */
};

struct farm_settings {
    const char *name;        /* farms of different names do not see each other */
    const char *secret_file; /* the same in all nodes */
    struct farm_redis_settings redis;
    struct farm_redis_settings state_redis; /* no addresses: the same */
};

#endif
