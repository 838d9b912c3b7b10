/*
 * bare_h2.c - the limit of HTTP/2 over TLS: as little as a server on nghttp2 and OpenSSL can do.
 *
 *     bench_bare_h2 PORT PEM BODY_BYTES
 *
 * One prebuilt response, with the fields of a hit of weir's, for every request; its content goes
 * from memory by reference. A turn receives once, and sends once what all its requests are answered
 * with, as weir does. Requests are decoded and not looked at. A client without HTTP/2 gets the
 * response of HTTP/1.1 for each record it sends: the benchmark asks so whether there is a server.
 * One thread, loopback; PEM holds certificate and key.
 */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench_net.h"

#define EVENTS     256
#define IN_BYTES   65536
#define PLAIN_MAX  131072 /* of one send */
#define CIPHER_MAX (PLAIN_MAX + 65536)
#define RECORD_MAX 16384
#define FIELDS     10
#define FRAME_HEAD 9

struct server {
    int poll, listener;
    SSL_CTX *tls;
    BIO_METHOD *wire;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_nv fields[FIELDS];
    char date[64], length[24];
    char *body;
    size_t body_len;
    /* Of the turn: ciphertext in and out, and what is to be encrypted. */
    char in[IN_BYTES], plain_in[IN_BYTES], out[CIPHER_MAX], plain[PLAIN_MAX + RECORD_MAX + 64];
    size_t in_at, in_len, out_len, plain_len;
};

struct visit {
    struct server *server;
    int fd;
    SSL *ssl;
    nghttp2_session *session; /* NULL: HTTP/1.1, or the handshake is not over */
    char *left;               /* ciphertext that found no room; nothing is read meanwhile */
    size_t left_at, left_len;
    bool shaken;
};

static void die_tls(const char *what)
{
    fprintf(stderr, "%s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* --- the wire --- */

static int wire_read(BIO *bio, char *buf, int want)
{
    struct server *s = ((struct visit *)BIO_get_data(bio))->server;
    size_t n = s->in_len - s->in_at;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    n = n < (size_t)want ? n : (size_t)want;
    memcpy(buf, s->in + s->in_at, n);
    s->in_at += n;
    return (int)n;
}

static int wire_write(BIO *bio, const char *data, int len)
{
    struct server *s = ((struct visit *)BIO_get_data(bio))->server;

    BIO_clear_retry_flags(bio);
    if ((size_t)len > CIPHER_MAX - s->out_len)
        return -1;
    memcpy(s->out + s->out_len, data, (size_t)len);
    s->out_len += (size_t)len;
    return len;
}

static long wire_ctrl(BIO *bio, int command, long number_, void *arg)
{
    (void)bio;
    (void)number_;
    (void)arg;
    return command == BIO_CTRL_FLUSH;
}

static void watch(struct server *s, int op, int fd, uint32_t events, void *data)
{
    struct epoll_event e = {.events = events, .data.ptr = data};

    if (epoll_ctl(s->poll, op, fd, &e) != 0)
        die("epoll_ctl");
}

/* False: the client has gone. */
static bool send_out(struct visit *v, const char *bytes, size_t len)
{
    const long left = send_some(v->fd, bytes, len);
    char *kept;

    if (left <= 0)
        return left == 0;
    kept = malloc((size_t)left);
    if (kept == NULL)
        die("malloc");
    memcpy(kept, bytes + len - (size_t)left, (size_t)left);
    free(v->left);
    v->left = kept;
    v->left_at = 0;
    v->left_len = (size_t)left;
    watch(v->server, EPOLL_CTL_MOD, v->fd, EPOLLOUT, v);
    return true;
}

/* --- HTTP/2 --- */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct server *s = ((struct visit *)arg)->server;
    const size_t at = (size_t)(uintptr_t)nghttp2_session_get_stream_user_data(session, id);
    const size_t left = s->body_len - at, n = left < length ? left : length;

    (void)buf;
    (void)source;
    nghttp2_session_set_stream_user_data(session, id, (void *)(uintptr_t)(at + n));
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY | (n == left ? NGHTTP2_DATA_FLAG_EOF : 0U);
    return (ssize_t)n;
}

static void put(struct server *s, const void *bytes, size_t len)
{
    memcpy(s->plain + s->plain_len, bytes, len);
    s->plain_len += len;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
                     size_t len, nghttp2_data_source *source, void *arg)
{
    struct server *s = ((struct visit *)arg)->server;
    const size_t end =
        (size_t)(uintptr_t)nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    (void)source;
    put(s, header, FRAME_HEAD);
    put(s, s->body + end - len, len);
    return s->plain_len < PLAIN_MAX ? 0 : NGHTTP2_ERR_PAUSE;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct server *s = ((struct visit *)arg)->server;
    const nghttp2_data_provider content = {.read_callback = on_read};

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    return nghttp2_submit_response(session, frame->hd.stream_id, s->fields, FIELDS, &content) == 0
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static bool encrypt(struct visit *v)
{
    struct server *s = v->server;

    for (size_t at = 0; at < s->plain_len; at += RECORD_MAX) {
        const size_t left = s->plain_len - at;
        size_t done;

        if (SSL_write_ex(v->ssl, s->plain + at, left < RECORD_MAX ? left : RECORD_MAX, &done) != 1)
            return false;
    }
    return true;
}

/* Sends as much as there is and the socket takes. */
static bool answer(struct visit *v)
{
    struct server *s = v->server;

    while (v->left == NULL) {
        const uint8_t *frame;
        ssize_t n = 0;

        s->plain_len = 0;
        while (s->plain_len < PLAIN_MAX && (n = nghttp2_session_mem_send(v->session, &frame)) > 0)
            put(s, frame, (size_t)n);
        if (n < 0)
            return false;
        if (s->plain_len == 0 && s->out_len == 0)
            return nghttp2_session_want_read(v->session) != 0;
        if (!encrypt(v) || !send_out(v, s->out, s->out_len))
            return false;
        s->out_len = 0;
    }
    return true;
}

static bool begin_h2(struct visit *v)
{
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    return nghttp2_session_server_new2(&v->session, v->server->callbacks, v, v->server->option) ==
               0 &&
           nghttp2_submit_settings(v->session, NGHTTP2_FLAG_NONE, entries, 2) == 0;
}

/* --- turns --- */

static bool answer_plainly(struct visit *v)
{
    struct server *s = v->server;
    char head[128];
    const int len =
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", s->body_len);
    size_t done;

    return SSL_write_ex(v->ssl, head, (size_t)len, &done) == 1 &&
           SSL_write_ex(v->ssl, s->body, s->body_len, &done) == 1;
}

static bool shake(struct visit *v)
{
    const unsigned char *proto;
    unsigned len;
    const int result = SSL_do_handshake(v->ssl);

    if (result != 1)
        return SSL_get_error(v->ssl, result) == SSL_ERROR_WANT_READ;
    v->shaken = true;
    SSL_get0_alpn_selected(v->ssl, &proto, &len);
    return len != 2 || begin_h2(v);
}

/* All that has been received. */
static bool take_in(struct visit *v)
{
    struct server *s = v->server;
    size_t n;

    if (!v->shaken && !shake(v))
        return false;
    while (v->shaken && SSL_read_ex(v->ssl, s->plain_in, sizeof s->plain_in, &n) == 1)
        if (v->session == NULL
                ? !answer_plainly(v)
                : nghttp2_session_mem_recv(v->session, (uint8_t *)s->plain_in, n) < 0)
            return false;
    ERR_clear_error();
    return (SSL_get_shutdown(v->ssl) & SSL_RECEIVED_SHUTDOWN) == 0;
}

static bool serve(struct visit *v)
{
    struct server *s = v->server;
    const ssize_t len = recv(v->fd, s->in, sizeof s->in, 0);

    if (len <= 0)
        return len < 0 && errno == EAGAIN;
    s->in_at = s->out_len = 0;
    s->in_len = (size_t)len;
    if (!take_in(v))
        return false;
    return v->session != NULL ? answer(v) : send_out(v, s->out, s->out_len);
}

static bool send_left(struct visit *v)
{
    const long left = send_some(v->fd, v->left + v->left_at, v->left_len - v->left_at);

    if (left < 0)
        return false;
    v->left_at = v->left_len - (size_t)left;
    if (left > 0)
        return true;
    free(v->left);
    v->left = NULL;
    watch(v->server, EPOLL_CTL_MOD, v->fd, EPOLLIN, v);
    v->server->out_len = 0;
    return v->session == NULL || answer(v);
}

static void leave(struct visit *v)
{
    nghttp2_session_del(v->session);
    SSL_free(v->ssl);
    close(v->fd);
    free(v->left);
    free(v);
}

static void welcome(struct server *s)
{
    int fd;

    while ((fd = accept_from(s->listener)) >= 0) {
        struct visit *v = calloc(1, sizeof *v);
        BIO *bio = BIO_new(s->wire);

        if (v == NULL || bio == NULL || (v->ssl = SSL_new(s->tls)) == NULL)
            die_tls("a connection");
        v->server = s;
        v->fd = fd;
        BIO_set_data(bio, v);
        BIO_set_init(bio, 1);
        SSL_set_bio(v->ssl, bio, bio);
        SSL_set_accept_state(v->ssl);
        watch(s, EPOLL_CTL_ADD, fd, EPOLLIN, v);
    }
}

/* --- the beginning --- */

static int choose(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                  const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    if (nghttp2_select_next_protocol((unsigned char **)(uintptr_t)out, out_len, in, in_len) == 1)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_NOACK;
}

static void open_tls(struct server *s, const char *pem)
{
    s->tls = SSL_CTX_new(TLS_server_method());
    s->wire = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7f, "bench");
    if (s->tls == NULL || s->wire == NULL || SSL_CTX_use_certificate_chain_file(s->tls, pem) != 1 ||
        SSL_CTX_use_PrivateKey_file(s->tls, pem, SSL_FILETYPE_PEM) != 1)
        die_tls(pem);
    SSL_CTX_set_min_proto_version(s->tls, TLS1_3_VERSION);
    SSL_CTX_set_options(s->tls, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_ciphersuites(s->tls, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_alpn_select_cb(s->tls, choose, NULL);
    BIO_meth_set_read(s->wire, wire_read);
    BIO_meth_set_write(s->wire, wire_write);
    BIO_meth_set_ctrl(s->wire, wire_ctrl);
}

static void open_h2(struct server *s)
{
    if (nghttp2_session_callbacks_new(&s->callbacks) != 0 || nghttp2_option_new(&s->option) != 0)
        die("nghttp2");
    nghttp2_session_callbacks_set_on_frame_recv_callback(s->callbacks, on_frame);
    nghttp2_session_callbacks_set_send_data_callback(s->callbacks, send_data);
    nghttp2_option_set_no_http_messaging(s->option, 1);
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value),
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static void prepare(struct server *s, size_t body)
{
    const time_t now = time(NULL);

    strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    snprintf(s->length, sizeof s->length, "%zu", body);
    s->fields[0] = field(":status", "200");
    s->fields[1] = field("date", s->date);
    s->fields[2] = field("content-type", "text/plain");
    s->fields[3] = field("cache-control", "max-age=3600");
    s->fields[4] = field("vary", "Accept-Encoding");
    s->fields[5] = field("age", "1");
    s->fields[6] = field("via", "1.1 weir");
    s->fields[7] = field("cache-status", "weir; hit; ttl=3599");
    s->fields[8] = field("accept-ranges", "bytes");
    s->fields[9] = field("content-length", s->length);
    s->body_len = body;
    s->body = malloc(body + 1);
    if (s->body == NULL)
        die("malloc");
    for (size_t i = 0; i < body; i++)
        s->body[i] = (char)('a' + i % 26);
}

static void run(struct server *s)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        const int n = epoll_wait(s->poll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            struct visit *v = events[i].data.ptr;

            if (v == NULL)
                welcome(s);
            else if (!(v->left != NULL ? send_left(v) : serve(v)))
                leave(v);
        }
    }
}

int main(int argc, char **argv)
{
    const struct rlimit many = {65536, 65536};
    struct server *s;

    if (argc != 4) {
        fprintf(stderr, "usage: bench_bare_h2 PORT PEM BODY_BYTES\n");
        return 2;
    }
    s = calloc(1, sizeof *s);
    if (s == NULL)
        die("calloc");
    setrlimit(RLIMIT_NOFILE, &many); /* as root; else what the shell gave */
    open_tls(s, argv[2]);
    open_h2(s);
    prepare(s, number(argv[3], 1UL << 30, "bytes"));
    s->listener = listen_on((uint16_t)number(argv[1], UINT16_MAX, "port"));
    s->poll = epoll_create1(EPOLL_CLOEXEC);
    if (s->poll < 0)
        die("epoll_create1");
    watch(s, EPOLL_CTL_ADD, s->listener, EPOLLIN, NULL); /* NULL stands for the listener */
    run(s);
}
