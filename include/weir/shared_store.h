/*
 * shared_store.h - objects in shared state: opaque fields (the *meta*) over a body of any size.
 *
 * Written against the door (shared.h), one `struct store` for each thread with a port. Small
 * objects are one value. The body of a larger one lies in chunks under keys of their own, named by
 * a random *generation*, so that two bodies never mix; the meta is written last. Neither reading
 * nor writing ever has a large body whole in memory. What is missing, damaged or late is a miss,
 * never a wrong byte.
 *
 * Under a name lies one of three things: an *object*; a *stub*, which says only that there are
 * variants and how they differ (the caller finds the variant's name and asks again); or a *marker*
 * (hit-for-miss): meta without a body. The meta is fields as record.h writes them, of types from
 * 0x0100 on: the store does not look into it.
 *
 * All callbacks come from the loop, never from inside a call of this header. Whatever is opened or
 * begun is closed by the caller, in any state, also from inside its own callbacks; no callback
 * comes after that.
 *
 * Source: redis.md 3.6, 3.7, 3.9.
 */
#ifndef WEIR_SHARED_STORE_H
#define WEIR_SHARED_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/blob.h"
#include "weir/err.h"
#include "weir/shared.h"
#include "weir/span.h"

/* ---- names ---- */

/*
 * Names are keyed hashes (BLAKE2s, 128 bits), so that nobody can aim for a collision or read a URL
 * in Redis. Their key comes from the farm's secret and the farm's name: two farms can share one
 * Redis.
 */
struct store_names; /* one for each thread */

#define STORE_HASH_TEXT 22 /* 128 bits in base64url */

struct store_name {
    char base[STORE_HASH_TEXT];    /* of the cache key */
    char variant[STORE_HASH_TEXT]; /* all NUL: none */
    uint64_t check;                /* further bits of the hash, kept in the record and compared */
    uint64_t base_check;           /* those of the name without the variant */
};

/* out = HKDF-SHA256(secret, info = label); len at most 255 * 32. false: *err. */
bool store_derive(struct weir_span secret, struct weir_span label, void *out, size_t len,
                  struct weir_err *err);

/* NULL: *err. */
struct store_names *store_names_new(struct weir_span farm_secret, struct weir_span farm_name,
                                    struct weir_err *err);
void store_names_free(struct store_names *n); /* NULL does nothing */
/* Below 1 us. false: no memory. */
bool store_name_of(struct store_names *n, struct weir_span cache_key, struct store_name *out);
/* The name of a variant of `base` (itself without a variant), told apart by any bytes. */
bool store_name_variant(struct store_names *n, const struct store_name *base,
                        struct weir_span variant, struct store_name *out);

/* What a key is for; the letter behind the braces. */
enum store_key {
    STORE_KEY_META = 'm',  /* 'v' and the variant's hash for a variant */
    STORE_KEY_LEASE = 'l', /* a variant has its own, */
    STORE_KEY_FENCE = 'f', /* so that variants can be fetched at the same time */
    STORE_KEY_OPEN = 'o',  /* an object that still grows; one for all variants */
};
#define STORE_KEY_MAX 96

/* For leases, and for whoever wants to see: the key is written to buf. */
struct weir_span store_key(const struct store_name *name, enum store_key what,
                           char buf[STORE_KEY_MAX]);

/* ---- the store of a thread ---- */

struct store;

struct store_settings {
    uint32_t meta_timeout_ms;  /* 20 */
    uint32_t chunk_timeout_ms; /* 50; before the first byte was given out */
    uint32_t stall_timeout_ms; /* 2000; after that: a client is waiting for the rest */
    uint32_t write_timeout_ms; /* 1000 */
    uint32_t open_lease_ms;    /* 3000; a growing object without progress for so long is dead */
    uint32_t chunk_extra_ms;   /* 60000; by how much chunks outlive the meta */
    size_t inline_max;         /* 48 KiB; a record up to this size carries its body */
    unsigned read_ahead;       /* 3 chunks, at most 8 */
    size_t write_ahead;        /* 768 KiB; bytes a put holds that are not known to be stored */
    size_t chunk_bytes;        /* of the body in a chunk: 2^18 - 64 - 32 (redis.md M14) */
    unsigned version;          /* of the records written; RECORD_VERSION */
};

extern const struct store_settings store_settings_default;

/* The settings are copied. The port outlives the store. NULL: *err. */
struct store *store_new(struct shared_port *port, const struct shared_loop *loop,
                        const struct store_settings *settings, struct weir_err *err);
/* All reads and puts are closed. What it was still cleaning up is dropped. NULL does nothing. */
void store_free(struct store *s);

enum store_kind { STORE_NOTHING, STORE_OBJECT, STORE_STUB, STORE_MARKER };

/* ---- reading ---- */

/*
 *     r = store_read_open(s, &name, STORE_STORED, &events, arg);
 *     on_found(): f->kind == STORE_OBJECT: look at f->meta; store_read_range(r, 0, UINT64_MAX);
 *     then store_read_next() until it says END; after WAIT, again when on_ready() came.
 */
struct store_read;

#define STORE_LENGTH_UNKNOWN UINT64_MAX

struct store_found {
    enum store_kind kind;
    /* OK unless `kind` is STORE_NOTHING: NONE is a miss, BAD was damaged (and is removed), LATE,
     * GONE and FULL mean that nobody knows. */
    enum shared_result result;
    struct weir_span meta; /* fields; valid until store_read_close() */
    uint64_t body_bytes;   /* STORE_LENGTH_UNKNOWN while it grows */
    uint64_t generation;   /* of an object: another one, another body */
    bool growing;
};

enum store_which {
    STORE_STORED,  /* what was stored as a whole */
    STORE_NEWEST,  /* the same, and never from a copy that may be behind: after a hint */
    STORE_GROWING, /* what another node is fetching now (store_put_announce) */
};

struct store_read_events {
    /* Once, unless closed before. f is valid for the call only. */
    void (*on_found)(struct store_read *r, const struct store_found *f, void *arg);
    /* After store_read_next() said WAIT: it has something else to say now. */
    void (*on_ready)(struct store_read *r, void *arg);
};

/* The name is copied; events must stay. NULL: no memory. */
struct store_read *store_read_open(struct store *s, const struct store_name *name,
                                   enum store_which which, const struct store_read_events *events,
                                   void *arg);
/* After on_found() with an object: which bytes, [from, to), are wanted. Until then no chunk is
 * asked for. Both are cut to the length of the body. Called once. */
void store_read_range(struct store_read *r, uint64_t from, uint64_t to);

enum store_step {
    STORE_BYTES,  /* *out: the next bytes, never empty; the reference is now the caller's */
    STORE_WAIT,   /* on_ready() will be called once */
    STORE_END,    /* all of the range was given out */
    STORE_BROKEN, /* the rest cannot be had, and the object has been removed if it was to blame */
};

/* After store_read_range(). What is read ahead is bounded, so nothing is asked for that the caller
 * does not come to fetch. */
enum store_step store_read_next(struct store_read *r, struct weir_slice *out);
/* Bytes given out so far: 0 at STORE_BROKEN is as good as a miss. */
uint64_t store_read_given(const struct store_read *r);
/* Why it is BROKEN. */
enum shared_result store_read_result(const struct store_read *r);
/* Growing: a hint came that there is more; look now rather than at the next poll. Harmless. */
void store_read_poke(struct store_read *r);
/* Any state; from its callbacks too. NULL does nothing. */
void store_read_close(struct store_read *r);

/* ---- writing ---- */

/*
 *     p = store_put_begin(s, &wish);
 *     store_put_append(p, slice) as bytes come, at most store_put_room(p) of them;
 *     store_put_finish(p, meta); on_done(): store_put_close(p)
 *
 * A put never makes anybody wait. Who gives it more than it has room for loses it (FULL); who wants
 * to keep it stops at the room there is, and goes on at on_room().
 */
struct store_put;

struct store_put_wish {
    const struct store_name *name; /* copied */
    enum store_kind kind;          /* STORE_OBJECT or STORE_MARKER */
    /* The name has a variant: fields for the stub under the name without. Copied. The stub of
     * another variant with the same fields stays as it is, and lives no shorter. */
    struct weir_span stub;
    /* How long it is worth keeping from now on; the time the put takes counts. The store spreads
     * it by 5 % either way, so that what was stored together does not expire together. */
    int64_t ttl_ms;
    /* Of the lease under which it was fetched: refused if a newer one was given out since. 0: no
     * lease. `leased` is the name it was taken under; NULL: `name`. */
    uint64_t fence;
    const struct store_name *leased;

    /* There is room again; after store_put_room() was 0. May be NULL. */
    void (*on_room)(struct store_put *p, void *arg);
    /* Once, unless closed before: after store_put_finish(), or when it is lost before that. From
     * then on all that can be done is store_put_close(). OK: stored. REFUSED: a newer fence. */
    void (*on_done)(struct store_put *p, enum shared_result result, void *arg);
    void *arg;
};

/* NULL: no memory. Nothing is written yet. */
struct store_put *store_put_begin(struct store *s, const struct store_put_wish *wish);
/* How many bytes it takes now without being lost; SIZE_MAX once it is lost (it takes no notice). */
size_t store_put_room(const struct store_put *p);
/* Keeps a reference (small pieces are copied). */
void store_put_append(struct store_put *p, struct weir_slice bytes);
/* Lets other nodes read it while it grows (STORE_GROWING). Once, before finish. Harmless when lost.
 * The meta is what on_found() gives them: borrowed. Progress keeps it alive; without any for
 * open_lease_ms they give up. */
void store_put_announce(struct store_put *p, struct weir_span meta);
/* All bytes were given: the last chunk, then the meta (borrowed), then the stub are written. */
void store_put_finish(struct store_put *p, struct weir_span meta);
/* The generation of what it stores. */
uint64_t store_put_generation(const struct store_put *p);
/* Any state. Before on_done() it gives up: what was written cannot be found and goes by itself. */
void store_put_close(struct store_put *p);

/*
 * Freshens the object that `r` has found (on_found() has come, the object is whole): new meta and
 * ttl over the same body, same generation. The caller has judged that the new meta fits what r
 * found. `wish` as for a put (its name must be that of r); `meta` is borrowed; r may be closed at
 * once. NONE: the body is no longer whole. NULL: no memory.
 */
struct store_put *store_freshen(struct store *s, const struct store_read *r,
                                const struct store_put_wish *wish, struct weir_span meta);

/* Removes what lies under the name (not its variants). Nobody is told; what cannot be reached is
 * not removed. */
void store_remove(struct store *s, const struct store_name *name);

#endif
