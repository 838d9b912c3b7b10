/*
 * route_compiler.h - what the parts of a route share while they are compiled: memory, and a place
 * for faults.
 *
 * A fault does not end the compilation: it is reported and counted, and the next part is looked at,
 * so that an operator sees all of them at once. Only a lack of memory ends it.
 */
#ifndef ROUTE_COMPILER_H
#define ROUTE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/arena.h"
#include "weir/err.h"
#include "router.h"
#include "template.h"

struct netset;

/* What the arena cannot release by itself. */
struct route_owned {
    struct route_owned *next;
    struct pattern *pattern;
    struct netset *netset;
};

struct route_compiler {
    struct weir_arena *arena; /* the router's */
    struct route_owned **owned;
    const struct route_problems *problems;
    size_t route;  /* being compiled */
    size_t faults; /* so far, over all routes */
    bool no_memory;
    const struct pattern *const
        *patterns; /* of the route's paths: what templates may capture from */
    size_t pattern_count;
    bool patterns_faulty; /* some path did not compile: templates over them cannot be judged */
};

/* Where in the route a part stands, such as "match.fields[1].pattern". */
struct route_place {
    char text[96];
};

struct route_place route_place(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reports a fault (or notes the lack of memory) at a path inside the route; false, for `return`. */
bool route_fault(struct route_compiler *c, const struct weir_err *cause, const char *path);
bool route_fault_text(struct route_compiler *c, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From the arena, zeroed, or NULL with no_memory set. count may be 0. */
void *route_alloc(struct route_compiler *c, size_t count, size_t size);

/* NULL after a fault. The router owns what is returned. */
struct pattern *route_pattern(struct route_compiler *c, const char *text, const char *path);
struct netset *route_netset(struct route_compiler *c, const char **words, size_t count,
                            const char *path);
/* A template over the captures of the route's paths; NULL, too, if these could not be compiled. */
struct template *route_template(struct route_compiler *c, const char *text, enum template_use use,
                                const char *path);

void route_owned_free(struct route_owned *first);

/* The parts, each in its own file. NULL: nothing to do, or a fault was reported. */
struct rewrite *rewrite_compile(struct route_compiler *c, const struct route_settings *s);
struct edits *edits_compile(struct route_compiler *c, const struct field_edits_settings *s,
                            bool request, const char *path);
struct route_conditions *conditions_compile(struct route_compiler *c,
                                            const struct match_settings *s);

#endif
