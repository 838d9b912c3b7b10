/*
 * shared_redis_own.h - what the files of the redis engine share.
 */
#ifndef SHARED_REDIS_OWN_H
#define SHARED_REDIS_OWN_H

#include <pthread.h>

#include "redis_answer.h"
#include "redis_scripts.h"
#include "shared_engine.h"
#include "shared_redis.h"
#include "weir/mailbox.h"

struct event;
struct redis_sub;
struct shared_redis_ask;
struct subscription;

struct redis_engine {
    struct weir_shared base;
    struct redis_cluster_settings endpoints[SHARED_AREAS]; /* with tls */
    struct redis_tls *tls[SHARED_AREAS];
    struct redis_voice *voices[SHARED_AREAS];
    bool one; /* one endpoint serves both areas: the first */
    uint32_t confirm_ms;
    struct redis_scripts scripts;
    pthread_mutex_t lock; /* guards what follows, and what shared_redis_stats.c says */
    struct redis_port *ports;
    unsigned port_count;
};

/*
 * One operation under way. They are kept on a free list of their port, so that one more costs no
 * allocation. c == NULL: nobody waits for it (a hint to a waiter; a wake whose asker has left but
 * whose waiters must hear of it all the same).
 */
struct redis_task {
    struct redis_call call;
    struct redis_port *port;
    struct shared_call *c;
    enum redis_op op;
    enum shared_area area;
    uint32_t want; /* TOKENS_TAKE: more than that are not given */
    char *hint;    /* LEASE_WAKE, LEASE_RELEASE: owned */
    size_t hint_len;
    struct redis_task *next_idle;
    struct redis_task *next; /* of all that the port ever made */
};

struct redis_port {
    struct shared_port base;
    struct redis_loop *loop;
    struct redis_cluster *clusters[SHARED_AREAS]; /* both may be the same */
    struct redis_sub *subs[SHARED_AREAS]; /* NULL: nobody listens, or that of another area */
    struct subscription *subscriptions;   /* shared_redis_hints.c */
    bool in_client;                       /* called from inside a callback of the client */
    struct redis_task *idle, *tasks;
    bool replica_seen[SHARED_AREAS]; /* a write was confirmed once */
    uint64_t results[SHARED_AREAS][REDIS_OPS][SHARED_RESULTS];
    struct weir_mailbox box; /* what is asked for operators */
    struct event *box_event;
    struct shared_redis_ask *asks;
    struct redis_port *next_port; /* of the engine */
};

static inline struct redis_engine *redis_engine(const struct shared_port *p)
{
    return (struct redis_engine *)p->shared;
}

static inline struct redis_port *redis_port(struct shared_port *p)
{
    return (struct redis_port *)p;
}

/* ---- shared_redis_task.c ---- */

/* An idle task, or NULL without memory. c may be NULL. */
struct redis_task *redis_task_new(struct redis_port *p, enum redis_op op, enum shared_area area,
                                  struct shared_call *c);
/* Nobody waits for it any more. */
void redis_task_leave(struct redis_task *t);
/* All of them; their cluster is gone. */
void redis_tasks_free(struct redis_port *p);
/* SPUBLISH. Nobody waits for it if t->c == NULL. */
void redis_task_publish(struct redis_task *t, struct weir_span channel, struct weir_span bytes);

/* ---- shared_redis_stats.c ---- */

/* Last when a port is made, and first when it goes. */
bool redis_stats_join(struct redis_port *p, struct weir_err *err);
void redis_stats_leave(struct redis_port *p); /* harmless if it has not joined */

/* ---- shared_redis_hints.c ---- */

bool redis_hints_listen(struct shared_port *p, struct shared_listener *l, enum shared_area area,
                        struct weir_span channel, struct weir_err *err);
void redis_hints_unlisten(struct shared_port *p, struct shared_listener *l);
/* Forgets all listeners; before the clusters go. */
void redis_hints_end(struct redis_port *p);

/* ---- shared_redis_ops.c ---- */

void redis_ops_get(struct shared_port *p, struct shared_call *c, struct weir_span key);
void redis_ops_put(struct shared_port *p, struct shared_call *c, const struct shared_put *put);
void redis_ops_remove(struct shared_port *p, struct shared_call *c, struct weir_span key);
void redis_ops_remove_if(struct shared_port *p, struct shared_call *c, struct weir_span key,
                         size_t offset, struct weir_span bytes);
void redis_ops_touch(struct shared_port *p, struct shared_call *c, struct weir_span key,
                     int64_t ttl_ms);
void redis_ops_lease(struct shared_port *p, struct shared_call *c, enum shared_lease_how how,
                     const struct shared_lease *l, struct weir_span hint);
void redis_ops_log_append(struct shared_port *p, struct shared_call *c,
                          const struct shared_log *log, struct weir_span bytes);
void redis_ops_log_open(struct shared_port *p, struct shared_call *c, const struct shared_log *log);
void redis_ops_log_read(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                        uint64_t after, size_t max);
void redis_ops_board_put(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                         const struct shared_post *posts, size_t count, struct weir_span hint);
void redis_ops_board_remove(struct shared_port *p, struct shared_call *c,
                            const struct shared_board *b, const struct weir_span *ids, size_t count,
                            struct weir_span hint);
void redis_ops_board_read(struct shared_port *p, struct shared_call *c,
                          const struct shared_board *b);
void redis_ops_tokens_take(struct shared_port *p, struct shared_call *c,
                           const struct shared_rate *r, uint32_t want);
void redis_ops_hint(struct shared_port *p, struct shared_call *c, struct weir_span channel,
                    struct weir_span bytes);
void redis_ops_cancel(struct shared_port *p, struct shared_call *c);

#endif
