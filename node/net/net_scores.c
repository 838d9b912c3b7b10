#include "net_scores.h"

#include <pthread.h>
#include <string.h>

#include "net_peers.h"
#include "weir/alloc.h"

#define SHARDS    16
#define SETS      64 /* a shard */
#define WAYS      4
#define MILLI     1000
#define SCORE_MAX (1000000LL * MILLI)

struct score {
    int64_t points_m; /* thousandths, at at_ms; 0: free */
    int64_t at_ms;
    unsigned char key[NET_PEERS_KEY];
};

struct shard {
    pthread_mutex_t lock;
    struct score score[SETS][WAYS];
};

struct net_scores {
    const struct weir_hash_secret *secret;
    struct shard shard[SHARDS];
};

struct net_scores *net_scores_new(const struct weir_hash_secret *secret, struct weir_err *err)
{
    struct net_scores *s = weir_calloc(1, sizeof *s);

    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "scores: create", 0);
        return NULL;
    }
    s->secret = secret;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&s->shard[i].lock, NULL);
    return s;
}

void net_scores_free(struct net_scores *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&s->shard[i].lock);
    weir_free(s);
}

static void forgive(struct score *c, uint32_t forgiven_s, int64_t now_ms)
{
    int64_t ms = now_ms > c->at_ms ? now_ms - c->at_ms : 0;

    if (ms > INT32_MAX)
        ms = INT32_MAX;
    c->points_m -= ms * forgiven_s < c->points_m ? ms * forgiven_s : c->points_m;
    c->at_ms = now_ms;
}

/* The address's own place, or else the one with the lowest score. */
static struct score *place(struct score *set, const unsigned char *key, uint32_t forgiven_s,
                           int64_t now_ms)
{
    struct score *low = &set[0];

    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].points_m > 0 && memcmp(set[i].key, key, NET_PEERS_KEY) == 0)
            return &set[i];
    for (unsigned i = 0; i < WAYS; i++) {
        forgive(&set[i], forgiven_s, now_ms);
        if (set[i].points_m < low->points_m)
            low = &set[i];
    }
    low->points_m = 0;
    low->at_ms = now_ms;
    memcpy(low->key, key, NET_PEERS_KEY);
    return low;
}

static int64_t add(struct shard *shard, struct score *set, const unsigned char *key,
                   uint32_t points, uint32_t forgiven_s, int64_t now_ms)
{
    struct score *c;
    int64_t sum = 0;

    pthread_mutex_lock(&shard->lock);
    if (points == 0) { /* who only looks puts nobody out of place */
        for (unsigned i = 0; i < WAYS; i++)
            if (set[i].points_m > 0 && memcmp(set[i].key, key, NET_PEERS_KEY) == 0) {
                forgive(&set[i], forgiven_s, now_ms);
                sum = set[i].points_m;
            }
    } else {
        c = place(set, key, forgiven_s, now_ms);
        forgive(c, forgiven_s, now_ms);
        sum = c->points_m + (int64_t)points * MILLI;
        if (sum > SCORE_MAX)
            sum = SCORE_MAX;
        c->points_m = sum;
    }
    pthread_mutex_unlock(&shard->lock);
    return sum;
}

uint32_t net_scores_add(struct net_scores *s, const struct net_peer *peer, uint32_t points,
                        uint32_t forgiven_s, int64_t now_ms)
{
    unsigned char key[NET_PEERS_KEY];
    struct shard *shard;
    uint64_t hash;

    if (peer->family == AF_UNIX)
        return 0;
    net_peers_key(key, peer);
    hash = weir_hash64(s->secret, key, sizeof key);
    shard = &s->shard[hash % SHARDS];
    return (
        uint32_t)(add(shard, shard->score[hash / SHARDS % SETS], key, points, forgiven_s, now_ms) /
                  MILLI);
}
