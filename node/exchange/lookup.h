/*
 * lookup.h - the stage that finds an answer: in the cache, in a fetch under way, or by a fetch of
 * its own.
 */
#ifndef LOOKUP_H
#define LOOKUP_H

#include "exchange.h"

enum exchange_verdict lookup_run(struct weir_exchange *x);
/* x asks for itself after all; x->fwd has been set. */
enum exchange_verdict lookup_pass(struct weir_exchange *x);
void lookup_cancel(struct weir_exchange *x);

#endif
