/*
 * h2_conn.h - one client connection that speaks HTTP/2, and its streams. Private to this folder.
 *
 *   connection:  OPEN --GOAWAY notice--> LEAVING --ping answered, or late--> LAST --no stream
 * left--> |                                                                LINGER -> closed
 *                  '-- protocol error, abuse: GOAWAY, all streams ended ------------^
 *
 *   stream:      HEAD (fields arrive) -> OPEN (exchange runs, content in, response out) --.
 *                  '-- malformed: RST_STREAM                                              v
 *                  gone <-- its last bytes are out, or are not wanted <-- CLOSED (nghttp2 is done)
 *
 * nghttp2 keeps the frames, HPACK and windows; its callbacks (h2_frames.c) find the stream, what is
 * answered is submitted to it (h2_send.c), and h2_conn.c reads and writes. All that is submitted
 * while a turn of the loop lasts goes out by one write at its end.
 */
#ifndef H2_CONN_H
#define H2_CONN_H

#include <nghttp2/nghttp2.h>
#include <sys/uio.h>

#include "fetch_owed.h"
#include "h2_server.h"
#include "http2_fields.h"
#include "http2_head.h"
#include "weir/container.h"

struct h2_tunnel;

#define H2_READ_BYTES  65536
#define H2_FRAME_BYTES 16384 /* the largest that we send */
/* One write: with the frame that passes this limit no more than a layer takes at once. What the
 * socket does not take of it is kept. */
#define H2_ROUND_BYTES (NET_LAYER_SEND - H2_FRAME_BYTES - 9)
#define H2_ROUND_SLOW  32768 /* toward a client that lately did not take all */
#define H2_COPY_BYTES  65536 /* of that: frames, and content in small pieces */
#define H2_COPY_PIECE  2048  /* a larger piece of content goes by reference */
#define H2_IOV         64
#define H2_PARTS       12

/* What one write takes; the worker's, used within one h2_conn_push(). */
struct h2_out {
    struct iovec iov[H2_IOV];
    struct weir_blob *blobs[H2_IOV];
    unsigned iov_count, blob_count;
    uint32_t used; /* of copied */
    size_t bytes;  /* in all */
    size_t limit;
    char copied[H2_COPY_BYTES + H2_FRAME_BYTES + 512];
};

struct h2_conn {
    struct net_client net; /* first */
    struct h2_server *server;
    struct h2_stream *streams; /* all, also those that nghttp2 is done with */
    struct h2_stream *closing; /* of them: those that end when their bytes are out */
    struct h2_stream *heading; /* its fields arrive; NULL: none */
    nghttp2_session *session;
    struct h2_session_memory memory;
    struct http2_abuse abuse;
    struct event readable, writable;
    struct net_timer timer;
    struct net_deferred turn, again;
    char *rest; /* bytes that the socket did not take; NULL: none */
    uint32_t rest_at, rest_len;
    uint32_t open;          /* streams whose work goes on */
    uint32_t cut;           /* streams that ended in this turn before their answer */
    struct fetch_owed owed; /* streams that have ended, and are being fetched for the store */
    uint64_t requests;
    int64_t idle_due_ms;            /* while no stream is open */
    int64_t progress_ms;            /* when the socket last took something */
    int64_t leave_due_ms;           /* LEAVING: the last GOAWAY goes at the latest */
    int64_t looked_ms, look_due_ms; /* for what is late */
    uint8_t leaving;                /* enum h2_leaving */
    bool reading, writing;          /* the events are on */
    bool busy;                      /* inside nghttp2: what is woken is looked at anyway */
    bool turn_due, again_due, closed, failed, lingering, slow, first, drains;
};

enum h2_leaving { H2_STAYS, H2_LEAVING, H2_LAST };

struct h2_stream {
    struct weir_exchange x; /* first: the exchange is the stream */
    struct h2_conn *conn;
    struct h2_stream *next, **at; /* of the connection; next: of the free list too */
    struct h2_stream *next_closing;
    int32_t id;
    struct http2_head_in head;
    enum weir_code bad; /* the head, or the trailer section, was refused: fields are skipped */
    struct weir_err bad_err;
    bool own_fields; /* of the head being read */
    bool in_trailers;
    bool call;    /* of gRPC */
    bool closed;  /* by nghttp2: nothing more may be submitted */
    bool ending;  /* in the list `closing` */
    bool counted; /* in conn->open */
    int64_t head_due_ms;
    int64_t total_due_ms; /* 0: none */

    /* content on its way in (h2_body.c) */
    struct net_pipe pipe;
    struct weir_blob *body_blob;
    uint32_t body_at;   /* bytes of body_blob from here on found no slot in the pipe */
    uint64_t body_left; /* with a length */
    uint64_t body_bytes;
    uint64_t body_acked; /* taken out of the pipe, and told to the client as window */
    bool has_pipe, body_done, body_dropped;
    struct http_head trailers;
    int64_t body_ms; /* when content last came, or was last not wanted */
    int64_t wait_ms; /* how long the client let us wait for content */

    /* response on its way out (h2_send.c) */
    struct exchange_part part[H2_PARTS];
    unsigned part_at, part_count;
    size_t part_off;       /* of part[part_at], sent */
    size_t part_bytes;     /* pulled and not sent */
    uint64_t content_left; /* announced and not pulled yet; UINT64_MAX: not announced */
    bool submitted;        /* the final head */
    bool waiting_body;     /* exchange_pull() said WAIT */
    bool pulled_all;       /* no further part will come */
    bool out_ended;        /* END_STREAM has been framed */
    bool close_after;      /* the connection should not be used again */
    int64_t sent_ms;       /* when content last went out, or there was none to send */
    int64_t blocked_ms;    /* how long the client did not take what there was */
    uint8_t urgency;       /* RFC 9218 */
    bool incremental;

    struct h2_tunnel *tunnel;
};

static inline struct net_loop *h2_loop(const struct h2_conn *c)
{
    return c->server->w->loop;
}

/* ---- h2_conn.c ---- */
struct h2_conn *h2_conn_new(struct h2_server *server);
void h2_conn_begin(struct h2_conn *c, struct weir_span early);
/* At once; the memory goes at the end of the turn. */
void h2_conn_close(struct h2_conn *c, bool reset);
/* A request begins. */
void h2_conn_busy(struct h2_conn *c);
/* Something was submitted or can go on: it goes out at the end of the turn. */
void h2_conn_wake(struct h2_conn *c);
/* GOAWAY with an error and a reason; the connection ends when it is out. */
void h2_conn_fail(struct h2_conn *c, uint32_t error_code, const char *why);
/* GOAWAY in good order: first a notice, and after a round trip the last word. */
void h2_conn_leave(struct h2_conn *c);
/* The notice has gone round. */
void h2_conn_last_word(struct h2_conn *c);
const struct client_settings *h2_conn_settings(const struct h2_conn *c);
const struct h2_settings *h2_conn_http2(const struct h2_conn *c);

/* ---- h2_frames.c ---- */
nghttp2_session_callbacks *h2_frames_callbacks(void);

/* ---- h2_stream.c ---- */
/* NULL without memory. */
struct h2_stream *h2_stream_new(struct h2_conn *c, int32_t id);
/* One field of its head or trailers. */
void h2_stream_field(struct h2_stream *s, struct weir_span name, struct weir_span value);
void h2_stream_begin_trailers(struct h2_stream *s);
void h2_stream_end_trailers(struct h2_stream *s, bool ended);
/* What a Priority field says (RFC 9218); origins: of the response, it has the last word. */
void h2_stream_set_priority(struct h2_stream *s, struct weir_span value, bool origins);
/* The head is whole. ended: no content follows. */
void h2_stream_start(struct h2_stream *s, bool ended);
void h2_stream_reset(struct h2_stream *s, uint32_t error_code);
/* nghttp2 is done with it. */
void h2_stream_closed(struct h2_stream *s);
/* And nothing of it is still under way: it ends when its bytes are out. */
void h2_stream_over(struct h2_stream *s);
/* Lets it go: the exchange closes. */
void h2_stream_end(struct h2_stream *s, bool complete);
/* Moves the fields read so far to memory of the stream. false without memory. */
bool h2_stream_keep_fields(struct h2_stream *s, uint32_t cap);
/* It has content, and no window lets it out. */
bool h2_stream_stalled(const struct h2_stream *s);
/* Time has passed, dt_ms of it since the last look: what is late ends. */
void h2_stream_look(struct h2_stream *s, int64_t now_ms, int64_t dt_ms);

/* ---- h2_body.c: request content ---- */
void h2_body_begin(struct h2_stream *s);
void h2_body_data(struct h2_stream *s, const uint8_t *bytes, size_t len);
/* END_STREAM. */
void h2_body_finish(struct h2_stream *s);
void h2_body_trailers(struct h2_stream *s);
void h2_body_fail(struct h2_stream *s, enum weir_code why);
bool h2_body_expected(const struct h2_stream *s);
void h2_body_end(struct h2_stream *s);

/* ---- h2_send.c: the response ---- */
extern const struct exchange_client h2_client;
void h2_send_begin(struct h2_stream *s);
void h2_send_end(struct h2_stream *s);
void h2_send_continue(struct h2_stream *s);
/* The lines of a head that may go to a client, in the exchange's arena; ptr NULL without memory. */
struct weir_span h2_send_lines(struct h2_stream *s, const struct http_head *head);
/* DATA: the frame's header and `len` bytes of content into the worker's out. */
int h2_send_data(struct h2_stream *s, const uint8_t *header, size_t len);
/* There is content to send, and the client does not take it. */
bool h2_send_blocked(const struct h2_stream *s);

/* ---- h2_out.c ---- */
void h2_out_begin(struct h2_out *o, size_t limit);
/* Room for one more frame of nghttp2's, copied. */
bool h2_out_room(const struct h2_out *o);
void h2_out_copy(struct h2_out *o, const void *bytes, size_t len);
/* By reference; takes blob (may be NULL). */
void h2_out_refer(struct h2_out *o, const char *bytes, size_t len, struct weir_blob *blob);
void h2_out_end(struct h2_out *o);

#endif
