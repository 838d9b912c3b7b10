#include "origin_h2_own.h"

#include <assert.h>
#include <string.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "http_chunked.h"
#include "origin_pool.h"
#include "origin_state.h"

#define INTERIMS_MAX 8
#define HELD_BYTES   16384

static void resume(struct origin_work *w);
static void cancel(struct origin_work *w);
static void on_timer(struct net_timer *t);

static const struct origin_work_ops ops = {resume, cancel};

static struct origin_h2_stream *stream_of(struct origin_work *w)
{
    return (struct origin_h2_stream *)(void *)w;
}

static const struct upstream_settings *settings_of(const struct origin_h2_stream *s)
{
    return s->fetch->up->settings;
}

struct origin_h2_stream *origin_h2_stream_find(struct origin_h2 *h, int32_t id)
{
    struct origin_h2_stream *s = nghttp2_session_get_stream_user_data(h->session, id);

    if (s != NULL && !s->dropped)
        return s;
    for (s = h->streams; s != NULL && s->id != id; s = s->next)
        ; /* one that nghttp2 has not opened yet, or no longer knows */
    return s;
}

/* ---- its end ---- */

static void free_stream(struct net_deferred *d)
{
    struct origin_h2_stream *s = WEIR_CONTAINER(d, struct origin_h2_stream, freed);

    weir_arena_free(&s->arena);
    weir_free(s);
}

static void drop_held(struct origin_h2_stream *s)
{
    while (s->held != NULL) {
        struct origin_h2_held *first = s->held;

        s->held = first->next;
        weir_blob_unref(first->blob);
        weir_free(first);
    }
    s->last_held = &s->held;
}

static void drop(struct origin_h2_stream *s)
{
    struct origin_h2 *h = s->conn;

    if (s->dropped)
        return;
    s->dropped = true;
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    h->count--;
    h->has_place = true;
    origin_h2_put_off(h);
    net_timer_stop(origin_h2_loop(h), &s->timer);
    drop_held(s);
    net_defer(origin_h2_loop(h), &s->freed, free_stream); /* its arena is being read, perhaps */
}

/* Nobody listens any more: the fetch. */
static struct origin_fetch *detach(struct origin_h2_stream *s)
{
    struct origin_fetch *f = s->fetch;
    struct net_pipe *body = f != NULL ? f->request.body : NULL;

    if (body != NULL && body->consumer == s) /* it outlives this stream */
        body->on_data = NULL;
    if (f != NULL)
        f->work = NULL;
    s->fetch = NULL;
    net_timer_stop(origin_h2_loop(s->conn), &s->timer);
    drop_held(s);
    return f;
}

static void reset(struct origin_h2_stream *s, uint32_t code)
{
    if (s->gone) {
        drop(s);
        return;
    }
    nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id, code);
    origin_h2_put_off(s->conn);
}

struct origin_fetch *origin_h2_stream_take(struct origin_h2_stream *s)
{
    struct origin_fetch *f = detach(s);

    drop(s);
    return f;
}

void origin_h2_stream_fail(struct origin_h2_stream *s, const struct weir_err *err, bool sent)
{
    bool reused = s->conn->served > 1;
    struct origin_fetch *f = detach(s);

    reset(s, NGHTTP2_CANCEL);
    if (f != NULL)
        origin_fetch_failed(f, err, reused, sent);
}

static void fail_code(struct origin_h2_stream *s, enum weir_code code, const char *where)
{
    struct weir_err err = {0};

    weir_failf(&err, code, where, 0, "%s", s->conn->pool->state->url);
    origin_h2_stream_fail(s, &err, s->sent);
}

static void complete(struct origin_h2_stream *s)
{
    bool whole = s->request_done;
    struct origin_fetch *f = detach(s);

    if (!whole || s->gone) /* the rest of the request is nobody's business any more */
        reset(s, NGHTTP2_NO_ERROR);
    origin_fetch_ended(f);
}

static void cancel(struct origin_work *w)
{
    struct origin_h2_stream *s = stream_of(w);

    detach(s);
    reset(s, NGHTTP2_CANCEL);
}

/* ---- time ---- */

/* Whose turn it is: the origin's, or a client's, whose own time-outs rule. */
static void expect(struct origin_h2_stream *s)
{
    struct net_loop *loop = origin_h2_loop(s->conn);
    const struct upstream_settings *settings = settings_of(s);
    int64_t ms = s->head_done ? settings->read_timeout_ms : settings->first_byte_timeout_ms;

    if (!s->request_done && !s->starved)
        ms = settings->write_timeout_ms;
    if (s->paused || (!s->request_done && s->starved))
        net_timer_park(&s->timer);
    else
        net_timer_move(loop, &s->timer, net_now_ms(loop) + ms);
}

static void on_timer(struct net_timer *t)
{
    struct origin_h2_stream *s = WEIR_CONTAINER(t, struct origin_h2_stream, timer);

    if (s->fetch == NULL)
        return;
    if (!s->request_done)
        fail_code(s, WEIR_E_ORIGIN_WRITE_TIMEOUT, "origin: send");
    else
        fail_code(s, WEIR_E_ORIGIN_READ_TIMEOUT, "origin: read");
}

/* ---- the request ---- */

/* Field lines that stand behind the content. */
static bool submit_trailers(struct origin_h2_stream *s, const struct weir_blob *lines)
{
    struct http2_field fields[64];
    nghttp2_nv nv[64];
    uint32_t n = 0;

    if (!http2_fields_of(weir_span(lines->bytes, lines->len), &s->arena, fields, &n, 64))
        return false;
    for (uint32_t i = 0; i < n; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields[i].name.ptr,
                             (uint8_t *)(uintptr_t)fields[i].value.ptr, fields[i].name.len,
                             fields[i].value.len, NGHTTP2_NV_FLAG_NONE};
    return n > 0 && nghttp2_submit_trailer(s->conn->session, s->id, nv, n) == 0;
}

static void end_request(struct origin_h2_stream *s, const struct net_pipe *body, uint32_t *flags)
{
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (body != NULL && body->trailers != NULL && submit_trailers(s, body->trailers))
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    s->request_done = true;
    expect(s);
}

static size_t take_prefix(struct origin_h2_stream *s, uint8_t *buf, size_t room)
{
    size_t n = s->prefix.len < room ? s->prefix.len : room;

    if (n > 0)
        memcpy(buf, s->prefix.ptr, n);
    s->prefix.ptr += n;
    s->prefix.len -= n;
    return n;
}

static size_t take_body(struct net_pipe *body, uint8_t *buf, size_t room)
{
    struct weir_slice part[NET_PIPE_SLOTS];
    unsigned parts = net_pipe_peek(body, part, NET_PIPE_SLOTS);
    size_t n = 0;

    for (unsigned i = 0; i < parts && n < room; i++) {
        size_t len = part[i].len < room - n ? part[i].len : room - n;

        memcpy(buf + n, weir_slice_ptr(part[i]), len);
        n += len;
    }
    return n;
}

static ssize_t read_content(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room,
                            uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct origin_h2_stream *s = source->ptr;
    struct net_pipe *body;
    size_t n, of_body = 0;

    (void)session;
    (void)id;
    (void)arg;
    if (s->fetch == NULL || s->failing)
        return NGHTTP2_ERR_DEFERRED; /* its reset is on the way */
    body = s->fetch->request.body;
    n = take_prefix(s, buf, room);
    if (body != NULL && n < room)
        of_body = take_body(body, buf + n, room - n);
    n += of_body;
    if (s->prefix.len == 0 && (body == NULL || (body->ended && body->bytes == of_body))) {
        end_request(s, body, flags);
    } else if (n == 0) {
        s->starved = true;
        expect(s);
        return NGHTTP2_ERR_DEFERRED;
    } else {
        expect(s);
    }
    if (of_body > 0)
        net_pipe_took(body, of_body); /* last: the client's side may do anything now */
    return (ssize_t)n;
}

static void on_body_data(void *arg)
{
    struct origin_h2_stream *s = arg;

    if (s->fetch == NULL)
        return;
    if (s->fetch->request.body->failed) {
        s->failing = s->conn->look = true;
        origin_h2_put_off(s->conn);
        return;
    }
    if (!s->starved)
        return;
    s->starved = false;
    nghttp2_session_resume_data(s->conn->session, s->id);
    expect(s);
    origin_h2_put_off(s->conn);
}

/*
 * The head as it was written for HTTP/1.1, and behind it what was gathered of the content: as it
 * is, or as one chunk where more follows.
 */
static void split_request(const struct origin_request *r, struct weir_span *head,
                          struct weir_span *content)
{
    const char *end = memmem(r->head.ptr, r->head.len, "\r\n\r\n", 4);
    const char *line;

    *head = r->head;
    *content = WEIR_SPAN_NONE;
    if (end == NULL)
        return;
    head->len = (size_t)(end + 4 - r->head.ptr);
    *content = weir_span(r->head.ptr + head->len, r->head.len - head->len);
    if (content->len == 0 || !r->body_chunked)
        return;
    line = memmem(content->ptr, content->len, "\r\n", 2);
    if (line == NULL || content->len < (size_t)(line + 4 - content->ptr)) {
        *content = WEIR_SPAN_NONE;
        return;
    }
    *content = weir_span(line + 2, content->len - (size_t)(line + 2 - content->ptr) - 2);
}

static uint32_t count_lines(struct weir_span text)
{
    uint32_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

static int32_t submit(struct origin_h2_stream *s, const struct origin_request *r)
{
    struct weir_span scheme = s->conn->secure ? WEIR_SPAN_LIT("https") : WEIR_SPAN_LIT("http");
    nghttp2_data_provider content = {.source.ptr = s, .read_callback = read_content};
    struct http2_field *fields;
    struct weir_span head;
    uint32_t max, n = 0;
    nghttp2_nv *nv;

    split_request(r, &head, &s->prefix);
    max = count_lines(head) + 8;
    fields = weir_arena_alloc(&s->arena, max * sizeof *fields);
    nv = weir_arena_alloc(&s->arena, max * sizeof *nv);
    if (fields == NULL || nv == NULL ||
        !http2_request_fields_of(head, scheme, true, &s->arena, fields, &n, max))
        return NGHTTP2_ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields[i].name.ptr,
                             (uint8_t *)(uintptr_t)fields[i].value.ptr, fields[i].name.len,
                             fields[i].value.len,
                             fields[i].sensitive ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
    s->request_done = r->body == NULL && s->prefix.len == 0;
    return nghttp2_submit_request(s->conn->session, NULL, nv, n, s->request_done ? NULL : &content,
                                  s);
}

static void set_limits(struct origin_h2_stream *s, const struct upstream_settings *settings)
{
    s->limits = http_response_limits;
    s->limits.head_bytes = settings->head_bytes;
    s->limits.fields = settings->fields < ORIGIN_FIELDS_MAX ? settings->fields : ORIGIN_FIELDS_MAX;
    if (s->limits.field_bytes > s->limits.head_bytes)
        s->limits.field_bytes = s->limits.head_bytes;
}

static struct origin_h2_stream *new_stream(struct origin_h2 *h, struct origin_fetch *f)
{
    struct origin_h2_stream *s = weir_calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->work.ops = &ops;
    s->conn = h;
    s->fetch = f;
    s->timer.fire = on_timer;
    s->last_held = &s->held;
    weir_arena_init(&s->arena, 0);
    set_limits(s, f->up->settings);
    s->next = h->streams;
    s->at = &h->streams;
    if (s->next != NULL)
        s->next->at = &s->next;
    h->streams = s;
    h->count++;
    h->served++;
    return s;
}

bool origin_h2_stream_begin(struct origin_h2 *h, struct origin_fetch *f, struct weir_err *err)
{
    struct origin_h2_stream *s = new_stream(h, f);
    struct net_pipe *body = f->request.body;

    if (s == NULL)
        return weir_fail(err, WEIR_E_MEMORY, "origin: stream", 0);
    s->id = submit(s, &f->request);
    if (s->id < 0) {
        weir_failf(err, s->id == NGHTTP2_ERR_NOMEM ? WEIR_E_MEMORY : WEIR_E_ORIGIN_RESET,
                   "origin: request", 0, "%s", nghttp2_strerror(s->id));
        s->fetch = NULL;
        drop(s);
        return false;
    }
    f->work = &s->work;
    if (body != NULL) {
        body->on_data = on_body_data;
        body->consumer = s;
    }
    expect(s);
    if (body != NULL)
        net_pipe_want(body);
    return true;
}

/* ---- the response: heads ---- */

void origin_h2_begin_head(struct origin_h2_stream *s)
{
    struct http_head *trailers;

    if (s->fetch == NULL)
        return;
    s->fetch->got_bytes = true;
    s->in_trailers = s->head_done;
    if (!s->in_trailers) {
        http_head_init(&s->head, NULL, 0);
        http2_head_response(&s->in, &s->head, &s->arena, &s->limits);
        return;
    }
    trailers = s->fetch->request.trailers;
    if (trailers == NULL) { /* judged all the same */
        trailers = &s->dropped_trailers;
        http_head_init(trailers, NULL, 0);
    }
    http2_head_trailers(&s->in, trailers, &s->arena, &s->limits, true);
}

void origin_h2_field(struct origin_h2_stream *s, struct weir_span name, struct weir_span value)
{
    struct weir_err err = {0};

    if (s->fetch != NULL && !http2_head_field(&s->in, name, value, &err))
        origin_h2_stream_fail(s, &err, s->sent);
}

static void use_interim(struct origin_h2_stream *s)
{
    if (s->head.status == 101)
        fail_code(s, WEIR_E_RESPONSE_MALFORMED, "origin: 101 on HTTP/2");
    else if (++s->interims > INTERIMS_MAX)
        fail_code(s, WEIR_E_RESPONSE_MALFORMED, "origin: too many interim responses");
    else if (s->head.status != 100) /* ours to send, and sent when the content was wanted */
        s->fetch->events->interim(s->fetch->arg, &s->head);
}

/* Another origin may do better. */
static void ask_again(struct origin_h2_stream *s)
{
    struct origin_fetch *f = detach(s);

    reset(s, NGHTTP2_CANCEL);
    origin_fetch_again(f);
}

static void use_head(struct origin_h2_stream *s, bool ended)
{
    struct weir_err err = {0};

    if (!http2_head_response_end(&s->in, ended, s->fetch->request.method, &s->framing, &err)) {
        origin_h2_stream_fail(s, &err, s->sent);
        return;
    }
    if (http_status_interim(s->head.status)) {
        if (ended)
            fail_code(s, WEIR_E_RESPONSE_MALFORMED, "origin: an interim response ends the stream");
        else
            use_interim(s);
        return;
    }
    s->head_done = true;
    if (origin_fetch_retries_status(s->fetch, s->head.status)) {
        ask_again(s);
        return;
    }
    expect(s);
    origin_fetch_head(s->fetch, &s->head, &s->framing);
}

static void use_trailers(struct origin_h2_stream *s, bool ended)
{
    struct weir_err err = {0};

    if (!ended)
        fail_code(s, WEIR_E_RESPONSE_MALFORMED, "origin: trailers that do not end the stream");
    else if (!http2_head_trailers_end(&s->in, &err))
        origin_h2_stream_fail(s, &err, s->sent);
}

void origin_h2_head(struct origin_h2_stream *s, bool ended)
{
    if (s->fetch == NULL)
        return;
    if (s->in_trailers)
        use_trailers(s, ended);
    else
        use_head(s, ended);
    if (ended && s->fetch != NULL)
        origin_h2_ended(s);
}

/* ---- the response: content ---- */

static void credit(struct origin_h2_stream *s, size_t n)
{
    if (n == 0 || s->gone)
        return;
    nghttp2_session_consume_stream(s->conn->session, s->id, n);
    origin_h2_put_off(s->conn);
}

/* As many bytes as announced, and no more; and no more than anybody wants. */
static bool counts(struct origin_h2_stream *s, size_t len)
{
    uint64_t max = settings_of(s)->response_max_bytes;

    s->received += len;
    if (!s->head_done || s->framing.kind == HTTP_BODY_NONE ||
        (s->framing.kind == HTTP_BODY_LENGTH && s->received > s->framing.length)) {
        fail_code(s, WEIR_E_RESPONSE_MALFORMED, "origin: more content than announced");
        return false;
    }
    if (max != 0 && s->received > max) {
        fail_code(s, WEIR_E_RESPONSE_TOO_LARGE, "origin: response");
        return false;
    }
    return true;
}

static struct origin_h2_held *more_room(struct origin_h2_stream *s)
{
    struct origin_h2_held *held = weir_malloc(sizeof *held);

    if (held == NULL)
        return NULL;
    *held = (struct origin_h2_held){NULL, weir_blob_new(HELD_BYTES)};
    if (held->blob == NULL) {
        weir_free(held);
        return NULL;
    }
    assert(s->last_held != NULL);
    *s->last_held = held;
    s->last_held = &held->next;
    return held;
}

static struct origin_h2_held *last_of(struct origin_h2_stream *s)
{
    return s->held == NULL ? NULL : WEIR_CONTAINER(s->last_held, struct origin_h2_held, next);
}

/* At most a window of it, however small its frames. */
static bool hold(struct origin_h2_stream *s, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        struct origin_h2_held *held = last_of(s);
        size_t n;

        if (held == NULL || held->blob->len == held->blob->cap)
            held = more_room(s);
        if (held == NULL)
            return false;
        n = held->blob->cap - held->blob->len;
        n = len < n ? len : n;
        memcpy(held->blob->bytes + held->blob->len, bytes, n);
        held->blob->len += (uint32_t)n;
        bytes += n;
        len -= n;
    }
    return true;
}

/* A slice of what was read, unless that would keep much more alive than it is. */
static bool slice_of(struct origin_h2 *h, const uint8_t *bytes, size_t len, struct weir_slice *out)
{
    struct weir_blob *in = h->in;

    if (2 * len >= in->cap) {
        *out = (struct weir_slice){weir_blob_ref(in), (uint32_t)((const char *)bytes - in->bytes),
                                   (uint32_t)len};
        return true;
    }
    out->blob = weir_blob_new(len);
    if (out->blob == NULL)
        return false;
    memcpy(out->blob->bytes, bytes, len);
    out->blob->len = (uint32_t)len;
    out->off = 0;
    out->len = (uint32_t)len;
    return true;
}

/* The fetch takes the slice; false: it, or the stream, takes no more. */
static bool give(struct origin_h2_stream *s, struct weir_slice slice, bool last)
{
    struct origin_fetch *f = s->fetch;
    size_t len = slice.len;
    bool more = f->events->data(f->arg, slice, last);

    if (s->fetch == NULL)
        return false;
    if (more || last) {
        credit(s, len);
        return true;
    }
    s->owed += len;
    s->paused = true;
    expect(s);
    return false;
}

void origin_h2_content(struct origin_h2_stream *s, const uint8_t *bytes, size_t len, bool last)
{
    struct weir_slice slice;

    if (s->fetch == NULL || !counts(s, len))
        return;
    expect(s);
    if (s->paused || s->held != NULL) {
        s->owed += len;
        if (!hold(s, bytes, len))
            fail_code(s, WEIR_E_MEMORY, "origin: content");
        return;
    }
    if (!slice_of(s->conn, bytes, len, &slice)) {
        fail_code(s, WEIR_E_MEMORY, "origin: content");
        return;
    }
    last = last && s->framing.kind == HTTP_BODY_LENGTH && s->received == s->framing.length;
    give(s, slice, last);
}

void origin_h2_ended(struct origin_h2_stream *s)
{
    if (s->fetch == NULL)
        return;
    s->ended = true;
    if (!s->head_done)
        fail_code(s, WEIR_E_RESPONSE_MALFORMED, "origin: a stream without a response");
    else if (s->framing.kind == HTTP_BODY_LENGTH && s->received != s->framing.length)
        fail_code(s, WEIR_E_RESPONSE_TRUNCATED, "origin: response");
    else if (s->held == NULL)
        complete(s);
}

static void resume(struct origin_work *w)
{
    struct origin_h2_stream *s = stream_of(w);

    if (!s->paused)
        return;
    s->resumed = s->conn->look = true;
    origin_h2_put_off(s->conn);
}

static void give_held(struct origin_h2_stream *s)
{
    while (s->held != NULL && !s->paused) {
        struct origin_h2_held *first = s->held;
        struct weir_slice slice = {first->blob, 0, first->blob->len};

        s->held = first->next;
        if (s->held == NULL)
            s->last_held = &s->held;
        weir_free(first);
        s->owed -= slice.len; /* give() credits it, or owes it again */
        if (!give(s, slice, false))
            break;
    }
    if (s->fetch != NULL && s->ended && s->held == NULL)
        complete(s);
}

/* What the fetch has taken although it wanted to pause: owed, and not in what is held. */
static size_t paid_for(struct origin_h2_stream *s)
{
    size_t in_held = 0, taken;

    for (const struct origin_h2_held *held = s->held; held != NULL; held = held->next)
        in_held += held->blob->len;
    taken = s->owed - in_held;
    s->owed = in_held;
    return taken;
}

void origin_h2_stream_turn(struct origin_h2_stream *s)
{
    if (s->failing && s->fetch != NULL) { /* never complete what the client did not (security 2) */
        struct weir_err err = {.code = s->fetch->request.body->failed,
                               .where = "origin: request content"};

        s->failing = false;
        origin_h2_stream_fail(s, &err, s->sent);
        return;
    }
    s->failing = false;
    if (!s->resumed)
        return;
    s->resumed = false;
    if (s->fetch == NULL)
        return;
    s->paused = false;
    expect(s);
    credit(s, paid_for(s));
    give_held(s);
}

/* ---- what becomes of it at nghttp2 ---- */

/* The origin has not looked at it: it is asked again, whatever the method. */
static void refused(struct origin_h2_stream *s)
{
    struct origin_fetch *f = detach(s);
    struct weir_err err = {0};

    weir_failf(&err, WEIR_E_ORIGIN_RESET, "origin: stream refused", 0, "%s",
               s->conn->pool->state->url);
    drop(s);
    if (f != NULL)
        origin_fetch_refused(f, &err);
}

static void broke_off(struct origin_h2_stream *s, uint32_t code)
{
    struct weir_err err = {0};
    bool reused = s->conn->served > 1;
    struct origin_fetch *f = detach(s);

    weir_failf(&err, s->head_done ? WEIR_E_RESPONSE_TRUNCATED : WEIR_E_ORIGIN_RESET,
               "origin: stream reset", 0, "%s: %s", s->conn->pool->state->url,
               nghttp2_http2_strerror(code));
    if (code == NGHTTP2_ENHANCE_YOUR_CALM) /* what follows goes another way */
        s->conn->going = true;
    drop(s);
    origin_fetch_failed(f, &err, reused, s->sent);
}

void origin_h2_stream_closed(struct origin_h2_stream *s, uint32_t code)
{
    s->gone = true;
    if (s->fetch == NULL)
        drop(s);
    else if (s->ended)
        return; /* all has come, and is given out when it is taken */
    else if (code == NGHTTP2_REFUSED_STREAM && !s->fetch->got_bytes)
        refused(s);
    else
        broke_off(s, code);
}

void origin_h2_stream_unsent(struct origin_h2_stream *s)
{
    s->gone = true;
    refused(s);
}
