/* Fetches against scripted origins on loopback, all in one loop. */
#include "origin_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "net_addr.h"
#include "origin_names.h"
#include "origin_pool.h"
#include "origin_state.h"

#define ORIGINS     2
#define CONNS       8
#define WATCHDOG_MS 20000

/* ---- origins ---- */

/* What an origin does with a request (or, with an empty `reply`, in place of an answer). */
struct script {
    const char *reply;
    size_t first; /* send so many bytes now, the rest a turn later; 0: all at once */
    bool close, reset;
    bool at_once; /* without waiting for the request's content */
};

struct world;

struct conn {
    struct world *w;
    struct event event;
    int fd;
    char in[16384];
    size_t in_len;
    const struct script *script;
    size_t sent;
};

struct server {
    struct world *w;
    int fd;
    uint16_t port;
    struct event event;
    unsigned accepted;
};

struct world {
    struct net_loop loop;
    struct net_timer watchdog;
    bool late;
    struct server server[ORIGINS];
    struct conn conn[CONNS];
    unsigned conns, gone; /* of the origins' side: ever; ended by us */
    const struct script *script;
    unsigned scripts, next;
    char seen[32768]; /* all bytes the origins got */
    size_t seen_len;

    _Alignas(64) struct weir_metrics metrics;
    struct origin_client client;
    struct origin_registry *registry;
    struct upstream_settings settings;
    struct origin_settings origins[ORIGINS];
    char url[ORIGINS][40];
    struct origin_state *states[ORIGINS];
    struct origin_names *names[ORIGINS];
    struct origin_upstream *up;
};

static void on_conn(evutil_socket_t fd, short what, void *arg);

static void watch(struct conn *c)
{
    event_del(&c->event);
    event_assign(&c->event, c->w->loop.base, c->fd,
                 (short)(EV_READ | EV_PERSIST | (c->script != NULL ? EV_WRITE : 0)), on_conn, c);
    event_add(&c->event, NULL);
}

static void hang_up(struct conn *c, bool reset)
{
    struct linger now = {1, 0};

    if (c->fd < 0)
        return;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    event_del(&c->event);
    close(c->fd);
    c->fd = -1;
}

static void say(struct conn *c)
{
    const struct script *s = c->script;
    size_t len = strlen(s->reply), part = len - c->sent;
    ssize_t n;

    if (s->first != 0 && c->sent == 0 && s->first < part)
        part = s->first;
    n = part > 0 ? send(c->fd, s->reply + c->sent, part, MSG_NOSIGNAL) : 0;
    c->sent += n > 0 ? (size_t)n : 0;
    if (n >= 0 && c->sent < len)
        return;
    c->script = NULL;
    if (s->close || s->reset || n < 0)
        hang_up(c, s->reset);
}

/* Length of the first whole request; 0: not whole. */
static size_t request_len(const struct conn *c, bool with_content)
{
    const char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4), *length;
    size_t len;

    if (end == NULL)
        return 0;
    len = (size_t)(end - c->in) + 4;
    length = memmem(c->in, len, "Content-Length: ", 16);
    if (with_content && length != NULL)
        len += strtoul(length + 16, NULL, 10);
    if (with_content && memmem(c->in, len, "chunked", 7) != NULL) {
        end = memmem(c->in + len - 2, c->in_len - len + 2, "\r\n0\r\n\r\n", 7);
        return end != NULL ? (size_t)(end - c->in) + 7 : 0;
    }
    return len <= c->in_len ? len : 0;
}

static void hear(struct conn *c)
{
    struct world *w = c->w;
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        w->gone++;
        hang_up(c, false);
        return;
    }
    if (n < 0)
        return;
    if (w->seen_len + (size_t)n < sizeof w->seen) {
        memcpy(w->seen + w->seen_len, c->in + c->in_len, (size_t)n);
        w->seen_len += (size_t)n;
    }
    c->in_len += (size_t)n;
}

static void on_conn(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct world *w = c->w;
    bool started = c->script != NULL;
    size_t len;

    (void)fd;
    w->loop.stopping = true;
    if (what & EV_READ)
        hear(c);
    if (c->fd < 0)
        return;
    if (c->script == NULL && w->next < w->scripts) {
        len = request_len(c, !w->script[w->next].at_once);
        if (len > 0) {
            c->script = &w->script[w->next++];
            c->sent = 0;
            c->in_len -= len;
            memmove(c->in, c->in + len, c->in_len);
        }
    }
    if (c->script != NULL && (!started || (what & EV_WRITE)))
        say(c);
    if (c->fd >= 0)
        watch(c);
}

static void on_connect(evutil_socket_t fd, short what, void *arg)
{
    struct server *s = arg;
    struct world *w = s->w;
    struct conn *c = &w->conn[w->conns];

    (void)what;
    w->loop.stopping = true;
    assert_true(w->conns < CONNS);
    c->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (c->fd < 0)
        return;
    w->conns++;
    s->accepted++;
    c->w = w;
    c->in_len = 0;
    c->script = NULL;
    memset(&c->event, 0, sizeof c->event);
    event_assign(&c->event, w->loop.base, c->fd, EV_READ | EV_PERSIST, on_conn, c);
    event_add(&c->event, NULL);
}

static void open_server(struct world *w, struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    s->w = w;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    event_assign(&s->event, w->loop.base, s->fd, EV_READ | EV_PERSIST, on_connect, s);
    event_add(&s->event, NULL);
}

/* From now on it refuses. */
static void close_server(struct server *s)
{
    if (s->fd < 0)
        return;
    event_del(&s->event);
    close(s->fd);
    s->fd = -1;
}

/* ---- our side ---- */

static struct world *new_world(size_t origins)
{
    struct world *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);

    memset(w, 0, sizeof *w);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < CONNS; i++)
        w->conn[i].fd = -1;
    assert_true(net_loop_init(&w->loop, NULL));
    w->settings = (struct upstream_settings){.name = "app",
                                             .origins = w->origins,
                                             .origin_count = origins,
                                             .balance = BALANCE_ROUND_ROBIN,
                                             .hash_load_percent = 125,
                                             .max_connections = 8,
                                             .max_idle = 8,
                                             .idle_timeout_ms = 30000,
                                             .queue = 8,
                                             .queue_timeout_ms = 10000,
                                             .connect_timeout_ms = 10000,
                                             .first_byte_timeout_ms = 10000,
                                             .read_timeout_ms = 10000,
                                             .write_timeout_ms = 10000,
                                             .resolve_interval_ms = 30000,
                                             .retries = 1,
                                             .retry_budget_percent = 100,
                                             .eject_base_ms = 10000,
                                             .eject_max_ms = 300000,
                                             .eject_percent = 100,
                                             .head_bytes = 65536,
                                             .fields = 200};
    w->registry = origin_registry_new(NULL);
    for (size_t i = 0; i < origins; i++) {
        struct origin_settings *o = &w->origins[i];

        open_server(w, &w->server[i]);
        snprintf(w->url[i], sizeof w->url[i], "http://127.0.0.1:%u", w->server[i].port);
        *o = (struct origin_settings){.url = w->url[i],
                                      .host = "127.0.0.1",
                                      .port = w->server[i].port,
                                      .weight = 1};
        w->states[i] = origin_registry_get(w->registry, "app", o->url, NULL);
        w->names[i] = origin_names_new(o, 30000, NULL, NULL, NULL);
    }
    assert_true(origin_client_init(&w->client, &w->loop, &w->metrics, 1, NULL));
    return w;
}

static void open_upstream(struct world *w)
{
    w->up = origin_upstream_new(&w->client, &w->settings, w->states, w->names, NULL, 1, NULL);
}

static void on_watchdog(struct net_timer *t)
{
    struct world *w = WEIR_CONTAINER(t, struct world, watchdog);

    w->late = true;
    w->loop.stopping = true;
}

/* Until something happens that the test can see. */
static void turn(struct world *w)
{
    w->watchdog.fire = on_watchdog;
    net_timer_start(&w->loop, &w->watchdog, net_now_ms(&w->loop) + WATCHDOG_MS);
    w->loop.stopping = false;
    net_loop_run(&w->loop);
    net_timer_stop(&w->loop, &w->watchdog);
    assert_false(w->late);
}

static void free_world(struct world *w)
{
    origin_upstream_free(w->up);
    origin_client_close(&w->client);
    for (unsigned i = 0; i < w->conns; i++)
        hang_up(&w->conn[i], false);
    for (size_t i = 0; i < w->settings.origin_count; i++) {
        assert_int_equal(atomic_load(&w->states[i]->connections), 0);
        assert_int_equal(atomic_load(&w->states[i]->in_flight), 0);
        assert_int_equal(atomic_load(&w->states[i]->waiting), 0);
        close_server(&w->server[i]);
        origin_names_unref(w->names[i]);
        origin_state_unref(w->states[i]);
    }
    assert_null(w->client.pools);
    net_loop_close(&w->loop);
    origin_registry_free(w->registry);
    free(w);
}

/* One fetch with what came of it. */
struct get {
    struct world *w;
    struct origin_fetch f;
    int status, interims, heads, ends, fails, upgrades;
    enum weir_code code;
    char body[8192];
    size_t len;
    bool starting, last;
    bool pause;  /* data() says false */
    bool cancel; /* at the head */
    char trailer[64];
    struct http_head trailers;
    struct http_field trailer_fields[8];
    int fd;
    char surplus[64];
    size_t surplus_len;
};

static bool over(const struct get *g)
{
    return g->ends + g->fails + g->upgrades > 0;
}

static void on_interim(void *arg, const struct http_head *head)
{
    struct get *g = arg;

    assert_false(g->starting);
    assert_true(http_status_interim(head->status));
    g->interims++;
}

static void on_head(void *arg, const struct http_head *head, const struct http_framing *framing)
{
    struct get *g = arg;

    (void)framing;
    assert_false(g->starting);
    g->heads++;
    g->status = head->status;
    if (g->cancel)
        origin_fetch_cancel(&g->f);
}

static bool on_data(void *arg, struct weir_slice s, bool last)
{
    struct get *g = arg;

    assert_false(g->starting);
    assert_int_equal(g->heads, 1);
    assert_false(g->last); /* nothing but the end comes after the last one */
    g->last = last;
    assert_true(s.len > 0 && g->len + s.len <= sizeof g->body);
    memcpy(g->body + g->len, weir_slice_ptr(s), s.len);
    g->len += s.len;
    weir_blob_unref(s.blob);
    g->w->loop.stopping = true;
    return !g->pause;
}

static void on_end(void *arg)
{
    struct get *g = arg;

    assert_false(g->starting);
    g->ends++;
    if (g->f.request.trailers != NULL && g->trailers.count > 0) {
        struct weir_span v = g->trailers.fields[0].value;

        assert_true(v.len < sizeof g->trailer);
        memcpy(g->trailer, v.ptr, v.len);
    }
    g->w->loop.stopping = true;
}

static void on_fail(void *arg, const struct weir_err *err)
{
    struct get *g = arg;

    assert_false(g->starting);
    g->fails++;
    g->code = err->code;
    g->w->loop.stopping = true;
}

static void on_upgraded(void *arg, struct net_chan chan, const struct http_head *head,
                        struct weir_span surplus)
{
    struct get *g = arg;

    assert_int_equal(head->status, 101);
    g->upgrades++;
    g->fd = chan.fd;
    memcpy(g->surplus, surplus.ptr, surplus.len);
    g->surplus_len = surplus.len;
    g->w->loop.stopping = true;
}

static const struct origin_events events = {on_interim, on_head, on_data,
                                            on_end,     on_fail, on_upgraded};

#define GET  "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
#define PUT  "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static struct origin_request request(const char *head, enum http_method method)
{
    return (struct origin_request){.head = weir_span_str(head), .method = method};
}

static void begin(struct world *w, struct get *g, const struct origin_request *r)
{
    memset(g, 0, offsetof(struct get, trailers));
    g->w = w;
    g->fd = -1;
    g->starting = true;
    weir_clock_update(&w->loop.clock);
    origin_fetch_start(&g->f, w->up, r, NULL, &events, g);
    g->starting = false;
}

static void finish(struct world *w, struct get *g)
{
    w->loop.stopping = true;
    net_loop_run(
        &w->loop); /* a failure at once is put off to the end of the turn, which this was */
    while (!over(g))
        turn(w);
    assert_int_equal(g->ends + g->fails + g->upgrades, 1);
}

static void get(struct world *w, struct get *g)
{
    struct origin_request r = request(GET, HTTP_M_GET);

    begin(w, g, &r);
    finish(w, g);
}

static void play(struct world *w, const struct script *script, unsigned n)
{
    w->script = script;
    w->scripts = n;
    w->next = 0;
}

/* A world of one origin that says `reply` once, then closes if asked. */
static struct get *fetch_once(const char *reply, bool close, bool reset, struct world **keep)
{
    struct world *w = new_world(1);
    struct script script = {.reply = reply, .close = close, .reset = reset};
    struct get *g = calloc(1, sizeof *g);

    w->settings.retries = 0;
    open_upstream(w);
    play(w, &script, 1);
    get(w, g);
    if (keep != NULL)
        *keep = w;
    else
        free_world(w);
    return g;
}

static void assert_body(const struct get *g, const char *text)
{
    assert_int_equal(g->ends, 1);
    assert_int_equal(g->len, strlen(text));
    assert_memory_equal(g->body, text, g->len);
}

/* ---- keep-alive ---- */

static void a_connection_serves_one_exchange_after_the_other(void **state)
{
    static const struct script s[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"},
        {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"},
        {.reply = "HTTP/1.1 204 No Content\r\n\r\n"},
        {.reply = "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend"},
    };
    static const char *const bodies[] = {"one", "two", "", "", "", "end"};
    struct world *w = new_world(1);
    struct get *g = calloc(1, sizeof *g);

    (void)state;
    open_upstream(w);
    play(w, s, 6);
    for (int i = 0; i < 6; i++) {
        get(w, g);
        assert_body(g, bodies[i]);
        assert_int_equal(w->up->pools[0]->idle_count, 1);
    }
    assert_int_equal(w->conns, 1);
    free(g);
    free_world(w);
}

static void what_speaks_against_it_closes_the_connection(void **state)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none",
        "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneX",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\nX",
    };

    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct world *w;
        struct get *g = fetch_once(replies[i], false, false, &w);

        assert_body(g, "one");
        assert_int_equal(w->up->pools[0]->idle_count, 0);
        assert_int_equal(atomic_load(&w->states[0]->connections), 0);
        free(g);
        free_world(w);
    }
}

static void a_byte_on_an_idle_connection_closes_it(void **state)
{
    struct world *w;
    struct get *g = fetch_once("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", false, false, &w);

    (void)state;
    assert_int_equal(w->up->pools[0]->idle_count, 1);
    assert_int_equal(send(w->conn[0].fd, "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
    while (w->gone == 0)
        turn(w);
    assert_int_equal(w->up->pools[0]->idle_count, 0);
    free(g);
    free_world(w);
}

static void an_idle_connection_ages_out(void **state)
{
    struct world *w = new_world(1);
    struct script s = {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    struct get *g = calloc(1, sizeof *g);

    (void)state;
    w->settings.idle_timeout_ms = 60;
    open_upstream(w);
    play(w, &s, 1);
    get(w, g);
    while (w->gone == 0)
        turn(w);
    assert_int_equal(w->up->pools[0]->idle_count, 0);
    free(g);
    free_world(w);
}

static void a_connection_serves_no_more_than_its_share(void **state)
{
    static const struct script s[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
                                      {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
                                      {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    struct world *w = new_world(1);
    struct get *g = calloc(1, sizeof *g);

    (void)state;
    w->settings.requests_per_connection = 2;
    open_upstream(w);
    play(w, s, 3);
    for (int i = 0; i < 3; i++)
        get(w, g);
    assert_int_equal(w->conns, 2);
    free(g);
    free_world(w);
}

/* ---- content ---- */

static void truncation_is_a_failure_however_it_is_framed(void **state)
{
    static const struct {
        const char *reply;
        bool reset;
        enum weir_code code;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", false, WEIR_E_RESPONSE_TRUNCATED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false, WEIR_E_RESPONSE_TRUNCATED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false,
         WEIR_E_RESPONSE_TRUNCATED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", false,
         WEIR_E_RESPONSE_TRUNCATED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nA: b\r\n", false,
         WEIR_E_RESPONSE_TRUNCATED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", false,
         WEIR_E_RESPONSE_TRUNCATED},
        {"HTTP/1.1 200 OK\r\nContent-Le", false, WEIR_E_RESPONSE_TRUNCATED},
        {"H", false, WEIR_E_RESPONSE_TRUNCATED},
        {"", false, WEIR_E_ORIGIN_RESET},
        {"", true, WEIR_E_ORIGIN_RESET},
        {"HTTP/1.1 103 Early Hints\r\n\r\n", false, WEIR_E_ORIGIN_RESET},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false,
         WEIR_E_RESPONSE_MALFORMED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfXX", false,
         WEIR_E_RESPONSE_MALFORMED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", false,
         WEIR_E_RESPONSE_MALFORMED},
        {"HTTP/1.1 099 Odd\r\n\r\n", false, WEIR_E_RESPONSE_MALFORMED},
        {"hello\r\n\r\n", false, WEIR_E_RESPONSE_MALFORMED},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         false, WEIR_E_UPGRADE_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *w;
        struct get *g = fetch_once(rows[i].reply, true, rows[i].reset, &w);

        if (g->fails != 1 || g->code != rows[i].code)
            fail_msg("row %zu: %s", i, weir_code_name(g->code));
        assert_int_equal(w->conns, 1); /* no second attempt */
        assert_int_equal(w->up->pools[0]->idle_count, 0);
        free(g);
        free_world(w);
    }
}

static void content_until_the_end_of_the_connection_ends_in_good_order_only(void **state)
{
    struct get *g = fetch_once("HTTP/1.1 200 OK\r\n\r\nwhole", true, false, NULL);

    (void)state;
    assert_body(g, "whole");
    free(g);
}

static void a_reset_in_the_middle_is_no_end(void **state)
{
    struct world *w = new_world(1);
    struct script s = {.reply = "HTTP/1.1 200 OK\r\n\r\nhalf"};
    struct get *g = calloc(1, sizeof *g);
    struct origin_request r = request(GET, HTTP_M_GET);

    (void)state;
    open_upstream(w);
    play(w, &s, 1);
    begin(w, g, &r);
    while (g->len < 4)
        turn(w);
    hang_up(&w->conn[0], true);
    finish(w, g);
    assert_int_equal(g->code, WEIR_E_RESPONSE_TRUNCATED);
    free(g);
    free_world(w);
}

/* Chunks of many sizes, with extensions and trailers; each cut in two at every byte. */
static void chunks_are_gathered_alike_wherever_they_are_cut(void **state)
{
    char reply[6000], body[4000];
    size_t len, n = 0, head;
    static const unsigned sizes[] = {1, 2, 15, 16, 17, 1, 1, 1, 1023, 1024, 1025, 3, 255, 256, 5};

    (void)state;
    len = head = (size_t)sprintf(reply, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        len += (size_t)sprintf(reply + len, i % 3 == 0 ? "%x;ext=\"a;b\"\r\n" : "%X\r\n", sizes[i]);
        for (unsigned k = 0; k < sizes[i]; k++, n++)
            reply[len++] = body[n] = (char)('a' + (n * 7 + k) % 26);
        len += (size_t)sprintf(reply + len, "\r\n");
    }
    len += (size_t)sprintf(reply + len, "0\r\nX-Sum: 42\r\nX-Other: 1\r\n\r\n");
    for (size_t cut = 1; cut<len; cut += cut> head + 120 && cut < len - 60 ? 37 : 1) {
        struct world *w = new_world(1);
        struct script s = {.reply = reply, .first = cut};
        struct get *g = calloc(1, sizeof *g);
        struct origin_request r = request(GET, HTTP_M_GET);

        open_upstream(w);
        play(w, &s, 1);
        http_head_init(&g->trailers, g->trailer_fields, 8);
        r.trailers = &g->trailers;
        begin(w, g, &r);
        finish(w, g);
        assert_int_equal(g->ends, 1);
        assert_int_equal(g->len, n);
        assert_memory_equal(g->body, body, n);
        assert_int_equal(g->trailers.count, 2);
        assert_string_equal(g->trailer, "42");
        assert_int_equal(w->up->pools[0]->idle_count, 1);
        free(g);
        free_world(w);
    }
}

static void a_reader_that_pauses_gets_the_rest_when_it_goes_on(void **state)
{
    struct world *w = new_world(1);
    struct script s = {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirstother",
                       .first = 44};
    struct get *g = calloc(1, sizeof *g);
    struct origin_request r = request(GET, HTTP_M_GET);

    (void)state;
    open_upstream(w);
    play(w, &s, 1);
    begin(w, g, &r);
    g->pause = true;
    while (g->len == 0 || w->conn[0].script != NULL)
        turn(w);
    for (int i = 0; i < 5; i++) { /* nothing more comes */
        w->loop.fresh = false;
        event_base_loop(w->loop.base, EVLOOP_NONBLOCK);
    }
    assert_true(g->len < 10);
    assert_false(over(g));
    g->pause = false;
    origin_fetch_resume(&g->f);
    origin_fetch_resume(&g->f);
    finish(w, g);
    assert_body(g, "firstother");
    assert_int_equal(w->up->pools[0]->idle_count, 1);
    free(g);
    free_world(w);
}

static void a_larger_response_than_allowed_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const replies[] = {
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n123456789"};
        struct world *w = new_world(1);
        struct script s = {.reply = replies[i], .close = i == 2};
        struct get *g = calloc(1, sizeof *g);

        w->settings.response_max_bytes = 8;
        open_upstream(w);
        play(w, &s, 1);
        get(w, g);
        assert_int_equal(g->code, WEIR_E_RESPONSE_TOO_LARGE);
        free(g);
        free_world(w);
    }
}

static void a_larger_head_than_allowed_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world *w = new_world(1);
        struct script s = {
            .reply = "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\nContent-Length: 0\r\n\r\n"};
        struct get *g = calloc(1, sizeof *g);

        w->settings.retries = 0;
        if (i == 0)
            w->settings.fields = 3;
        else
            w->settings.head_bytes = 30;
        open_upstream(w);
        play(w, &s, 1);
        get(w, g);
        assert_int_equal(g->code, WEIR_E_RESPONSE_HEAD_TOO_LARGE);
        free(g);
        free_world(w);
    }
}

/* ---- interim responses and upgrades ---- */

#define HINT "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
#define OK   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void interim_responses_go_on_but_100_does_not(void **state)
{
    struct get *g = fetch_once("HTTP/1.1 100 Continue\r\n\r\n" HINT HINT OK, false, false, NULL);

    (void)state;
    assert_int_equal(g->interims, 2);
    assert_body(g, "ok");
    free(g);
    g = fetch_once(HINT HINT HINT HINT HINT HINT HINT HINT OK, false, false, NULL);
    assert_int_equal(g->interims, 8);
    assert_body(g, "ok");
    free(g);
    g = fetch_once(HINT HINT HINT HINT HINT HINT HINT HINT HINT OK, false, false, NULL);
    assert_int_equal(g->code, WEIR_E_RESPONSE_MALFORMED);
    free(g);
}

#define SWITCH                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"            \
    "Sec-WebSocket-Accept: "
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455 1.3 */

static void only_the_right_switch_hands_the_connection_over(void **state)
{
    static const struct {
        const char *reply;
        bool ok;
    } rows[] = {
        {SWITCH ACCEPT "\r\n\r\nframes", true},
        {SWITCH "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n", false},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
         "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
         false},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *w = new_world(1);
        struct script s = {.reply = rows[i].reply};
        struct get *g = calloc(1, sizeof *g);
        struct origin_request r = request(GET, HTTP_M_GET);

        r.upgrade = true;
        r.websocket_key = WEIR_SPAN_LIT("dGhlIHNhbXBsZSBub25jZQ==");
        open_upstream(w);
        play(w, &s, 1);
        begin(w, g, &r);
        finish(w, g);
        assert_int_equal(g->upgrades, rows[i].ok);
        if (rows[i].ok) {
            assert_int_equal(g->surplus_len, 6);
            assert_memory_equal(g->surplus, "frames", 6);
            assert_int_equal(send(g->fd, "ping", 4, 0), 4);
            close(g->fd);
        } else {
            assert_int_equal(g->code, WEIR_E_UPGRADE_FAILED);
        }
        assert_int_equal(atomic_load(&w->states[0]->connections), 0);
        free(g);
        free_world(w);
    }
}

/* ---- attempts ---- */

static void a_refused_connection_is_tried_elsewhere_whatever_the_method(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct world *w = new_world(2);
        struct script s = {.reply = OK};
        struct get *g = calloc(1, sizeof *g);
        struct origin_request r =
            i % 2 == 0 ? request(GET, HTTP_M_GET) : request("POST / HTTP/1.1\r\n\r\n", HTTP_M_POST);

        open_upstream(w);
        close_server(&w->server[i / 2]);
        play(w, &s, 1);
        for (int k = 0; k < 2; k++) { /* round robin meets the dead one in one of two */
            w->next = 0;
            begin(w, g, &r);
            finish(w, g);
            assert_body(g, "ok");
        }
        assert_int_equal(atomic_load(&w->states[i / 2]->failures), 1);
        free(g);
        free_world(w);
    }
}

static void without_another_origin_the_first_cause_is_told(void **state)
{
    struct world *w = new_world(1);
    struct get *g = calloc(1, sizeof *g);

    (void)state;
    open_upstream(w);
    close_server(&w->server[0]);
    get(w, g);
    assert_int_equal(g->code, WEIR_E_ORIGIN_REFUSED);
    free(g);
    free_world(w);
}

static void what_was_sent_is_sent_again_only_if_it_is_safe(void **state)
{
    static const struct script s[] = {{.reply = "", .close = true}, {.reply = OK}};
    static const struct {
        const char *head;
        enum http_method method;
        bool again;
    } rows[] = {{GET, HTTP_M_GET, true},
                {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_M_HEAD, true},
                {"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_M_OPTIONS, true},
                {"POST / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_M_POST, false},
                {"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_M_DELETE, false},
                {"PUT / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_M_PUT, false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *w = new_world(2);
        struct get *g = calloc(1, sizeof *g);
        struct origin_request r = request(rows[i].head, rows[i].method);

        open_upstream(w);
        play(w, s, 2);
        begin(w, g, &r);
        finish(w, g);
        assert_int_equal(g->ends, rows[i].again);
        assert_int_equal(w->next, rows[i].again ? 2 : 1);
        if (!rows[i].again)
            assert_int_equal(g->code, WEIR_E_ORIGIN_RESET);
        free(g);
        free_world(w);
    }
}

static void one_byte_of_a_response_ends_all_attempts(void **state)
{
    static const struct script s[] = {{.reply = "H", .close = true}, {.reply = OK}};
    static const struct script bad[] = {{.reply = "HTTP/1.1 2000 OK\r\n\r\n"}, {.reply = OK}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world *w = new_world(2);
        struct get *g = calloc(1, sizeof *g);

        open_upstream(w);
        play(w, i == 0 ? s : bad, 2);
        get(w, g);
        assert_int_equal(g->fails, 1);
        assert_int_equal(w->next, 1);
        free(g);
        free_world(w);
    }
}

static void a_kept_connection_closed_by_the_origin_is_nobodys_fault(void **state)
{
    static const struct script s[] = {{.reply = OK}, {.reply = "", .close = true}, {.reply = OK}};
    struct world *w = new_world(1);
    struct get *g = calloc(1, sizeof *g);

    (void)state;
    w->settings.max_fails = 1;
    open_upstream(w);
    play(w, s, 3);
    get(w, g);
    get(w, g);
    assert_body(g, "ok");
    assert_int_equal(w->conns, 2);
    assert_int_equal(atomic_load(&w->states[0]->failures), 0);
    assert_false(origin_state_ejected(w->states[0], w->loop.clock.mono_us));
    free(g);
    free_world(w);
}

static void a_gateways_503_is_answered_by_another_if_wished(void **state)
{
    static const struct script s[] = {
        {.reply = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"},
        {.reply = OK}};

    (void)state;
    for (int wished = 0; wished < 2; wished++) {
        struct world *w = new_world(2);
        struct get *g = calloc(1, sizeof *g);

        w->settings.retry_on_status = wished;
        open_upstream(w);
        play(w, s, 2);
        get(w, g);
        assert_int_equal(g->ends, 1);
        assert_int_equal(g->heads, 1);
        assert_int_equal(g->status, wished ? 200 : 503);
        free(g);
        free_world(w);
    }
}

/* ---- time-outs ---- */

static void an_origin_that_says_nothing_times_out(void **state)
{
    static const struct script hang = {.reply = ""};
    static const struct script half = {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world *w = new_world(1);
        struct get *g = calloc(1, sizeof *g);

        w->settings.retries = 0;
        if (i == 0)
            w->settings.first_byte_timeout_ms = 60;
        else
            w->settings.read_timeout_ms = 60;
        open_upstream(w);
        play(w, i == 0 ? &hang : &half, 1);
        get(w, g);
        assert_int_equal(g->code, WEIR_E_ORIGIN_READ_TIMEOUT);
        free(g);
        free_world(w);
    }
}

static void an_origin_that_does_not_accept_times_out(void **state)
{
    struct world *w = new_world(1);
    struct get *g = calloc(1, sizeof *g);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd[16];

    (void)state;
    /* A backlog that is full: the kernel drops further SYNs. */
    event_del(&w->server[0].event);
    assert_int_equal(listen(w->server[0].fd, 0), 0);
    a.sin_port = htons(w->server[0].port);
    for (int i = 0; i < 16; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fd[i], (struct sockaddr *)&a, sizeof a);
    }
    w->settings.retries = 0;
    w->settings.connect_timeout_ms = 60;
    open_upstream(w);
    get(w, g);
    assert_int_equal(g->code, WEIR_E_ORIGIN_CONNECT_TIMEOUT);
    for (int i = 0; i < 16; i++)
        close(fd[i]);
    event_add(&w->server[0].event, NULL);
    free(g);
    free_world(w);
}

/* ---- limits and the queue ---- */

static void who_finds_all_connections_in_use_waits_for_one(void **state)
{
    static const struct script s[] = {{.reply = OK, .first = 10}, {.reply = OK}, {.reply = OK}};
    struct world *w = new_world(1);
    struct get *g[3];
    struct origin_request r = request(GET, HTTP_M_GET);

    (void)state;
    w->settings.max_connections = 1;
    open_upstream(w);
    play(w, s, 3);
    for (int i = 0; i < 3; i++) {
        g[i] = calloc(1, sizeof *g[i]);
        begin(w, g[i], &r);
    }
    assert_int_equal(atomic_load(&w->states[0]->waiting), 2);
    for (int i = 0; i < 3; i++) { /* in the order they came */
        finish(w, g[i]);
        assert_body(g[i], "ok");
    }
    assert_int_equal(w->conns, 1);
    for (int i = 0; i < 3; i++)
        free(g[i]);
    free_world(w);
}

static void a_freed_place_is_used_when_the_connection_could_not_be_kept(void **state)
{
    static const struct script s[] = {{.reply = "HTTP/1.1 200 OK\r\n\r\none", .close = true},
                                      {.reply = OK}};
    struct world *w = new_world(1);
    struct get *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
    struct origin_request r = request(GET, HTTP_M_GET);

    (void)state;
    w->settings.max_connections = 1;
    open_upstream(w);
    play(w, s, 2);
    begin(w, a, &r);
    begin(w, b, &r);
    finish(w, a);
    finish(w, b);
    assert_body(a, "one");
    assert_body(b, "ok");
    free(a);
    free(b);
    free_world(w);
}

static void a_full_queue_and_a_long_wait_are_refusals(void **state)
{
    static const struct script hang = {.reply = ""};
    struct world *w = new_world(1);
    struct get *g[3];
    struct origin_request r = request(GET, HTTP_M_GET);

    (void)state;
    w->settings.max_connections = 1;
    w->settings.queue = 1;
    w->settings.queue_timeout_ms = 60;
    w->settings.max_fails = 1;
    open_upstream(w);
    play(w, &hang, 1);
    for (int i = 0; i < 3; i++) {
        g[i] = calloc(1, sizeof *g[i]);
        begin(w, g[i], &r);
    }
    finish(w, g[2]); /* no room in the line */
    assert_int_equal(g[2]->code, WEIR_E_ORIGIN_LIMIT);
    assert_false(over(g[1]));
    finish(w, g[1]); /* its patience is over */
    assert_int_equal(g[1]->code, WEIR_E_ORIGIN_LIMIT);
    assert_false(origin_state_ejected(w->states[0], w->loop.clock.mono_us));
    origin_fetch_cancel(&g[0]->f);
    for (int i = 0; i < 3; i++)
        free(g[i]);
    free_world(w);
}

static void whoever_waits_may_leave(void **state)
{
    static const struct script s[] = {{.reply = OK}, {.reply = OK}};
    struct world *w = new_world(1);
    struct get *g[3];
    struct origin_request r = request(GET, HTTP_M_GET);

    (void)state;
    w->settings.max_connections = 1;
    open_upstream(w);
    play(w, s, 2);
    for (int i = 0; i < 3; i++) {
        g[i] = calloc(1, sizeof *g[i]);
        begin(w, g[i], &r);
    }
    origin_fetch_cancel(&g[1]->f);
    origin_fetch_cancel(&g[1]->f); /* harmless */
    finish(w, g[0]);
    finish(w, g[2]);
    assert_body(g[2], "ok");
    assert_false(over(g[1]));
    for (int i = 0; i < 3; i++)
        free(g[i]);
    free_world(w);
}

/* ---- request content ---- */

static void put(struct net_pipe *p, const char *text)
{
    struct weir_slice s = {weir_blob_new(strlen(text)), 0, (uint32_t)strlen(text)};

    memcpy(s.blob->bytes, text, s.len);
    net_pipe_put(p, s);
    net_pipe_flush(p);
}

static void content_with_a_length_goes_out_as_it_comes(void **state)
{
    struct world *w = new_world(1);
    struct script s[] = {{.reply = OK}, {.reply = OK}};
    struct get *g = calloc(1, sizeof *g);
    struct origin_request r = request(POST, HTTP_M_POST);
    struct net_pipe p;

    (void)state;
    open_upstream(w);
    play(w, s, 2);
    for (int i = 0; i < 2; i++) {
        net_pipe_init(&p);
        r.body = &p;
        w->seen_len = 0;
        begin(w, g, &r);
        put(&p, "he");
        while (w->seen_len < strlen(POST) + 2)
            turn(w);
        put(&p, "llo");
        net_pipe_end(&p);
        net_pipe_flush(&p);
        finish(w, g);
        assert_body(g, "ok");
        assert_int_equal(w->seen_len, strlen(POST) + 5);
        assert_memory_equal(w->seen, POST "hello", w->seen_len);
        assert_true(p.wanted);
        assert_null(p.on_data);
        net_pipe_clear(&p);
    }
    assert_int_equal(w->conns, 1);
    free(g);
    free_world(w);
}

/* Undoes the coding without trusting the code under test. */
static size_t unchunk(const char *at, const char *end, char *out, bool *whole)
{
    size_t n = 0;

    *whole = false;
    while (at < end) {
        char *after;
        size_t size = strtoul(at, &after, 16);

        if (after + 2 > end || memcmp(after, "\r\n", 2) != 0)
            return n;
        at = after + 2;
        if (size == 0) {
            *whole = at + 2 == end && memcmp(at, "\r\n", 2) == 0;
            return n;
        }
        if (at + size + 2 > end || memcmp(at + size, "\r\n", 2) != 0)
            return n;
        memcpy(out + n, at, size);
        n += size;
        at += size + 2;
    }
    return n;
}

static void content_without_a_length_is_chunked(void **state)
{
    static const char *const parts[][4] = {{"a", "bc", "def", NULL},
                                           {NULL},
                                           {"0123456789abcdef0", "\r\n", NULL},
                                           {"x", NULL}};
    struct world *w = new_world(1);
    struct script s[8];
    struct get *g = calloc(1, sizeof *g);
    struct origin_request r = request(PUT, HTTP_M_PUT);
    char expected[64], got[64];

    (void)state;
    for (int i = 0; i < 8; i++)
        s[i] = (struct script){.reply = OK};
    open_upstream(w);
    play(w, s, 8);
    for (int i = 0; i < 8; i++) {
        struct net_pipe p;
        bool whole, at_once = i % 2 == 0;

        net_pipe_init(&p);
        r.body = &p;
        r.body_chunked = true;
        w->seen_len = 0;
        expected[0] = '\0';
        begin(w, g, &r);
        for (int k = 0; parts[i / 2][k] != NULL; k++) {
            put(&p, parts[i / 2][k]);
            strcat(expected, parts[i / 2][k]);
            if (!at_once)
                turn(w);
        }
        net_pipe_end(&p);
        net_pipe_flush(&p);
        finish(w, g);
        assert_body(g, "ok");
        assert_int_equal(unchunk(w->seen + strlen(PUT), w->seen + w->seen_len, got, &whole),
                         strlen(expected));
        assert_true(whole);
        assert_memory_equal(got, expected, strlen(expected));
        net_pipe_clear(&p);
    }
    assert_int_equal(w->conns, 1);
    free(g);
    free_world(w);
}

static void content_that_breaks_off_is_never_completed_and_blames_nobody(void **state)
{
    static const enum weir_code why[] = {WEIR_E_CLIENT_GONE, WEIR_E_BAD_CHUNK,
                                         WEIR_E_CLIENT_TIMEOUT, WEIR_E_BODY_TOO_LARGE};

    (void)state;
    for (int i = 0; i < 8; i++) {
        struct world *w = new_world(1);
        struct script s = {.reply = OK};
        struct get *g = calloc(1, sizeof *g);
        struct origin_request r = request(i < 4 ? POST : PUT, HTTP_M_POST);
        struct net_pipe p;

        net_pipe_init(&p);
        r.body = &p;
        r.body_chunked = i >= 4;
        w->settings.max_fails = 1;
        open_upstream(w);
        play(w, &s, 1);
        begin(w, g, &r);
        put(&p, "he");
        while (memmem(w->seen, w->seen_len, "he", 2) == NULL)
            turn(w);
        net_pipe_fail(&p, why[i % 4]);
        net_pipe_flush(&p);
        finish(w, g);
        assert_int_equal(g->code, why[i % 4]);
        while (w->gone == 0)
            turn(w);
        assert_int_equal(w->next, 0); /* the origin never saw a whole request */
        assert_int_equal(w->conns, 1);
        assert_int_equal(atomic_load(&w->states[0]->failures), 0);
        assert_false(origin_state_ejected(w->states[0], w->loop.clock.mono_us));
        net_pipe_clear(&p);
        free(g);
        free_world(w);
    }
}

static void an_early_answer_ends_the_upload_and_the_connection(void **state)
{
    struct world *w = new_world(1);
    struct script s = {.reply = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno",
                       .at_once = true};
    struct get *g = calloc(1, sizeof *g);
    struct origin_request r = request(POST, HTTP_M_POST);
    struct net_pipe p;

    (void)state;
    net_pipe_init(&p);
    r.body = &p;
    open_upstream(w);
    play(w, &s, 1);
    begin(w, g, &r);
    finish(w, g);
    assert_int_equal(g->status, 413);
    assert_body(g, "no");
    put(&p, "late!"); /* nobody listens, nothing breaks */
    assert_int_equal(w->up->pools[0]->idle_count, 0);
    net_pipe_clear(&p);
    free(g);
    free_world(w);
}

static void content_that_comes_between_two_attempts_waits_for_the_second(void **state)
{
    static const struct script s[] = {{.reply = "HTTP/1.1 200 OK\r\n\r\nold", .close = false},
                                      {.reply = OK}};
    struct world *w = new_world(2);
    struct get *busy = calloc(1, sizeof *busy), *g = calloc(1, sizeof *g);
    struct origin_request simple = request(GET, HTTP_M_GET), r = request(POST, HTTP_M_POST);
    struct net_pipe p;

    (void)state;
    /* The only other connection is in use, so that the second attempt has to stand in line. */
    w->settings.max_connections = 1;
    open_upstream(w);
    play(w, s, 2);
    close_server(&w->server[1]);
    begin(w, busy, &simple);
    while (busy->len < 3)
        turn(w);
    net_pipe_init(&p);
    r.body = &p;
    begin(w, g, &r);
    if (g->f.waiting_pool == NULL) /* a refusal is nothing that the test would see */
        event_base_loop(w->loop.base, EVLOOP_ONCE);
    assert_non_null(g->f.waiting_pool);
    put(&p, "he"); /* the connection that was refused has gone */
    w->loop.stopping = true;
    net_loop_run(&w->loop);
    put(&p, "llo");
    net_pipe_end(&p);
    net_pipe_flush(&p);
    hang_up(&w->conn[0], false);
    finish(w, g);
    assert_body(g, "ok");
    assert_body(busy, "old");
    net_pipe_clear(&p);
    free(busy);
    free(g);
    free_world(w);
}

/* ---- leaving ---- */

static void a_fetch_may_be_cancelled_at_any_point(void **state)
{
    static const struct script s = {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"};

    (void)state;
    for (int turns = 0; turns < 6; turns++) {
        struct world *w = new_world(1);
        struct get *g = calloc(1, sizeof *g);
        struct origin_request r = request(GET, HTTP_M_GET);

        open_upstream(w);
        play(w, &s, 1);
        begin(w, g, &r);
        for (int i = 0; i < turns && g->len == 0; i++)
            turn(w);
        origin_fetch_cancel(&g->f);
        w->loop.stopping = true;
        net_loop_run(&w->loop);
        assert_false(over(g));
        assert_int_equal(atomic_load(&w->states[0]->connections), 0);
        free(g);
        free_world(w);
    }
}

static void a_fetch_may_be_cancelled_from_its_head(void **state)
{
    struct world *w = new_world(1);
    struct script s = {.reply = OK};
    struct get *g = calloc(1, sizeof *g);
    struct origin_request r = request(GET, HTTP_M_GET);

    (void)state;
    open_upstream(w);
    play(w, &s, 1);
    begin(w, g, &r);
    g->cancel = true;
    while (g->heads == 0)
        turn(w);
    assert_false(over(g));
    assert_int_equal(g->len, 0);
    free(g);
    free_world(w);
}

struct owned {
    struct net_deferred gone; /* first */
    struct get g;
};

static void free_owned(struct net_deferred *d)
{
    struct owned *o = (struct owned *)(void *)d;

    assert_false(over(&o->g));
    free(o);
}

static void a_failure_on_its_way_may_be_overtaken_by_the_end(void **state)
{
    /* A failure waits for the end of the turn, and the owner leaves in the same turn and puts off
     * freeing the fetch, as fetch.c does. */
    struct world *w = new_world(1);
    struct owned *o = calloc(1, sizeof *o);
    struct get *g = &o->g;
    struct origin_request r = request(GET, HTTP_M_GET);

    (void)state;
    w->settings.queue = 0;
    w->settings.max_connections = 0;
    open_upstream(w);
    begin(w, g, &r);
    assert_true(g->f.deferred);
    origin_fetch_cancel(&g->f);
    net_defer(&w->loop, &o->gone, free_owned);
    w->loop.stopping = true;
    net_loop_run(&w->loop);
    free_world(w);
}

static void reloads_share_a_pool_and_retire_it(void **state)
{
    static const struct script s[] = {{.reply = OK}, {.reply = OK}};
    struct world *w = new_world(1);
    struct get *g = calloc(1, sizeof *g);
    struct origin_upstream *old;

    (void)state;
    open_upstream(w);
    play(w, s, 2);
    get(w, g);
    old = w->up;
    open_upstream(w);
    assert_ptr_equal(old->pools[0], w->up->pools[0]);
    origin_upstream_free(old);
    get(w, g);
    assert_int_equal(w->conns, 1); /* kept over the reload */
    origin_upstream_free(w->up);
    w->up = NULL;
    assert_null(w->client.pools); /* nobody sends there any more */
    free(g);
    free_world(w);
}

/* ---- failing memory ---- */

#ifdef WEIR_FAULTS
static void the_nth_allocation_may_fail_in_a_fetch(void **state)
{
    static const struct script s[] = {
        {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
         .first = 20},
        {.reply = OK}};
    unsigned long n = 0;
    bool failed;

    (void)state;
    do {
        struct world *w = new_world(1);
        struct get *g = calloc(1, sizeof *g);

        w->settings.retries = 0;
        play(w, s, 2);
        weir_alloc_fail_at(++n);
        open_upstream(w);
        if (w->up != NULL) {
            for (int i = 0; i < 2; i++) {
                get(w, g);
                if (g->ends)
                    assert_body(g, i == 0 ? "hello" : "ok");
                else
                    assert_int_equal(g->code, WEIR_E_MEMORY);
                if (g->fails)
                    break;
            }
        }
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        free(g);
        free_world(w);
    } while (failed);
    assert_true(n > 5);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_serves_one_exchange_after_the_other),
        cmocka_unit_test(what_speaks_against_it_closes_the_connection),
        cmocka_unit_test(a_byte_on_an_idle_connection_closes_it),
        cmocka_unit_test(an_idle_connection_ages_out),
        cmocka_unit_test(a_connection_serves_no_more_than_its_share),
        cmocka_unit_test(truncation_is_a_failure_however_it_is_framed),
        cmocka_unit_test(content_until_the_end_of_the_connection_ends_in_good_order_only),
        cmocka_unit_test(a_reset_in_the_middle_is_no_end),
        cmocka_unit_test(chunks_are_gathered_alike_wherever_they_are_cut),
        cmocka_unit_test(a_reader_that_pauses_gets_the_rest_when_it_goes_on),
        cmocka_unit_test(a_larger_response_than_allowed_is_refused),
        cmocka_unit_test(a_larger_head_than_allowed_is_refused),
        cmocka_unit_test(interim_responses_go_on_but_100_does_not),
        cmocka_unit_test(only_the_right_switch_hands_the_connection_over),
        cmocka_unit_test(a_refused_connection_is_tried_elsewhere_whatever_the_method),
        cmocka_unit_test(without_another_origin_the_first_cause_is_told),
        cmocka_unit_test(what_was_sent_is_sent_again_only_if_it_is_safe),
        cmocka_unit_test(one_byte_of_a_response_ends_all_attempts),
        cmocka_unit_test(a_kept_connection_closed_by_the_origin_is_nobodys_fault),
        cmocka_unit_test(a_gateways_503_is_answered_by_another_if_wished),
        cmocka_unit_test(an_origin_that_says_nothing_times_out),
        cmocka_unit_test(an_origin_that_does_not_accept_times_out),
        cmocka_unit_test(who_finds_all_connections_in_use_waits_for_one),
        cmocka_unit_test(a_freed_place_is_used_when_the_connection_could_not_be_kept),
        cmocka_unit_test(a_full_queue_and_a_long_wait_are_refusals),
        cmocka_unit_test(whoever_waits_may_leave),
        cmocka_unit_test(content_with_a_length_goes_out_as_it_comes),
        cmocka_unit_test(content_without_a_length_is_chunked),
        cmocka_unit_test(content_that_breaks_off_is_never_completed_and_blames_nobody),
        cmocka_unit_test(an_early_answer_ends_the_upload_and_the_connection),
        cmocka_unit_test(content_that_comes_between_two_attempts_waits_for_the_second),
        cmocka_unit_test(a_fetch_may_be_cancelled_at_any_point),
        cmocka_unit_test(a_fetch_may_be_cancelled_from_its_head),
        cmocka_unit_test(a_failure_on_its_way_may_be_overtaken_by_the_end),
        cmocka_unit_test(reloads_share_a_pool_and_retire_it),
#ifdef WEIR_FAULTS
        cmocka_unit_test(the_nth_allocation_may_fail_in_a_fetch),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
