/*
 * admin_conn.h - one connection of a door, between admin_door.c (how many there are) and
 * admin_conn.c (what goes over it).
 */
#ifndef ADMIN_CONN_H
#define ADMIN_CONN_H

#include <event2/bufferevent.h>

#include "admin_door.h"

enum admin_conn_state {
    ADMIN_CONN_READING,
    ADMIN_CONN_SERVING,
    ADMIN_CONN_HOLDING,
    ADMIN_CONN_ANSWERING,
    ADMIN_CONN_LINGERING,
};

struct admin_conn {
    struct admin_conn *next, **at; /* of the door; at == NULL: closed */
    struct admin_door *door;
    struct bufferevent *bev;
    struct net_timer timer;
    struct net_deferred gone;
    enum admin_conn_state state;
    struct admin_message message;
    struct admin_call *call; /* the request under way; NULL: its head is not whole yet */
    struct admin_peer peer;
    struct evbuffer *held; /* HOLDING: the answer */
    int64_t idle_since_ms; /* READING without a byte; 0: not idle */
    int64_t until_ms;      /* ANSWERING: in all */
    size_t left;           /* ANSWERING: of it, at the last look */
    size_t lingered;       /* bytes thrown away */
    bool last;             /* no further request on it */
    bool unread;           /* the request that is answered has not come as a whole */
};

struct admin_door {
    struct admin_door_options o;
    struct net_listener *listener;
    struct net_peers *peers;
    struct ssl_ctx_st *tls;
    struct admin_conn *conns;
    struct admin_door_stats stats;
};

/* Takes fd. false: it could not be made, and fd is closed. */
bool admin_conn_open(struct admin_door *d, int fd, const struct admin_peer *peer);
/* Its memory goes at the end of the turn. */
void admin_conn_close(struct admin_conn *c);
/* The same at the end of the door: what was answered is still sent, as far as that takes no time.
 */
void admin_conn_end(struct admin_conn *c);

#endif
