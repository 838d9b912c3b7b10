/*
 * shared_engine.h - what an engine behind the door to shared state is to the front.
 *
 * The front (shared.c) is the same for all engines. It checks what callers ask, keeps each call in
 * one of two lists of its port (under way, complete), and tells the caller from the loop. So an
 * engine sees only calls that keep the rules of weir/shared.h, and ends each with
 * shared_complete(), at once or later, unless the front took it back by `cancel` before.
 *
 *               shared_get() ...                 shared_complete()               next turn
 *     [idle] ---------------------> [under way] --------------------> [complete] ----------> done()
 *        ^  shared_cancel(), shared_port_free() |                         |
 *        '--------------------------------------+-------------------------'
 *
 * An engine begins its own structs with struct weir_shared and struct shared_port.
 */
#ifndef SHARED_ENGINE_H
#define SHARED_ENGINE_H

#include <stdatomic.h>

#include "weir/shared.h"

struct event;

enum shared_put_how { SHARED_PUT, SHARED_PUT_NEW, SHARED_PUT_FENCED };

/* A value to be set. All of it is borrowed for the call; the engine refers to the blobs it keeps.
 */
struct shared_put {
    enum shared_put_how how;
    struct weir_span key;
    struct weir_span fence_key; /* FENCED */
    uint64_t fence;
    const struct weir_slice *slices; /* one without bytes may have no blob */
    size_t count;
    size_t bytes; /* of all slices */
    int64_t ttl_ms;
};

enum shared_lease_how {
    SHARED_LEASE_TAKE,
    SHARED_LEASE_RENEW,
    SHARED_LEASE_WAKE,
    SHARED_LEASE_RELEASE
};

/*
 * All run on the port's thread. They may call shared_complete() before they return. `pending` is
 * the engine's to use from the call to shared_complete(), which sets it to NULL, or to `cancel`.
 */
struct shared_engine_ops {
    const char *name;
    bool farm; /* shared_is_farm() */
    void (*free)(struct weir_shared *s);
    /* Allocates and sets up, calling shared_port_init() on its beginning. NULL: *err. */
    struct shared_port *(*port_new)(struct weir_shared *s, const struct shared_loop *loop,
                                    struct weir_err *err);
    /* No call is under way. Forgets all listeners; calls shared_port_end() and frees. It may be
     * called from inside done(), on_hint() or on_gap(). */
    void (*port_free)(struct shared_port *p);
    /* Where it says false, the front answers GONE without asking further. */
    bool (*ready)(const struct shared_port *p, enum shared_area area);
    /* c was begun, not completed: the engine must not touch it again. */
    void (*cancel)(struct shared_port *p, struct shared_call *c);

    void (*get)(struct shared_port *p, struct shared_call *c, struct weir_span key);
    void (*put)(struct shared_port *p, struct shared_call *c, const struct shared_put *put);
    void (*touch)(struct shared_port *p, struct shared_call *c, struct weir_span key,
                  int64_t ttl_ms);
    void (*remove)(struct shared_port *p, struct shared_call *c, struct weir_span key);
    void (*remove_if)(struct shared_port *p, struct shared_call *c, struct weir_span key,
                      size_t offset, struct weir_span bytes);
    /* hint: for WAKE and RELEASE */
    void (*lease)(struct shared_port *p, struct shared_call *c, enum shared_lease_how how,
                  const struct shared_lease *l, struct weir_span hint);
    void (*log_append)(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                       struct weir_span bytes);
    void (*log_open)(struct shared_port *p, struct shared_call *c, const struct shared_log *log);
    void (*log_read)(struct shared_port *p, struct shared_call *c, const struct shared_log *log,
                     uint64_t after, size_t max);
    void (*board_put)(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                      const struct shared_post *posts, size_t count, struct weir_span hint);
    void (*board_remove)(struct shared_port *p, struct shared_call *c, const struct shared_board *b,
                         const struct weir_span *ids, size_t count, struct weir_span hint);
    void (*board_read)(struct shared_port *p, struct shared_call *c, const struct shared_board *b);
    void (*tokens_take)(struct shared_port *p, struct shared_call *c, const struct shared_rate *r,
                        uint32_t want);
    void (*hint)(struct shared_port *p, struct shared_call *c, struct weir_span channel,
                 struct weir_span bytes);
    /* l->subscription == NULL on entry, and not NULL as long as it listens. */
    bool (*listen)(struct shared_port *p, struct shared_listener *l, enum shared_area area,
                   struct weir_span channel, struct weir_err *err);
    void (*unlisten)(struct shared_port *p, struct shared_listener *l);
};

/* The beginning of every engine. */
struct weir_shared {
    const struct shared_engine_ops *ops;
};

struct shared_queue {
    struct shared_call *first, **last;
};

/* The beginning of every engine's port. */
struct shared_port {
    struct weir_shared *shared;
    struct shared_loop loop;
    struct shared_queue under_way, complete, telling; /* telling: complete, in this turn */
    struct event *tell_event;
    bool told_now; /* inside the callback of tell_event */
    bool *gone;    /* shared_visit */
    atomic_uint_fast64_t results[SHARED_AREAS][SHARED_RESULTS];
};

/* Makes the beginning of a port, which may hold anything before. */
bool shared_port_init(struct shared_port *p, struct weir_shared *s, const struct shared_loop *loop,
                      struct weir_err *err);
/* Releases what shared_port_init() took. */
void shared_port_end(struct shared_port *p);

/*
 * c ends: done() will be called from the loop in one of its next turns. The engine has set the rest
 * of the answer. Only for a call that is under way, on the port's thread; nothing is called from
 * inside.
 */
void shared_complete(struct shared_port *p, struct shared_call *c, enum shared_result result);

/*
 * Around whatever calls out of an engine on its own (on_hint, on_gap), and first in each callback
 * of the loop: makes the clock current, and sets *gone when the port is freed inside. After that
 * nothing of the port may be touched, shared_visit_end() included.
 */
void shared_visit(struct shared_port *p, bool *gone);
void shared_visit_end(struct shared_port *p);

/* What stands in the key's first pair of braces, or the whole key if that is nothing: as Redis
 * Cluster reads it. */
struct weir_span shared_tag(struct weir_span key);

#endif
