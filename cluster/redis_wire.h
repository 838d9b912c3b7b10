/*
 * redis_wire.h - the bytes of one connection: addresses tried one after the other, TCP or a unix
 * socket, plain or TLS; private to redis_conn.c, which embeds it.
 *
 * TLS is libevent's bufferevent_openssl. Plain connections use the socket as it is: a bufferevent
 * reads at most 4096 bytes at a time, with an ioctl before each read and two epoll_ctl around each
 * write, which costs several times what a GET does.
 *
 * Events come from the loop, but `lost` may come from inside redis_wire_connect() and
 * redis_wire_write() too. After `lost`, and after redis_wire_close(), nothing comes any more.
 */
#ifndef REDIS_WIRE_H
#define REDIS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "redis_conn.h"
#include "redis_names.h"
#include "weir/span.h"

struct evbuffer;
struct bufferevent;
struct redis_reader;
struct redis_tls;

struct redis_wire_events {
    void (*open)(void *arg);
    /* Read on with what came; an empty span if it lies in the reader already. false: the wire was
     * closed in it, and its owner may be about to be freed. */
    bool (*bytes)(struct weir_span in, void *arg);
    void (*lost)(enum redis_fault fault, const char *why, void *arg);
};

struct redis_wire {
    struct redis_loop *loop;
    const struct redis_wire_events *events;
    void *arg;
    struct redis_reader *reader; /* the inside of large bulks is received there */
    struct redis_tls *tls;       /* NULL = plain */
    const char *host;            /* for TLS; borrowed from the owner */
    struct redis_sockaddr to[REDIS_SOCKADDRS_MAX];
    unsigned count, current;
    int64_t deadline_ms;        /* for all attempts together */
    struct redis_timer attempt; /* one address must not take all the time there is */
    bool open;                  /* connected, and TLS agreed on */
    int fd;                     /* plain, or before TLS; -1 = none */
    struct event readable, writable;
    struct bufferevent *bev; /* TLS */
    struct evbuffer *stuck;  /* what to write when it is writable again; the owner's */
    uint64_t bytes_in, bytes_out;
};

/* All members but the first six are set here. */
void redis_wire_init(struct redis_wire *w);
/* Borrows the addresses. */
void redis_wire_connect(struct redis_wire *w, const struct redis_sockaddr *to, unsigned count,
                        int64_t deadline_ms);
/* Writes what can be written at once; the rest stays in `out` (plain) or is the wire's (TLS) and
 * goes as soon as it can. */
void redis_wire_write(struct redis_wire *w, struct evbuffer *out);
/* Of what it has taken over. */
size_t redis_wire_queued(const struct redis_wire *w);
/* Closes; more than once does nothing. */
void redis_wire_close(struct redis_wire *w);

#endif
