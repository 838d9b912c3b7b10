/*
 * limit_own.h - what the files behind limit.h share.
 */
#ifndef LIMIT_OWN_H
#define LIMIT_OWN_H

#include <pthread.h>

#include "weir/shared.h"
#include "limit.h"

struct limit_node {
    const struct weir_hash_secret *secret;
    struct weir_seal_key seal;
    bool farm;
    uint32_t timeout_ms;
    size_t cells_max;
    struct limit_table *table; /* NULL until there are limits */
    struct limit_counts *counts;
    struct limit_top top;
    atomic_uint members;
};

/* One who waits for an answer of the farm; in its cell's list, or answered and on its way. */
struct limit_waiter {
    struct weir_mail mail;
    struct limit_waiter *next, **at; /* under the shard's lock; at NULL: answered */
    struct limit_worker *home;
    const struct limit *limit;
    struct limit_taken *out;
    void (*done)(void *arg); /* NULL: it has gone */
    void *arg;
    struct limit_taken taken;
};

static inline uint32_t limit_members(const struct limit_node *n)
{
    return atomic_load_explicit(&n->members, memory_order_relaxed);
}

/* May the farm be asked, as far as is known? */
static inline bool limit_may_ask(const struct limit_worker *w)
{
    return w->node->farm && w->port != NULL && shared_ready(w->port, SHARED_STATE);
}

/* What is taken by what the cell says. */
void limit_taken_say(struct limit_taken *t, const struct limit_said *said);

/* Asks the farm for tokens of a cell that nobody asks for yet, whose shard is entered; the answer
 * goes to all who wait there. false: no memory; nothing has changed. */
bool limit_ask_begin(struct limit_worker *w, const struct limit *l, struct limit_cell *c,
                     const struct weir_hash128 *key, struct limit_ask **out);
/* With the shard left. */
void limit_ask_go(struct limit_ask *a);

#endif
