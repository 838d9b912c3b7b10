/*
 * h2_tunnel.h - a stream and an origin's connection that pass bytes both ways after an extended
 * CONNECT (WebSocket). Private to this folder.
 *
 * Half-close travels both ways, as in net_tunnel.h: the origin's FIN is END_STREAM, and the client
 * may go on until it ends. When all has been passed on and nothing but the client's end is missing,
 * 10 s of silence are enough; else it is the idle time. A side that fails ends the whole: the
 * origin's RST is RST_STREAM(CANCEL), a reset stream is RST to the origin. From the client bytes
 * come through the stream's pipe, so its window is given back as the origin takes them; from the
 * origin at most H2_TUNNEL_BUFFER bytes (and first what came with its answer) are read ahead of
 * what the client's window takes.
 *
 * Source: RFC 8441 5.
 */
#ifndef H2_TUNNEL_H
#define H2_TUNNEL_H

#include "h2_conn.h"

#define H2_TUNNEL_BUFFER 16384

/* Takes `origin`; surplus: bytes already read from it, borrowed. false: nothing has changed. */
bool h2_tunnel_start(struct h2_stream *s, struct net_chan origin, struct weir_span surplus);
/* The stream is over. */
void h2_tunnel_end(struct h2_stream *s);
/* Both sides have ended, and bytes of the client's are still on their way to the origin. */
bool h2_tunnel_delivers(const struct h2_stream *s);

/* ---- for the frames ---- */

/* Bytes for the client now; *ended: and none after these. */
size_t h2_tunnel_ready(const struct h2_stream *s, bool *ended);
/* Into the worker's out. */
void h2_tunnel_put(struct h2_stream *s, struct h2_out *o, size_t len);

#endif
