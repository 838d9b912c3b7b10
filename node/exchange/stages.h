/*
 * stages.h - what happens to a request, in order. The one table; add a row to add a stage.
 */
#ifndef STAGES_H
#define STAGES_H

#include "exchange.h"

enum exchange_stage_index {
    STAGE_PRESSURE,
    STAGE_TARGET,
    STAGE_CHALLENGE, /* only where certificates are obtained by ACME */
    STAGE_LOOP,
    STAGE_PURGE,
    STAGE_ROUTE,
    STAGE_LIMIT,
    STAGE_CONTENT,
    STAGE_LOOKUP,
    STAGE_COMPOSE, /* only for a page made of fragments */
};

/* Ends with a row whose run is NULL. */
extern const struct exchange_stage exchange_stages[];

/* For a sub-exchange: what earlier stages find out has been set. May call client->respond() before
 * it returns. */
void exchange_start_at(struct weir_exchange *x, enum exchange_stage_index stage);

/* Does what the route does instead of asking an origin; NEXT if it does ask one. */
enum exchange_verdict stages_act(struct weir_exchange *x);

/* Sets x->route (NULL: none takes it) and x->match from the target, fields and client of x. */
void stages_find_route(struct weir_exchange *x);

#endif
