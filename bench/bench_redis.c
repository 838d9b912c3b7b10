#include "bench_redis.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

struct redisContext *bench_redis_open(uint16_t port)
{
    redisContext *c = redisConnect("127.0.0.1", port);

    if (c != NULL && c->err == 0)
        return c;
    if (c != NULL)
        redisFree(c);
    return NULL;
}

static double field(const char *info, const char *name)
{
    const char *at = strstr(info, name);

    return at != NULL ? atof(at + strlen(name)) : 0;
}

bool bench_redis_ask(struct redisContext *c, struct bench_redis *out)
{
    redisReply *r = redisCommand(c, "INFO everything");
    const bool ok = r != NULL && r->type == REDIS_REPLY_STRING;

    if (ok)
        *out = (struct bench_redis){
            .commands = field(r->str, "total_commands_processed:"),
            .scripts = field(r->str, "cmdstat_evalsha:calls="),
            .hints = field(r->str, "cmdstat_spublish:calls="),
            .in_bytes = field(r->str, "total_net_input_bytes:"),
            .out_bytes = field(r->str, "total_net_output_bytes:"),
            .cpu_s = field(r->str, "used_cpu_user:") + field(r->str, "used_cpu_sys:"),
        };
    freeReplyObject(r);
    return ok;
}

bool bench_redis_sleep(struct redisContext *c, double seconds)
{
    redisReply *r = redisCommand(c, "DEBUG SLEEP %f", seconds);
    const bool ok = r != NULL && r->type == REDIS_REPLY_STATUS;

    freeReplyObject(r);
    return ok;
}
