/*
 * farm_redis.h - the engine of a farm from its settings: addresses, passwords and certificates.
 */
#ifndef FARM_REDIS_H
#define FARM_REDIS_H

#include "weir/err.h"
#include "weir/farm_settings.h"

struct farm_redis;
struct weir_opener;
struct weir_shared;

/* Borrows the settings as long as it lives; reads their files, with opener where this process may
 * not (NULL: nobody). NULL: *err. */
struct farm_redis *farm_redis_new(const struct farm_settings *s, const struct weir_opener *opener,
                                  struct weir_err *err);
struct weir_shared *farm_redis_shared(const struct farm_redis *r);
/* Frees the engine too: all its ports are closed. NULL does nothing. */
void farm_redis_free(struct farm_redis *r);

#endif
