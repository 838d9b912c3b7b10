#include <string.h>

#include "h2_tunnel.h"
#include "http_text.h"

/*
 * The response's head is submitted as fields that point into the exchange: they are copied once,
 * by HPACK. Content is pulled when nghttp2 makes a frame of it, so when the client's windows and
 * the socket have room; a slow client holds a round of parts and no more.
 */

#define FIELDS_MAX 256

static struct h2_stream *stream_of(struct weir_exchange *x)
{
    return (struct h2_stream *)(void *)x;
}

static bool gone(const struct h2_stream *s)
{
    return s->closed || s->conn->closed || s->conn->memory.failed;
}

void h2_send_begin(struct h2_stream *s)
{
    s->part_at = s->part_count = 0;
    s->part_off = s->part_bytes = 0;
    s->content_left = UINT64_MAX;
    s->submitted = s->waiting_body = s->pulled_all = s->out_ended = false;
    s->blocked_ms = 0;
}

static void drop_parts(struct h2_stream *s)
{
    for (unsigned i = s->part_at; i < s->part_count; i++)
        weir_blob_unref(s->part[i].blob);
    s->part_at = s->part_count = 0;
    s->part_bytes = 0;
}

void h2_send_end(struct h2_stream *s)
{
    drop_parts(s);
}

bool h2_send_blocked(const struct h2_stream *s)
{
    return s->submitted && !s->out_ended && !s->waiting_body;
}

/* ---- fields ---- */

static nghttp2_nv nv_of(const struct http2_field *f)
{
    uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;

    if (f->sensitive)
        flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    return (nghttp2_nv){(uint8_t *)(uintptr_t)f->name.ptr, (uint8_t *)(uintptr_t)f->value.ptr,
                        f->name.len, f->value.len, flags};
}

static void add_field(struct http2_field *f, uint32_t *n, struct weir_span name,
                      struct weir_span value)
{
    f[(*n)++] = (struct http2_field){name, value, false};
}

static struct weir_span digits_of(struct h2_stream *s, uint64_t value)
{
    char *buf = weir_arena_alloc(&s->x.arena, 20);

    return buf != NULL ? weir_span(buf, http_u64_digits(buf, value)) : WEIR_SPAN_NONE;
}

static struct weir_span status_text(struct h2_stream *s, int status)
{
    switch (status) {
    case 200:
        return WEIR_SPAN_LIT("200");
    case 304:
        return WEIR_SPAN_LIT("304");
    case 404:
        return WEIR_SPAN_LIT("404");
    default:
        return digits_of(s, (uint64_t)status);
    }
}

static bool add_length(struct h2_stream *s, struct http2_field *f, uint32_t *n)
{
    const struct exchange_response *r = &s->x.response;

    if (r->length >= 0 && r->status != 204 && r->status >= 200) {
        struct weir_span digits = digits_of(s, (uint64_t)r->length);

        if (digits.ptr == NULL)
            return false;
        add_field(f, n, WEIR_SPAN_LIT("content-length"), digits);
        s->content_left = r->bodiless ? 0 : (uint64_t)r->length;
    }
    return true;
}

/* ---- content ---- */

enum parts { PARTS_READY, PARTS_WAIT, PARTS_FAILED };

/* Takes in what comes next. */
static enum parts refill(struct h2_stream *s)
{
    unsigned n = 0;
    size_t total = 0;

    s->part_at = s->part_count = 0;
    s->part_off = 0;
    switch (exchange_pull(&s->x, s->part, H2_PARTS, &n)) {
    case PULL_WAIT:
        return PARTS_WAIT;
    case PULL_FAILED:
        return PARTS_FAILED;
    case PULL_END:
        s->pulled_all = true;
        return PARTS_READY;
    case PULL_DATA:
        break;
    }
    for (unsigned i = 0; i < n; i++)
        total += s->part[i].len;
    s->part_count = n;
    s->part_bytes = total;
    if (s->content_left != UINT64_MAX) {
        if (total > s->content_left)
            return PARTS_FAILED;
        s->content_left -= total;
    }
    s->pulled_all = s->content_left == 0 || exchange_pulled_all(&s->x);
    return PARTS_READY;
}

static bool submit_trailers(struct h2_stream *s, struct weir_span lines)
{
    struct http2_field f[FIELDS_MAX];
    nghttp2_nv nv[FIELDS_MAX];
    uint32_t n = 0;

    if (!http2_fields_of(lines, &s->x.arena, f, &n, FIELDS_MAX))
        return false;
    for (uint32_t i = 0; i < n; i++)
        nv[i] = nv_of(&f[i]);
    return nghttp2_submit_trailer(s->conn->session, s->id, nv, n) == 0;
}

/* The last byte goes out with this frame. An announced length that was not reached must not look
 * complete. */
static bool end_content(struct h2_stream *s, uint32_t *flags)
{
    struct weir_span trailers = exchange_trailers(&s->x);

    if (s->content_left != UINT64_MAX && s->content_left > 0)
        return false;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (trailers.len == 0)
        return true;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return submit_trailers(s, trailers);
}

static ssize_t read_tunnel(struct h2_stream *s, size_t length, uint32_t *flags)
{
    bool ended;
    size_t n = h2_tunnel_ready(s, &ended);

    if (n == 0 && !ended) {
        s->waiting_body = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY | (ended && n <= length ? NGHTTP2_DATA_FLAG_EOF : 0U);
    return (ssize_t)(n < length ? n : length);
}

/* nghttp2 makes a DATA frame: how long can it be? */
static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_stream *s = source->ptr;
    size_t n;

    (void)session;
    (void)id;
    (void)buf;
    (void)arg;
    if (s->x.framing.upgrade && s->x.response.body.source == NULL)
        return s->tunnel != NULL ? read_tunnel(s, length, flags)
                                 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (s->part_bytes == 0 && !s->pulled_all) {
        switch (refill(s)) {
        case PARTS_WAIT:
            s->waiting_body = true;
            return NGHTTP2_ERR_DEFERRED;
        case PARTS_FAILED:
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        case PARTS_READY:
            break;
        }
    }
    n = s->part_bytes < length ? s->part_bytes : length;
    if (n == s->part_bytes && s->pulled_all && !end_content(s, flags))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)n;
}

/* One piece of a part: small ones are copied, which costs less than a reference does. */
static void put_piece(struct h2_stream *s, struct h2_out *o, size_t len)
{
    struct exchange_part *p = &s->part[s->part_at];
    const char *from = p->ptr + s->part_off;
    bool last = s->part_off + len == p->len;

    if (len <= H2_COPY_PIECE) {
        h2_out_copy(o, from, len);
        if (last)
            weir_blob_unref(p->blob);
    } else {
        h2_out_refer(o, from, len,
                     p->blob == NULL ? NULL
                     : last          ? p->blob
                                     : weir_blob_ref(p->blob));
    }
    if (last) {
        s->part_at++;
        s->part_off = 0;
    } else {
        s->part_off += len;
    }
}

int h2_send_data(struct h2_stream *s, const uint8_t *header, size_t len)
{
    struct h2_out *o = s->conn->server->out;

    if (s->conn->closed)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    h2_out_copy(o, header, 9);
    s->x.sent_bytes += len;
    s->sent_ms = net_now_ms(h2_loop(s->conn));
    if (s->tunnel != NULL) {
        h2_tunnel_put(s, o, len);
        return h2_out_room(o) ? 0 : NGHTTP2_ERR_PAUSE;
    }
    s->part_bytes -= len;
    while (len > 0) {
        size_t left = s->part[s->part_at].len - s->part_off;
        size_t n = left < len ? left : len;

        put_piece(s, o, n);
        len -= n;
    }
    return h2_out_room(o) ? 0 : NGHTTP2_ERR_PAUSE;
}

/* ---- what the exchange asks for ---- */

static bool submit(struct h2_stream *s, const struct http2_field *f, uint32_t n, bool content)
{
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = on_read};
    nghttp2_nv nv[FIELDS_MAX];

    for (uint32_t i = 0; i < n; i++) {
        nv[i] = nv_of(&f[i]);
        if (f[i].name.len == 8 && memcmp(f[i].name.ptr, "priority", 8) == 0)
            h2_stream_set_priority(s, f[i].value, true);
    }
    return nghttp2_submit_response(s->conn->session, s->id, nv, n, content ? &provider : NULL) == 0;
}

static bool submit_head(struct h2_stream *s)
{
    const struct exchange_response *r = &s->x.response;
    struct weir_span status = status_text(s, r->status);
    struct http2_field f[FIELDS_MAX];
    uint32_t n = 0;
    bool content;

    if (status.ptr == NULL)
        return false;
    add_field(f, &n, WEIR_SPAN_LIT(":status"), status);
    if (!http2_fields_of(r->head, &s->x.arena, f, &n, FIELDS_MAX - 1) ||
        !http2_fields_of(r->extra, &s->x.arena, f, &n, FIELDS_MAX - 1) || !add_length(s, f, &n))
        return false;
    /* Where nothing will come the head ends the stream: for gRPC these are its trailers. */
    content = !r->bodiless && r->body.source != NULL && r->length != 0;
    if (!content && s->content_left != UINT64_MAX && s->content_left > 0)
        return false;
    return submit(s, f, n, content);
}

static void respond(struct weir_exchange *x)
{
    struct h2_stream *s = stream_of(x);

    if (gone(s))
        return;
    s->sent_ms = net_now_ms(x->loop);
    if (!submit_head(s)) {
        h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    s->submitted = true;
    h2_conn_wake(s->conn);
}

static void more(struct weir_exchange *x)
{
    struct h2_stream *s = stream_of(x);

    if (!s->waiting_body || gone(s))
        return;
    s->waiting_body = false;
    s->sent_ms = net_now_ms(x->loop);
    if (nghttp2_session_resume_data(s->conn->session, s->id) == NGHTTP2_ERR_NOMEM)
        h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
    h2_conn_wake(s->conn);
}

/* Interim responses are not essential: without memory there is none. nghttp2 copies the bytes. */
static void submit_interim(struct h2_stream *s, nghttp2_nv *nv, size_t n)
{
    for (size_t i = 0; i < n; i++)
        nv[i].flags &= (uint8_t) ~(NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
    if (gone(s) || s->submitted)
        return;
    nghttp2_submit_headers(s->conn->session, NGHTTP2_FLAG_NONE, s->id, NULL, nv, n, NULL);
    h2_conn_wake(s->conn);
}

void h2_send_continue(struct h2_stream *s)
{
    struct http2_field f = {WEIR_SPAN_LIT(":status"), WEIR_SPAN_LIT("100"), false};
    nghttp2_nv nv = nv_of(&f);

    submit_interim(s, &nv, 1);
}

static bool goes_on(const struct http_head *head, const struct http_field *f)
{
    if (f->flags & (HTTP_FF_HOP | HTTP_FF_FRAMING))
        return false;
    return !http_head_has(head, HTTP_F_CONNECTION) || (f->flags & HTTP_FF_PROTECTED) ||
           !http_connection_names(head, f->name);
}

/* The lines of a head that may go to a client, for http2_fields_of(). */
struct weir_span h2_send_lines(struct h2_stream *s, const struct http_head *head)
{
    size_t room = http_fields_bytes(head) + 1;
    char *buf = weir_arena_alloc(&s->x.arena, room);
    struct http_text t;

    if (buf == NULL)
        return WEIR_SPAN_NONE;
    http_text_init(&t, buf, room);
    for (uint32_t i = 0; i < head->count; i++)
        if (goes_on(head, &head->fields[i]))
            http_text_field(&t, head->fields[i].name, head->fields[i].value);
    return http_text_span(&t);
}

static void interim(struct weir_exchange *x, const struct http_head *head)
{
    struct h2_stream *s = stream_of(x);
    struct http2_field f[FIELDS_MAX];
    nghttp2_nv nv[FIELDS_MAX];
    struct weir_span lines = h2_send_lines(s, head), status = status_text(s, head->status);
    uint32_t n = 0;

    if (lines.ptr == NULL || status.ptr == NULL)
        return;
    add_field(f, &n, WEIR_SPAN_LIT(":status"), status);
    if (!http2_fields_of(lines, &x->arena, f, &n, FIELDS_MAX))
        return;
    for (uint32_t i = 0; i < n; i++)
        nv[i] = nv_of(&f[i]);
    submit_interim(s, nv, n);
}

/* ---- switching protocols ---- */

static bool submit_switch(struct h2_stream *s, const struct http_head *head)
{
    struct http2_field f[FIELDS_MAX];
    struct http_head h;
    struct weir_span lines;
    const struct site *site = s->x.site->site;
    uint32_t n = 0;

    if (!http_head_copy(&h, head, &s->x.arena))
        return false;
    http_head_remove(&h, HTTP_F_SEC_WEBSOCKET_ACCEPT); /* of our handshake with the origin */
    lines = h2_send_lines(s, &h);
    add_field(f, &n, WEIR_SPAN_LIT(":status"), WEIR_SPAN_LIT("200"));
    if (lines.ptr == NULL || !http2_fields_of(lines, &s->x.arena, f, &n, FIELDS_MAX))
        return false;
    if (site->source.forward->via &&
        !http2_fields_of(weir_span(site->via, site->via_len), &s->x.arena, f, &n, FIELDS_MAX))
        return false;
    return submit(s, f, n, true);
}

static void upgraded(struct weir_exchange *x, struct net_chan origin, const struct http_head *head,
                     struct weir_span surplus)
{
    struct h2_stream *s = stream_of(x);

    x->waiting = false;
    x->responded = true;
    x->response.status = 200;
    s->total_due_ms = 0; /* a tunnel lives by its idle time */
    if (gone(s) || !h2_tunnel_start(s, origin, surplus)) {
        net_chan_close(&origin, true);
        h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    if (!submit_switch(s, head)) {
        h2_tunnel_end(s);
        h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    s->submitted = true;
    weir_metric_add(x->w->metrics, WEIR_M_tunnels, 1);
    h2_conn_wake(s->conn);
}

const struct exchange_client h2_client = {interim, respond, more, upgraded};
