/*
 * test_node.h - a whole node in one loop for tests: a scripted origin, a worker with its site, and
 * a client on a socket pair.
 *
 * The origin answers each request on its connections with the next script; the client sends what
 * the test says. All of it turns in one net_loop, so nothing is waited for but events; a watchdog
 * ends a test that hangs.
 */
#ifndef TEST_NODE_H
#define TEST_NODE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/hash.h"
#include "weir/metrics.h"
#include "weir/seal.h"
#include "weir/shared.h"
#include "weir/work.h"
#include "exchange.h"
#include "fetch.h"
#include "h1_server.h"
#include "inflight.h"
#include "limit.h"
#include "search_rules.h"
#include "purge.h"
#include "net_peers.h"
#include "origin_state.h"
#include "pattern.h"
#include "sub.h"
#include "tier.h"

#define NODE_WATCHDOG_MS 20000
#define NODE_TEXT_MAX    (1 << 20)
#define ORIGIN_CONNS     16

/* What the origin does with one request. */
struct script {
    const char *reply;
    size_t len;           /* 0: strlen(reply) */
    bool close;           /* after the reply; FIN */
    bool reset;           /* after the reply; RST */
    bool before_body;     /* does not wait for the request's content */
    size_t one_by_one;    /* the reply goes out in pieces of this size, one a turn of the loop */
    const char *only_for; /* whenever a request holds this text; the others answer in their order */
};

struct test_node;

struct origin_side {
    struct test_node *node;
    struct event event;
    int fd;
    char in[65536];
    size_t in_len;
    const struct script *script; /* being answered */
    size_t sent;
};

struct test_node {
    struct net_loop loop;
    struct net_timer watchdog;
    struct net_deferred over; /* of one turn */
    bool late;

    /* origin */
    int listen_fd;
    uint16_t port;
    struct event acceptable;
    struct origin_side origin[ORIGIN_CONNS];
    unsigned origin_conns;  /* accepted so far */
    unsigned origin_closed; /* of them, ended by the node */
    unsigned requests;
    const struct script *scripts;
    unsigned script_count, next_script;
    char seen[65536]; /* every byte the origin got */
    size_t seen_len;

    /* node */
    struct weir_metrics *metrics;
    struct weir_hash_secret secret;
    struct weir_work_pool *pool;
    struct origin_registry *registry;
    struct client_settings client_settings;
    struct head_settings head_settings;
    const struct h2_settings *http2; /* NULL: the usual */
    struct forward_settings forward;
    struct cache_settings cache;
    struct log_settings log;
    struct upstream_settings upstream;
    struct origin_settings origin_settings;
    char url[64];
    struct route_settings route;
    struct split_settings split;
    struct limit_settings limit;        /* for all routes; name NULL: there is none */
    const struct weir_seal_key *sealed; /* of a farm that is asked for tokens; NULL: alone */
    struct weir_shared *engine;         /* that farm's, and worker.limits.port to it; may be NULL */
    struct site *site;
    struct exchange_worker worker;
    struct h1_server server;
    struct net_clients clients;
    struct net_peers *peers;

    /* client */
    int client;
    struct event client_event;
    char *got;
    size_t got_len;
    bool client_eof, client_reset;
};

/* ---- the scripted origin ---- */

static inline void node_origin_end(struct origin_side *o, bool reset)
{
    struct linger now = {1, 0};

    if (o->fd < 0)
        return;
    if (reset)
        setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    event_del(&o->event);
    close(o->fd);
    o->fd = -1;
}

/* Length of the first request in o->in with its content; 0: not whole yet. */
static inline size_t node_request_len(const struct origin_side *o, bool with_content)
{
    const char *end = memmem(o->in, o->in_len, "\r\n\r\n", 4);
    const char *length;
    size_t head;

    if (end == NULL)
        return 0;
    head = (size_t)(end - o->in) + 4;
    if (!with_content)
        return head;
    length = memmem(o->in, head, "Content-Length: ", 16);
    if (length != NULL)
        head += strtoul(length + 16, NULL, 10);
    else if (memmem(o->in, head, "Transfer-Encoding: chunked", 26) != NULL) {
        const char *last = memmem(o->in + head - 2, o->in_len - head + 2, "\r\n0\r\n\r\n", 7);

        return last != NULL ? (size_t)(last - o->in) + 7 : 0;
    }
    return head <= o->in_len ? head : 0;
}

/* One step of the script; false: it is through. */
static inline bool node_origin_send(struct origin_side *o)
{
    const struct script *s = o->script;
    size_t len = s->len != 0 ? s->len : strlen(s->reply), part = len - o->sent;
    ssize_t n;

    if (s->one_by_one != 0 && part > s->one_by_one)
        part = s->one_by_one;
    n = part > 0 ? send(o->fd, s->reply + o->sent, part, MSG_NOSIGNAL) : 0;
    if (n < 0 && errno == EAGAIN)
        return true;
    o->sent = n < 0 ? len : o->sent + (size_t)n;
    if (o->sent < len)
        return true;
    o->script = NULL;
    if (s->close || s->reset || n < 0)
        node_origin_end(o, s->reset);
    return false;
}

static inline void node_origin_event(evutil_socket_t fd, short what, void *arg);

static inline void node_origin_watch(struct origin_side *o)
{
    short what = EV_READ | EV_PERSIST;

    if (o->fd < 0)
        return;
    if (o->script != NULL)
        what |= EV_WRITE;
    event_del(&o->event);
    event_assign(&o->event, o->node->loop.base, o->fd, what, node_origin_event, o);
    event_add(&o->event, NULL);
}

/* What answers the request that has begun to arrive; NULL: nothing does. */
static inline const struct script *node_origin_script(const struct origin_side *o)
{
    const struct test_node *t = o->node;

    for (unsigned i = 0; i < t->script_count; i++)
        if (t->scripts[i].only_for != NULL && memmem(o->in, o->in_len, t->scripts[i].only_for,
                                                     strlen(t->scripts[i].only_for)) != NULL)
            return &t->scripts[i];
    if (t->next_script == t->script_count || t->scripts[t->next_script].only_for != NULL)
        return NULL;
    return &t->scripts[t->next_script];
}

static inline void node_origin_event(evutil_socket_t fd, short what, void *arg)
{
    struct origin_side *o = arg;
    struct test_node *t = o->node;
    ssize_t n;
    size_t len;

    if (what & EV_READ) {
        n = recv(fd, o->in + o->in_len, sizeof o->in - o->in_len, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            t->origin_closed++;
            node_origin_end(o, false);
            return;
        }
        if (n > 0) {
            if (t->seen_len + (size_t)n < sizeof t->seen) {
                memcpy(t->seen + t->seen_len, o->in + o->in_len, (size_t)n);
                t->seen_len += (size_t)n;
            }
            o->in_len += (size_t)n;
        }
    }
    if (o->script == NULL) {
        const struct script *s = node_origin_script(o);

        len = s != NULL ? node_request_len(o, !s->before_body) : 0;
        if (len > 0) {
            t->next_script += s->only_for == NULL;
            t->requests++;
            o->script = s;
            o->sent = 0;
            o->in_len -= len;
            memmove(o->in, o->in + len, o->in_len);
        }
    }
    if (o->script != NULL && (what & EV_WRITE || o->script->one_by_one == 0))
        node_origin_send(o);
    node_origin_watch(o);
}

static inline void node_on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct test_node *t = arg;
    struct origin_side *o = &t->origin[t->origin_conns];
    int one = 1, client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)what;
    if (client < 0)
        return;
    assert_true(t->origin_conns < ORIGIN_CONNS);
    t->origin_conns++;
    setsockopt(client, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
    o->node = t;
    o->fd = client;
    o->in_len = 0;
    o->script = NULL;
    event_assign(&o->event, t->loop.base, client, EV_READ | EV_PERSIST, node_origin_event, o);
    event_add(&o->event, NULL);
}

static inline void node_open_origin(struct test_node *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    t->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(t->listen_fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(t->listen_fd, 64), 0);
    assert_int_equal(getsockname(t->listen_fd, (struct sockaddr *)&a, &len), 0);
    t->port = ntohs(a.sin_port);
    event_assign(&t->acceptable, t->loop.base, t->listen_fd, EV_READ | EV_PERSIST, node_on_accept,
                 t);
    event_add(&t->acceptable, NULL);
}

/* ---- the node ---- */

static inline void node_on_watchdog(struct net_timer *timer)
{
    struct test_node *t =
        (struct test_node *)(void *)((char *)timer - offsetof(struct test_node, watchdog));

    t->late = true;
}

static inline void node_settings(struct test_node *t)
{
    t->client_settings = (struct client_settings){.head_timeout_ms = 10000,
                                                  .first_timeout_ms = 30000,
                                                  .idle_timeout_ms = 60000,
                                                  .body_timeout_ms = 60000,
                                                  .send_timeout_ms = 30000,
                                                  .tunnel_idle_ms = 300000,
                                                  .requests_per_connection = 10000,
                                                  .connections = 16384,
                                                  .connections_per_client = 256};
    t->head_settings = (struct head_settings){32768, 100, 8192, 8192, false};
    t->forward = (struct forward_settings){.fields = FORWARDED_BOTH,
                                           .pseudonym = "weir",
                                           .via = true,
                                           .request_id_field = "X-Request-ID"};
    t->cache = (struct cache_settings){.memory_bytes = 1 << 24,
                                       .object_max_bytes = 1 << 20,
                                       .variants = 16,
                                       .collapse_timeout_ms = 5000,
                                       .hit_for_miss_ms = 120000,
                                       .status_field = true};
    t->log = (struct log_settings){.access_format = ACCESS_LOG_OFF};
    snprintf(t->url, sizeof t->url, "http://127.0.0.1:%u", t->port);
    t->origin_settings =
        (struct origin_settings){.url = t->url, .host = "127.0.0.1", .port = t->port, .weight = 1};
    t->upstream = (struct upstream_settings){.name = "app",
                                             .origins = &t->origin_settings,
                                             .origin_count = 1,
                                             .hash_load_percent = 125,
                                             .max_connections = 512,
                                             .max_idle = 64,
                                             .idle_timeout_ms = 30000,
                                             .queue = 1024,
                                             .queue_timeout_ms = 5000,
                                             .connect_timeout_ms = 2000,
                                             .first_byte_timeout_ms = 30000,
                                             .read_timeout_ms = 30000,
                                             .write_timeout_ms = 30000,
                                             .resolve_interval_ms = 30000,
                                             .retries = 1,
                                             .retry_budget_percent = 20,
                                             .max_fails = 0,
                                             .eject_base_ms = 10000,
                                             .eject_max_ms = 300000,
                                             .eject_percent = 50,
                                             .fail_on_5xx = true,
                                             .head_bytes = 65536,
                                             .fields = 200};
    t->split = (struct split_settings){"app", 1};
    t->route = (struct route_settings){.name = "all",
                                       .action = ROUTE_UPSTREAM,
                                       .split = &t->split,
                                       .split_count = 1,
                                       .body_max_bytes = 16 << 20,
                                       .cache = {.enabled = true}};
}

/* The loop and the origin; settings may then be changed before node_start(). */
static inline void node_init(struct test_node *t)
{
    memset(t, 0, sizeof *t);
    signal(SIGPIPE, SIG_IGN);
    t->client = -1;
    t->got = malloc(NODE_TEXT_MAX);
    assert_true(net_loop_init(&t->loop, NULL));
    node_open_origin(t);
    node_settings(t);
}

/* false without memory: node_stop() cleans up. */
static inline bool node_start(struct test_node *t)
{
    struct exchange_worker *w = &t->worker;
    struct weir_err err = {0};
    struct tier_options tier = {.memory_bytes = t->cache.memory_bytes,
                                .object_max_bytes = t->cache.object_max_bytes,
                                .shards = 4};
    struct site_source source = {.client = &t->client_settings,
                                 .head = &t->head_settings,
                                 .http2 = t->http2,
                                 .forward = &t->forward,
                                 .cache = &t->cache,
                                 .log = &t->log,
                                 .upstreams = &t->upstream,
                                 .upstream_count = 1,
                                 .routes = &t->route,
                                 .route_count = 1,
                                 .limits = &t->limit,
                                 .limit_count = t->limit.name != NULL};
    struct limit_options limits = {.secret = &t->secret,
                                   .seal = t->sealed,
                                   .timeout_ms = 5000,
                                   .cells_max = 64};
    struct site_tools tools = {.control = &t->loop.box, .secret = &t->secret};

    assert_true(weir_hash_secret_draw(&t->secret, &err));
    t->metrics = aligned_alloc(64, sizeof *t->metrics);
    memset(t->metrics, 0, sizeof *t->metrics);
    t->registry = origin_registry_new(&err);
    t->peers = net_peers_new(&t->secret, &err);
    t->clients.peers = t->peers;
    t->clients.metrics = t->metrics;
    w->loop = &t->loop;
    w->metrics = t->metrics;
    w->secret = &t->secret;
    w->fields = malloc(t->head_settings.fields * sizeof *w->fields);
    w->field_cap = t->head_settings.fields;
    w->inflight = inflight_new(&err);
    w->search_rules = search_rules_new(&err);
    w->purges = tier.purges = purge_new(&t->secret, 0, &err);
    w->tier = t->cache.memory_bytes > 0 ? tier_new(&tier, &err) : NULL;
    w->scratch = pattern_scratch_new(&err);
    if (t->registry == NULL || t->peers == NULL || w->inflight == NULL || w->search_rules == NULL ||
        w->purges == NULL || w->scratch == NULL || (w->tier == NULL && t->cache.memory_bytes > 0) ||
        !origin_client_init(&w->origins, &t->loop, t->metrics, 1, &err) ||
        !h1_server_init(&t->server, w, &t->clients, &err))
        return false;
    w->limits.box = &t->loop.box;
    w->limits.clock = &t->loop.clock;
    w->limits.metrics = t->metrics;
    w->limits.node = tools.limits = limit_node_new(&limits, &err);
    if (tools.limits == NULL)
        return false;
    tools.registry = t->registry;
    t->site = site_new(&source, &tools, &err);
    if (t->site == NULL)
        return false;
    w->site = site_bind(t->site, w, 1, &err);
    if (w->site != NULL)
        site_ref(t->site);
    return w->site != NULL;
}

static inline void node_turn_over(struct net_deferred *d)
{
    struct test_node *t =
        (struct test_node *)(void *)((char *)d - offsetof(struct test_node, over));

    t->loop.stopping = true;
}

/* Turns the loop once, waiting if nothing is ready. */
static inline void node_turn(struct test_node *t)
{
    t->watchdog.fire = node_on_watchdog;
    net_timer_start(&t->loop, &t->watchdog, net_now_ms(&t->loop) + NODE_WATCHDOG_MS);
    net_defer(&t->loop, &t->over, node_turn_over);
    t->loop.stopping = false;
    net_loop_run(&t->loop);
    net_timer_stop(&t->loop, &t->watchdog);
    assert_false(t->late);
}

/* What is put off now, and mail. */
static inline void node_settle(struct test_node *t)
{
    t->loop.stopping = true;
    net_loop_run(&t->loop);
}

static inline void node_client_close(struct test_node *t);

/* Ends everything, as a worker does, and frees. */
static inline void node_stop(struct test_node *t)
{
    struct exchange_worker *w = &t->worker;

    if (t->server.scratch != NULL)
        net_clients_abort(&t->clients);
    node_settle(t);
    fetch_cancel_all(w);
    node_settle(t);
    fetch_free_kept(w);
    sub_free_kept(w);
    node_client_close(t);
    if (w->site != NULL)
        site_retire(w->site);
    if (t->server.scratch != NULL)
        h1_server_close(&t->server);
    if (w->origins.scratch != NULL)
        origin_client_close(&w->origins);
    for (unsigned i = 0; i < t->origin_conns; i++)
        node_origin_end(&t->origin[i], false);
    event_del(&t->acceptable);
    close(t->listen_fd);
    limit_worker_close(&w->limits);
    shared_port_free(w->limits.port);
    shared_free(t->engine);
    net_loop_close(&t->loop);
    site_unref(t->site);
    limit_node_free(w->limits.node);
    pattern_scratch_free(w->scratch);
    free(w->fields);
    inflight_free(w->inflight);
    search_rules_free(w->search_rules);
    tier_free(w->tier);
    purge_free(w->purges); /* after all that may watch it */
    net_peers_free(t->peers);
    origin_registry_free(t->registry);
    free(t->metrics);
    free(t->got);
}

/* ---- the client ---- */

static inline void node_on_client(evutil_socket_t fd, short what, void *arg)
{
    struct test_node *t = arg;
    ssize_t n = recv(fd, t->got + t->got_len, NODE_TEXT_MAX - 1 - t->got_len, 0);

    (void)what;
    if (n > 0) {
        t->got_len += (size_t)n;
        t->got[t->got_len] = '\0';
    } else if (n == 0) {
        t->client_eof = true;
        event_del(&t->client_event);
    } else if (errno != EAGAIN) {
        t->client_reset = t->client_eof = true;
        event_del(&t->client_event);
    }
}

static inline void node_client_close(struct test_node *t)
{
    if (t->client < 0)
        return;
    event_del(&t->client_event);
    close(t->client);
    t->client = -1;
}

/* A new client connection; what the last one got is forgotten. */
static inline void node_client_open(struct test_node *t)
{
    struct net_addr a = {.sa.un.sun_family = AF_UNIX, .len = sizeof(sa_family_t)};
    int pair[2];

    node_client_close(t);
    t->got_len = 0;
    t->got[0] = '\0';
    t->client_eof = t->client_reset = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    t->client = pair[0];
    event_assign(&t->client_event, t->loop.base, t->client, EV_READ | EV_PERSIST, node_on_client,
                 t);
    event_add(&t->client_event, NULL);
    weir_clock_update(&t->loop.clock);
    h1_server_accept(&t->server, NULL, pair[1], &a);
}

static inline void node_send(struct test_node *t, const char *text)
{
    (void)!send(t->client, text, strlen(text), MSG_NOSIGNAL);
}

/* Length of the first whole response to a request in `text`; 0: not whole. `eof`: the connection
 * has ended. */
static inline size_t node_response_len(const char *text, size_t len, bool eof, bool head_only)
{
    const char *end = memmem(text, len, "\r\n\r\n", 4), *length;
    size_t head;

    if (end == NULL)
        return 0;
    head = (size_t)(end - text) + 4;
    if (head_only || text[9] == '1' || strncmp(text + 9, "304", 3) == 0 ||
        strncmp(text + 9, "204", 3) == 0)
        return head;
    length = memmem(text, head, "Content-Length: ", 16);
    if (length != NULL) {
        head += strtoul(length + 16, NULL, 10);
        return head <= len ? head : 0;
    }
    if (memmem(text, head, "Transfer-Encoding: chunked", 26) != NULL) {
        size_t at = head;

        for (;;) { /* chunk by chunk: content may look like an end */
            const char *crlf = memmem(text + at, len - at, "\r\n", 2);
            size_t size = crlf != NULL ? strtoul(text + at, NULL, 16) : 0;

            if (crlf == NULL)
                return 0;
            at = (size_t)(crlf - text) + 2;
            if (size == 0) { /* trailers */
                if (len - at >= 2 && memcmp(text + at, "\r\n", 2) == 0)
                    return at + 2;
                crlf = memmem(text + at, len - at, "\r\n\r\n", 4);
                return crlf != NULL ? (size_t)(crlf - text) + 4 : 0;
            }
            if (len - at < size + 2)
                return 0;
            at += size + 2;
        }
    }
    return eof ? len : 0;
}

/* Turns until `count` whole responses are there, or the connection has ended. Returns how many are
 * whole. */
static inline unsigned node_receive(struct test_node *t, unsigned count)
{
    for (;;) {
        size_t at = 0;
        unsigned whole = 0;

        while (at < t->got_len) {
            size_t n = node_response_len(t->got + at, t->got_len - at, t->client_eof, false);

            if (n == 0)
                break;
            at += n;
            whole += strncmp(t->got + at - n + 9, "1", 1) != 0;
        }
        if (whole >= count || t->client_eof)
            return whole;
        node_turn(t);
    }
}

#endif
