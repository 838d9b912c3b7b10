/*
 * front_conn.h - one connection in the front. Private to this folder.
 *
 *   PROXY ---header----.      .---DONE---> taken by h1 or h2 (front_hand_over)
 *     |                v      |
 *     |      front_next() -> TLS --hello--> [WAITING -> TLS]
 *     |                '---> PREFACE --bytes--> taken
 *     '------ bad, late, refused, ended ------> closed (front_close)
 */
#ifndef FRONT_CONN_H
#define FRONT_CONN_H

#include "front.h"
#include "weir/log.h"
#include "net_proxy.h"

#define FRONT_PROXY_MS 5000 /* for a whole PROXY header */

enum front_phase { FRONT_PROXY, FRONT_WAITING, FRONT_TLS, FRONT_PREFACE };

struct tls_session;

struct front_conn {
    struct net_client client; /* first */
    struct front *front;
    struct tls_session *session;      /* until the channel has its layer */
    struct front_conn *next, *before; /* WAITING */
    struct event event;
    struct net_timer timer;
    struct net_deferred gone;
    uint32_t skip; /* of the PROXY header: bytes that nobody looks at */
    uint16_t have; /* bytes of buf */
    uint8_t phase; /* enum front_phase */
    bool heard;    /* something has come */
    bool counted;  /* as a handshake under way */
    bool queued;   /* in the list of those who wait for theirs */
    bool closed;
    short watching; /* for which events */
    char buf[NET_PROXY_LOOK_MAX];
};

/* ---- front.c ---- */

/* EV_READ, EV_WRITE or 0: nothing. */
void front_watch(struct front_conn *c, short what);
void front_expect(struct front_conn *c, int64_t ms);
void front_close(struct front_conn *c, bool reset);
/* As in front_close(), and why. */
void front_fail(struct front_conn *c, enum weir_log_level level, const struct weir_err *err);
/* What comes after the PROXY header. */
void front_next(struct front_conn *c);
/* It is known what is spoken, and nothing of it has been read. */
void front_hand_over(struct front_conn *c, bool http2, struct weir_span early);
struct net_clients_limits front_limits(const struct front *f);

/* ---- front_proxy.c ---- */

void front_proxy_readable(struct front_conn *c);

/* ---- front_tls.c ---- */

void front_tls_begin(struct front_conn *c);
/* The socket is as the handshake wants it. */
void front_tls_ready(struct front_conn *c);
void front_tls_late(struct front_conn *c);
/* It is over, however it ended; harmless if there was none. */
void front_tls_leave(struct front_conn *c);

#endif
