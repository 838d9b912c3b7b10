/*
 * origin_client.h - the way to the origins: pools of kept-alive HTTP/1.1 connections, one set per
 * worker.
 *
 *   origin_client     one worker's side: its pools, whatever upstream they serve
 *   origin_pool       one worker's connections to one origin; outlives reloads while it has any
 *   origin_upstream   one worker's view of an upstream under one settings snapshot: balancer, retry
 * budget, pools origin_fetch      one request to an upstream: the attempts, their connection, the
 * events
 *
 * Many client connections share few origin connections: a connection serves one exchange at a time
 * and goes back to its pool after it. The most recently used one is taken first, so that the
 * surplus ages out.
 *
 * The limit on connections counts over all workers (struct origin_state). A worker that must wait
 * asks the others to give up idle ones ("kick").
 */
#ifndef ORIGIN_CLIENT_H
#define ORIGIN_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/err.h"
#include "weir/metrics.h"
#include "weir/span.h"
#include "balance.h"
#include "http_framing.h"
#include "http_head.h"
#include "net_addr.h"
#include "net_chan.h"
#include "net_loop.h"
#include "net_pipe.h"
#include "origin_settings.h"
#include "retry_budget.h"

struct origin_dial;
struct origin_names;
struct origin_state;
struct origin_pool;
struct tls_client_context; /* tls_client.h */
struct tls_worker;         /* tls_session.h */
struct origin_work;        /* what serves a fetch: origin_fetch.h */

#define ORIGIN_FIELDS_MAX 1024 /* no setting may allow more */

struct origin_client {
    struct net_loop *loop;
    struct weir_metrics *metrics;
    struct tls_worker *tls; /* the worker's; set before the first fetch; NULL: no TLS */
    struct balance_rng rng;
    struct origin_pool *pools;
    struct weir_mail kick_mail;
    atomic_bool kicked;
    struct origin_client *const
        *siblings; /* every worker's client, this one too; set before workers run */
    unsigned sibling_count;
    struct http_field *scratch; /* ORIGIN_FIELDS_MAX: most response heads arrive whole */
};

bool origin_client_init(struct origin_client *c, struct net_loop *loop,
                        struct weir_metrics *metrics, uint64_t seed, struct weir_err *err);
/* Closes idle connections and frees the pools; no fetch and no upstream may be left. */
void origin_client_close(struct origin_client *c);
/* Closes idle connections (drain). */
void origin_client_drain(struct origin_client *c);

/* ---- upstream ---- */

struct origin_upstream {
    const struct upstream_settings *settings;
    struct origin_client *client;
    struct balancer *balancer;
    struct retry_budget budget;
    struct origin_state **states; /* borrowed from the site */
    struct origin_pool **pools;   /* one per origin, referenced */
    size_t count;
};

/* states and names: one per origin of the settings; borrowed for as long as the upstream lives.
 * tls: NULL when no origin has it. */
struct origin_upstream *
origin_upstream_new(struct origin_client *c, const struct upstream_settings *settings,
                    struct origin_state **states, struct origin_names **names,
                    struct tls_client_context *tls, unsigned workers, struct weir_err *err);
/* No fetch may use it any more. NULL does nothing. */
void origin_upstream_free(struct origin_upstream *u);

/* ---- fetch ---- */

/* What is asked. All borrowed until the fetch has ended. */
struct origin_request {
    struct weir_span head; /* whole serialized head with its empty line */
    enum http_method method;
    struct net_pipe *body; /* NULL: none */
    bool body_chunked;     /* frame it; else the head has Content-Length */
    bool upgrade;          /* a WebSocket handshake */
    struct weir_span websocket_key;
    struct net_peer from, to;   /* for PROXY: the client, and what it connected to */
    struct http_head *trailers; /* trailer fields of the response go here; NULL: dropped */
};

/*
 * What comes back, on the loop's thread, never from inside origin_fetch_start(). Exactly one of
 * end, fail and upgraded ends a fetch; after it, and after origin_fetch_cancel(), nothing comes any
 * more. Every callback may cancel the fetch.
 */
struct origin_events {
    /* 1xx but 101; at most 8. Spans are borrowed for the call. */
    void (*interim)(void *arg, const struct http_head *head);
    /* Final head. Borrowed for the call. */
    void (*head)(void *arg, const struct http_head *head, const struct http_framing *framing);
    /* Content; takes the slice. false: pause until origin_fetch_resume(). last: the response is
     * complete with it, end() follows at once. */
    bool (*data)(void *arg, struct weir_slice s, bool last);
    void (*end)(void *arg);
    void (*fail)(void *arg, const struct weir_err *err);
    /* 101: takes the channel. surplus: bytes of the other protocol already read; borrowed. */
    void (*upgraded)(void *arg, struct net_chan chan, const struct http_head *head,
                     struct weir_span surplus);
};

struct origin_fetch {
    struct origin_upstream *up;
    struct origin_request request;
    const struct origin_events *events;
    void *arg;
    struct origin_work *work; /* NULL: not being served */
    struct balance_hint hint;
    int index; /* origin of this attempt, -1 none */
    unsigned attempts;
    unsigned refusals; /* attempts that the origin has not looked at */
    bool active;       /* between start and the end */
    bool counted;      /* balancer_begin() without its end */
    bool got_bytes;    /* of this attempt's response: no retry any more */
    bool head_done;
    bool sticky_moved; /* the answering origin is not the one the client was bound to */
    int64_t began_us;
    int64_t latency_us; /* -1: no head yet */
    /* waiting for a connection */
    struct origin_fetch *next_waiting, **at_waiting;
    struct origin_pool *waiting_pool;
    struct net_timer queue_timer;
    /* waiting for a connection that is being made */
    struct origin_fetch *next_dialling, **at_dialling;
    struct origin_dial *dial;
    /* a failure found inside start, delivered at the end of the turn */
    struct weir_err err;
    struct net_deferred later;
    bool deferred;
};

/*
 * Begins. `f` is the caller's memory and must stay until the fetch has ended (and, if `deferred`,
 * until the turn is over: free it by net_defer()). hint: NULL for none.
 */
void origin_fetch_start(struct origin_fetch *f, struct origin_upstream *up,
                        const struct origin_request *request, const struct balance_hint *hint,
                        const struct origin_events *events, void *arg);
/* Goes on reading after data() said false. */
void origin_fetch_resume(struct origin_fetch *f);
/* Stops without any further callback; the connection is closed. Harmless when it has ended. */
void origin_fetch_cancel(struct origin_fetch *f);

#endif
