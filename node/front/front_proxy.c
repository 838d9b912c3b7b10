#include <errno.h>
#include <sys/socket.h>

#include "front_conn.h"

/*
 * Not a byte behind the header is read: it may be the first of a TLS record, which its layer takes
 * from the socket itself. So bytes are looked at first, and then taken.
 */

static bool take(struct front_conn *c, size_t n)
{
    return n == 0 || recv(c->client.chan.fd, c->buf + c->have, n, 0) == (ssize_t)n;
}

static void malformed(struct front_conn *c, const struct weir_err *err)
{
    weir_metric_add(c->front->w->metrics, WEIR_M_proxy_errors, 1);
    front_fail(c, WEIR_LOG_INFO, err);
}

/* The connection is the client's from here on: limits, logs and forwarded fields go by him. */
static bool adopt(struct front_conn *c, const struct net_proxy *p)
{
    struct weir_err err = {.code = WEIR_E_REQUEST_REFUSED, .where = "too many of this client"};

    weir_metric_add(c->front->w->metrics, WEIR_M_proxy_headers, 1);
    if (!p->known)
        return true;
    c->client.local = p->to;
    if (net_clients_rename(c->front->clients, &c->client, &p->from, front_limits(c->front)))
        return true;
    front_fail(c, WEIR_LOG_INFO, &err);
    return false;
}

static void take_header(struct front_conn *c, const struct net_proxy *p, size_t seen)
{
    size_t end = p->bytes < seen ? p->bytes : seen;

    if (!take(c, end - c->have)) {
        front_close(c, true);
        return;
    }
    c->skip = (uint32_t)(p->bytes - end);
    if (adopt(c, p) && c->skip == 0)
        front_next(c);
}

static void skip_rest(struct front_conn *c)
{
    char dropped[4096];
    ssize_t n =
        recv(c->client.chan.fd, dropped, c->skip < sizeof dropped ? c->skip : sizeof dropped, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        front_close(c, false);
        return;
    }
    c->skip -= (uint32_t)n;
    if (c->skip == 0)
        front_next(c);
}

void front_proxy_readable(struct front_conn *c)
{
    struct weir_err err = {0};
    struct net_proxy p;
    ssize_t n;

    if (c->skip > 0) {
        skip_rest(c);
        return;
    }
    n = recv(c->client.chan.fd, c->buf + c->have, sizeof c->buf - c->have, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* who only looks whether the port is open is no news */
        front_close(c, false);
        return;
    }
    switch (net_proxy_parse(c->buf, c->have + (size_t)n, &p, &err)) {
    case NET_PROXY_MORE:
        if (!take(c, (size_t)n))
            front_close(c, true);
        else
            c->have = (uint16_t)(c->have + n);
        break;
    case NET_PROXY_BAD:
        malformed(c, &err);
        break;
    case NET_PROXY_DONE:
        take_header(c, &p, c->have + (size_t)n);
        break;
    }
}
