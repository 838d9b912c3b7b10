/*
 * fetch.h - one request to an origin and what becomes of the response: passed, shared, stored, or a
 * reason to serve stale.
 *
 * A fetch runs on the worker that began it and owns the producing side of one fill. It outlives the
 * exchange that began it when others may use what comes ("a client that leaves does not kill a
 * storable fill").
 */
#ifndef FETCH_H
#define FETCH_H

#include "exchange.h"

/* For x alone: whatever comes back is x's, nothing is shared or stored. Opens x->reader. false:
 * x->err. */
bool fetch_pass(struct weir_exchange *x, void (*wake)(void *arg));

/* A fill for x's key, to be entered in the table of fills under way. NULL: x->err. */
struct fill *fetch_new_fill(struct weir_exchange *x);
/* One that was not needed. */
void fetch_drop_fill(struct fill *f);
/* x leads: starts the fetch for `fill` (entered; taken), validating x->validating if there is one.
 */
bool fetch_lead(struct weir_exchange *x, struct fill *fill, void (*wake)(void *arg));
/* Revalidates `stale` behind x's back, unless somebody does already. Never fails x. */
void fetch_refresh(struct weir_exchange *x, struct stored_response *stale);

/* The worker stops: ends every fetch; whoever still reads sees it break off. */
void fetch_cancel_all(struct exchange_worker *w);
/* Frees what is kept for reuse; once the loop has run its last turn. */
void fetch_free_kept(struct exchange_worker *w);

/* x goes: a pass is cancelled, a shared fetch goes on without a leader. */
void fetch_leave(struct weir_exchange *x);

#endif
