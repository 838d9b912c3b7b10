#include "admin_tcp.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin_tls.h"
#include "admin_tokens.h"
#include "net_listener.h"

#define BACKLOG 64

static bool open_address(struct admin_tcp *next, const struct admin_tcp_settings *s,
                         struct weir_err *err)
{
    const struct listen_settings l = {.address = s->address,
                                      .tuning = {.backlog = BACKLOG, .keepalive = true}};
    struct net_addr bound;

    if (!net_listen_open(&l, &next->fd, 1, &bound, err))
        return false;
    next->opened = true;
    net_addr_text(&bound, next->bound);
    return true;
}

bool admin_tcp_prepare(struct admin_tcp *next, const struct admin_tcp *now,
                       const struct admin_tcp_settings *s, const struct weir_opener *opener,
                       struct weir_err *err)
{
    bool ok = true;

    memset(next, 0, sizeof *next);
    if (s->address[0] == '\0')
        return true;
    next->on = true;
    next->without_token = s->without_token;
    next->connections = s->connections;
    next->connections_per_address = s->connections_per_address;
    snprintf(next->address, sizeof next->address, "%s", s->address);
    if (s->certificate_file[0] != '\0')
        ok = (next->tls = admin_tls_new(s, opener, err)) != NULL;
    ok = ok && (next->tokens = admin_tokens_new(s->tokens, s->token_count, opener, err)) != NULL;
    if (ok && now->on && strcmp(now->address, next->address) == 0)
        memcpy(next->bound, now->bound, sizeof next->bound);
    else
        ok = ok && open_address(next, s, err);
    if (!ok)
        admin_tcp_drop(next);
    return ok;
}

void admin_tcp_drop(struct admin_tcp *t)
{
    if (t->opened)
        close(t->fd);
    SSL_CTX_free(t->tls);
    admin_tokens_free(t->tokens);
    memset(t, 0, sizeof *t);
}
