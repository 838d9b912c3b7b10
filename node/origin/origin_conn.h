/*
 * origin_conn.h - one HTTP/1.1 connection to an origin. Private to this folder.
 *
 *   CONNECTING --connected--> SENDING/RECEIVING (one fetch) --complete--> idle in its pool
 *        '--------------- any failure, surplus byte, time-out ------------> closed
 */
#ifndef ORIGIN_CONN_H
#define ORIGIN_CONN_H

#include "http_chunked.h"
#include "http_parse.h"
#include "origin_client.h"

struct origin_conn {
    struct origin_pool *pool;
    struct origin_fetch *fetch; /* NULL while idle and once closed */
    struct origin_conn *next_idle;
    struct event readable, writable;
    struct net_timer timer;
    struct net_deferred gone;
    int fd;
    bool idle, connecting, closed;
    bool want_write; /* the writable event is on */
    bool paused;     /* the readable event is off: the client is slow */
    uint64_t served; /* exchanges before this one */
    unsigned addrs_tried;

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

/* Opens a connection, takes the counted place on success. NULL: *err. */
struct origin_conn *origin_conn_open(struct origin_pool *p, struct weir_err *err);
/* Sends the fetch's request and reads its response; called once it has connected or is about to. */
void origin_conn_serve(struct origin_conn *c, struct origin_fetch *f);
void origin_conn_resume(struct origin_conn *c);
/*
 * Between exchanges: nothing has come, not even the end, that would be taken for the next response.
 * Asks what the loop has seen; careful: asks the socket too, one system call.
 */
bool origin_conn_quiet(const struct origin_conn *c, bool careful);
/* Closes at once, from any state; freed at the end of the turn. No callback. */
void origin_conn_close(struct origin_conn *c);

#endif
