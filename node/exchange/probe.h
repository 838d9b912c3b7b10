/*
 * probe.h - what the cache makes of a request that nobody has sent: its route, its key, and whether
 * a variant is the one it would get. For operators, on the control thread.
 *
 * It is an exchange that never runs: target, route and key come from the code that requests go
 * through. The client's address is unknown, so routes for certain networks do not take it.
 */
#ifndef PROBE_H
#define PROBE_H

#include "exchange.h"

#define PROBE_FIELDS_MAX 32

/* Where it is made; all of it belongs to the calling thread or is immutable. */
struct probe_place {
    struct site *site;
    struct net_loop *loop;
    struct weir_metrics *metrics;
    const struct weir_hash_secret *secret;
    struct purge_table *purges;        /* NULL: none */
    struct search_rules *search_rules; /* NULL: none */
    struct pattern_scratch *scratch;
};

struct probe {
    struct weir_exchange x; /* target, route (NULL: none), key (bytes.ptr NULL without a route) */
    struct exchange_worker worker;
    struct site_worker binding;
    struct net_peer peer;
    struct http_field fields[PROBE_FIELDS_MAX];
};

/*
 * A GET for `url` ("http://host[:port]/path?query") with these fields (id and flags are looked up).
 * Borrows url and fields until probe_free(). Returns owned. NULL: BAD_TARGET, BAD_HOST,
 * HEAD_TOO_LARGE or MEMORY.
 */
struct probe *probe_new(const struct probe_place *place, struct weir_span url,
                        const struct http_field *fields, size_t field_count, struct weir_err *err);
void probe_free(struct probe *p); /* NULL does nothing */

/* The same request with the other scheme: http instead of https and the other way round. */
bool probe_swap_scheme(struct probe *p, struct weir_err *err);
/* The same request for one slice, of the size the route says; 0 there: for the whole again. */
bool probe_slice(struct probe *p, uint64_t number, struct weir_err *err);

#endif
