/*
 * fleet.h - this node as one of many: who the others are, what operators ordered, which origins are
 * up, whether it is ready, and how each of these tells the others.
 *
 *     members --who lives, their votes--> health --suspects itself--> readiness --> hooks
 *     words   --on origins--------------> health                         |
 *             --on this node---> unready, drain, reload                  v
 *                                     brief: flags, votes, purges, last order --> members
 *
 * It makes the parts in that order and wires their callbacks; each part is its own, and none knows
 * this file. A node alone has all of it, over the embedded engine. Everything is on the control
 * thread but what says "any thread".
 */
#ifndef FLEET_H
#define FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"

struct farm;
struct fleet;
struct health;
struct limit_node;
struct members;
struct net_loop;
struct purge_feed;
struct readiness;
struct reload_report;
struct settings;
struct shared_loop;
struct shared_port;
struct site;
struct weir_work_pool;
struct words;

struct fleet_options { /* borrowed, and outlives it */
    struct net_loop *loop;
    const struct shared_loop *shared_loop;
    struct shared_port *port;
    const struct farm *farm;
    const struct settings *first; /* those of the start */
    struct weir_work_pool *pool;
    struct readiness *readiness;
    struct purge_feed *purge_feed; /* NULL: no farm, or no cache */
    struct limit_node *limits;     /* whose local shares depend on how many there are */
    /* Orders of operators to this node. */
    void (*drain)(void *arg);
    void (*reload)(void *arg, uint64_t order);
    /* What others may read of this node: JSON, for members_options.record. */
    size_t (*record)(void *arg, char *out, size_t cap);
    void *arg;
};

struct fleet *fleet_new(const struct fleet_options *o, struct weir_err *err);
/* Silent from now on, if it has not left. NULL does nothing. */
void fleet_free(struct fleet *f);

/* The upstreams in force, at the start and after each reload. false: no memory; health goes on with
 * those before. */
bool fleet_watch(struct fleet *f, struct site *site, struct weir_err *err);
/* What is in force, at the start, and how a reload went. */
void fleet_reloaded(struct fleet *f, const struct reload_report *report);
/* Each second: tells the others what has grown meanwhile. */
void fleet_turn(struct fleet *f);
/* Words are known, or cannot be for now: a reason less to wait at the start. */
bool fleet_settled(const struct fleet *f);
/* The others are told that it goes, and what was ordered here; then `left`, 500 ms later at most.
 */
void fleet_leave(struct fleet *f, void (*left)(void *arg), void *arg);
bool fleet_left(const struct fleet *f);

struct members *fleet_members(struct fleet *f);
struct words *fleet_words(struct fleet *f);
struct health *fleet_health(struct fleet *f);

#endif
