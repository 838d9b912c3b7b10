/*
 * h2_tunnel.h - a stream and an origin's connection that pass bytes both ways after an extended
 * CONNECT (WebSocket). Private to this folder.
 *
 * Half-close travels both ways, as in net_tunnel.h; a side that fails ends the whole. From the
 * client bytes come through the stream's pipe, so its window is given back as the origin takes
 * them; from the origin at most H2_TUNNEL_BUFFER bytes are read ahead of what the client's window
 * takes.
 *
 * Source: RFC 8441.
 */
#ifndef H2_TUNNEL_H
#define H2_TUNNEL_H

#include "h2_conn.h"

#define H2_TUNNEL_BUFFER 16384

/* Takes `origin`; surplus: bytes already read from it, borrowed. false: nothing has changed. */
bool h2_tunnel_start(struct h2_stream *s, struct net_chan origin, struct weir_span surplus);
/* The stream is over. */
void h2_tunnel_end(struct h2_stream *s);

/* ---- for the frames ---- */

/* Bytes for the client now; *ended: and none after these. */
size_t h2_tunnel_ready(const struct h2_stream *s, bool *ended);
/* Into the worker's out. */
void h2_tunnel_put(struct h2_stream *s, struct h2_out *o, size_t len);

#endif
