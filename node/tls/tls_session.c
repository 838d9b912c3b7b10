#include "tls_session_own.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>

#include "weir/alloc.h"
#include "weir/container.h"

/*
 * Records: a peer can use none of a record before it has the whole. So what is sent first, on a new
 * connection or one whose congestion window has been forgotten, goes in records of three segments;
 * later ones are as large as they may be, which costs least.
 */
#define FIRST_RECORD   4096
#define FIRST_BYTES    32768
#define IDLE_MS        1000
#define BUDGET_MIN     16384
#define HANDSHAKE_WANT 32768
/* A record's header, nonce and tag, for what is received beyond the plaintext asked for. */
#define RECORD_EXTRA 64
#define RECEIVE_MIN  2048 /* tickets, and whatever small records there are, in one go */

static const struct net_layer_ops layer_ops;

/* ---- life ---- */

static struct tls_session *session_new(struct tls_worker *w, SSL_CTX *ctx, int fd)
{
    struct tls_session *s = weir_calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->layer.ops = &layer_ops;
    s->w = w;
    s->fd = fd;
    s->budget = TLS_SEND_MAX / 2;
    s->facts.version = s->facts.cipher = s->facts.alpn = s->facts.name = "";
    s->ssl = SSL_new(ctx);
    if (s->ssl != NULL && tls_wire_open(s))
        return s;
    ERR_clear_error();
    SSL_free(s->ssl);
    weir_free(s);
    return NULL;
}

struct tls_session *tls_accept(struct tls_worker *w, struct tls_server_context *c, int fd,
                               struct weir_err *err)
{
    struct tls_session *s = session_new(w, tls_server_ssl(c), fd);

    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "tls: accept", 0);
        return NULL;
    }
    s->server = tls_server_context_ref(c);
    s->early = tls_server_early_data(c) ? TLS_EARLY_ASK : TLS_EARLY_NO;
    SSL_set_accept_state(s->ssl);
    return s;
}

struct tls_session *tls_connect(struct tls_worker *w, struct tls_client_context *c, int fd,
                                const char *name, struct weir_err *err)
{
    struct tls_session *s = session_new(w, tls_client_ssl(c), fd);

    if (s == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "tls: connect", 0);
        return NULL;
    }
    s->client = tls_client_context_ref(c);
    SSL_set_connect_state(s->ssl);
    if (tls_client_prepare(s, name, err))
        return s;
    tls_session_destroy(s);
    return NULL;
}

void tls_session_destroy(struct tls_session *s)
{
    /* Closed without ceremony, OpenSSL would forget the ticket this connection has got. */
    if (s->end != TLS_GARBLED)
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    ERR_clear_error();
    tls_kept_free(&s->in);
    tls_kept_free(&s->out);
    tls_kept_free(&s->early_data);
    tls_identity_free(s->identity);
    weir_free(s->name);
    weir_free(s->key);
    weir_free(s->chose);
    tls_server_context_unref(s->server);
    tls_client_context_unref(s->client);
    weir_free(s);
}

void tls_session_free(struct tls_session *s)
{
    if (s != NULL && !tls_slow_abandon(s))
        tls_session_destroy(s);
}

const struct tls_facts *tls_session_facts(const struct tls_session *s)
{
    return &s->facts;
}

struct net_layer *tls_session_layer(struct tls_session *s)
{
    return &s->layer;
}

/* ---- handshake ---- */

enum tls_step tls_step_once(struct tls_session *s, struct weir_err *err)
{
    ERR_clear_error();
    s->starved = s->stopped = false;
    if (s->early == TLS_EARLY_ASK ? tls_early_step(s) > 0 : SSL_do_handshake(s->ssl) == 1)
        return TLS_DONE;
    if (s->starved)
        return TLS_WANT_READ;
    if (s->stopped)
        return TLS_BUSY;
    tls_fail_handshake(s, err);
    return TLS_FAILED;
}

static const char *alpn_word(const SSL *ssl)
{
    const unsigned char *proto = NULL;
    unsigned len = 0;

    SSL_get0_alpn_selected(ssl, &proto, &len);
    if (len == 2 && memcmp(proto, "h2", 2) == 0)
        return "h2";
    if (len == 8 && memcmp(proto, "http/1.1", 8) == 0)
        return "http/1.1";
    return "";
}

/* What is known of a client: its name for us, and who it is. */
static bool learn_client(struct tls_session *s, struct weir_err *err)
{
    char name[TLS_NAME_MAX + 1];
    X509 *certificate = SSL_get0_peer_certificate(s->ssl);

    tls_server_name(s->ssl, name);
    if (name[0] != '\0') {
        s->name = weir_strndup(name, strlen(name));
        if (s->name == NULL)
            return weir_fail(err, WEIR_E_MEMORY, "tls: facts", 0);
        s->facts.name = s->name;
    }
    if (certificate != NULL && SSL_get_verify_result(s->ssl) == X509_V_OK) {
        s->identity = tls_identity_of(certificate);
        if (s->identity == NULL)
            return weir_fail(err, WEIR_E_MEMORY, "tls: facts", 0);
        s->facts.client = s->identity;
    }
    if (s->facts.cert == NULL) /* resumed: none was chosen */
        s->facts.cert = tls_server_find(s->server, name);
    s->facts.name_covered = s->facts.cert != NULL && tls_covers(s->facts.cert, weir_span_str(name));
    return true;
}

static bool learn(struct tls_session *s, struct weir_err *err)
{
    s->done = true;
    s->facts.version = SSL_get_version(s->ssl);
    s->facts.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(s->ssl));
    s->facts.resumed = SSL_session_reused(s->ssl) == 1;
    s->facts.alpn = alpn_word(s->ssl);
    if (s->server != NULL)
        return learn_client(s, err);
    tls_client_return(s);
    return true;
}

static void count(const struct tls_session *s, enum weir_metric which)
{
    if (s->w->metrics != NULL)
        weir_metric_add(s->w->metrics, which, 1);
}

static void count_group(const struct tls_session *s)
{
    switch (SSL_get_negotiated_group(s->ssl)) {
    case NID_X25519:
        count(s, WEIR_M_tls_group_x25519);
        break;
    case NID_X9_62_prime256v1:
        count(s, WEIR_M_tls_group_p256);
        break;
    default:
        count(s, WEIR_M_tls_group_other);
    }
}

static void count_client(const struct tls_session *s)
{
    count(s, s->facts.resumed ? WEIR_M_tls_resumed : WEIR_M_tls_handshakes);
    if (!s->facts.resumed)
        count_group(s);
    if (SSL_version(s->ssl) == TLS1_2_VERSION)
        count(s, WEIR_M_tls_version_1_2);
    if (s->facts.early)
        count(s, WEIR_M_tls_early_data);
}

static void count_done(const struct tls_session *s)
{
    if (s->server != NULL)
        count_client(s);
    else
        count(s, s->facts.resumed ? WEIR_M_origin_tls_resumed : WEIR_M_origin_tls_handshakes);
}

/* All is said in TLS 1.3 when the client has said "finished": what lies there are tickets, and they
 * may go with the first answer. */
static bool only_tickets(const struct tls_session *s)
{
    return s->server != NULL && s->done && !s->facts.early && SSL_version(s->ssl) == TLS1_3_VERSION;
}

/* What the step has written goes out. */
static enum tls_step send_step(struct tls_session *s, enum tls_step step, struct weir_err *err)
{
    bool sent;

    if (step == TLS_DONE && only_tickets(s) && s->out.data == NULL) {
        s->held = tls_wire_hold(s);
        if (s->held)
            return step;
    }
    sent = tls_wire_end(s) && tls_wire_flush(s);
    if (sent || step == TLS_FAILED)
        return step;
    if (errno == EAGAIN)
        return step == TLS_WANT_READ ? TLS_WANT_WRITE : step;
    s->socket_error = errno;
    weir_fail(err, s->server != NULL ? WEIR_E_TLS_HANDSHAKE : WEIR_E_ORIGIN_TLS, "tls: handshake",
              errno);
    s->failed_as = WEIR_M_tls_failed_closed;
    return TLS_FAILED;
}

enum tls_step tls_handshake(struct tls_session *s, void (*again)(void *arg), void *arg,
                            struct weir_err *err)
{
    enum tls_step step;

    if (tls_slow_running(s))
        return TLS_BUSY;
    tls_wire_begin(s, HANDSHAKE_WANT);
    step = s->step != NULL ? tls_slow_take(s, err) : tls_step_once(s, err);
    if (step == TLS_DONE && !learn(s, err))
        step = TLS_FAILED;
    step = send_step(s, step, err);
    if (step == TLS_BUSY && !tls_slow_begin(s, again, arg)) {
        weir_fail(err, WEIR_E_MEMORY, "tls: handshake", 0);
        step = TLS_FAILED;
    }
    if (step == TLS_DONE)
        count_done(s);
    if (step == TLS_FAILED && s->server != NULL && s->failed_as != 0)
        count(s, s->failed_as);
    return step;
}

/* ---- the layer: receiving ---- */

static bool got_alert(void)
{
    unsigned long e = ERR_peek_last_error();

    return ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET;
}

/*
 * SSL_read has given nothing: why? Not asked of SSL_get_error(), which believes in an error queue
 * that others of this thread may have left something in, nor of SSL_want(), which may be old.
 */
static void note_end(struct tls_session *s)
{
    if ((SSL_get_shutdown(s->ssl) & SSL_RECEIVED_SHUTDOWN) != 0)
        s->end = got_alert() ? TLS_CUT : TLS_FAREWELL;
    else if (s->eof || s->socket_error != 0)
        s->end = TLS_CUT;
    else if (s->starved)
        return;
    else
        s->end = TLS_GARBLED;
    ERR_clear_error();
}

static ssize_t tell_end(struct tls_session *s)
{
    s->told = s->end != TLS_OPEN; /* an end that comes later is still to be told */
    switch (s->end) {
    case TLS_FAREWELL:
        return 0;
    case TLS_GARBLED:
        errno = EPROTO;
        return -1;
    case TLS_CUT:
        errno = s->socket_error != 0 ? s->socket_error : ECONNRESET;
        return -1;
    default:
        errno = EAGAIN;
        return -1;
    }
}

static ssize_t session_recv(struct net_layer *l, void *buf, size_t len)
{
    struct tls_session *s = WEIR_CONTAINER(l, struct tls_session, layer);
    size_t got = 0, n, want = len + len / 64 + RECORD_EXTRA;

    if (s->end != TLS_OPEN)
        return tell_end(s);
    /* A little more than fits: what a record adds. The rest of the last record would be kept. */
    tls_wire_begin(s, want > RECEIVE_MIN ? want : RECEIVE_MIN);
    while (s->early != TLS_EARLY_NO) {
        n = tls_early_recv(s, buf, len);
        if (n == 0 && s->early != TLS_EARLY_NO)
            note_end(s);
        if (n > 0 || s->early != TLS_EARLY_NO) {
            tls_wire_end(s);
            return n > 0 ? (ssize_t)n : tell_end(s);
        }
    }
    do {
        if (SSL_read_ex(s->ssl, (char *)buf + got, len - got, &n) != 1) {
            note_end(s);
            break;
        }
        got += n;
    } while (got < len && (tls_wire_more(s) || SSL_pending(s->ssl) > 0));
    tls_wire_end(s); /* an alert, the answer to a KeyUpdate: as far as the socket takes it */
    return got > 0 ? (ssize_t)got : tell_end(s);
}

static const struct tls_session *looked_at(const struct net_layer *l)
{
    return (const struct tls_session *)(const void *)l; /* its first member */
}

/* A whole record has been received: reading goes on without the socket. */
static bool whole_record(const struct tls_kept *k)
{
    size_t has = tls_kept_len(k);
    const unsigned char *head = k->data + k->at;

    return has >= SSL3_RT_HEADER_LENGTH &&
           has - SSL3_RT_HEADER_LENGTH >= ((size_t)head[3] << 8 | head[4]);
}

static bool session_pending(const struct net_layer *l)
{
    const struct tls_session *s = looked_at(l);

    if (s->end != TLS_OPEN)
        return !s->told;
    if (s->early_data.data != NULL)
        return true;
    return (s->in.data != NULL && whole_record(&s->in)) || SSL_pending(s->ssl) > 0;
}

/* ---- the layer: sending ---- */

/* Walks what is to be sent. */
struct walk {
    const struct iovec *iov;
    unsigned count;
    size_t at;   /* in iov[0] */
    size_t left; /* how much may be taken */
};

static size_t walk_here(const struct walk *k)
{
    size_t n = k->count > 0 ? k->iov->iov_len - k->at : 0;

    return n < k->left ? n : k->left;
}

static void walk_on(struct walk *k, size_t n)
{
    k->at += n;
    k->left -= n;
    while (k->count > 0 && k->at == k->iov->iov_len) {
        k->iov++;
        k->count--;
        k->at = 0;
    }
}

/* Short pieces, a head and the beginning of its content, become one record. */
static size_t gather(struct walk *k, unsigned char *to, size_t record)
{
    size_t len = 0, n;

    while (len < record && (n = walk_here(k)) > 0) {
        if (n > record - len)
            n = record - len;
        memcpy(to + len, (const char *)k->iov->iov_base + k->at, n);
        walk_on(k, n);
        len += n;
    }
    return len;
}

static size_t record_size(const struct tls_session *s)
{
    return s->burst < FIRST_BYTES ? FIRST_RECORD : TLS_RECORD_MAX;
}

/* The next records: from where the bytes lie when they fill one, or are the last. */
static size_t next_records(struct tls_session *s, struct walk *k)
{
    size_t record = record_size(s), here = walk_here(k), n;
    const unsigned char *from = (const unsigned char *)k->iov->iov_base + k->at;
    size_t done;

    if (here >= record || here == k->left || k->count == 1) {
        n = record < TLS_RECORD_MAX && here > record ? record : here;
        if (n > record)
            n -= n % record; /* the rest may share a record with what follows */
        walk_on(k, n);
    } else {
        from = s->w->plain;
        n = gather(k, s->w->plain, record);
    }
    if ((s->early == TLS_EARLY_NO ? SSL_write_ex(s->ssl, from, n, &done)
                                  : SSL_write_early_data(s->ssl, from, n, &done)) != 1)
        return 0;
    s->burst += (uint32_t)(s->burst < FIRST_BYTES ? n : 0);
    return n;
}

static bool encrypt(struct tls_session *s, struct walk *k, size_t *accepted)
{
    int64_t now = net_now_ms(s->w->loop);

    if (now - s->sent_ms > IDLE_MS)
        s->burst = 0;
    s->sent_ms = now;
    walk_on(k, 0); /* past empty pieces */
    while (walk_here(k) > 0) {
        size_t n = next_records(s, k);

        if (n == 0) { /* after a fatal alert, or no memory: nothing more can be said */
            ERR_clear_error();
            errno = EPIPE;
            return false;
        }
        *accepted += n;
    }
    return true;
}

/* Slow readers get less encrypted ahead: it is kept with the connection until they take it. */
static void adapt(struct tls_session *s, bool all_taken, size_t accepted)
{
    if (!all_taken)
        s->budget = s->budget / 2 > BUDGET_MIN ? s->budget / 2 : BUDGET_MIN;
    else if (accepted == s->budget && s->budget < TLS_SEND_MAX)
        s->budget *= 2;
}

static ssize_t session_send(struct net_layer *l, const struct iovec *iov, unsigned count_)
{
    struct tls_session *s = WEIR_CONTAINER(l, struct tls_session, layer);
    struct walk k = {iov, count_, 0, s->budget};
    size_t accepted = 0;
    bool sent;

    if (count_ == 0 || !s->held) {
        if (!tls_wire_flush(s))
            return -1;
        if (count_ == 0)
            return 0;
    }
    tls_wire_begin(s, 0);
    tls_wire_release(s);
    if (!encrypt(s, &k, &accepted))
        return -1;
    sent = tls_wire_end(s);
    if (!sent && errno != EAGAIN)
        return -1;
    adapt(s, sent, accepted);
    return (ssize_t)accepted;
}

static bool session_unsent(const struct net_layer *l)
{
    const struct tls_session *s = looked_at(l);

    return s->out.data != NULL && !s->held;
}

static void session_farewell(struct net_layer *l)
{
    struct tls_session *s = WEIR_CONTAINER(l, struct tls_session, layer);

    if (!s->done || s->end == TLS_GARBLED || (s->end == TLS_CUT && !s->eof))
        return;
    tls_wire_begin(s, 0);
    tls_wire_release(s);
    SSL_shutdown(s->ssl); /* writes close_notify; the peer's is not waited for */
    ERR_clear_error();
    tls_wire_end(s);
}

static void session_free(struct net_layer *l)
{
    tls_session_free(WEIR_CONTAINER(l, struct tls_session, layer));
}

static const struct net_layer_ops layer_ops = {
    .recv = session_recv,
    .send = session_send,
    .pending = session_pending,
    .unsent = session_unsent,
    .farewell = session_farewell,
    .free = session_free,
};
