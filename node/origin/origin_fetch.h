/*
 * origin_fetch.h - what a connection tells its fetch. Private to this folder.
 */
#ifndef ORIGIN_FETCH_H
#define ORIGIN_FETCH_H

#include "origin_client.h"

/* What serves a fetch: embedded in a connection of HTTP/1, in a stream of HTTP/2. */
struct origin_work;

struct origin_work_ops {
    /* data() said false; the fetch takes more now. */
    void (*resume)(struct origin_work *w);
    /* The fetch lets go; no callback. HTTP/1 closes the connection, HTTP/2 resets the stream. */
    void (*cancel)(struct origin_work *w);
};

struct origin_work {
    const struct origin_work_ops *ops;
};

struct origin_place;

/* The wait for a connection is over: something that serves it, or none with *err. */
void origin_fetch_connected(struct origin_fetch *f, struct origin_place place,
                            const struct weir_err *err);
/* What it waited for is not to be had (the connection that was dialled carries one fetch, another
 * one's): it looks anew at the same origin. */
void origin_fetch_reconnect(struct origin_fetch *f);
/* The final head is here; the connection goes on with the content. */
void origin_fetch_head(struct origin_fetch *f, const struct http_head *head,
                       const struct http_framing *framing);
/* Should this final status be answered by another attempt (retry_on_status)? Then
 * origin_fetch_again(). */
bool origin_fetch_retries_status(struct origin_fetch *f, int status);
void origin_fetch_again(struct origin_fetch *f);
/* 101: the channel goes to the caller. */
void origin_fetch_upgraded(struct origin_fetch *f, struct net_chan chan,
                           const struct http_head *head, struct weir_span surplus);
/* The response is complete; the connection has already gone its way. */
void origin_fetch_ended(struct origin_fetch *f);
/* The origin has said that it has not looked at the request: it goes out again, whatever it is and
 * whatever the budget says, unless its content is on the way, or this goes on and on. */
void origin_fetch_refused(struct origin_fetch *f, const struct weir_err *err);
/* The connection failed and has closed. reused: it had served others before, so an origin that
 * closed it meanwhile did nothing wrong. sent: some byte of the request was written. */
void origin_fetch_failed(struct origin_fetch *f, const struct weir_err *err, bool reused,
                         bool sent);

#endif
