/*
 * admin_state.h - what the admin side remembers between requests: rates, who was here lately, how
 * Redis was. Looked at each second by the control thread.
 */
#ifndef ADMIN_STATE_H
#define ADMIN_STATE_H

#include <stdint.h>

#include "weir/admin_place.h"
#include "weir/shared.h"
#include "known_nodes.h"
#include "net_addr.h"
#include "rates.h"
#include "recent.h"
#include "redis_cluster.h"

struct admin_source;
struct shared_redis_ask;

/* One endpoint of Redis, over all threads. */
struct admin_redis_seen {
    char name[16];
    const char *mode;
    unsigned up, down;               /* nodes; down: a thread leaves it alone for now */
    int covered;                     /* slots; -1: it is no cluster */
    char trouble[REDIS_TROUBLE_MAX]; /* "": none */
};

struct admin_state {
    const struct admin_source *source;
    struct rates rates;
    struct recent recent;
    struct known_nodes known;
    struct admin_redis_seen redis[SHARED_AREAS];
    unsigned redis_count; /* 0: no farm, or not known yet */
    struct shared_redis_ask *asking;
    unsigned turns;
    char socket[WEIR_ADMIN_PATH_MAX]; /* where operators are listened to; "": nowhere */
    char tcp[NET_TEXT_MAX];
};

void admin_state_turn(struct admin_state *s);
void admin_state_end(struct admin_state *s);
/* TLS with clients: handshakes that came to nothing, of all counters. */
int64_t admin_failed_handshakes(const int64_t sum[WEIR_METRICS]);

#endif
