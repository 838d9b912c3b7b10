#include <errno.h>
#include <string.h>

#include "weir/alloc.h"
#include "h1_conn.h"
#include "trailers.h"

#define READ_FIRST   16384
#define READ_LARGE   65536
#define READ_LEAST   1024
#define TRAILERS_MAX 32

static struct net_loop *loop_of(const struct h1_stream *s)
{
    return s->x.loop;
}

static const struct client_settings *settings_of(const struct h1_stream *s)
{
    return s->x.site->site->source.client;
}

bool h1_body_expected(const struct h1_stream *s)
{
    return s->x.body != NULL && !s->body_done && !s->body_dropped;
}

/* The clock of the minimum rate runs only while it is the client who keeps us waiting. */
static void wait_for_client(struct h1_stream *s, bool on)
{
    int64_t now = net_now_ms(loop_of(s));

    if (s->counted_wait == on)
        return;
    s->counted_wait = on;
    if (on)
        s->wait_since_ms = now;
    else
        s->wait_ms += now - s->wait_since_ms;
}

/* While the client does not take the response, that is what the connection's one timer is for. */
void h1_body_expect(struct h1_stream *s)
{
    if (s->want_write)
        return;
    if (h1_body_expected(s) && s->conn->reading)
        h1_conn_expect(s->conn, H1_BODY, settings_of(s)->body_timeout_ms);
    else
        h1_conn_expect(s->conn, H1_RESPONSE, 0);
}

static void expect_content(struct h1_stream *s)
{
    h1_conn_read(s->conn, true);
    wait_for_client(s, true);
    h1_body_expect(s);
}

static void hold_back(struct h1_stream *s)
{
    h1_conn_read(s->conn, false);
    wait_for_client(s, false);
    h1_body_expect(s);
}

static void content_done(struct h1_stream *s)
{
    s->body_done = true;
    wait_for_client(s, false);
    net_pipe_end(&s->pipe);
    h1_conn_read(s->conn, true); /* from now on: early requests, or the client's end */
    h1_body_expect(s);
}

void h1_body_fail(struct h1_stream *s, enum weir_code why)
{
    if (s->body_done || s->body_dropped)
        return;
    s->body_dropped = true;
    s->close_after = true;
    wait_for_client(s, false);
    h1_conn_read(s->conn, false);
    h1_body_expect(s);
    net_pipe_fail(&s->pipe, why);
    net_pipe_flush(&s->pipe);
}

/* ---- decoding ---- */

static void put(struct h1_stream *s, uint32_t off, uint32_t len)
{
    struct weir_slice slice = {weir_blob_ref(s->body_blob), off, len};

    s->body_bytes += len;
    s->x.received_bytes += len;
    net_pipe_put(&s->pipe, slice);
}

static bool within_limit(struct h1_stream *s)
{
    uint64_t max = s->x.route != NULL ? s->x.route->settings->body_max_bytes : 0;

    if (max == 0 || s->body_bytes <= max)
        return true;
    h1_body_fail(s, WEIR_E_BODY_TOO_LARGE);
    return false;
}

static void decode_plain(struct h1_stream *s)
{
    uint32_t have = s->body_blob->len - s->body_at;

    if (have > s->body_left)
        have = (uint32_t)s->body_left;
    if (have > 0)
        put(s, s->body_at, have);
    s->body_at += have;
    s->body_left -= have;
    if (s->body_left == 0)
        content_done(s);
}

/* As far as the pipe has slots; the rest stays in the blob. */
static void decode_chunked(struct h1_stream *s)
{
    struct weir_blob *b = s->body_blob;
    enum http_chunk_result r = HTTP_CHUNK_DATA;
    struct weir_err err = {0};

    while (r == HTTP_CHUNK_DATA && net_pipe_free_slots(&s->pipe) > 0) {
        struct http_chunk_run run;

        r = http_chunked_run(&s->chunked, b->bytes, b->len, &s->body_at, &run, &err);
        if (run.len > 0)
            put(s, run.off, run.len);
    }
    if (r == HTTP_CHUNK_BAD)
        h1_body_fail(s, err.code);
    else if (r == HTTP_CHUNK_END && within_limit(s)) {
        if (s->keeps_trailers)
            s->pipe.trailers = trailers_filter(&s->trailers, s->x.route->settings->trailers,
                                               s->x.route->settings->trailer_count, true);
        content_done(s);
    }
}

/* Bytes behind the content: the next request's beginning. They are taken out of the blob. */
static struct weir_span surplus(struct h1_stream *s)
{
    struct weir_blob *b = s->body_blob;
    struct weir_span rest = weir_span(b->bytes + s->body_at, b->len - s->body_at);

    s->body_at = b->len;
    return s->body_done ? rest : WEIR_SPAN_NONE;
}

static void decode(struct h1_stream *s)
{
    if (s->x.framing.kind == HTTP_BODY_CHUNKED)
        decode_chunked(s);
    else
        decode_plain(s);
    if (!s->body_done && !s->body_dropped && within_limit(s) && net_pipe_full(&s->pipe))
        hold_back(s);
}

static bool room_to_read(struct h1_stream *s, uint32_t size)
{
    struct weir_blob *b = s->body_blob;

    uint32_t keep = b != NULL ? b->len - s->body_at : 0; /* an unfinished trailer section */
    struct weir_blob *fresh;

    if (b != NULL && b->cap - b->len >= READ_LEAST)
        return true;
    fresh = weir_blob_new(size + keep);
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

/* ---- events ---- */

static void keep_early(struct h1_stream *s)
{
    struct weir_span rest = surplus(s);

    if (rest.len > 0 && !h1_conn_keep(s->conn, rest.ptr, rest.len))
        s->close_after = true;
}

static void on_space(void *arg)
{
    struct h1_stream *s = arg;

    if (!h1_body_expected(s))
        return;
    if (s->body_blob != NULL &&
        (s->body_at < s->body_blob->len || http_chunked_holds(&s->chunked))) {
        decode(s); /* left over from when the pipe was full; the consumer is just looking at it */
        if (s->body_done) {
            keep_early(s);
            return;
        }
        if (!h1_body_expected(s) || net_pipe_full(&s->pipe))
            return;
    }
    expect_content(s);
}

static void on_wanted(void *arg)
{
    struct h1_stream *s = arg;

    if (s->x.framing.expect_continue && s->body_bytes == 0 && !s->x.responded)
        h1_send_continue(s);
}

void h1_body_begin(struct h1_stream *s)
{
    net_pipe_init(&s->pipe);
    s->pipe.on_space = on_space;
    s->pipe.on_wanted = on_wanted;
    s->pipe.producer = s;
    s->body_left = s->x.framing.length;
    s->x.body = &s->pipe;
}

/* Trailer fields are kept only where the route lets some through: known once the request is routed.
 */
static void begin_chunked(struct h1_stream *s)
{
    bool wanted = s->x.route != NULL && s->x.route->settings->trailer_count > 0;
    struct http_field *fields =
        wanted ? weir_arena_alloc(&s->x.arena, TRAILERS_MAX * sizeof *fields) : NULL;

    s->chunks_begun = true;
    if (fields != NULL)
        http_head_init(&s->trailers, fields, TRAILERS_MAX);
    http_chunked_init(&s->chunked, false, fields != NULL ? &s->trailers : NULL);
    s->keeps_trailers = fields != NULL;
}

size_t h1_body_feed(struct h1_stream *s, const char *bytes, size_t len)
{
    size_t used = len;

    if (s->x.framing.kind == HTTP_BODY_CHUNKED && !s->chunks_begun)
        begin_chunked(s);
    if (s->x.framing.kind == HTTP_BODY_LENGTH && used > s->body_left)
        used = (size_t)s->body_left;
    if (used > 0) {
        if (!room_to_read(s, used > READ_FIRST ? READ_LARGE : READ_FIRST) ||
            s->body_blob->cap < used) {
            h1_body_fail(s, WEIR_E_MEMORY);
            return len;
        }
        memcpy(s->body_blob->bytes, bytes, used);
        s->body_blob->len = (uint32_t)used;
        decode(s);
        if (s->body_done)
            used -= surplus(s).len;
    }
    if (h1_body_expected(s) && !net_pipe_full(&s->pipe))
        expect_content(s);
    net_pipe_flush(&s->pipe);
    return used;
}

void h1_body_readable(struct h1_stream *s)
{
    struct h1_conn *c = s->conn;
    uint32_t room, size = s->body_bytes > READ_FIRST ? READ_LARGE : READ_FIRST;
    ssize_t n;

    if (!room_to_read(s, size)) {
        h1_body_fail(s, WEIR_E_MEMORY);
        return;
    }
    room = s->body_blob->cap - s->body_blob->len;
    if (s->x.framing.kind == HTTP_BODY_LENGTH && room > s->body_left)
        room = (uint32_t)s->body_left; /* what comes after is the next request's */
    n = net_chan_recv(&c->client.chan, s->body_blob->bytes + s->body_blob->len, room);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) { /* an upload cut short is never completed toward the origin */
        h1_conn_close(c, n < 0);
        return;
    }
    weir_metric_add(s->x.w->metrics, WEIR_M_bytes_in, n);
    s->body_blob->len += (uint32_t)n;
    wait_for_client(s, false);
    h1_body_expect(s);
    decode(s);
    if (s->body_done)
        keep_early(s);
    if (h1_body_expected(s)) {
        if (net_client_too_slow(settings_of(s), s->wait_ms, s->body_bytes)) {
            h1_body_fail(s, WEIR_E_CLIENT_TIMEOUT);
            return;
        }
        wait_for_client(s, !net_pipe_full(&s->pipe));
    }
    net_pipe_flush(&s->pipe);
}

void h1_body_end(struct h1_stream *s)
{
    if (s->x.body != NULL) {
        net_pipe_clear(&s->pipe);
        s->pipe.on_data = NULL;
    }
    weir_blob_unref(s->body_blob);
    s->body_blob = NULL;
}
