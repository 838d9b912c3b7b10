/*
 * redis_says.h - what a reply says of where to go and how the node is, beside what was asked.
 *
 * Pure. Source: Redis Cluster specification, "Redirection and resharding"; redis.md 3.3.
 */
#ifndef REDIS_SAYS_H
#define REDIS_SAYS_H

#include <stdint.h>

#include "redis_breaker.h"
#include "redis_slots.h"

struct redis_reply;

enum redis_says {
    REDIS_SAYS_ANSWER,      /* no error */
    REDIS_SAYS_ERROR,       /* an error of the command itself: for the caller */
    REDIS_SAYS_MOVED,       /* the slot belongs to another node */
    REDIS_SAYS_ASK,         /* this once, ask another node */
    REDIS_SAYS_TRYAGAIN,    /* keys of one command are on both sides of a migration */
    REDIS_SAYS_CLUSTERDOWN, /* the node does not see enough of its cluster */
    REDIS_SAYS_LOADING,     /* LOADING, MASTERDOWN, BUSY: another copy may be able to */
    REDIS_SAYS_READONLY,    /* a write reached a replica */
    REDIS_SAYS_NOSCRIPT,    /* it does not know the script */
    REDIS_SAYS_OOM,         /* no memory left */
    REDIS_SAYS_DENIED,      /* NOAUTH, NOPERM, WRONGPASS */
    REDIS_SAYS_CLIENTS,     /* it has all the clients it can take */
    REDIS_SAYS_REFUSES,     /* NOREPLICAS, MISCONF: takes no writes for now */
    REDIS_SAYS_NO_CLUSTER,  /* it is no part of any cluster */
    REDIS_SAYS_NONSENSE,    /* a MOVED or ASK that names no slot or address */
};

/* reply: not NULL. from: the node that sent it. slot, to: filled for MOVED and ASK; an empty host
 * is that of `from`. */
enum redis_says redis_says(const struct redis_reply *reply, const struct redis_address *from,
                           uint16_t *slot, struct redis_address *to);

/* What that means for the node's breaker. */
enum redis_outcome redis_says_outcome(enum redis_says s);

#endif
