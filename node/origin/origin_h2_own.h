/*
 * origin_h2_own.h - what origin_h2.c (the connection) and origin_h2_stream.c (one fetch on it)
 * share; private to them.
 */
#ifndef ORIGIN_H2_OWN_H
#define ORIGIN_H2_OWN_H

#include <nghttp2/nghttp2.h>

#include "http2_abuse.h"
#include "http2_head.h"
#include "origin_fetch.h"
#include "origin_h2.h"

/* Content that came while its fetch took none; filled to the brim before the next one begins. */
struct origin_h2_held {
    struct origin_h2_held *next;
    struct weir_blob *blob;
};

/*
 *   serve --END_STREAM, all given out--> complete, cancelled, failed: fetch NULL --nghttp2 lets
 * go-->
 *     '------ nghttp2 has let go, but content is still to be given out: gone ---------------->
 * dropped
 */
struct origin_h2_stream {
    struct origin_work work; /* first */
    struct origin_h2 *conn;
    struct origin_h2_stream *next, **at; /* all of the connection */
    struct origin_fetch *fetch;          /* NULL: nobody listens any more */
    struct net_timer timer;
    struct net_deferred freed;
    struct weir_arena arena;
    int32_t id;
    bool sent;    /* its HEADERS are on their way */
    bool gone;    /* nghttp2 has let go */
    bool dropped; /* no longer linked */
    bool failing; /* its request's content broke off: told at the end of the turn */

    /* the request on its way out */
    struct weir_span prefix; /* content that was gathered before */
    bool starved;            /* the client is to give more */
    bool request_done;

    /* the response on its way in */
    struct http_parse_limits limits;
    struct http2_head_in in;
    struct http_head head, dropped_trailers;
    struct http_framing framing;
    unsigned interims;
    bool head_done, in_trailers, ended;
    bool paused;  /* data() took no more */
    bool resumed; /* and does again: at the end of the turn */
    uint64_t received;
    size_t owed; /* not credited to the origin's window yet */
    struct origin_h2_held *held, **last_held;
};

struct origin_h2 {
    struct origin_h2 *next;
    struct origin_pool *pool;
    nghttp2_session *session;
    struct net_chan chan;
    struct event readable, writable;
    struct net_timer timer; /* idle: its end; else: does the origin still live? */
    struct net_deferred turn, freed;
    struct origin_h2_stream *streams;
    unsigned count;
    uint64_t served;
    int64_t heard_ms, pinged_ms; /* 0: not asked */
    bool secure;
    bool going; /* takes nothing new */
    bool closed;
    bool want_write;
    bool put_off;   /* `turn` is to come */
    bool look;      /* some stream has something to be done at the end of the turn */
    bool has_place; /* a stream has gone since somebody was told */
    struct http2_abuse abuse;
    enum http2_abuse_reason why;
    struct weir_blob *in;
    char *out; /* NULL while nothing is to be sent */
    size_t out_at, out_len;
};

struct net_loop *origin_h2_loop(const struct origin_h2 *h);
/* Frames are sent, and whatever else is to be done, at the end of the turn. */
void origin_h2_put_off(struct origin_h2 *h);

/* ---- origin_h2_stream.c ---- */

/* Submits the fetch's request. false: *err, and nothing has changed. */
bool origin_h2_stream_begin(struct origin_h2 *h, struct origin_fetch *f, struct weir_err *err);
struct origin_h2_stream *origin_h2_stream_find(struct origin_h2 *h, int32_t id);
/* Its fetch fails; the origin is told. sent: the origin may have seen the request. */
void origin_h2_stream_fail(struct origin_h2_stream *s, const struct weir_err *err, bool sent);
/* The connection is no more: its fetch, if there is one, is the caller's to tell. */
struct origin_fetch *origin_h2_stream_take(struct origin_h2_stream *s);
/* What was left for the end of the turn. */
void origin_h2_stream_turn(struct origin_h2_stream *s);

/* What nghttp2 tells. */
void origin_h2_begin_head(struct origin_h2_stream *s);
void origin_h2_field(struct origin_h2_stream *s, struct weir_span name, struct weir_span value);
void origin_h2_head(struct origin_h2_stream *s, bool ended);
void origin_h2_content(struct origin_h2_stream *s, const uint8_t *bytes, size_t len, bool last);
void origin_h2_ended(struct origin_h2_stream *s);
/* nghttp2 lets go of it. */
void origin_h2_stream_closed(struct origin_h2_stream *s, uint32_t code);
/* Its request was never sent. */
void origin_h2_stream_unsent(struct origin_h2_stream *s);

#endif
