#include "h2_tunnel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "weir/alloc.h"
#include "front_entry.h"
#include "h2_abuse.h"

#define LINGER_MS     2000
#define LEAVE_MS      500  /* a client that does not answer the ping hears the last word now */
#define LOOK_MS       1000 /* how often streams are looked at for what is late */
#define LOOK_LEAST_MS 50
#define READS_MAX     4    /* of a turn, then others have theirs */
#define UNSENT_FRAMES 1000 /* nghttp2 holds: a client that does not read is not read either */

static void push(struct h2_conn *c);
static void on_turn(struct net_deferred *d);

const struct client_settings *h2_conn_settings(const struct h2_conn *c)
{
    return c->server->w->site->site->source.client;
}

const struct h2_settings *h2_conn_http2(const struct h2_conn *c)
{
    const struct h2_settings *s = c->server->w->site->site->source.http2;

    return s != NULL ? s : &h2_settings_usual;
}

/* ---- time ---- */

/* A new one has the time of a first request. */
static int64_t idle_ms(const struct h2_conn *c)
{
    const struct client_settings *s = h2_conn_settings(c);

    return c->first ? s->first_timeout_ms : net_clients_idle_ms(c->server->clients, s);
}

static int64_t shorter(int64_t a, int64_t b)
{
    return b > 0 && b < a ? b : a;
}

/* Often enough for the shortest of the time-outs. */
static int64_t look_ms(const struct h2_conn *c)
{
    const struct client_settings *s = h2_conn_settings(c);
    int64_t least = shorter(shorter(s->head_timeout_ms, s->body_timeout_ms), s->send_timeout_ms);
    int64_t ms = least / 4;

    return ms > LOOK_MS ? LOOK_MS : ms < LOOK_LEAST_MS ? LOOK_LEAST_MS : ms;
}

static void expect(struct h2_conn *c, int64_t due_ms)
{
    if (due_ms == INT64_MAX)
        net_timer_park(&c->timer);
    else
        net_timer_move(h2_loop(c), &c->timer, due_ms);
}

/* Between requests, or not: what the timer waits for. */
static void set_timer(struct h2_conn *c)
{
    int64_t now = net_now_ms(h2_loop(c));
    int64_t due = INT64_MAX;

    if (c->closed || c->lingering)
        return;
    if (c->streams == NULL && c->rest == NULL)
        due = c->idle_due_ms;
    else if (c->look_due_ms == 0)
        due = c->look_due_ms = now + look_ms(c);
    else
        due = c->look_due_ms;
    if (c->leaving == H2_LEAVING && c->leave_due_ms < due)
        due = c->leave_due_ms;
    for (const struct h2_stream *s = c->streams; s != NULL; s = s->next)
        if (s->total_due_ms != 0 && s->total_due_ms < due)
            due = s->total_due_ms;
    expect(c, due);
}

/* ---- idle or not ---- */

void h2_conn_busy(struct h2_conn *c)
{
    c->first = false;
    net_clients_idle(c->server->clients, &c->net, false);
}

static void note_idle(struct h2_conn *c)
{
    bool idle = c->streams == NULL && c->rest == NULL && !c->lingering;

    if (idle == c->net.idle)
        return;
    net_clients_idle(c->server->clients, &c->net, idle);
    if (idle) {
        int64_t ms = idle_ms(c);

        c->look_due_ms = 0;
        c->idle_due_ms = ms > 0 ? net_now_ms(h2_loop(c)) + ms : INT64_MAX;
    }
}

/* ---- events ---- */

static void want_read(struct h2_conn *c, bool on)
{
    if (c->reading == on)
        return;
    c->reading = on;
    if (on)
        event_add(&c->readable, NULL);
    else
        event_del(&c->readable);
}

static void want_write(struct h2_conn *c, bool on)
{
    if (c->writing == on)
        return;
    c->writing = on;
    if (on)
        event_add(&c->writable, NULL);
    else
        event_del(&c->writable);
}

/* ---- closing ---- */

/* Where memory failed in it, nghttp2 may not look at its own structures any more. */
static void end_session(struct h2_conn *c)
{
    if (!c->memory.failed)
        nghttp2_session_del(c->session);
    h2_memory_drop(&c->memory);
}

static void free_conn(struct h2_conn *c)
{
    while (c->streams != NULL)
        h2_stream_end(c->streams, false);
    fetch_owed_forget(&c->owed);
    end_session(c);
    weir_free(c->rest);
    net_chan_close(&c->net.chan, false);
    front_entry_unref(c->net.entry);
    weir_free(c);
}

/* The last one of what was put off frees. */
static void let_go(struct h2_conn *c)
{
    if (c->closed && !c->turn_due && !c->again_due)
        free_conn(c);
}

static void close_now(struct h2_conn *c, bool reset)
{
    if (c->closed)
        return;
    c->closed = true;
    want_read(c, false);
    want_write(c, false);
    net_timer_stop(h2_loop(c), &c->timer);
    for (struct h2_stream *s = c->streams; s != NULL; s = s->next)
        if (h2_body_expected(s))
            h2_body_fail(s, WEIR_E_CLIENT_GONE);
    h2_abuse_end(c);
    net_chan_hang_up(&c->net.chan, reset); /* the log may ask the layer yet */
    net_clients_leave(c->server->clients, &c->net);
    weir_metric_add(c->server->w->metrics, WEIR_M_h2_connections_open, -1);
    if (!c->turn_due && !c->again_due) {
        c->turn_due = true;
        net_defer(h2_loop(c), &c->turn, on_turn);
    }
}

/* In good order the client hears it, as far as the socket takes it. */
static void op_close(struct net_client *n, bool reset)
{
    struct h2_conn *c = (struct h2_conn *)(void *)n;

    if (!reset && !c->closed && !c->busy && c->leaving != H2_LAST && c->streams == NULL) {
        h2_conn_last_word(c);
        push(c);
    }
    close_now(c, reset);
}

void h2_conn_close(struct h2_conn *c, bool reset)
{
    close_now(c, reset);
}

/* Our side is done, but closing with unread bytes would reset the last frames away. */
static void linger(struct h2_conn *c)
{
    if (c->lingering)
        return;
    c->lingering = true;
    while (c->streams != NULL)
        h2_stream_end(c->streams, false);
    net_clients_idle(c->server->clients, &c->net, false);
    want_write(c, false);
    net_chan_shutdown(&c->net.chan);
    want_read(c, true);
    expect(c, net_now_ms(h2_loop(c)) + LINGER_MS);
}

void h2_conn_fail(struct h2_conn *c, uint32_t error_code, const char *why)
{
    if (c->closed || c->lingering)
        return;
    if (c->failed)
        return;
    c->failed = true;
    c->leaving = H2_LAST;
    if (nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(c->session), error_code,
                              (const uint8_t *)why, strlen(why)) != 0)
        close_now(c, true);
    h2_conn_wake(c);
}

/* ---- leaving ---- */

void h2_conn_leave(struct h2_conn *c)
{
    if (c->closed || c->leaving != H2_STAYS)
        return;
    c->leaving = H2_LEAVING;
    c->leave_due_ms = net_now_ms(h2_loop(c)) + LEAVE_MS;
    if (nghttp2_submit_shutdown_notice(c->session) != 0 ||
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL) != 0)
        h2_conn_last_word(c);
    h2_conn_wake(c);
}

void h2_conn_last_word(struct h2_conn *c)
{
    if (c->closed || c->leaving == H2_LAST)
        return;
    c->leaving = H2_LAST;
    if (nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
                              NULL, 0) != 0)
        close_now(c, true);
    h2_conn_wake(c);
}

static void op_drain(struct net_client *n)
{
    struct h2_conn *c = (struct h2_conn *)(void *)n;

    c->drains = true;
    h2_conn_leave(c);
}

/* ---- writing ---- */

/* Streams that nghttp2 is done with, and whose bytes nothing refers to any more. */
static void end_closed(struct h2_conn *c)
{
    struct h2_stream **at = &c->closing, *s;

    while ((s = *at) != NULL) {
        if (s->out_ended && c->rest != NULL) { /* not all of it is out */
            at = &s->next_closing;
            continue;
        }
        *at = s->next_closing;
        h2_stream_end(s, s->out_ended);
    }
}

static void keep_progress(struct h2_conn *c, size_t n)
{
    c->progress_ms = net_now_ms(h2_loop(c));
    weir_metric_add(c->server->w->metrics, WEIR_M_bytes_out, (int64_t)n);
}

/* Sends what was kept. 1: all out; 0: the socket is full; -1: broken. */
static int send_rest(struct h2_conn *c)
{
    while (c->rest != NULL) {
        struct iovec v = {c->rest + c->rest_at, c->rest_len - c->rest_at};
        ssize_t n = net_chan_send(&c->net.chan, &v, 1);

        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (n < 0 && errno != EINTR)
            return -1;
        if (n < 0)
            continue;
        keep_progress(c, (size_t)n);
        c->rest_at += (uint32_t)n;
        if (c->rest_at == c->rest_len) {
            weir_free(c->rest);
            c->rest = NULL;
        }
    }
    return net_chan_unsent(&c->net.chan) ? net_chan_flush(&c->net.chan) : 1;
}

static bool keep_rest(struct h2_conn *c, const struct h2_out *o, size_t sent)
{
    size_t left = o->bytes - sent;
    char *to = c->rest = weir_malloc(left);

    if (to == NULL)
        return false;
    c->rest_at = 0;
    c->rest_len = (uint32_t)left;
    for (unsigned i = 0; i < o->iov_count; i++) {
        size_t skip = sent < o->iov[i].iov_len ? sent : o->iov[i].iov_len;

        memcpy(to, (const char *)o->iov[i].iov_base + skip, o->iov[i].iov_len - skip);
        to += o->iov[i].iov_len - skip;
        sent -= skip;
    }
    return true;
}

static int send_out(struct h2_conn *c, const struct h2_out *o)
{
    ssize_t n;
    int out;

    do
        n = net_chan_send(&c->net.chan, o->iov, o->iov_count);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return -1;
    if (n > 0)
        keep_progress(c, (size_t)n);
    if (n == (ssize_t)o->bytes) {
        c->slow = false;
        return net_chan_unsent(&c->net.chan) ? net_chan_flush(&c->net.chan) : 1;
    }
    if (!keep_rest(c, o, n > 0 ? (size_t)n : 0))
        return -1;
    /* That a layer took a part and got rid of it says nothing of the client. */
    out = n > 0 && c->net.chan.layer != NULL && !net_chan_unsent(&c->net.chan) ? send_rest(c) : 0;
    c->slow = out == 0;
    return out;
}

/* The frames that nghttp2 has now. false: it gave up. */
static bool gather(struct h2_conn *c, struct h2_out *o)
{
    bool ok = true;

    c->busy = true;
    c->memory.making = false;
    h2_out_begin(o, c->slow ? H2_ROUND_SLOW : H2_ROUND_BYTES);
    while (h2_out_room(o)) {
        const uint8_t *frame;
        ssize_t n = nghttp2_session_mem_send(c->session, &frame);

        if (n <= 0) {
            ok = n == 0;
            break;
        }
        h2_out_copy(o, frame, (size_t)n);
    }
    c->busy = false;
    h2_memory_frame_over(&c->server->memory);
    return ok && !c->memory.failed;
}

/* One write for all there is, or several; nothing is pulled while the socket is full. */
static bool write_all(struct h2_conn *c)
{
    struct h2_out *o = c->server->out;
    int out = send_rest(c);

    while (out > 0) {
        bool ok = gather(c, o) && !c->closed;

        if (ok && o->bytes == 0) {
            want_write(c, false);
            return true;
        }
        out = ok ? send_out(c, o) : -1;
        h2_out_end(o);
        if (out >= 0)
            end_closed(c);
    }
    want_write(c, out == 0);
    return out == 0;
}

/* A tunnel whose stream nghttp2 is done with: its bytes must reach the origin yet. */
static bool delivers(const struct h2_conn *c)
{
    for (const struct h2_stream *s = c->streams; s != NULL; s = s->next)
        if (s->closed && h2_tunnel_delivers(s))
            return true;
    return false;
}

static bool is_over(const struct h2_conn *c)
{
    if (c->rest != NULL || net_chan_unsent(&c->net.chan))
        return false;
    return c->failed || (c->leaving == H2_LAST && c->streams == NULL) ||
           (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session) &&
            !delivers(c));
}

/* Sends what can be sent, and settles what follows from it. */
static void push(struct h2_conn *c)
{
    if (c->closed || c->lingering)
        return;
    if (c->memory.failed || !write_all(c)) {
        close_now(c, true);
        return;
    }
    end_closed(c);
    c->cut = 0;
    note_idle(c);
    if (is_over(c)) {
        linger(c);
        return;
    }
    want_read(c, c->rest == NULL ||
                     nghttp2_session_get_outbound_queue_size(c->session) < UNSENT_FRAMES);
    set_timer(c);
}

static void on_turn(struct net_deferred *d)
{
    struct h2_conn *c = WEIR_CONTAINER(d, struct h2_conn, turn);

    c->turn_due = false;
    if (c->closed)
        let_go(c);
    else
        push(c);
}

void h2_conn_wake(struct h2_conn *c)
{
    if (c->closed || c->busy || c->turn_due || c->lingering)
        return;
    c->turn_due = true;
    net_defer(h2_loop(c), &c->turn, on_turn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct h2_conn *c = arg;

    (void)fd;
    (void)what;
    net_loop_enter(h2_loop(c));
    push(c);
}

/* ---- reading ---- */

/* false: what follows makes no sense, or memory is short. */
static bool feed(struct h2_conn *c, const char *bytes, size_t len)
{
    ssize_t n;

    c->busy = true;
    n = nghttp2_session_mem_recv(c->session, (const uint8_t *)bytes, len);
    c->busy = false;
    if (n == NGHTTP2_ERR_FLOODED)
        h2_conn_fail(c, NGHTTP2_ENHANCE_YOUR_CALM, "too many frames");
    if (c->memory.failed)
        return false;
    if (n < 0)
        return c->failed;
    if (c->heading != NULL && !h2_stream_keep_fields(c->heading, c->server->w->field_cap))
        return false;
    return true;
}

static bool read_and_drop(struct h2_conn *c)
{
    ssize_t n = net_chan_recv(&c->net.chan, c->server->in, H2_READ_BYTES);

    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_again(struct net_deferred *d);

/* Of what a layer holds no event will tell. In the next turn: other connections have theirs. */
static void look_for_more(struct h2_conn *c)
{
    if (c->closed || !c->reading || c->again_due || !net_chan_pending(&c->net.chan))
        return;
    c->again_due = true;
    net_defer(h2_loop(c), &c->again, on_again);
}

/* Once, or as long as a layer holds more that no event would tell of. */
static void read_some(struct h2_conn *c)
{
    for (unsigned i = 0; i < READS_MAX; i++) {
        ssize_t n = net_chan_recv(&c->net.chan, c->server->in, H2_READ_BYTES);

        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return;
        if (n <= 0) {
            close_now(c, n < 0);
            return;
        }
        weir_metric_add(c->server->w->metrics, WEIR_M_bytes_in, n);
        if (!feed(c, c->server->in, (size_t)n)) {
            close_now(c, true);
            return;
        }
        if (c->closed || c->failed || !net_chan_pending(&c->net.chan))
            return;
    }
}

static void read_more(struct h2_conn *c)
{
    if (!c->lingering) {
        read_some(c);
        push(c);
    } else if (!read_and_drop(c)) {
        close_now(c, false);
    }
    look_for_more(c);
}

static void on_again(struct net_deferred *d)
{
    struct h2_conn *c = WEIR_CONTAINER(d, struct h2_conn, again);

    c->again_due = false;
    if (c->closed)
        let_go(c);
    else if (c->reading)
        read_more(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct h2_conn *c = arg;

    (void)fd;
    (void)what;
    net_loop_enter(h2_loop(c));
    read_more(c);
}

/* ---- time-outs ---- */

/* The socket has taken nothing for too long. */
static bool stuck(const struct h2_conn *c, int64_t now)
{
    int64_t ms = h2_conn_settings(c)->send_timeout_ms;

    return c->writing && ms > 0 && now - c->progress_ms >= ms;
}

static void look(struct h2_conn *c, int64_t now)
{
    int64_t dt = now - c->looked_ms;
    struct h2_stream *next;

    unsigned stalled = 0;

    c->looked_ms = now;
    c->look_due_ms = 0;
    for (struct h2_stream *s = c->streams; s != NULL && !c->closed; s = next) {
        next = s->next;
        stalled += !s->ending && h2_stream_stalled(s);
        if (!s->ending)
            h2_stream_look(s, now, dt < LOOK_MS * 2 ? dt : LOOK_MS);
    }
    if (stalled > 0)
        h2_abuse_stalled(c, stalled);
}

static void on_timer(struct net_timer *t)
{
    struct h2_conn *c = WEIR_CONTAINER(t, struct h2_conn, timer);
    int64_t now = net_now_ms(h2_loop(c));

    if (c->lingering || stuck(c, now)) {
        close_now(c, !c->lingering);
        return;
    }
    if (c->leaving == H2_LEAVING && now >= c->leave_due_ms)
        h2_conn_last_word(c);
    if (c->streams == NULL && c->rest == NULL && now >= c->idle_due_ms)
        h2_conn_last_word(c);
    look(c, now);
    push(c);
}

/* ---- the beginning ---- */

static void op_polite(struct net_client *n)
{
    h2_conn_leave((struct h2_conn *)(void *)n);
}

static const struct net_client_ops client_ops = {op_close, op_drain, op_polite};

static bool submit_settings(struct h2_conn *c)
{
    const struct h2_settings *h = h2_conn_http2(c);
    const struct http_parse_limits *limits = &c->server->w->site->site->limits;
    const nghttp2_settings_entry entry[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->stream_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->head_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    return nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, entry,
                                   sizeof entry / sizeof entry[0]) == 0 &&
           nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)h->connection_window_bytes) == 0;
}

struct h2_conn *h2_conn_new(struct h2_server *server)
{
    struct h2_conn *c = weir_calloc(1, sizeof *c);
    nghttp2_mem mem;

    if (c == NULL)
        return NULL;
    mem = h2_memory_of(&c->memory, &server->memory);
    c->net.ops = &client_ops;
    c->server = server;
    c->timer.fire = on_timer;
    c->first = true;
    if (nghttp2_session_server_new3(&c->session, server->callbacks, c, server->option, &mem) != 0 ||
        !submit_settings(c)) {
        end_session(c);
        weir_free(c);
        return NULL;
    }
    return c;
}

void h2_conn_begin(struct h2_conn *c, struct weir_span early)
{
    struct event_base *base = h2_loop(c)->base;
    int fd = c->net.chan.fd;

    event_assign(&c->readable, base, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    want_read(c, true);
    c->progress_ms = c->looked_ms = net_now_ms(h2_loop(c));
    note_idle(c);
    set_timer(c);
    weir_metric_add(c->server->w->metrics, WEIR_M_h2_connections, 1);
    weir_metric_add(c->server->w->metrics, WEIR_M_h2_connections_open, 1);
    if (c->server->clients->polite)
        op_drain(&c->net);
    h2_abuse_begin(c);
    if (early.len > 0 && !feed(c, early.ptr, early.len)) {
        close_now(c, true);
        return;
    }
    look_for_more(c);
    h2_conn_wake(c);
}
