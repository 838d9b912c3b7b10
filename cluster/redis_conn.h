/*
 * redis_conn.h - one connection to one Redis node, on one loop.
 *
 *     NEW --redis_conn_new()--> CONNECTING --address, TCP, TLS--> HELLO --AUTH ...--> UP --> DOWN
 *              CONNECTING, HELLO, UP --failure, close by the peer, silence--> DOWN
 *
 *     CONNECTING  names are resolved (evdns), addresses tried one after the other
 *     HELLO       AUTH, CLIENT SETNAME and READONLY are out, their replies awaited
 *     UP          commands go out, replies come in their order
 *     DOWN        nothing will come of it any more: free it, and make another one
 *
 * Commands are accepted in every state but DOWN; those of CONNECTING and HELLO go out when it is
 * UP.
 *
 * An accepted command ends exactly once: by its done(), or by redis_command_cancel(). No callback
 * is ever called from inside a function declared here; every function may be called from inside
 * every callback, redis_conn_free() included.
 *
 * A command that timed out or was cancelled leaves its place in the line (Redis will answer it all
 * the same); that reply is dropped. It counts as in flight until then.
 */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "redis_loop.h"
#include "redis_reply.h"
#include "weir/blob.h"
#include "weir/span.h"

struct redis_conn;
struct redis_settings;
struct redis_tls;

enum redis_fault {
    REDIS_FAULT_NONE = 0,
    REDIS_FAULT_TIMEOUT,  /* no reply by the deadline: it may have been, or yet be, executed */
    REDIS_FAULT_CLOSED,   /* the connection ended before the reply: it may have been executed. From
                             redis_conn_submit(): the connection is DOWN, not executed */
    REDIS_FAULT_CONNECT,  /* no connection came about: not executed */
    REDIS_FAULT_TLS,      /* the handshake failed, or the certificate is not good: not executed */
    REDIS_FAULT_AUTH,     /* AUTH was refused: not executed. A matter of configuration */
    REDIS_FAULT_PROTOCOL, /* what came is no RESP2, or beyond a limit: may have been executed */
    REDIS_FAULT_FULL,     /* in_flight_max or queued_max_bytes: not accepted */
    REDIS_FAULT_MEMORY,   /* not accepted; as the end of an accepted one: as PROTOCOL */
};

const char *redis_fault_name(enum redis_fault f); /* "timeout" */
/* It certainly did not run: may be sent elsewhere whatever it is. */
bool redis_fault_unsent(enum redis_fault f);

/* ---- commands ---- */

struct redis_command;

/* reply: borrowed for the call (redis_reply_ref() keeps it), an error reply included; NULL if and
 * only if fault != NONE. cmd is idle again: may be freed, or submitted anew. */
typedef void redis_done_fn(struct redis_command *cmd, struct redis_reply *reply,
                           enum redis_fault fault);

/* Embedded in what it is about. All zero = idle. Must not be freed unless idle. */
struct redis_command {
    redis_done_fn *done;
    int64_t deadline_ms; /* monotonic (redis_now_ms()); INT64_MAX = none, then silence_max_ms alone
                            ends it */
    /* the rest belongs to redis_conn.c */
    struct redis_conn *conn;   /* in its line; NULL = not */
    uint32_t place;            /* in conn's line */
    enum redis_fault fault;    /* completed with */
    struct redis_reply *reply; /* completed with */
    struct redis_loop *loop;   /* of conn, which may be gone when it is completed */
    struct redis_timer timer;  /* the deadline */
    struct redis_later later;  /* completed, done() not called yet */
};

/* A part of an argument. Without blob the bytes are copied during the call (borrows). With blob,
 * text lies inside it: large ones are sent from there, under a reference taken (keeps). */
struct redis_arg {
    struct weir_span text;
    struct weir_blob *blob;
    bool joined; /* goes on with the argument before it: an argument may come in pieces */
};

static inline struct redis_arg redis_arg(struct weir_span text)
{
    return (struct redis_arg){.text = text};
}

static inline struct redis_arg redis_arg_str(const char *s)
{
    return (struct redis_arg){.text = weir_span_str(s)};
}

static inline struct redis_arg redis_arg_slice(struct weir_slice s)
{
    return (struct redis_arg){.text = weir_span(weir_slice_ptr(s), s.len), .blob = s.blob};
}

static inline struct redis_arg redis_arg_more(struct redis_arg part)
{
    part.joined = true;
    return part;
}

/* What the arguments of a command will take on the wire. */
size_t redis_args_bytes(const struct redis_arg *argv, size_t argc);

enum redis_submit_flags {
    REDIS_ASKING = 1, /* "ASKING" right before it, on the same connection */
};

/* NONE: accepted. Else FULL, CLOSED or MEMORY: not accepted, and done() is not called. Borrows
 * argv; keeps cmd until it has ended. Not for a subscriber. */
enum redis_fault redis_conn_submit(struct redis_conn *conn, struct redis_command *cmd,
                                   const struct redis_arg *argv, size_t argc, unsigned flags);
/* Afterwards done() will not be called. An idle command: does nothing. */
void redis_command_cancel(struct redis_command *cmd);
static inline bool redis_command_idle(const struct redis_command *cmd)
{
    return cmd->conn == NULL && cmd->later.at == NULL;
}

/* ---- connections ---- */

enum redis_state { REDIS_CONNECTING, REDIS_HELLO, REDIS_UP, REDIS_DOWN };

/* Any member may be NULL. `down` comes at most once, before the commands it ends are completed, so
 * that the owner knows when these ask for something new. why: a sentence for the log, borrowed. */
struct redis_conn_events {
    void (*up)(struct redis_conn *conn, void *arg);
    void (*down)(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg);
    /* A subscriber: an array that begins with [s|p]message, [s|p]subscribe or [s|p]unsubscribe, or
     * an error, which can only be the answer to one of these. Borrowed (redis_reply_ref()). */
    void (*push)(struct redis_conn *conn, struct redis_reply *reply, void *arg);
};

struct redis_endpoint {
    const char *host; /* name, IPv4, IPv6 without brackets, or the path of a unix socket ("/...");
                         borrowed for the call */
    uint16_t port;
    bool replica;                          /* READONLY, so that it may be read from */
    bool subscriber;                       /* for redis_conn_send() and events->push */
    const struct redis_settings *settings; /* kept, must outlive the connection */
    struct redis_tls *tls;                 /* kept, must outlive it; NULL = without TLS */
};

/* Begins to connect. Keeps events. NULL without memory; every other failure is reported by `down`.
 */
struct redis_conn *redis_conn_new(struct redis_loop *loop, const struct redis_endpoint *to,
                                  const struct redis_conn_events *events, void *arg);
/* Closes. None of its events comes any more; its commands end with CLOSED (or CONNECT, if it never
 * came up), at the end of the turn. NULL does nothing. */
void redis_conn_free(struct redis_conn *conn);

/* A subscriber: sends without a place in the line; what comes of it is pushed. NONE, FULL, CLOSED
 * or MEMORY. */
enum redis_fault redis_conn_send(struct redis_conn *conn, const struct redis_arg *argv,
                                 size_t argc);

enum redis_state redis_conn_state(const struct redis_conn *conn);
/* Commands that Redis has not answered, those that nobody waits for any more included. */
unsigned redis_conn_in_flight(const struct redis_conn *conn);

#define REDIS_PEER_MAX 64

struct redis_conn_stats {
    enum redis_state state;
    char peer[REDIS_PEER_MAX]; /* address connected to, "" if none: "192.0.2.1:6379" */
    int64_t up_since_ms;       /* monotonic; 0 = never */
    int64_t last_reply_ms;     /* monotonic; 0 = never */
    uint32_t rtt_us;           /* from submit to reply, smoothed (1/8) */
    unsigned in_flight;
    unsigned abandoned; /* of these: timed out or cancelled */
    unsigned strikes;   /* time-outs in a row */
    size_t queued_bytes;
    uint64_t commands, replies, timeouts, refused; /* refused: FULL */
    uint64_t bytes_in, bytes_out;
};

void redis_conn_stats(const struct redis_conn *conn, struct redis_conn_stats *out);

#endif
