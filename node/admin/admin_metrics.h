/*
 * admin_metrics.h - what the parts of GET /metrics share: Prometheus's text format.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include <stdbool.h>

#include "admin_request.h"

/* One metric with one value. The name goes without "weir_" and, of a counter, "_total". */
void admin_metric(struct admin_request *r, struct evbuffer *out, const char *name, const char *help,
                  bool gauge, long long value);

/* The node as one of many: members, words, origins, readiness. */
void admin_metrics_farm(struct admin_request *r, struct evbuffer *out);

#endif
