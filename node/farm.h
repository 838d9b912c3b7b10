/*
 * farm.h - what a node shares with the others of its farm: which engine stands behind the door, the
 * secrets that come from the farm's, and each thread's way in.
 *
 * Without a farm the embedded engine stands there, all is this process's own, and stored responses
 * are not put behind the door: the memory tier has them.
 */
#ifndef FARM_H
#define FARM_H

#include <stdbool.h>

#include "weir/err.h"
#include "weir/farm_settings.h"
#include "weir/hash.h"
#include "weir/seal.h"
#include "weir/shared.h"
#include "weir/wrap.h"

struct cache_settings;
struct farm;
struct net_loop;
struct shared_port;
struct store;
struct store_names;
struct weir_opener;
struct weir_shared;

/* Borrows the settings as long as it lives. opener: for their files; NULL: nobody but this process.
 * NULL: *err (a secret that cannot be read, memory). That Redis cannot be reached is no error. */
struct farm *farm_new(const struct farm_settings *s, const struct weir_opener *opener,
                      struct weir_err *err);
/* All ports are closed. NULL does nothing. */
void farm_free(struct farm *f);

/* Would a node be in the same farm, in the same way? */
bool farm_settings_same(const struct farm_settings *a, const struct farm_settings *b);

/* Do other nodes see what is put there? */
bool farm_is_shared(const struct farm *f);
struct weir_shared *farm_shared(const struct farm *f);
/* The key of the node's hashes: the same in all nodes of a farm, or else drawn. */
bool farm_hash_secret(const struct farm *f, struct weir_hash_secret *out, struct weir_err *err);
/* What this farm's nodes mark their words with. */
bool farm_seal_key(const struct farm *f, struct weir_seal_key *out, struct weir_err *err);
/* What they hide their secrets under; without a farm it is drawn. */
bool farm_wrap_key(const struct farm *f, struct weir_wrap_key *out, struct weir_err *err);

/* One thread's. */
struct farm_port {
    struct shared_loop loop;
    struct shared_port *shared;
    struct store *store;       /* NULL: responses are not shared */
    struct store_names *names; /* NULL where store is */
};

/* For the thread of `loop`, which must not run yet or be the caller's. false: *err, nothing is
 * open. */
bool farm_port_open(struct farm_port *p, struct farm *f, struct net_loop *loop,
                    const struct cache_settings *cache, struct weir_err *err);
/* Harmless twice. */
void farm_port_close(struct farm_port *p);

#endif
