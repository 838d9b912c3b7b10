/*
 * net_chan.h - one connected socket as the protocols see it: plain, or under a layer (TLS).
 *
 * Reading and writing keep the manners of the system calls, errno included, so that a plain socket
 * costs one comparison more than the call itself. A layer (struct net_layer, embedded in its
 * owner) takes over where there is one; this folder knows no cryptography.
 *
 * What a layer may hold back, and what its user must do:
 *   - received bytes that no event of the socket will tell of: net_chan_pending(). Whoever turns
 *     reading on, or stops reading before EAGAIN, looks and activates its own readable event;
 *   - bytes it has accepted and the socket has not taken yet: net_chan_unsent(). They are out when
 *     net_chan_flush() says so; only then may the connection count as done, or be closed in order.
 */
#ifndef NET_CHAN_H
#define NET_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct net_layer;

#define NET_LAYER_SEND 131072 /* bytes that a layer accepts in one send, at most */

struct net_layer_ops {
    /* As recv(2): bytes; 0: the peer ended in order; -1: errno. An end without the layer's own
     * farewell (TLS close_notify) is -1 with ECONNRESET: what was read may not be the whole. */
    ssize_t (*recv)(struct net_layer *l, void *buf, size_t len);
    /* As sendmsg(2): bytes accepted, maybe fewer than all; -1 with EAGAIN: nothing was, wait until
     * the socket is writable. count 0: only sends on what was accepted before; 0: all is out. */
    ssize_t (*send)(struct net_layer *l, const struct iovec *iov, unsigned count);
    bool (*pending)(const struct net_layer *l);
    bool (*unsent)(const struct net_layer *l);
    /* Says that nothing more will be sent (close_notify), as far as the socket takes it. */
    void (*farewell)(struct net_layer *l);
    /* Frees the layer; not the socket. */
    void (*free)(struct net_layer *l);
};

struct net_layer {
    const struct net_layer_ops *ops;
};

struct net_chan {
    int fd;                  /* -1: none */
    struct net_layer *layer; /* NULL: plain; owned */
};

#define NET_CHAN_NONE ((struct net_chan){-1, NULL})

static inline struct net_chan net_chan_plain(int fd)
{
    return (struct net_chan){fd, NULL};
}

static inline ssize_t net_chan_recv(struct net_chan *c, void *buf, size_t len)
{
    if (c->layer != NULL)
        return c->layer->ops->recv(c->layer, buf, len);
    return recv(c->fd, buf, len, 0);
}

/* Of more than one piece, or to a layer. */
ssize_t net_chan_gather(struct net_chan *c, const struct iovec *iov, unsigned count);

/* MSG_NOSIGNAL; one iovec goes by send(2). */
static inline ssize_t net_chan_send(struct net_chan *c, const struct iovec *iov, unsigned count)
{
    if (c->layer != NULL || count != 1)
        return net_chan_gather(c, iov, count);
    return send(c->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
}

static inline bool net_chan_pending(const struct net_chan *c)
{
    return c->layer != NULL && c->layer->ops->pending(c->layer);
}

static inline bool net_chan_unsent(const struct net_chan *c)
{
    return c->layer != NULL && c->layer->ops->unsent(c->layer);
}

/* 1: nothing is held back; 0: the socket is full, wait until it is writable; -1: broken, errno. */
int net_chan_flush(struct net_chan *c);
/* Half-close: the farewell, then shutdown(SHUT_WR). */
void net_chan_shutdown(struct net_chan *c);
/* Closes the socket and keeps the layer, for what is still to be read of it (facts for a log).
 * Nothing but net_chan_close() may follow. reset: RST, and no farewell. Harmless when none. */
void net_chan_hang_up(struct net_chan *c, bool reset);
/* Hangs up, frees the layer, and leaves NET_CHAN_NONE. Harmless when none. */
void net_chan_close(struct net_chan *c, bool reset);

#endif
