/*
 * bench_redis.h - a plain blocking connection to Redis, to ask it about itself; apart, since
 * hiredis and the client of the node have names in common.
 */
#ifndef BENCH_REDIS_H
#define BENCH_REDIS_H

#include <stdbool.h>
#include <stdint.h>

struct bench_redis {
    double commands, scripts, hints; /* since its start */
    double in_bytes, out_bytes;
    double cpu_s;
};

struct redisContext *bench_redis_open(uint16_t port); /* NULL: nobody there */
bool bench_redis_ask(struct redisContext *c, struct bench_redis *out);
/* Answers nobody for so long: returns when that is over. */
bool bench_redis_sleep(struct redisContext *c, double seconds);

#endif
