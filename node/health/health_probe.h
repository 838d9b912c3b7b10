/*
 * health_probe.h - one probe: ask one origin once, and say how it went.
 *
 *     idle --start--> connecting --> (shaking hands) --> asking --> answering --done()--> idle
 *                          '--refused: the next address of the name--'
 *     any but idle --cancel--> idle      (nothing is told, it counts for nothing)
 *
 * A probe has one deadline for all of it, at which it fails however lively the answer trickles.
 * It asks the addresses that requests use (origin_names.h), as they do: from the next in turn on,
 * another one where a connection is refused. Nothing is kept between probes but that turn: no
 * connection, no cookie.
 *
 * The memory of a struct health_probe is the caller's, zeroed once before its first start. Between
 * start and done() or cancel it must neither move nor go. done() comes from the loop, never from
 * inside start or cancel, and is the last thing a probe does: it may start the same probe again or
 * free its memory.
 *
 * Everything on the loop's thread. How a probe is carried out is a transport: sockets, or what a
 * test has written down.
 */
#ifndef HEALTH_PROBE_H
#define HEALTH_PROBE_H

#include <stdint.h>

#include <event2/event_struct.h>

#include "health.h"
#include "health_check.h"
#include "net_chan.h"
#include "net_loop.h"
#include "weir/err.h"

struct health_answer;
struct origin_names;
struct tls_client_context;
struct tls_session;

struct health_probe_result {
    enum health_reason reason; /* ANSWERED: well. LOCAL: says nothing. Others: not well */
    int status;                /* of the answer; 0: none */
    int os;                    /* errno where there is one, else 0 */
    int64_t rtt_us;            /* from the start to the end of the probe */
};

struct health_probe {
    /* Set by the caller before start. */
    const struct health_check *check; /* borrowed until the end of the probe, like names */
    struct origin_names *names;
    struct tls_client_context *tls; /* borrowed likewise; NULL: plain */
    const char *tls_name;           /* the origin's host */
    void (*done)(struct health_probe *p, const struct health_probe_result *r);

    /* The transport's own. */
    struct health_transport *transport; /* NULL: idle */
    unsigned turn;                      /* of the name's addresses: kept between probes */
    unsigned tried;
    struct net_chan chan;
    struct tls_session *session; /* shaking hands */
    uint32_t sent;
    int64_t began_us;
    struct event event; /* the socket, or the end of a probe that ended inside start */
    struct net_timer deadline;
    struct health_answer *answer;
    struct health_probe_result result;
};

struct health_transport {
    void (*start)(struct health_transport *t, struct health_probe *p);
    void (*cancel)(struct health_transport *t, struct health_probe *p);
};

static inline void health_probe_start(struct health_transport *t, struct health_probe *p)
{
    p->transport = t;
    t->start(t, p);
}

/* An idle probe stays idle. */
static inline void health_probe_cancel(struct health_probe *p)
{
    if (p->transport != NULL)
        p->transport->cancel(p->transport, p);
    p->transport = NULL;
}

static inline bool health_probe_under_way(const struct health_probe *p)
{
    return p->transport != NULL;
}

/* For transports: ends a probe. */
static inline void health_probe_end(struct health_probe *p, const struct health_probe_result *r)
{
    struct health_probe_result copy = *r; /* it may lie in p, which done() may free */

    p->transport = NULL;
    p->done(p, &copy);
}

/* By sockets. Returns owned; NULL: *err. No probe may be under way when it is freed. */
struct health_transport *health_sockets_new(struct net_loop *loop, struct weir_err *err);
void health_sockets_free(struct health_transport *t); /* NULL does nothing */

#endif
