/*
 * test_h2.h - a node in one loop (test_node.h) with HTTP/2 toward its client, which is a session of
 * nghttp2 on the other end of a socket pair.
 */
#ifndef TEST_H2_H
#define TEST_H2_H

#include "test_node.h"

#include <nghttp2/nghttp2.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "h2_server.h"

#define H2_TEST_STREAMS 256
#define H2_TEST_HEAD    4096
#define H2_TEST_BODY    4096 /* what is kept of one */

/* What the client has seen of one stream. */
struct h2_seen {
    char head[H2_TEST_HEAD]; /* "name: value\n" ..., of all heads and trailers */
    size_t head_len;
    char body[H2_TEST_BODY];
    size_t body_len; /* all of it */
    bool ended, closed;
    uint32_t error;
    unsigned heads;
};

struct h2_node {
    struct test_node n; /* first */
    struct h2_server server;
    nghttp2_session *session; /* of the client */
    struct event readable;
    struct h2_seen *seen;                      /* by stream: id / 2 */
    const char *upload;                        /* content of requests that have some */
    size_t upload_len, upload_at, upload_stop; /* stop: no more for now */
    int32_t upload_id;
    bool eof, goaway;
    uint32_t goaway_error;
    int32_t goaway_last;
    unsigned goaways;
    char goaway_text[128];
    size_t read_limit; /* bytes the client reads in one turn; 0: all */
    bool deaf;         /* reads nothing */
    bool one_by_one;   /* sends a byte a turn */
};

static inline struct h2_seen *h2_seen(struct h2_node *t, int32_t id)
{
    return &t->seen[id / 2 % H2_TEST_STREAMS];
}

static inline int h2_test_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                    const uint8_t *name, size_t name_len, const uint8_t *value,
                                    size_t value_len, uint8_t flags, void *arg)
{
    struct h2_seen *s = h2_seen(arg, frame->hd.stream_id);

    (void)session;
    (void)flags;
    assert_true(s->head_len + name_len + value_len + 4 < sizeof s->head);
    s->head_len += (size_t)sprintf(s->head + s->head_len, "%.*s: %.*s\n", (int)name_len,
                                   (const char *)name, (int)value_len, (const char *)value);
    return 0;
}

static inline int h2_test_on_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
                                   const uint8_t *bytes, size_t len, void *arg)
{
    struct h2_seen *s = h2_seen(arg, id);

    (void)session;
    (void)flags;
    if (s->body_len + len < sizeof s->body)
        memcpy(s->body + s->body_len, bytes, len);
    s->body_len += len;
    return 0;
}

static inline int h2_test_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_node *t = arg;
    struct h2_seen *s = h2_seen(t, frame->hd.stream_id);

    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS)
        s->heads++;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        s->ended = true;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        t->goaway = true;
        t->goaways++;
        t->goaway_error = frame->goaway.error_code;
        t->goaway_last = frame->goaway.last_stream_id;
        snprintf(t->goaway_text, sizeof t->goaway_text, "%.*s", (int)frame->goaway.opaque_data_len,
                 (const char *)frame->goaway.opaque_data);
    }
    return 0;
}

static inline int h2_test_on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct h2_seen *s = h2_seen(arg, id);

    (void)session;
    s->closed = true;
    s->error = error;
    return 0;
}

static inline void h2_test_flush(struct h2_node *t)
{
    const uint8_t *bytes;
    ssize_t n;

    while (t->n.client >= 0 && (n = nghttp2_session_mem_send(t->session, &bytes)) > 0)
        for (ssize_t at = 0; at < n;) {
            size_t len = t->one_by_one ? 1 : (size_t)(n - at);
            ssize_t sent = send(t->n.client, bytes + at, len, MSG_NOSIGNAL);

            if (sent < 0 && errno == EAGAIN) {
                node_turn(&t->n);
                continue;
            }
            if (sent < 0)
                return;
            at += sent;
            if (t->one_by_one)
                node_settle(&t->n);
        }
}

static inline void h2_test_readable(evutil_socket_t fd, short what, void *arg)
{
    struct h2_node *t = arg;
    char buf[65536];
    ssize_t n;

    (void)what;
    n = recv(fd, buf, t->read_limit != 0 ? t->read_limit : sizeof buf, 0);
    if (n > 0) {
        assert_true(nghttp2_session_mem_recv(t->session, (uint8_t *)buf, (size_t)n) >= 0);
    } else if (n == 0 || errno != EAGAIN) {
        t->eof = true;
        event_del(&t->readable);
    }
}

/* Turns once; what the client has to say goes out before and after. */
static inline void h2_turn(struct h2_node *t)
{
    h2_test_flush(t);
    node_turn(&t->n);
    h2_test_flush(t);
}

static inline void h2_deaf(struct h2_node *t, bool deaf)
{
    if (deaf == t->deaf)
        return;
    t->deaf = deaf;
    if (deaf)
        event_del(&t->readable);
    else
        event_add(&t->readable, NULL);
}

static inline void h2_client_close(struct h2_node *t)
{
    if (t->n.client < 0)
        return;
    if (!t->eof && !t->deaf)
        event_del(&t->readable);
    close(t->n.client);
    t->n.client = -1;
    nghttp2_session_del(t->session);
    t->session = NULL;
}

/* What front does with a connection that speaks HTTP/2. */
static inline void h2_test_let_in(struct h2_node *t, int fd)
{
    static const struct net_client_ops none = {NULL, NULL, NULL};
    struct net_client from = {.ops = &none, .chan = net_chan_plain(fd)};
    struct net_addr a = {.sa.un.sun_family = AF_UNIX, .len = sizeof(sa_family_t)};

    net_peer_from(&from.peer, &a);
    assert_true(
        net_clients_enter(&t->n.clients, &from, (struct net_clients_limits){.connections = 100}));
    if (!h2_server_take(&t->server, &from, WEIR_SPAN_NONE)) {
        net_clients_leave(&t->n.clients, &from);
        close(fd);
    }
}

static inline void h2_client_open(struct h2_node *t)
{
    nghttp2_session_callbacks *cb;
    int pair[2];

    h2_client_close(t);
    memset(t->seen, 0, H2_TEST_STREAMS * sizeof *t->seen);
    t->eof = t->goaway = t->deaf = false;
    t->goaways = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    t->n.client = pair[0];
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_header_callback(cb, h2_test_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_test_on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_test_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_test_on_close);
    assert_int_equal(nghttp2_session_client_new(&t->session, cb, t), 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(t->session, NGHTTP2_FLAG_NONE, NULL, 0);
    event_assign(&t->readable, t->n.loop.base, t->n.client, EV_READ | EV_PERSIST, h2_test_readable,
                 t);
    event_add(&t->readable, NULL);
    weir_clock_update(&t->n.loop.clock);
    h2_test_let_in(t, pair[1]);
}

static inline void h2_node_init(struct h2_node *t)
{
    memset(t, 0, sizeof *t);
    node_init(&t->n);
    t->seen = calloc(H2_TEST_STREAMS, sizeof *t->seen);
}

static inline bool h2_node_start(struct h2_node *t)
{
    return node_start(&t->n) && h2_server_init(&t->server, &t->n.worker, &t->n.clients, NULL);
}

static inline void h2_node_stop(struct h2_node *t)
{
    net_clients_abort(&t->n.clients);
    node_settle(&t->n);
    h2_client_close(t);
    h2_server_close(&t->server);
    node_stop(&t->n);
    free(t->seen);
}

/* ---- requests ---- */

#define H2_NV(n, v)                                                                                \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1, strlen(v),            \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

static inline ssize_t h2_test_upload(nghttp2_session *session, int32_t id, uint8_t *buf,
                                     size_t length, uint32_t *flags, nghttp2_data_source *source,
                                     void *arg)
{
    struct h2_node *t = arg;
    size_t stop = t->upload_stop < t->upload_len ? t->upload_stop : t->upload_len;
    size_t n = stop - t->upload_at < length ? stop - t->upload_at : length;

    (void)session;
    (void)source;
    t->upload_id = id;
    if (n == 0 && t->upload_at < t->upload_len)
        return NGHTTP2_ERR_DEFERRED;
    memcpy(buf, t->upload + t->upload_at, n);
    t->upload_at += n;
    if (t->upload_at == t->upload_len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* `extra` fields follow the usual ones. Returns the stream's id. */
static inline int32_t h2_ask(struct h2_node *t, const char *method, const char *path,
                             const nghttp2_nv *extra, size_t extra_count)
{
    nghttp2_nv nv[64] = {H2_NV(":method", method), H2_NV(":scheme", "http"),
                         H2_NV(":authority", "x"), H2_NV(":path", path)};
    nghttp2_data_provider provider = {.read_callback = h2_test_upload};

    for (size_t i = 0; i < extra_count; i++)
        nv[4 + i] = extra[i];
    t->upload_at = 0;
    return nghttp2_submit_request(t->session, NULL, nv, 4 + extra_count,
                                  t->upload != NULL ? &provider : NULL, NULL);
}

static inline int32_t h2_get(struct h2_node *t, const char *path)
{
    return h2_ask(t, "GET", path, NULL, 0);
}

/* The origin's answer to the handshake that it was sent, and what it says then. */
static inline void h2_test_switch(struct h2_node *t, const char *first)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct origin_side *o = &t->n.origin[0];
    const char *key = memmem(o->in, o->in_len, "Sec-WebSocket-Key: ", 19);
    unsigned char digest[20], accept[32];
    char text[128], reply[512];

    assert_non_null(key);
    snprintf(text, sizeof text, "%.24s%s", key + 19, guid);
    SHA1((unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock(accept, digest, sizeof digest);
    snprintf(reply, sizeof reply,
             "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\n%s",
             (char *)accept, first);
    (void)!send(o->fd, reply, strlen(reply), MSG_NOSIGNAL);
    o->in_len = 0;
}

/* Turns until the stream has closed, or the connection. */
static inline struct h2_seen *h2_wait(struct h2_node *t, int32_t id)
{
    while (!h2_seen(t, id)->closed && !t->eof)
        h2_turn(t);
    return h2_seen(t, id);
}

static inline bool h2_has(const struct h2_seen *s, const char *text)
{
    return strstr(s->head, text) != NULL;
}

#endif
