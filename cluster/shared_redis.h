/*
 * shared_redis.h - shared state in a Redis Cluster, or in one Redis or Valkey: the engine of a
 * farm.
 *
 * Two endpoints, the cache's and the state's (redis.md 3.5), may be one: then one set of
 * connections serves both. Each port has its own connections; nothing but settings, scripts and TLS
 * is shared between threads. Keys and channels come complete: their prefix is the callers' matter.
 *
 * Source: redis.md 3.4 to 3.13.
 */
#ifndef SHARED_REDIS_H
#define SHARED_REDIS_H

#include <stdint.h>

#include "redis_cluster.h"
#include "weir/shared.h"

/* All of it is kept, with what it points to, until shared_free(). */
struct shared_redis_settings {
    /* `tls` is left NULL: made here from conn->tls. The same pointer twice: one endpoint. */
    const struct redis_cluster_settings *endpoints[SHARED_AREAS];
    uint32_t confirm_ms; /* how long a write that is to be confirmed waits for a replica; 0: 50 */
};

/* Connects to nobody yet: the ports do. Returns owned: shared_free(). NULL: *err, a file of TLS
 * that cannot be used, or no memory. */
struct weir_shared *shared_redis_new(const struct shared_redis_settings *settings,
                                     struct weir_err *err);

#endif
