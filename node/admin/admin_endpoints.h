/*
 * admin_endpoints.h - what the admin API can do: one function for each row of the table in admin.c.
 * Each answers its request exactly once, before it returns or later (admin_defer()).
 */
#ifndef ADMIN_ENDPOINTS_H
#define ADMIN_ENDPOINTS_H

#include "admin_request.h"

void admin_cache_stats(struct admin_request *r);  /* GET /v1/cache/stats */
void admin_cache_entry(struct admin_request *r);  /* GET /v1/cache/entry?url=...&field=... */
void admin_cache_purge(struct admin_request *r);  /* POST /v1/cache/purge */
void admin_limits(struct admin_request *r);       /* GET /v1/limits */
void admin_certificates(struct admin_request *r); /* GET /v1/tls */
void admin_acme(struct admin_request *r);         /* GET /v1/tls/acme */
void admin_tickets(struct admin_request *r);      /* GET /v1/tls/tickets */
void admin_redis(struct admin_request *r);        /* GET /v1/redis */
void admin_metrics(struct admin_request *r);      /* GET /metrics: Prometheus's text format */

void admin_node(struct admin_request *r);    /* GET /v1/node */
void admin_farm(struct admin_request *r);    /* GET /v1/farm */
void admin_origins(struct admin_request *r); /* GET /v1/origins */
void admin_words(struct admin_request *r);   /* GET /v1/words */
void admin_word(struct admin_request *r);    /* POST /v1/words */
void admin_config(struct admin_request *r);  /* GET /v1/config */
void admin_reload(struct admin_request *r);  /* POST /v1/reload */
void admin_drain(struct admin_request *r);   /* POST /v1/drain */
void admin_live(struct admin_request *r);    /* GET /v1/live */
void admin_ready(struct admin_request *r);   /* GET /v1/ready */

/* The record of this node (weir/members.h) for a request that nobody has made; 0: it does not fit,
 * or there is no memory. */
size_t admin_write_record(struct admin_request *r, char *out, size_t cap);

#endif
