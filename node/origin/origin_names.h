/*
 * origin_names.h - the addresses behind an origin: literal, a Unix socket, or a name that is
 * resolved again and again.
 *
 * Names are resolved with getaddrinfo(3) on the work pool, so /etc/hosts and nsswitch hold; never
 * on a worker's loop. A resolution that fails keeps the addresses of the last one that worked.
 */
#ifndef ORIGIN_NAMES_H
#define ORIGIN_NAMES_H

#include "net_addr.h"
#include "origin_settings.h"
#include "weir/err.h"
#include "weir/work.h"

#define ORIGIN_ADDRS_MAX 16

struct origin_names; /* counted */

/* Literals are ready at once; a name begins to be resolved on `pool`, and again every
 * interval_ms, until the last reference goes. `reply` is the control thread's box:
 * origin_names_turn() runs there. */
struct origin_names *origin_names_new(const struct origin_settings *origin, int64_t interval_ms,
                                      struct weir_work_pool *pool, struct weir_mailbox *reply,
                                      struct weir_err *err);
struct origin_names *origin_names_ref(struct origin_names *n);
void origin_names_unref(struct origin_names *n); /* any thread; NULL does nothing */

/* Control thread, now and then: starts the resolutions that are due. */
void origin_names_turn(struct origin_names *n, int64_t now_ms);
/* Has an answer (or a failure) arrived since it was created? */
bool origin_names_settled(struct origin_names *n);

/* Any thread. The i-th address (modulo their number); false if there is none: the name does not
 * resolve. */
bool origin_names_pick(struct origin_names *n, unsigned i, struct net_addr *out, unsigned *count);

#endif
