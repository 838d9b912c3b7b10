#include "admin_door.h"

#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "admin_conn.h"
#include "net_listener.h"
#include "net_peers.h"

/* ---- who comes ---- */

static struct admin_peer peer_of(int fd, const struct net_addr *address)
{
    struct admin_peer p = {.tcp = address->sa.any.sa_family != AF_UNIX,
                           .uid = (uid_t)-1,
                           .pid = -1};
    struct ucred who;
    socklen_t len = sizeof who;

    net_peer_from(&p.address, address);
    if (!p.tcp && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
        p.uid = who.uid;
        p.pid = who.pid;
    }
    return p;
}

/* Closes the connection that has been idle for longest. */
static bool make_room(struct admin_door *d)
{
    struct admin_conn *oldest = NULL;

    for (struct admin_conn *c = d->conns; c != NULL; c = c->next)
        if (c->idle_since_ms != 0 && (oldest == NULL || c->idle_since_ms < oldest->idle_since_ms))
            oldest = c;
    if (oldest == NULL)
        return false;
    admin_conn_close(oldest);
    return true;
}

static bool admitted(struct admin_door *d, const struct net_peer *peer)
{
    enum net_admission a = net_peers_enter(d->peers, peer, d->o.connections, d->o.per_address);

    if (a == NET_TOO_MANY && make_room(d))
        a = net_peers_enter(d->peers, peer, d->o.connections, d->o.per_address);
    return a == NET_ADMITTED;
}

static void on_accepted(void *arg, int fd, const struct net_addr *address)
{
    struct admin_door *d = arg;
    struct admin_peer peer = peer_of(fd, address);

    if (!admitted(d, &peer.address)) {
        d->stats.refused++;
        close(fd);
        return;
    }
    d->stats.accepted++;
    if (!admin_conn_open(d, fd, &peer))
        net_peers_leave(d->peers, &peer.address);
}

/* ---- life ---- */

struct admin_door *admin_door_new(const struct admin_door_options *o, int fd, struct weir_err *err)
{
    struct admin_door *d = weir_calloc(1, sizeof *d);

    if (d == NULL || (d->listener = weir_calloc(1, sizeof *d->listener)) == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "admin: door", 0);
        goto failed;
    }
    d->listener->fd = -1;
    d->o = *o;
    if ((d->peers = net_peers_new(o->secret, err)) == NULL)
        goto failed;
    d->listener->metrics = o->metrics;
    d->listener->accepted = on_accepted;
    d->listener->arg = d;
    net_listener_start(d->listener, o->loop, fd);
    return d;
failed:
    close(fd);
    admin_door_free(d);
    return NULL;
}

void admin_door_free(struct admin_door *d)
{
    if (d == NULL)
        return;
    while (d->conns != NULL)
        admin_conn_end(d->conns);
    if (d->listener != NULL)
        net_listener_stop(d->listener);
    weir_free(d->listener);
    net_peers_free(d->peers);
    SSL_CTX_free(d->tls);
    weir_free(d);
}

void admin_door_tls(struct admin_door *d, struct ssl_ctx_st *tls)
{
    if (tls != NULL)
        SSL_CTX_up_ref(tls);
    SSL_CTX_free(d->tls);
    d->tls = tls;
}

void admin_door_limit(struct admin_door *d, unsigned connections, unsigned per_address)
{
    d->o.connections = connections;
    d->o.per_address = per_address;
}

void admin_door_stats(const struct admin_door *d, struct admin_door_stats *out)
{
    *out = d->stats;
    out->open = (unsigned)net_peers_count(d->peers);
}
