/*
 * keyed.h - what of a request makes its key, and so goes to the origin as it was keyed.
 *
 * A request that asks the cache is sent on, should it have to be, with the authority and the query
 * of its key: a parameter that does not count is not sent, sorted ones go sorted, an alias goes as
 * Host. That holds for whatever becomes of it, a shared fetch or a pass. What does not ask the
 * cache (unsafe methods, content where none is expected, upgrades) is sent as it came.
 *
 * What a trusted peer adds goes on to the origin too, which may build its links from it: so all of
 * it is keyed, but for addresses. Names of other methods are not sent.
 *
 * Source: RFC 9111 2.
 */
#ifndef KEYED_H
#define KEYED_H

#include "exchange.h"

/* Fills x->keyed and x->key. false: x->err. */
bool keyed_build(struct weir_exchange *x);

#endif
