#include "net_peers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "weir/alloc.h"

#define SHARDS  64
#define BUCKETS 256 /* a shard; chains stay short up to some hundred thousand addresses */

struct client {
    struct client *next;
    unsigned char key[NET_PEERS_KEY];
    uint32_t count;
};

struct shard {
    pthread_mutex_t lock;
    struct client *bucket[BUCKETS];
};

struct net_peers {
    const struct weir_hash_secret *secret;
    atomic_uint_fast64_t count;
    struct shard shard[SHARDS];
};

struct net_peers *net_peers_new(const struct weir_hash_secret *secret, struct weir_err *err)
{
    struct net_peers *p = weir_calloc(1, sizeof *p);

    if (p == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "peers: create", 0);
        return NULL;
    }
    p->secret = secret;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&p->shard[i].lock, NULL);
    return p;
}

void net_peers_free(struct net_peers *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < SHARDS; i++) {
        for (int b = 0; b < BUCKETS; b++)
            while (p->shard[i].bucket[b] != NULL) {
                struct client *c = p->shard[i].bucket[b];

                p->shard[i].bucket[b] = c->next;
                weir_free(c);
            }
        pthread_mutex_destroy(&p->shard[i].lock);
    }
    weir_free(p);
}

void net_peers_key(unsigned char key[NET_PEERS_KEY], const struct net_peer *peer)
{
    memset(key, 0, NET_PEERS_KEY);
    key[0] = peer->family;
    memcpy(key + 1, peer->ip, peer->family == AF_INET ? 4 : 8);
}

static struct client **find(struct net_peers *p, const unsigned char key[NET_PEERS_KEY],
                            struct shard **shard)
{
    uint64_t hash = weir_hash64(p->secret, key, NET_PEERS_KEY);
    struct client **at;

    *shard = &p->shard[hash % SHARDS];
    at = &(*shard)->bucket[hash / SHARDS % BUCKETS];
    pthread_mutex_lock(&(*shard)->lock);
    while (*at != NULL && memcmp((*at)->key, key, NET_PEERS_KEY) != 0)
        at = &(*at)->next;
    return at;
}

static bool enter_client(struct net_peers *p, const struct net_peer *peer, uint64_t limit)
{
    unsigned char key[NET_PEERS_KEY];
    struct shard *shard;
    struct client **at;
    bool ok = true;

    net_peers_key(key, peer);
    at = find(p, key, &shard);
    if (*at == NULL && (*at = weir_calloc(1, sizeof **at)) != NULL)
        memcpy((*at)->key, key, sizeof key);
    if (*at != NULL) {
        ok = limit == 0 || (*at)->count < limit;
        (*at)->count += ok;
    }
    pthread_mutex_unlock(&shard->lock);
    return ok;
}

enum net_admission net_peers_enter(struct net_peers *p, const struct net_peer *peer, uint64_t limit,
                                   uint64_t limit_per_client)
{
    if (atomic_fetch_add_explicit(&p->count, 1, memory_order_relaxed) >= limit && limit != 0) {
        atomic_fetch_sub_explicit(&p->count, 1, memory_order_relaxed);
        return NET_TOO_MANY;
    }
    if (peer->family != AF_UNIX && !enter_client(p, peer, limit_per_client)) {
        atomic_fetch_sub_explicit(&p->count, 1, memory_order_relaxed);
        return NET_TOO_MANY_OF_CLIENT;
    }
    return NET_ADMITTED;
}

void net_peers_leave(struct net_peers *p, const struct net_peer *peer)
{
    unsigned char key[NET_PEERS_KEY];
    struct shard *shard;
    struct client **at, *gone = NULL;

    atomic_fetch_sub_explicit(&p->count, 1, memory_order_relaxed);
    if (peer->family == AF_UNIX)
        return;
    net_peers_key(key, peer);
    at = find(p, key, &shard);
    if (*at != NULL && --(*at)->count == 0) {
        gone = *at;
        *at = gone->next;
    }
    pthread_mutex_unlock(&shard->lock);
    weir_free(gone);
}

uint64_t net_peers_count(const struct net_peers *p)
{
    return atomic_load_explicit(&p->count, memory_order_relaxed);
}
