/*
 * purge.h - what has been invalidated or purged, as a log and stamps: no work per stored response.
 *
 * A purge is a *record* with a sequence number. A fetch takes a *stamp*, the newest number applied,
 * when it begins; what it brings carries the stamp and hashes of what purges may name it by (its
 * subject). It may be used if no record that covers it is newer than its stamp, and the floor is
 * not above it. So a purge costs the same whatever it hits, a purge during a fetch wins, and
 * nothing purged comes back by a late writer.
 *
 *     fetch begins: stamp 7    purge tag "a": 8    fetch ends: stored with stamp 7, tags {a}: dead
 *
 * Making a record and applying it are apart, so that a log shared by a farm can be put between
 * them (purge_feed.h).
 *
 * A check costs two loads unless something was purged since the last check of this subject; then a
 * load for each of its hashes; and only if one of those buckets is new, a look into the exact
 * table, under a lock.
 *
 * All functions may be called from any thread. Times are seconds of the wall clock. Hashes are
 * 64-bit and keyed; two that collide purge too much, never too little.
 *
 * Source: RFC 9111 4.4, RFC 9875; redis.md 3.8.
 */
#ifndef PURGE_H
#define PURGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/hash.h"
#include "weir/span.h"

struct purge_table;

#define PURGE_RECORDS_MAX 1000000 /* remembered; beyond, the floor rises over the oldest */
#define PURGE_PREFIX_MAX  1024    /* bytes of the longest prefix that can be purged */

enum purge_scope {
    PURGE_URL,    /* authority, path and query, whatever scheme, route or variant */
    PURGE_PREFIX, /* paths that begin so, of a host or of all; byte by byte: "/a" covers "/ab" */
    PURGE_TAG,    /* Surrogate-Key, Cache-Tag */
    PURGE_GROUP,  /* Cache-Groups: of one origin (RFC 9875) */
    PURGE_HOST,   /* on every port */
    PURGE_ALL,
    PURGE_SCOPES
};

enum purge_mode {
    PURGE_SOFT, /* stale from now on: may serve while it is revalidated, or if that fails, within
                   its windows, and be validated */
    PURGE_HARD, /* must not be used for anything, not even as the base of a condition */
};

/* What to purge, in words; spans borrowed. Each scope reads what is named for it. */
struct purge_target {
    enum purge_scope scope;
    enum purge_mode mode;
    struct weir_span scheme;    /* GROUP */
    struct weir_span authority; /* URL, GROUP; HOST: a port is ignored; PREFIX: likewise, empty =
                                   all hosts. Lower case, default port dropped (as in the key) */
    struct weir_span path;      /* URL; PREFIX: the prefix, begins with "/" */
    struct weir_span query;     /* URL: without "?"; ptr NULL: none. As the route keys it */
    struct weir_span tag;       /* TAG, GROUP: compared as bytes */
};

/* The same as a record: what a log keeps. */
struct purge_record {
    uint64_t sequence; /* > 0 once it is applied */
    enum purge_scope scope;
    enum purge_mode mode;
    uint64_t hash;
    uint64_t also;   /* URL: its purge_loose_hash(); else, or where that does not matter, 0 */
    uint32_t length; /* PREFIX: bytes; else 0 */
    int64_t time_s;
};

/* secret: borrowed for the life of the table. records_max: 0 = PURGE_RECORDS_MAX. */
struct purge_table *purge_new(const struct weir_hash_secret *secret, size_t records_max,
                              struct weir_err *err);
void purge_free(struct purge_table *t); /* NULL does nothing */

/* ---- purging ---- */

/* Makes a record with the next number and applies it. Returns its number, 0 if the target is not
 * well-formed (an empty tag, a path that does not begin with "/", a prefix that is too long). It
 * cannot fail for memory: then more is purged. */
uint64_t purge_add(struct purge_table *t, const struct purge_target *target, int64_t now_s);

/* Numbers and applies a record. */
uint64_t purge_add_record(struct purge_table *t, const struct purge_record *r);

/* The record without a number; false as above. */
bool purge_record_make(const struct purge_table *t, const struct purge_target *target,
                       int64_t now_s, struct purge_record *out);
/*
 * An unsafe method has changed a URL: a hard purge, but only if something is watched under that URL
 * (below). What nobody stores needs no record; else requests to ever new URLs would crowd out the
 * purges that matter. Returns its number, 0 if there was nothing to do.
 */
uint64_t purge_invalidate(struct purge_table *t, struct weir_span authority, struct weir_span path,
                          struct weir_span query, int64_t now_s);

/* ---- asking ---- */

/* What purges may name a response by. Belongs to a stored response or a fill, and with it what its
 * spans and pointers point to. */
struct purge_subject {
    uint64_t stamp;  /* the newest number applied when its fetch began */
    uint64_t logged; /* purge_logged() then: its stamp for other nodes; 0: it must not be shared */
    uint64_t url;    /* purge_url_hash() or purge_loose_hash() */
    uint64_t host;
    struct weir_span path;
    const uint64_t *tags; /* tags and groups */
    uint32_t tag_count;
    atomic_uint_fast64_t checked; /* known to be valid up to this number; purge_check()'s alone */
};

/* The newest number applied. */
uint64_t purge_stamp(const struct purge_table *t);
uint64_t purge_url_hash(const struct purge_table *t, struct weir_span authority,
                        struct weir_span path, struct weir_span query);
/* For what is stored under a part of its query, or a rewritten one: it may be an answer to this
 * path with any query, so a purge of any of those covers it. */
uint64_t purge_loose_hash(const struct purge_table *t, struct weir_span authority,
                          struct weir_span path);
uint64_t purge_host_hash(const struct purge_table *t, struct weir_span authority);
uint64_t purge_tag_hash(const struct purge_table *t, struct weir_span tag);
uint64_t purge_group_hash(const struct purge_table *t, struct weir_span scheme,
                          struct weir_span authority, struct weir_span group);

enum purge_verdict {
    PURGE_VALID,
    PURGE_STALE, /* softly purged */
    PURGE_DEAD,  /* purged for good */
};

/* *since_s: for STALE, stale from then on. */
enum purge_verdict purge_check(struct purge_table *t, struct purge_subject *s, int64_t *since_s);

/*
 * From watch to unwatch something may be stored, or be under way, under this URL (the `url` of a
 * subject). A fetch watches before it takes its stamp, what it stores watches in its turn.
 */
void purge_watch(struct purge_table *t, uint64_t url);
void purge_unwatch(struct purge_table *t, uint64_t url);

/* ---- with a log that a farm shares ---- */

/*
 * Numbers are each node's own. The records of the log have ids that mean the same everywhere; one
 * that is applied gets the greater of its id and the next number, so never less than its id. That
 * makes an id a safe stamp for what another node has fetched: what that one had not applied has a
 * higher number here.
 *
 *     this node's numbers   ... 700   900  901        1200  1201         (901: made here, in force
 *     ids in the log        ... 700   900             1200  1195          before it had an id)
 *
 * What is purged here *ahead* of the log must also cover what other nodes fetched before they knew.
 * So until it has landed there, stamps newer than the log was at the time are not believed.
 */

/* Is all of the log known that there was a little while ago? Only then may anything be shared with
 * the farm. now_ms: monotonic, of any thread. Without purge_log_start() there is no log: true, and
 * this table's numbers take the place of ids. */
bool purge_log_current(const struct purge_table *t, int64_t now_ms);
/* Up to which id all of the log has been applied. */
uint64_t purge_logged(const struct purge_table *t);
/* The stamp here of what was fetched by a node that had applied the log up to `logged`; false: it
 * must not be used, or the log is not current. */
bool purge_admit(const struct purge_table *t, uint64_t logged, int64_t now_ms, uint64_t *stamp);

/* This node starts, and has a log: what the log got until then is no purge of what the node fetches
 * from now on. Its own clock is believed within an hour. */
void purge_log_start(struct purge_table *t, int64_t wall_ms);
/* The log, or what is left of it, begins at `id`: what was fetched before may have been purged. */
void purge_log_begins(struct purge_table *t, uint64_t id);
/* One entry of the log: records that have the same id. */
void purge_log_apply(struct purge_table *t, const struct purge_record *r, size_t count,
                     uint64_t id);
/* Up to `id` there may be records that were lost: all that is fetched by now is purged for good. */
void purge_log_missed(struct purge_table *t, uint64_t id);
/* All up to `id` has been applied. May go back: the log has lost its end. */
void purge_log_reached(struct purge_table *t, uint64_t id);

/*
 * All that was in the log at asked_ms (monotonic) has been applied. That holds for
 * PURGE_CURRENT_MS, and whoever looks compares with its own clock: a process that stood still, or
 * whose control thread does, uses nothing of the shared store either.
 */
#define PURGE_CURRENT_MS 3000
void purge_log_current_at(struct purge_table *t, int64_t asked_ms);
/* Contact with the log was lost, or something in it was missed: until the next call of the above.
 */
void purge_log_doubt(struct purge_table *t);

/* Applies what the log does not have yet. Returns a token for purge_landed(). Any thread. */
unsigned purge_ahead(struct purge_table *t, const struct purge_record *r, size_t count);
/* `count` records of calls that returned `token` are in the log and applied from there, or need not
 * be. */
void purge_landed(struct purge_table *t, unsigned token, size_t count);
#define PURGE_TOKENS 2 /* 0 and 1 */

/* Does anything watch what the record (a URL's) covers? As purge_invalidate() asks. */
bool purge_is_watched(struct purge_table *t, const struct purge_record *r);

/* ---- seeing ---- */

struct purge_stats {
    uint64_t sequence;               /* newest applied */
    uint64_t floor_hard, floor_soft; /* 0: never raised */
    uint64_t logged, begin;          /* of a farm's log; 0: none */
    size_t records, records_max;     /* in the table */
    size_t bytes;                    /* all memory of the table */
    uint64_t applied[PURGE_SCOPES];  /* since the start */
    uint64_t checks_exact;           /* that had to look into the exact table */
};

void purge_stats(struct purge_table *t, struct purge_stats *out);

#endif
