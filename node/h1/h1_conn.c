#include "h1_conn.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "front_entry.h"

#define FREE_STREAMS_MAX 256
#define LINGER_MS        2000
#define LAST_CHANCE_MS   500   /* for the first request on a connection of a node that drains */
#define EARLY_MAX        65536 /* bytes of early requests that are kept; then reading pauses */

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_timer(struct net_timer *t);
static void take_input(struct h1_conn *c, char *buf, size_t len);

static struct exchange_worker *worker_of(const struct h1_conn *c)
{
    return c->server->w;
}

static struct net_loop *loop_of(const struct h1_conn *c)
{
    return c->server->w->loop;
}

/* What is in force for a connection between requests: the newest settings. */
static const struct client_settings *settings_of(const struct h1_conn *c)
{
    const struct site_worker *site = c->stream != NULL ? c->stream->x.site : worker_of(c)->site;

    return site->site->source.client;
}

/* ---- small parts ---- */

void h1_conn_expect(struct h1_conn *c, enum h1_wait wait, int64_t ms)
{
    int64_t now = net_now_ms(loop_of(c));
    int64_t due = ms > 0 ? now + ms : INT64_MAX;
    int64_t total = c->stream != NULL ? c->stream->total_due_ms : 0;

    if (c->closed) /* the timer was stopped for good */
        return;
    c->wait = (uint8_t)wait;
    if (total != 0 && due > total)
        due = total;
    if (due == INT64_MAX)
        net_timer_park(&c->timer);
    else
        net_timer_move(loop_of(c), &c->timer, due);
}

static void free_conn(struct net_deferred *d);

static void read_again(struct net_deferred *d)
{
    struct h1_conn *c = WEIR_CONTAINER(d, struct h1_conn, later);

    c->again = false;
    if (c->closed)
        net_defer(loop_of(c), &c->later, free_conn); /* as if it had only now been put off */
    else if (c->reading)
        event_active(&c->readable, EV_READ, 0);
}

/* Of what a layer holds no event will tell. In the next turn: other connections have theirs. */
static void look_for_more(struct h1_conn *c)
{
    if (!c->reading || c->again || !net_chan_pending(&c->client.chan))
        return;
    c->again = true;
    net_defer(loop_of(c), &c->later, read_again);
}

void h1_conn_read(struct h1_conn *c, bool on)
{
    if (c->reading == on || c->closed)
        return;
    c->reading = on;
    if (on) {
        event_add(&c->readable, NULL);
        look_for_more(c);
    } else {
        event_del(&c->readable);
    }
}

bool h1_conn_keep(struct h1_conn *c, const char *bytes, size_t len)
{
    if (c->in == NULL || c->in_len + len > c->in_cap) {
        size_t cap = c->in_cap == 0 ? 4096 : c->in_cap;
        char *in;

        while (cap < c->in_len + len)
            cap *= 2;
        in = weir_realloc(c->in, cap);
        if (in == NULL)
            return false;
        c->in = in;
        c->in_cap = (uint32_t)cap;
    }
    memcpy(c->in + c->in_len, bytes, len);
    c->in_len += (uint32_t)len;
    return true;
}

static void drop_input(struct h1_conn *c)
{
    weir_free(c->in);
    c->in = NULL;
    c->in_len = c->in_cap = 0;
}

static void set_idle(struct h1_conn *c, bool idle)
{
    net_clients_idle(c->server->clients, &c->client, idle);
}

/* ---- streams ---- */

static struct h1_stream *stream_new(struct h1_conn *c)
{
    struct h1_server *server = c->server;
    struct h1_stream *s = server->free_streams;

    if (s != NULL) {
        server->free_streams = s->next_free;
        server->free_count--;
    } else {
        s = weir_malloc(sizeof *s);
        if (s == NULL)
            return NULL;
        exchange_init(&s->x, server->w);
    }
    s->conn = c;
    s->own_fields = s->counted_wait = s->chunks_begun = false;
    s->total_due_ms = 0;
    s->body_blob = NULL;
    s->body_at = 0;
    s->body_left = s->body_bytes = 0;
    s->body_done = s->body_dropped = false;
    s->wait_ms = 0;
    exchange_open(&s->x, &h1_client, &c->client.peer, loop_of(c)->clock.mono_us);
    s->x.connection = &c->client;
    s->x.tls = c->client.tls;
    s->x.entry = c->client.entry;
    s->x.secure = c->client.tls != NULL;
    http_parser_init(&s->parser);
    h1_send_begin(s);
    return s;
}

static void stream_end(struct h1_stream *s, bool complete)
{
    struct h1_server *server = s->conn->server;

    s->conn->stream = NULL;
    exchange_close(&s->x, complete);
    h1_body_end(s);
    h1_send_end(s);
    if (server->free_count >= FREE_STREAMS_MAX) {
        exchange_free(&s->x);
        weir_free(s);
        return;
    }
    s->next_free = server->free_streams;
    server->free_streams = s;
    server->free_count++;
}

/* ---- opening and closing ---- */

static void close_client(struct net_client *client, bool reset);
static void drain_client(struct net_client *client);

/* What is polite goes into the next answer. */
static const struct net_client_ops client_ops = {close_client, drain_client, NULL};

struct h1_conn *h1_conn_new(struct h1_server *server)
{
    struct h1_conn *c = weir_calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->server = server;
    c->client.ops = &client_ops;
    c->client.chan = NET_CHAN_NONE;
    c->timer.fire = on_timer;
    return c;
}

void h1_conn_begin(struct h1_conn *c)
{
    bool draining = c->server->clients->draining;

    event_assign(&c->readable, loop_of(c)->base, c->client.chan.fd, EV_READ | EV_PERSIST,
                 on_readable, c);
    set_idle(c, true);
    h1_conn_expect(c, H1_FIRST, draining ? LAST_CHANCE_MS : settings_of(c)->first_timeout_ms);
    h1_conn_read(c, true);
    if (c->in_len > 0)
        take_input(c, c->in, c->in_len);
}

static void free_conn(struct net_deferred *d)
{
    struct h1_conn *c = WEIR_CONTAINER(d, struct h1_conn, later);

    if (c->stream != NULL)
        stream_end(c->stream, false);
    drop_input(c);
    net_chan_close(&c->client.chan, false);
    front_entry_unref(c->client.entry);
    weir_free(c);
}

void h1_conn_close(struct h1_conn *c, bool reset)
{
    if (c->closed)
        return;
    if (c->tunnel != NULL) { /* comes back through the tunnel's end */
        net_tunnel_abort(c->tunnel);
        return;
    }
    h1_conn_read(c, false);
    c->closed = true;
    net_timer_stop(loop_of(c), &c->timer);
    if (c->stream !=
        NULL) { /* nothing more may be sent or awaited; the rest at the end of the turn */
        h1_send_end(c->stream);
        if (c->stream->x.body != NULL && !c->stream->body_done)
            h1_body_fail(c->stream, WEIR_E_CLIENT_GONE);
    }
    net_chan_hang_up(&c->client.chan, reset); /* the log may ask the layer yet */
    if (!c->again)
        net_defer(loop_of(c), &c->later, free_conn);
    net_clients_leave(c->server->clients, &c->client);
}

static void close_client(struct net_client *client, bool reset)
{
    h1_conn_close(WEIR_CONTAINER(client, struct h1_conn, client), reset);
}

/* Our side is done, but closing with unread bytes would reset the reply away: read and drop for a
 * while. */
static void linger(struct h1_conn *c)
{
    drop_input(c);
    set_idle(c, false);
    net_chan_shutdown(&c->client.chan);
    h1_conn_read(c, true);
    h1_conn_expect(c, H1_LINGER, LINGER_MS);
}

/* Has it sent what has not been read? Under a layer this need not be a request. */
static bool has_sent(const struct h1_conn *c)
{
    char byte;

    return net_chan_pending(&c->client.chan) ||
           recv(c->client.chan.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * Closing what has unread bytes would reset it, and its request was sent in good faith. Who has
 * just connected is about to ask; who was served before knows that a kept connection may close.
 */
static void drain_client(struct net_client *client)
{
    struct h1_conn *c = WEIR_CONTAINER(client, struct h1_conn, client);
    bool sent;

    if (!client->idle)
        return;
    errno = 0;
    sent = has_sent(c);
    if (sent && client->chan.layer == NULL)
        return;
    if (sent || (c->wait == H1_FIRST && errno == EAGAIN))
        h1_conn_expect(c, (enum h1_wait)c->wait, LAST_CHANCE_MS);
    else
        h1_conn_close(c, false);
}

static void become_idle(struct h1_conn *c)
{
    drop_input(c);
    if (c->server->clients->draining) {
        h1_conn_close(c, false);
        return;
    }
    set_idle(c, true);
    h1_conn_read(c, true);
    h1_conn_expect(c, H1_IDLE, net_clients_idle_ms(c->server->clients, settings_of(c)));
}

void h1_conn_response_done(struct h1_stream *s)
{
    struct h1_conn *c = s->conn;
    bool close_after = s->close_after || h1_body_expected(s) || s->body_dropped;
    /* A client that does not know yet that we close may have sent its next request already. */
    bool unread = c->wait == H1_LINGER || h1_body_expected(s) || s->body_dropped || c->in_len > 0 ||
                  !s->x.started || s->x.framing.keep_alive;

    stream_end(s, true);
    if (c->closed)
        return;
    if (close_after) {
        if (unread)
            linger(c);
        else
            h1_conn_close(c, false);
        return;
    }
    if (c->processing)
        return; /* take_input() goes on */
    if (c->in_len > 0) {
        char *buf = c->in;
        uint32_t len = c->in_len;

        h1_conn_read(c, true);
        take_input(c, buf, len);
    } else {
        become_idle(c);
    }
}

/* ---- input ---- */

static void refuse(struct h1_stream *s, const struct weir_err *err)
{
    s->close_after = true;
    s->body_dropped = true; /* whatever follows is not read as a request (security 1.7) */
    exchange_refuse(&s->x, err);
}

/* The whole exchange's time: the route's, or else the client settings'. */
static void limit_total(struct h1_stream *s)
{
    int64_t total = s->x.route != NULL ? s->x.route->settings->total_timeout_ms : 0;

    if (total == 0)
        total = settings_of(s->conn)->total_timeout_ms;
    if (total == 0)
        return;
    s->total_due_ms = net_now_ms(loop_of(s->conn)) + total;
    if (s->conn->wait == H1_RESPONSE)
        h1_conn_expect(s->conn, H1_RESPONSE, 0);
}

/* The head is whole: judge its framing and start. Returns the bytes of `rest` that are content. */
static size_t start_request(struct h1_stream *s, char *buf, const char *rest, size_t rest_len)
{
    struct weir_exchange *x = &s->x;
    struct h1_conn *c = s->conn;
    struct weir_err err = {0};
    size_t used = 0;

    x->raw = weir_span(buf, s->parser.consumed);
    x->protocol = "HTTP/1.1";
    c->requests++;
    if (!http_request_framing(&x->req, &x->framing, &err)) {
        refuse(s, &err);
        return rest_len;
    }
    h1_conn_expect(c, H1_RESPONSE, 0);
    if (x->framing.kind == HTTP_BODY_CHUNKED ||
        (x->framing.kind == HTTP_BODY_LENGTH && x->framing.length > 0))
        h1_body_begin(s);
    exchange_start(x);
    if (c->stream != s || c->closed)
        return 0;
    /* Not over in this turn: the receive buffer is about to be used again. */
    if (!exchange_hold(x)) {
        h1_conn_close(c, true);
        return 0;
    }
    limit_total(s);
    if (h1_body_expected(s))
        used = h1_body_feed(s, rest, rest_len);
    return used;
}

/* Moves what is left to the front of c->in. */
static bool keep_rest(struct h1_conn *c, const char *rest, size_t len)
{
    if (len == 0) {
        drop_input(c);
        return true;
    }
    if (c->in != NULL && rest >= c->in && rest < c->in + c->in_cap) {
        memmove(c->in, rest, len);
        c->in_len = (uint32_t)len;
        return true;
    }
    c->in_len = 0; /* rest lies in the scratch buffer: what was kept before it is used up */
    return h1_conn_keep(c, rest, len);
}

/* An unfinished head waits in c->in, its fields in the exchange's arena. */
static bool keep_head(struct h1_conn *c, const char *buf, size_t len)
{
    struct h1_stream *s = c->stream;
    struct weir_exchange *x = &s->x;

    if (!keep_rest(c, buf, len))
        return false;
    if (!s->own_fields) {
        struct http_field *own = weir_arena_alloc(&x->arena, x->w->field_cap * sizeof *own);

        if (own == NULL)
            return false;
        memcpy(own, x->req.fields, x->req.count * sizeof *own);
        x->req.fields = own;
        s->own_fields = true;
    }
    if (s->parser.began && c->wait != H1_HEAD)
        h1_conn_expect(c, H1_HEAD, settings_of(c)->head_timeout_ms);
    else if (!s->parser.began && c->wait != H1_FIRST && c->wait != H1_IDLE)
        h1_conn_expect(c, H1_IDLE,
                       settings_of(c)->idle_timeout_ms); /* empty lines behind a request */
    return true;
}

/*
 * Serves the requests that begin in buf, which is the scratch buffer or c->in: as many as can be
 * answered at once, then keeps what is left.
 */
static void take_input(struct h1_conn *c, char *buf, size_t len)
{
    c->processing = true;
    while (len > 0 && !c->closed) {
        struct weir_err err = {0};
        struct h1_stream *s = c->stream;
        size_t used;

        if (s == NULL) {
            set_idle(c, false);
            s = c->stream = stream_new(c);
            if (s == NULL) {
                h1_conn_close(c, true);
                break;
            }
        }
        switch (
            http_parse_request(&s->parser, &s->x.site->site->limits, &s->x.req, buf, len, &err)) {
        case HTTP_MORE:
            c->processing = false;
            if (!keep_head(c, buf, len))
                h1_conn_close(c, true);
            return;
        case HTTP_BAD:
            c->processing = false;
            c->wait = H1_LINGER; /* there may be more of it on the way */
            refuse(s, &err);     /* reads the head so far: the bytes go with the connection */
            return;
        case HTTP_PARSED:
            break;
        }
        used = s->parser.consumed;
        used += start_request(s, buf, buf + used, len - used);
        buf += used;
        len -= used;
        if (c->stream != NULL || c->wait == H1_LINGER)
            break; /* busy, or ending: what is left waits or is dropped */
    }
    c->processing = false;
    if (c->closed)
        return;
    if (c->wait == H1_LINGER && c->stream == NULL)
        return;
    if (c->stream == NULL)
        become_idle(c);
    else if (!keep_rest(c, buf, len))
        h1_conn_close(c, true);
}

/* Drops what arrives after our last word, until the client ends too. */
static void read_and_drop(struct h1_conn *c)
{
    ssize_t n = net_chan_recv(&c->client.chan, c->server->scratch, H1_READ_BYTES);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        h1_conn_close(c, false);
}

/* A request is being served, its content is complete: early requests, or the client leaves. */
static void read_early(struct h1_conn *c)
{
    ssize_t n = net_chan_recv(&c->client.chan, c->server->scratch, H1_READ_BYTES);

    if (n > 0) {
        weir_metric_add(worker_of(c)->metrics, WEIR_M_bytes_in, n);
        if (!h1_conn_keep(c, c->server->scratch, (size_t)n))
            h1_conn_close(c, true);
        else if (c->in_len >= EARLY_MAX)
            h1_conn_read(c, false);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* What is answered from the store is finished for a client that only closed its own side. */
    if (n == 0 && c->stream->x.responded && body_at_hand(&c->stream->x.response.body)) {
        c->stream->close_after = true;
        h1_conn_read(c, false);
        return;
    }
    h1_conn_close(c, n < 0);
}

static void read_some(struct h1_conn *c)
{
    char *scratch = c->server->scratch;
    ssize_t n;

    if (c->wait == H1_LINGER && c->stream == NULL) {
        read_and_drop(c);
        return;
    }
    if (c->stream != NULL && c->stream->x.responded + c->stream->x.started > 0) {
        if (h1_body_expected(c->stream))
            h1_body_readable(c->stream);
        else if (c->stream->body_dropped)
            read_and_drop(c);
        else
            read_early(c);
        return;
    }
    n = net_chan_recv(&c->client.chan, scratch, H1_READ_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        h1_conn_close(c, false);
        return;
    }
    weir_metric_add(worker_of(c)->metrics, WEIR_M_bytes_in, n);
    if (c->in_len == 0) {
        take_input(c, scratch, (size_t)n);
    } else if (h1_conn_keep(c, scratch, (size_t)n)) {
        take_input(c, c->in, c->in_len);
    } else {
        h1_conn_close(c, true);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct h1_conn *c = arg;

    (void)fd;
    (void)what;
    net_loop_enter(loop_of(c));
    read_some(c);
    if (net_chan_pending(&c->client.chan)) /* what was not asked for, or did not fit */
        look_for_more(c);
}

/* ---- time-outs ---- */

static bool total_is_over(const struct h1_conn *c)
{
    return c->stream != NULL && c->stream->total_due_ms != 0 &&
           net_now_ms(loop_of(c)) >= c->stream->total_due_ms;
}

static void on_timer(struct net_timer *t)
{
    struct h1_conn *c = WEIR_CONTAINER(t, struct h1_conn, timer);
    struct weir_err late = {.code = WEIR_E_CLIENT_TIMEOUT, .where = "h1: request head"};

    if (total_is_over(c)) {
        c->stream->total_due_ms = 0;
        if (c->stream->x.waiting)
            exchange_time_out(&c->stream->x);
        else
            h1_conn_close(c, true); /* the message breaks off, and must be seen to */
        return;
    }
    switch ((enum h1_wait)c->wait) {
    case H1_FIRST:
    case H1_IDLE:
    case H1_LINGER:
        h1_conn_close(c, false);
        break;
    case H1_HEAD:
        c->wait = H1_LINGER;
        http_head_rebase(&c->stream->x.req, (const char *)c->stream->parser.base, c->in_len, c->in);
        refuse(c->stream, &late);
        break;
    case H1_BODY:
        h1_body_fail(c->stream, WEIR_E_CLIENT_TIMEOUT);
        break;
    case H1_SEND:
        h1_conn_close(c, true);
        break;
    case H1_RESPONSE:
        break;
    }
}
