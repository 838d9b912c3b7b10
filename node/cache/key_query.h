/*
 * key_query.h - which part of a query counts, as the operator says.
 *
 * The result is both: what goes into the key, and what goes to the origin. So whatever an
 * application makes of a parameter that is left out ("a=1;b=2" may be two to it, "%61" an "a"), it
 * never sees it, and nobody's parameter changes what others get.
 *
 * Parameters are what lies between "&". A name ends at the first "="; names compare byte by byte,
 * and nothing is decoded: "%75tm" is not "utm". Where a rule applies, empty parameters are left
 * out, and a query of which nothing is left is no query. Sorting keeps the order of those with the
 * same name.
 *
 * A query of more than KEY_QUERY_PARAMETERS_MAX parameters is taken as it is: it costs its sender
 * a miss. Pure. Source: RFC 3986 3.4.
 */
#ifndef KEY_QUERY_H
#define KEY_QUERY_H

#include <stdbool.h>

#include "weir/span.h"

struct cache_key_settings;
struct weir_arena;

#define KEY_QUERY_PARAMETERS_MAX 1024

/*
 * query: without "?"; ptr NULL: none. *out is the query itself when nothing had to change, else
 * lies in `arena`; ptr NULL: none is left. false without memory.
 */
bool key_query_apply(const struct cache_key_settings *rules, struct weir_span query,
                     struct weir_arena *arena, struct weir_span *out);

#endif
