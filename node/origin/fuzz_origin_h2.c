/*
 * Bytes of an origin on a connection of HTTP/2 that three fetches are on. Whatever comes, each
 * fetch ends once or not at all, what looks complete is as long as it was announced, and nothing
 * leaks.
 *
 * Input: a byte that says in pieces of which size the rest arrives (and which fetches pause), then
 * frames.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "origin_h2.h"
#include "origin_names.h"
#include "origin_pool.h"
#include "origin_state.h"
#include "weir/alloc.h"

#define FETCHES 3
#define TURNS   4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct get {
    struct origin_fetch f;
    int ends;
    int64_t announced; /* -1: nothing was */
    uint64_t len;
    bool pauses;
    struct http_head trailers;
    struct http_field fields[8];
};

struct world {
    _Alignas(64) struct weir_metrics metrics;
    struct net_loop loop;
    struct origin_client client;
    struct origin_registry *registry;
    struct origin_settings origin;
    struct upstream_settings settings;
    struct origin_state *state;
    struct origin_names *names;
    struct origin_upstream *up;
    struct net_pipe body;
    struct get get[FETCHES];
    int fd; /* the origin's end */
};

static void on_interim(void *arg, const struct http_head *head)
{
    (void)arg;
    assert(head->status > 101 && head->status < 200);
}

static void on_head(void *arg, const struct http_head *head, const struct http_framing *framing)
{
    struct get *g = arg;

    assert(head->status >= 200 && head->status <= 999 && g->ends == 0);
    g->announced = framing->kind == HTTP_BODY_LENGTH ? (int64_t)framing->length : -1;
}

static bool on_data(void *arg, struct weir_slice s, bool last)
{
    struct get *g = arg;

    (void)last;
    assert(s.len > 0 && g->ends == 0);
    g->len += s.len;
    weir_blob_unref(s.blob);
    return !g->pauses;
}

static void on_end(void *arg)
{
    struct get *g = arg;

    assert(g->ends++ == 0);
    assert(g->announced < 0 || g->len == (uint64_t)g->announced);
}

static void on_fail(void *arg, const struct weir_err *err)
{
    struct get *g = arg;

    assert(err->code != WEIR_OK);
    assert(g->ends++ == 0);
}

static const struct origin_events events = {on_interim, on_head, on_data, on_end, on_fail, NULL};

static void turn(struct world *w)
{
    w->loop.fresh = false;
    event_base_loop(w->loop.base, EVLOOP_NONBLOCK);
    w->loop.stopping = true;
    net_loop_run(&w->loop);
}

static void open_client(struct world *w)
{
    w->origin = (struct origin_settings){
        .url = "h2c://127.0.0.1:1", .host = "127.0.0.1", .port = 1, .weight = 1, .h2c = true};
    w->settings = (struct upstream_settings){.name = "app",
                                             .origins = &w->origin,
                                             .origin_count = 1,
                                             .balance = BALANCE_ROUND_ROBIN,
                                             .max_connections = 1,
                                             .max_idle = 1,
                                             .idle_timeout_ms = 30000,
                                             .queue = 8,
                                             .queue_timeout_ms = 30000,
                                             .connect_timeout_ms = 30000,
                                             .first_byte_timeout_ms = 30000,
                                             .read_timeout_ms = 30000,
                                             .write_timeout_ms = 30000,
                                             .head_bytes = 8192,
                                             .fields = 50,
                                             .streams = 100};
    w->registry = origin_registry_new(NULL);
    w->state = origin_registry_get(w->registry, "app", w->origin.url, NULL);
    w->names = origin_names_new(&w->origin, 30000, NULL, NULL, NULL);
    if (!net_loop_init(&w->loop, NULL) ||
        !origin_client_init(&w->client, &w->loop, &w->metrics, 1, NULL))
        abort();
    w->up = origin_upstream_new(&w->client, &w->settings, &w->state, &w->names, NULL, 1, NULL);
}

static void open_connection(struct world *w)
{
    struct origin_pool *p = w->up->pools[0];
    struct weir_err err = {0};
    int fd[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0 ||
        !origin_state_connect(p->state, 1))
        abort();
    p->users++;
    if (origin_h2_new(p, net_chan_plain(fd[0]), false, &err) == NULL)
        abort();
    w->fd = fd[1];
}

static void ask(struct world *w, struct get *g, const char *head, enum http_method method,
                struct net_pipe *body)
{
    struct origin_request r = {.head = weir_span_str(head),
                               .method = method,
                               .body = body,
                               .body_chunked = body != NULL,
                               .trailers = &g->trailers};

    g->announced = -1;
    http_head_init(&g->trailers, g->fields, 8);
    origin_fetch_start(&g->f, w->up, &r, NULL, &events, g);
}

static void ask_all(struct world *w, bool pauses)
{
    net_pipe_init(&w->body);
    weir_clock_update(&w->loop.clock);
    ask(w, &w->get[0], "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_M_GET, NULL);
    ask(w, &w->get[1], "HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_M_HEAD, NULL);
    ask(w, &w->get[2],
        "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        HTTP_M_POST, &w->body);
    w->get[0].pauses = pauses;
}

static void feed(struct world *w, const uint8_t *data, size_t size, size_t piece)
{
    static char heard[65536];

    while (size > 0) {
        size_t n = piece < size ? piece : size;
        ssize_t sent = send(w->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent <= 0)
            break;
        data += sent;
        size -= (size_t)sent;
        turn(w);
        while (recv(w->fd, heard, sizeof heard, MSG_DONTWAIT) > 0)
            ;
        origin_fetch_resume(&w->get[0].f);
    }
    net_pipe_end(&w->body);
    net_pipe_flush(&w->body);
    for (int i = 0; i < TURNS; i++)
        turn(w);
}

static void close_world(struct world *w)
{
    close(w->fd);
    for (int i = 0; i < TURNS; i++)
        turn(w);
    for (int i = 0; i < FETCHES; i++)
        origin_fetch_cancel(&w->get[i].f);
    net_pipe_clear(&w->body);
    turn(w);
    origin_upstream_free(w->up);
    origin_client_close(&w->client);
    turn(w);
    assert(w->client.pools == NULL);
    assert(atomic_load(&w->state->connections) == 0 && atomic_load(&w->state->in_flight) == 0);
    origin_names_unref(w->names);
    origin_state_unref(w->state);
    net_loop_close(&w->loop);
    origin_registry_free(w->registry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w;
    uint8_t how;

    if (size == 0 || size > 200000)
        return 0;
    how = data[0];
    w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);
    if (w == NULL)
        abort();
    memset(w, 0, sizeof *w);
    open_client(w);
    open_connection(w);
    ask_all(w, (how & 1) != 0);
    feed(w, data + 1, size - 1, how < 2 ? 65536 : how);
    close_world(w);
    free(w);
    return 0;
}
