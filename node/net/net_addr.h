/*
 * net_addr.h - socket addresses: parsing what an operator writes, printing what a log needs.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "weir/err.h"

union net_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

struct net_addr {
    union net_sockaddr sa;
    socklen_t len;
};

/* A client's address in 20 bytes (a connection keeps this, not a sockaddr_un). */
struct net_peer {
    uint8_t family; /* AF_INET, AF_INET6, AF_UNIX */
    uint16_t port;
    uint8_t ip[16]; /* IPv4 in the first 4 */
};

#define NET_TEXT_MAX 128 /* longest text of an address, with its NUL */

/*
 * "127.0.0.1:8080", "[::1]:80", ":80" (all addresses, IPv6 with IPv4 mapped),
 * "unix:/run/weir.sock". Numeric only; false with a detail naming what was expected.
 */
bool net_addr_parse(const char *text, struct net_addr *out, struct weir_err *err);
/* Back to the same forms. Returns buf. */
const char *net_addr_text(const struct net_addr *a, char buf[NET_TEXT_MAX]);

void net_peer_from(struct net_peer *p, const struct net_addr *a);
/* Address without the port: "192.0.2.7", "2001:db8::1" (v4-mapped shown as v4), "unix". Returns its
 * length. */
size_t net_peer_text(const struct net_peer *p, char buf[NET_TEXT_MAX]);
/* As a sockaddr, for look-ups in network sets. */
void net_peer_sockaddr(const struct net_peer *p, union net_sockaddr *out);

#endif
