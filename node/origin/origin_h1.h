/*
 * origin_h1.h - one HTTP/1.1 connection to an origin, one exchange at a time. Private to this
 * folder.
 *
 *   new --origin_h1_serve()--> SENDING/RECEIVING (one fetch) --complete--> idle in its pool
 *                 '------ any failure, surplus byte, time-out ------------> closed
 *
 * origin_h1.c has its life and the response, origin_h1_send.c the request on its way out.
 */
#ifndef ORIGIN_H1_H
#define ORIGIN_H1_H

#include "http_chunked.h"
#include "http_parse.h"
#include "net_chan.h"
#include "origin_client.h"
#include "origin_fetch.h"

struct origin_h1 {
    struct origin_work work; /* for the fetch it serves */
    struct origin_pool *pool;
    struct origin_fetch *fetch; /* NULL while idle and once closed */
    struct origin_h1 *next_idle;
    struct event readable, writable;
    struct net_timer timer;
    struct net_deferred gone, again;
    struct net_chan chan;
    bool idle, closed;
    bool looking;                           /* `again` is put off */
    const struct tls_client_context *trust; /* made under it: compared, never followed */
    bool for_one;    /* the origin was told whose it is (PROXY): never kept */
    bool want_write; /* the writable event is on */
    bool paused;     /* the readable event is off: the client is slow */
    uint64_t served; /* exchanges before this one */

    /* the request on its way out */
    uint32_t head_sent;
    bool sent_any, request_done;
    /* body_chunked: what is being written is frame, then chunk_left bytes of content, then tail */
    char frame[HTTP_CHUNK_HEADER_MAX];
    uint8_t frame_at, frame_len;
    bool end_framed; /* this is the last-chunk */
    uint64_t chunk_left;
    const char *tail;
    uint32_t tail_left;

    /* the response on its way in */
    struct weir_blob *in; /* being read into */
    uint32_t in_at;       /* first byte not yet used */
    struct http_parser parser;
    struct http_head head;
    struct http_field
        *own_fields; /* when a head does not arrive whole; else the client's scratch */
    bool parsing;    /* the parser has seen a part of a head */
    bool head_done;
    bool eof;
    bool read_full; /* the last read took as much as it could: there may be more */
    unsigned interims;
    struct http_framing framing;
    struct http_chunked chunked;
    uint64_t left; /* of a body with a length */
    uint64_t received;
    uint32_t next_read; /* size of the next blob: grows while the origin fills them */
};

/*
 * Takes the channel, which is connected (and its handshake over), and with it the counted place of
 * the pool. NULL: *err, and both stay the caller's.
 */
struct origin_h1 *origin_h1_new(struct origin_pool *p, struct net_chan chan, struct weir_err *err);
/* Sends the fetch's request and reads its response. */
void origin_h1_serve(struct origin_h1 *c, struct origin_fetch *f);
/*
 * Between exchanges: nothing has come, not even the end, that would be taken for the next response.
 * Asks what the loop has seen; careful: asks the socket too, one system call.
 */
bool origin_h1_quiet(struct origin_h1 *c, bool careful);
/* Closes at once, from any state; freed at the end of the turn. No callback. */
void origin_h1_close(struct origin_h1 *c);

/* ---- between the two files ---- */

/* Ends the connection and tells its fetch. */
void origin_h1_fail(struct origin_h1 *c, const struct weir_err *err);
/* Something has to happen within so many ms. */
void origin_h1_expect(struct origin_h1 *c, int64_t ms);
/* A new request is about to go out. */
void origin_h1_send_reset(struct origin_h1 *c);
void origin_h1_send_start(struct origin_h1 *c);
/* The socket takes bytes again. */
void origin_h1_send_more(struct origin_h1 *c);
/* All of the request has been accepted by the channel. */
bool origin_h1_all_sent(const struct origin_h1 *c);

#endif
