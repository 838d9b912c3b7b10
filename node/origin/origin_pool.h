/*
 * origin_pool.h - one worker's connections to one origin, and who waits for one. Private to this
 * folder.
 */
#ifndef ORIGIN_POOL_H
#define ORIGIN_POOL_H

#include "origin_client.h"

/* What an origin with TLS chose by ALPN. */
enum origin_speaks { ORIGIN_SPEAKS_UNKNOWN, ORIGIN_SPEAKS_HTTP1, ORIGIN_SPEAKS_HTTP2 };

#define ORIGIN_SNI_MAX 256

struct origin_pool {
    struct origin_pool *next;
    struct origin_client *client;
    struct origin_state *state; /* reference */
    struct origin_names *names; /* reference */
    unsigned users;             /* upstreams and open connections: 0 = may go */
    unsigned upstreams;         /* of `users`: 0 = retired, connections are not kept */
    uint32_t max_connections, max_idle;
    uint32_t queue_max;
    int64_t idle_timeout_ms;
    uint64_t requests_per_connection;
    unsigned rotate;                /* next of the origin's addresses */
    struct tls_client_context *tls; /* reference; NULL: plain */
    char tls_name[ORIGIN_SNI_MAX];
    bool h2c;
    enum origin_speaks speaks;
    enum origin_proxy_protocol proxy_protocol;

    struct origin_dial *dials; /* being made */
    struct origin_h2 *h2;      /* connections of HTTP/2; origin_h2.c keeps the list */
    uint32_t streams;          /* fetches at a time on one of them, at most */
    struct origin_h1 *idle;    /* most recently used first */
    unsigned idle_count;
    struct origin_fetch *first_waiting, **last_waiting;
    unsigned waiting_count;
};

/* The client's pool for this origin, made if need be; limits are those of the newest settings. */
struct origin_pool *origin_pool_get(struct origin_client *c, struct origin_state *state,
                                    struct origin_names *names, struct weir_err *err);
/* One upstream less. */
void origin_pool_release(struct origin_pool *p);
/* One user less. */
void origin_pool_let_go(struct origin_pool *p);

/* What can serve a fetch: one of these, or none. */
struct origin_place {
    struct origin_h2 *h2;
    struct origin_h1 *h1;
    struct origin_dial *dial;
};

static inline bool origin_place_any(struct origin_place place)
{
    return place.h2 != NULL || place.h1 != NULL || place.dial != NULL;
}

/*
 * A place for the fetch: an idle connection, or a new one being made; none with WEIR_OK in
 * err->code: all are in use. An idle connection is asked first whether the origin has closed it, if
 * the request cannot be repeated or the caller wants it (careful).
 */
struct origin_place origin_pool_acquire(struct origin_pool *p, const struct origin_fetch *f,
                                        bool careful, struct weir_err *err);
/* Stands in line; false when the line is full. The fetch's queue_timer is the caller's matter. */
bool origin_pool_wait(struct origin_pool *p, struct origin_fetch *f);
void origin_pool_unwait(struct origin_fetch *f);
/* A connection has served its exchange well and is kept, or handed to who waits. Takes it. */
void origin_pool_put(struct origin_h1 *conn);
/* A connection of HTTP/2 can take one more. */
void origin_pool_stream_free(struct origin_pool *p);
/* A connection, or what was to become one, has gone: its place is free. */
void origin_pool_freed(struct origin_pool *p);

#endif
