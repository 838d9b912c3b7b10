/*
 * guard_loop.h - has this request been here before?
 *
 * A request that names this farm's pseudonym in Via (RFC 9110 7.6.3) or CDN-Loop (RFC 8586) has
 * passed through it already and would go round until something breaks. Farms that stand in front of
 * each other need different pseudonyms.
 */
#ifndef GUARD_LOOP_H
#define GUARD_LOOP_H

#include <stdbool.h>

#include "http_head.h"

bool guard_loops(const struct http_head *request, struct weir_span pseudonym);

#endif
