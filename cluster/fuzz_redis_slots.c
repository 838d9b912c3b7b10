/*
 * CLUSTER SLOTS replies, whatever bytes they are made of. The input holds one after the other; each
 * is merged with the map before it. A map that is given out must hold together.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "redis_reply.h"
#include "redis_says.h"
#include "redis_slots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct redis_map *m, const struct redis_map *old)
{
    uint32_t owned = 0;

    assert(m->shard_count > 0 && m->shard_count <= REDIS_SHARDS_MAX);
    for (int i = 0; i < REDIS_SLOTS; i++) {
        assert(m->shard_of[i] == REDIS_NO_SHARD || m->shard_of[i] < m->shard_count);
        owned += m->shard_of[i] != REDIS_NO_SHARD;
        assert(old == NULL || old->shard_of[i] == REDIS_NO_SHARD ||
               m->shard_of[i] != REDIS_NO_SHARD);
    }
    assert(m->covered > 0 && owned == m->covered + m->kept);
    for (uint32_t i = 0; i < m->shard_count; i++) {
        assert(m->shards[i].master.host[0] != '\0' && m->shards[i].master.port != 0);
        assert(m->shards[i].replica_count <= REDIS_REPLICAS_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct redis_limits limits = {1 << 16, 1 << 20};
    const struct redis_address asked = {"192.0.2.1", 6379};
    struct redis_reader *r = redis_reader_new(&limits);
    struct weir_span in = weir_span((const char *)data, size);
    struct redis_map *map = NULL;
    struct redis_reply *reply = NULL;
    struct weir_err err = {0};

    if (r == NULL)
        return 0;
    while (redis_reader_next(r, &in, &reply, &err) == REDIS_READ_REPLY) {
        struct redis_map *next = redis_map_parse(reply, &asked, map, &err);
        struct redis_address to;
        uint16_t slot;

        (void)redis_says(reply, &asked, &slot, &to);
        redis_reply_unref(reply);
        if (next == NULL)
            continue;
        check(next, map);
        redis_map_unref(map);
        map = next;
    }
    redis_map_unref(map);
    redis_reader_free(r);
    return 0;
}
