/*
 * balance.h - choose the origin for one attempt.
 *
 * A balancer belongs to one worker and one upstream and is not thread-safe: in-flight counts and
 * latencies are this worker's own. What workers share (ejection, verdict) it reads from the origin
 * states. Time and randomness are parameters, so a run can be repeated exactly.
 *
 * Per attempt:
 *     i = balancer_pick(b, &hint, now, rng)     -1: no origin is available for this request
 *     balancer_begin(b, i)                      once the attempt is bound to i (also while it
 * queues) balancer_end(b, i, now, latency, ok)      exactly once per begin and the outcome goes to
 * outlier_success() or outlier_failure() too (outlier.h).
 *
 * Who may be picked: primaries that are neither ejected nor down nor put aside by an operator
 * (draining, disabled: those are not missed either). If those have less than panic_percent of the
 * weight, or neither a primary nor a backup is left, there is panic: verdicts and ejections are
 * ignored and load is spread over all primaries but those that refused a connection in the last 2 s
 * (an overloaded rest would only fall next). What an operator put aside stays so. Backups are used
 * when no primary is left. Weights are an operator's where he gave one. An origin that returns
 * starts at 10 % of its weight and has all of it after 30 s (design: balancing-and-health 4.2, 5).
 */
#ifndef BALANCE_H
#define BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "origin_settings.h"
#include "weir/err.h"

struct balancer;
struct origin_state;

#define BALANCE_REFUSED_US       (2 * INT64_C(1000000))
#define BALANCE_SLOW_START_US    (30 * INT64_C(1000000))
#define BALANCE_SLOW_START_LEAST 0.1
#define BALANCE_ORIGINS_MAX      4096

/* xorshift64*: small, fast, not for secrets. One per worker; any seed is good. */
struct balance_rng {
    uint64_t state;
};

void balance_rng_seed(struct balance_rng *rng, uint64_t seed);
uint64_t balance_rng_next(struct balance_rng *rng);
/* Uniform in [0, 1). */
double balance_rng_unit(struct balance_rng *rng);

#define BALANCE_TRIED_MAX 8

/* What is known of the request. BALANCE_HINT_NONE, then fill in. */
struct balance_hint {
    uint64_t hash; /* of what hash_on names; for BALANCE_HASH. Same bytes, same hash on every node
                      of the farm */
    int sticky;    /* index the client is bound to, or -1 */
    unsigned tried_count;
    uint16_t
        tried[BALANCE_TRIED_MAX]; /* origins this request was already sent to: not picked again */
};

#define BALANCE_HINT_NONE ((struct balance_hint){.sticky = -1})

/* Adds i to the tried; beyond BALANCE_TRIED_MAX the oldest is forgotten. */
void balance_hint_tried(struct balance_hint *h, int i);

/*
 * settings->origins[i] is judged by states[i]. Borrows settings until balancer_free(); takes a
 * reference on each state, borrows the array for the call. Returns owned; NULL with *err set.
 */
struct balancer *balancer_new(const struct upstream_settings *settings,
                              struct origin_state *const *states, struct weir_err *err);
void balancer_free(struct balancer *b); /* NULL does nothing */

/* Index of an origin, or -1 when none is left that was not tried. Reserves nothing. */
int balancer_pick(struct balancer *b, const struct balance_hint *hint, int64_t now_us,
                  struct balance_rng *rng);
void balancer_begin(struct balancer *b, int i);
/*
 * latency_us: from sending the request to the response head. A failure (ok false) may raise what is
 * thought of an origin's latency but never lower it: refusing is fast. latency_us < 0: no
 * observation (the client left before there was an answer).
 */
void balancer_end(struct balancer *b, int i, int64_t now_us, int64_t latency_us, bool ok);

/* For status and tests. */
size_t balancer_count(const struct balancer *b);
struct origin_state *balancer_state(const struct balancer *b, int i); /* borrowed */
uint32_t balancer_in_flight(const struct balancer *b, int i);         /* this worker's */
double balancer_latency_us(const struct balancer *b, int i);          /* Peak-EWMA; < 0: unknown */
bool balancer_panics(struct balancer *b, int64_t now_us);
/* The same, without a balancer: what any worker's would say now. Any thread. */
bool balance_panics(const struct upstream_settings *settings, struct origin_state *const *states,
                    int64_t now_us);
uint32_t balance_configured_weight(const struct origin_settings *o); /* >= 1 */

/* "ewma2", "round_robin", "least", "random", "hash"; NULL for a value outside the enum. */
const char *balance_kind_name(enum balance_kind kind);

#endif
