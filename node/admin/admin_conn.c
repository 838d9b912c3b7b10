#include "admin_conn.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "net_peers.h"

#define IDLE_MS    10000
#define HEAD_MS    10000
#define CONTENT_MS 20000
#define STALL_MS   10000
#define ANSWER_MS  60000
#define LINGER_MS  1000
#define LINGER_MAX (1024 * 1024)
#define BUFFER_MAX 32768 /* that is read ahead; more than a head */

static void take_up(struct admin_conn *c);

/* ---- life ---- */

static void free_conn(struct net_deferred *d)
{
    weir_free(WEIR_CONTAINER(d, struct admin_conn, gone));
}

/* The request under way is answered to nobody; who serves it need not know. */
static void drop_call(struct admin_conn *c)
{
    if (c->call == NULL)
        return;
    c->call->conn = NULL;
    c->call->door = NULL;
    c->call->message = NULL;
    if (c->state == ADMIN_CONN_READING) /* nobody serves it yet */
        admin_call_answer(c->call, 0, NULL, NULL);
    c->call = NULL;
}

void admin_conn_close(struct admin_conn *c)
{
    if (c->at == NULL)
        return;
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    c->at = NULL;
    drop_call(c);
    net_timer_stop(c->door->o.loop, &c->timer);
    net_peers_leave(c->door->peers, &c->peer.address);
    admin_message_clear(&c->message);
    if (c->held != NULL)
        evbuffer_free(c->held);
    bufferevent_free(c->bev);
    net_defer(c->door->o.loop, &c->gone, free_conn);
}

/* What is answered but not sent yet goes as far as the kernel takes it at once. */
static void send_last(struct admin_conn *c)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);

    if (bufferevent_openssl_get_ssl(c->bev) != NULL)
        return;
    evbuffer_unfreeze(out, 1); /* else it is the bufferevent's alone */
    if (c->state == ADMIN_CONN_HOLDING && c->held != NULL)
        evbuffer_add_buffer(out, c->held);
    while (evbuffer_get_length(out) > 0 && evbuffer_write(out, bufferevent_getfd(c->bev)) > 0)
        continue;
}

void admin_conn_end(struct admin_conn *c)
{
    send_last(c);
    admin_conn_close(c);
}

static void due_in(struct admin_conn *c, int64_t ms)
{
    net_timer_start(c->door->o.loop, &c->timer, net_now_ms(c->door->o.loop) + ms);
}

static void expect_request(struct admin_conn *c)
{
    admin_message_init(&c->message);
    c->state = ADMIN_CONN_READING;
    c->idle_since_ms = net_now_ms(c->door->o.loop);
    due_in(c, IDLE_MS);
}

/* ---- answering ---- */

void admin_call_field(struct admin_call *c, const char *name, const char *value)
{
    if (c->fields == NULL)
        c->fields = evbuffer_new();
    if (c->fields != NULL)
        evbuffer_add_printf(c->fields, "%s: %s\r\n", name, value);
}

static bool write_answer(struct admin_call *c, struct evbuffer *out, int status, const char *type,
                         struct evbuffer *content)
{
    struct weir_span reason = http_status_reason(status);
    size_t len = content != NULL ? evbuffer_get_length(content) : 0;

    if (evbuffer_add_printf(out, "HTTP/1.1 %d %.*s\r\nDate: %s\r\nCache-Control: no-store\r\n",
                            status, (int)reason.len, reason.ptr,
                            c->conn->door->o.loop->clock.http_date) < 0 ||
        (type != NULL && evbuffer_add_printf(out, "Content-Type: %s\r\n", type) < 0) ||
        (c->fields != NULL && evbuffer_add_buffer(out, c->fields) != 0) ||
        (c->conn->last && evbuffer_add_printf(out, "Connection: close\r\n") < 0) ||
        evbuffer_add_printf(out, "Content-Length: %zu\r\n\r\n", len) < 0)
        return false;
    return len == 0 || c->head_only || evbuffer_add_buffer(out, content) == 0;
}

static void send_answer(struct admin_conn *c)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);

    if (evbuffer_add_buffer(out, c->held) != 0) {
        admin_conn_close(c);
        return;
    }
    c->state = ADMIN_CONN_ANSWERING;
    c->left = evbuffer_get_length(out);
    c->until_ms = net_now_ms(c->door->o.loop) + ANSWER_MS;
    due_in(c, STALL_MS);
}

static void answer_conn(struct admin_call *call, int status, const char *type,
                        struct evbuffer *content)
{
    struct admin_conn *c = call->conn;
    bool whole = c->message.state == ADMIN_MESSAGE_WHOLE;

    c->call = NULL;
    c->idle_since_ms = 0;
    c->unread = !whole;
    c->last = c->last || !whole || !c->message.keep_alive;
    admin_message_clear(&c->message);
    if (c->held == NULL)
        c->held = evbuffer_new();
    if (c->held == NULL || !write_answer(call, c->held, status, type, content)) {
        admin_conn_close(c);
        return;
    }
    bufferevent_disable(c->bev, EV_READ);
    c->state = ADMIN_CONN_HOLDING;
    if (call->delay_ms > 0)
        due_in(c, call->delay_ms);
    else
        send_answer(c);
}

void admin_call_answer(struct admin_call *c, int status, const char *type, struct evbuffer *content)
{
    if (c->conn != NULL)
        answer_conn(c, status, type, content);
    if (c->fields != NULL)
        evbuffer_free(c->fields);
    weir_free(c);
}

static bool is_tls(const struct admin_conn *c)
{
    return bufferevent_openssl_get_ssl(c->bev) != NULL;
}

/* What a peer still sends would make the kernel reset the connection, and the answer with it: it is
 * read and thrown away for a moment. */
static void finish(struct admin_conn *c)
{
    if (!c->unread) {
        admin_conn_close(c);
        return;
    }
    c->state = ADMIN_CONN_LINGERING;
    if (!is_tls(c))
        shutdown(bufferevent_getfd(c->bev), SHUT_WR);
    due_in(c, LINGER_MS);
    bufferevent_enable(c->bev, EV_READ);
}

static void on_sent(struct bufferevent *bev, void *arg)
{
    struct admin_conn *c = arg;

    (void)bev;
    net_loop_enter(c->door->o.loop);
    if (c->state != ADMIN_CONN_ANSWERING || evbuffer_get_length(bufferevent_get_output(bev)) > 0)
        return;
    if (c->last) {
        finish(c);
        return;
    }
    expect_request(c);
    bufferevent_enable(c->bev, EV_READ);
    take_up(c);
}

/* ---- reading ---- */

static struct admin_call *make_call(struct admin_conn *c)
{
    struct admin_call *call = weir_calloc(1, sizeof *call);

    if (call == NULL)
        return NULL;
    call->conn = c;
    call->door = c->door;
    call->peer = c->peer;
    call->message = &c->message;
    call->head_only = c->message.method == HTTP_M_HEAD;
    c->call = call;
    return call;
}

static void refuse(struct admin_conn *c, int status, const char *text)
{
    struct admin_call *call = c->call != NULL ? c->call : make_call(c);
    struct evbuffer *content = evbuffer_new();

    if (call == NULL || content == NULL || evbuffer_add_printf(content, "{\n \"error\": \"") < 0) {
        admin_conn_close(c);
        goto out;
    }
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x20 && *text != '"' && *text != '\\')
            evbuffer_add(content, text, 1);
    evbuffer_add_printf(content, "\"\n}\n");
    admin_call_answer(call, status, "application/json", content);
out:
    if (content != NULL)
        evbuffer_free(content);
}

/* False: it is answered, or the connection has gone. */
static bool admit(struct admin_conn *c)
{
    if (make_call(c) == NULL) {
        admin_conn_close(c);
        return false;
    }
    due_in(c, CONTENT_MS);
    c->door->o.admit(c->door->o.arg, c->call);
    if (c->at == NULL || c->state != ADMIN_CONN_READING)
        return false;
    if (c->message.expects && c->message.state == ADMIN_MESSAGE_CONTENT)
        bufferevent_write(c->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return true;
}

static void serve(struct admin_conn *c)
{
    struct admin_call *call = c->call;

    c->state = ADMIN_CONN_SERVING;
    bufferevent_disable(c->bev, EV_READ);
    net_timer_stop(c->door->o.loop, &c->timer);
    c->door->o.serve(c->door->o.arg, call);
    if (c->at != NULL && c->call != NULL) /* answered later */
        c->call->message = NULL;
}

/* One step; false: nothing more can be done with what has come. */
static bool take_some(struct admin_conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    size_t len = evbuffer_get_length(in), used;
    const char *bytes = len > 0 ? (const char *)evbuffer_pullup(in, -1) : NULL;

    if (bytes == NULL) {
        if (len > 0)
            admin_conn_close(c);
        return false;
    }
    if (c->idle_since_ms != 0)
        due_in(c, HEAD_MS);
    c->idle_since_ms = 0;
    admin_message_feed(&c->message, bytes, len, &used);
    evbuffer_drain(in, used);
    if (c->message.state == ADMIN_MESSAGE_BAD) {
        refuse(c, c->message.status, c->message.wrong);
        return false;
    }
    if (c->message.state != ADMIN_MESSAGE_HEAD && c->call == NULL && !admit(c))
        return false;
    if (c->message.state == ADMIN_MESSAGE_WHOLE) {
        serve(c);
        return false;
    }
    return used > 0;
}

static void take_up(struct admin_conn *c)
{
    while (take_some(c))
        continue;
}

static void throw_away(struct admin_conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);

    c->lingered += evbuffer_get_length(in);
    evbuffer_drain(in, evbuffer_get_length(in));
    if (c->lingered > LINGER_MAX)
        admin_conn_close(c);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
    struct admin_conn *c = arg;

    (void)bev;
    net_loop_enter(c->door->o.loop);
    if (c->state == ADMIN_CONN_READING)
        take_up(c);
    else if (c->state == ADMIN_CONN_LINGERING)
        throw_away(c);
}

/* ---- what else may happen ---- */

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct admin_conn *c = arg;

    (void)bev;
    net_loop_enter(c->door->o.loop);
    if ((what & BEV_EVENT_CONNECTED) != 0)
        return;                                      /* the handshake is over */
    if ((what & BEV_EVENT_EOF) != 0 && !is_tls(c) && /* libevent writes no more over that one */
        (c->state == ADMIN_CONN_HOLDING || c->state == ADMIN_CONN_ANSWERING)) {
        c->last = true; /* half closed: it may still want the answer */
        return;
    }
    if (is_tls(c) && (what & BEV_EVENT_ERROR) != 0 && bufferevent_get_openssl_error(c->bev) != 0)
        c->door->stats.handshakes_failed++;
    ERR_clear_error();
    admin_conn_close(c);
}

/* Any of the answer taken since the last look? */
static void look_after_answer(struct admin_conn *c)
{
    size_t left = evbuffer_get_length(bufferevent_get_output(c->bev));

    if (left < c->left && net_now_ms(c->door->o.loop) < c->until_ms) {
        c->left = left;
        due_in(c, STALL_MS);
        return;
    }
    c->door->stats.timed_out++;
    admin_conn_close(c);
}

static void on_time(struct net_timer *t)
{
    struct admin_conn *c = WEIR_CONTAINER(t, struct admin_conn, timer);

    if (c->state == ADMIN_CONN_HOLDING) {
        send_answer(c);
    } else if (c->state == ADMIN_CONN_ANSWERING) {
        look_after_answer(c);
    } else if (c->state == ADMIN_CONN_READING && c->idle_since_ms == 0) {
        c->door->stats.timed_out++;
        refuse(c, 408, "the request took too long");
    } else {
        admin_conn_close(c);
    }
}

/* ---- opening ---- */

static struct bufferevent *wrap(struct admin_door *d, int fd)
{
    const int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
    struct bufferevent *bev;
    SSL *ssl;

    if (d->tls == NULL)
        return bufferevent_socket_new(d->o.loop->base, fd, options);
    if ((ssl = SSL_new(d->tls)) == NULL)
        return NULL;
    bev = bufferevent_openssl_socket_new(d->o.loop->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                         options);
    if (bev == NULL)
        SSL_free(ssl);
    else
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

bool admin_conn_open(struct admin_door *d, int fd, const struct admin_peer *peer)
{
    struct admin_conn *c = weir_calloc(1, sizeof *c);

    if (c == NULL || (c->bev = wrap(d, fd)) == NULL) {
        weir_free(c);
        close(fd);
        return false;
    }
    c->door = d;
    c->peer = *peer;
    c->timer.fire = on_time;
    c->next = d->conns;
    c->at = &d->conns;
    if (c->next != NULL)
        c->next->at = &c->next;
    d->conns = c;
    expect_request(c);
    bufferevent_setcb(c->bev, on_readable, on_sent, on_event, c);
    bufferevent_setwatermark(c->bev, EV_READ, 0, BUFFER_MAX);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    return true;
}
