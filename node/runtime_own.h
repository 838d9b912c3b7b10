/*
 * runtime_own.h - what the files of the runtime share. Private to them.
 *
 *   runtime.c         builds everything in order, watches signals and memory, tears down
 *   runtime_entries.c what was chosen for each address, as the workers need it
 *   runtime_listen.c  addresses: opened for all workers, kept over reloads, closed
 *   runtime_reload.c  another configuration, in steps; what may fail comes first
 *   runtime_drain.c   the orderly end
 *   runtime_acme.c    certificates that are obtained, once some are wanted
 *   runtime_tickets.c keys of session tickets, once some address wants them
 *
 * All of it runs on the control thread.
 */
#ifndef RUNTIME_OWN_H
#define RUNTIME_OWN_H

#include <event2/event_struct.h>

#include "weir/hash.h"
#include "acme_challenge.h"
#include "farm.h"
#include "weir/opener.h"
#include "net_inherit.h"
#include "net_loop.h"
#include "readiness.h"
#include "reload_report.h"
#include "runtime.h"
#include "worker.h"

struct acme;
struct admin;
struct fleet;
struct front_entry;
struct hooks;
struct origin_registry;
struct site;
struct tls_given;
struct tls_settings;
struct tls_tickets;
struct tls_stapler;
struct tls_store;
struct weir_sink;
struct weir_work_pool;

#define WORKERS_MAX            256
#define RUNTIME_SETTLE_MS      3000 /* how long a start or a reload waits for names to resolve */
#define RUNTIME_SETTLE_POLL_MS 50

/* One for each address of the settings, in their order. */
struct runtime_entries {
    struct front_entry *entry[WORKER_LISTENERS_MAX]; /* references */
    unsigned count;
};

struct bound {
    unsigned id;
    char *address;   /* as configured; owned */
    char *unix_path; /* to be removed at the end; owned; NULL */
};

/* runtime_drain.c has the diagram. */
enum drain_phase { DRAIN_SERVING, DRAIN_WITHDRAWING, DRAIN_GRACE, DRAIN_FINISHING, DRAIN_LEAVING };

struct drain {
    enum drain_phase phase;
    struct net_timer timer;   /* what it means depends on the phase */
    int64_t unready_since_ms; /* before the drain; 0: it was ready */
    int64_t grace_end_ms;
    bool polite;      /* clients are asked to go */
    bool aborted;     /* connections are reset */
    unsigned drained; /* workers without a connection */
};

struct runtime {
    struct runtime_options options;
    struct settings *settings;        /* reference: the newest in force */
    const struct weir_opener *opener; /* of files, with the warden's help; NULL: there is none */
    struct weir_opener opener_room;
    struct net_loop control;
    struct weir_hash_secret secret;
    struct settings *first; /* reference: those of the start, which the farm stays with */
    struct farm *farm;
    struct farm_port port; /* the control thread's */
    struct weir_work_pool *pool;
    struct origin_registry *registry;
    struct fleet *fleet;
    struct tls_tickets *tickets; /* NULL: nobody wanted any yet */
    struct acme *acme;           /* NULL: no certificates were wanted yet */
    struct acme_place challenges;
    bool acme_changed; /* before there was anything to reload */
    struct reload_watcher fleet_watcher;
    struct weir_sink *access;
    struct admin *admin;
    struct worker_shared shared;
    struct site *site; /* reference: the newest */
    struct tls_stapler *stapler;
    struct tls_store *store; /* reference: the newest; NULL: no certificates */
    struct worker **workers;
    unsigned worker_count;
    struct origin_client **clients;
    struct bound bound[WORKER_LISTENERS_MAX];
    unsigned bound_count, last_id;
    struct net_inherited inherited;

    struct event signals[4];
    struct net_timer turn;

    struct readiness *readiness;
    struct readiness_watcher ready_watcher;
    struct hooks *hooks;
    bool was_unready; /* and that was logged */
    bool draining;
    struct drain drain;

    /* a reload under way */
    struct site *pending;
    struct settings *pending_settings;
    struct tls_store *pending_store;
    struct weir_sink *pending_access, *old_access;
    int64_t pending_until_ms;
    struct net_timer settle;
    unsigned changes;                  /* workers that have not answered */
    struct worker_change *change_list; /* one for each worker, while any has not */
    bool again;                        /* the file may have changed once more meanwhile */
    uint64_t pending_order, again_order;
    struct reload_report report; /* of the last one that has ended */
    struct reload_watcher *reload_watchers;
    bool running; /* workers run; before that a signal can only end the start */
};

/* ---- runtime.c ---- */

/* What these settings are for the workers. Returns owned; NULL: *err. */
struct site *runtime_make_site(struct runtime *rt, struct settings *s, struct weir_err *err);
struct weir_sink *runtime_open_access(const struct settings *s, unsigned workers,
                                      struct weir_err *err);

/* ---- runtime_entries.c ---- */

/* Reads all files they need. false: *err, and there are none. */
bool runtime_make_entries(struct runtime *rt, const struct settings *s, struct runtime_entries *out,
                          struct weir_err *err);
void runtime_drop_entries(struct runtime_entries *entries);

/* ---- runtime_certificates.c ---- */

/* The certificates of these settings into *out; NULL when there are none. false: *err. */
bool runtime_make_store(struct runtime *rt, const struct settings *s, struct tls_store **out,
                        struct weir_err *err);
/* The newest store is rt->store, by rt->settings: what is stapled is kept in force. At the start it
 * makes what that needs. false: *err. */
bool runtime_staple(struct runtime *rt, struct weir_err *err);

/* ---- runtime_listen.c ---- */

/* All addresses of the settings, before the workers start. */
bool runtime_listen_all(struct runtime *rt, struct weir_err *err);
/* Opens what `s` adds and makes all entries anew, into `changes`, one for each worker. false: *err,
 * and nothing has changed. */
bool runtime_plan_listeners(struct runtime *rt, const struct settings *s,
                            struct worker_change *changes, struct weir_err *err);
/* What `s` has no more is to be closed, by `changes`. */
void runtime_drop_listeners(struct runtime *rt, const struct settings *s,
                            struct worker_change *changes);
/* What this process may not do itself. */
struct net_helper runtime_helper(const struct runtime *rt);
void runtime_forget_listeners(struct runtime *rt);

/* ---- runtime_tls.c ---- */

/* Threads for slow signatures, if the settings want any; as long as the node runs. */
bool runtime_make_tls_pool(struct runtime *rt, struct weir_err *err);
/* TLS of one address into *out; NULL: it is plain. false: *err. */
bool runtime_make_tls(struct runtime *rt, const struct settings *s, struct tls_store *store,
                      const struct listen_settings *l, struct tls_server_context **out,
                      struct weir_err *err);

/* ---- runtime_tickets.c ---- */

/* The keys of session tickets for addresses under TLS, from the first call on: *out; NULL where
 * tickets are off. At the start, and again with what a reload wants. false: *err. */
bool runtime_tickets(struct runtime *rt, const struct tls_settings *s, struct tls_tickets **out,
                     struct weir_err *err);

/* ---- runtime_acme.c ---- */

/* Obtains what these settings want, from now on; they are borrowed until the next call, or the end.
 * false: *err, and nothing is obtained any more. */
bool runtime_acme(struct runtime *rt, const struct settings *s, struct weir_err *err);
/* What there is of it, for the store: *out is owned, as are its sources; NULL without memory. */
struct tls_given *runtime_acme_given(struct runtime *rt, size_t *count);
void runtime_acme_given_free(struct tls_given *given, size_t count);
/* Reloads are possible now. */
void runtime_acme_ready(struct runtime *rt);

/* ---- runtime_reload.c ---- */

void runtime_reload_init(struct runtime *rt);
/* Reads the configuration and begins to change over to it. Another one under way: after that.
 * `order` is the number of the word that wants it; 0: a signal, or the API. */
void runtime_reload(struct runtime *rt, uint64_t order);
/* Kept until rt ends; told of every reload that ends. */
void runtime_watch_reloads(struct runtime *rt, struct reload_watcher *w);
/* Gives up one that no worker knows of yet, and tells who waits for it. Harmless if there is none.
 */
void runtime_reload_give_up(struct runtime *rt);
/* The same, at the end: nobody is told any more. */
void runtime_reload_abandon(struct runtime *rt);

/* ---- runtime_drain.c ---- */

void runtime_drain_init(struct runtime *rt);
/* Ends in order; asked for again: faster. */
void runtime_drain(struct runtime *rt);
/* The farm has been told that this node goes. */
void runtime_left(void *arg);
/* struct worker_shared.drained; arg: the runtime. */
void runtime_worker_drained(void *arg);
/* struct hooks_options.idle; arg: the runtime. */
void runtime_hooks_idle(void *arg);

#endif
