/*
 * front_entry.h - one listening address with what was chosen for it. Counted (atomically) and
 * immutable; a reload makes new ones, and connections keep the one they came by.
 */
#ifndef FRONT_ENTRY_H
#define FRONT_ENTRY_H

#include <stdbool.h>
#include <stdatomic.h>

#include "weir/err.h"
#include "net_settings.h"

struct netset;
struct tls_server_context;

struct front_entry {
    atomic_uint refs;
    unsigned id;                    /* of the address, over reloads */
    const char *address;            /* as configured; owned */
    struct net_tuning tuning;       /* of its socket */
    struct netset *proxy;           /* who must, and alone may, send a PROXY header; owned; NULL: it
                                       is not expected */
    struct tls_server_context *tls; /* reference; NULL: plain */
    int64_t handshake_timeout_ms;   /* waiting for its turn included */
    uint32_t handshakes;            /* under way at once on a worker */
    bool http2;                     /* plain: h2c by prior knowledge */
    bool redirect_https;            /* every request but those for challenges and health */
    uint16_t https_port;            /* in the redirect; 443: not written */
    const char *alt_svc;            /* owned; set on responses of this address; NULL: none */
    bool misdirected_allowed;       /* hosts that the certificate does not cover are served */
};

/* A plain address without any choice; the caller sets the rest before anyone else sees it. Returns
 * owned; NULL: *err. */
struct front_entry *front_entry_new(unsigned id, const char *address, struct weir_err *err);
/* Any thread. NULL does nothing. */
const struct front_entry *front_entry_ref(const struct front_entry *e);
void front_entry_unref(const struct front_entry *e);

#endif
