/*
 * edits.h - setting, adding and removing fields of a head, both ways.
 *
 * Removes first, then sets (replaces every line of that name), then adds. Names are interned at
 * compile time. What frames or addresses a message cannot be edited: Content-Length,
 * Transfer-Encoding, Connection and the other hop-by-hop fields; Host may be set on requests, and
 * only set.
 */
#ifndef EDITS_H
#define EDITS_H

#include <stdbool.h>

#include "weir/arena.h"
#include "weir/err.h"

struct edits; /* immutable; owned by its route */
struct http_head;
struct template_values;

/*
 * Values are expanded into the arena, or borrowed from the router when they hold no variable: both
 * must live as long as the head. NULL edits: nothing to do. Fails with INTERNAL (a value that may
 * not stand in a field, or in Host) or MEMORY; the head may then hold some of the edits and must
 * not be sent.
 */
bool edits_apply(const struct edits *e, const struct template_values *v, struct http_head *head,
                 struct weir_arena *arena, struct weir_err *err);

/* True if they set Host: then the origin is asked with that one. False for NULL. */
bool edits_set_host(const struct edits *e);

#endif
