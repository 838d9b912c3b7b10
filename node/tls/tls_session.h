/*
 * tls_session.h - one connection under TLS, on either side: a layer of net_chan.h over OpenSSL.
 *
 * Ciphertext is read and written through buffers of the worker (struct tls_worker), so that records
 * of one turn go out by one system call and an idle connection holds no buffer; what the socket
 * does not take is kept with the session.
 *
 *   tls_accept(), tls_connect() -> tls_handshake() until DONE -> net_chan with tls_layer()
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include "net_chan.h"
#include "net_loop.h"
#include "tls_facts.h"
#include "weir/err.h"
#include "weir/metrics.h"

struct tls_client_context; /* tls_client.h: how we connect to origins */
struct tls_server_context; /* tls_server.h: how we accept on one address */
struct weir_work_pool;
struct tls_session;
struct tls_worker;

enum tls_step {
    TLS_DONE,       /* use it */
    TLS_WANT_READ,  /* when the socket is readable: again */
    TLS_WANT_WRITE, /* when it is writable */
    TLS_BUSY,       /* a slow signature is made elsewhere: `again` will be called */
    TLS_FAILED,     /* *err; the alert has been sent, as far as the socket took it */
};

/*
 * One for each worker: buffers, and whom to ask. All are kept and outlive it.
 * metrics: NULL: nothing is counted. pool: makes slow signatures; NULL: the loop does.
 */
struct tls_worker *tls_worker_new(struct net_loop *loop, struct weir_metrics *metrics,
                                  struct weir_work_pool *pool, struct weir_err *err);
/* No session may be left; waits for signatures that other threads make for those that are gone.
 * On the loop's thread, or after its end. NULL does nothing. */
void tls_worker_free(struct tls_worker *w);

/* Keeps a reference of the context. fd stays the caller's. NULL: *err. */
struct tls_session *tls_accept(struct tls_worker *w, struct tls_server_context *c, int fd,
                               struct weir_err *err);
/* name: for SNI and verification, borrowed; an address, or NULL for the one the socket is connected
 * to, is verified as such, and no SNI is sent. The settings' name goes before it. Sessions are
 * resumed by name and port. */
struct tls_session *tls_connect(struct tls_worker *w, struct tls_client_context *c, int fd,
                                const char *name, struct weir_err *err);
/* Before the first step: HTTP/1.1 is offered alone, whatever the settings say. */
void tls_offer_http1(struct tls_session *s);
/* One step; call again as it says. again(arg): only after BUSY, on the loop, never from inside. */
enum tls_step tls_handshake(struct tls_session *s, void (*again)(void *arg), void *arg,
                            struct weir_err *err);
/* Good as long as the session. */
const struct tls_facts *tls_session_facts(const struct tls_session *s);
struct net_layer *tls_session_layer(struct tls_session *s);
/* Instead of closing the channel, where there is none yet. NULL does nothing. */
void tls_session_free(struct tls_session *s);

#endif
