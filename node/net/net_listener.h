/*
 * net_listener.h - listening sockets: opened before the workers start, accepted from on each
 * worker's loop.
 *
 * When descriptors or memory run out, accept pauses for NET_ACCEPT_PAUSE_MS (or until
 * net_listener_wake()), so that a full node neither spins nor dies.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net_addr.h"
#include "net_loop.h"
#include "net_owner.h"
#include "net_settings.h"
#include "weir/metrics.h"

#define NET_ACCEPT_PAUSE_MS 200

/*
 * Opens `count` listening sockets for one address: for TCP each its own (SO_REUSEPORT: the kernel
 * spreads connections over workers), for a Unix socket the same one, duplicated. Refuses an address
 * that anyone, another weir included, already listens on. fds[] is all set or untouched; the error
 * names the address. An address with port 0 gets a free port, the same for all; *bound (may be
 * NULL) tells which.
 */
bool net_listen_open(const struct listen_settings *settings, int *fds, unsigned count,
                     struct net_addr *bound, struct weir_err *err);

/* The same, with somebody who helps; NULL: nobody. */
bool net_listen_open_by(const struct listen_settings *settings, const struct net_helper *helper,
                        int *fds, unsigned count, struct net_addr *bound, struct weir_err *err);

/* Of a listening socket; what the kernel does not know or take is left as it is. Takes effect for
 * connections that are accepted later. */
void net_listen_tune(int fd, int family, const struct net_tuning *tuning);

struct net_listener {
    struct net_loop *loop;
    int fd;
    struct event event;
    struct net_timer resume;
    struct weir_metrics *metrics;
    /* Takes fd. Non-blocking, close-on-exec. */
    void (*accepted)(void *arg, int fd, const struct net_addr *peer);
    void *arg;
    bool paused;
};

/* As net_listen_tune(), and the backlog. */
void net_listener_retune(struct net_listener *l, const struct net_tuning *tuning);
/* Takes fd. accepted, arg, metrics are set by the caller before. */
void net_listener_start(struct net_listener *l, struct net_loop *loop, int fd);
/* Accepts what waits already (closing would reset it), then as net_listener_stop(). */
void net_listener_finish(struct net_listener *l);
/* Stops accepting and closes the socket. Idempotent. */
void net_listener_stop(struct net_listener *l);
/* A descriptor came free: accept again if paused. */
void net_listener_wake(struct net_listener *l);

#endif
