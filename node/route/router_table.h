/*
 * router_table.h - the inside of a router, shared by its builder (router_build.c) and its search
 * (router.c).
 *
 * A site is what one host pattern leads to. Hosts are a tree of labels from the right, paths a tree
 * of segments for each site. Nodes hold lists of entries, in file order.
 */
#ifndef ROUTER_TABLE_H
#define ROUTER_TABLE_H

#include "weir/arena.h"
#include "route_compiler.h"
#include "router.h"
#include "segtrie.h"

#define ROUTER_HOST_MAX                                                                            \
    255 /* a longer host is in no table: names end at 253 bytes (RFC 1035 2.3.4) */

/* Slots of a node in the tree of hosts: numbers of sites. */
enum { HOST_EXACT, HOST_WILDCARD };
/* Slots of a node in the tree of paths: lists of entries. "/media" is WHOLE, "/media/" BELOW. */
enum { PATH_EXACT, PATH_WHOLE, PATH_BELOW };

/* A list is known by its last entry, whose next is the first: so it grows at its end. SEGTRIE_NONE:
 * empty. */
struct router_entry {
    uint32_t route;
    uint32_t next;
    const struct pattern *pattern; /* NULL but for a PCRE2 path */
};

struct router_site {
    uint32_t root;     /* in paths */
    uint32_t patterns; /* list */
};

struct router {
    struct weir_arena arena; /* routes and all their parts */
    struct route_owned *owned;
    struct route *routes;
    size_t count;
    struct segtrie hosts; /* node 0 is the root */
    struct segtrie paths;
    struct router_site *sites; /* [0]: any host */
    uint32_t site_count, site_cap;
    bool any_host; /* some route takes any host */
    struct router_entry *entries;
    uint32_t entry_count, entry_cap;
};

#endif
