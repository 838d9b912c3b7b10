/*
 * worker.h - one worker thread: its loop, its listeners, its clients, its way to the origins.
 *
 * The control thread builds it, starts it, and from then on speaks to it by mail alone.
 */
#ifndef WORKER_H
#define WORKER_H

#include <pthread.h>

#include "exchange.h"
#include "farm.h"
#include "front.h"
#include "h2_server.h"
#include "net_listener.h"

#define WORKER_LISTENERS_MAX 64

/* What all workers share; made before and freed after them. */
struct worker_shared {
    struct tier *tier;       /* NULL: no cache */
    struct recoder *recoder; /* NULL likewise */
    struct inflight *inflight;
    struct purge_table *purges;        /* NULL: no cache */
    struct purge_feed *purge_feed;     /* NULL: no farm, or no cache */
    struct search_rules *search_rules; /* NULL: no cache */
    struct net_peers *peers;
    struct net_scores *scores;
    struct limit_node *limits;
    struct weir_work_pool *tls_pool; /* signs with slow keys; NULL: workers do */
    struct farm *farm;
    const struct cache_settings *cache; /* as at the start; while workers are made */
    const struct weir_hash_secret *secret;
    struct net_loop *control;
    unsigned workers;
    atomic_int pressure;        /* enum exchange_pressure */
    const atomic_bool *ready;   /* readiness.h */
    void (*drained)(void *arg); /* on the control thread: a worker has no connection left */
    void *arg;
};

struct worker_change;

struct worker_listener {
    struct net_listener listener;
    struct worker *worker;
    const struct front_entry *entry; /* what new connections come by; a reference; NULL: free place
                                      */
};

struct worker {
    struct worker_shared *shared;
    unsigned index;
    pthread_t thread;
    bool started;
    struct net_loop loop;
    struct farm_port port;
    struct exchange_worker x;
    struct net_clients clients;
    struct front front;
    struct tls_worker *tls;
    struct h1_server server;
    struct h2_server h2;
    struct worker_listener listeners[WORKER_LISTENERS_MAX];
    struct weir_mail polite_mail, drain_mail, abort_mail, stop_mail, drained_mail, shed_mail;
    atomic_bool shedding; /* shed_mail is on its way */
    bool drained;
    _Alignas(64) struct weir_metrics metrics;
};

/* Control thread. On failure *err, and nothing is left behind. */
struct worker *worker_new(struct worker_shared *shared, unsigned index, struct site *site,
                          struct weir_sink *access, struct weir_err *err);
/* Before it starts: takes fd, and keeps a reference. */
bool worker_listen(struct worker *w, const struct front_entry *entry, int fd, struct weir_err *err);
bool worker_start(struct worker *w, struct weir_err *err);

/* ---- by mail ---- */

struct worker_listen {
    unsigned id;                     /* of the address */
    int fd;                          /* taken; -1: it is listened on already */
    const struct front_entry *entry; /* from now on; a reference, passed on; NULL: stop listening */
};

/* One reload for one worker. The control thread's, who keeps it until `done`. */
struct worker_change {
    struct weir_mail mail;
    struct worker *worker;
    struct site *site; /* reference, passed on */
    struct weir_sink *access;
    struct worker_listen listen[WORKER_LISTENERS_MAX];
    unsigned listen_count;
    void (*done)(struct worker_change *c); /* control thread */
    void *arg;
    bool applied; /* false: no memory, the old site stays on this worker */
};

void worker_apply(struct worker_change *c);
/* Closes connections that say nothing. */
void worker_shed(struct worker *w);
/* Answers ask clients to go elsewhere; it still accepts. */
void worker_be_polite(struct worker *w);
void worker_drain(struct worker *w);
void worker_abort(struct worker *w);
/* Ends the thread and waits for it; the worker must be drained or aborted. */
void worker_stop(struct worker *w);
void worker_free(struct worker *w); /* NULL does nothing */

#endif
