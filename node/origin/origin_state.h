/*
 * origin_state.h - what one node knows of one origin: counters, health and ejection, shared by all
 * workers.
 *
 * A state is found by (upstream name, url) in a registry, so a reload that keeps an origin keeps
 * what is known of it; weight and the other options come from the settings and are no part of its
 * identity. Counted: any thread may hold, read and write a state; every changing member is atomic.
 * The registry's own calls take a mutex and belong to load time and status pages, not to the
 * request path.
 *
 * Instants are microseconds of the monotonic clock (weir_clock.mono_us).
 */
#ifndef ORIGIN_STATE_H
#define ORIGIN_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"

struct origin_registry;

/* What active checks and the farm say, or an operator orders. Until somebody says something: up. */
enum origin_verdict {
    ORIGIN_UP,
    ORIGIN_DOWN,
    ORIGIN_DRAIN, /* operator's wish: no new clients, but requests bound by a sticky cookie go on */
    ORIGIN_UNKNOWN,  /* nobody can tell any more: the local view (ejection) decides */
    ORIGIN_DISABLED, /* operator's wish: nobody, whatever happens */
};

#define ORIGIN_NO_WORD (-1)

struct origin_state {
    atomic_uint refs;
    const char *upstream; /* owned, constant */
    const char *url;      /* owned, constant */
    uint64_t
        url_hash; /* not keyed: the same on every node, so a farm agrees on rendezvous hashing */
    atomic_uint *changes; /* the registry's; see origin_registry_changes() */

    atomic_uint connections; /* open, of the whole node; see origin_state_connect() */
    atomic_uint in_flight;   /* requests sent and not yet finished, of the whole node */
    atomic_uint
        waiting; /* requests that wait for a connection, of the whole node; origin_pool.c's */
    atomic_int verdict; /* enum origin_verdict: of checks */
    atomic_int word;    /* enum origin_verdict: an operator's order, or ORIGIN_NO_WORD */
    atomic_uint weight; /* an operator's; 0: as configured */

    /* Passive outlier detection: written by outlier.c alone. */
    atomic_uint fails;          /* consecutive failures */
    atomic_uint ejections;      /* the n of "base x n" at the last ejection */
    atomic_llong out_until_us;  /* ejected before it, slow start after it; 0 = was never out */
    atomic_llong refused_at_us; /* last refused connection; ORIGIN_NEVER if none */
    atomic_ullong requests;     /* totals, for status */
    atomic_ullong successes;
    atomic_ullong failures;
    atomic_ullong ejections_total;
};

#define ORIGIN_NEVER INT64_MIN

/* Returns owned; NULL without memory. The registry must outlive every state it handed out. */
struct origin_registry *origin_registry_new(struct weir_err *err);
/* Drops the registry's own references. NULL does nothing. */
void origin_registry_free(struct origin_registry *r);
/* The state of this origin, made on first sight. Borrows both strings. Returns owned (one reference
 * more). */
struct origin_state *origin_registry_get(struct origin_registry *r, const char *upstream,
                                         const char *url, struct weir_err *err);
/* Forgets every state nobody but the registry holds: call after a reload. Returns how many went. */
size_t origin_registry_prune(struct origin_registry *r);
/* Number of states known. */
size_t origin_registry_count(struct origin_registry *r);

/* For balance_hint.hash: not keyed, the same on every node. */
uint64_t origin_hash(const void *bytes, size_t len);

struct origin_state *origin_state_ref(struct origin_state *s);
void origin_state_unref(struct origin_state *s); /* NULL does nothing */

/*
 * Takes one of at most max connections of the whole node to this origin; false, with nothing taken,
 * when all are open. max may shrink by a reload: then nothing is taken until enough have been given
 * back.
 */
bool origin_state_connect(struct origin_state *s, uint32_t max);
/* Gives one back. */
void origin_state_disconnect(struct origin_state *s);

/* Sets the verdict. An origin that comes back (was out, is not any more) gets a slow start. */
void origin_state_set_verdict(struct origin_state *s, enum origin_verdict verdict, int64_t now_us);
/*
 * Sets what an operator ordered: UP, DRAIN, DISABLED or ORIGIN_NO_WORD, and a weight (0: as
 * configured). An order wins over the verdict, which goes on beside it. What is forced UP can still
 * be ejected: that is what requests meet, here and now, and it ends by itself.
 */
void origin_state_set_word(struct origin_state *s, int word, uint32_t weight, int64_t now_us);

/* What holds: the operator's order, else the verdict. */
static inline enum origin_verdict origin_state_in_force(const struct origin_state *s)
{
    const int word = atomic_load_explicit(&s->word, memory_order_relaxed);

    return (enum origin_verdict)(
        word != ORIGIN_NO_WORD ? word : atomic_load_explicit(&s->verdict, memory_order_relaxed));
}

/* Ejected by outlier detection at this instant. */
bool origin_state_ejected(const struct origin_state *s, int64_t now_us);
/* Tells every balancer that availability changed: it looks again at its next pick. */
void origin_state_changed(struct origin_state *s);

#endif
