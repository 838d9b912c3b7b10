/*
 * origin_dial.h - a connection to an origin that is being made, and the fetches that wait for it.
 * Private to this folder.
 *
 *   CONNECTING --(address refuses: the next one)--> CONNECTING --connected--> SHAKING HANDS (TLS)
 *        |                                                                        |        |
 *        '----------- refused by all, time-out, not trusted ------> failed <------'       up
 *
 * When it is up it becomes a connection of HTTP/1.1, which the first in line has, or one of HTTP/2,
 * which serves them all. timeouts.connect covers all of it. A dial that nobody waits for any more
 * is given up. Nothing falls back: what has TLS by its URL is never spoken to without.
 */
#ifndef ORIGIN_DIAL_H
#define ORIGIN_DIAL_H

#include "net_chan.h"
#include "net_proxy.h"
#include "origin_client.h"

struct tls_session;

struct origin_dial {
    struct origin_pool *pool;
    struct origin_dial *next;           /* in the pool */
    struct origin_fetch *first, **last; /* who waits; the first in line may get it alone */
    unsigned waiting;
    struct event readable, writable;
    struct net_timer timer;
    struct net_deferred gone;
    struct net_chan chan;
    const struct tls_client_context *trust; /* made under it: compared, never followed */
    struct tls_session *tls;                /* shaking hands; NULL: not yet, or plain */
    bool http1; /* HTTP/2 is not offered: the fetch needs a connection of its own */
    bool connecting, want_read, want_write, over;
    char proxy[NET_PROXY_OUT_MAX]; /* header that goes first */
    size_t proxy_len;
    unsigned addrs_tried;
};

/* Begins, on behalf of this fetch; the counted place is the caller's until it becomes the dial's by
 * success. NULL: *err. */
struct origin_dial *origin_dial_open(struct origin_pool *p, const struct origin_fetch *f,
                                     struct weir_err *err);
/* The fetch waits for it; or is served at once, when it is up already (a Unix socket). */
void origin_dial_join(struct origin_dial *d, struct origin_fetch *f);
/* The fetch waits no more; without others the dial is given up. */
void origin_dial_leave(struct origin_fetch *f);

#endif
