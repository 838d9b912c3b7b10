/* Connections that are being made: TLS, who waits for them, and PROXY headers before all else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/container.h"
#include "origin_client.h"
#include "origin_names.h"
#include "origin_pool.h"
#include "origin_state.h"
#include "tls_client.h"
#include "tls_samples.h"
#include "tls_session.h"

#define FETCHES     8
#define WATCHDOG_MS 10000
#define REPLY       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* ---- the origin: a thread, one connection after the other, each until it ends ---- */

enum kind { PLAIN, TLS, SILENT };

struct server {
    enum kind kind;
    int fd, end[2];
    uint16_t port;
    SSL_CTX *ctx;
    pthread_t thread;
    int accepted;
    char seen[256]; /* the first bytes of a plain connection */
};

struct visit {
    struct server *s;
    int fd;
};

static void serve_tls(struct server *s, int fd)
{
    SSL *ssl = SSL_new(s->ctx);
    char in[1024];

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1)
        while (SSL_read(ssl, in, sizeof in) > 0)
            SSL_write(ssl, REPLY, (int)strlen(REPLY));
    SSL_free(ssl);
}

static void *visit(void *arg)
{
    struct visit *v = arg;
    char in[1024];
    ssize_t n;

    if (v->s->kind == TLS) {
        serve_tls(v->s, v->fd);
    } else {
        while ((n = recv(v->fd, in, sizeof in, 0)) > 0) {
            memcpy(v->s->seen, in, (size_t)n < 255 ? (size_t)n : 255);
            if (v->s->kind == PLAIN)
                send(v->fd, REPLY, strlen(REPLY), MSG_NOSIGNAL);
        }
    }
    close(v->fd);
    free(v);
    return NULL;
}

static void *run_server(void *arg)
{
    struct server *s = arg;
    pthread_t visits[FETCHES * 2];
    int count = 0, fd;

    while (count < FETCHES * 2 && (fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct visit *v = malloc(sizeof *v);

        *v = (struct visit){s, fd};
        __atomic_add_fetch(&s->accepted, 1, __ATOMIC_SEQ_CST);
        assert_int_equal(pthread_create(&visits[count++], NULL, visit, v), 0);
    }
    for (int i = 0; i < count; i++)
        pthread_join(visits[i], NULL);
    return NULL;
}

static void start_server(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void stop_server(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* ---- our side ---- */

struct world {
    struct server server;
    struct net_loop loop;
    struct net_timer watchdog;
    bool late;
    _Alignas(64) struct weir_metrics metrics;
    struct origin_client client;
    struct upstream_settings settings;
    struct origin_settings origin;
    char url[48], folder[32], ca[64];
    struct tls_sample sample;
    struct tls_client_context *tls;
    struct origin_registry *registry;
    struct origin_state *state;
    struct origin_names *names;
    struct origin_upstream *up;
    unsigned over;
};

struct get {
    struct world *w;
    struct origin_fetch f;
    int ends, fails;
    struct weir_err err;
};

static void on_interim(void *arg, const struct http_head *head)
{
    (void)arg;
    (void)head;
}

static void on_head(void *arg, const struct http_head *head, const struct http_framing *framing)
{
    (void)arg;
    (void)framing;
    assert_int_equal(head->status, 200);
}

static bool on_data(void *arg, struct weir_slice s, bool last)
{
    (void)arg;
    (void)last;
    weir_blob_unref(s.blob);
    return true;
}

static void one_is_over(struct get *g)
{
    g->w->over++;
    g->w->loop.stopping = true;
}

static void on_end(void *arg)
{
    struct get *g = arg;

    g->ends++;
    one_is_over(g);
}

static void on_fail(void *arg, const struct weir_err *err)
{
    struct get *g = arg;

    g->fails++;
    g->err = *err;
    one_is_over(g);
}

static const struct origin_events events = {on_interim, on_head, on_data, on_end, on_fail, NULL};

static void on_watchdog(struct net_timer *t)
{
    struct world *w = WEIR_CONTAINER(t, struct world, watchdog);

    w->late = true;
    w->loop.stopping = true;
}

static int choose_http1(SSL *ssl, const unsigned char **out, unsigned char *len,
                        const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char http1[] = "\x08http/1.1";

    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, len, http1, 9, in, in_len) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

/* A certificate for the origin; what our side trusts is it, or another one. */
static void open_tls(struct world *w, bool trusted)
{
    struct tls_sample other =
        tls_sample_make(&(struct tls_sample_options){.names = "DNS:localhost", .authority = true});
    struct tls_client_settings s = {.verify = true,
                                    .ca = w->ca,
                                    .min_version = "1.2",
                                    .http2 = true};
    struct weir_err err = {0};

    w->sample = tls_sample_make(
        &(struct tls_sample_options){.names = "DNS:localhost,IP:127.0.0.1", .authority = true});
    snprintf(w->folder, sizeof w->folder, "/tmp/weir-dial-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->ca, sizeof w->ca, "%s/ca.pem", w->folder);
    tls_sample_write_certificate(w->ca, trusted ? &w->sample : &other);
    tls_sample_free(&other);
    w->server.ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(w->server.ctx, w->sample.x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(w->server.ctx, w->sample.key), 1);
    SSL_CTX_set_alpn_select_cb(w->server.ctx, choose_http1, NULL);
    w->tls = tls_client_context_new(&s, NULL, &err);
    assert_non_null(w->tls);
    w->client.tls = tls_worker_new(&w->loop, &w->metrics, NULL, &err);
    assert_non_null(w->client.tls);
}

static struct world *new_world(enum kind kind, bool tls, bool trusted,
                               enum origin_proxy_protocol proxy)
{
    struct world *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);

    memset(w, 0, sizeof *w);
    signal(SIGPIPE, SIG_IGN);
    assert_true(net_loop_init(&w->loop, NULL));
    assert_true(origin_client_init(&w->client, &w->loop, &w->metrics, 1, NULL));
    w->server.kind = kind;
    if (tls)
        open_tls(w, trusted);
    start_server(&w->server);
    snprintf(w->url, sizeof w->url, "%s://127.0.0.1:%u", tls ? "https" : "http", w->server.port);
    w->origin = (struct origin_settings){
        .url = w->url, .host = "127.0.0.1", .port = w->server.port, .weight = 1, .tls = tls};
    w->settings = (struct upstream_settings){.name = "app",
                                             .origins = &w->origin,
                                             .origin_count = 1,
                                             .balance = BALANCE_ROUND_ROBIN,
                                             .proxy_protocol = proxy,
                                             .hash_load_percent = 125,
                                             .max_connections = FETCHES,
                                             .max_idle = FETCHES,
                                             .idle_timeout_ms = 30000,
                                             .queue = 8,
                                             .queue_timeout_ms = 10000,
                                             .connect_timeout_ms = 10000,
                                             .first_byte_timeout_ms = 10000,
                                             .read_timeout_ms = 10000,
                                             .write_timeout_ms = 10000,
                                             .resolve_interval_ms = 30000,
                                             .head_bytes = 65536,
                                             .fields = 200};
    w->registry = origin_registry_new(NULL);
    w->state = origin_registry_get(w->registry, "app", w->url, NULL);
    w->names = origin_names_new(&w->origin, 30000, NULL, NULL, NULL);
    w->up = origin_upstream_new(&w->client, &w->settings, &w->state, &w->names, w->tls, 1, NULL);
    assert_non_null(w->up);
    return w;
}

static void free_world(struct world *w)
{
    origin_upstream_free(w->up);
    origin_client_close(&w->client);
    stop_server(&w->server);
    assert_int_equal(atomic_load(&w->state->connections), 0);
    assert_int_equal(atomic_load(&w->state->in_flight), 0);
    assert_null(w->client.pools);
    origin_names_unref(w->names);
    origin_state_unref(w->state);
    net_loop_close(&w->loop);
    if (w->tls != NULL) {
        tls_worker_free(w->client.tls);
        tls_client_context_unref(w->tls);
        tls_sample_free(&w->sample);
        SSL_CTX_free(w->server.ctx);
        unlink(w->ca);
        rmdir(w->folder);
    }
    origin_registry_free(w->registry);
    free(w);
}

static void begin(struct world *w, struct get *g)
{
    struct origin_request r = {.head = WEIR_SPAN_LIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                               .method = HTTP_M_GET,
                               .from = {AF_INET, 4711, {192, 0, 2, 7}},
                               .to = {AF_INET, 443, {198, 51, 100, 1}}};

    *g = (struct get){.w = w};
    weir_clock_update(&w->loop.clock);
    origin_fetch_start(&g->f, w->up, &r, NULL, &events, g);
}

static void run(struct world *w)
{
    w->watchdog.fire = on_watchdog;
    net_timer_start(&w->loop, &w->watchdog, net_now_ms(&w->loop) + WATCHDOG_MS);
    w->loop.stopping = false;
    net_loop_run(&w->loop);
    net_timer_stop(&w->loop, &w->watchdog);
    assert_false(w->late);
}

static void run_until_over(struct world *w, unsigned count)
{
    while (w->over < count)
        run(w);
}

/* ---- tests ---- */

static void many_fetches_may_wait_for_one_dial_and_all_are_served(void **state)
{
    struct world *w = new_world(TLS, true, true, ORIGIN_PROXY_OFF);
    struct get *g = calloc(FETCHES, sizeof *g);
    struct origin_pool *p = w->up->pools[0];

    (void)state;
    for (int i = 0; i < FETCHES; i++)
        begin(w, &g[i]);
    run_until_over(w, FETCHES);
    for (int i = 0; i < FETCHES; i++)
        assert_int_equal(g[i].ends, 1);
    assert_int_equal(p->speaks, ORIGIN_SPEAKS_HTTP1);
    assert_null(p->dials);
    assert_int_equal(atomic_load(&w->state->connections), p->idle_count);
    free(g);
    free_world(w);
}

static void a_certificate_that_is_not_trusted_fails_all_who_wait(void **state)
{
    struct world *w = new_world(TLS, true, false, ORIGIN_PROXY_OFF);
    struct get *g = calloc(3, sizeof *g);

    (void)state;
    for (int i = 0; i < 3; i++)
        begin(w, &g[i]);
    run_until_over(w, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(g[i].fails, 1);
        assert_int_equal(g[i].err.code, WEIR_E_ORIGIN_CERTIFICATE);
        assert_non_null(strstr(g[i].err.detail, w->url));
    }
    assert_int_equal(atomic_load(&w->state->connections), 0);
    free(g);
    free_world(w);
}

static void whoever_waits_may_leave_and_the_last_one_ends_the_dial(void **state)
{
    struct world *w = new_world(SILENT, true, true, ORIGIN_PROXY_OFF);
    struct get *g = calloc(3, sizeof *g);

    (void)state;
    for (int i = 0; i < 3; i++)
        begin(w, &g[i]);
    while (w->server.seen[0] == '\0') { /* the hello is there: hands are being shaken */
        event_base_loop(w->loop.base, EVLOOP_NONBLOCK);
        usleep(1000);
    }
    assert_int_equal(w->server.seen[0], 0x16);
    for (int i = 0; i < 3; i++)
        origin_fetch_cancel(&g[i].f);
    assert_null(w->up->pools[0]->dials);
    assert_int_equal(atomic_load(&w->state->connections), 0);
    assert_int_equal(w->over, 0);
    free_world(w);
    free(g);
}

static void a_handshake_that_takes_too_long_is_a_connection_that_does(void **state)
{
    struct world *w = new_world(SILENT, true, true, ORIGIN_PROXY_OFF);
    struct get *g = calloc(1, sizeof *g);

    (void)state;
    w->settings.connect_timeout_ms = 100;
    begin(w, g);
    run_until_over(w, 1);
    assert_int_equal(g->err.code, WEIR_E_ORIGIN_CONNECT_TIMEOUT);
    free(g);
    free_world(w);
}

static void a_new_context_ends_what_was_agreed_on_under_the_old_one(void **state)
{
    struct world *w = new_world(TLS, true, true, ORIGIN_PROXY_OFF);
    struct tls_client_settings s = {.verify = true, .ca = w->ca, .min_version = "1.2"};
    struct get *g = calloc(1, sizeof *g);
    struct tls_client_context *fresh = tls_client_context_new(&s, NULL, NULL);
    struct origin_upstream *second;

    (void)state;
    begin(w, g);
    run_until_over(w, 1);
    assert_int_equal(w->up->pools[0]->idle_count, 1);
    second = origin_upstream_new(&w->client, &w->settings, &w->state, &w->names, w->tls, 1, NULL);
    assert_int_equal(w->up->pools[0]->idle_count, 1);
    origin_upstream_free(second);
    second = origin_upstream_new(&w->client, &w->settings, &w->state, &w->names, fresh, 1, NULL);
    assert_int_equal(w->up->pools[0]->idle_count, 0);
    origin_upstream_free(second);
    begin(w, g); /* under the fresh one */
    while (w->up->pools[0]->dials != NULL)
        event_base_loop(w->loop.base, EVLOOP_NONBLOCK);
    second = origin_upstream_new(&w->client, &w->settings, &w->state, &w->names, w->tls, 1, NULL);
    run_until_over(w, 2);
    assert_int_equal(g->ends, 1);
    assert_int_equal(w->up->pools[0]->idle_count, 0); /* it is not kept for others */
    origin_upstream_free(second);
    tls_client_context_unref(fresh);
    free(g);
    free_world(w);
}

static void a_proxy_header_goes_first_and_the_connection_is_not_kept(void **state)
{
    static const char expected[] = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nGET / HTTP/1.1";
    struct world *w = new_world(PLAIN, false, false, ORIGIN_PROXY_V1);
    struct get *g = calloc(2, sizeof *g);

    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(w, &g[i]);
        run_until_over(w, (unsigned)i + 1);
        assert_int_equal(g[i].ends, 1);
        assert_memory_equal(w->server.seen, expected, sizeof expected - 1);
        assert_int_equal(w->up->pools[0]->idle_count, 0);
    }
    assert_int_equal(__atomic_load_n(&w->server.accepted, __ATOMIC_SEQ_CST), 2);
    free(g);
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_fetches_may_wait_for_one_dial_and_all_are_served),
        cmocka_unit_test(a_certificate_that_is_not_trusted_fails_all_who_wait),
        cmocka_unit_test(whoever_waits_may_leave_and_the_last_one_ends_the_dial),
        cmocka_unit_test(a_handshake_that_takes_too_long_is_a_connection_that_does),
        cmocka_unit_test(a_new_context_ends_what_was_agreed_on_under_the_old_one),
        cmocka_unit_test(a_proxy_header_goes_first_and_the_connection_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
