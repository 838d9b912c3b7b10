/*
 * search_rule.h - which parameters of a query a response says do not matter: No-Vary-Search.
 *
 * A rule is what one response says. Under it a query has a canonical form, and two requests whose
 * URLs differ in their queries alone may be answered by that response if the forms are equal. The
 * form is written for keys, never sent: the origin gets the query as the client sent it.
 *
 * The form: the parameters that matter, names and values decoded ("+" and "%xx") and written again
 * in one way, by name if their order does not matter. What could be read in several ways (bytes
 * that are no UTF-8) has no form, and a query with too many parameters has none: then the rule
 * does not apply, and only the same query matches. A field that does not parse, or has more names
 * than the limits below, is as if it were not there. All of this errs on the side of a miss.
 *
 * Rules are counted and immutable. Pure. Source: draft-ietf-httpbis-no-vary-search 3 to 6.
 */
#ifndef SEARCH_RULE_H
#define SEARCH_RULE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "weir/span.h"

struct http_head;
struct weir_arena;

#define SEARCH_RULE_NAMES_MAX 64
#define SEARCH_RULE_BYTES_MAX 2048 /* of a rule's text */
#define SEARCH_PARAMETERS_MAX 1024

struct search_rule {
    atomic_uint refs;
    bool any_order; /* of the parameters' names */
    bool wildcard;  /* only the names listed matter; else all but those */
    unsigned name_count;
    struct weir_span names[SEARCH_RULE_NAMES_MAX]; /* decoded; into `bytes` */
    /* What makes it this rule and no other: equal texts mean equal rules. Printable. */
    struct weir_span text;
    char bytes[];
};

/*
 * What a response says; NULL: nothing, or nothing that changes anything, or no memory. `arena` is
 * for the call. Returns owned.
 */
struct search_rule *search_rule_from(const struct http_head *response, struct weir_arena *arena);
struct search_rule *search_rule_ref(struct search_rule *r);
void search_rule_unref(struct search_rule *r); /* NULL does nothing */

/*
 * The canonical form of a query (without "?"; ptr NULL: none), in the arena; never with a NULL ptr,
 * for no query and an empty one are the same to a rule. false: it has none, or no memory.
 */
bool search_rule_apply(const struct search_rule *r, struct weir_span query,
                       struct weir_arena *arena, struct weir_span *out);

#endif
