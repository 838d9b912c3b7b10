/* Fetches over one end of a socket pair; at the other is an nghttp2 server that does as it is told.
 */
#include "origin_h2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "origin_names.h"
#include "origin_pool.h"
#include "origin_state.h"

#define SERVERS     3
#define STREAMS     256
#define WATCHDOG_MS 20000

/* ---- the origin ---- */

/* What it does with a request. */
struct plan {
    const char *status;  /* NULL: nothing, until the test does something */
    const char *interim; /* a status before it */
    size_t length;       /* of the content: 'a', 'b', ... */
    long announced;      /* Content-Length; 0: as long as it is; -1: none */
    const char *trailer; /* value of x-sum */
    uint32_t reset;      /* instead: RST_STREAM with this code + 1 */
    bool half;           /* RST_STREAM in the middle of the content */
    bool at_once;        /* not only when the request has ended */
};

struct server;

struct asked {
    struct server *s;
    int32_t id;
    struct plan plan;
    char head[2048];
    char body[4096];
    size_t head_len, body_len, sent;
    uint64_t received;
    bool ended, answered, closed;
    uint32_t code; /* with which it closed */
    char trailer[64];
};

struct world;

struct server {
    struct world *w;
    int fd;
    nghttp2_session *session;
    struct event readable, writable;
    struct asked asked[STREAMS];
    unsigned count, open, most_open;
    bool gone, goaway_heard;
    bool no_credit; /* windows of requests' content stay closed */
    bool mute;      /* reads, says nothing */
};

struct world {
    struct net_loop loop;
    struct net_timer watchdog;
    bool late, happened;
    struct plan plan; /* for every request, unless plans are left */
    const struct plan *plans;
    unsigned plan_count, next;
    struct server server[SERVERS];
    unsigned servers;

    _Alignas(64) struct weir_metrics metrics;
    struct origin_client client;
    struct origin_registry *registry;
    struct upstream_settings settings;
    struct origin_settings origin;
    struct origin_state *states[1];
    struct origin_names *names[1];
    struct origin_upstream *up;
};

static void pump(struct server *s);

/* Something that a test may wait for. */
static void happen(struct world *w)
{
    w->happened = true;
    w->loop.stopping = true;
}

static struct asked *asked_by(struct server *s, int32_t id)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->asked[i].id == id)
            return &s->asked[i];
    return NULL;
}

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct asked *a = source->ptr;
    size_t left = a->plan.length - a->sent, n = left < room ? left : room;

    (void)arg;
    if (a->plan.half && a->sent >= a->plan.length / 2) {
        nghttp2_submit_rst_stream(session, 0, id, NGHTTP2_INTERNAL_ERROR);
        return NGHTTP2_ERR_DEFERRED;
    }
    if (a->plan.half && n > a->plan.length / 2 - a->sent)
        n = a->plan.length / 2 - a->sent;
    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)('a' + (a->sent + i) % 26);
    a->sent += n;
    if (a->sent == a->plan.length) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (a->plan.trailer != NULL) {
            nghttp2_nv nv = {(uint8_t *)(uintptr_t) "x-sum", (uint8_t *)(uintptr_t)a->plan.trailer,
                             5, strlen(a->plan.trailer), 0};

            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, id, &nv, 1);
        }
    }
    return (ssize_t)n;
}

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), 0};
}

static void answer(struct asked *a)
{
    nghttp2_session *session = a->s->session;
    nghttp2_data_provider content = {.source.ptr = a, .read_callback = read_answer};
    const struct plan *p = &a->plan;
    char length[24];
    nghttp2_nv nv[2];
    size_t n = 1;

    a->answered = true;
    if (p->reset != 0) {
        nghttp2_submit_rst_stream(session, 0, a->id, p->reset - 1);
        return;
    }
    if (p->interim != NULL) {
        nv[0] = pair(":status", p->interim);
        nghttp2_submit_headers(session, 0, a->id, NULL, nv, 1, NULL);
    }
    nv[0] = pair(":status", p->status);
    if (p->announced >= 0) {
        snprintf(length, sizeof length, "%zu", p->announced > 0 ? (size_t)p->announced : p->length);
        nv[n++] = pair("content-length", length);
    }
    nghttp2_submit_response(session, a->id, nv, n,
                            p->length > 0 || p->announced > 0 ? &content : NULL);
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct server *s = arg;
    struct world *w = s->w;
    struct asked *a;

    (void)session;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    assert_true(s->count < STREAMS);
    a = &s->asked[s->count++];
    memset(a, 0, sizeof *a);
    a->s = s;
    a->id = frame->hd.stream_id;
    a->plan = w->next < w->plan_count ? w->plans[w->next++] : w->plan;
    if (++s->open > s->most_open)
        s->most_open = s->open;
    return 0;
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                    void *arg)
{
    struct asked *a = asked_by(arg, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        snprintf(a->trailer, sizeof a->trailer, "%.*s: %.*s", (int)name_len, name, (int)value_len,
                 value);
    else if (a->head_len < sizeof a->head)
        a->head_len += (size_t)snprintf(a->head + a->head_len, sizeof a->head - a->head_len,
                                        "%.*s: %.*s\n", (int)name_len, name, (int)value_len, value);
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                    size_t len, void *arg)
{
    struct server *s = arg;
    struct asked *a = asked_by(s, id);
    size_t n = len < sizeof a->body - a->body_len ? len : sizeof a->body - a->body_len;

    (void)flags;
    memcpy(a->body + a->body_len, data, n);
    a->body_len += n;
    a->received += len;
    if (!s->no_credit)
        nghttp2_session_consume(session, id, len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct server *s = arg;
    struct asked *a;

    (void)session;
    happen(s->w);
    if (frame->hd.type == NGHTTP2_GOAWAY)
        s->goaway_heard = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    a = asked_by(s, frame->hd.stream_id);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        a->ended = true;
    if (!a->answered && (a->ended || a->plan.at_once) &&
        (a->plan.status != NULL || a->plan.reset != 0))
        answer(a);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct server *s = arg;
    struct asked *a = asked_by(s, id);

    (void)session;
    if (a == NULL)
        return 0;
    a->closed = true;
    a->code = code;
    s->open--;
    happen(s->w);
    return 0;
}

static void hang_up(struct server *s)
{
    if (s->fd < 0)
        return;
    event_del(&s->readable);
    event_del(&s->writable);
    close(s->fd);
    s->fd = -1;
    s->gone = true;
    happen(s->w);
}

static void pump(struct server *s)
{
    const uint8_t *bytes;
    ssize_t n;

    while (s->fd >= 0 && !s->mute && (n = nghttp2_session_mem_send(s->session, &bytes)) > 0) {
        ssize_t at = 0;

        while (at < n) { /* the buffer of the pair is large enough for tests */
            ssize_t out = send(s->fd, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);

            if (out < 0) {
                hang_up(s);
                return;
            }
            at += out;
        }
    }
}

static void on_server(evutil_socket_t fd, short what, void *arg)
{
    struct server *s = arg;
    uint8_t buf[65536];
    ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);

    (void)what;
    if (n <= 0 || nghttp2_session_mem_recv(s->session, buf, (size_t)n) < 0) {
        hang_up(s);
        return;
    }
    pump(s);
}

static void no_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static void server_open(struct server *s, int fd, uint32_t streams)
{
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams}};
    nghttp2_session_callbacks *calls;
    nghttp2_option *option;

    s->fd = fd;
    nghttp2_session_callbacks_new(&calls);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
    assert_int_equal(nghttp2_session_server_new2(&s->session, calls, s, option), 0);
    nghttp2_session_callbacks_del(calls);
    nghttp2_option_del(option);
    nghttp2_submit_settings(s->session, 0, settings, 1);
    event_assign(&s->readable, s->w->loop.base, fd, EV_READ | EV_PERSIST, on_server, s);
    event_assign(&s->writable, s->w->loop.base, fd, EV_WRITE, no_event, s);
    event_add(&s->readable, NULL);
    pump(s);
}

/* ---- our side ---- */

static void on_watchdog(struct net_timer *t)
{
    struct world *w = WEIR_CONTAINER(t, struct world, watchdog);

    w->late = true;
    w->loop.stopping = true;
}

/* Until something happens that the test can see. */
static void turn(struct world *w)
{
    w->happened = false;
    w->loop.stopping = true;
    net_loop_run(&w->loop); /* what was put off to the end of the turn that the test is */
    if (w->happened)
        return;
    w->watchdog.fire = on_watchdog;
    net_timer_start(&w->loop, &w->watchdog, net_now_ms(&w->loop) + WATCHDOG_MS);
    w->loop.stopping = false;
    net_loop_run(&w->loop);
    net_timer_stop(&w->loop, &w->watchdog);
    assert_false(w->late);
}

static struct world *new_world(void)
{
    struct world *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);

    memset(w, 0, sizeof *w);
    signal(SIGPIPE, SIG_IGN);
    assert_true(net_loop_init(&w->loop, NULL));
    w->plan = (struct plan){.status = "200", .length = 5};
    w->origin = (struct origin_settings){
        .url = "h2c://127.0.0.1:1", .host = "127.0.0.1", .port = 1, .weight = 1, .h2c = true};
    w->settings = (struct upstream_settings){.name = "app",
                                             .origins = &w->origin,
                                             .origin_count = 1,
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
    w->states[0] = origin_registry_get(w->registry, "app", w->origin.url, NULL);
    w->names[0] = origin_names_new(&w->origin, 30000, NULL, NULL, NULL);
    assert_true(origin_client_init(&w->client, &w->loop, &w->metrics, 1, NULL));
    w->up = origin_upstream_new(&w->client, &w->settings, w->states, w->names, NULL, 1, NULL);
    return w;
}

/* A connection to a new server, as if it had been dialled. */
static struct origin_h2 *connect_server(struct world *w, uint32_t streams)
{
    struct origin_pool *p = w->up->pools[0];
    struct server *s = &w->server[w->servers++];
    int size = 4 << 20;
    struct weir_err err = {0};
    struct origin_h2 *h;
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    evutil_make_socket_nonblocking(fd[0]);
    assert_true(origin_state_connect(p->state, 8));
    p->users++;
    weir_clock_update(&w->loop.clock);
    h = origin_h2_new(p, net_chan_plain(fd[0]), false, &err);
    assert_non_null(h);
    s->w = w;
    server_open(s, fd[1], streams);
    return h;
}

static void free_world(struct world *w)
{
    origin_upstream_free(w->up);
    origin_client_close(&w->client);
    w->loop.stopping = true;
    net_loop_run(&w->loop);
    for (unsigned i = 0; i < w->servers; i++) {
        hang_up(&w->server[i]);
        nghttp2_session_del(w->server[i].session);
    }
    assert_int_equal(atomic_load(&w->states[0]->connections), 0);
    assert_int_equal(atomic_load(&w->states[0]->in_flight), 0);
    assert_null(w->client.pools);
    origin_names_unref(w->names[0]);
    origin_state_unref(w->states[0]);
    net_loop_close(&w->loop);
    origin_registry_free(w->registry);
    free(w);
}

/* ---- one fetch ---- */

struct get {
    struct world *w;
    struct origin_fetch f;
    int status, interims, heads, ends, fails;
    enum weir_code code;
    uint64_t len;
    bool starting, pause, cancel, cancel_in_data, wrong;
    char trailer[64];
    struct http_head trailers;
    struct http_field fields[8];
};

static void on_interim(void *arg, const struct http_head *head)
{
    struct get *g = arg;

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
    happen(g->w);
    if (g->cancel)
        origin_fetch_cancel(&g->f);
}

static bool on_data(void *arg, struct weir_slice s, bool last)
{
    struct get *g = arg;

    (void)last;
    assert_false(g->starting);
    assert_int_equal(g->heads, 1);
    for (uint32_t i = 0; i < s.len; i++)
        g->wrong |= weir_slice_ptr(s)[i] != (char)('a' + (g->len + i) % 26);
    g->len += s.len;
    weir_blob_unref(s.blob);
    happen(g->w);
    if (g->cancel_in_data)
        origin_fetch_cancel(&g->f);
    return !g->pause;
}

static void on_end(void *arg)
{
    struct get *g = arg;

    g->ends++;
    if (g->f.request.trailers != NULL && g->trailers.count > 0)
        snprintf(g->trailer, sizeof g->trailer, "%.*s", (int)g->trailers.fields[0].value.len,
                 g->trailers.fields[0].value.ptr);
    happen(g->w);
}

static void on_fail(void *arg, const struct weir_err *err)
{
    struct get *g = arg;

    assert_false(g->starting);
    g->fails++;
    g->code = err->code;
    if (getenv("TELL") != NULL) {
        char text[400];

        fprintf(stderr, "fail: %s\n", weir_err_str(err, text, sizeof text));
    }
    happen(g->w);
}

static const struct origin_events events = {on_interim, on_head, on_data, on_end, on_fail, NULL};

#define GET  "GET /x?y HTTP/1.1\r\nHost: a.example\r\nX-Name: Value\r\n\r\n"
#define POST "POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n"
#define PUT  "PUT /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"

static void begin(struct world *w, struct get *g, const char *head, enum http_method method,
                  struct net_pipe *body)
{
    struct origin_request r = {.head = weir_span_str(head), .method = method, .body = body};

    memset(g, 0, sizeof *g);
    r.body_chunked = body != NULL && strstr(head, "chunked") != NULL;
    r.trailers = &g->trailers;
    http_head_init(&g->trailers, g->fields, 8);
    g->w = w;
    g->starting = true;
    weir_clock_update(&w->loop.clock);
    origin_fetch_start(&g->f, w->up, &r, NULL, &events, g);
    g->starting = false;
}

static void finish(struct world *w, struct get *g)
{
    while (g->ends + g->fails == 0)
        turn(w);
    assert_int_equal(g->ends + g->fails, 1);
}

static void get(struct world *w, struct get *g)
{
    begin(w, g, GET, HTTP_M_GET, NULL);
    finish(w, g);
}

static void put(struct net_pipe *p, const char *text)
{
    struct weir_blob *b = weir_blob_new(strlen(text));

    memcpy(b->bytes, text, strlen(text));
    b->len = (uint32_t)strlen(text);
    net_pipe_put(p, (struct weir_slice){b, 0, b->len});
}

/* ---- what is asked and answered ---- */

static void a_request_and_its_answer(void **state)
{
    struct world *w = new_world();
    struct get g;

    (void)state;
    w->plan.interim = "103";
    w->plan.trailer = "42";
    connect_server(w, 100);
    get(w, &g);
    assert_int_equal(g.ends, 1);
    assert_int_equal(g.status, 200);
    assert_int_equal(g.len, 5);
    assert_false(g.wrong);
    assert_int_equal(g.interims, 1);
    assert_string_equal(g.trailer, "42");
    assert_string_equal(w->server[0].asked[0].head,
                        ":method: GET\n:scheme: http\n:authority: a.example\n:path: /x?y\n"
                        "x-name: Value\nte: trailers\n");
    free_world(w);
}

static void an_answer_without_content_and_one_to_head(void **state)
{
    static const struct plan plans[] = {{.status = "204", .announced = -1},
                                        {.status = "200", .length = 0, .announced = 0},
                                        {.status = "304", .announced = -1}};
    struct world *w = new_world();
    struct get g;

    (void)state;
    w->plans = plans;
    w->plan_count = 3;
    connect_server(w, 100);
    for (int i = 0; i < 3; i++) {
        begin(w, &g, i == 1 ? "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" : GET,
              i == 1 ? HTTP_M_HEAD : HTTP_M_GET, NULL);
        finish(w, &g);
        assert_int_equal(g.ends, 1);
        assert_int_equal(g.len, 0);
    }
    free_world(w);
}

static void content_is_sent_as_it_comes_with_its_trailers(void **state)
{
    static const char trailers[] = "X-Sum: 9\r\n\r\n";
    struct world *w = new_world();
    struct net_pipe body;
    struct get g;

    (void)state;
    connect_server(w, 100);
    net_pipe_init(&body);
    begin(w, &g, PUT "3\r\npre\r\n", HTTP_M_PUT, &body);
    while (w->server[0].count == 0)
        turn(w);
    put(&body, "hello ");
    net_pipe_flush(&body);
    while (w->server[0].asked[0].body_len < 9)
        turn(w);
    put(&body, "world");
    body.trailers = weir_blob_new(sizeof trailers);
    memcpy(body.trailers->bytes, trailers, sizeof trailers - 1);
    body.trailers->len = sizeof trailers - 1;
    net_pipe_end(&body);
    net_pipe_flush(&body);
    finish(w, &g);
    assert_int_equal(g.ends, 1);
    assert_memory_equal(w->server[0].asked[0].body, "prehello world", 14);
    assert_string_equal(w->server[0].asked[0].trailer, "x-sum: 9");
    net_pipe_clear(&body);
    free_world(w);
}

static void content_that_breaks_off_is_never_completed(void **state)
{
    struct world *w = new_world();
    struct net_pipe body;
    struct get g;

    (void)state;
    connect_server(w, 100);
    net_pipe_init(&body);
    begin(w, &g, POST, HTTP_M_POST, &body);
    put(&body, "hel");
    net_pipe_flush(&body);
    while (w->server[0].count == 0 || w->server[0].asked[0].body_len == 0)
        turn(w);
    net_pipe_fail(&body, WEIR_E_CLIENT_GONE);
    net_pipe_flush(&body);
    finish(w, &g);
    assert_int_equal(g.code, WEIR_E_CLIENT_GONE);
    while (!w->server[0].asked[0].closed)
        turn(w);
    assert_int_equal(w->server[0].asked[0].code, NGHTTP2_CANCEL);
    assert_false(w->server[0].asked[0].ended);
    net_pipe_clear(&body);
    free_world(w);
}

/* ---- many on one ---- */

static void many_fetches_share_a_connection(void **state)
{
    static struct get g[100];
    struct world *w = new_world();

    (void)state;
    w->plan.length = 70000;
    connect_server(w, 100);
    for (int i = 0; i < 100; i++)
        begin(w, &g[i], GET, HTTP_M_GET, NULL);
    for (int i = 0; i < 100; i++) {
        finish(w, &g[i]);
        assert_int_equal(g[i].ends, 1);
        assert_int_equal(g[i].len, 70000);
        assert_false(g[i].wrong);
    }
    assert_int_equal(w->server[0].count, 100);
    assert_int_equal(w->server[0].most_open, 100);
    free_world(w);
}

static void no_more_streams_than_the_origin_allows(void **state)
{
    struct world *w = new_world();
    struct origin_h2 *h = connect_server(w, 2);
    struct get g[3];

    (void)state;
    get(w, &g[0]); /* its SETTINGS have come */
    w->settings.max_connections = 1;
    w->up->pools[0]->max_connections = 1;
    w->plan.status = NULL;
    for (int i = 0; i < 3; i++)
        begin(w, &g[i], GET, HTTP_M_GET, NULL);
    assert_false(origin_h2_room(h));
    while (w->server[0].count < 3)
        turn(w);
    assert_int_equal(w->up->pools[0]->waiting_count, 1); /* the third stands in line */
    w->plan.status = "200";
    for (unsigned i = 1; i < 3; i++) {
        w->server[0].asked[i].plan = w->plan;
        answer(&w->server[0].asked[i]);
    }
    pump(&w->server[0]);
    for (int i = 0; i < 3; i++) {
        finish(w, &g[i]);
        assert_int_equal(g[i].ends, 1);
    }
    assert_int_equal(w->server[0].most_open, 2);
    free_world(w);
}

static void who_takes_nothing_holds_up_nobody_else(void **state)
{
    struct world *w = new_world();
    struct get slow, quick;

    (void)state;
    w->plan.length = 3000000;
    connect_server(w, 100);
    begin(w, &slow, GET, HTTP_M_GET, NULL);
    slow.pause = true;
    while (slow.len == 0)
        turn(w);
    w->plan.length = 2000000;
    get(w, &quick);
    assert_int_equal(quick.ends, 1);
    assert_int_equal(quick.len, 2000000);
    assert_true(slow.len < 65536);
    assert_true(w->server[0].asked[0].sent <= 262144 + 65536); /* its window is all it gets */
    while (slow.ends == 0) {
        slow.pause = !slow.pause; /* in fits and starts */
        origin_fetch_resume(&slow.f);
        if (slow.ends == 0)
            turn(w);
    }
    assert_int_equal(slow.len, 3000000);
    assert_false(slow.wrong);
    free_world(w);
}

/* ---- what goes wrong ---- */

static void an_answer_cut_short_fails(void **state)
{
    static const struct plan plans[] = {
        {.status = "200", .length = 5, .announced = 9},
        {.status = "200", .length = 9, .announced = 5},
        {.status = "200", .length = 9, .half = true},
        {.status = "200", .length = 9, .half = true, .announced = -1},
        {.status = "99", .length = 5},
        {.status = "101", .announced = -1},
    };
    static const enum weir_code codes[] = {WEIR_E_RESPONSE_TRUNCATED, WEIR_E_RESPONSE_MALFORMED,
                                           WEIR_E_RESPONSE_TRUNCATED, WEIR_E_RESPONSE_TRUNCATED,
                                           WEIR_E_RESPONSE_MALFORMED, WEIR_E_RESPONSE_MALFORMED};
    struct world *w = new_world();
    struct get g;

    (void)state;
    w->plans = plans;
    w->plan_count = 6;
    connect_server(w, 100);
    for (int i = 0; i < 6; i++) {
        get(w, &g);
        assert_int_equal(g.ends, 0);
        assert_int_equal(g.code, codes[i]);
    }
    get(w, &g); /* the connection is as good as before */
    assert_int_equal(g.ends, 1);
    free_world(w);
}

static void a_refused_stream_is_asked_again_whatever_the_method(void **state)
{
    static const struct plan plans[] = {{.reset = NGHTTP2_REFUSED_STREAM + 1},
                                        {.reset = NGHTTP2_REFUSED_STREAM + 1},
                                        {.status = "200", .length = 5}};
    struct world *w = new_world();
    struct get g;

    (void)state;
    w->plans = plans;
    w->plan_count = 3;
    w->settings.retry_budget_percent = 0;
    connect_server(w, 100);
    begin(w, &g, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", HTTP_M_POST, NULL);
    finish(w, &g);
    assert_int_equal(g.ends, 1);
    assert_int_equal(w->server[0].count, 3);
    free_world(w);
}

static void refusing_goes_on_only_so_often(void **state)
{
    struct world *w = new_world();
    struct get g;

    (void)state;
    w->plan = (struct plan){.reset = NGHTTP2_REFUSED_STREAM + 1};
    connect_server(w, 100);
    get(w, &g);
    assert_int_equal(g.fails, 1);
    assert_in_range(w->server[0].count, 2, 10);
    free_world(w);
}

static void what_was_reset_is_repeated_only_if_that_is_safe(void **state)
{
    static const struct plan plans[] = {{.reset = NGHTTP2_INTERNAL_ERROR + 1},
                                        {.status = "200", .length = 5},
                                        {.reset = NGHTTP2_INTERNAL_ERROR + 1}};
    struct world *w = new_world();
    struct get g;

    (void)state;
    w->plans = plans;
    w->plan_count = 3;
    connect_server(w, 100);
    begin(w, &g, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_M_DELETE, NULL);
    finish(w, &g);
    assert_int_equal(g.code, WEIR_E_ORIGIN_RESET);
    assert_int_equal(w->server[0].count, 1);
    free_world(w);
}

static void after_goaway_the_others_go_elsewhere(void **state)
{
    struct world *w = new_world();
    struct get g[4];

    (void)state;
    connect_server(w, 100);
    get(w, &g[0]);
    w->plan.status = NULL;
    for (int i = 0; i < 4; i++)
        begin(w, &g[i], i < 2 ? GET : "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
              i < 2 ? HTTP_M_GET : HTTP_M_POST, NULL);
    while (w->server[0].count < 5)
        turn(w);
    w->plan.status = "200";
    connect_server(w, 100); /* where they will go */
    nghttp2_submit_goaway(w->server[0].session, 0, 5, NGHTTP2_NO_ERROR, NULL, 0);
    for (int i = 1; i <= 2; i++) { /* those it had looked at: 3 and 5 */
        w->server[0].asked[i].plan = w->plan;
        answer(&w->server[0].asked[i]);
    }
    pump(&w->server[0]);
    for (int i = 0; i < 4; i++) {
        finish(w, &g[i]);
        assert_int_equal(g[i].ends, 1);
        assert_int_equal(g[i].len, 5);
    }
    assert_int_equal(w->server[1].count, 2);
    while (!w->server[0].gone) /* it closes when the last one is done */
        turn(w);
    free_world(w);
}

static void a_connection_that_dies_takes_its_fetches_with_it(void **state)
{
    static const struct plan plans[] = {{.status = NULL},
                                        {.status = "200", .length = 100000, .announced = 100000}};
    struct world *w = new_world();
    struct get g[2];

    (void)state;
    connect_server(w, 100);
    w->settings.retries = 0;
    w->plans = plans;
    w->plan_count = 2;
    begin(w, &g[0], GET, HTTP_M_GET, NULL);
    begin(w, &g[1], GET, HTTP_M_GET, NULL);
    g[1].pause = true;
    while (w->server[0].count < 2 || g[1].len == 0)
        turn(w);
    w->server[0].mute = true;
    hang_up(&w->server[0]);
    g[1].pause = false;
    finish(w, &g[0]);
    origin_fetch_resume(&g[1].f);
    finish(w, &g[1]);
    assert_int_equal(g[0].code, WEIR_E_ORIGIN_RESET);
    assert_true(g[1].ends == 1 || g[1].code == WEIR_E_RESPONSE_TRUNCATED);
    free_world(w);
}

static void a_cancelled_fetch_resets_its_stream_alone(void **state)
{
    struct world *w = new_world();
    struct get g[3];

    (void)state;
    connect_server(w, 100);
    w->plan.length = 500000;
    for (int i = 0; i < 3; i++)
        begin(w, &g[i], GET, HTTP_M_GET, NULL);
    g[0].cancel = true;
    g[1].cancel_in_data = true;
    finish(w, &g[2]);
    assert_int_equal(g[2].len, 500000);
    assert_int_equal(g[0].ends + g[0].fails + g[1].ends + g[1].fails, 0);
    while (w->server[0].open > 0)
        turn(w);
    assert_int_equal(w->server[0].asked[0].code, NGHTTP2_CANCEL);
    assert_true(w->server[0].asked[0].sent < 500000);
    begin(w, &g[0], GET, HTTP_M_GET, NULL); /* before it is on its way */
    origin_fetch_cancel(&g[0].f);
    get(w, &g[1]);
    assert_int_equal(g[1].ends, 1);
    free_world(w);
}

static void an_origin_that_says_nothing_is_late(void **state)
{
    struct world *w = new_world();
    struct get g;

    (void)state;
    connect_server(w, 100);
    w->settings.first_byte_timeout_ms = 60;
    w->settings.retries = 0;
    w->plan.status = NULL;
    get(w, &g);
    assert_int_equal(g.code, WEIR_E_ORIGIN_READ_TIMEOUT);
    w->settings.first_byte_timeout_ms = 10000;
    w->plan.status = "200";
    get(w, &g); /* the others never knew */
    assert_int_equal(g.ends, 1);
    free_world(w);
}

static void a_large_head_is_refused(void **state)
{
    struct world *w = new_world();
    char value[3000];
    nghttp2_nv nv[2];
    struct get g;

    (void)state;
    connect_server(w, 100);
    w->settings.head_bytes = 2048;
    w->plan.status = NULL;
    begin(w, &g, GET, HTTP_M_GET, NULL);
    while (w->server[0].count == 0)
        turn(w);
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    nv[0] = pair(":status", "200");
    nv[1] = pair("x-large", value);
    nghttp2_submit_response(w->server[0].session, 1, nv, 2, NULL);
    pump(&w->server[0]);
    finish(w, &g);
    assert_int_equal(g.code, WEIR_E_RESPONSE_HEAD_TOO_LARGE);
    free_world(w);
}

static void an_origin_that_wears_us_down_is_left(void **state)
{
    static char empty[3000 * 9];
    nghttp2_nv status;
    struct world *w = new_world();
    struct get g;

    (void)state;
    connect_server(w, 100);
    w->settings.retries = 0;
    w->plan.status = NULL;
    begin(w, &g, GET, HTTP_M_GET, NULL);
    while (w->server[0].count == 0)
        turn(w);
    status = pair(":status", "200");
    nghttp2_submit_headers(w->server[0].session, 0, 1, NULL, &status, 1, NULL);
    pump(&w->server[0]);
    for (size_t i = 0; i < 3000; i++) /* DATA without anything in it */
        memcpy(empty + 9 * i, "\0\0\0\0\0\0\0\0\1", 9);
    assert_int_equal(send(w->server[0].fd, empty, sizeof empty, MSG_NOSIGNAL), sizeof empty);
    finish(w, &g);
    assert_int_equal(g.code, WEIR_E_RESPONSE_MALFORMED);
    while (!w->server[0].gone)
        turn(w);
    assert_true(w->server[0].goaway_heard);
    free_world(w);
}

static void so_many_requests_and_then_another_connection(void **state)
{
    struct world *w = new_world();
    struct get g;

    (void)state;
    connect_server(w, 100);
    w->up->pools[0]->requests_per_connection = 2;
    get(w, &g);
    get(w, &g);
    assert_int_equal(g.ends, 1);
    while (!w->server[0].gone)
        turn(w);
    assert_true(w->server[0].goaway_heard);
    free_world(w);
}

#ifdef WEIR_FAULTS
static void without_memory_fetches_fail_and_nothing_is_lost(void **state)
{
    (void)state;
    for (unsigned long n = 1;; n++) {
        struct world *w = new_world();
        struct get g;
        bool failed;

        connect_server(w, 100);
        w->settings.retries = 0;
        w->plan.length = 40000;
        weir_alloc_fail_at(n);
        begin(w, &g, GET, HTTP_M_GET, NULL);
        while (g.ends + g.fails == 0)
            turn(w);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        assert_int_equal(g.ends + g.fails, 1);
        if (g.ends == 1)
            assert_true(g.len == 40000 && !g.wrong);
        free_world(w);
        if (!failed)
            return;
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer),
        cmocka_unit_test(an_answer_without_content_and_one_to_head),
        cmocka_unit_test(content_is_sent_as_it_comes_with_its_trailers),
        cmocka_unit_test(content_that_breaks_off_is_never_completed),
        cmocka_unit_test(many_fetches_share_a_connection),
        cmocka_unit_test(no_more_streams_than_the_origin_allows),
        cmocka_unit_test(who_takes_nothing_holds_up_nobody_else),
        cmocka_unit_test(an_answer_cut_short_fails),
        cmocka_unit_test(a_refused_stream_is_asked_again_whatever_the_method),
        cmocka_unit_test(refusing_goes_on_only_so_often),
        cmocka_unit_test(what_was_reset_is_repeated_only_if_that_is_safe),
        cmocka_unit_test(after_goaway_the_others_go_elsewhere),
        cmocka_unit_test(a_connection_that_dies_takes_its_fetches_with_it),
        cmocka_unit_test(a_cancelled_fetch_resets_its_stream_alone),
        cmocka_unit_test(an_origin_that_says_nothing_is_late),
        cmocka_unit_test(a_large_head_is_refused),
        cmocka_unit_test(an_origin_that_wears_us_down_is_left),
        cmocka_unit_test(so_many_requests_and_then_another_connection),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_fetches_fail_and_nothing_is_lost),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
