/*
 * body_coded.h - a body that is coded, or decoded, while it is sent.
 *
 * Draws on another body as long as that has something at hand, 64 KiB at a time, and sends what
 * comes of it. When nothing is at hand it flushes, so that a client can read all that the origin
 * has said so far: the latency of an event stream stays what it was. While more is at hand it does
 * not.
 */
#ifndef BODY_CODED_H
#define BODY_CODED_H

#include "body.h"
#include "http_coding.h"

struct weir_err;

/*
 * Puts a coder between x's response body, whose content has the coding `from`, and the client. One
 * of `from` and `to` is identity. level: of `to`. false (MEMORY): nothing is changed.
 */
bool body_coded(struct weir_exchange *x, enum coding from, enum coding to, unsigned level);

#endif
