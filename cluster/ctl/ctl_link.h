/*
 * ctl_link.h - a connection to a node's admin API: its Unix socket, or TCP with TLS and a token or
 * a certificate.
 */
#ifndef CTL_LINK_H
#define CTL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "weir/err.h"
#include "weir/secret.h"

struct redis_tls;
struct ssl_st;

struct ctl_link {
    int fd;
    struct ssl_st *ssl; /* NULL: a Unix socket, or a loopback address without TLS */
    struct redis_tls *tls;
    struct weir_secret token; /* empty: none */
};

/* Where to: borrowed. */
struct ctl_place {
    const char *socket; /* NULL: looked for (ctl_find.h) */
    const char
        *url; /* "https://host:port" instead, "http://" to loopback addresses; NULL: a socket */
    const char *token_file, *ca_file, *cert_file, *key_file, *server_name; /* NULL: none */
    unsigned patience_s; /* answers may take so much longer than usual */
};

/* Blocks for some seconds at most, as do the calls below. false: *err, nothing is open. */
bool ctl_link_open(struct ctl_link *l, const struct ctl_place *p, struct weir_err *err);
void ctl_link_close(struct ctl_link *l);

bool ctl_link_send(struct ctl_link *l, const char *bytes, size_t len, struct weir_err *err);
/* Like recv(2), but -1 has filled *err; never interrupted. */
ssize_t ctl_link_receive(struct ctl_link *l, char *bytes, size_t room, struct weir_err *err);

#endif
