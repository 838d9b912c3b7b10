/*
 * net_peers.h - how many connections each client address has, and all of them together.
 *
 * Shared by all workers; touched only when a connection opens or closes.
 */
#ifndef NET_PEERS_H
#define NET_PEERS_H

#include "net_addr.h"
#include "weir/hash.h"

struct net_peers;

enum net_admission {
    NET_ADMITTED,
    NET_TOO_MANY,          /* the node is full */
    NET_TOO_MANY_OF_CLIENT /* this address has its share */
};

struct net_peers *net_peers_new(const struct weir_hash_secret *secret, struct weir_err *err);
void net_peers_free(struct net_peers *p); /* NULL does nothing */

/* Counts the connection in if both limits allow (0 = none). IPv6 clients count by /64, which one
 * customer usually owns; Unix sockets only count in all. Without memory the address is not counted.
 */
enum net_admission net_peers_enter(struct net_peers *p, const struct net_peer *peer, uint64_t limit,
                                   uint64_t limit_per_client);
void net_peers_leave(struct net_peers *p, const struct net_peer *peer);
uint64_t net_peers_count(const struct net_peers *p);

/* What stands for one client: family, then the address or its /64. */
#define NET_PEERS_KEY 9
void net_peers_key(unsigned char key[NET_PEERS_KEY], const struct net_peer *peer);

#endif
