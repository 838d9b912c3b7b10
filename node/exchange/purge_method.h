/*
 * purge_method.h - the method PURGE, for clients in `cache.purge_clients`.
 *
 *   PURGE /page               this URL, in all its variants
 *   Purge-Scope: url          or prefix, host, all: what the URL stands for
 *   Purge-Mode: soft          or hard
 *   Surrogate-Key: a b        or another of `cache.tag_fields`: these tags, and not the URL
 *
 * Answered 200 with {"sequence":N,"state":"applied"} when it is in force (in a farm: in the log,
 * and here; "unconfirmed": there in one place only), 202 with {"state":"pending"} when the log
 * cannot be reached: it is in force here, other nodes get it later. Never forwarded. Without such
 * clients PURGE is a method as any; from others it is refused (403), for a purge that reaches an
 * origin instead has purged nothing and says so to nobody.
 */
#ifndef PURGE_METHOD_H
#define PURGE_METHOD_H

#include "exchange.h"

/* The stage: before the route, since routes need not take PURGE for what they take GET. */
enum exchange_verdict purge_method_run(struct weir_exchange *x);
/* The client has left while the log was asked. */
void purge_method_cancel(struct weir_exchange *x);

#endif
