/*
 * redis_sub.h - listening to sharded channels (SSUBSCRIBE) of a Redis Cluster or of one Redis.
 *
 * Stands on a redis_cluster: a channel is heard at the master of its slot, over one connection for
 * each node that is needed, apart from those of commands. What is published is a hint and may get
 * lost: with every (re)subscription, the first one included, on_gap() says that something may have
 * been missed, so that the truth is read again. It comes after the node confirmed the subscription:
 * what is published from then on is heard. That is so after a lost connection, a failover
 * (the old master ends the subscription: redis.md M12), a slot that moved.
 *
 * Callbacks come from the loop, never from inside a function declared here; every function may be
 * called from inside them, redis_sub_free() included.
 */
#ifndef REDIS_SUB_H
#define REDIS_SUB_H

#include <stdbool.h>
#include <stdint.h>

#include "redis_cluster.h"
#include "weir/span.h"

struct redis_sub;
struct redis_topic;

/* Borrows c until redis_sub_free(). NULL without memory. */
struct redis_sub *redis_sub_new(struct redis_cluster *c, struct weir_err *err);
/* Before the cluster is freed. No callback comes any more. NULL does nothing. */
void redis_sub_free(struct redis_sub *s);

/* Embedded; all zero = not listening. Several may listen to one channel. */
struct redis_channel {
    void (*on_message)(struct redis_channel *ch, struct weir_span bytes); /* bytes: for the call */
    void (*on_gap)(struct redis_channel *ch);
    /* redis_sub.c's */
    struct redis_topic *topic; /* NULL = not listening */
    struct redis_channel *next, **at;
    uint64_t heard; /* number of the last message it was given */
    bool gap;       /* on_gap() is due */
};

/* name: 1 to 512 bytes, copied. false without memory. */
bool redis_sub_add(struct redis_sub *s, struct redis_channel *ch, struct weir_span name,
                   struct weir_err *err);
void redis_sub_remove(struct redis_channel *ch); /* harmless twice, and after the sub's end */
/* Confirmed by a node, and nothing is known against it. */
bool redis_channel_live(const struct redis_channel *ch);

struct redis_sub_stats {
    uint32_t topics, live, connections;
    uint64_t messages, subscriptions; /* subscriptions confirmed: gaps told */
    uint64_t lost;                    /* connections, and subscriptions ended by a node */
    uint64_t errors;                  /* answers that refused a subscription */
};

void redis_sub_stats(const struct redis_sub *s, struct redis_sub_stats *out);

#endif
