/*
 * shared_redis_sum.h - the numbers of several ports into one sum.
 */
#ifndef SHARED_REDIS_SUM_H
#define SHARED_REDIS_SUM_H

#include <stdbool.h>

#include "shared_redis_stats.h"

/* Adds what a port says of an endpoint; all zero but the name before the first. False without
 * memory: `to` is as it was. */
bool shared_redis_add(struct shared_redis_endpoint *to, const struct redis_cluster_stats *from);
void shared_redis_add_heard(struct redis_sub_stats *to, const struct redis_sub_stats *from);
void shared_redis_sum_clear(struct shared_redis_stats *s);

#endif
