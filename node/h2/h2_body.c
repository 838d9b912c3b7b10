#include <string.h>

#include "h2_conn.h"
#include "trailers.h"

/*
 * Content goes from the receive buffer into blobs, and from there through the pipe. The client may
 * send as much as its windows say, and they are given back as the consumer takes bytes out: what
 * lies here never exceeds the stream's window. The pipe counts as full at half of it, so that it
 * tells when window must be given back; below that half of the window is open anyway.
 */

#define BLOB_FIRST 16384
#define BLOB_LARGE 65536

static nghttp2_session *session_of(const struct h2_stream *s)
{
    return s->conn->session;
}

bool h2_body_expected(const struct h2_stream *s)
{
    return s->has_pipe && !s->body_done && !s->body_dropped;
}

/* ---- windows ---- */

static void give_window(struct h2_stream *s, size_t n)
{
    if (n == 0 || s->conn->closed || s->conn->memory.failed)
        return;
    if (s->closed)
        nghttp2_session_consume_connection(session_of(s), n);
    else
        nghttp2_session_consume(session_of(s), s->id, n);
    h2_conn_wake(s->conn);
}

/* What the consumer has taken since. */
static void acknowledge(struct h2_stream *s)
{
    uint64_t taken = s->pipe.passed - s->body_acked;

    s->body_acked += taken;
    give_window(s, (size_t)taken);
}

/* ---- blobs ---- */

/* Room for len bytes behind what has found no slot in the pipe yet. */
static bool room_for(struct h2_stream *s, size_t len)
{
    struct weir_blob *b = s->body_blob;
    uint32_t keep = b != NULL ? b->len - s->body_at : 0;
    size_t size = s->body_bytes > BLOB_FIRST ? BLOB_LARGE : BLOB_FIRST;
    struct weir_blob *fresh;

    if (b != NULL && b->cap - b->len >= len)
        return true;
    if (s->x.framing.kind == HTTP_BODY_LENGTH && s->body_left < size)
        size = (size_t)s->body_left;
    if (size < 2 * keep + len) /* tiny frames: what waits is not copied for each of them */
        size = 2 * keep + len;
    fresh = weir_blob_new(size);
    if (fresh == NULL)
        return false;
    if (keep > 0)
        memcpy(fresh->bytes, b->bytes + s->body_at, keep);
    fresh->len = keep;
    weir_blob_unref(b);
    s->body_blob = fresh;
    s->body_at = 0;
    return true;
}

/* Into the pipe, if it has a slot. */
static void hand_over(struct h2_stream *s)
{
    struct weir_blob *b = s->body_blob;

    if (b == NULL || s->body_at == b->len || net_pipe_free_slots(&s->pipe) == 0)
        return;
    net_pipe_put(&s->pipe, (struct weir_slice){weir_blob_ref(b), s->body_at, b->len - s->body_at});
    s->body_at = b->len;
}

static bool all_handed_over(const struct h2_stream *s)
{
    return s->body_blob == NULL || s->body_at == s->body_blob->len;
}

/* ---- what the client sends ---- */

static void drop(struct h2_stream *s, size_t len)
{
    nghttp2_session_consume(session_of(s), s->id, len);
}

/* The message contradicts itself: it is none, and must not end up at an origin. */
static void contradicts(struct h2_stream *s)
{
    if (h2_body_expected(s))
        h2_body_fail(s, WEIR_E_BAD_LENGTH);
    h2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
}

static bool within_limit(struct h2_stream *s)
{
    uint64_t max = s->x.route != NULL ? s->x.route->settings->body_max_bytes : 0;

    if (max == 0 || s->body_bytes <= max || s->x.framing.upgrade)
        return true;
    h2_body_fail(s, WEIR_E_BODY_TOO_LARGE);
    return false;
}

void h2_body_data(struct h2_stream *s, const uint8_t *bytes, size_t len)
{
    if (!h2_body_expected(s)) {
        drop(s, len);
        return;
    }
    if (s->x.framing.kind == HTTP_BODY_LENGTH && len > s->body_left) {
        drop(s, len);
        contradicts(s);
        return;
    }
    if (!room_for(s, len)) {
        drop(s, len);
        h2_body_fail(s, WEIR_E_MEMORY);
        return;
    }
    memcpy(s->body_blob->bytes + s->body_blob->len, bytes, len);
    s->body_blob->len += (uint32_t)len;
    s->body_left -= s->x.framing.kind == HTTP_BODY_LENGTH ? len : 0;
    s->body_bytes += len;
    s->x.received_bytes += len;
    s->body_ms = net_now_ms(h2_loop(s->conn));
    if (!within_limit(s))
        return;
    hand_over(s);
    acknowledge(s);
}

static void end_pipe(struct h2_stream *s)
{
    if (s->body_done && all_handed_over(s) && !s->pipe.ended && !s->body_dropped)
        net_pipe_end(&s->pipe);
}

void h2_body_finish(struct h2_stream *s)
{
    if (s->body_done)
        return;
    if (h2_body_expected(s) && s->x.framing.kind == HTTP_BODY_LENGTH && s->body_left > 0) {
        contradicts(s);
        return;
    }
    s->body_done = true;
    if (s->has_pipe)
        end_pipe(s);
}

void h2_body_trailers(struct h2_stream *s)
{
    if (h2_body_expected(s) && s->x.route != NULL)
        s->pipe.trailers = trailers_filter(&s->trailers, s->x.route->settings->trailers,
                                           s->x.route->settings->trailer_count, true);
}

void h2_body_fail(struct h2_stream *s, enum weir_code why)
{
    if (s->body_done || s->body_dropped)
        return;
    s->body_dropped = true;
    give_window(s, (size_t)(s->body_bytes - s->body_acked));
    s->body_acked = s->body_bytes;
    net_pipe_fail(&s->pipe, why);
    net_pipe_flush(&s->pipe);
}

/* ---- what the consumer does ---- */

static void on_space(void *arg)
{
    struct h2_stream *s = arg;

    if (s->body_dropped)
        return;
    hand_over(s); /* the consumer is just looking */
    end_pipe(s);
    acknowledge(s);
}

static void on_wanted(void *arg)
{
    struct h2_stream *s = arg;

    if (s->x.framing.expect_continue && s->body_bytes == 0 && !s->x.responded)
        h2_send_continue(s);
}

void h2_body_begin(struct h2_stream *s)
{
    net_pipe_init(&s->pipe);
    s->pipe.enough = h2_conn_http2(s->conn)->stream_window_bytes / 2;
    s->pipe.on_space = on_space;
    s->pipe.on_wanted = on_wanted;
    s->pipe.producer = s;
    s->body_left = s->x.framing.length;
    s->body_ms = net_now_ms(h2_loop(s->conn));
    s->has_pipe = true;
    /* What follows an upgrade is the tunnel's; and of a length of 0 nothing is waited for. */
    if (!s->x.framing.upgrade && (s->x.framing.kind != HTTP_BODY_LENGTH || s->body_left > 0))
        s->x.body = &s->pipe;
}

void h2_body_end(struct h2_stream *s)
{
    if (s->has_pipe) {
        if (!s->body_dropped)
            give_window(s, (size_t)(s->body_bytes - s->body_acked));
        net_pipe_clear(&s->pipe);
        s->pipe.on_data = NULL;
    }
    weir_blob_unref(s->body_blob);
    s->body_blob = NULL;
}
