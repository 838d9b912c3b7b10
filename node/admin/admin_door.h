/*
 * admin_door.h - one way in to the admin API: a listening socket and the connections it has
 * brought, with HTTP/1.1 on them, plain or in TLS. Everything on the control thread.
 *
 * Who comes is not trusted: connections are counted (in all, and by address), requests are bounded
 * (admin_message.h), and nothing waits without end:
 *
 *   10 s   for the first byte of a request, and as long again for its whole head (a handshake of
 * TLS included) 20 s   for its content 10 s   for the client to take any of the answer, 60 s for
 * all of it
 *
 * A connection:
 *
 *     READING --request whole--> SERVING --answered--> ANSWERING --all sent--> READING, or
 * LINGERING |  \--refused-----------------------------------^  ^                     1 s, then
 * closed |                        HOLDING --delay is over---/
 *        +--time, error, end: closed
 *
 * When a door is full, the connection that has been idle for longest makes room, if there is one.
 */
#ifndef ADMIN_DOOR_H
#define ADMIN_DOOR_H

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir/err.h"
#include "weir/hash.h"
#include "weir/metrics.h"
#include "admin_message.h"
#include "net_addr.h"
#include "net_loop.h"

struct admin_conn;
struct admin_door;
struct ssl_ctx_st;

/* Who is at the other end. */
struct admin_peer {
    bool tcp;
    uid_t uid; /* of a Unix socket; -1 unknown */
    pid_t pid;
    struct net_peer address;
};

/* One request, from its whole head until it is answered; it outlives its connection if that goes
 * first, and is then answered to nobody. */
struct admin_call {
    struct admin_conn *conn; /* NULL: gone */
    struct admin_door *door; /* NULL: gone */
    struct admin_peer peer;
    struct admin_message *message; /* until the call of admit() or serve() is over */
    bool head_only;                /* HEAD: the content of the answer is left out */
    int64_t delay_ms;              /* before the answer is sent; 0 */
    struct evbuffer *fields;       /* further fields of the answer; NULL: none */
    /* the receiver's */
    int role;
    char who[72];
};

struct admin_door_options {
    struct net_loop *loop;
    const struct weir_hash_secret *secret;
    struct weir_metrics *metrics;
    unsigned connections, per_address; /* limits; 0: none */
    /* The head of a request is here. Answers it, which refuses it; or lets its content come. */
    void (*admit)(void *arg, struct admin_call *c);
    /* It is all here: to be answered once, now or later. */
    void (*serve)(void *arg, struct admin_call *c);
    void *arg;
};

/* Takes fd, which listens (closed on failure too). NULL: MEMORY. */
struct admin_door *admin_door_new(const struct admin_door_options *o, int fd, struct weir_err *err);
/* Closes the socket and the connections, answered or not. NULL does nothing. */
void admin_door_free(struct admin_door *d);
/* TLS for connections from now on; takes a reference. NULL: none. */
void admin_door_tls(struct admin_door *d, struct ssl_ctx_st *tls);
void admin_door_limit(struct admin_door *d, unsigned connections, unsigned per_address);

struct admin_door_stats {
    unsigned open;
    uint64_t accepted, refused; /* refused: the door was full, or the address had its share */
    uint64_t handshakes_failed, timed_out;
};
void admin_door_stats(const struct admin_door *d, struct admin_door_stats *out);

/* ---- answering ---- */

/* A field of the answer. Name and value without line ends. */
void admin_call_field(struct admin_call *c, const char *name, const char *value);
/* Ends the call. content NULL: none; its bytes are moved out of it. */
void admin_call_answer(struct admin_call *c, int status, const char *type,
                       struct evbuffer *content);

#endif
