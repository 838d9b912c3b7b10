/*
 * shared.h - the door to what the nodes of a farm share: values, leases, logs, boards,
 * tokens and hints.
 *
 * Behind it stands one of two engines: *embedded* (the memory of this process; the default) or
 * *redis* (a Redis Cluster, or one Redis or Valkey). What is written against this door works on
 * both. Shared state may be slow, wrong or gone at any moment: every call has a deadline, and every
 * caller knows what it does without an answer.
 *
 * A *call* is embedded in what it is about. The caller sets `done`, `timeout_ms` and `area`, makes
 * one of the calls below, and is told exactly once by done(): from the loop, never from inside the
 * call, shared_cancel() or shared_port_free(). From the call to done() the struct must stay where
 * it is; inside done() it is the caller's again: to be used for the next call, or freed. done() may
 * also cancel other calls and free the port. Keys and bytes are borrowed for the call only, slices
 * are kept by reference. A struct that was never used is all zero.
 *
 *     port = shared_port_new(shared, &loop, &err);         once for each thread
 *     c->done = on_value; c->timeout_ms = 20; c->area = SHARED_CACHE;
 *     shared_get(port, c, key);                            ... later: c->result, c->value
 *
 * Keys are bytes. Their part in braces, "w1:{...}:m", says what must lie together: operations that
 * take two keys demand that it is the same in both. Every key but a log's and a board's lives for a
 * limited time. A key is used for one kind of thing: where a call finds another (a log, say, where
 * a value should be) it ends BAD; shared_remove() removes, and shared_put() replaces, whatever is
 * there.
 *
 * A call that breaks a limit stated here (a key that is empty or too long, other parts in braces, a
 * value too large, no time to live) ends BAD, and nothing was asked.
 *
 * Source: redis.md 3; https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 */
#ifndef WEIR_SHARED_H
#define WEIR_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/clock.h"
#include "weir/err.h"
#include "weir/span.h"

struct event_base;
struct shared_port; /* private: shared_engine.h */
struct shared_queue;
struct weir_shared;

/* Two logical places with opposite needs (redis.md 3.5); they may be one. */
enum shared_area {
    SHARED_CACHE, /* may be lost or evicted at any time */
    SHARED_STATE, /* must not be evicted: purge log, sessions, members, health */
    SHARED_AREAS
};

enum shared_result {
    SHARED_OK,
    SHARED_NONE,    /* there is no such key */
    SHARED_REFUSED, /* a condition did not hold: another's lease, an old fence, another value */
    SHARED_FULL,    /* too much is under way, or there is no room: do without */
    SHARED_LATE,    /* no answer in time; what it asked for may have happened */
    SHARED_GONE,    /* unreachable or down, or known to be so: nothing was asked */
    SHARED_BAD,     /* an answer that makes no sense (another type, damaged), not permitted, or
                       a call against the rules */
    SHARED_RESULTS
};

/* "ok", "none", ...: for logs and metrics; static. */
const char *shared_result_text(enum shared_result r);

#define SHARED_KEY_MAX    512           /* bytes of a key or channel, at least 1 */
#define SHARED_VALUE_MAX  (1024 * 1024) /* bytes of a value; 0 is a value as well */
#define SHARED_RECORD_MAX (64 * 1024)   /* bytes of a record in a log */
#define SHARED_HINT_MAX   4096          /* bytes of a hint */
#define SHARED_OWNER_MAX  64            /* bytes of a lease's owner, at least 1 */

struct shared_entry { /* of a log */
    uint64_t id;
    struct weir_span bytes;
};

struct shared_call {
    /* the caller's */
    void (*done)(struct shared_call *c);
    enum shared_area area;
    uint32_t timeout_ms; /* from the call on; > 0 */
    bool bulk;           /* large: must not stand in the way of small ones */
    bool primary;        /* get: from where it was written, not from a copy that may be behind */
    bool confirm;        /* a write must have reached a replica as well, where there is one:
                            else `unconfirmed` */

    /* the answer: valid until the call is used again, or shared_call_clear() */
    enum shared_result result;
    struct weir_slice value; /* get: its blob is a reference, owned by the call, and not NULL if
                                the result is OK; whoever takes it over sets blob to NULL */
    uint64_t number;         /* fence, id, count: as each call says */
    uint32_t left_ms;        /* of another's lease */
    bool unconfirmed;        /* it is done, but only in one place */
    const struct shared_entry *entries; /* log_read, oldest first; owned by the call */
    size_t entry_count;
    uint64_t log_first, log_last;    /* log_read: see there */
    const struct shared_note *notes; /* board_read; owned by the call */
    size_t note_count;
    uint32_t rest; /* tokens_take */

    /* the engine's */
    void *pending;
    void *owned; /* what `entries` or `notes` and their bytes lie in: one weir_malloc() */
    /* the front's */
    struct shared_call *next, **at;
    struct shared_queue *in; /* NULL: not under way */
};

/* Gives back what the answer holds. Not while it is under way. Harmless twice; a call that is used
 * again is cleared first. */
void shared_call_clear(struct shared_call *c);
/* done() will not be called; what was asked may still happen. Clears. Harmless if nothing is under
 * way, from inside done() too. */
void shared_cancel(struct shared_port *p, struct shared_call *c);

/* ---- engine and ports ---- */

/* What a port needs of the thread it serves; copied. */
struct shared_loop {
    struct event_base *base;
    /* Called first in every callback of the loop: makes *clock current. */
    void (*enter)(void *arg);
    void *arg;
    const struct weir_clock *clock;
};

/* "embedded" or "redis". */
const char *shared_engine_name(const struct weir_shared *s);
/* Do values outlive this process, and do others see them? */
bool shared_is_farm(const struct weir_shared *s);
/* All ports are freed. NULL does nothing. */
void shared_free(struct weir_shared *s);

/* One for each thread, used there alone. NULL: *err. Redis need not be reachable. */
struct shared_port *shared_port_new(struct weir_shared *s, const struct shared_loop *loop,
                                    struct weir_err *err);
/* Calls under way are dropped, as if cancelled, and listeners are forgotten. NULL does nothing. */
void shared_port_free(struct shared_port *p);

/* Is it worth asking now? false: calls of this area would end GONE at once. One load. */
bool shared_ready(const struct shared_port *p, enum shared_area area);

/* ---- values ---- */

/* c->value. May be a copy that is a little behind (a replica), unless c->primary. */
void shared_get(struct shared_port *p, struct shared_call *c, struct weir_span key);
/* Sets the value, put together from slices (references are taken), for ttl_ms (> 0). */
void shared_put(struct shared_port *p, struct shared_call *c, struct weir_span key,
                const struct weir_slice *slices, size_t count, int64_t ttl_ms);
/* The same, but REFUSED if a newer fence (below) was given out since, as long as that is
 * remembered. fence_key: as for the lease. */
void shared_put_fenced(struct shared_port *p, struct shared_call *c, struct weir_span key,
                       struct weir_span fence_key, uint64_t fence, const struct weir_slice *slices,
                       size_t count, int64_t ttl_ms);
/* Sets it only where there is none: else REFUSED. */
void shared_put_new(struct shared_port *p, struct shared_call *c, struct weir_span key,
                    const struct weir_slice *slices, size_t count, int64_t ttl_ms);
/* Whatever is under the key lives for ttl_ms (> 0) from now on, or longer if it would have. NONE:
 * there is no such key. */
void shared_touch(struct shared_port *p, struct shared_call *c, struct weir_span key,
                  int64_t ttl_ms);
/* c->number: 1, or 0 if there was none (OK). */
void shared_remove(struct shared_port *p, struct shared_call *c, struct weir_span key);
/* Only if the value holds `bytes` (at least 1) at `offset`: else REFUSED. NONE: there was none. */
void shared_remove_if(struct shared_port *p, struct shared_call *c, struct weir_span key,
                      size_t offset, struct weir_span bytes);

/* ---- leases (redis.md 3.9) ---- */

/*
 * A lease is held by one owner for a limited time; with each new holder a *fence* goes up by one.
 * Who does not get it is remembered as a waiter, by the channel on which it listens for hints, and
 * is sent a hint by shared_lease_wake() and shared_lease_release(). A lease is not a lock: after a
 * failover two may hold it; the fence keeps the older one from overwriting the newer.
 */
struct shared_lease {
    struct weir_span key, fence_key; /* the same part in braces */
    struct weir_span owner;          /* unlike any other's */
    struct weir_span channel;        /* where the asker listens, in the area of the call; empty: it
                                        wants no hint */
    uint32_t lease_ms;
    uint32_t fence_ttl_ms; /* how long the count of fences lives after a lease was last taken */
};

/*
 * OK: c->number is the fence, 1 for the first in fence_ttl_ms. REFUSED: c->left_ms of another's. By
 * who holds it already (an answer was LATE, say): OK with the same fence, for lease_ms from now.
 * Waiters are forgotten with the lease they waited for, when it runs out too.
 */
void shared_lease_take(struct shared_port *p, struct shared_call *c, const struct shared_lease *l);
/* For lease_ms from now. REFUSED: it is lost. */
void shared_lease_renew(struct shared_port *p, struct shared_call *c, const struct shared_lease *l);
/* Sends `hint` to each waiter, once for each channel, and forgets them; c->number: how many there
 * were. REFUSED: it is lost. */
void shared_lease_wake(struct shared_port *p, struct shared_call *c, const struct shared_lease *l,
                       struct weir_span hint);
/* The same, and gives it up. */
void shared_lease_release(struct shared_port *p, struct shared_call *c,
                          const struct shared_lease *l, struct weir_span hint);

/* ---- logs ---- */

/*
 * Records in order, each with an id: (milliseconds of the shared clock << 20) | number in that
 * millisecond, always greater than all before. The oldest are dropped beyond `max` records (redis:
 * some time after). The first append to a log that does not exist puts an empty record before it,
 * the *beginning*: an entry of 0 bytes, which others' records are not (else BAD).
 * The log's channel (area of the call) gets a hint with every append: the id, in decimal digits.
 */
struct shared_log {
    struct weir_span key, channel; /* the same part in braces */
    size_t max;
    uint64_t above; /* append: the id must be greater than this one as well, which a log that has
                       lost its end may not know any more; 0: it does not matter */
};

/* c->number: the id. */
void shared_log_append(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                       struct weir_span bytes);
/* Makes sure that the log exists (puts the beginning if not). c->number: the newest id. */
void shared_log_open(struct shared_port *p, struct shared_call *c, const struct shared_log *log);
/*
 * Up to `max` (> 0) records with ids greater than `after`, from the place where they were written
 * (never from a copy that may be behind). c->log_first: the oldest id that is still there, or 0 if
 * none was ever dropped; so where after < log_first, records may be missing. c->log_last: the
 * newest id ever given; less than `after`: the log has lost its end. NONE: there is no log.
 */
void shared_log_read(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                     uint64_t after, size_t max);

/* ---- boards ---- */

/*
 * A small set of entries that all may put and all read whole: who is a member, what an operator
 * ordered. An entry has an id, bytes, an age and perhaps an end, both by the shared clock. Whoever
 * puts or removes may send a hint on the board's channel (area of the call) in the same step, so
 * that others hear of it at once; the board is the truth.
 */
#define SHARED_BOARD_ID_MAX   256         /* bytes of an entry's id, at least 1 */
#define SHARED_BOARD_POST_MAX (64 * 1024) /* bytes of an entry; 0 is an entry as well */
#define SHARED_BOARD_POSTS    64          /* entries of one call, at least 1; of different ids */
#define SHARED_BOARD_MAX      10000       /* entries of a board; beyond: FULL */
#define SHARED_BOARD_BYTES    (16 << 20)  /* of all entries of a board, about; beyond: FULL */

struct shared_board {
    struct weir_span key, channel; /* the same part in braces, which must be there; channel empty:
                                      nobody is told */
};

struct shared_post { /* to be put; borrowed for the call */
    struct weir_span id, bytes;
    int64_t ttl_ms; /* 0: it stays */
    bool if_absent; /* leave what is there, if it is still alive */
};

struct shared_note { /* as it was read; owned by the call */
    struct weir_span id, bytes;
    int64_t age_ms;  /* since it was put last, >= 0 */
    int64_t left_ms; /* until it ends; -1: it stays */
};

/* Each post replaces the entry of its id; all of them, or none (FULL). c->number: the shared clock,
 * in milliseconds since the epoch. What has ended is cleared away. hint: empty for none. */
void shared_board_put(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                      const struct shared_post *posts, size_t count, struct weir_span hint);
/* Those that are there; c->number: the shared clock. */
void shared_board_remove(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                         const struct weir_span *ids, size_t count, struct weir_span hint);
/* c->notes: all that live, in the order of their ids' bytes, from where they were written;
 * c->number: the shared clock. A board that does not exist is an empty one: OK. */
void shared_board_read(struct shared_port *p, struct shared_call *c, const struct shared_board *b);

/* ---- tokens ---- */

/*
 * A rate that all share: GCRA (the leaky bucket as a meter) by the shared clock. `burst` tokens may
 * go at once, and one comes back every interval_us.
 */
#define SHARED_INTERVAL_US_MAX 1000000000000 /* about eleven days */
#define SHARED_BURST_MAX       1000000

struct shared_rate {
    struct weir_span key;
    uint64_t interval_us; /* at least 1 */
    uint32_t burst;       /* at least 1 */
};

/*
 * Takes up to `want` (> 0) tokens. OK: c->number is how many, at least 1; REFUSED: there is none,
 * and c->left_ms says when the next will be (rounded up). Either way c->rest: how many more could
 * have been taken now.
 */
void shared_tokens_take(struct shared_port *p, struct shared_call *c, const struct shared_rate *r,
                        uint32_t want);

/* ---- hints ---- */

/*
 * Bytes that are worth hearing and may get lost: whoever listens reads the truth elsewhere, again
 * after each gap, and now and then. Embedded by the caller; its functions are called on the port's
 * thread from the loop.
 */
struct shared_listener {
    void (*on_hint)(struct shared_listener *l, struct weir_span bytes);
    /* Hints may have been missed before now: after each (re)subscription, the first included. */
    void (*on_gap)(struct shared_listener *l);
    /* the engine's */
    struct shared_listener *next, **at;
    void *subscription;
};

/* false without memory, or for a channel that is empty or too long: *err. */
bool shared_listen(struct shared_port *p, struct shared_listener *l, enum shared_area area,
                   struct weir_span channel, struct weir_err *err);
void shared_unlisten(struct shared_port *p, struct shared_listener *l); /* harmless twice */
/* Tells who listens, in all nodes, this one included. Nobody may hear it: OK. */
void shared_hint(struct shared_port *p, struct shared_call *c, struct weir_span channel,
                 struct weir_span bytes);

/* ---- seeing ---- */

struct shared_counts { /* of one port since the start: answers, heard or cancelled since */
    uint64_t results[SHARED_AREAS][SHARED_RESULTS];
};

/* Any thread. */
void shared_port_counts(const struct shared_port *p, struct shared_counts *out);

#endif
