/*
 * tls_store.h - the certificates a node shows, found by the name a client asks for.
 *
 * A store is an immutable, counted set, made on the control thread (or on a thread of the work
 * pool) from settings, and shared by all workers. Thousands of certificates cost their encoded
 * bytes; what OpenSSL needs is made when a name is first asked for and kept for those in use.
 *
 * A name is looked for as it is, then with its first label replaced by "*" (RFC 9525 6.3). Of
 * several certificates for a name (ECDSA and RSA side by side) the handshake takes the first the
 * client can use, ECDSA before RSA. Without a match: the first certificate configured.
 */
#ifndef TLS_STORE_H
#define TLS_STORE_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "weir/err.h"
#include "weir/span.h"
#include "tls_settings.h"

struct tls_store;
struct tls_certificate; /* counted; belongs to its store */

/* Reads and checks everything: key and certificate belong together, nothing is expired (a warning),
 * keys are readable by their owner alone (an error). Every file that is wrong is named. Returns
 * owned; NULL: *err. */
struct tls_store *tls_store_new(const struct tls_settings *s, struct weir_err *err);
struct tls_store *tls_store_ref(struct tls_store *s);
void tls_store_unref(struct tls_store *s); /* NULL does nothing */

/*
 * Gives the connection of this hello its certificate, chain, key and stapled response. For
 * OpenSSL's certificate callback (SSL_CTX_set_cert_cb), any thread. name: SNI in lower case, "" for
 * none. *chosen: for tls_facts.cert, as long as the store lives. false: none can be used; *err.
 */
bool tls_store_choose(struct tls_store *s, SSL *ssl, const char *name,
                      const struct tls_certificate **chosen, struct weir_err *err);
/* Does the certificate cover this host (normalised, without port)? (RFC 9110 7.4: else 421.) */
bool tls_covers(const struct tls_certificate *c, struct weir_span host);
/* Is its key so slow to sign with that a handshake belongs off the loop? */
bool tls_certificate_slow(const struct tls_certificate *c);

#endif
