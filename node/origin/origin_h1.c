#include "origin_h1.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "origin_fetch.h"
#include "origin_pool.h"
#include "origin_state.h"

#define READ_FIRST     18432 /* a head and 16 KiB in one read */
#define READ_LARGE     65536
#define READ_LEAST     2048 /* less room than this: a new blob */
#define INTERIMS_MAX   8
#define READS_PER_TURN 8 /* then other connections get their turn */

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(struct net_timer *t);
static void resume(struct origin_work *w);
static void cancel(struct origin_work *w);

static const struct origin_work_ops ops = {resume, cancel};

static struct net_loop *loop_of(const struct origin_h1 *c)
{
    return c->pool->client->loop;
}

static const struct upstream_settings *settings_of(const struct origin_h1 *c)
{
    return c->fetch->up->settings;
}

void origin_h1_expect(struct origin_h1 *c, int64_t ms)
{
    net_timer_move(loop_of(c), &c->timer, net_now_ms(loop_of(c)) + ms);
}

/* ---- beginning and closing ---- */

struct origin_h1 *origin_h1_new(struct origin_pool *p, struct net_chan chan, struct weir_err *err)
{
    struct origin_h1 *c = weir_calloc(1, sizeof *c);

    if (c == NULL) {
        weir_fail(err, WEIR_E_MEMORY, "origin: connection", 0);
        return NULL;
    }
    c->work.ops = &ops;
    c->pool = p;
    c->chan = chan;
    c->timer.fire = on_timer;
    c->next_read = READ_FIRST;
    event_assign(&c->readable, loop_of(c)->base, chan.fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->writable, loop_of(c)->base, chan.fd, EV_WRITE | EV_PERSIST, on_writable, c);
    event_add(&c->readable, NULL);
    return c;
}

static void free_conn(struct net_deferred *d)
{
    struct origin_h1 *c = WEIR_CONTAINER(d, struct origin_h1, gone);

    weir_blob_unref(c->in);
    weir_free(c->own_fields);
    weir_free(c);
}

/* Everything but closing the channel. */
static void leave(struct origin_h1 *c)
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
        struct origin_h1 **at = &c->pool->idle;

        while (*at != c)
            at = &(*at)->next_idle;
        *at = c->next_idle;
        c->pool->idle_count--;
        c->idle = false;
    }
    net_defer(loop, &c->gone, free_conn);
}

void origin_h1_close(struct origin_h1 *c)
{
    struct origin_pool *p = c->pool;

    if (c->closed)
        return;
    leave(c);
    net_chan_close(&c->chan, false);
    origin_pool_freed(p);
}

void origin_h1_fail(struct origin_h1 *c, const struct weir_err *err)
{
    struct origin_fetch *f = c->fetch;
    bool reused = c->served > 0, sent = c->sent_any;

    if (c->closed)
        return;
    origin_h1_close(c);
    if (f != NULL)
        origin_fetch_failed(f, err, reused, sent);
}

static void fail_code(struct origin_h1 *c, enum weir_code code, const char *where, int os)
{
    struct weir_err err = {0};

    weir_failf(&err, code, where, os, "%s", c->pool->state->url);
    origin_h1_fail(c, &err);
}

/* The blob of the exchange before serves again when nobody reads it any more: the usual case. */
static void reuse_blob(struct origin_h1 *c)
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

static void reset_exchange(struct origin_h1 *c)
{
    reuse_blob(c);
    origin_h1_send_reset(c);
    c->parsing = c->head_done = false;
    c->interims = 0;
    c->received = 0;
}

void origin_h1_serve(struct origin_h1 *c, struct origin_fetch *f)
{
    c->fetch = f;
    f->work = &c->work;
    reset_exchange(c);
    origin_h1_expect(c, f->up->settings->first_byte_timeout_ms);
    origin_h1_send_start(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct origin_h1 *c = arg;

    (void)fd;
    (void)what;
    net_loop_enter(loop_of(c));
    if (!c->closed && c->fetch != NULL)
        origin_h1_send_more(c);
}

/* While the client is to give more content it is his time that runs, not the origin's. */
static void expect_content(struct origin_h1 *c)
{
    if (c->request_done || c->want_write)
        origin_h1_expect(c, settings_of(c)->read_timeout_ms);
    else
        net_timer_park(&c->timer);
}

/* ---- receiving ---- */

static bool room_to_read(struct origin_h1 *c)
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
static void release(struct origin_h1 *c)
{
    struct origin_fetch *f = c->fetch;
    struct origin_pool *p = c->pool;
    bool surplus = (c->in != NULL && c->in->len > c->in_at) ||
                   ((c->read_full || net_chan_pending(&c->chan)) &&
                    !origin_h1_quiet(c, true)); /* the last read left something behind */
    bool keep = c->framing.keep_alive && c->request_done && !surplus && !c->eof && !c->for_one &&
                c->trust == p->tls &&
                (p->requests_per_connection == 0 || c->served + 1 < p->requests_per_connection) &&
                origin_h1_all_sent(c);

    if (f->request.body != NULL && f->request.body->consumer == c)
        f->request.body->on_data = NULL;
    if (c->paused) { /* nothing is left to hold back */
        c->paused = false;
        event_add(&c->readable, NULL);
    }
    c->served++;
    c->fetch = NULL;
    f->work = NULL;
    if (c->in != NULL && c->in->cap > 2 * READ_FIRST) {
        weir_blob_unref(c->in); /* an idle connection holds little */
        c->in = NULL;
    }
    weir_free(c->own_fields);
    c->own_fields = NULL;
    if (keep)
        origin_pool_put(c);
    else
        origin_h1_close(c);
}

static void complete(struct origin_h1 *c)
{
    struct origin_fetch *f = c->fetch;
    struct weir_blob *bytes =
        c->in != NULL ? weir_blob_ref(c->in) : NULL; /* trailers point into it */

    release(c);
    origin_fetch_ended(f);
    weir_blob_unref(bytes);
}

static bool too_large(const struct origin_h1 *c)
{
    uint64_t max = settings_of(c)->response_max_bytes;

    return max != 0 && c->received > max;
}

/*
 * The last slice. The connection goes back first, so that it is free for whoever is woken by it.
 */
static void deliver_last(struct origin_h1 *c, uint32_t off, uint32_t len)
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
static bool deliver(struct origin_h1 *c, uint32_t off, uint32_t len)
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
static void use_plain(struct origin_h1 *c)
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

static void use_chunked(struct origin_h1 *c)
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
        origin_h1_fail(c, &err);
}

static void begin_content(struct origin_h1 *c)
{
    c->left = c->framing.length;
    if (c->framing.kind == HTTP_BODY_CHUNKED)
        http_chunked_init(&c->chunked, true, c->fetch->request.trailers);
    if (c->framing.kind == HTTP_BODY_NONE ||
        (c->framing.kind == HTTP_BODY_LENGTH && c->framing.length == 0))
        complete(c);
}

/* 101 with the right accept hash, to a request that asked for it: the channel changes hands. */
static void switch_protocols(struct origin_h1 *c)
{
    struct origin_fetch *f = c->fetch;
    struct origin_pool *p = c->pool;
    struct weir_span surplus = weir_span(c->in->bytes + c->in_at, c->in->len - c->in_at);
    struct net_chan chan = c->chan;

    if (!f->request.upgrade || !c->framing.upgrade || !origin_h1_all_sent(c) ||
        !http_websocket_accept_ok(f->request.websocket_key,
                                  http_head_value(&c->head, HTTP_F_SEC_WEBSOCKET_ACCEPT))) {
        fail_code(c, WEIR_E_UPGRADE_FAILED, "origin: upgrade", 0);
        return;
    }
    leave(c);
    c->chan = NET_CHAN_NONE;
    origin_fetch_upgraded(f, chan, &c->head, surplus);
    origin_pool_freed(p);
}

static void use_head(struct origin_h1 *c)
{
    struct weir_err err = {0};
    struct origin_fetch *f = c->fetch;

    c->parsing = false;
    c->in_at += c->parser.consumed;
    if (!http_response_framing(&c->head, f->request.method, &c->framing, &err)) {
        origin_h1_fail(c, &err);
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
        origin_h1_close(c);
        origin_fetch_again(f);
        return;
    }
    expect_content(c);
    origin_fetch_head(f, &c->head, &c->framing);
    if (!c->closed && c->fetch != NULL)
        begin_content(c);
}

static void parse_head(struct origin_h1 *c)
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
        origin_h1_fail(c, &err);
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
static void use_input(struct origin_h1 *c)
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
static void at_eof(struct origin_h1 *c)
{
    c->eof = true;
    if (c->head_done && c->framing.kind == HTTP_BODY_CLOSE)
        complete(c);
    else if (c->head_done || c->parsing)
        fail_code(c, WEIR_E_RESPONSE_TRUNCATED, "origin: response", 0);
    else
        fail_code(c, WEIR_E_ORIGIN_RESET, "origin: closed before its response", 0);
}

static void read_failed(struct origin_h1 *c, int os)
{
    if (os == EPROTO && !c->head_done) { /* an alert, or what is no record at all */
        fail_code(c, WEIR_E_ORIGIN_TLS, "origin: read", os);
        return;
    }
    if (c->head_done || c->parsing)
        fail_code(c, WEIR_E_RESPONSE_TRUNCATED, "origin: response", os);
    else
        fail_code(c, WEIR_E_ORIGIN_RESET, "origin: read", os);
}

/* Under a layer what has come may concern the layer alone (tickets, keys), so it is asked itself; a
 * byte that it gives is lost with the connection. */
static bool layer_quiet(struct origin_h1 *c)
{
    char byte;

    return !net_chan_pending(&c->chan) && net_chan_recv(&c->chan, &byte, 1) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool origin_h1_quiet(struct origin_h1 *c, bool careful)
{
    bool seen = (c->readable.ev_evcallback.evcb_flags & EVLIST_ACTIVE) != 0;
    char byte;

    if (c->chan.layer != NULL)
        return !(seen || careful) || layer_quiet(c);
    if (seen)
        return false; /* this turn's poll has found something already */
    if (!careful)
        return true;
    return recv(c->chan.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

static void read_again(struct net_deferred *d);

/* Of what the layer holds no event will tell. At the end of the turn: others have theirs. */
static void look_again(struct origin_h1 *c)
{
    if (c->closed || c->paused || c->looking || !net_chan_pending(&c->chan))
        return;
    c->looking = true;
    net_defer(loop_of(c), &c->again, read_again);
}

static void read_some(struct origin_h1 *c)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        uint32_t room;
        ssize_t n;

        if (!room_to_read(c)) {
            fail_code(c, WEIR_E_MEMORY, "origin: read", 0);
            return;
        }
        room = c->in->cap - c->in->len;
        n = net_chan_recv(&c->chan, c->in->bytes + c->in->len, room);
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

/* free_conn() was put off after this one, if at all. */
static void read_again(struct net_deferred *d)
{
    struct origin_h1 *c = WEIR_CONTAINER(d, struct origin_h1, again);

    c->looking = false;
    if (!c->closed && !c->paused)
        event_active(&c->readable, EV_READ, 0); /* of the next turn */
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct origin_h1 *c = arg;

    (void)fd;
    (void)what;
    if (c->closed)
        return;
    net_loop_enter(loop_of(c));
    if (c->fetch != NULL)
        read_some(c);
    else if (c->chan.layer == NULL || !layer_quiet(c))
        origin_h1_close(c); /* idle: a byte, an end or an error, all mean that it is over */
    look_again(c);
}

/* ---- what the fetch wants ---- */

static void resume(struct origin_work *w)
{
    struct origin_h1 *c = WEIR_CONTAINER(w, struct origin_h1, work);

    if (!c->paused || c->closed)
        return;
    c->paused = false;
    event_add(&c->readable, NULL);
    expect_content(c);
    look_again(c);
}

static void cancel(struct origin_work *w)
{
    origin_h1_close(WEIR_CONTAINER(w, struct origin_h1, work));
}

/* ---- time-outs ---- */

static void on_timer(struct net_timer *t)
{
    struct origin_h1 *c = WEIR_CONTAINER(t, struct origin_h1, timer);

    if (c->fetch == NULL)
        origin_h1_close(c);
    else if (!c->request_done && c->want_write)
        fail_code(c, WEIR_E_ORIGIN_WRITE_TIMEOUT, "origin: send", 0);
    else
        fail_code(c, WEIR_E_ORIGIN_READ_TIMEOUT, "origin: read", 0);
}
