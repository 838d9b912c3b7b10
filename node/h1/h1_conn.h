/*
 * h1_conn.h - one client connection and the request it serves. Private to this folder.
 *
 *           .------------------------------- keep-alive -----------------------------.
 *           v                                                                        |
 *   IDLE -> HEAD (a stream; the head arrives) -> BUSY (exchange runs, content in, response out)
 *     |       '-- refused: error reply, close --.   |
 *     |                                         v   '-- not to be kept --> LINGER -> closed
 *     '-- time-out, drain, end of stream ----> closed       (read and drop, so that the reply is
 * not lost to a reset)
 *
 * Requests on a connection are served one after the other, so answers keep their order
 * (pipelining): what arrives early waits in `in`. An idle connection is this struct and nothing
 * else.
 */
#ifndef H1_CONN_H
#define H1_CONN_H

#include <sys/uio.h>

#include "h1_server.h"
#include "http_chunked.h"
#include "net_clients.h"
#include "net_tunnel.h"

enum h1_wait { H1_FIRST, H1_IDLE, H1_HEAD, H1_BODY, H1_RESPONSE, H1_SEND, H1_LINGER };

struct h1_conn {
    struct net_client client; /* first: its place among all, channel, addresses */
    struct h1_server *server;
    struct h1_stream *stream; /* NULL: idle */
    struct event readable;
    struct net_timer timer;
    struct net_deferred later; /* to read again, or to be freed */
    char *in; /* bytes that wait: an unfinished head, or early requests; NULL: none */
    uint32_t in_len, in_cap;
    uint32_t requests;
    uint8_t wait; /* enum h1_wait: what the timer means */
    bool processing, closed, reading, again;
    struct net_tunnel *tunnel;
};

#define H1_IOV   24
#define H1_BLOBS 16

struct h1_stream {
    struct weir_exchange x; /* first: the exchange is the stream */
    struct h1_conn *conn;
    struct h1_stream *next_free;
    struct http_parser parser;
    bool own_fields;      /* of the head being parsed */
    bool counted_wait;    /* the clock of the rate limit runs */
    int64_t total_due_ms; /* 0: none */

    /* content on its way in */
    struct net_pipe pipe;
    struct http_chunked chunked;
    bool chunks_begun, keeps_trailers;
    struct http_head trailers;
    struct weir_blob *body_blob;
    uint32_t body_at;   /* first byte of body_blob not decoded yet */
    uint64_t body_left; /* with a length */
    uint64_t body_bytes;
    bool body_done;                 /* read to its end */
    bool body_dropped;              /* nobody wants the rest */
    int64_t wait_since_ms, wait_ms; /* how long the client let us wait for content */

    /* response on its way out */
    struct event writable;
    bool want_write;
    bool head_queued, ended, chunked_out, close_after;
    bool waiting_body; /* exchange_pull() said WAIT */
    bool first_round;  /* of the body: goes out together with the head */
    struct iovec iov[H1_IOV];
    unsigned iov_at, iov_count;
    struct weir_blob *blobs[H1_BLOBS];
    unsigned blob_count;
    uint64_t content_left; /* announced and not queued yet; UINT64_MAX: not announced */
    size_t overhead;       /* queued bytes that are not content */
    int64_t blocked_since_ms, blocked_ms;
    char frame[128]; /* framing fields; later chunk headers */
};

/* ---- h1_conn.c ---- */
/* Not known to anyone yet; weir_free() takes it back. NULL without memory. */
struct h1_conn *h1_conn_new(struct h1_server *s);
/* It has its place and channel: waits for the first request, of which `in` may hold the beginning.
 */
void h1_conn_begin(struct h1_conn *c);
/* At once; the memory goes at the end of the turn. reset: RST rather than FIN. */
void h1_conn_close(struct h1_conn *c, bool reset);
/* The response is out: next request, linger or close. */
void h1_conn_response_done(struct h1_stream *s);
/* Sets what the timer waits for. */
void h1_conn_expect(struct h1_conn *c, enum h1_wait wait, int64_t ms);
void h1_conn_read(struct h1_conn *c, bool on);
/* Keeps early bytes for the next request. false without memory. */
bool h1_conn_keep(struct h1_conn *c, const char *bytes, size_t len);

/* ---- h1_body.c: request content ---- */
void h1_body_begin(struct h1_stream *s);
/* Bytes that came with the head; returns how many belong to the content. */
size_t h1_body_feed(struct h1_stream *s, const char *bytes, size_t len);
/* The socket is readable and content is expected. */
void h1_body_readable(struct h1_stream *s);
/* The client failed to deliver. */
void h1_body_fail(struct h1_stream *s, enum weir_code why);
bool h1_body_expected(const struct h1_stream *s);
void h1_body_end(struct h1_stream *s);
/* Sets the timer by what is awaited of the client now: content, or nothing. */
void h1_body_expect(struct h1_stream *s);

/* ---- h1_send.c: the response ---- */
extern const struct exchange_client h1_client;
void h1_send_begin(struct h1_stream *s);
void h1_send_end(struct h1_stream *s);
void h1_send_continue(struct h1_stream *s);
/* Sends what it can; false when the connection has gone. */
bool h1_send_push(struct h1_stream *s);

#endif
