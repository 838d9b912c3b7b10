/*
 * origin_pool.h - one worker's connections to one origin, and who waits for one. Private to this
 * folder.
 */
#ifndef ORIGIN_POOL_H
#define ORIGIN_POOL_H

#include "origin_client.h"

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
    unsigned rotate; /* next of the origin's addresses */

    struct origin_conn *idle; /* most recently used first */
    unsigned idle_count;
    struct origin_fetch *first_waiting, **last_waiting;
    unsigned waiting_count;
};

/* The client's pool for this origin, made if need be; limits are those of the newest settings. */
struct origin_pool *origin_pool_get(struct origin_client *c, struct origin_state *state,
                                    struct origin_names *names, struct weir_err *err);
/* One user less. */
void origin_pool_release(struct origin_pool *p);

/*
 * A connection for the fetch: an idle one, or a new one being opened; NULL with WEIR_OK in
 * err->code: all are in use. careful: the request cannot be repeated, so an idle connection is
 * asked first whether the origin has closed it.
 */
struct origin_conn *origin_pool_acquire(struct origin_pool *p, bool careful, struct weir_err *err);
/* Stands in line; false when the line is full. The fetch's queue_timer is the caller's matter. */
bool origin_pool_wait(struct origin_pool *p, struct origin_fetch *f);
void origin_pool_unwait(struct origin_fetch *f);
/* A connection has served its exchange well and is kept, or handed to who waits. Takes it. */
void origin_pool_put(struct origin_conn *conn);
/* A connection has gone: its place is free. */
void origin_pool_freed(struct origin_pool *p);

#endif
