/*
 * tls_tickets.h - the keys of session tickets (RFC 5077, RFC 8446 4.6.1): a ticket one node issues
 * resumes on every node of the farm.
 *
 * Time is cut into periods of tls.ticket_rotation, counted from the Unix epoch by the shared clock.
 * A key belongs to one period: it issues tickets in it, and opens them in the one before (nodes do
 * not switch in the same moment) and the one after. So there are three keys: previous, current,
 * next; a ticket is good for one to two periods (tls_tickets_lifetime_s()).
 *
 * Two kinds of keys:
 *
 *   stored   drawn, and put on a board of shared state (weir/shared.h), wrapped (weir/wrap.h), by
 *            whoever comes first, a full period before it is used: the board takes one for each
 *            period, so nobody needs a lease. Only what was read back from there is used.
 *   derived  made from the farm's secret and the number of the period: every node of the farm has
 *            it without having heard of anybody.
 *
 * Which one issues: the stored key of the current period if this node knows it, else the derived
 * one. Both open, always. So while Redis is away a node goes on with the stored keys it has, for
 * the rest of this period and all of the next, and then with derived ones; a node that never saw
 * Redis issues under derived keys, and all others open its tickets. It opens theirs that were
 * issued under stored keys only if it has kept those from before (in the state directory, wrapped).
 *
 * What is lost from the board (somebody flushed it) is put back by who knows it; of two keys for a
 * period the board's holds. What does not open is ignored and logged. Nodes that have another
 * ticket_rotation, during a change of the configuration, open each other's tickets as well.
 *
 * A node alone draws its keys itself, and keeps them over reloads; over a restart only with a state
 * directory, in a file for its owner alone. There are no derived keys then.
 *
 *     w1:{T.<farm>}:k   board: "<rotation ms>.<period>" -> wrapped key    :ch  its channel
 *
 * Workers read without a lock and never wait; all else is on the control thread. Keys that are over
 * are overwritten.
 *
 * Source: redis 3.11; RFC 8446 4.6.1 and C.4; man SSL_CTX_set_tlsext_ticket_key_evp_cb.
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/shared.h"
#include "weir/wrap.h"

struct tls_tickets;
struct weir_mailbox;
struct weir_work_pool;

#define TLS_TICKETS_ROTATION_MIN_MS 2000
#define TLS_TICKETS_ROTATION_MAX_MS                                                                \
    ((int64_t)84 * 3600000) /* two are the week of RFC 8446 4.6.1                                  \
                             */

struct tls_tickets_options {
    struct shared_port *port;        /* of the control thread; outlives it */
    const struct shared_loop *loop;  /* copied */
    const struct weir_wrap_key *key; /* the farm's, copied; NULL: a node alone */
    const char *farm;                /* copied; for a node alone not looked at */
    const char *file;                /* copied: where keys are kept; NULL: nowhere */
    struct weir_work_pool *pool;     /* for the file; NULL only without one */
    struct weir_mailbox *box;        /* likewise: the control thread's */
    int64_t rotation_ms;             /* of the limits above */
    uint64_t seed;                   /* spreads the nodes' attempts */
};

/* There is a key when it returns. Redis need not be reachable. NULL: *err (memory). */
struct tls_tickets *tls_tickets_new(const struct tls_tickets_options *o, struct weir_err *err);
/* No worker may ask any more. Overwrites the keys; what is to be kept is written first. NULL does
 * nothing. */
void tls_tickets_free(struct tls_tickets *t);
/* A reload: another length of the periods, from now on. What was issued stays good. */
void tls_tickets_rotate(struct tls_tickets *t, int64_t rotation_ms);

/* For SSL_CTX_set_tlsext_ticket_key_evp_cb, any thread: the same values and duties. 2: the ticket
 * is good, but another key issues now. */
int tls_tickets_key(struct tls_tickets *t, unsigned char name[16], unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt);
/* For SSL_CTX_set_timeout: how old a ticket may get, in seconds, at least 1; and what clients are
 * told. Any thread. */
long tls_tickets_lifetime_s(const struct tls_tickets *t);

/* ---- seeing (control thread) ---- */

#define TLS_TICKETS_KEYS_MAX 16

struct tls_tickets_key_facts {
    char name[17];     /* the first 8 bytes of what is in the clear in each ticket, hex */
    const char *kind;  /* "stored", "derived", "own"; static */
    const char *use;   /* "previous", "current", "next"; static */
    bool issues;       /* the one that does */
    int64_t begins_ms; /* of its period; Unix time by the shared clock */
    int64_t ends_ms;   /* it opens nothing from then on */
};

struct tls_tickets_facts {
    struct tls_tickets_key_facts keys[TLS_TICKETS_KEYS_MAX]; /* of the earliest period first */
    size_t count;
    int64_t now_ms; /* the shared clock, as well as it is known */
    int64_t rotation_ms;
    bool farm;
    int64_t contact_ms; /* since the board was read last; -1: never, or no farm */
    uint64_t refused;   /* values that did not open or made no sense */
    bool kept;          /* in a file, as far as is known */
};

void tls_tickets_facts(const struct tls_tickets *t, struct tls_tickets_facts *out);

/* Does what is due by the loop's clock. A timer of the loop calls it; a test with a clock of its
 * own does. */
void tls_tickets_turn(struct tls_tickets *t);

#endif
