/*
 * redis_format.h - a command on the wire: an array of bulks, written straight into an evbuffer.
 */
#ifndef REDIS_FORMAT_H
#define REDIS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;
struct redis_arg;

#define REDIS_REFERENCE_MIN 4096 /* bytes of a blob that are rather referenced than copied */

/* Appends to out. Parts of REDIS_REFERENCE_MIN bytes and more that lie in a blob are sent from it:
 * out keeps a reference until they are gone. false: no memory, and out is as it was. */
bool redis_format(struct evbuffer *out, const struct redis_arg *argv, size_t argc);

#endif
