/*
 * redis_slots.h - which node of a Redis Cluster owns a key.
 *
 * Pure: a key's slot, and a CLUSTER SLOTS reply made into a map. A map is immutable and counted;
 * any thread may hold and drop references.
 *
 * Source: Redis Cluster specification, "Key distribution model" and "Hash tags"; commands
 * CLUSTER SLOTS (an endpoint of NULL or "" is the host that was asked, "?" is unknown).
 */
#ifndef REDIS_SLOTS_H
#define REDIS_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/span.h"

struct redis_reply;

#define REDIS_SLOTS        16384
#define REDIS_NO_SHARD     UINT16_MAX
#define REDIS_SHARDS_MAX   1024 /* a cluster of 1000 masters is the most its makers recommend */
#define REDIS_REPLICAS_MAX 5    /* further ones of a shard are not used */
#define REDIS_HOST_MAX     255

/* Where a node listens: a name, an IPv4 or an IPv6 address without brackets. */
struct redis_address {
    char host[REDIS_HOST_MAX + 1];
    uint16_t port;
};

struct redis_map_shard {
    struct redis_address master;
    struct redis_address replicas[REDIS_REPLICAS_MAX];
    uint32_t replica_count;
};

struct redis_map {
    atomic_uint refs;
    uint32_t shard_count;
    uint32_t covered; /* slots that the reply gave an owner */
    uint32_t kept;    /* slots whose owner stems from the map before (redis_map_parse) */
    uint16_t shard_of[REDIS_SLOTS]; /* index into shards, or REDIS_NO_SHARD */
    struct redis_map_shard shards[];
};

/* CRC16/XMODEM of the key, or of what stands in its first {braces} if that is not empty, mod 16384.
 */
uint16_t redis_slot(struct weir_span key);

/*
 * The map that a CLUSTER SLOTS reply describes. asked: where the reply came from. old: the map in
 * force, or NULL; slots that the reply leaves uncovered keep their owner of it, for an answer given
 * in the middle of a failover must not take a part of the key space away. Returns owned.
 *
 * NULL with *err filled if the reply is no map at all: wrong types, slots out of range or claimed
 * by two masters, addresses that are none, more than REDIS_SHARDS_MAX masters, or no slot with a
 * known owner.
 */
struct redis_map *redis_map_parse(const struct redis_reply *reply,
                                  const struct redis_address *asked, const struct redis_map *old,
                                  struct weir_err *err);
/* One master that owns every slot: a Redis that is no cluster. NULL without memory. */
struct redis_map *redis_map_plain(const struct redis_address *master);
struct redis_map *redis_map_ref(struct redis_map *map);
void redis_map_unref(struct redis_map *map); /* NULL does nothing */
/* Same owners, same replicas, same order. */
bool redis_map_eq(const struct redis_map *a, const struct redis_map *b);

/*
 * "host:port", "[v6]:port", or as MOVED writes it "v6:port" (the last colon counts). An empty host
 * is that of `same_host`, which may be NULL if that is to be an error. False: not an address.
 */
bool redis_address_parse(struct weir_span text, const struct redis_address *same_host,
                         struct redis_address *out);
/* A host as a Redis names it: 1 to 255 printable characters without blank, '/' and brackets. */
bool redis_address_set(struct redis_address *a, struct weir_span host, long long port);
bool redis_address_eq(const struct redis_address *a, const struct redis_address *b);
/* "host:port", IPv6 in brackets, into buf; returns buf. */
#define REDIS_ADDRESS_TEXT (REDIS_HOST_MAX + 10)
const char *redis_address_text(const struct redis_address *a, char buf[REDIS_ADDRESS_TEXT]);

#endif
