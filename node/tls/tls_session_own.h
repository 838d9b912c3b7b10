/*
 * tls_session_own.h - what the files of TLS sessions share. Private to them.
 *
 *   tls_session.c  life, handshake, the layer
 *   tls_wire.c     ciphertext between OpenSSL and the socket, through the worker's buffers
 *   tls_early.c    data before the handshake is over
 *   tls_slow.c     one step of a handshake on another thread
 *   tls_server.c   what is chosen for connections of clients, and its callbacks
 *   tls_client.c   the same toward origins; tls_resume.c: sessions to resume
 *   tls_context_files.c  files into their contexts
 *   tls_identity.c who a client is
 *   tls_reason.c   OpenSSL's errors as ours
 */
#ifndef TLS_SESSION_OWN_H
#define TLS_SESSION_OWN_H

#include <openssl/ssl.h>

#include "tls_client.h"
#include "tls_server.h"
#include "tls_session.h"
#include "weir/work.h"

#define TLS_RECORD_MAX 16384                  /* plaintext of one record */
#define TLS_IN_BYTES   65536                  /* ciphertext of one turn */
#define TLS_SEND_MAX   NET_LAYER_SEND         /* plaintext of one turn */
#define TLS_OUT_BYTES  (TLS_SEND_MAX + 32768) /* with what records add, and a farewell */
#define TLS_KEPT_MAX   (TLS_OUT_BYTES + 32768)
#define TLS_NAME_MAX   255

/* Bytes that wait: of what was allocated, [at, len). */
struct tls_kept {
    unsigned char *data; /* owned; NULL: none */
    size_t at, len;
};

struct tls_worker {
    struct net_loop *loop;
    struct weir_metrics *metrics; /* may be NULL */
    struct weir_work_pool *pool;  /* NULL: no thread for slow keys */
    BIO_METHOD *method;
    unsigned char *in; /* received in this turn, for the session that has it: [in_at, in_len) */
    size_t in_at, in_len;
    unsigned char *out; /* to be sent in this turn */
    size_t out_len;
    unsigned char *plain; /* short pieces become one record here */
    size_t want;          /* receive at most so much; 0: nothing more in this turn */
    unsigned slow;        /* steps on other threads */
};

/* How the receiving side has ended. */
enum tls_end {
    TLS_OPEN,
    TLS_FAREWELL, /* close_notify */
    TLS_CUT,      /* the socket ended without it, or broke */
    TLS_GARBLED,  /* what came is no TLS of ours; the alert has been sent */
};

/*
 * Data before the handshake is over (RFC 8446 2.3), where the address takes it:
 *
 *   ASK --first data--> READ --end of it--> REST --handshake over--> NO
 *    '--- none ---------------------------->'
 */
enum tls_early {
    TLS_EARLY_NO,
    TLS_EARLY_ASK,  /* SSL_read_early_data() is due; the user knows of nothing */
    TLS_EARLY_READ, /* the user reads it, and may answer */
    TLS_EARLY_REST, /* SSL_do_handshake() is due */
};

struct tls_slow;

struct tls_session {
    struct net_layer layer; /* first */
    struct tls_worker *w;
    SSL *ssl;
    int fd;
    uint8_t end;      /* enum tls_end */
    uint8_t early;    /* enum tls_early */
    bool told;        /* ...and its user knows */
    bool eof;         /* the socket's */
    bool held;        /* `out` are tickets that go with the first answer */
    bool elsewhere;   /* a pool thread has the session: the worker's buffers are not to be used */
    bool done;        /* the handshake */
    bool starved;     /* OpenSSL wanted to read, and there was nothing */
    bool stopped;     /* it has chosen a certificate whose key is slow */
    bool chosen;      /* the certificate */
    int socket_error; /* of recv(2) */
    enum weir_metric failed_as; /* the handshake; 0: not said */
    uint32_t budget;            /* plaintext accepted by one send: follows what the socket takes */
    uint32_t burst;             /* bytes sent since the connection was new or idle */
    int64_t sent_ms;
    struct tls_kept in, out;
    struct tls_kept early_data;        /* the first, until it is asked for */
    struct tls_slow *step;             /* a slow step under way or over */
    struct tls_server_context *server; /* reference; NULL: we connect */
    struct tls_client_context *client; /* reference */
    char *key;                         /* of sessions to resume, owned */
    char *name;                        /* facts.name, owned */
    struct tls_identity *identity;     /* owned */
    struct weir_err *chose;            /* why no certificate could be chosen; owned, NULL */
    struct tls_facts facts;
};

static inline struct tls_session *tls_session_of(const SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}

/* ---- tls_wire.c ---- */

static inline size_t tls_kept_len(const struct tls_kept *k)
{
    return k->len - k->at;
}

bool tls_kept_append(struct tls_kept *k, const void *data, size_t len);
void tls_kept_free(struct tls_kept *k);
/* Sets s->ssl's BIO. */
bool tls_wire_open(struct tls_session *s);
/* The worker's buffers are this session's from now on; at most `want` bytes are received. */
void tls_wire_begin(struct tls_session *s, size_t want);
/* Keeps what was received and not used, sends what was written. false: the socket is full or
 * broken (errno); what it did not take is kept. */
bool tls_wire_end(struct tls_session *s);
/* The same, but nothing is sent: it is kept. false: there is nothing, and nothing was done. */
bool tls_wire_hold(struct tls_session *s);
/* Received and not read by OpenSSL yet. */
bool tls_wire_more(const struct tls_session *s);
/* Sends what is kept. false: not all; errno. */
bool tls_wire_flush(struct tls_session *s);
/* Tickets that were held back come first in what is sent next. */
void tls_wire_release(struct tls_session *s);

/* ---- tls_session.c ---- */

/* One step, wherever it runs. */
enum tls_step tls_step_once(struct tls_session *s, struct weir_err *err);

/* ---- tls_early.c ---- */

/* Instead of SSL_do_handshake() while s->early is ASK: 1: there is data, the user may begin; 0:
 * look why; also when there is none and the handshake is over: 2. */
int tls_early_step(struct tls_session *s);
/* Instead of SSL_read_ex(): bytes; 0: none now, or s->end. Turns s->early to NO when it is over. */
size_t tls_early_recv(struct tls_session *s, void *buf, size_t len);

/* ---- tls_slow.c ---- */

/* false: no memory. */
bool tls_slow_begin(struct tls_session *s, void (*again)(void *arg), void *arg);
/* Over: its result, once. */
enum tls_step tls_slow_take(struct tls_session *s, struct weir_err *err);
bool tls_slow_running(const struct tls_session *s);
/* true: the thread has not finished; it is told, and the session is freed when it has. */
bool tls_slow_abandon(struct tls_session *s);
/* Waits for what other threads still do. */
void tls_slow_finish(struct tls_worker *w);
/* The session's end proper. */
void tls_session_destroy(struct tls_session *s);

/* ---- tls_server.c ---- */

bool tls_server_early_data(const struct tls_server_context *c);
SSL_CTX *tls_server_ssl(const struct tls_server_context *c);
/* What a resumed connection would have been shown. */
const struct tls_certificate *tls_server_find(const struct tls_server_context *c, const char *name);
/* SNI in lower case without a final dot into out[TLS_NAME_MAX + 1]; "" for none. */
void tls_server_name(const SSL *ssl, char *out);

/* ---- tls_client.c, tls_resume.c ---- */

SSL_CTX *tls_client_ssl(const struct tls_client_context *c);
/* SNI, verification, a session to resume. */
bool tls_client_prepare(struct tls_session *s, const char *name, struct weir_err *err);
/* A session that was resumed and may be once more (TLS 1.2). */
void tls_client_return(struct tls_session *s);

struct tls_resume;

struct tls_resume *tls_resume_new(struct weir_err *err);
void tls_resume_free(struct tls_resume *r); /* NULL does nothing */
/* Takes a reference of session when true. */
bool tls_resume_put(struct tls_resume *r, const char *key, SSL_SESSION *session);
/* The newest, taken out: returns owned; NULL: none. */
SSL_SESSION *tls_resume_take(struct tls_resume *r, const char *key);

/* ---- tls_identity.c ---- */

/* Returns owned; NULL: no memory. */
struct tls_identity *tls_identity_of(X509 *certificate);
void tls_identity_free(struct tls_identity *i); /* NULL does nothing */

/* ---- tls_reason.c ---- */

/* The first of OpenSSL's errors of this thread, which are forgotten; returns false. `where` is
 * "area: operation". */
bool tls_fail(struct weir_err *err, enum weir_code code, const char *where);
/* Why the handshake failed; counted. */
bool tls_fail_handshake(struct tls_session *s, struct weir_err *err);
/* A setting or file that cannot be used, with OpenSSL's reason; returns false. */
bool tls_fail_setting(struct weir_err *err, const char *what);

#endif
