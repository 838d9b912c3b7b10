/*
 * admin_endpoints.h - what the admin API can do: one function for each row of the table in admin.c.
 * Each answers its request exactly once, before it returns or later (admin_defer()).
 */
#ifndef ADMIN_ENDPOINTS_H
#define ADMIN_ENDPOINTS_H

#include "admin_request.h"

void admin_cache_stats(struct admin_request *r); /* GET /v1/cache/stats */
void admin_cache_entry(struct admin_request *r); /* GET /v1/cache/entry?url=...&field=... */
void admin_cache_purge(struct admin_request *r); /* POST /v1/cache/purge */
void admin_limits(struct admin_request *r);      /* GET /v1/limits */
void admin_redis(struct admin_request *r);       /* GET /v1/redis */
void admin_metrics(struct admin_request *r);     /* GET /metrics: Prometheus's text format */
void admin_live(struct admin_request *r);        /* GET /v1/live */

#endif
