/*
 * origin_dial.h - a connection to an origin that is being made, and the fetches that wait for it.
 * Private to this folder.
 *
 *   CONNECTING --(address refuses: the next one)--> CONNECTING --connected--> up: becomes an
 *        '------- refused by all, time-out -------> failed                    origin_h1
 *
 * upstreams[].connect_timeout covers all of it. A dial that nobody waits for any more is given up.
 */
#ifndef ORIGIN_DIAL_H
#define ORIGIN_DIAL_H

#include "net_chan.h"
#include "origin_client.h"

struct origin_dial {
    struct origin_pool *pool;
    struct origin_dial *next;           /* in the pool */
    struct origin_fetch *first, **last; /* who waits; the first in line may get it alone */
    unsigned waiting;
    struct event readable, writable;
    struct net_timer timer;
    struct net_deferred gone;
    struct net_chan chan;
    bool connecting, want_read, want_write, over;
    unsigned addrs_tried;
};

/* Begins; the counted place is the caller's until it becomes the dial's by success. NULL: *err. */
struct origin_dial *origin_dial_open(struct origin_pool *p, struct weir_err *err);
/* The fetch waits for it; or is served at once, when it is up already (a Unix socket). */
void origin_dial_join(struct origin_dial *d, struct origin_fetch *f);
/* The fetch waits no more; without others the dial is given up. */
void origin_dial_leave(struct origin_fetch *f);

#endif
