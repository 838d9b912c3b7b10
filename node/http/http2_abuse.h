/*
 * http2_abuse.h - is a peer of HTTP/2 wearing us down? A score for one connection. Pure: events and
 * the time in, a verdict out.
 *
 * Every event has its points (http2_abuse.def). Points are forgiven with time, and a response that
 * went out whole forgives some: who is served a lot may also reset a lot. When the score exceeds
 * its limit the connection is to end with GOAWAY ENHANCE_YOUR_CALM, and the reason is what most of
 * the points are from.
 *
 * This is beside, not instead of, the bounds on what is held: a stream counts as open until its
 * work has ended, whoever reset it; windows; bytes of field sections. Nor does it rely on the
 * limits of an HTTP/2 library, which come and go with its versions.
 *
 * Source: RFC 9113 10.5; CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316, CVE-2025-8671.
 */
#ifndef HTTP2_ABUSE_H
#define HTTP2_ABUSE_H

#include <stdbool.h>
#include <stdint.h>

enum http2_abuse_reason {
    HTTP2_ABUSE_NONE,
#define X(name, label, points, text) HTTP2_ABUSE_##name,
#include "http2_abuse.def"
#undef X
    HTTP2_ABUSE_REASONS
};

struct http2_abuse_limits {
    uint32_t points;        /* the score a connection may have; 0: never too much */
    uint32_t forgiven_s;    /* points a second */
    uint32_t continuations; /* CONTINUATION frames of one header block */
};

/* All zero is a new connection. */
struct http2_abuse {
    int64_t score_m;                      /* thousandths of points */
    int64_t at_ms;                        /* of the score */
    uint32_t points[HTTP2_ABUSE_REASONS]; /* since the score was last 0 */
    uint32_t fresh;        /* points of events that http2_abuse_take() has not given yet */
    uint32_t block_bytes;  /* of the header block that arrives, as on the wire */
    uint32_t block_frames; /* CONTINUATION frames of it */
    int64_t stalled_ms;    /* when streams that wait were last counted; 0: never */
    uint32_t updates_free; /* WINDOW_UPDATE frames that cost nothing */
    bool greeted;          /* the SETTINGS of the preface and what comes with it were free */
};

/*
 * Each returns HTTP2_ABUSE_NONE, or the reason to end the connection now. times: how often, or how
 * much of it. Nothing overflows, whatever the peer sends and whatever the clock does.
 */
enum http2_abuse_reason http2_abuse_note(struct http2_abuse *a, const struct http2_abuse_limits *l,
                                         enum http2_abuse_reason what, uint32_t times,
                                         int64_t now_ms);
/* HEADERS (first) or CONTINUATION with so many bytes of a header block begins. */
enum http2_abuse_reason http2_abuse_block(struct http2_abuse *a, const struct http2_abuse_limits *l,
                                          bool first, uint32_t bytes, int64_t now_ms);
/* The block has ended; decoded: its size as RFC 9113 6.5.2 counts, as far as it was read. */
enum http2_abuse_reason http2_abuse_block_end(struct http2_abuse *a,
                                              const struct http2_abuse_limits *l, uint32_t decoded,
                                              int64_t now_ms);
/* A DATA frame was sent. left_cut: it was all that a window let through, and there is more. */
enum http2_abuse_reason http2_abuse_sent(struct http2_abuse *a, const struct http2_abuse_limits *l,
                                         uint32_t bytes, bool left_cut, int64_t now_ms);
/* SETTINGS that is no acknowledgement: the first, which every client owes, is free (3.4). */
enum http2_abuse_reason http2_abuse_settings(struct http2_abuse *a,
                                             const struct http2_abuse_limits *l, int64_t now_ms);
enum http2_abuse_reason http2_abuse_update(struct http2_abuse *a,
                                           const struct http2_abuse_limits *l, int64_t now_ms);
/* So many streams wait for a window; counts once a second. */
enum http2_abuse_reason http2_abuse_stalled(struct http2_abuse *a,
                                            const struct http2_abuse_limits *l, uint32_t streams,
                                            int64_t now_ms);
/* A response went out whole: that forgives points, also those that were not taken yet. */
void http2_abuse_served(struct http2_abuse *a);

/* A DATA frame of so few bytes is a dribble, if a window made it so. */
bool http2_abuse_small(uint32_t bytes);

/* Points since the last call: for the account of the client's address. */
uint32_t http2_abuse_take(struct http2_abuse *a);

/* For GOAWAY and the log; "" for NONE. */
const char *http2_abuse_text(enum http2_abuse_reason why);

#endif
