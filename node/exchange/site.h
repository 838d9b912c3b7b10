/*
 * site.h - what a configuration becomes for the workers: compiled routes, networks, upstreams, log
 * format.
 *
 * A site is immutable and counted; each worker binds it once (struct site_worker) and counts its
 * own exchanges there without atomics. A reload publishes a new site; exchanges keep the one they
 * began with, and a binding goes when its last exchange has ended.
 */
#ifndef SITE_H
#define SITE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/hash.h"
#include "weir/work.h"
#include "cache_settings.h"
#include "exchange_settings.h"
#include "limit_settings.h"
#include "http_parse.h"
#include "net_settings.h"
#include "origin_settings.h"
#include "route_settings.h"

struct access_format;
struct exchange_worker;
struct h2_settings;
struct limit_list;
struct acme_place;
struct limit_node;
struct limit_set;
struct netset;
struct origin_names;
struct origin_registry;
struct origin_state;
struct origin_upstream;
struct router;
struct sticky;
struct tls_client_context;

struct site_upstream {
    const struct upstream_settings *settings;
    struct origin_state **states; /* one per origin, references */
    struct origin_names **names;
    struct sticky *sticky;          /* NULL: no stickiness */
    struct tls_client_context *tls; /* NULL: no origin has TLS */
};

/* Where a site comes from; all borrowed while it lives (`release` is called when it goes). */
struct site_source {
    const struct client_settings *client;
    const struct head_settings *head;
    const struct h2_settings *http2; /* NULL: the usual */
    const struct forward_settings *forward;
    const struct cache_settings *cache;
    const struct compression_settings *compression; /* NULL: the usual levels */
    const struct log_settings *log;
    const struct upstream_settings *upstreams;
    size_t upstream_count;
    const struct route_settings *routes;
    size_t route_count;
    const struct limit_settings *limits;
    size_t limit_count;
    const struct acme_place *challenges; /* NULL: no certificates are obtained */
    void (*release)(void *owner);
    void *owner;
};

struct site {
    atomic_uint refs;
    struct site_source source;
    struct http_parse_limits limits;
    struct router *router;
    struct netset *trusted;
    struct netset *debug_clients; /* NULL: nobody is told keys */
    struct netset *purge_clients; /* NULL: PURGE is a method as any */
    struct site_upstream *upstreams;
    size_t upstream_count;
    const struct acme_place *challenges; /* of ACME; NULL: none are answered */
    struct limit_set *rate_limits;       /* NULL: none */
    struct limit_list *
        *route_limits;         /* by the route's index, NULL: it has none; NULL: no route has */
    struct access_format *log; /* NULL: no access log */
    struct weir_span pseudonym;
    char *via; /* "Via: 1.1 weir\r\n", or "" */
    uint32_t via_len;
};

/* What a site is built with; outlives it. */
struct site_tools {
    struct origin_registry *registry;
    struct weir_work_pool *pool;
    struct weir_mailbox *control; /* where resolutions are answered */
    const struct weir_hash_secret *secret;
    struct limit_node *limits;        /* NULL: there are no limits in the settings */
    const struct weir_opener *opener; /* of files; NULL: nobody but this process */
};

/* Control thread. NULL: *err (the settings have been checked before: memory, or files that
 * they name).
 * On success the source's owner belongs to the site. */
struct site *site_new(const struct site_source *source, const struct site_tools *tools,
                      struct weir_err *err);
/* How an upstream's origins are spoken to under TLS, its files read, with opener where this process
 * may not (NULL: nobody); *out NULL: none has TLS. */
bool site_make_tls(const struct upstream_settings *s, const struct weir_opener *opener,
                   struct tls_client_context **out, struct weir_err *err);
struct site *site_ref(struct site *s);
void site_unref(struct site *s); /* control thread, or any once the workers have stopped */
/* Control thread, now and then: resolves names that are due. */
void site_turn(struct site *s, int64_t now_ms);
/* Some origin can be used: neither down nor ejected. Without upstreams: nothing is missing. */
bool site_usable(const struct site *s, int64_t now_us);
/* Every origin's name has an answer or a failure. */
bool site_settled(struct site *s);

/* One worker's binding. */
struct site_worker {
    struct site *site; /* reference */
    struct exchange_worker *worker;
    struct origin_upstream **upstreams;
    unsigned users; /* exchanges and fetches */
    bool retired;
    /* Called on the worker when it has gone, with the site whose reference it held. */
    void (*gone)(void *arg, struct site *site);
    void *gone_arg;
};

/* Takes the reference to site on success. */
struct site_worker *site_bind(struct site *site, struct exchange_worker *worker, unsigned workers,
                              struct weir_err *err);
static inline struct site_worker *site_use(struct site_worker *b)
{
    b->users++;
    return b;
}
/* One user less; a retired binding without users goes. */
void site_leave(struct site_worker *b);
/* No new users; goes now or with the last one. */
void site_retire(struct site_worker *b);

#endif
