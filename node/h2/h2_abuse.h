/*
 * h2_abuse.h - what a client of HTTP/2 does too often, told to http2_abuse.h, and the end of a
 * connection that does. Private to this folder.
 *
 * Everything is seen here, frame by frame, whatever nghttp2 makes of it: it calls for the header of
 * every frame it receives, for every one that it understood, and for every one that it sends. What
 * it answers with RST_STREAM was a fault of the client's.
 */
#ifndef H2_ABUSE_H
#define H2_ABUSE_H

#include "h2_conn.h"

/* Lets frames of unknown types be told: nghttp2 skips them otherwise. */
void h2_abuse_option(nghttp2_option *o);
/* nghttp2_unpack_extension_callback: and skips them then. */
int h2_abuse_skip(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd, void *arg);
/* nghttp2_on_begin_frame_callback. */
int h2_abuse_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg);
/* For on_frame_recv. false: the connection has failed. */
bool h2_abuse_received(struct h2_conn *c, const nghttp2_frame *frame);
/* For on_frame_send. */
void h2_abuse_sent(struct h2_conn *c, const nghttp2_frame *frame);
/* A field section has ended; so many bytes as RFC 9113 6.5.2 counts. */
void h2_abuse_block_end(struct h2_conn *c, uint32_t decoded);
/* Once a second: so many streams have content that no window lets out. */
void h2_abuse_stalled(struct h2_conn *c, uint32_t streams);
/* The connection begins: the account of its address may be overdrawn. */
void h2_abuse_begin(struct h2_conn *c);
/* It has ended: the rest is put down to its address. */
void h2_abuse_end(struct h2_conn *c);

#endif
