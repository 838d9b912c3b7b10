/*
 * conditions.h - the conditions of a route that filter: methods, clients, fields, cookies, query.
 */
#ifndef CONDITIONS_H
#define CONDITIONS_H

#include <stdbool.h>

struct route_conditions;
struct route_match;
struct route_query;

/* Sets out->method_refused if the methods are all that fails, out->limit_hit if a pattern exceeded
 * its limits. */
bool conditions_hold(const struct route_conditions *c, const struct route_query *q,
                     struct route_match *out);

#endif
