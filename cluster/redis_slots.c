#include "redis_slots.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "redis_reply.h"
#include "weir/alloc.h"

/* CRC16/XMODEM: polynomial 0x1021, nothing reflected, start and final xor 0. */
static const uint16_t crc16[256] = {
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
    0xc18c, 0xd1ad, 0xe1ce, 0xf1ef, 0x1231, 0x0210, 0x3273, 0x2252, 0x52b5, 0x4294, 0x72f7, 0x62d6,
    0x9339, 0x8318, 0xb37b, 0xa35a, 0xd3bd, 0xc39c, 0xf3ff, 0xe3de, 0x2462, 0x3443, 0x0420, 0x1401,
    0x64e6, 0x74c7, 0x44a4, 0x5485, 0xa56a, 0xb54b, 0x8528, 0x9509, 0xe5ee, 0xf5cf, 0xc5ac, 0xd58d,
    0x3653, 0x2672, 0x1611, 0x0630, 0x76d7, 0x66f6, 0x5695, 0x46b4, 0xb75b, 0xa77a, 0x9719, 0x8738,
    0xf7df, 0xe7fe, 0xd79d, 0xc7bc, 0x48c4, 0x58e5, 0x6886, 0x78a7, 0x0840, 0x1861, 0x2802, 0x3823,
    0xc9cc, 0xd9ed, 0xe98e, 0xf9af, 0x8948, 0x9969, 0xa90a, 0xb92b, 0x5af5, 0x4ad4, 0x7ab7, 0x6a96,
    0x1a71, 0x0a50, 0x3a33, 0x2a12, 0xdbfd, 0xcbdc, 0xfbbf, 0xeb9e, 0x9b79, 0x8b58, 0xbb3b, 0xab1a,
    0x6ca6, 0x7c87, 0x4ce4, 0x5cc5, 0x2c22, 0x3c03, 0x0c60, 0x1c41, 0xedae, 0xfd8f, 0xcdec, 0xddcd,
    0xad2a, 0xbd0b, 0x8d68, 0x9d49, 0x7e97, 0x6eb6, 0x5ed5, 0x4ef4, 0x3e13, 0x2e32, 0x1e51, 0x0e70,
    0xff9f, 0xefbe, 0xdfdd, 0xcffc, 0xbf1b, 0xaf3a, 0x9f59, 0x8f78, 0x9188, 0x81a9, 0xb1ca, 0xa1eb,
    0xd10c, 0xc12d, 0xf14e, 0xe16f, 0x1080, 0x00a1, 0x30c2, 0x20e3, 0x5004, 0x4025, 0x7046, 0x6067,
    0x83b9, 0x9398, 0xa3fb, 0xb3da, 0xc33d, 0xd31c, 0xe37f, 0xf35e, 0x02b1, 0x1290, 0x22f3, 0x32d2,
    0x4235, 0x5214, 0x6277, 0x7256, 0xb5ea, 0xa5cb, 0x95a8, 0x8589, 0xf56e, 0xe54f, 0xd52c, 0xc50d,
    0x34e2, 0x24c3, 0x14a0, 0x0481, 0x7466, 0x6447, 0x5424, 0x4405, 0xa7db, 0xb7fa, 0x8799, 0x97b8,
    0xe75f, 0xf77e, 0xc71d, 0xd73c, 0x26d3, 0x36f2, 0x0691, 0x16b0, 0x6657, 0x7676, 0x4615, 0x5634,
    0xd94c, 0xc96d, 0xf90e, 0xe92f, 0x99c8, 0x89e9, 0xb98a, 0xa9ab, 0x5844, 0x4865, 0x7806, 0x6827,
    0x18c0, 0x08e1, 0x3882, 0x28a3, 0xcb7d, 0xdb5c, 0xeb3f, 0xfb1e, 0x8bf9, 0x9bd8, 0xabbb, 0xbb9a,
    0x4a75, 0x5a54, 0x6a37, 0x7a16, 0x0af1, 0x1ad0, 0x2ab3, 0x3a92, 0xfd2e, 0xed0f, 0xdd6c, 0xcd4d,
    0xbdaa, 0xad8b, 0x9de8, 0x8dc9, 0x7c26, 0x6c07, 0x5c64, 0x4c45, 0x3ca2, 0x2c83, 0x1ce0, 0x0cc1,
    0xef1f, 0xff3e, 0xcf5d, 0xdf7c, 0xaf9b, 0xbfba, 0x8fd9, 0x9ff8, 0x6e17, 0x7e36, 0x4e55, 0x5e74,
    0x2e93, 0x3eb2, 0x0ed1, 0x1ef0,
};

/* What of a key is hashed: the text between the first '{' and the next '}', if there is any. */
static struct weir_span hashed_part(struct weir_span key)
{
    const char *open = key.len > 0 ? memchr(key.ptr, '{', key.len) : NULL;
    const char *close;

    if (open == NULL)
        return key;
    open++;
    close = memchr(open, '}', (size_t)(key.ptr + key.len - open));
    if (close == NULL || close == open)
        return key;
    return weir_span(open, (size_t)(close - open));
}

uint16_t redis_slot(struct weir_span key)
{
    struct weir_span s = hashed_part(key);
    uint16_t crc = 0;

    for (size_t i = 0; i < s.len; i++)
        crc = (uint16_t)((crc << 8) ^ crc16[((crc >> 8) ^ (unsigned char)s.ptr[i]) & 0xff]);
    return crc & (REDIS_SLOTS - 1);
}

/* ---- addresses ---- */

bool redis_address_set(struct redis_address *a, struct weir_span host, long long port)
{
    if (host.len == 0 || host.len > REDIS_HOST_MAX || port < 1 || port > 65535)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];

        if (c <= ' ' || c >= 0x7f || strchr("/[]?@,\"'\\", c) != NULL)
            return false;
    }
    memcpy(a->host, host.ptr, host.len);
    a->host[host.len] = '\0';
    a->port = (uint16_t)port;
    return true;
}

bool redis_address_parse(struct weir_span text, const struct redis_address *same_host,
                         struct redis_address *out)
{
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    struct weir_span host;
    unsigned long long port;

    if (colon == NULL)
        return false;
    host = weir_span(text.ptr, (size_t)(colon - text.ptr));
    if (!weir_span_u64(weir_span(colon + 1, text.len - host.len - 1), 65535, &port))
        return false;
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = weir_span(host.ptr + 1, host.len - 2);
    else if (host.len == 0 && same_host != NULL)
        host = weir_span_str(same_host->host);
    return redis_address_set(out, host, (long long)port);
}

bool redis_address_eq(const struct redis_address *a, const struct redis_address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

const char *redis_address_text(const struct redis_address *a, char buf[REDIS_ADDRESS_TEXT])
{
    bool v6 = strchr(a->host, ':') != NULL;

    snprintf(buf, REDIS_ADDRESS_TEXT, v6 ? "[%s]:%u" : "%s:%u", a->host, (unsigned)a->port);
    return buf;
}

/* ---- maps ---- */

static struct redis_map *map_new(uint32_t shards)
{
    struct redis_map *m = weir_calloc(1, sizeof(*m) + shards * sizeof(m->shards[0]));

    if (m == NULL)
        return NULL;
    atomic_init(&m->refs, 1);
    for (int i = 0; i < REDIS_SLOTS; i++)
        m->shard_of[i] = REDIS_NO_SHARD;
    return m;
}

struct redis_map *redis_map_plain(const struct redis_address *master)
{
    struct redis_map *m = map_new(1);

    if (m == NULL)
        return NULL;
    memset(m->shard_of, 0, sizeof(m->shard_of)); /* shard 0 owns all */
    m->shard_count = 1;
    m->covered = REDIS_SLOTS;
    m->shards[0].master = *master;
    return m;
}

struct redis_map *redis_map_ref(struct redis_map *map)
{
    atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
    return map;
}

void redis_map_unref(struct redis_map *map)
{
    if (map != NULL && atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) == 1)
        weir_free(map);
}

static bool shard_eq(const struct redis_map_shard *a, const struct redis_map_shard *b)
{
    if (!redis_address_eq(&a->master, &b->master) || a->replica_count != b->replica_count)
        return false;
    for (uint32_t i = 0; i < a->replica_count; i++)
        if (!redis_address_eq(&a->replicas[i], &b->replicas[i]))
            return false;
    return true;
}

bool redis_map_eq(const struct redis_map *a, const struct redis_map *b)
{
    if (a->shard_count != b->shard_count ||
        memcmp(a->shard_of, b->shard_of, sizeof(a->shard_of)) != 0)
        return false;
    for (uint32_t i = 0; i < a->shard_count; i++)
        if (!shard_eq(&a->shards[i], &b->shards[i]))
            return false;
    return true;
}

/*
 * A map in the making. Ranges of one master come scattered (a cluster that was resharded often has
 * hundreds), so masters are found by a hash of their address: with 16384 ranges a scan over 1024
 * masters each would hold a loop for tens of milliseconds.
 */
#define FIND_SIZE 4096 /* a power of two, four times the masters */

struct draft {
    const struct redis_address *asked;
    struct redis_map_shard *shards;
    uint32_t count, cap;
    struct redis_map *map; /* shard_of is filled; its shards are not */
    uint16_t find[FIND_SIZE];
};

static uint32_t address_hash(const struct redis_address *a)
{
    uint32_t h = 2166136261u ^ a->port;

    for (const char *c = a->host; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    return h ^ (h >> 15);
}

static bool grow(struct draft *d)
{
    uint32_t cap = d->cap == 0 ? 8 : d->cap * 2;
    struct redis_map_shard *more;

    if (d->count < d->cap)
        return true;
    more = weir_realloc(d->shards, cap * sizeof(*more));
    if (more == NULL)
        return false;
    d->shards = more;
    d->cap = cap;
    return true;
}

/* The shard of this master, made if there is none yet; REDIS_NO_SHARD with *err filled. */
static uint16_t shard_at(struct draft *d, const struct redis_address *master, struct weir_err *err)
{
    uint32_t at = address_hash(master) % FIND_SIZE;

    for (; d->find[at] != REDIS_NO_SHARD; at = (at + 1) % FIND_SIZE)
        if (redis_address_eq(&d->shards[d->find[at]].master, master))
            return d->find[at];
    if (d->count == REDIS_SHARDS_MAX) {
        weir_fail(err, WEIR_E_SHARED, "redis: slot map: too many masters", 0);
        return REDIS_NO_SHARD;
    }
    if (!grow(d)) {
        weir_fail(err, WEIR_E_MEMORY, "redis: slot map", 0);
        return REDIS_NO_SHARD;
    }
    memset(&d->shards[d->count], 0, sizeof(d->shards[0]));
    d->shards[d->count].master = *master;
    d->find[at] = (uint16_t)d->count;
    return (uint16_t)d->count++;
}

static void take_replica(struct redis_map_shard *s, const struct redis_address *replica)
{
    if (redis_address_eq(&s->master, replica))
        return; /* listed twice by a node in the middle of a failover: no copy of its own */
    for (uint32_t i = 0; i < s->replica_count; i++)
        if (redis_address_eq(&s->replicas[i], replica))
            return;
    if (s->replica_count < REDIS_REPLICAS_MAX)
        s->replicas[s->replica_count++] = *replica;
}

/* ---- CLUSTER SLOTS: [[first, last, [host, port, ...], replica ...] ...] ---- */

enum where { WHERE_KNOWN, WHERE_UNKNOWN, WHERE_BAD };

/* Where a node of the reply listens. UNKNOWN: it does not say ("?", or a port of 0). */
static enum where node_address(const struct redis_reply *node, const struct redis_address *asked,
                               struct redis_address *out)
{
    const struct redis_reply *host = redis_reply_at(node, 0);
    struct weir_span name = WEIR_SPAN_NONE;
    int64_t port;

    if (host == NULL || !redis_reply_int(redis_reply_at(node, 1), &port))
        return WHERE_BAD;
    if (!redis_reply_is_nil(host) && !redis_reply_text(host, &name))
        return WHERE_BAD;
    if (port == 0 || weir_span_eq(name, WEIR_SPAN_LIT("?")))
        return WHERE_UNKNOWN;
    if (name.len == 0) /* NULL or "": the host that was asked */
        name = weir_span_str(asked->host);
    return redis_address_set(out, name, port) ? WHERE_KNOWN : WHERE_BAD;
}

static bool take_slots(struct draft *d, uint16_t shard, int64_t first, int64_t last,
                       struct weir_err *err)
{
    for (int64_t slot = first; slot <= last; slot++) {
        uint16_t *owner = &d->map->shard_of[slot];

        if (*owner != REDIS_NO_SHARD && *owner != shard)
            return weir_failf(err, WEIR_E_SHARED, "redis: slot map", 0, "two masters claim slot %d",
                              (int)slot);
        d->map->covered += *owner == REDIS_NO_SHARD;
        *owner = shard;
    }
    return true;
}

static bool take_replicas(struct draft *d, uint16_t shard, const struct redis_reply *range,
                          struct weir_err *err)
{
    struct redis_address replica;

    for (uint32_t i = 3; i < range->count; i++) {
        enum where w = node_address(redis_reply_at(range, i), d->asked, &replica);

        if (w == WHERE_BAD)
            return weir_fail(err, WEIR_E_SHARED, "redis: slot map: bad replica", 0);
        if (w == WHERE_KNOWN)
            take_replica(&d->shards[shard], &replica);
    }
    return true;
}

static bool take_range(struct draft *d, const struct redis_reply *range, struct weir_err *err)
{
    struct redis_address master;
    int64_t first, last;
    uint16_t shard;

    if (!redis_reply_int(redis_reply_at(range, 0), &first) ||
        !redis_reply_int(redis_reply_at(range, 1), &last))
        return weir_fail(err, WEIR_E_SHARED, "redis: slot map: not a range", 0);
    if (first < 0 || last >= REDIS_SLOTS || first > last)
        return weir_fail(err, WEIR_E_SHARED, "redis: slot map: no such slots", 0);
    switch (node_address(redis_reply_at(range, 2), d->asked, &master)) {
    case WHERE_BAD:
        return weir_fail(err, WEIR_E_SHARED, "redis: slot map: bad master", 0);
    case WHERE_UNKNOWN:
        return true; /* uncovered */
    case WHERE_KNOWN:
        break;
    }
    shard = shard_at(d, &master, err);
    return shard != REDIS_NO_SHARD && take_slots(d, shard, first, last, err) &&
           take_replicas(d, shard, range, err);
}

/* Slots that the reply leaves uncovered keep their owner. */
static bool keep_owners(struct draft *d, const struct redis_map *old, struct weir_err *err)
{
    for (int slot = 0; slot < REDIS_SLOTS; slot++) {
        uint16_t owner = old->shard_of[slot];
        uint16_t shard;

        if (d->map->shard_of[slot] != REDIS_NO_SHARD || owner == REDIS_NO_SHARD)
            continue;
        shard = shard_at(d, &old->shards[owner].master, err);
        if (shard == REDIS_NO_SHARD)
            return false;
        for (uint32_t i = 0; i < old->shards[owner].replica_count; i++)
            take_replica(&d->shards[shard], &old->shards[owner].replicas[i]);
        d->map->shard_of[slot] = shard;
        d->map->kept++;
    }
    return true;
}

static bool take_reply(struct draft *d, const struct redis_reply *reply,
                       const struct redis_map *old, struct weir_err *err)
{
    if (reply == NULL || reply->kind != REDIS_KIND_ARRAY)
        return weir_fail(err, WEIR_E_SHARED, "redis: slot map: not an array", 0);
    for (uint32_t i = 0; i < reply->count; i++)
        if (!take_range(d, redis_reply_at(reply, i), err))
            return false;
    if (d->map->covered == 0)
        return weir_fail(err, WEIR_E_SHARED, "redis: slot map: no slot has an owner", 0);
    return old == NULL || keep_owners(d, old, err);
}

/* The map with its shards behind it: how many there are is known only now. */
static struct redis_map *finish(const struct draft *d)
{
    struct redis_map *m = map_new(d->count);

    if (m == NULL)
        return NULL;
    m->shard_count = d->count;
    m->covered = d->map->covered;
    m->kept = d->map->kept;
    memcpy(m->shard_of, d->map->shard_of, sizeof(m->shard_of));
    assert(d->shards != NULL); /* something is covered */
    memcpy(m->shards, d->shards, d->count * sizeof(m->shards[0]));
    return m;
}

struct redis_map *redis_map_parse(const struct redis_reply *reply,
                                  const struct redis_address *asked, const struct redis_map *old,
                                  struct weir_err *err)
{
    struct redis_map *map = NULL;
    struct draft *d = weir_calloc(1, sizeof(*d));

    if (d == NULL || (d->map = map_new(0)) == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "redis: slot map", 0);
        goto out;
    }
    d->asked = asked;
    memset(d->find, 0xff, sizeof(d->find));
    if (!take_reply(d, reply, old, err))
        goto out;
    map = finish(d);
    if (map == NULL)
        weir_fail(err, WEIR_E_MEMORY, "redis: slot map", 0);
out:
    if (d != NULL) {
        redis_map_unref(d->map);
        weir_free(d->shards);
        weir_free(d);
    }
    return map;
}
