#include "h1_server.h"

#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "h1_conn.h"

bool h1_server_init(struct h1_server *s, struct exchange_worker *w, struct net_peers *peers,
                    struct weir_err *err)
{
    memset(s, 0, sizeof *s);
    s->w = w;
    s->peers = peers;
    s->scratch = weir_malloc(H1_READ_BYTES);
    return s->scratch != NULL || weir_fail(err, WEIR_E_MEMORY, "h1: server", 0);
}

/* Counts the connection in; a full node gives up its oldest idle connection first. */
static bool admit(struct h1_server *s, const struct net_peer *peer)
{
    const struct client_settings *limits = s->w->site->site->source.client;
    enum net_admission a =
        net_peers_enter(s->peers, peer, limits->connections, limits->connections_per_client);

    if (a == NET_TOO_MANY && s->oldest_idle != NULL) {
        h1_conn_close(s->oldest_idle, false);
        a = net_peers_enter(s->peers, peer, limits->connections, limits->connections_per_client);
    }
    return a == NET_ADMITTED;
}

void h1_server_accept(void *server, int fd, const struct net_addr *addr)
{
    struct h1_server *s = server;
    struct net_peer peer;

    net_peer_from(&peer, addr);
    if (!admit(s, &peer)) {
        weir_metric_add(s->w->metrics, WEIR_M_connections_refused, 1);
        close(fd);
        return;
    }
    if (h1_conn_new(s, fd, &peer) == NULL) {
        net_peers_leave(s->peers, &peer);
        close(fd);
        return;
    }
    weir_metric_add(s->w->metrics, WEIR_M_connections_accepted, 1);
    weir_metric_add(s->w->metrics, WEIR_M_connections_open, 1);
}

void h1_server_shed(struct h1_server *s)
{
    while (s->oldest_idle != NULL)
        h1_conn_close(s->oldest_idle, false);
}

void h1_server_be_polite(struct h1_server *s)
{
    s->polite = true;
}

void h1_server_drain(struct h1_server *s)
{
    struct h1_conn *newer;

    s->draining = s->polite = true;
    for (struct h1_conn *c = s->oldest_idle; c != NULL; c = newer) {
        newer = c->newer_idle;
        h1_conn_drain_idle(c);
    }
    if (s->count == 0 && s->drained != NULL)
        s->drained(s->drained_arg);
}

void h1_server_abort(struct h1_server *s)
{
    struct h1_conn *c, *next;

    for (c = s->conns; c != NULL; c = next) {
        next = c->next;
        h1_conn_close(c, true);
    }
}

void h1_server_close(struct h1_server *s)
{
    while (s->free_streams != NULL) {
        struct h1_stream *stream = s->free_streams;

        s->free_streams = stream->next_free;
        exchange_free(&stream->x);
        weir_free(stream);
    }
    weir_free(s->scratch);
    s->scratch = NULL;
}
