/*
 * rewrite.h - the path an origin sees instead of the one the client asked for.
 *
 * In this order: strip_prefix is taken off (whole segments; a path outside of it stays), then a
 * path that rewrite_pattern matches is replaced by rewrite_to as a whole (one that it does not
 * match stays), then add_prefix is put in front. The query is not touched.
 */
#ifndef REWRITE_H
#define REWRITE_H

#include <stdbool.h>

#include "weir/arena.h"
#include "weir/err.h"
#include "weir/span.h"

struct pattern_scratch;
struct rewrite; /* immutable; owned by its route */
struct template_values;

/*
 * *path: in, the client's path; out, the new one (in the arena, or borrowed from the input). v: as
 * matched; its captures are replaced by those of rewrite_pattern within rewrite_to. NULL rewrite:
 * leaves *path alone.
 *
 * The result is always an absolute path in the form of http_target.h: begins with one '/', holds
 * only bytes a path may hold, no dot segment, no query. Slashes in front are joined to one.
 * Anything else fails with INTERNAL and a detail, as does a pattern that exceeds its limits: both
 * are faults of the configuration. "*" stays.
 */
bool rewrite_path(const struct rewrite *r, const struct template_values *v,
                  struct pattern_scratch *scratch, struct weir_arena *arena, struct weir_span *path,
                  struct weir_err *err);

#endif
