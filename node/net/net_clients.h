/*
 * net_clients.h - all client connections of one worker, whatever they speak: who is let in, who is
 * idle, and how all of them end.
 *
 * Every kind of connection (one whose first bytes are awaited, HTTP/1, HTTP/2) embeds a struct
 * net_client and gives it a row of functions. A connection may change its kind (TLS is up, the
 * protocol is known): net_clients_replace() keeps its place.
 */
#ifndef NET_CLIENTS_H
#define NET_CLIENTS_H

#include "net_addr.h"
#include "net_chan.h"
#include "net_peers.h"
#include "weir/metrics.h"

struct front_entry; /* by which address it came, with that address's choices; front_entry.h */
struct net_client;
struct tls_facts; /* tls_facts.h */

struct net_client_ops {
    /* At once. reset: RST rather than FIN. Must end in net_clients_leave(). */
    void (*close)(struct net_client *c, bool reset);
    /* The node drains: close when nothing is under way (HTTP/2: GOAWAY). May close at once. */
    void (*drain)(struct net_client *c);
    /* The node is about to drain: ask the client to go elsewhere when that loses nothing. May be
     * NULL. */
    void (*polite)(struct net_client *c);
};

struct net_client {
    const struct net_client_ops *ops;
    struct net_client *next, **at;              /* all of the worker */
    struct net_client *older_idle, *newer_idle; /* while idle */
    struct net_chan chan;
    const struct front_entry *entry; /* reference; NULL in tests alone */
    const struct tls_facts *tls;     /* of the layer, as long as chan; NULL: plain */
    struct net_peer peer;            /* the client: as PROXY told, or as the socket says */
    struct net_peer local;           /* what it connected to, likewise; family 0: not known */
    bool idle;
};

struct net_clients {
    struct net_peers *peers;   /* shared by all workers */
    struct net_scores *scores; /* likewise; NULL: none are kept */
    struct weir_metrics *metrics;
    struct net_client *all;
    struct net_client *oldest_idle, *newest_idle;
    unsigned count;
    bool polite;                /* answers say that the connection closes */
    bool draining;              /* and nothing new is awaited */
    void (*drained)(void *arg); /* draining and no connection left */
    void *drained_arg;
    void (*closed)(void *arg); /* a descriptor came free */
    void *closed_arg;
};

/* What the client connected to; asked of the socket the first time, if nobody has told. Family 0:
 * it cannot be known. */
const struct net_peer *net_client_local(struct net_client *c);

struct client_settings;

/* How long a connection between requests may stay: less while most places are taken. */
int64_t net_clients_idle_ms(const struct net_clients *s, const struct client_settings *settings);
/* Less than the least rate, after so long a wait for the client? The first ten seconds are free. */
bool net_client_too_slow(const struct client_settings *settings, int64_t waited_ms, uint64_t bytes);

/* What the newest settings allow. */
struct net_clients_limits {
    uint64_t connections, per_client;
};

/*
 * Counts the connection in, with c->peer, and links it. A full node gives up its oldest idle
 * connection first. false: refused, and counted as such; the caller closes the socket.
 */
bool net_clients_enter(struct net_clients *s, struct net_client *c,
                       struct net_clients_limits limits);
/* It has closed; told to `closed`, `drained`. */
void net_clients_leave(struct net_clients *s, struct net_client *c);
/* `to` stands where `from` stood, and gets its channel, entry, facts and addresses. */
void net_clients_replace(struct net_clients *s, struct net_client *from, struct net_client *to);
/* The address it was let in by is not the client's: it is counted under `peer` from now on. false:
 * that client has too many. */
bool net_clients_rename(struct net_clients *s, struct net_client *c, const struct net_peer *peer,
                        struct net_clients_limits limits);

void net_clients_idle(struct net_clients *s, struct net_client *c, bool idle);
/* Closes connections that say nothing: a node short of memory. */
void net_clients_shed(struct net_clients *s);
void net_clients_be_polite(struct net_clients *s);
void net_clients_drain(struct net_clients *s);
/* Ends every connection now, whatever it does. */
void net_clients_abort(struct net_clients *s);

#endif
