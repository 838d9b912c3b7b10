/*
 * net_proxy.h - the PROXY protocol, versions 1 and 2: who is behind the peer that a connection
 * comes from. Bytes in, values out, and back.
 *
 * Read strictly: single spaces, no leading zeros, addresses that are one. TLVs are not looked at.
 *
 * Source: haproxy's doc/proxy-protocol.txt.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "net_addr.h"
#include "weir/err.h"

#define NET_PROXY_LOOK_MAX 232 /* of so many bytes a reader has to hold the first ones */
#define NET_PROXY_OUT_MAX  108 /* a header that we write */

enum net_proxy_result {
    NET_PROXY_MORE, /* so far it is one; all bytes belong to it */
    NET_PROXY_DONE,
    NET_PROXY_BAD, /* *err */
};

struct net_proxy {
    bool known;           /* false (LOCAL, UNKNOWN): the addresses are the connection's own */
    struct net_peer from; /* the client; AF_UNIX: without a name */
    struct net_peer to;   /* what it connected to */
    uint32_t bytes;       /* of the whole header; version 2: maybe more than were looked at */
};

/* bytes: from the header's beginning. */
enum net_proxy_result net_proxy_parse(const void *bytes, size_t len, struct net_proxy *p,
                                      struct weir_err *err);

/* Addresses of different families are written as IPv6; NULL or a Unix socket: UNKNOWN, LOCAL.
 * Return the length. */
size_t net_proxy_write_v1(char buf[NET_PROXY_OUT_MAX], const struct net_peer *from,
                          const struct net_peer *to);
size_t net_proxy_write_v2(char buf[NET_PROXY_OUT_MAX], const struct net_peer *from,
                          const struct net_peer *to);

#endif
