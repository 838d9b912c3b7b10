#include "h2_tunnel.h"

#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "weir/alloc.h"
#include "http_grpc.h"

#define FREE_STREAMS_MAX 256
#define TRAILERS_MAX     32

static struct exchange_worker *worker_of(const struct h2_stream *s)
{
    return s->conn->server->w;
}

static int64_t now_of(const struct h2_stream *s)
{
    return net_now_ms(h2_loop(s->conn));
}

static const struct client_settings *settings_of(const struct h2_stream *s)
{
    return s->x.site->site->source.client;
}

/* ---- the beginning ---- */

static struct h2_stream *take(struct h2_server *server)
{
    struct h2_stream *s = server->free_streams;

    if (s != NULL) {
        server->free_streams = s->next;
        server->free_count--;
        return s;
    }
    s = weir_malloc(sizeof *s);
    if (s != NULL)
        exchange_init(&s->x, server->w);
    return s;
}

static void link_stream(struct h2_conn *c, struct h2_stream *s)
{
    s->conn = c;
    s->next = c->streams;
    s->at = &c->streams;
    if (s->next != NULL)
        s->next->at = &s->next;
    c->streams = s;
    s->counted = true;
    c->open++;
}

struct h2_stream *h2_stream_new(struct h2_conn *c, int32_t id)
{
    struct h2_stream *s = take(c->server);
    const struct client_settings *settings = h2_conn_settings(c);

    if (s == NULL)
        return NULL;
    link_stream(c, s);
    h2_conn_busy(c);
    s->id = id;
    s->next_closing = NULL;
    s->bad = WEIR_OK;
    s->own_fields = s->in_trailers = s->closed = s->ending = false;
    s->total_due_ms = 0;
    s->body_blob = NULL;
    s->has_pipe = s->body_done = s->body_dropped = s->call = false;
    s->body_bytes = s->body_acked = 0;
    s->wait_ms = 0;
    s->tunnel = NULL;
    s->urgency = 3;
    s->incremental = false;
    h2_send_begin(s);
    exchange_open(&s->x, &h2_client, &c->net.peer, h2_loop(c)->clock.mono_us);
    s->x.protocol = "HTTP/2";
    s->x.secure = c->net.tls != NULL;
    s->x.connection = &c->net;
    s->x.owed = &c->owed;
    s->x.tls = c->net.tls;
    s->x.entry = c->net.entry;
    http2_head_request(&s->head, &s->x.req, &s->x.arena, &s->x.site->site->limits);
    s->head_due_ms = settings->head_timeout_ms > 0 ? now_of(s) + settings->head_timeout_ms : 0;
    c->heading = s;
    return s;
}

/* ---- the head ---- */

bool h2_stream_keep_fields(struct h2_stream *s, uint32_t cap)
{
    struct http_head *h = s->in_trailers ? &s->trailers : &s->x.req;
    struct http_field *own;

    if (s->own_fields || s->in_trailers)
        return true;
    if (cap < h->count)
        cap = h->count;
    own = weir_arena_alloc(&s->x.arena, (cap + 1) * sizeof *own);
    if (own == NULL)
        return false;
    if (h->count > 0)
        memcpy(own, h->fields, h->count * sizeof *own);
    h->fields = own;
    h->cap = cap;
    s->own_fields = true;
    return true;
}

/* What is refused is not looked at any further: the rest of it only keeps HPACK in step. */
void h2_stream_field(struct h2_stream *s, struct weir_span name, struct weir_span value)
{
    if (s->bad != WEIR_OK)
        return;
    if (!http2_head_field(&s->head, name, value, &s->bad_err))
        s->bad = s->bad_err.code;
}

/* A message that could be taken for another one is no message (RFC 9113 8.1.1); what is clear and
 * not allowed has an answer. */
static bool malformed(enum weir_code code)
{
    switch (code) {
    case WEIR_E_BAD_REQUEST:
    case WEIR_E_BAD_LENGTH:
    case WEIR_E_BAD_HOST:
    case WEIR_E_BAD_TARGET:
    case WEIR_E_RESPONSE_MALFORMED:
        return true;
    default:
        return false;
    }
}

static void refuse(struct h2_stream *s)
{
    if (malformed(s->bad)) {
        weir_metric_add(worker_of(s)->metrics, WEIR_M_requests_refused, 1);
        h2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    s->body_dropped = true;
    s->x.held = true;
    exchange_refuse(&s->x, &s->bad_err);
}

/* The whole exchange's time: the route's, or else the client settings'; the deadline of a call of
 * gRPC, if that is sooner. */
static void limit_total(struct h2_stream *s)
{
    int64_t total = s->x.route != NULL ? s->x.route->settings->total_timeout_ms : 0;
    int64_t deadline;

    if (total == 0)
        total = settings_of(s)->total_timeout_ms;
    if (s->call && (deadline = http_grpc_timeout_ms(&s->x.req)) != 0 &&
        (total == 0 || deadline < total))
        total = deadline;
    if (total != 0)
        s->total_due_ms = now_of(s) + total;
}

/* "u=0..7" and "i" of a dictionary (RFC 9218 4); what it does not say stays. */
static bool read_priority(struct h2_stream *s, struct weir_span value)
{
    uint8_t urgency = s->urgency;
    bool incremental = s->incremental;

    while (value.len > 0) {
        const char *comma = memchr(value.ptr, ',', value.len);
        size_t len = comma != NULL ? (size_t)(comma - value.ptr) : value.len;
        struct weir_span item = weir_span_trim(weir_span(value.ptr, len));

        if (item.len == 3 && item.ptr[0] == 'u' && item.ptr[1] == '=' && item.ptr[2] >= '0' &&
            item.ptr[2] <= '7')
            s->urgency = (uint8_t)(item.ptr[2] - '0');
        else if (weir_span_eq(item, WEIR_SPAN_LIT("i")) ||
                 weir_span_eq(item, WEIR_SPAN_LIT("i=?1")))
            s->incremental = true;
        else if (weir_span_eq(item, WEIR_SPAN_LIT("i=?0")))
            s->incremental = false;
        value.ptr += len + (comma != NULL);
        value.len -= len + (comma != NULL);
    }
    return s->urgency != urgency || s->incremental != incremental;
}

void h2_stream_set_priority(struct h2_stream *s, struct weir_span value, bool origins)
{
    nghttp2_extpri pri;

    if (!read_priority(s, value))
        return;
    pri = (nghttp2_extpri){s->urgency, s->incremental};
    (void)nghttp2_session_change_extpri_stream_priority(s->conn->session, s->id, &pri, origins);
}

static void take_priority(struct h2_stream *s)
{
    const struct http_field *f = http_head_find(&s->x.req, WEIR_SPAN_LIT("priority"));

    if (f != NULL)
        h2_stream_set_priority(s, f->value, false);
}

/* What an origin of HTTP/1.1 is asked to prove that it has understood (RFC 8441 5.1). */
static bool make_key(struct h2_stream *s)
{
    unsigned char nonce[16];
    unsigned char *text = weir_arena_alloc(&s->x.arena, 32);

    if (text == NULL || getrandom(nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce)
        return false;
    s->head.websocket_key =
        weir_span((char *)text, (size_t)EVP_EncodeBlock(text, nonce, sizeof nonce));
    return true;
}

void h2_stream_start(struct h2_stream *s, bool ended)
{
    struct weir_exchange *x = &s->x;
    struct h2_conn *c = s->conn;

    s->head_due_ms = 0;
    s->body_done = ended;
    c->requests++;
    if (c->requests >= h2_conn_settings(c)->requests_per_connection)
        h2_conn_leave(c);
    if (s->bad == WEIR_OK && s->head.protocol.ptr != NULL && !make_key(s))
        weir_fail(&s->bad_err, s->bad = WEIR_E_MEMORY, "h2: handshake", 0);
    if (s->bad == WEIR_OK &&
        !http2_head_request_end(&s->head, ended, true, &x->framing, &s->bad_err))
        s->bad = s->bad_err.code;
    if (s->bad == WEIR_OK && !h2_stream_keep_fields(s, x->req.count))
        weir_fail(&s->bad_err, s->bad = WEIR_E_MEMORY, "h2: head", 0);
    if (s->bad != WEIR_OK) {
        refuse(s);
        return;
    }
    s->call = http_grpc_call(&x->req);
    x->held = true; /* all of it lies in the arena */
    take_priority(s);
    if (!ended)
        h2_body_begin(s);
    weir_metric_add(worker_of(s)->metrics, WEIR_M_h2_streams, 1);
    exchange_start(x);
    limit_total(s);
}

/* ---- trailers ---- */

void h2_stream_begin_trailers(struct h2_stream *s)
{
    struct http_field *fields = weir_arena_alloc(&s->x.arena, TRAILERS_MAX * sizeof *fields);

    s->conn->heading = s;
    s->in_trailers = true;
    if (fields == NULL) {
        s->bad = WEIR_E_MEMORY;
        return;
    }
    http_head_init(&s->trailers, fields, TRAILERS_MAX);
    http2_head_trailers(&s->head, &s->trailers, &s->x.arena, &s->x.site->site->limits, false);
}

void h2_stream_end_trailers(struct h2_stream *s, bool ended)
{
    if (s->bad == WEIR_OK && !http2_head_trailers_end(&s->head, &s->bad_err))
        s->bad = s->bad_err.code;
    if (!ended) /* a second head (RFC 9113 8.1) */
        s->bad = WEIR_E_BAD_REQUEST;
    if (s->bad != WEIR_OK) {
        if (h2_body_expected(s))
            h2_body_fail(s, WEIR_E_BAD_REQUEST);
        h2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    h2_body_trailers(s);
    h2_body_finish(s);
    if (s->has_pipe && !s->closed)
        net_pipe_flush(&s->pipe);
}

/* ---- the end ---- */

void h2_stream_reset(struct h2_stream *s, uint32_t error_code)
{
    if (s->closed || s->conn->closed || s->conn->memory.failed)
        return;
    weir_metric_add(worker_of(s)->metrics, WEIR_M_h2_resets_sent, 1);
    if (nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id, error_code) != 0)
        h2_conn_close(s->conn, true);
    h2_conn_wake(s->conn);
}

static void uncount(struct h2_stream *s)
{
    if (s->counted)
        s->conn->open--;
    s->counted = false;
}

void h2_stream_over(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;

    if (s->ending)
        return;
    uncount(s);
    s->ending = true;
    s->next_closing = c->closing;
    c->closing = s;
    h2_conn_wake(c);
}

void h2_stream_closed(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;

    if (s->closed)
        return;
    s->closed = true;
    if (!s->out_ended) {
        c->cut++;
        weir_metric_add(worker_of(s)->metrics, WEIR_M_h2_streams_cut, 1);
    }
    if (h2_body_expected(s))
        h2_body_fail(s, WEIR_E_CLIENT_GONE);
    if (!h2_tunnel_delivers(s))
        h2_stream_over(s);
}

void h2_stream_end(struct h2_stream *s, bool complete)
{
    struct h2_conn *c = s->conn;
    struct h2_server *server = c->server;

    if (!s->closed && !c->closed && !c->memory.failed)
        nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
    s->closed = true;
    uncount(s);
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    h2_tunnel_end(s);
    exchange_close(&s->x, complete);
    h2_body_end(s);
    h2_send_end(s);
    if (server->free_count >= FREE_STREAMS_MAX) {
        exchange_free(&s->x);
        weir_free(s);
        return;
    }
    s->next = server->free_streams;
    server->free_streams = s;
    server->free_count++;
}

/* ---- what is late ---- */

/* The client owes content. A call of gRPC may have little to say: it must not be silent for too
 * long, but there is no rate for it. */
static bool content_is_late(struct h2_stream *s, int64_t now, int64_t dt)
{
    const struct client_settings *settings = settings_of(s);

    if (!h2_body_expected(s) || s->x.framing.upgrade || net_pipe_full(&s->pipe)) {
        s->body_ms = now;
        return false;
    }
    s->wait_ms += dt;
    return (settings->body_timeout_ms > 0 && now - s->body_ms >= settings->body_timeout_ms) ||
           (!s->call && net_client_too_slow(settings, s->wait_ms, s->body_bytes));
}

/* The client owes window, or reads too little. */
static bool window_is_late(struct h2_stream *s, int64_t now, int64_t dt)
{
    const struct client_settings *settings = settings_of(s);

    if (!h2_send_blocked(s) || s->tunnel != NULL) {
        s->sent_ms = now;
        return false;
    }
    s->blocked_ms += dt;
    return (settings->send_timeout_ms > 0 && now - s->sent_ms >= settings->send_timeout_ms) ||
           net_client_too_slow(settings, s->blocked_ms, s->x.sent_bytes);
}

bool h2_stream_stalled(const struct h2_stream *s)
{
    nghttp2_session *session = s->conn->session;

    return h2_send_blocked(s) && !s->closed &&
           (nghttp2_session_get_stream_remote_window_size(session, s->id) <= 0 ||
            nghttp2_session_get_remote_window_size(session) <= 0);
}

static void head_is_late(struct h2_stream *s)
{
    s->head_due_ms = 0;
    s->conn->heading = NULL;
    h2_conn_fail(s->conn, NGHTTP2_ENHANCE_YOUR_CALM, "header section too slow");
}

static void total_is_over(struct h2_stream *s)
{
    s->total_due_ms = 0;
    if (s->x.waiting && !s->x.responded)
        exchange_time_out(&s->x);
    else
        h2_stream_reset(s, NGHTTP2_CANCEL);
}

void h2_stream_look(struct h2_stream *s, int64_t now, int64_t dt)
{
    if (s->head_due_ms != 0 && now >= s->head_due_ms)
        head_is_late(s);
    else if (s->total_due_ms != 0 && now >= s->total_due_ms)
        total_is_over(s);
    else if (content_is_late(s, now, dt))
        h2_body_fail(s, WEIR_E_CLIENT_TIMEOUT);
    else if (window_is_late(s, now, dt))
        h2_stream_reset(s, NGHTTP2_CANCEL);
}
