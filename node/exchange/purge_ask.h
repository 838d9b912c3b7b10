/*
 * purge_ask.h - purges as people ask for them, in URLs, prefixes, hosts and tags: brought to the
 * form that requests have, and made records of. Nothing is purged before all of them are made.
 *
 * false: *err is BAD_TARGET, BAD_HOST, BAD_REQUEST (a tag; too many) or MEMORY.
 */
#ifndef PURGE_ASK_H
#define PURGE_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/span.h"
#include "purge.h"

struct purge_submission;
struct weir_arena;
struct weir_exchange;

struct purge_asked {
    struct purge_table *table;
    enum purge_mode mode;
    int64_t now_s;
    struct purge_submission *out; /* the records */
};

#define PURGE_TAG_MAX 1024 /* bytes of one tag */

/* The URL of x's target, as it is written and, if x has a route, as that keys it. */
bool purge_ask_url(const struct purge_asked *a, struct weir_exchange *x, struct weir_err *err);

/* "http://host[:port]/path" for one host, "/path" for all. Paths that begin so, byte by byte. */
bool purge_ask_prefix(const struct purge_asked *a, struct weir_span text, struct weir_arena *arena,
                      struct weir_err *err);

/* "host[:port]"; the port does not matter. */
bool purge_ask_host(const struct purge_asked *a, struct weir_span text, struct weir_arena *arena,
                    struct weir_err *err);

bool purge_ask_tag(const struct purge_asked *a, struct weir_span tag, struct weir_err *err);

/* A target that is in the form of requests already. */
bool purge_ask_target(const struct purge_asked *a, struct purge_target *t, struct weir_err *err);

bool purge_ask_all(const struct purge_asked *a, struct weir_err *err);

/* Without a farm: applies the records of a->out. Returns the number of the last. */
uint64_t purge_ask_apply(const struct purge_asked *a);

#endif
