/*
 * admin_tcp.h - the admin API over TCP: what has to be had before it can be offered or changed, all
 * of it or nothing.
 */
#ifndef ADMIN_TCP_H
#define ADMIN_TCP_H

#include <stdbool.h>

#include "weir/err.h"
#include "admin_settings.h"
#include "net_addr.h"

struct admin_tokens;
struct ssl_ctx_st;
struct weir_opener;

/* As it is, or as it will be. All zero: none. */
struct admin_tcp {
    bool on;
    char address[NET_TEXT_MAX]; /* as configured */
    char bound[NET_TEXT_MAX];   /* as it is */
    bool opened;                /* fd is new, and nobody's yet */
    int fd;
    struct ssl_ctx_st *tls;      /* reference; NULL: plain */
    struct admin_tokens *tokens; /* owned */
    uint32_t without_token, connections, connections_per_address;
};

/* What these settings need: files are read (with opener where this process may not; NULL: nobody),
 * and the address is opened unless `now` has it. false: *err, and *next is none. */
bool admin_tcp_prepare(struct admin_tcp *next, const struct admin_tcp *now,
                       const struct admin_tcp_settings *s, const struct weir_opener *opener,
                       struct weir_err *err);
/* Gives back what it holds; closes an fd that is nobody's. */
void admin_tcp_drop(struct admin_tcp *t);

#endif
