/*
 * trailers.h - which trailer fields go on: those a route names or gRPC needs, never those that
 * frame, route or authenticate.
 *
 * Source: RFC 9110 6.5.1.
 */
#ifndef TRAILERS_H
#define TRAILERS_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/blob.h"
#include "http_head.h"

/* The allowed fields as lines, followed by the empty line if `end`. Returns owned; NULL if there is
 * none (or no memory). */
struct weir_blob *trailers_filter(const struct http_head *trailers, const char *const *allowed,
                                  size_t count, bool end);
/* The same for a call of gRPC, whose result they are: http_grpc.h says which; without the empty
 * line. */
struct weir_blob *trailers_of_call(const struct http_head *trailers);

#endif
