/*
 * bench_redis_get - the least a client of Redis can do: hiredis, GET of known keys, no more.
 *
 *   bench_redis_get PORT SECONDS DEPTH < keys      one key a line
 *
 * DEPTH requests are sent together before their replies are read. Prints one line of JSON:
 * requests, bytes, CPU microseconds of this process for each GET, GETs a second.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "bench_keys.h"

int main(int argc, char **argv)
{
    static char *keys[KEYS_MAX];
    uint64_t requests = 0, bytes = 0, dice = 88172645463325252;
    size_t count = read_keys(keys);
    redisContext *c;
    double end, began, cpu;
    int depth;

    if (argc != 4 || count == 0) {
        fprintf(stderr, "usage: bench_redis_get PORT SECONDS DEPTH < keys\n");
        return 2;
    }
    c = redisConnect("127.0.0.1", atoi(argv[1]));
    if (c == NULL || c->err != 0) {
        fprintf(stderr, "bench_redis_get: %s\n", c != NULL ? c->errstr : "no memory");
        return 1;
    }
    c->reader->maxbuf = 1024 * 1024; /* else large replies are allocated anew each time */
    depth = atoi(argv[3]);
    began = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    end = began + atof(argv[2]);
    while (seconds(CLOCK_MONOTONIC) < end) {
        for (int i = 0; i < depth; i++) {
            const char *argv_get[2] = {"GET", keys[draw(&dice) % count]};

            redisAppendCommandArgv(c, 2, argv_get, NULL);
        }
        for (int i = 0; i < depth; i++) {
            redisReply *reply = NULL;

            if (redisGetReply(c, (void **)&reply) != REDIS_OK ||
                reply->type != REDIS_REPLY_STRING) {
                fprintf(stderr, "bench_redis_get: a key is gone\n");
                return 1;
            }
            requests++;
            bytes += reply->len;
            freeReplyObject(reply);
        }
    }
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"requests\": %llu, \"bytes\": %llu, \"cpu_us\": %.3f, \"rate\": %.0f}\n",
           (unsigned long long)requests, (unsigned long long)bytes, cpu * 1e6 / (double)requests,
           (double)requests / (seconds(CLOCK_MONOTONIC) - began));
    redisFree(c);
    return 0;
}
