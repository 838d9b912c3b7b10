/*
 * http_grpc.h - what a proxy must know of gRPC: which messages are of it, how long a call may take,
 * how its trailers and a proxy's own errors look. Pure.
 *
 * Source: gRPC's "gRPC over HTTP2" and "HTTP to gRPC Status Code Mapping".
 */
#ifndef HTTP_GRPC_H
#define HTTP_GRPC_H

#include "http_head.h"

/* POST with content of application/grpc, "+proto" and the like; not gRPC-Web, which is plain HTTP.
 */
bool http_grpc_call(const struct http_head *request);
/* grpc-timeout in whole milliseconds, at least 1; 0: none, or malformed (the origin's to say). */
int64_t http_grpc_timeout_ms(const struct http_head *request);
/* Trailers of a call are its result: they go on, but none that could speak of the message's
 * framing, its route or its client (RFC 9110 6.5.1). */
bool http_grpc_trailer(const struct http_field *f);
/* The status of gRPC for an answer of our own with this status of HTTP. */
int http_grpc_status(int status);

#endif
