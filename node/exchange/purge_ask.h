/*
 * purge_ask.h - purges as people ask for them, in URLs, prefixes, hosts and tags: brought to the
 * form that requests have, then made.
 *
 * Each returns the number of its record (the last, if it made several), or 0 with *err: BAD_TARGET,
 * BAD_HOST, BAD_REQUEST (a tag) or MEMORY.
 */
#ifndef PURGE_ASK_H
#define PURGE_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/span.h"
#include "purge.h"

struct weir_arena;
struct weir_exchange;

struct purge_asked {
    struct purge_table *table;
    enum purge_mode mode;
    int64_t now_s;
    bool dry; /* judge only, purge nothing: then any number but 0 is fine */
};

#define PURGE_TAG_MAX 1024 /* bytes of one tag */

/* The URL of x's target, as it is written and, if x has a route, as that keys it. */
uint64_t purge_ask_url(const struct purge_asked *a, struct weir_exchange *x, struct weir_err *err);

/* "http://host[:port]/path" for one host, "/path" for all. Paths that begin so, byte by byte. */
uint64_t purge_ask_prefix(const struct purge_asked *a, struct weir_span text,
                          struct weir_arena *arena, struct weir_err *err);

/* "host[:port]"; the port does not matter. */
uint64_t purge_ask_host(const struct purge_asked *a, struct weir_span text,
                        struct weir_arena *arena, struct weir_err *err);

uint64_t purge_ask_tag(const struct purge_asked *a, struct weir_span tag, struct weir_err *err);

uint64_t purge_ask_all(const struct purge_asked *a, struct weir_err *err);

#endif
