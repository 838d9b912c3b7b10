/*
 * admin.h - the admin API: what operators and weirctl ask of a running node, as HTTP/1.1 and JSON
 * over a Unix socket and, if wanted, over TCP (docs/api.md).
 *
 * Everything runs on the control thread and only reads what workers use, or changes it by calls
 * that any thread may make; no worker ever waits for it. Whoever may connect to the socket may do
 * everything; over TCP a token says what may be done. Each change, and each attempt that is
 * refused, is recorded with who asked for it (admin_audit.h).
 */
#ifndef ADMIN_H
#define ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "weir/err.h"
#include "weir/metrics.h"
#include "admin_door.h"
#include "admin_settings.h"
#include "net_listener.h"

struct acme;
struct admin;
struct health;
struct hooks;
struct inflight;
struct limit_node;
struct members;
struct net_loop;
struct purge_feed;
struct purge_table;
struct readiness;
struct reload_report;
struct reload_watcher;
struct search_rules;
struct shared_port;
struct site;
struct tier;
struct tls_store;
struct tls_tickets_facts;
struct weir_hash_secret;
struct words;

/* What there is to be seen; borrowed, and outlives the admin side. */
struct admin_source {
    struct net_loop *loop; /* the control thread's */
    struct tier *tier;     /* NULL: no cache */
    struct inflight *inflight;
    struct purge_table *purges;        /* NULL: no cache */
    struct purge_feed *purge_feed;     /* NULL: no farm */
    struct search_rules *search_rules; /* NULL: no cache */
    struct limit_node *limits;
    const struct weir_hash_secret *secret;
    struct shared_port *shared; /* the control thread's */
    const char *farm_name;      /* NULL: there is no farm */
    const char *version;
    struct net_helper helper;         /* for the socket's owner */
    const struct weir_opener *opener; /* of files; NULL: nobody but this process */
    /* The newest site; borrowed for the turn. */
    struct site *(*site)(void *arg);
    /* Sums of all workers. */
    void (*metrics)(void *arg, int64_t sum[WEIR_METRICS]);
    void *arg;

    /* The node as one of many. Any of what follows may be NULL: then it is not known. */
    struct members *members;
    struct words *words;
    struct health *health;
    struct readiness *readiness;
    struct hooks *hooks;
    const struct reload_report *report;
    const char *config_file; /* NULL: there is none */
    /* Addresses for clients into out[]; borrowed for the turn. */
    size_t (*listens)(void *arg, const char **out, size_t cap);
    /* The configuration in force (config_dump.h); returns owned, NULL without memory. */
    json_t *(*config)(void *arg);
    uint64_t (*resident)(void); /* bytes of memory */
    void (*reload)(void *arg);
    bool (*reloading)(void *arg); /* another one is under way: one more comes after it */
    void (*watch_reloads)(void *arg, struct reload_watcher *w);
    void (*drain)(void *arg);
    /* Keys of session tickets. false: there are none. */
    bool (*tickets)(void *arg, struct tls_tickets_facts *out);
    /* Certificates; NULL: there are none. Borrowed for the turn. */
    struct tls_store *(*certificates)(void *arg);
    /* What obtains certificates; NULL: nothing does. */
    struct acme *(*acme)(void *arg);
};

/* NULL: the socket that was named cannot be had (LISTEN), or MEMORY. */
struct admin *admin_new(const struct admin_source *source, const struct admin_settings *settings,
                        struct weir_err *err);
/* Closes what is open, removes the socket. NULL does nothing. */
void admin_free(struct admin *a);

/* Once a second. NULL does nothing. */
void admin_turn(struct admin *a);
/* struct members_options.record: what GET /v1/node says, on one line. a NULL: 0. */
size_t admin_record(struct admin *a, char *out, size_t cap);

/* A reload in two steps: opens the new socket if it is another one (false: *err, nothing has
 * changed), then either moves over to it or forgets it. */
bool admin_prepare(struct admin *a, const struct admin_settings *settings, struct weir_err *err);
void admin_commit(struct admin *a);
void admin_abandon(struct admin *a); /* NULL does nothing */
/* SIGUSR1: opens the audit file anew. NULL does nothing. */
void admin_reopen_logs(struct admin *a);

/* What came of those who asked, since the start. */
struct admin_counts {
    uint64_t failures, throttled;  /* a token that is not known; too many of these before */
    uint64_t anonymous, forbidden; /* no token; a role that does not reach */
    struct admin_door_stats unix_door, tcp_door;
};
void admin_counts(const struct admin *a, struct admin_counts *out);

#endif
