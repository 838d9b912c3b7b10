/*
 * router.h - which route takes a request: a compiled, immutable table.
 *
 * The most specific route wins, wherever it stands in the file:
 *
 *   1. host: exact ("example.org"), then the longest wildcard ("*.example.org": one or more labels
 * in front, not example.org itself), then any (no hosts, or "*"). Case does not matter.
 *   2. path: exact ("= /x"), then PCRE2 ("~ ^/u/(\\d+)$") in file order, then the longest prefix
 * ("/media": /media and below; "/media/": below only; "/", or no paths: everything), by whole
 * segments.
 *   3. routes equal so far: in file order.
 *
 * The other conditions (methods, clients, fields, cookies, query) filter: a route whose conditions
 * fail lets the next candidate try, down to less specific paths and then less specific hosts.
 * Values within one list are alternatives (hosts, paths, methods, clients); each field, cookie and
 * query condition must hold. A condition on a field holds if any line of that name meets it.
 * Methods compare exactly: GET does not include HEAD.
 *
 * Host and path are found by walking a tree, label by label and segment by segment, so the number
 * of routes does not matter; only PCRE2 paths of the same host, and routes with the same host and
 * path, are tried one after the other.
 */
#ifndef ROUTER_H
#define ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/err.h"
#include "weir/span.h"
#include "pattern.h"
#include "route_settings.h"

struct edits;
struct http_head;
struct rewrite;
struct route_conditions;
struct router;
struct sockaddr;
struct template;

struct route_split {
    uint32_t upstream; /* index into the names given to router_compile */
    uint32_t below;    /* weights of this and all before it */
};

/* One compiled route. Owned by its router. */
struct route {
    uint32_t index;                        /* in the settings; also the place of its counters */
    const struct route_settings *settings; /* kept: the settings must outlive the router */
    enum route_action action;
    const struct route_split *split; /* ROUTE_UPSTREAM */
    uint32_t split_count;
    uint32_t weight_total;              /* split[split_count - 1].below */
    const struct template *redirect_to; /* ROUTE_REDIRECT, else NULL */
    const struct rewrite *rewrite;      /* this and the next two: NULL if there is nothing to do */
    const struct edits *request_edits;
    const struct edits *response_edits;
    const struct route_conditions *conditions; /* router.c's own */
};

/* What a route is chosen by. All borrowed for the call. */
struct route_query {
    struct weir_span host; /* without port; IPv6 in brackets; empty: only routes for any host */
    struct weir_span
        path; /* normalised, begins with '/'; or "*" (OPTIONS), which only "/" and no paths match */
    struct weir_span query; /* without '?' */
    struct weir_span method;
    const struct http_head *head; /* fields and cookies */
    const struct sockaddr
        *client; /* after PROXY protocol and trusted forwarding; NULL: no network matches */
    struct pattern_scratch *scratch; /* of this thread */
};

struct route_match {
    struct pattern_captures
        captures;    /* of the path pattern, into the path; count 0 if the path was no pattern */
    bool host_known; /* some route names this host, or takes any: when no route is found, 404 rather
                        than 421 */
    bool method_refused; /* some candidate failed by its methods: when no route is found, 405 */
    bool limit_hit;      /* a pattern exceeded its limits and counted as no match: the request is
                            suspicious */
    uint32_t tried;      /* candidates looked at; for tests and measurements */
};

/* Told every fault of a table, in file order. path: inside the route, such as "match.paths[2]".
 * Borrowed strings. */
struct route_problems {
    void (*report)(void *arg, size_t route, const char *path, const char *message);
    void *arg;
};

/*
 * Compiles a table. upstreams: names, their index is what struct route_split holds. Keeps `routes`
 * and all they point to. Returns owned. NULL: MEMORY, or CONFIG after *all* faults were told to
 * `problems` (NULL: nobody).
 */
struct router *router_compile(const struct route_settings *routes, size_t count,
                              const char *const *upstreams, size_t upstream_count,
                              const struct route_problems *problems, struct weir_err *err);
void router_free(struct router *r); /* NULL does nothing */

size_t router_count(const struct router *r);
const struct route *router_route(const struct router *r, size_t index);

/* The route, or NULL. *out is always written. Allocates nothing (PCRE2 without JIT keeps memory in
 * the scratch). */
const struct route *router_find(const struct router *r, const struct route_query *q,
                                struct route_match *out);

/* The upstream for this request: by weight, from 32 random bits. Only for ROUTE_UPSTREAM. */
uint32_t route_pick_upstream(const struct route *route, uint32_t random);

#endif
