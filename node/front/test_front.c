/*
 * Connections on their way through the front, with real handshakes: a node in one loop
 * (test_node.h), and clients that are OpenSSL on the other end of a socket pair.
 */
#include "test_node.h"

#include <openssl/ssl.h>
#include <time.h>

#include "front.h"
#include "h2_server.h"
#include "netset.h"
#include "tls_samples.h"
#include "tls_server.h"
#include "tls_session.h"

#define ASK   "GET / HTTP/1.1\r\nHost: front.example\r\nConnection: close\r\n\r\n"
#define PROXY "PROXY TCP4 192.0.2.7 203.0.113.1 40000 443\r\n"

struct hall {
    struct test_node n; /* first */
    struct front front;
    struct h2_server h2;
    struct front_entry *entry;
    SSL_CTX *ctx; /* the clients' */
    unsigned clients;
};

static const struct script fine = {
    .reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: max-age=60\r\n\r\nok"};

static struct tls_server_context *server_context(void)
{
    char dir[] = "/tmp/test-front-XXXXXX", path[64];
    struct tls_sample_options o = {.names = "DNS:front.example"};
    struct tls_sample sample = tls_sample_make(&o);
    struct tls_certificate_settings row = {.certificate = path};
    struct tls_settings settings = {.certificates = &row,
                                    .certificate_count = 1,
                                    .min_version = "1.2"};
    struct tls_listen_settings listens = {.enabled = true, .http2 = true};
    struct tls_store_options store_options = {.settings = &settings, .now_s = time(NULL)};
    struct weir_err err = {0};
    struct tls_store *store;
    struct tls_server_context *c;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/both.pem", dir);
    tls_sample_write_certificate(path, &sample);
    tls_sample_write_key(path, &sample, 0600);
    tls_sample_free(&sample);
    store = tls_store_new(&store_options, &err);
    assert_non_null(store);
    c = tls_server_context_new(&settings, &listens, &(struct tls_server_tools){.store = store},
                               &err);
    assert_non_null(c);
    tls_store_unref(store);
    unlink(path);
    rmdir(dir);
    return c;
}

static void open_hall(struct hall *h, bool tls)
{
    struct weir_err err = {0};

    memset(h, 0, sizeof *h);
    node_init(&h->n);
    assert_true(node_start(&h->n));
    h->n.scripts = &fine;
    h->n.script_count = 1;
    assert_true(h2_server_init(&h->h2, &h->n.worker, &h->n.clients, &err));
    h->entry = front_entry_new(1, "127.0.0.1:443", &err);
    assert_non_null(h->entry);
    if (tls)
        h->entry->tls = server_context();
    h->front = (struct front){.w = &h->n.worker,
                              .clients = &h->n.clients,
                              .h1 = &h->n.server,
                              .h2 = &h->h2,
                              .tls = tls_worker_new(&h->n.loop, h->n.metrics, NULL, &err)};
    assert_non_null(h->front.tls);
    h->ctx = SSL_CTX_new(TLS_client_method());
}

static void expect_proxy(struct hall *h, const char *network)
{
    h->entry->proxy = netset_compile(&network, 1, NULL);
}

static void close_hall(struct hall *h)
{
    net_clients_abort(&h->n.clients);
    node_settle(&h->n);
    assert_int_equal(h->n.clients.count, 0);
    assert_int_equal(h->front.handshakes, 0);
    assert_null(h->front.first_waiting);
    assert_null(h->front.last_waiting);
    assert_int_equal(h->n.metrics->value[WEIR_M_handshakes_open], 0);
    assert_int_equal(atomic_load(&h->entry->refs), 1);
    h2_server_close(&h->h2);
    tls_worker_free(h->front.tls);
    front_entry_unref(h->entry);
    SSL_CTX_free(h->ctx);
    node_stop(&h->n);
}

static int64_t count_of(const struct hall *h, enum weir_metric m)
{
    return h->n.metrics->value[m];
}

/* A connection from a loopback address, as the kernel would tell of it. */
static int connect_client(struct hall *h)
{
    struct net_addr from;
    int pair[2];

    assert_true(net_addr_parse("127.0.0.1:5", &from, NULL));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    weir_clock_update(&h->n.loop.clock);
    front_accept(&h->front, h->entry, pair[1], &from);
    h->clients++;
    return pair[0];
}

static void turn(struct hall *h)
{
    h->n.loop.fresh = false;
    event_base_loop(h->n.loop.base, EVLOOP_NONBLOCK);
    node_settle(&h->n);
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Turns until `text` has come. false: the connection ended before. */
static bool hears(struct hall *h, int fd, const char *text)
{
    char got[4096] = "";
    size_t len = 0;

    for (int i = 0; i < 2000 && strstr(got, text) == NULL; i++) {
        ssize_t n = recv(fd, got + len, sizeof got - 1 - len, 0);

        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        len += n > 0 ? (size_t)n : 0;
        got[len] = '\0';
        turn(h);
        usleep(n > 0 ? 0 : 500); /* of a script or a timer */
    }
    return strstr(got, text) != NULL;
}

static bool ends(struct hall *h, int fd)
{
    char byte[256];

    for (int i = 0; i < 4000; i++) {
        ssize_t n = recv(fd, byte, sizeof byte, 0);

        if (n == 0 || (n < 0 && errno != EAGAIN))
            return true;
        turn(h);
        usleep(500);
    }
    return false;
}

static SSL *tls_client(struct hall *h, int fd, const char *alpn)
{
    SSL *ssl = SSL_new(h->ctx);

    SSL_set_fd(ssl, fd);
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             (void *)(uintptr_t) "front.example");
    if (alpn != NULL)
        SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    SSL_set_connect_state(ssl);
    return ssl;
}

static bool shakes(struct hall *h, SSL *ssl)
{
    for (int i = 0; i < 2000; i++) {
        int r = SSL_do_handshake(ssl), why = SSL_get_error(ssl, r);

        if (r == 1)
            return true;
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return false;
        turn(h);
    }
    return false;
}

static bool asks(struct hall *h, SSL *ssl)
{
    char got[1024] = "";
    int len = 0;

    assert_int_equal(SSL_write(ssl, ASK, sizeof ASK - 1), sizeof ASK - 1);
    for (int i = 0; i < 2000 && strstr(got, "\r\n\r\nok") == NULL; i++) {
        int n = SSL_read(ssl, got + len, (int)sizeof got - 1 - len);

        len += n > 0 ? n : 0;
        got[len] = '\0';
        turn(h);
        usleep(n > 0 ? 0 : 200);
    }
    return strncmp(got, "HTTP/1.1 200", 12) == 0 && strstr(got, "\r\n\r\nok") != NULL;
}

static void leave(SSL *ssl, int fd)
{
    SSL_free(ssl);
    close(fd);
}

/* ---- tests ---- */

static void a_plain_address_is_http1_at_once(void **state)
{
    struct hall h;
    int fd;

    (void)state;
    open_hall(&h, false);
    fd = connect_client(&h);
    say(fd, ASK);
    assert_true(hears(&h, fd, "\r\n\r\nok"));
    close(fd);
    close_hall(&h);
}

static void by_prior_knowledge_a_plain_address_speaks_both(void **state)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct hall h;
    char frame[9] = "";
    ssize_t n = -1;
    int fd;

    (void)state;
    open_hall(&h, false);
    h.entry->http2 = true;
    fd = connect_client(&h);
    say(fd, "P"); /* a POST, so far */
    turn(&h);
    say(fd, "OST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_true(hears(&h, fd, "HTTP/1.1 200"));
    close(fd);
    for (size_t cut = 1; cut < sizeof preface - 1; cut += 11) {
        fd = connect_client(&h);
        assert_int_equal(send(fd, preface, cut, 0), cut);
        turn(&h);
        assert_int_equal(send(fd, preface + cut, sizeof preface - 1 - cut, 0),
                         sizeof preface - 1 - cut);
        assert_int_equal(send(fd, "\0\0\0\4\0\0\0\0\0", 9, 0), 9); /* SETTINGS */
        for (int i = 0; i < 100 && n < 9; i++) {
            turn(&h);
            n = recv(fd, frame, 9, MSG_PEEK);
        }
        assert_int_equal(n, 9);
        assert_int_equal(frame[3], 4); /* SETTINGS of its own */
        n = -1;
        close(fd);
    }
    turn(&h);
    close_hall(&h);
}

static void a_handshake_leads_to_http1(void **state)
{
    struct hall h;
    SSL *ssl;
    int fd;

    (void)state;
    open_hall(&h, true);
    for (int i = 0; i < 2; i++) {
        fd = connect_client(&h);
        ssl = tls_client(&h, fd, i == 0 ? NULL : "\x08http/1.1");
        assert_true(shakes(&h, ssl));
        assert_true(asks(&h, ssl));
        leave(ssl, fd);
        turn(&h);
    }
    assert_int_equal(count_of(&h, WEIR_M_handshakes_delayed), 0);
    close_hall(&h);
}

static void alpn_leads_to_http2(void **state)
{
    struct hall h;
    unsigned char frame[9] = "";
    int fd, n = 0;
    SSL *ssl;

    (void)state;
    open_hall(&h, true);
    fd = connect_client(&h);
    ssl = tls_client(&h, fd, "\x02h2\x08http/1.1");
    assert_true(shakes(&h, ssl));
    for (int i = 0; i < 1000 && n <= 0; i++) {
        turn(&h);
        n = SSL_read(ssl, frame, 9);
    }
    assert_int_equal(n, 9);
    assert_int_equal(frame[3], 4); /* SETTINGS */
    leave(ssl, fd);
    turn(&h);
    close_hall(&h);
}

static void the_handshake_begins_right_behind_the_proxy_header(void **state)
{
    struct hall h;
    SSL *ssl;
    BIO *hello;
    char bytes[2048] = PROXY;
    size_t len = sizeof PROXY - 1;
    int fd, n;

    (void)state;
    open_hall(&h, true);
    expect_proxy(&h, "127.0.0.0/8");
    fd = connect_client(&h);
    ssl = SSL_new(h.ctx);
    hello = BIO_new(BIO_s_mem());
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             (void *)(uintptr_t) "front.example");
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), hello);
    SSL_set_connect_state(ssl);
    assert_int_equal(SSL_do_handshake(ssl), -1);
    n = BIO_read(hello, bytes + len, (int)(sizeof bytes - len));
    assert_true(n > 0);
    len += (size_t)n;
    assert_int_equal(send(fd, bytes, len, 0), len); /* in one packet */
    SSL_set_fd(ssl, fd);
    assert_true(shakes(&h, ssl));
    turn(&h); /* the client's last word */
    assert_int_equal(h.n.clients.all->peer.ip[0], 192);
    assert_int_equal(h.n.clients.all->local.port, 443);
    assert_non_null(h.n.clients.all->tls);
    assert_true(asks(&h, ssl));
    leave(ssl, fd);
    close_hall(&h);
}

static void what_is_no_handshake_is_closed(void **state)
{
    struct hall h;
    int fd;

    (void)state;
    open_hall(&h, true);
    fd = connect_client(&h);
    say(fd, ASK);
    assert_true(ends(&h, fd));
    close(fd);
    fd = connect_client(&h);
    close(fd); /* before the first byte */
    turn(&h);
    assert_int_equal(h.n.clients.count, 0);
    close_hall(&h);
}

static void handshakes_wait_for_their_turn(void **state)
{
    struct hall h;
    SSL *ssl[4];
    int fd[4], silent;

    (void)state;
    open_hall(&h, true);
    h.entry->handshakes = 1;
    silent = connect_client(&h); /* takes nobody's place */
    for (int i = 0; i < 4; i++) {
        fd[i] = connect_client(&h);
        ssl[i] = tls_client(&h, fd[i], NULL);
        assert_int_equal(SSL_do_handshake(ssl[i]), -1);
        turn(&h);
    }
    assert_int_equal(h.front.handshakes, 1);
    assert_int_equal(count_of(&h, WEIR_M_handshakes_delayed), 3);
    assert_int_equal(recv(fd[2], (char[1]){0}, 1, MSG_PEEK), -1); /* not its turn */
    close(fd[1]);                                                 /* nobody looks at it yet */
    assert_true(shakes(&h, ssl[0]));
    assert_true(shakes(&h, ssl[2])); /* the one that left made room, too */
    assert_true(asks(&h, ssl[2]));
    assert_true(shakes(&h, ssl[3]));
    assert_true(asks(&h, ssl[3]));
    assert_true(asks(&h, ssl[0]));
    SSL_free(ssl[1]);
    close(silent);
    leave(ssl[0], fd[0]);
    leave(ssl[2], fd[2]);
    leave(ssl[3], fd[3]);
    close_hall(&h);
}

static void who_takes_too_long_is_closed(void **state)
{
    struct hall h;
    int first, second;

    (void)state;
    open_hall(&h, true);
    h.entry->handshakes = 1;
    h.entry->handshake_timeout_ms = 100;
    first = connect_client(&h);
    second = connect_client(&h);
    say(first, "\x16");
    turn(&h);
    say(second, "\x16"); /* waits, and costs nothing */
    turn(&h);
    assert_true(ends(&h, first));
    assert_true(ends(&h, second));
    assert_int_equal(count_of(&h, WEIR_M_handshakes_late), 2);
    close(first);
    close(second);
    close_hall(&h);
}

static void who_says_nothing_is_idle_and_not_late(void **state)
{
    struct hall h;
    SSL *ssl;
    int silent, busy, third;

    (void)state;
    open_hall(&h, true);
    h.entry->handshake_timeout_ms = 30000;
    silent = connect_client(&h);
    busy = connect_client(&h);
    ssl = tls_client(&h, busy, NULL);
    assert_int_equal(SSL_do_handshake(ssl), -1);
    turn(&h); /* its handshake is under way */
    net_clients_shed(&h.n.clients);
    assert_true(ends(&h, silent));
    assert_int_equal(h.n.clients.count, 1);
    h.entry->handshake_timeout_ms = 50;
    third = connect_client(&h);
    assert_true(ends(&h, third));
    assert_int_equal(count_of(&h, WEIR_M_handshakes_late), 0);
    assert_true(shakes(&h, ssl));
    assert_true(asks(&h, ssl));
    leave(ssl, busy);
    close(silent);
    close(third);
    turn(&h);
    close_hall(&h);
}

static void behind_a_proxy_header_silence_is_idle_too(void **state)
{
    struct hall h;
    SSL *ssl;
    int fd;

    (void)state;
    open_hall(&h, true);
    expect_proxy(&h, "127.0.0.0/8");
    fd = connect_client(&h);
    say(fd, PROXY);
    turn(&h);
    assert_non_null(h.n.clients.oldest_idle);
    ssl = tls_client(&h, fd, NULL);
    assert_true(shakes(&h, ssl));
    assert_true(asks(&h, ssl));
    leave(ssl, fd);
    turn(&h);
    close_hall(&h);
}

static void who_is_silent_does_not_hold_up_a_drain(void **state)
{
    struct hall h;
    SSL *ssl;
    int silent, busy;

    (void)state;
    open_hall(&h, true);
    silent = connect_client(&h);
    busy = connect_client(&h);
    ssl = tls_client(&h, busy, NULL);
    assert_int_equal(SSL_do_handshake(ssl), -1);
    turn(&h); /* it has begun */
    net_clients_drain(&h.n.clients);
    assert_true(shakes(&h, ssl));
    assert_true(asks(&h, ssl)); /* and is served */
    assert_true(ends(&h, silent));
    leave(ssl, busy);
    close(silent);
    close_hall(&h);
}

static void the_header_comes_in_pieces(void **state)
{
    static const char text[] = PROXY ASK;
    struct hall h;

    (void)state;
    open_hall(&h, false);
    expect_proxy(&h, "127.0.0.1");
    for (size_t cut = 1; cut < sizeof text - 1; cut += 3) {
        int fd = connect_client(&h);

        assert_int_equal(send(fd, text, cut, 0), cut);
        turn(&h);
        assert_int_equal(send(fd, text + cut, sizeof text - 1 - cut, 0), sizeof text - 1 - cut);
        assert_true(hears(&h, fd, "\r\n\r\nok"));
        close(fd);
    }
    assert_int_equal(count_of(&h, WEIR_M_proxy_headers), h.clients);
    close_hall(&h);
}

static void who_is_not_listed_is_not_let_in(void **state)
{
    struct hall h;
    int fd;

    (void)state;
    open_hall(&h, false);
    expect_proxy(&h, "192.0.2.0/24");
    fd = connect_client(&h);
    assert_int_equal(recv(fd, (char[1]){0}, 1, 0), 0);
    assert_int_equal(count_of(&h, WEIR_M_proxy_refused), 1);
    assert_int_equal(count_of(&h, WEIR_M_connections_accepted), 0);
    close(fd);
    close_hall(&h);
}

#ifdef WEIR_FAULTS
static void the_nth_allocation_may_fail(void **state)
{
    struct hall h;

    (void)state;
    open_hall(&h, true);
    expect_proxy(&h, "127.0.0.0/8");
    for (unsigned long n = 1; n < 40; n++) {
        int fd;
        SSL *ssl;

        weir_alloc_fail_at(n);
        fd = connect_client(&h);
        if (send(fd, PROXY, sizeof PROXY - 1, MSG_NOSIGNAL) > 0) {
            ssl = tls_client(&h, fd, NULL);
            assert_true((shakes(&h, ssl) && asks(&h, ssl)) || weir_alloc_failed());
            SSL_free(ssl);
        }
        weir_alloc_fail_at(0);
        close(fd);
        for (int i = 0; i < 5; i++)
            turn(&h);
    }
    close_hall(&h);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_address_is_http1_at_once),
        cmocka_unit_test(by_prior_knowledge_a_plain_address_speaks_both),
        cmocka_unit_test(a_handshake_leads_to_http1),
        cmocka_unit_test(alpn_leads_to_http2),
        cmocka_unit_test(the_handshake_begins_right_behind_the_proxy_header),
        cmocka_unit_test(what_is_no_handshake_is_closed),
        cmocka_unit_test(handshakes_wait_for_their_turn),
        cmocka_unit_test(who_takes_too_long_is_closed),
        cmocka_unit_test(who_says_nothing_is_idle_and_not_late),
        cmocka_unit_test(behind_a_proxy_header_silence_is_idle_too),
        cmocka_unit_test(who_is_silent_does_not_hold_up_a_drain),
        cmocka_unit_test(the_header_comes_in_pieces),
        cmocka_unit_test(who_is_not_listed_is_not_let_in),
#ifdef WEIR_FAULTS
        cmocka_unit_test(the_nth_allocation_may_fail),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
