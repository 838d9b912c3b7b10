/*
 * Bytes of a client, behind its preface, as a connection of HTTP/2 with a whole node behind it that
 * answers by itself. Whatever comes, all exchanges and the connection end, and nothing leaks.
 *
 * Input: a byte that says in pieces of which size the rest arrives, then frames.
 */
#include "test_node.h"

#include "h2_server.h"

#define TURNS 6

struct fuzz_node {
    struct test_node n;
    struct h2_server server;
    bool up;
};

static void set_up(struct fuzz_node *t)
{
    node_init(&t->n);
    t->n.route.action = ROUTE_RESPOND;
    t->n.route.respond_status = 200;
    t->n.route.respond_body = "an answer that is longer than most frames of the corpus";
    t->n.route.respond_type = "text/plain";
    t->n.route.split_count = 0;
    t->n.client_settings.requests_per_connection = 50;
    if (!node_start(&t->n) || !h2_server_init(&t->server, &t->n.worker, &t->n.clients, NULL))
        abort();
    t->up = true;
}

static void turn(struct fuzz_node *t)
{
    t->n.loop.fresh = false;
    event_base_loop(t->n.loop.base, EVLOOP_NONBLOCK);
    node_settle(&t->n);
}

static void let_in(struct fuzz_node *t, int fd)
{
    static const struct net_client_ops none = {NULL, NULL, NULL};
    struct net_client from = {.ops = &none, .chan = net_chan_plain(fd)};
    struct net_addr a = {.sa.un.sun_family = AF_UNIX, .len = sizeof(sa_family_t)};

    weir_clock_update(&t->n.loop.clock);
    net_peer_from(&from.peer, &a);
    if (!net_clients_enter(&t->n.clients, &from, (struct net_clients_limits){.connections = 100}) ||
        !h2_server_take(&t->server, &from, WEIR_SPAN_NONE))
        abort();
}

static void drain(int fd)
{
    char buf[65536];

    while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        ;
}

static void deliver_bytes(struct fuzz_node *t, int fd, const uint8_t *bytes, size_t len,
                          size_t piece)
{
    while (len > 0) {
        size_t n = len < piece ? len : piece;

        if (send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
            return;
        turn(t);
        drain(fd);
        bytes += n;
        len -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    static struct fuzz_node node;
    int pair[2];

    if (size < 1 || size > 1 << 16)
        return 0;
    if (!node.up)
        set_up(&node);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        abort();
    let_in(&node, pair[1]);
    (void)!send(pair[0], preface, sizeof preface, MSG_NOSIGNAL);
    turn(&node);
    deliver_bytes(&node, pair[0], data + 1, size - 1, data[0] == 0 ? 65536 : data[0]);
    close(pair[0]);
    for (unsigned i = 0; i < TURNS; i++)
        turn(&node);
    net_clients_abort(&node.n.clients);
    turn(&node);
    if (atomic_load(&node.n.metrics->value[WEIR_M_exchanges_open]) != 0 ||
        atomic_load(&node.n.metrics->value[WEIR_M_connections_open]) != 0)
        abort();
    return 0;
}
