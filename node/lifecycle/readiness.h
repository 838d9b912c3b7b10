/*
 * readiness.h - whether this node wants new traffic: for load balancers, DNS and routing daemons.
 *
 * A node is ready unless there is a reason against it. Reasons come and go one by one; none of them
 * asks Redis. Leaving ready is immediate. A reason that is measured (not ordered) must be gone for
 * `delay` before the node is ready again, so that an announced address does not flap.
 *
 *     not ready  --last reason gone (readiness_set), and for `delay` if measured-->  ready
 *     ready      --any reason (readiness_set)----------------------------------->  not ready
 *
 * It begins not ready, by READY_STARTING. Everything runs on the loop's thread (the control
 * thread) but what says "any thread".
 */
#ifndef READINESS_H
#define READINESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "lifecycle_settings.h"

struct net_loop;
struct readiness;

enum ready_reason {
    READY_STARTING, /* does not serve yet */
    READY_DRAINING, /* on its way out */
    READY_WORD,     /* an operator said so: UNREADY (weir/words.h) */
    READY_SUSPECT,  /* it suspects itself, not the origins (health.h); measured */
    READY_ORIGINS,  /* no origin is usable (readiness.origins); measured */
    READY_MEMORY,   /* requests are refused for want of memory; measured */
    READY_REASONS
};

/* "starting", "draining", "operator", "suspect", "origins", "memory": for scripts and the API. */
const char *ready_reason_name(enum ready_reason reason);

/* NULL: *err. `loop` is borrowed and outlives it; settings are copied. */
struct readiness *readiness_new(struct net_loop *loop, const struct readiness_settings *settings,
                                struct weir_err *err);
void readiness_free(struct readiness *r); /* NULL does nothing; nobody is told */
/* After a reload. A delay that runs goes on as it began. */
void readiness_configure(struct readiness *r, const struct readiness_settings *settings);

/* Idempotent. */
void readiness_set(struct readiness *r, enum ready_reason reason, bool on);

bool readiness_is(const struct readiness *r); /* any thread */
/* The flag itself, for workers; lives as long as r. Any thread. */
const atomic_bool *readiness_flag(const struct readiness *r);
/* When it became what it is: own monotonic clock. */
int64_t readiness_since_ms(const struct readiness *r);

/* The names of all reasons in force; "settling" alone while only the delay is left; none when
 * ready. Static texts; returns how many. */
size_t readiness_because(const struct readiness *r, const char *names[READY_REASONS]);
/* The same as one text with commas; "" when ready. Returns out. */
#define READINESS_TEXT_MAX 80
char *readiness_text(const struct readiness *r, char out[READINESS_TEXT_MAX]);

/* Told soon (within NET_TICK_MS) after ready has changed, and once after the start whatever it is
 * then; never from inside a call. Embedded in its owner, who keeps it as long as r lives. */
struct readiness_watcher {
    struct readiness_watcher *next;
    void (*changed)(struct readiness_watcher *w, bool ready);
};
void readiness_watch(struct readiness *r, struct readiness_watcher *w);

#endif
