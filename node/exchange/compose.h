/*
 * compose.h - a page put together from a template and fragments (Edge Side Includes) while it is
 * sent.
 *
 *   deliver --> compose_begin() --> exchange: compose_ready() --> client->respond()
 *                                        |  an include stands first: stage COMPOSE waits for it
 *                                        v
 *               exchange_pull() --> template --esi_parser--> pieces --> text
 *                                                                 '--> sub-exchange of a fragment
 *
 * The template is a body like any other: stored, or still growing. What is stored is the template;
 * fragments are requests of their own, with their own freshness. Pieces are read ahead of what is
 * sent, so that the next few fragments are under way while the client takes what comes before them.
 *
 * A fragment that fails (any status but a 2xx, an error, a limit) is replaced by its `alt`, or left
 * out if the include says onerror="continue". Else the page fails: 502 while its head is not out,
 * which waits for an include that stands before all text; after that it breaks off. What was sent
 * in part is never passed off as the whole.
 */
#ifndef COMPOSE_H
#define COMPOSE_H

#include "exchange.h"

/* Is a response with these fields a template for x's route? The caller has looked at esi.enabled.
 */
bool compose_applies(const struct weir_exchange *x, const struct http_head *response);

/*
 * Turns the head of a template into that of a page that is one client's alone: without length,
 * validators and digests, without lifetimes for caches on the way ("Cache-Control: private,
 * no-cache"; a no-store stays). false without memory.
 */
bool compose_head(struct weir_exchange *x, struct http_head *view);

/* x->response.body becomes the page, drawn from the template that it was. false: x->err (MEMORY).
 */
bool compose_begin(struct weir_exchange *x);

enum compose_state { COMPOSE_READY, COMPOSE_WAIT, COMPOSE_FAILED };
/* Starts what can be started. May the head go out? FAILED: x->err. */
enum compose_state compose_ready(struct weir_exchange *x);

/* The template has grown before the head was out. */
void compose_wake(struct weir_exchange *x);

/* The stage COMPOSE: waits until the head may go out. */
enum exchange_verdict compose_run(struct weir_exchange *x);

#endif
