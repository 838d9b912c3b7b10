/*
 * origin_fetch.h - what a connection tells its fetch. Private to this folder.
 */
#ifndef ORIGIN_FETCH_H
#define ORIGIN_FETCH_H

#include "origin_client.h"

/* The wait for a connection is over: conn, or NULL with *err. */
void origin_fetch_connected(struct origin_fetch *f, struct origin_conn *conn,
                            const struct weir_err *err);
/* The final head is here; the connection goes on with the content. */
void origin_fetch_head(struct origin_fetch *f, const struct http_head *head,
                       const struct http_framing *framing);
/* Should this final status be answered by another attempt (retry_on_status)? Then
 * origin_fetch_again(). */
bool origin_fetch_retries_status(struct origin_fetch *f, int status);
void origin_fetch_again(struct origin_fetch *f);
/* 101: the descriptor goes to the caller. */
void origin_fetch_upgraded(struct origin_fetch *f, struct net_chan chan,
                           const struct http_head *head, struct weir_span surplus);
/* The response is complete; the connection has already gone its way. */
void origin_fetch_ended(struct origin_fetch *f);
/* The connection failed and has closed. reused: it had served others before, so an origin that
 * closed it meanwhile did nothing wrong. sent: some byte of the request was written. */
void origin_fetch_failed(struct origin_fetch *f, const struct weir_err *err, bool reused,
                         bool sent);

#endif
