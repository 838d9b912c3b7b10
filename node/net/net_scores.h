/*
 * net_scores.h - how much trouble each client address has made lately, over all its connections and
 * over their ends.
 *
 * A score is points, forgiven with time. The table is of fixed size, so that nobody can make it
 * grow: where it is full the lowest score gives way. Shared by all workers; meant for what happens
 * seldom (callers gather points before they tell them).
 */
#ifndef NET_SCORES_H
#define NET_SCORES_H

#include "net_addr.h"
#include "weir/hash.h"

struct net_scores;

/* keeps secret. */
struct net_scores *net_scores_new(const struct weir_hash_secret *secret, struct weir_err *err);
void net_scores_free(struct net_scores *s); /* NULL does nothing */

/* Forgives, adds, and returns the score in whole points. points 0 only looks. IPv6 clients count by
 * /64; Unix sockets have no address, and always 0. */
uint32_t net_scores_add(struct net_scores *s, const struct net_peer *peer, uint32_t points,
                        uint32_t forgiven_s, int64_t now_ms);

#endif
