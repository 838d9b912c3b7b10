/*
 * health_check.h - one check: how an upstream asks one of its origins whether it is well, and what
 * it expects.
 *
 * Pure: settings in, bytes to send and what to compare with out. Immutable once made; borrows
 * nothing, so it may outlive the settings.
 *
 * The id is the same on every node of a farm and in every version: it is a hash, without a secret,
 * of the upstream's name, the origin's url and everything that decides what is asked or what counts
 * as well. How often one asks (intervals, rise, fall) is no part of it.
 */
#ifndef HEALTH_CHECK_H
#define HEALTH_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health_statuses.h"
#include "http_status.h"
#include "net_proxy.h"
#include "origin_settings.h"
#include "weir/err.h"
#include "weir/span.h"

struct pattern;

struct health_check {
    uint64_t id;
    enum health_kind kind;         /* never HEALTH_KIND_OFF */
    uint16_t port;                 /* asked instead of the origin's own; 0: that one */
    char proxy[NET_PROXY_OUT_MAX]; /* goes first, and speaks for nobody (LOCAL, UNKNOWN) */
    uint32_t proxy_len;            /* 0: none */
    /* HTTP */
    struct weir_span request; /* whole, with its empty line */
    enum http_method method;
    struct health_statuses statuses;
    struct pattern
        *body; /* must match the answer's content, of which HEALTH_BODY_BYTES are read; NULL: any */

    int64_t interval_ms;      /* between the begins of two probes */
    int64_t fast_interval_ms; /* while the origin changes */
    int64_t timeout_ms;       /* for one probe in all */
    uint32_t rise, fall;      /* successes, failures in a row that turn a vote */
};

/*
 * The check of `origin`, one of `up`'s. Borrows both for the call; they have passed the
 * configuration's rules and up->health.kind is not OFF. Returns owned; NULL: *err (no memory).
 */
struct health_check *health_check_new(const struct upstream_settings *up,
                                      const struct origin_settings *origin, struct weir_err *err);
void health_check_free(struct health_check *c); /* NULL does nothing */

/* The id alone; for an upstream without checks too (it names the origin as its votes do). */
uint64_t health_check_id(const struct upstream_settings *up, const struct origin_settings *origin);

#endif
