#include "net_chan.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

ssize_t net_chan_gather(struct net_chan *c, const struct iovec *iov, unsigned count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};

    if (c->layer != NULL)
        return c->layer->ops->send(c->layer, iov, count);
    return sendmsg(c->fd, &msg, MSG_NOSIGNAL);
}

int net_chan_flush(struct net_chan *c)
{
    if (c->layer == NULL)
        return 1;
    for (;;) {
        if (c->layer->ops->send(c->layer, NULL, 0) >= 0)
            return 1;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

void net_chan_shutdown(struct net_chan *c)
{
    if (c->layer != NULL)
        c->layer->ops->farewell(c->layer);
    if (c->fd >= 0)
        shutdown(c->fd, SHUT_WR);
}

void net_chan_hang_up(struct net_chan *c, bool reset)
{
    struct linger now = {1, 0};

    if (c->fd < 0)
        return;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    else if (c->layer != NULL)
        c->layer->ops->farewell(c->layer);
    close(c->fd);
    c->fd = -1; /* its number may be another connection's before this turn is over */
}

void net_chan_close(struct net_chan *c, bool reset)
{
    net_chan_hang_up(c, reset);
    if (c->layer != NULL)
        c->layer->ops->free(c->layer);
    *c = NET_CHAN_NONE;
}
