/*
 * origin_h2.h - one HTTP/2 connection to an origin: many fetches at a time. Private to this folder.
 *
 *   origin_h2_new(): open --GOAWAY, last request, a fault of the origin's, retired--> going
 *                      |                                                               | last
 * stream
 *                      '--------------- idle time-out, origin_h2_close() -------> closed <-----'
 *
 * A fetch is a stream. Its content comes no faster than the fetch takes it: what data() refused is
 * not credited to the origin's window, and other streams go on. Nothing that the origin has begun
 * to answer is asked again; what it said it has not looked at (REFUSED_STREAM, streams behind
 * GOAWAY's last) is, whatever the method.
 *
 * Source: RFC 9113.
 */
#ifndef ORIGIN_H2_H
#define ORIGIN_H2_H

#include "net_chan.h"
#include "origin_client.h"

struct origin_h2;

/*
 * The channel is connected, and HTTP/2 is agreed upon (ALPN, or prior knowledge). Takes it, and the
 * counted place of its connection, which origin_pool_freed() gets back when it has closed. secure:
 * the scheme is https. Links itself into p->h2. NULL without memory: nothing was taken.
 */
struct origin_h2 *origin_h2_new(struct origin_pool *p, struct net_chan chan, bool secure,
                                struct weir_err *err);
/* Can it take one more fetch? */
bool origin_h2_room(const struct origin_h2 *h);
/* No fetch is on it. */
bool origin_h2_idle(const struct origin_h2 *h);
/* Sends the fetch's request and reads its response; sets f->work. No event comes from inside. */
void origin_h2_serve(struct origin_h2 *h, struct origin_fetch *f);
/* Closes now; fetches on it fail, and are retried by the usual rules. */
void origin_h2_close(struct origin_h2 *h);
/* Takes nothing new, and closes with its last fetch. */
void origin_h2_drain(struct origin_h2 *h);
/* The next of the pool's. */
struct origin_h2 *origin_h2_next(const struct origin_h2 *h);

#endif
