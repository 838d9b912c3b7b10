#include "origin_h2_own.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "origin_pool.h"
#include "origin_state.h"

#define READ_BYTES     32768
#define READS_PER_TURN 8
#define OUT_BYTES      65536
#define OUT_FULL       (OUT_BYTES - 16393) /* less than a frame is free */
#define STREAM_WINDOW  262144
/* Credited as it is read: what streams hold is bounded by their own windows. */
#define CONNECTION_WINDOW 8388608
#define STREAMS_DEFAULT   100
/* An origin that says nothing for so long, while it should, is asked whether it is there. */
#define SILENT_MS      10000
#define SILENT_IDLE_MS 5000 /* when a request goes out after a pause */
#define PING_MS        3000

static const struct http2_abuse_limits abuse_limits = {10000, 500, 16};

struct net_loop *origin_h2_loop(const struct origin_h2 *h)
{
    return h->pool->client->loop;
}

static int64_t now_ms(const struct origin_h2 *h)
{
    return net_now_ms(origin_h2_loop(h));
}

/* ---- memory of nghttp2: ours, so that tests can take it away ---- */

static void *h2_malloc(size_t size, void *arg)
{
    (void)arg;
    return weir_malloc(size);
}

static void h2_free(void *p, void *arg)
{
    (void)arg;
    weir_free(p);
}

static void *h2_calloc(size_t count, size_t size, void *arg)
{
    (void)arg;
    return weir_calloc(count, size);
}

static void *h2_realloc(void *p, size_t size, void *arg)
{
    (void)arg;
    return weir_realloc(p, size);
}

/* ---- closing ---- */

static void free_conn(struct net_deferred *d)
{
    struct origin_h2 *h = WEIR_CONTAINER(d, struct origin_h2, freed);

    nghttp2_session_del(h->session);
    weir_blob_unref(h->in);
    weir_free(h->out);
    weir_free(h);
}

static void unlink_conn(struct origin_h2 *h)
{
    struct origin_h2 **at = &h->pool->h2;

    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
}

/* All that was under way fails with err. */
static void close_with(struct origin_h2 *h, const struct weir_err *err)
{
    struct origin_pool *p = h->pool;
    struct net_loop *loop = origin_h2_loop(h);
    bool reused = h->served > 1;

    if (h->closed)
        return;
    h->closed = true;
    unlink_conn(h);
    event_del(&h->readable);
    if (h->want_write)
        event_del(&h->writable);
    net_timer_stop(loop, &h->timer);
    while (h->streams != NULL) {
        struct origin_h2_stream *s = h->streams;
        struct weir_err mine = *err;
        bool sent = s->sent;
        struct origin_fetch *f = s->fetch;

        if (s->head_done && mine.code == WEIR_E_ORIGIN_RESET)
            mine.code = WEIR_E_RESPONSE_TRUNCATED;
        origin_h2_stream_take(s);
        if (f != NULL)
            origin_fetch_failed(f, &mine, reused, sent);
    }
    net_chan_close(&h->chan, false);
    net_defer(loop, &h->freed, free_conn); /* after the turn that may still be put off */
    origin_pool_freed(p);
}

static void fail_all(struct origin_h2 *h, enum weir_code code, const char *where, int os,
                     const char *why)
{
    struct weir_err err = {0};

    weir_failf(&err, code, where, os, "%s%s%s", h->pool->state->url, why[0] != '\0' ? ": " : "",
               why);
    close_with(h, &err);
}

/* ---- writing ---- */

static void want_write(struct origin_h2 *h, bool on)
{
    if (h->want_write == on)
        return;
    h->want_write = on;
    if (on)
        event_add(&h->writable, NULL);
    else
        event_del(&h->writable);
}

/* What is gathered goes out. false: the socket takes no more, or the connection has gone. */
static bool write_out(struct origin_h2 *h)
{
    while (h->out_at < h->out_len) {
        struct iovec iov = {h->out + h->out_at, h->out_len - h->out_at};
        ssize_t n = net_chan_send(&h->chan, &iov, 1);

        if (n >= 0) {
            h->out_at += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            want_write(h, true);
            return false;
        } else if (errno != EINTR) {
            fail_all(h, WEIR_E_ORIGIN_RESET, "origin: send", errno, "");
            return false;
        }
    }
    h->out_at = h->out_len = 0;
    return true;
}

static bool room_for(struct origin_h2 *h, size_t len)
{
    size_t cap = h->out_len + len > OUT_BYTES ? h->out_len + len : OUT_BYTES;
    char *out;

    if (h->out != NULL && h->out_len + len <= OUT_BYTES)
        return true;
    out = weir_realloc(h->out, cap);
    if (out != NULL)
        h->out = out;
    return out != NULL;
}

/* Frames are gathered. false: broken. */
static bool gather(struct origin_h2 *h)
{
    while (h->out_len < OUT_FULL) {
        const uint8_t *frame;
        ssize_t n = nghttp2_session_mem_send(h->session, &frame);

        if (h->closed)
            return false;
        if (n == 0)
            return true;
        if (n < 0 || !room_for(h, (size_t)n)) {
            fail_all(h, WEIR_E_MEMORY, "origin: frames", 0, n < 0 ? nghttp2_strerror((int)n) : "");
            return false;
        }
        memcpy(h->out + h->out_len, frame, (size_t)n);
        h->out_len += (size_t)n;
    }
    return true;
}

static void send_frames(struct origin_h2 *h)
{
    int flushed;

    do {
        if (!write_out(h) || !gather(h))
            return;
    } while (h->out_len > 0);
    flushed = net_chan_flush(&h->chan);
    if (flushed < 0) {
        fail_all(h, WEIR_E_ORIGIN_RESET, "origin: send", errno, "");
        return;
    }
    want_write(h, flushed == 0);
    if (flushed == 0 || h->count > 0)
        return;
    weir_free(h->out); /* an idle connection holds little */
    h->out = NULL;
}

/* ---- the end of a turn ---- */

static struct origin_h2_stream *next_to_look_at(struct origin_h2 *h)
{
    for (struct origin_h2_stream *s = h->streams; s != NULL; s = s->next)
        if (s->failing || s->resumed)
            return s;
    return NULL;
}

static void rest(struct origin_h2 *h)
{
    if (h->count > 0)
        return;
    if (h->in != NULL) {
        weir_blob_unref(h->in);
        h->in = NULL;
    }
    h->pinged_ms = 0;
    net_timer_move(origin_h2_loop(h), &h->timer, now_ms(h) + h->pool->idle_timeout_ms);
}

/* nghttp2 has said GOAWAY to an origin that broke the protocol. */
static bool is_over(const struct origin_h2 *h)
{
    return nghttp2_session_want_read(h->session) == 0 &&
           nghttp2_session_want_write(h->session) == 0 && h->out_len == 0;
}

static void on_turn(struct net_deferred *d)
{
    struct origin_h2 *h = WEIR_CONTAINER(d, struct origin_h2, turn);
    struct origin_h2_stream *s;

    h->put_off = false;
    if (h->closed)
        return;
    h->look = false;
    while (!h->closed && (s = next_to_look_at(h)) != NULL)
        origin_h2_stream_turn(s);
    if (!h->closed)
        send_frames(h);
    if (!h->closed && is_over(h))
        fail_all(h, WEIR_E_RESPONSE_MALFORMED, "origin: HTTP/2", 0, "protocol error");
    if (h->closed)
        return;
    if (h->has_place) {
        h->has_place = false;
        rest(h);
        if (!h->going)
            origin_pool_stream_free(h->pool);
    }
    if (!h->closed && h->going && h->count == 0) {
        origin_h2_close(h);
        return;
    }
    if (!h->closed && net_chan_pending(&h->chan)) /* no event of the socket tells of it */
        event_active(&h->readable, EV_READ, 0);
}

void origin_h2_put_off(struct origin_h2 *h)
{
    if (h->put_off || h->closed)
        return;
    h->put_off = true;
    net_defer(origin_h2_loop(h), &h->turn, on_turn);
}

/* ---- what nghttp2 tells ---- */

static int judge(struct origin_h2 *h, enum http2_abuse_reason why)
{
    if (why != HTTP2_ABUSE_NONE)
        h->why = why;
    return why == HTTP2_ABUSE_NONE ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    struct origin_h2 *h = arg;
    enum http2_abuse_reason what = HTTP2_ABUSE_NONE;

    (void)session;
    if (h->closed)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    switch (hd->type) {
    case NGHTTP2_DATA:
        if (hd->length == 0 && (hd->flags & NGHTTP2_FLAG_END_STREAM) == 0)
            what = HTTP2_ABUSE_EMPTY;
        break;
    case NGHTTP2_SETTINGS:
        if ((hd->flags & NGHTTP2_FLAG_ACK) == 0)
            what = HTTP2_ABUSE_SETTINGS;
        break;
    case NGHTTP2_PING:
        if ((hd->flags & NGHTTP2_FLAG_ACK) == 0)
            what = HTTP2_ABUSE_PINGS;
        break;
    case NGHTTP2_WINDOW_UPDATE:
        return judge(h, http2_abuse_update(&h->abuse, &abuse_limits, now_ms(h)));
    case NGHTTP2_PRIORITY:
        what = HTTP2_ABUSE_PRIORITIES;
        break;
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_GOAWAY:
    case NGHTTP2_CONTINUATION:
        break;
    default:
        what = HTTP2_ABUSE_UNKNOWN;
        break;
    }
    if (what == HTTP2_ABUSE_NONE)
        return 0;
    return judge(h, http2_abuse_note(&h->abuse, &abuse_limits, what, 1, now_ms(h)));
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct origin_h2 *h = arg;
    struct origin_h2_stream *s = origin_h2_stream_find(h, frame->hd.stream_id);

    (void)session;
    if (s != NULL)
        origin_h2_begin_head(s);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct origin_h2 *h = arg;
    struct origin_h2_stream *s = origin_h2_stream_find(h, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (s != NULL)
        origin_h2_field(s, weir_span((const char *)name, name_len),
                        weir_span((const char *)value, value_len));
    return h->closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *arg)
{
    struct origin_h2 *h = arg;
    struct origin_h2_stream *s = origin_h2_stream_find(h, id);

    nghttp2_session_consume_connection(session, len);
    if (s != NULL)
        origin_h2_content(s, data, len, (flags & NGHTTP2_FLAG_END_STREAM) != 0);
    return h->closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static void heard_ping(struct origin_h2 *h, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_ACK)
        h->pinged_ms = 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct origin_h2 *h = arg;
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct origin_h2_stream *s;

    (void)session;
    if (h->closed)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        s = origin_h2_stream_find(h, frame->hd.stream_id);
        if (s != NULL)
            origin_h2_head(s, ended);
        break;
    case NGHTTP2_DATA:
        s = ended ? origin_h2_stream_find(h, frame->hd.stream_id) : NULL;
        if (s != NULL)
            origin_h2_ended(s);
        break;
    case NGHTTP2_SETTINGS: /* may allow more streams */
        h->has_place = true;
        break;
    case NGHTTP2_PING:
        heard_ping(h, frame);
        break;
    case NGHTTP2_GOAWAY: /* nghttp2 closes the streams that the origin will not look at */
        h->going = true;
        break;
    default:
        break;
    }
    return h->closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct origin_h2 *h = arg;
    struct origin_h2_stream *s;

    (void)session;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    s = origin_h2_stream_find(h, frame->hd.stream_id);
    if (s != NULL)
        s->sent = true;
    return 0;
}

static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int why,
                             void *arg)
{
    struct origin_h2 *h = arg;
    struct origin_h2_stream *s;

    (void)session;
    (void)why;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    s = origin_h2_stream_find(h, frame->hd.stream_id);
    if (s != NULL && !s->sent)
        origin_h2_stream_unsent(s);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct origin_h2 *h = arg;
    struct origin_h2_stream *s = origin_h2_stream_find(h, id);

    (void)session;
    if (s != NULL)
        origin_h2_stream_closed(s, code);
    return 0;
}

/* ---- reading ---- */

static bool room_to_read(struct origin_h2 *h)
{
    if (h->in != NULL && atomic_load_explicit(&h->in->refs, memory_order_acquire) == 1)
        return true;
    weir_blob_unref(h->in);
    h->in = weir_blob_new(READ_BYTES);
    return h->in != NULL;
}

/* The origin broke the protocol, or wears us down: it is told, as far as the socket takes it. */
static void refuse(struct origin_h2 *h, int lib_error)
{
    const char *text =
        h->why != HTTP2_ABUSE_NONE ? http2_abuse_text(h->why) : nghttp2_strerror(lib_error);

    if (h->why != HTTP2_ABUSE_NONE)
        nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_ENHANCE_YOUR_CALM,
                              (const uint8_t *)text, strlen(text));
    if (gather(h) && write_out(h))
        net_chan_flush(&h->chan);
    fail_all(h, lib_error == NGHTTP2_ERR_NOMEM ? WEIR_E_MEMORY : WEIR_E_RESPONSE_MALFORMED,
             "origin: HTTP/2", 0, text);
}

/* One piece; false: there is no more now, or the connection has gone. */
static bool read_piece(struct origin_h2 *h)
{
    ssize_t n, used;

    if (!room_to_read(h)) {
        fail_all(h, WEIR_E_MEMORY, "origin: read", 0, "");
        return false;
    }
    n = net_chan_recv(&h->chan, h->in->bytes, READ_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    if (n <= 0) {
        fail_all(h, WEIR_E_ORIGIN_RESET, "origin: read", n < 0 ? errno : 0, "");
        return false;
    }
    h->in->len = (uint32_t)n;
    h->heard_ms = now_ms(h);
    used = nghttp2_session_mem_recv(h->session, (const uint8_t *)h->in->bytes, (size_t)n);
    if (!h->closed && used < 0)
        refuse(h, (int)used);
    return !h->closed && n == READ_BYTES;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct origin_h2 *h = arg;

    (void)fd;
    (void)what;
    net_loop_enter(origin_h2_loop(h));
    if (h->closed)
        return;
    for (int i = 0; i < READS_PER_TURN; i++)
        if (!read_piece(h))
            break;
    origin_h2_put_off(h);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct origin_h2 *h = arg;

    (void)fd;
    (void)what;
    net_loop_enter(origin_h2_loop(h));
    if (!h->closed)
        send_frames(h);
}

/* ---- does it live? ---- */

static void ping(struct origin_h2 *h)
{
    if (nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL) != 0)
        return;
    h->pinged_ms = now_ms(h);
    net_timer_start(origin_h2_loop(h), &h->timer, h->pinged_ms + PING_MS);
    origin_h2_put_off(h);
}

static void on_timer(struct net_timer *t)
{
    struct origin_h2 *h = WEIR_CONTAINER(t, struct origin_h2, timer);
    int64_t silent = now_ms(h) - h->heard_ms;

    if (h->count == 0) {
        origin_h2_close(h);
    } else if (h->pinged_ms != 0 && h->heard_ms <= h->pinged_ms) {
        fail_all(h, WEIR_E_ORIGIN_READ_TIMEOUT, "origin: no answer to PING", 0, "");
    } else if (silent >= SILENT_MS) {
        ping(h);
    } else {
        h->pinged_ms = 0;
        net_timer_start(origin_h2_loop(h), &h->timer, h->heard_ms + SILENT_MS);
    }
}

/* ---- life ---- */

static nghttp2_session *new_session(struct origin_h2 *h)
{
    nghttp2_mem mem = {NULL, h2_malloc, h2_free, h2_calloc, h2_realloc};
    nghttp2_session_callbacks *calls = NULL;
    nghttp2_session *session = NULL;
    nghttp2_option *option = NULL;

    if (nghttp2_session_callbacks_new(&calls) != 0 || nghttp2_option_new(&option) != 0)
        goto out;
    nghttp2_session_callbacks_set_on_begin_frame_callback(calls, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(calls, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(calls, on_frame_not_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_stream_close);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1); /* http2_head.h judges, more strictly */
    nghttp2_option_set_no_closed_streams(option, 1);
    if (nghttp2_session_client_new3(&session, calls, h, option, &mem) != 0)
        session = NULL;
out:
    nghttp2_session_callbacks_del(calls);
    nghttp2_option_del(option);
    return session;
}

static bool introduce(struct origin_h2 *h)
{
    const nghttp2_settings_entry ours[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 65536},
    };

    return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, ours,
                                   sizeof ours / sizeof ours[0]) == 0 &&
           nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                 CONNECTION_WINDOW) == 0;
}

struct origin_h2 *origin_h2_new(struct origin_pool *p, struct net_chan chan, bool secure,
                                struct weir_err *err)
{
    struct origin_h2 *h = weir_calloc(1, sizeof *h);

    if (h != NULL) {
        h->pool = p;
        h->secure = secure;
        h->session = new_session(h);
    }
    if (h == NULL || h->session == NULL || !introduce(h)) {
        if (h != NULL)
            nghttp2_session_del(h->session);
        weir_free(h);
        weir_fail(err, WEIR_E_MEMORY, "origin: connection", 0);
        return NULL;
    }
    h->chan = chan;
    h->heard_ms = now_ms(h);
    h->timer.fire = on_timer;
    event_assign(&h->readable, origin_h2_loop(h)->base, chan.fd, EV_READ | EV_PERSIST, on_readable,
                 h);
    event_assign(&h->writable, origin_h2_loop(h)->base, chan.fd, EV_WRITE | EV_PERSIST, on_writable,
                 h);
    event_add(&h->readable, NULL);
    h->next = p->h2;
    p->h2 = h;
    rest(h);
    origin_h2_put_off(h);
    return h;
}

bool origin_h2_room(const struct origin_h2 *h)
{
    uint32_t theirs =
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    uint32_t ours = h->pool->streams != 0 ? h->pool->streams : STREAMS_DEFAULT;

    return !h->closed && !h->going && h->count < ours && h->count < theirs &&
           nghttp2_session_check_request_allowed(h->session) != 0;
}

bool origin_h2_idle(const struct origin_h2 *h)
{
    return h->count == 0;
}

struct origin_h2 *origin_h2_next(const struct origin_h2 *h)
{
    return h->next;
}

void origin_h2_serve(struct origin_h2 *h, struct origin_fetch *f)
{
    bool idle = h->count == 0;
    uint64_t max = h->pool->requests_per_connection;
    struct weir_err err = {0};

    if (!origin_h2_stream_begin(h, f, &err)) {
        origin_fetch_failed(f, &err, false, false);
        return;
    }
    if (max != 0 && h->served >= max)
        h->going = true;
    if (idle && h->served > 1 && now_ms(h) - h->heard_ms > SILENT_IDLE_MS)
        ping(h);
    else if (idle)
        net_timer_start(origin_h2_loop(h), &h->timer, now_ms(h) + SILENT_MS);
    origin_h2_put_off(h);
}

/* A last word, as far as the socket takes it now. */
static void say_goodbye(struct origin_h2 *h)
{
    if (h->out_len > 0 || nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR) != 0)
        return;
    if (gather(h))
        write_out(h);
}

void origin_h2_close(struct origin_h2 *h)
{
    struct weir_err err = {.code = WEIR_E_ORIGIN_RESET, .where = "origin: connection closed"};

    if (!h->closed && h->count == 0)
        say_goodbye(h);
    close_with(h, &err);
}

void origin_h2_drain(struct origin_h2 *h)
{
    h->going = true;
    origin_h2_put_off(h);
}
