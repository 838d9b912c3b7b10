/*
 * sticky.h - the cookie value that binds a client to an origin, and back.
 *
 * The value is a keyed hash of the origin's identity (upstream and url) in 16 hex digits: it tells
 * nobody the origin's address, nobody can make one up, and it stays valid when origins are added,
 * removed or reordered. It is valid wherever the same secret is: nodes of a farm need a common one.
 */
#ifndef STICKY_H
#define STICKY_H

#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/span.h"

struct origin_state;
struct sticky;
struct weir_hash_secret;

#define STICKY_VALUE_LEN 16

/* Borrows everything for the call. Returns owned; NULL without memory. Immutable: any thread may
 * use it. */
struct sticky *sticky_new(const struct weir_hash_secret *secret, struct origin_state *const *states,
                          size_t count, struct weir_err *err);
void sticky_free(struct sticky *s); /* NULL does nothing */

/* STICKY_VALUE_LEN hex digits and a NUL for the origin's index. */
void sticky_value(const struct sticky *s, int i, char out[STICKY_VALUE_LEN + 1]);
/* Index of the origin the value names, -1 if none does (malformed, forged, or the origin has gone).
 */
int sticky_find(const struct sticky *s, struct weir_span value);

#endif
