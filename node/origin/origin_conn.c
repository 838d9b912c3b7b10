#include "origin_conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "origin_fetch.h"
#include "origin_names.h"
#include "origin_pool.h"
#include "origin_state.h"

#define READ_FIRST     18432 /* a head and 16 KiB in one read */
#define READ_LARGE     65536
#define READ_LEAST     2048 /* less room than this: a new blob */
#define IOV_MAX_PARTS  (NET_PIPE_SLOTS + 3)
#define INTERIMS_MAX   8
#define READS_PER_TURN 8 /* then other connections get their turn */

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(struct net_timer *t);
static void push_request(struct origin_conn *c);

static struct net_loop *loop_of(const struct origin_conn *c)
{
    return c->pool->client->loop;
}

static const struct upstream_settings *settings_of(const struct origin_conn *c)
{
    return c->fetch->up->settings;
}

static void expect_within(struct origin_conn *c, int64_t ms)
{
    net_timer_move(loop_of(c), &c->timer, net_now_ms(loop_of(c)) + ms);
}

/* ---- opening and closing ---- */

static int start_connect(struct origin_conn *c, const struct net_addr *a, struct weir_err *err)
{
    int on = 1;
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        weir_fail(err, errno == EMFILE || errno == ENFILE ? WEIR_E_DESCRIPTORS : WEIR_E_INTERNAL,
                  "origin: socket", errno);
        return -1;
    }
    if (a->sa.any.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, &a->sa.any, a->len) != 0) {
        if (errno != EINPROGRESS) {
            weir_failf(err, WEIR_E_ORIGIN_REFUSED, "origin: connect", errno, "%s",
                       c->pool->state->url);
            close(fd);
            return -1;
        }
        c->connecting = true;
    }
    return fd;
}

/* Tries the origin's addresses from the next in turn on, until one does not refuse at once. */
static bool connect_somewhere(struct origin_conn *c, struct weir_err *err)
{
    struct origin_pool *p = c->pool;
    struct net_addr addr;
    unsigned count = 0;

    c->fd = -1;
    while (c->fd < 0) {
        if (!origin_names_pick(p->names, p->rotate, &addr, &count))
            return weir_failf(err, WEIR_E_ORIGIN_DNS, "origin: resolve", 0, "%s", p->state->url);
        if (c->addrs_tried >= count)
            return false; /* err is that of the last address */
        p->rotate++;
        c->addrs_tried++;
        c->fd = start_connect(c, &addr, err);
        if (c->fd < 0 && err->code == WEIR_E_DESCRIPTORS)
            return false;
    }
    event_assign(&c->readable, loop_of(c)->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->writable, loop_of(c)->base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
    event_add(&c->readable, NULL);
    if (c->connecting) {
        event_add(&c->writable, NULL);
        c->want_write = true;
    }
    return true;
}

struct origin_conn *origin_conn_open(struct origin_pool *p, struct weir_err *err)
{
    struct origin_conn *c = weir_calloc(1, sizeof *c);

    if (c == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "origin: connection", 0);
        return NULL;
    }
    c->pool = p;
    c->timer.fire = on_timer;
    c->next_read = READ_FIRST;
    err->code = WEIR_OK;
    if (!connect_somewhere(c, err)) {
        weir_free(c);
        return NULL;
    }
    weir_metric_add(p->client->metrics, WEIR_M_origin_connects, 1);
    weir_metric_add(p->client->metrics, WEIR_M_origin_connections_open, 1);
    return c;
}

static void free_conn(struct net_deferred *d)
{
    struct origin_conn *c = WEIR_CONTAINER(d, struct origin_conn, gone);

    weir_blob_unref(c->in);
    weir_free(c->own_fields);
    weir_free(c);
}

/* Everything but closing the descriptor. */
static void leave(struct origin_conn *c)
{
    struct net_loop *loop = loop_of(c);
    struct net_pipe *body = c->fetch != NULL ? c->fetch->request.body : NULL;

    if (body != NULL && body->consumer == c) /* it outlives this connection */
        body->on_data = NULL;
    c->closed = true;
    c->fetch = NULL;
    event_del(&c->readable);
    if (c->want_write)
        event_del(&c->writable);
    net_timer_stop(loop, &c->timer);
    if (c->idle) {
        struct origin_conn **at = &c->pool->idle;

        while (*at != c)
            at = &(*at)->next_idle;
        *at = c->next_idle;
        c->pool->idle_count--;
        c->idle = false;
    }
    weir_metric_add(c->pool->client->metrics, WEIR_M_origin_connections_open, -1);
    net_defer(loop, &c->gone, free_conn);
}

void origin_conn_close(struct origin_conn *c)
{
    struct origin_pool *p = c->pool;

    if (c->closed)
        return;
    leave(c);
    if (c->fd >= 0)
        close(c->fd);
    origin_pool_freed(p);
}

static void fail(struct origin_conn *c, const struct weir_err *err)
{
    struct origin_fetch *f = c->fetch;
    bool reused = c->served > 0, sent = c->sent_any;

    if (c->closed)
        return;
    origin_conn_close(c);
    if (f != NULL)
        origin_fetch_failed(f, err, reused, sent);
}

static void fail_code(struct origin_conn *c, enum weir_code code, const char *where, int os)
{
    struct weir_err err = {0};

    weir_failf(&err, code, where, os, "%s", c->pool->state->url);
    fail(c, &err);
}

/* ---- sending ---- */

static void want_write(struct origin_conn *c, bool on)
{
    if (c->want_write == on)
        return;
    c->want_write = on;
    if (on)
        event_add(&c->writable, NULL);
    else
        event_del(&c->writable);
}

/* While the client is to give more content it is his time that runs, not the origin's. */
static void expect_content(struct origin_conn *c)
{
    if (c->request_done || c->want_write)
        expect_within(c, settings_of(c)->read_timeout_ms);
    else
        net_timer_park(&c->timer);
}

/* The request is out, or the origin takes no more of it: from now on its time to answer runs. */
static void request_sent(struct origin_conn *c)
{
    c->request_done = true;
    want_write(c, false);
    if (!c->head_done)
        expect_within(c, settings_of(c)->first_byte_timeout_ms);
    else if (!c->paused) /* it began to answer early: what is still to come has its time, too */
        expect_within(c, settings_of(c)->read_timeout_ms);
}

static bool chunk_is_out(const struct origin_conn *c)
{
    return c->frame_len == 0 && c->chunk_left == 0 && c->tail_left == 0;
}

/* Prepares the next chunk when the last one is through: all that the pipe holds, or the last-chunk.
 */
static void frame_next_chunk(struct origin_conn *c, const struct net_pipe *body)
{
    if (!chunk_is_out(c) || c->end_framed || (body->bytes == 0 && !body->ended))
        return;
    c->chunk_left = body->bytes;
    c->frame_at = 0;
    c->frame_len = (uint8_t)http_chunk_header(c->frame, body->bytes);
    c->tail = "\r\n";
    c->tail_left = 2;
    c->end_framed = body->bytes == 0;
    if (c->end_framed && body->trailers != NULL) {
        c->tail = body->trailers->bytes;
        c->tail_left = body->trailers->len;
    }
}

static unsigned gather(struct origin_conn *c, struct iovec *iov)
{
    struct origin_request *r = &c->fetch->request;
    struct weir_slice part[NET_PIPE_SLOTS];
    uint64_t room = UINT64_MAX;
    unsigned n = 0, parts;

    if (c->head_sent < r->head.len)
        iov[n++] = (struct iovec){(void *)(uintptr_t)(r->head.ptr + c->head_sent),
                                  r->head.len - c->head_sent};
    if (r->body == NULL)
        return n;
    if (r->body_chunked) {
        frame_next_chunk(c, r->body);
        if (c->frame_len > c->frame_at)
            iov[n++] = (struct iovec){c->frame + c->frame_at, c->frame_len - c->frame_at};
        room = c->chunk_left;
    }
    parts = net_pipe_peek(r->body, part, NET_PIPE_SLOTS);
    for (unsigned i = 0; i < parts && room > 0; i++) {
        size_t len = part[i].len < room ? part[i].len : (size_t)room;

        iov[n++] = (struct iovec){(void *)(uintptr_t)weir_slice_ptr(part[i]), len};
        room -= len;
    }
    if (r->body_chunked && room == 0 && c->tail_left > 0)
        iov[n++] = (struct iovec){(void *)(uintptr_t)c->tail, c->tail_left};
    return n;
}

static size_t at_most(size_t n, uint64_t limit)
{
    return n < limit ? n : (size_t)limit;
}

/* n bytes went out: head first, then framing, content, tail. */
static void account(struct origin_conn *c, size_t n)
{
    struct origin_request *r = &c->fetch->request;
    size_t part = at_most(n, r->head.len - c->head_sent);
    size_t content;

    c->sent_any = true;
    c->head_sent += (uint32_t)part;
    n -= part;
    if (r->body == NULL || n == 0)
        return;
    part = at_most(n, (uint64_t)(c->frame_len - c->frame_at));
    c->frame_at += (uint8_t)part;
    n -= part;
    if (c->frame_at == c->frame_len)
        c->frame_at = c->frame_len = 0;
    content = r->body_chunked ? at_most(n, c->chunk_left) : n;
    n -= content;
    if (r->body_chunked)
        c->chunk_left -= content;
    c->tail += n;
    c->tail_left -= (uint32_t)n;
    if (content > 0)
        net_pipe_took(r->body, content); /* may make the client's side read on */
}

static bool all_sent(const struct origin_conn *c)
{
    const struct origin_request *r = &c->fetch->request;

    if (c->head_sent < r->head.len)
        return false;
    if (r->body == NULL)
        return true;
    if (r->body_chunked)
        return c->end_framed && chunk_is_out(c);
    return r->body->ended && r->body->bytes == 0;
}

static bool has_to_send(const struct origin_conn *c)
{
    const struct origin_request *r = &c->fetch->request;

    if (c->head_sent < r->head.len)
        return true;
    if (r->body == NULL)
        return false;
    return r->body->bytes > 0 ||
           (r->body_chunked && (!chunk_is_out(c) || (r->body->ended && !c->end_framed)));
}

/* Writes as much of the request as the origin takes. */
static void push_request(struct origin_conn *c)
{
    struct net_pipe *body = c->fetch->request.body;

    if (body != NULL && body->failed) { /* never complete what the client did not (security 2) */
        struct weir_err err = {.code = body->failed, .where = "origin: request content"};

        fail(c, &err);
        return;
    }
    while (!c->closed && !c->request_done && has_to_send(c)) {
        struct iovec iov[IOV_MAX_PARTS];
        struct msghdr msg = {.msg_iov = iov};
        ssize_t n;

        msg.msg_iovlen = gather(c, iov);
        n = msg.msg_iovlen == 1 ? send(c->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                                : sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        if (n >= 0) {
            account(c, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            want_write(c, true);
            if (!c->paused)
                expect_within(c, settings_of(c)->write_timeout_ms);
            return;
        } else if (errno != EINTR) {
            /* The origin may have answered (413, 401 ...) before it stopped reading: that is read
             * first, or else its end. Not from here: no event may come from inside
             * origin_fetch_start(). */
            request_sent(c);
            return;
        }
    }
    if (c->closed || c->request_done)
        return;
    want_write(c, false);
    if (all_sent(c))
        request_sent(c);
    else if (body != NULL)
        net_timer_park(&c->timer); /* the client is to give more: his time-outs rule */
}

static void on_body_data(void *arg)
{
    struct origin_conn *c = arg;

    if (!c->closed && !c->connecting && c->fetch != NULL && !c->want_write && !c->request_done)
        push_request(c);
    else if (!c->closed && c->fetch != NULL && c->fetch->request.body->failed)
        push_request(c);
}

static void start_request(struct origin_conn *c)
{
    struct net_pipe *body = c->fetch->request.body;

    push_request(c);
    if (!c->closed && body != NULL && c->fetch != NULL && c->fetch->request.body == body)
        net_pipe_want(body);
}

/* The blob of the exchange before serves again when nobody reads it any more: the usual case. */
static void reuse_blob(struct origin_conn *c)
{
    c->in_at = 0;
    if (c->in == NULL)
        return;
    if (atomic_load_explicit(&c->in->refs, memory_order_acquire) == 1) {
        c->in->len = 0;
        return;
    }
    weir_blob_unref(c->in);
    c->in = NULL;
}

static void reset_exchange(struct origin_conn *c)
{
    reuse_blob(c);
    c->head_sent = 0;
    c->sent_any = c->request_done = false;
    c->chunk_left = 0;
    c->end_framed = false;
    c->frame_at = c->frame_len = 0;
    c->tail = "";
    c->tail_left = 0;
    c->parsing = c->head_done = false;
    c->interims = 0;
    c->received = 0;
}

void origin_conn_serve(struct origin_conn *c, struct origin_fetch *f)
{
    c->fetch = f;
    reset_exchange(c);
    if (f->request.body != NULL) {
        f->request.body->on_data = on_body_data;
        f->request.body->consumer = c;
    }
    if (c->connecting) {
        expect_within(c, f->up->settings->connect_timeout_ms);
        return;
    }
    expect_within(c, f->up->settings->first_byte_timeout_ms);
    start_request(c);
}

/* The address that was tried does not answer: the next one, or the end. */
static void connect_failed(struct origin_conn *c, int os)
{
    struct weir_err err = {0};

    weir_failf(&err, WEIR_E_ORIGIN_REFUSED, "origin: connect", os, "%s", c->pool->state->url);
    event_del(&c->readable);
    want_write(c, false);
    close(c->fd);
    c->connecting = false;
    if (connect_somewhere(c, &err)) {
        if (!c->connecting)
            start_request(c);
        return;
    }
    c->fd = -1; /* nothing left to close */
    fail(c, &err);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct origin_conn *c = arg;
    socklen_t len = sizeof(int);
    int os = 0;

    (void)what;
    net_loop_enter(loop_of(c));
    if (c->closed || c->fetch == NULL)
        return;
    if (!c->connecting) {
        push_request(c);
        return;
    }
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &os, &len);
    if (os != 0) {
        connect_failed(c, os);
        return;
    }
    c->connecting = false;
    want_write(c, false);
    expect_within(c, settings_of(c)->first_byte_timeout_ms);
    start_request(c);
}

/* ---- receiving ---- */

static bool room_to_read(struct origin_conn *c)
{
    struct weir_blob *b = c->in;
    uint32_t keep = 0;
    struct weir_blob *fresh;
    size_t want = c->next_read;

    if (b != NULL && b->cap - b->len >= READ_LEAST)
        return true;
    if (b != NULL)
        keep = b->len - c->in_at; /* an unfinished head or trailer section moves along */
    if (keep + READ_LEAST > want)
        want = keep + READ_FIRST;
    fresh = weir_blob_new(want);
    if (fresh == NULL)
        return false;
    if (keep > 0)
        memcpy(fresh->bytes, b->bytes + c->in_at, keep);
    fresh->len = keep;
    weir_blob_unref(b);
    c->in = fresh;
    c->in_at = 0;
    return true;
}

/* The exchange is complete: back to the pool, or closed if anything speaks against it. */
static void release(struct origin_conn *c)
{
    struct origin_fetch *f = c->fetch;
    struct origin_pool *p = c->pool;
    bool surplus =
        (c->in != NULL && c->in->len > c->in_at) ||
        (c->read_full && !origin_conn_quiet(c, true)); /* the last read left something behind */
    bool keep = c->framing.keep_alive && c->request_done && !surplus && !c->eof &&
                (p->requests_per_connection == 0 || c->served + 1 < p->requests_per_connection) &&
                all_sent(c);

    if (f->request.body != NULL && f->request.body->consumer == c)
        f->request.body->on_data = NULL;
    if (c->paused) { /* nothing is left to hold back */
        c->paused = false;
        event_add(&c->readable, NULL);
    }
    c->served++;
    c->fetch = NULL;
    f->conn = NULL;
    if (c->in != NULL && c->in->cap > 2 * READ_FIRST) {
        weir_blob_unref(c->in); /* an idle connection holds little */
        c->in = NULL;
    }
    weir_free(c->own_fields);
    c->own_fields = NULL;
    if (keep)
        origin_pool_put(c);
    else
        origin_conn_close(c);
}

static void complete(struct origin_conn *c)
{
    struct origin_fetch *f = c->fetch;
    struct weir_blob *bytes =
        c->in != NULL ? weir_blob_ref(c->in) : NULL; /* trailers point into it */

    release(c);
    origin_fetch_ended(f);
    weir_blob_unref(bytes);
}

static bool too_large(const struct origin_conn *c)
{
    uint64_t max = settings_of(c)->response_max_bytes;

    return max != 0 && c->received > max;
}

/*
 * The last slice. The connection goes back first, so that it is free for whoever is woken by it.
 */
static void deliver_last(struct origin_conn *c, uint32_t off, uint32_t len)
{
    struct weir_slice s = {weir_blob_ref(c->in), off, len};
    struct origin_fetch *f = c->fetch;

    c->received += len;
    if (too_large(c)) {
        weir_blob_unref(s.blob);
        fail_code(c, WEIR_E_RESPONSE_TOO_LARGE, "origin: response", 0);
        return;
    }
    weir_blob_ref(s.blob); /* data() takes the other one; trailers point into it */
    release(c);
    f->events->data(f->arg, s, true);
    if (f->active)
        origin_fetch_ended(f);
    weir_blob_unref(s.blob);
}

/* Hands a slice on; false when the connection has gone or paused meanwhile. */
static bool deliver(struct origin_conn *c, uint32_t off, uint32_t len)
{
    struct weir_slice s = {weir_blob_ref(c->in), off, len};

    c->received += len;
    if (too_large(c)) {
        weir_blob_unref(s.blob);
        fail_code(c, WEIR_E_RESPONSE_TOO_LARGE, "origin: response", 0);
        return false;
    }
    if (!c->fetch->events->data(c->fetch->arg, s, false) && !c->closed && c->fetch != NULL &&
        !c->paused) {
        c->paused = true;
        event_del(&c->readable);
        net_timer_park(&c->timer);
    }
    return !c->closed && c->fetch != NULL;
}

/* Content up to a length, or to the end of the connection. */
static void use_plain(struct origin_conn *c)
{
    uint32_t have = c->in->len - c->in_at;
    uint32_t off = c->in_at;

    if (c->framing.kind == HTTP_BODY_LENGTH && have > c->left)
        have = (uint32_t)c->left;
    c->left -= c->framing.kind == HTTP_BODY_LENGTH ? have : 0;
    c->in_at += have;
    if (c->framing.kind == HTTP_BODY_LENGTH && c->left == 0)
        deliver_last(c, off, have);
    else if (have > 0)
        deliver(c, off, have);
}

static void use_chunked(struct origin_conn *c)
{
    struct weir_blob *b = c->in; /* its bytes from in_at on are nobody else's yet */
    struct http_chunk_run run;
    enum http_chunk_result r;
    struct weir_err err = {0};

    while ((r = http_chunked_run(&c->chunked, b->bytes, b->len, &c->in_at, &run, &err)) ==
           HTTP_CHUNK_DATA)
        if (!deliver(c, run.off, run.len))
            return;
    if (r == HTTP_CHUNK_END && run.len > 0)
        deliver_last(c, run.off, run.len);
    else if (r == HTTP_CHUNK_END)
        complete(c);
    else if ((run.len == 0 || deliver(c, run.off, run.len)) && r == HTTP_CHUNK_BAD)
        fail(c, &err);
}

static void begin_content(struct origin_conn *c)
{
    c->left = c->framing.length;
    if (c->framing.kind == HTTP_BODY_CHUNKED)
        http_chunked_init(&c->chunked, true, c->fetch->request.trailers);
    if (c->framing.kind == HTTP_BODY_NONE ||
        (c->framing.kind == HTTP_BODY_LENGTH && c->framing.length == 0))
        complete(c);
}

/* 101 with the right accept hash, to a request that asked for it: the descriptor changes hands. */
static void switch_protocols(struct origin_conn *c)
{
    struct origin_fetch *f = c->fetch;
    struct origin_pool *p = c->pool;
    struct weir_span surplus = weir_span(c->in->bytes + c->in_at, c->in->len - c->in_at);
    int fd = c->fd;

    if (!f->request.upgrade || !c->framing.upgrade || !all_sent(c) ||
        !http_websocket_accept_ok(f->request.websocket_key,
                                  http_head_value(&c->head, HTTP_F_SEC_WEBSOCKET_ACCEPT))) {
        fail_code(c, WEIR_E_UPGRADE_FAILED, "origin: upgrade", 0);
        return;
    }
    leave(c);
    origin_fetch_upgraded(f, net_chan_plain(fd), &c->head, surplus);
    origin_pool_freed(p);
}

static void use_head(struct origin_conn *c)
{
    struct weir_err err = {0};
    struct origin_fetch *f = c->fetch;

    c->parsing = false;
    c->in_at += c->parser.consumed;
    if (!http_response_framing(&c->head, f->request.method, &c->framing, &err)) {
        fail(c, &err);
        return;
    }
    if (c->head.status == 101) {
        switch_protocols(c);
        return;
    }
    if (http_status_interim(c->head.status)) {
        if (++c->interims > INTERIMS_MAX)
            fail_code(c, WEIR_E_RESPONSE_MALFORMED, "origin: too many interim responses", 0);
        else if (c->head.status != 100) /* ours to send, and sent when the content was wanted */
            f->events->interim(f->arg, &c->head);
        return;
    }
    c->head_done = true;
    if (origin_fetch_retries_status(f, c->head.status)) {
        c->fetch = NULL;
        origin_conn_close(c);
        origin_fetch_again(f);
        return;
    }
    expect_content(c);
    origin_fetch_head(f, &c->head, &c->framing);
    if (!c->closed && c->fetch != NULL)
        begin_content(c);
}

static void parse_head(struct origin_conn *c)
{
    const struct upstream_settings *settings = settings_of(c);
    struct http_parse_limits limits = http_response_limits;
    struct weir_err err = {0};
    enum http_parsed r;

    limits.head_bytes = settings->head_bytes;
    limits.fields = settings->fields < ORIGIN_FIELDS_MAX ? settings->fields : ORIGIN_FIELDS_MAX;
    if (limits.field_bytes > limits.head_bytes)
        limits.field_bytes = limits.head_bytes;
    if (!c->parsing) {
        http_parser_init(&c->parser);
        http_head_init(&c->head, c->own_fields != NULL ? c->own_fields : c->pool->client->scratch,
                       limits.fields);
        c->parsing = true;
    }
    r = http_parse_response(&c->parser, &limits, &c->head, c->in->bytes + c->in_at,
                            c->in->len - c->in_at, &err);
    if (r == HTTP_PARSED) {
        use_head(c);
    } else if (r == HTTP_BAD) {
        fail(c, &err);
    } else if (c->own_fields == NULL) {
        /* The rest comes later: what is parsed moves from the shared scratch to fields of its own.
         */
        c->own_fields = weir_malloc(limits.fields * sizeof *c->own_fields);
        if (c->own_fields == NULL) {
            fail_code(c, WEIR_E_MEMORY, "origin: response head", 0);
            return;
        }
        memcpy(c->own_fields, c->head.fields, c->head.count * sizeof *c->own_fields);
        c->head.fields = c->own_fields;
    }
}

/* Uses what was read. Each round may end the exchange, so everything is looked at anew. */
static void use_input(struct origin_conn *c)
{
    while (!c->closed && c->fetch != NULL && c->in != NULL && c->in_at < c->in->len) {
        bool had_head = c->head_done;
        uint32_t before = c->in_at;

        if (!c->head_done)
            parse_head(c);
        else if (c->framing.kind == HTTP_BODY_CHUNKED)
            use_chunked(c);
        else
            use_plain(c);
        if (c->closed || c->fetch == NULL || c->in == NULL ||
            (c->in_at == before && c->head_done == had_head))
            return;
        if (c->head_done && had_head)
            return; /* content is used in one go */
    }
}

/* The origin has closed its side: the end of the content if that is how it is framed, else
 * truncation. */
static void at_eof(struct origin_conn *c)
{
    c->eof = true;
    if (c->head_done && c->framing.kind == HTTP_BODY_CLOSE)
        complete(c);
    else if (c->head_done || c->parsing)
        fail_code(c, WEIR_E_RESPONSE_TRUNCATED, "origin: response", 0);
    else
        fail_code(c, WEIR_E_ORIGIN_RESET, "origin: closed before its response", 0);
}

static void read_failed(struct origin_conn *c, int os)
{
    if (c->head_done || c->parsing)
        fail_code(c, WEIR_E_RESPONSE_TRUNCATED, "origin: response", os);
    else
        fail_code(c, WEIR_E_ORIGIN_RESET, "origin: read", os);
}

bool origin_conn_quiet(const struct origin_conn *c, bool careful)
{
    char byte;

    if (c->readable.ev_evcallback.evcb_flags & EVLIST_ACTIVE)
        return false; /* this turn's poll has found something already */
    if (!careful)
        return true;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct origin_conn *c = arg;

    (void)what;
    if (c->closed)
        return;
    net_loop_enter(loop_of(c));
    if (c->fetch == NULL) { /* idle: a byte, an end or an error, all mean that it is over */
        origin_conn_close(c);
        return;
    }
    if (c->connecting)
        return; /* on_writable() finds out */
    for (int i = 0; i < READS_PER_TURN; i++) {
        uint32_t room;
        ssize_t n;

        if (!room_to_read(c)) {
            fail_code(c, WEIR_E_MEMORY, "origin: read", 0);
            return;
        }
        room = c->in->cap - c->in->len;
        n = recv(fd, c->in->bytes + c->in->len, room, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return;
        if (n <= 0) {
            if (n == 0)
                at_eof(c);
            else
                read_failed(c, errno);
            return;
        }
        c->in->len += (uint32_t)n;
        c->read_full = (uint32_t)n == room;
        c->fetch->got_bytes = true;
        c->next_read = (uint32_t)n == room ? READ_LARGE : c->next_read;
        if (c->head_done)
            expect_content(c);
        use_input(c);
        if (c->closed || c->fetch == NULL || c->paused || (uint32_t)n < room)
            return;
    }
}

void origin_conn_resume(struct origin_conn *c)
{
    if (!c->paused || c->closed)
        return;
    c->paused = false;
    event_add(&c->readable, NULL);
    expect_content(c);
}

/* ---- time-outs ---- */

static void on_timer(struct net_timer *t)
{
    struct origin_conn *c = WEIR_CONTAINER(t, struct origin_conn, timer);

    if (c->fetch == NULL)
        origin_conn_close(c);
    else if (c->connecting)
        fail_code(c, WEIR_E_ORIGIN_CONNECT_TIMEOUT, "origin: connect", 0);
    else if (!c->request_done && c->want_write)
        fail_code(c, WEIR_E_ORIGIN_WRITE_TIMEOUT, "origin: send", 0);
    else
        fail_code(c, WEIR_E_ORIGIN_READ_TIMEOUT, "origin: read", 0);
}
