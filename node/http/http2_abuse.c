#include "http2_abuse.h"

#include <string.h>

#define MILLI         1000
#define SERVED_POINTS 4       /* one reset for each response */
#define FRESH_MAX     1000000 /* points that are not told yet; more make no difference */
#define TIMES_MAX     10000
#define UPDATES_EACH  2  /* for a DATA frame: one for the stream, one for the connection */
#define UPDATES_KEPT  64 /* clients also open their windows ahead of what they get */
#define UPDATES_FIRST 4  /* with the preface */
#define SMALL_DATA    64
#define STALLS_FREE   16
#define STALLS_MS     1000

/*
 * What a block can decode to without naming an entry of the dynamic table twice: Huffman makes two
 * bytes of one at most (5 bits are the shortest), the tables have some 6 KiB, and 32 bytes count
 * for each of at most a few hundred fields.
 */
#define GROWTH_FACTOR 2
#define GROWTH_FREE   12288
#define GROWTH_UNIT   256

static const uint32_t points_of[HTTP2_ABUSE_REASONS] = {
#define X(name, label, points, text) [HTTP2_ABUSE_##name] = points,
#include "http2_abuse.def"
#undef X
};

static const char *const text_of[HTTP2_ABUSE_REASONS] = {
    [HTTP2_ABUSE_NONE] = "",
#define X(name, label, points, text) [HTTP2_ABUSE_##name] = text,
#include "http2_abuse.def"
#undef X
};

const char *http2_abuse_text(enum http2_abuse_reason why)
{
    return text_of[why];
}

/* A connection that behaves well again starts with a clean sheet. */
static void forgive(struct http2_abuse *a, int64_t points_m)
{
    if (a->score_m == 0)
        return;
    a->score_m = a->score_m > points_m ? a->score_m - points_m : 0;
    if (a->score_m == 0)
        memset(a->points, 0, sizeof(a->points));
}

static void pass_time(struct http2_abuse *a, const struct http2_abuse_limits *l, int64_t now_ms)
{
    int64_t ms = now_ms > a->at_ms ? now_ms - a->at_ms : 0;

    a->at_ms = now_ms;
    if (ms > INT32_MAX)
        ms = INT32_MAX;
    forgive(a, ms * l->forgiven_s); /* thousandths a millisecond are points a second */
}

static enum http2_abuse_reason most(const struct http2_abuse *a)
{
    enum http2_abuse_reason why = HTTP2_ABUSE_NONE;

    for (unsigned i = 1; i < HTTP2_ABUSE_REASONS; i++)
        if (a->points[i] > a->points[why])
            why = (enum http2_abuse_reason)i;
    return why;
}

static uint32_t capped_sum(uint32_t sum, uint32_t more, uint32_t cap)
{
    return more < cap - sum ? sum + more : cap;
}

enum http2_abuse_reason http2_abuse_note(struct http2_abuse *a, const struct http2_abuse_limits *l,
                                         enum http2_abuse_reason what, uint32_t times,
                                         int64_t now_ms)
{
    uint32_t points = points_of[what] * (times < TIMES_MAX ? times : TIMES_MAX);

    pass_time(a, l, now_ms);
    a->score_m += (int64_t)points * MILLI;
    a->points[what] = capped_sum(a->points[what], points, UINT32_MAX);
    a->fresh = capped_sum(a->fresh, points, FRESH_MAX);
    if (l->points == 0 || a->score_m <= (int64_t)l->points * MILLI)
        return HTTP2_ABUSE_NONE;
    a->score_m = (int64_t)l->points * MILLI; /* no debt that grows without end */
    return most(a);
}

enum http2_abuse_reason http2_abuse_block(struct http2_abuse *a, const struct http2_abuse_limits *l,
                                          bool first, uint32_t bytes, int64_t now_ms)
{
    if (first) {
        a->block_bytes = bytes;
        a->block_frames = 0;
        return HTTP2_ABUSE_NONE;
    }
    a->block_bytes = capped_sum(a->block_bytes, bytes, UINT32_MAX);
    if (++a->block_frames > l->continuations)
        return HTTP2_ABUSE_CONTINUATIONS;
    /* A full one carries what a large head needs; an empty one has no use at all. */
    return bytes > 0 ? HTTP2_ABUSE_NONE
                     : http2_abuse_note(a, l, HTTP2_ABUSE_CONTINUATIONS, 1, now_ms);
}

enum http2_abuse_reason http2_abuse_block_end(struct http2_abuse *a,
                                              const struct http2_abuse_limits *l, uint32_t decoded,
                                              int64_t now_ms)
{
    uint64_t honest = (uint64_t)a->block_bytes * GROWTH_FACTOR + GROWTH_FREE;

    if (decoded <= honest)
        return HTTP2_ABUSE_NONE;
    return http2_abuse_note(a, l, HTTP2_ABUSE_GROWTH,
                            (uint32_t)((decoded - honest) / GROWTH_UNIT) + 1, now_ms);
}

bool http2_abuse_small(uint32_t bytes)
{
    return bytes < SMALL_DATA;
}

enum http2_abuse_reason http2_abuse_sent(struct http2_abuse *a, const struct http2_abuse_limits *l,
                                         uint32_t bytes, bool left_cut, int64_t now_ms)
{
    if (left_cut && http2_abuse_small(bytes))
        return http2_abuse_note(a, l, HTTP2_ABUSE_DRIBBLE, 1, now_ms);
    a->updates_free = capped_sum(a->updates_free, UPDATES_EACH, UPDATES_KEPT);
    return HTTP2_ABUSE_NONE;
}

enum http2_abuse_reason http2_abuse_settings(struct http2_abuse *a,
                                             const struct http2_abuse_limits *l, int64_t now_ms)
{
    if (a->greeted)
        return http2_abuse_note(a, l, HTTP2_ABUSE_SETTINGS, 1, now_ms);
    a->greeted = true;
    a->updates_free = UPDATES_FIRST;
    return HTTP2_ABUSE_NONE;
}

enum http2_abuse_reason http2_abuse_update(struct http2_abuse *a,
                                           const struct http2_abuse_limits *l, int64_t now_ms)
{
    if (a->updates_free == 0)
        return http2_abuse_note(a, l, HTTP2_ABUSE_UPDATES, 1, now_ms);
    a->updates_free--;
    return HTTP2_ABUSE_NONE;
}

enum http2_abuse_reason http2_abuse_stalled(struct http2_abuse *a,
                                            const struct http2_abuse_limits *l, uint32_t streams,
                                            int64_t now_ms)
{
    if (streams <= STALLS_FREE || (a->stalled_ms != 0 && now_ms < a->stalled_ms + STALLS_MS))
        return HTTP2_ABUSE_NONE;
    a->stalled_ms = now_ms;
    return http2_abuse_note(a, l, HTTP2_ABUSE_STALLS, streams - STALLS_FREE, now_ms);
}

void http2_abuse_served(struct http2_abuse *a)
{
    forgive(a, SERVED_POINTS * MILLI);
    a->fresh -= a->fresh < SERVED_POINTS ? a->fresh : SERVED_POINTS;
}

uint32_t http2_abuse_take(struct http2_abuse *a)
{
    uint32_t fresh = a->fresh;

    a->fresh = 0;
    return fresh;
}
