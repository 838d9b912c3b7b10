/*
 * deliver.h - from an answer found to x->response: the head as it is sent, what of the body
 * follows.
 */
#ifndef DELIVER_H
#define DELIVER_H

#include "exchange.h"

/* x->stored answers (a hit, or what a fetch came to); `stored`: it was stored just now. Client's
 * conditions are judged here: 304. false: x->err. */
bool deliver_stored(struct weir_exchange *x, bool stored);
/* x->reader's fill answers; its head is known. */
bool deliver_fill(struct weir_exchange *x);

#endif
