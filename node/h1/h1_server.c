#include "h1_server.h"

#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "front_entry.h"
#include "h1_conn.h"

bool h1_server_init(struct h1_server *s, struct exchange_worker *w, struct net_clients *clients,
                    struct weir_err *err)
{
    memset(s, 0, sizeof *s);
    s->w = w;
    s->clients = clients;
    s->scratch = weir_malloc(H1_READ_BYTES);
    return s->scratch != NULL || weir_fail(err, WEIR_E_MEMORY, "h1: server", 0);
}

void h1_server_accept(struct h1_server *s, const struct front_entry *entry, int fd,
                      const struct net_addr *addr)
{
    const struct client_settings *limits = s->w->site->site->source.client;
    struct h1_conn *c = h1_conn_new(s);

    if (c == NULL) {
        close(fd);
        return;
    }
    net_peer_from(&c->client.peer, addr);
    if (!net_clients_enter(s->clients, &c->client,
                           (struct net_clients_limits){limits->connections,
                                                       limits->connections_per_client})) {
        close(fd);
        weir_free(c);
        return;
    }
    c->client.chan = net_chan_plain(fd);
    c->client.entry = front_entry_ref(entry);
    h1_conn_begin(c);
}

bool h1_server_take(struct h1_server *s, struct net_client *from, struct weir_span early)
{
    struct h1_conn *c = h1_conn_new(s);

    if (c == NULL)
        return false;
    if (early.len > 0 && !h1_conn_keep(c, early.ptr, early.len)) {
        weir_free(c);
        return false;
    }
    weir_metric_add(s->w->metrics, WEIR_M_bytes_in, (int64_t)early.len);
    net_clients_replace(s->clients, from, &c->client);
    h1_conn_begin(c);
    return true;
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
