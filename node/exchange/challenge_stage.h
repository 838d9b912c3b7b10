/*
 * challenge_stage.h - answers challenges of kind http-01 (acme_challenge.h) before anything else is
 * done for a request: routes, redirects to https and limits do not see them. Only what the farm
 * knows is answered; all else goes on as if there were no ACME.
 */
#ifndef CHALLENGE_STAGE_H
#define CHALLENGE_STAGE_H

#include "exchange.h"
#include "site.h"

/* Is there anything for the stage to do? It costs who has no ACME this test alone. */
static inline bool challenge_stage_applies(const struct weir_exchange *x)
{
    return x->site->site->challenges != NULL && x->tls == NULL;
}

enum exchange_verdict challenge_stage_run(struct weir_exchange *x);
void challenge_stage_cancel(struct weir_exchange *x);

#endif
