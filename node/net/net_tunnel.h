/*
 * net_tunnel.h - two connected channels that pass bytes both ways until both sides have ended
 * (WebSocket, later CONNECT).
 *
 * Half-close travels: an end of stream from one side becomes shutdown(SHUT_WR) on the other after
 * the bytes before it; a reset becomes a reset. Each direction holds at most NET_TUNNEL_BUFFER
 * bytes, or what it began with, and reads only when
 * the other side took what it has.
 */
#ifndef NET_TUNNEL_H
#define NET_TUNNEL_H

#include "net_chan.h"
#include "net_loop.h"
#include "weir/span.h"

#define NET_TUNNEL_BUFFER 16384

struct net_tunnel;

struct net_tunnel_end {
    uint64_t bytes_in, bytes_out; /* from the client, to the client */
    bool idle;                    /* ended by the idle time-out */
};

/*
 * Events of former owners are removed. `client` is kept until `ended`, and hung up by then; its
 * layer stays the caller's to close. `origin` is taken. `from_client` and `from_origin` are bytes
 * already read, sent first; borrowed, less than 4 GiB each. `ended` is called once, on
 * the loop, after both are closed. NULL without memory: channels then stay the caller's.
 */
struct net_tunnel *net_tunnel_start(struct net_loop *loop, struct net_chan *client,
                                    struct net_chan origin, struct weir_span from_client,
                                    struct weir_span from_origin, int64_t idle_ms,
                                    void (*ended)(void *arg, const struct net_tunnel_end *end),
                                    void *arg);
/* Closes both at once; `ended` is called. */
void net_tunnel_abort(struct net_tunnel *t);

#endif
