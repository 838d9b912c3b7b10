/*
 * acme.h - certificates obtained and renewed by ACME (RFC 8555), once for a farm.
 *
 * A certificate is known by its id, which is made of what was asked for: names, kind of key,
 * directory. What the farm has lies on a board of shared state, wrapped, and in a file of each
 * node; of two, the one that was made later holds. When one is missing or due, whoever gets its
 * lease looks at the board once more and then lets the client (acme_run.h) order it; challenges go
 * into shared state, where all nodes answer them (acme_challenge.h). What comes of it is put on the
 * board, and every node takes it from there: by a hint, and by looking every minute.
 *
 *     waiting  --due, lease taken, board read--> ordering
 *     ordering --certificate-------------------> valid, the board has it, the lease is given back
 *     ordering --failure-----------------------> waiting, for ever longer
 *     valid    --two thirds of its life--------> waiting for its lease, while it is still shown
 *
 * Without shared state nothing is ordered; what is there goes on being used. A node alone has it
 * all in its own memory and file.
 *
 *     w1:{A.<farm>}:b   board: id -> wrapped record      :ch  its channel
 *     w1:{A.<farm>}:l:<id>, :f:<id>   leases and their fences
 *
 * Control thread.
 */
#ifndef ACME_H
#define ACME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/shared.h"
#include "weir/wrap.h"
#include "acme_challenge.h"
#include "acme_settings.h"

struct acme;
struct net_loop;
struct weir_work_pool;

struct acme_options {
    struct net_loop *loop;
    struct shared_port *port;
    const struct shared_loop *shared_loop;
    const struct weir_wrap_key *key; /* copied */
    const struct acme_place *place;  /* borrowed, outlives it */
    const char *farm;                /* copied */
    bool is_farm;                    /* else the file is plain */
    const char *dir;                 /* the state directory: copied */
    const char *self;                /* this program's file: copied */
    struct weir_work_pool *pool;
    uint64_t seed;
    /* Another set of certificates is to be shown: acme_given(). From the loop. */
    void (*changed)(void *arg);
    void *arg;
};

/* Reads the file: what is in it can be shown at once. NULL: *err. */
struct acme *acme_new(const struct acme_options *o, const struct acme_settings *s,
                      struct weir_err *err);
/* NULL does nothing. */
void acme_free(struct acme *a);
/* Other settings, which are borrowed from now on. false: no memory, those before stay. */
bool acme_configure(struct acme *a, const struct acme_settings *s, struct weir_err *err);

/* Those that are wanted and there; borrowed until the loop's next turn. */
struct acme_given {
    const char *name; /* "acme www.example.org" */
    struct weir_span chain, key;
};
size_t acme_given(struct acme *a, struct acme_given *out, size_t cap);

/* ---- seeing ---- */

struct acme_view {
    const char *const *names;
    size_t name_count;
    const char *state;   /* "waiting", "ordering", "valid" */
    int64_t not_after_s; /* 0: there is none yet */
    int64_t renew_s;     /* when it is due; 0: now */
    int64_t next_s;      /* not tried before */
    unsigned failures;   /* in a row, here */
    const char *error;   /* of the last attempt here; "" */
    int64_t error_s;
};

void acme_each(struct acme *a, void (*seen)(void *arg, const struct acme_view *v), void *arg);

#endif
