/*
 * tls_tickets.h - the keys of session tickets (RFC 5077, RFC 8446 4.6.1): a ticket one node issues
 * resumes on every node of the farm.
 *
 * Three keys at a time: previous, current, next. Tickets are issued under the current one; all
 * three open tickets. In a farm the keys lie in shared state, wrapped under a key derived from the
 * farm's secret; whoever holds a lease makes the next one a full period before it is used. While
 * Redis is away, and on nodes that never saw it, keys are derived from the farm's secret and the
 * number of the period, so that nodes still agree. A node alone draws its own, and keeps them over
 * reloads (not over a restart, unless it has a state directory).
 *
 * Workers read without a lock; the control thread rotates.
 *
 * Source: redis 3.11.
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct tls_tickets;

/* For SSL_CTX_set_tlsext_ticket_key_evp_cb, any thread: the same values and duties. */
int tls_tickets_key(struct tls_tickets *t, unsigned char name[16], unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt);

#endif
