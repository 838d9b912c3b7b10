/*
 * stages.h - what happens to a request, in order. The one table; add a row to add a stage.
 */
#ifndef STAGES_H
#define STAGES_H

#include "exchange.h"

/* Ends with a row whose run is NULL. */
extern const struct exchange_stage exchange_stages[];

#endif
