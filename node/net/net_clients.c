#include "net_clients.h"

#include <sys/socket.h>

#include "net_settings.h"

#define CROWDED_PERCENT 80
#define CROWDED_DIVISOR 10
#define RATE_GRACE_MS   10000

int64_t net_clients_idle_ms(const struct net_clients *s, const struct client_settings *settings)
{
    uint64_t open = net_peers_count(s->peers);

    if (settings->connections == 0 || open <= settings->connections / 100 * CROWDED_PERCENT)
        return settings->idle_timeout_ms;
    return settings->idle_timeout_ms / CROWDED_DIVISOR;
}

bool net_client_too_slow(const struct client_settings *settings, int64_t waited_ms, uint64_t bytes)
{
    uint64_t rate = settings->min_rate_bytes;

    return rate != 0 && waited_ms > RATE_GRACE_MS &&
           bytes < rate * (uint64_t)(waited_ms - RATE_GRACE_MS) / 1000;
}

static void link_client(struct net_clients *s, struct net_client *c)
{
    c->next = s->all;
    c->at = &s->all;
    if (c->next != NULL)
        c->next->at = &c->next;
    s->all = c;
}

static void unlink_client(struct net_client *c)
{
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    c->at = NULL;
}

bool net_clients_enter(struct net_clients *s, struct net_client *c,
                       struct net_clients_limits limits)
{
    enum net_admission a =
        net_peers_enter(s->peers, &c->peer, limits.connections, limits.per_client);

    if (a == NET_TOO_MANY && s->oldest_idle != NULL) {
        s->oldest_idle->ops->close(s->oldest_idle, false);
        a = net_peers_enter(s->peers, &c->peer, limits.connections, limits.per_client);
    }
    if (a != NET_ADMITTED) {
        weir_metric_add(s->metrics, WEIR_M_connections_refused, 1);
        return false;
    }
    link_client(s, c);
    s->count++;
    weir_metric_add(s->metrics, WEIR_M_connections_accepted, 1);
    weir_metric_add(s->metrics, WEIR_M_connections_open, 1);
    return true;
}

void net_clients_leave(struct net_clients *s, struct net_client *c)
{
    net_clients_idle(s, c, false);
    unlink_client(c);
    s->count--;
    net_peers_leave(s->peers, &c->peer);
    weir_metric_add(s->metrics, WEIR_M_connections_open, -1);
    if (c->tls != NULL)
        weir_metric_add(s->metrics, WEIR_M_tls_connections_open, -1);
    if (s->closed != NULL)
        s->closed(s->closed_arg);
    if (s->draining && s->count == 0 && s->drained != NULL)
        s->drained(s->drained_arg);
}

void net_clients_replace(struct net_clients *s, struct net_client *from, struct net_client *to)
{
    net_clients_idle(s, from, false);
    unlink_client(from);
    link_client(s, to);
    to->chan = from->chan;
    to->entry = from->entry;
    to->tls = from->tls;
    to->peer = from->peer;
    to->local = from->local;
    to->idle = false;
    from->chan = NET_CHAN_NONE;
    from->entry = NULL;
    from->tls = NULL;
}

bool net_clients_rename(struct net_clients *s, struct net_client *c, const struct net_peer *peer,
                        struct net_clients_limits limits)
{
    /* It has its place among all already: only the client's share is asked for. */
    if (net_peers_enter(s->peers, peer, 0, limits.per_client) != NET_ADMITTED) {
        weir_metric_add(s->metrics, WEIR_M_connections_refused, 1);
        return false;
    }
    net_peers_leave(s->peers, &c->peer);
    c->peer = *peer;
    return true;
}

const struct net_peer *net_client_local(struct net_client *c)
{
    struct net_addr here = {.len = sizeof here.sa};

    if (c->local.family == 0 && getsockname(c->chan.fd, &here.sa.any, &here.len) == 0)
        net_peer_from(&c->local, &here);
    return &c->local;
}

void net_clients_idle(struct net_clients *s, struct net_client *c, bool idle)
{
    if (c->idle == idle)
        return;
    c->idle = idle;
    if (idle) {
        c->newer_idle = NULL;
        c->older_idle = s->newest_idle;
        *(s->newest_idle != NULL ? &s->newest_idle->newer_idle : &s->oldest_idle) = c;
        s->newest_idle = c;
        return;
    }
    *(c->older_idle != NULL ? &c->older_idle->newer_idle : &s->oldest_idle) = c->newer_idle;
    *(c->newer_idle != NULL ? &c->newer_idle->older_idle : &s->newest_idle) = c->older_idle;
}

void net_clients_shed(struct net_clients *s)
{
    while (s->oldest_idle != NULL)
        s->oldest_idle->ops->close(s->oldest_idle, false);
}

void net_clients_be_polite(struct net_clients *s)
{
    struct net_client *next;

    s->polite = true;
    for (struct net_client *c = s->all; c != NULL; c = next) {
        next = c->next;
        if (c->ops->polite != NULL)
            c->ops->polite(c);
    }
}

void net_clients_drain(struct net_clients *s)
{
    struct net_client *next;
    bool none = s->count == 0;

    s->draining = s->polite = true;
    for (struct net_client *c = s->all; c != NULL; c = next) {
        next = c->next;
        c->ops->drain(c);
    }
    /* The last one that leaves tells by itself. */
    if (none && s->drained != NULL)
        s->drained(s->drained_arg);
}

void net_clients_abort(struct net_clients *s)
{
    struct net_client *next;

    for (struct net_client *c = s->all; c != NULL; c = next) {
        next = c->next;
        c->ops->close(c, true);
    }
}
