/*
 * Connections to a real redis-server, started here on free ports in a folder of its own: plain by
 * IPv4, IPv6 and a unix socket, TLS, an ACL user, a subscriber.
 */
#include "redis_conn.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "redis_settings.h"
#include "redis_tls.h"
#include "weir/container.h"

#define PATIENCE_MS 20000
#define PIPELINED   200

struct real {
    char dir[64];
    char cert[80], key[80], path[80];
    uint16_t port, tls_port;
    pid_t pid;
    struct event_base *base;
    struct event *alarm;
    struct redis_loop *loop;
    struct redis_settings settings;
    struct redis_conn *conn;
    bool up;
    enum redis_fault fault; /* of down */
    char why[200];
    unsigned done;
    unsigned pushes;
};

struct call {
    struct redis_command cmd;
    struct real *r;
    struct redis_reply *reply; /* owned */
    enum redis_fault fault;
};

static void on_up(struct redis_conn *conn, void *arg)
{
    (void)conn;
    ((struct real *)arg)->up = true;
}

static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg)
{
    struct real *r = arg;

    (void)conn;
    r->fault = fault;
    snprintf(r->why, sizeof r->why, "%s", why);
}

static void on_push(struct redis_conn *conn, struct redis_reply *reply, void *arg)
{
    (void)conn, (void)reply;
    ((struct real *)arg)->pushes++;
}

static const struct redis_conn_events events = {on_up, on_down, on_push};

static void turn(struct real *r)
{
    struct timeval tick = {0, 2000};

    evtimer_add(r->alarm, &tick);
    event_base_loop(r->base, EVLOOP_ONCE);
}

#define UNTIL(r, claim)                                                                            \
    do {                                                                                           \
        int64_t end_ms = redis_now_ms() + PATIENCE_MS;                                             \
                                                                                                   \
        while (!(claim)) {                                                                         \
            turn(r);                                                                               \
            if (redis_now_ms() > end_ms)                                                           \
                fail_msg("waited in vain for %s: %s", #claim, (r)->why);                           \
        }                                                                                          \
    } while (0)

/* ---- the server ---- */

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (void *)&a, len) != 0 || getsockname(fd, (void *)&a, &len) != 0)
        return 0;
    close(fd);
    return ntohs(a.sin_port);
}

static bool run_openssl(struct real *r)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(127);
        execlp("openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=redis",
               "-addext", "subjectAltName=IP:127.0.0.1,DNS:redis.test", "-keyout", r->key, "-out",
               r->cert, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void exec_server(struct real *r)
{
    char port[8], tls_port[8];

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
    snprintf(port, sizeof port, "%u", (unsigned)r->port);
    snprintf(tls_port, sizeof tls_port, "%u", (unsigned)r->tls_port);
    if (freopen("/dev/null", "w", stdout) == NULL)
        _exit(127);
    execlp("redis-server", "redis-server", "--port", port, "--tls-port", tls_port, "--bind",
           "127.0.0.1", "-::1", "--unixsocket", r->path, "--save", "", "--dir", r->dir,
           "--tls-cert-file", r->cert, "--tls-key-file", r->key, "--tls-ca-cert-file", r->cert,
           "--tls-auth-clients", "optional", "--user", "weir", "on", ">secret", "~*", "&*", "+@all",
           (char *)NULL);
    _exit(127);
}

static void ignore_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static void connect_to(struct real *r, const char *host, uint16_t port, struct redis_tls *tls,
                       bool subscriber)
{
    struct redis_endpoint to = {
        .host = host, .port = port, .settings = &r->settings, .tls = tls, .subscriber = subscriber};

    redis_conn_free(r->conn);
    r->up = false;
    r->fault = REDIS_FAULT_NONE;
    r->conn = redis_conn_new(r->loop, &to, &events, r);
    assert_non_null(r->conn);
    UNTIL(r, r->up || r->fault != REDIS_FAULT_NONE);
}

static int start(void **state)
{
    struct real *r = calloc(1, sizeof *r);
    int status;

    snprintf(r->dir, sizeof r->dir, "/tmp/weir-redis-XXXXXX");
    if (mkdtemp(r->dir) == NULL)
        return -1;
    snprintf(r->cert, sizeof r->cert, "%s/cert.pem", r->dir);
    snprintf(r->key, sizeof r->key, "%s/key.pem", r->dir);
    snprintf(r->path, sizeof r->path, "%s/redis.sock", r->dir);
    r->port = free_port();
    r->tls_port = free_port();
    if (!run_openssl(r)) {
        fprintf(stderr, "openssl cannot be run\n");
        return -1;
    }
    r->pid = fork();
    if (r->pid == 0)
        exec_server(r);
    r->base = event_base_new();
    r->loop = redis_loop_new(r->base, NULL);
    r->alarm = evtimer_new(r->base, ignore_alarm, NULL);
    r->settings = redis_settings_default();
    r->settings.connect_timeout_ms = 5000;
    *state = r;
    for (int64_t end_ms = redis_now_ms() + PATIENCE_MS; !r->up;) {
        connect_to(r, r->path, 0, NULL, false);
        if (waitpid(r->pid, &status, WNOHANG) != 0 || redis_now_ms() > end_ms) {
            fprintf(stderr, "redis-server cannot be started: %s\n", r->why);
            return -1;
        }
    }
    return 0;
}

static int stop(void **state)
{
    struct real *r = *state;

    redis_conn_free(r->conn);
    redis_loop_free(r->loop);
    event_free(r->alarm);
    event_base_free(r->base);
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    unlink(r->cert);
    unlink(r->key);
    unlink(r->path);
    rmdir(r->dir);
    free(r);
    return 0;
}

/* ---- asking it ---- */

static void on_done(struct redis_command *cmd, struct redis_reply *reply, enum redis_fault fault)
{
    struct call *c = WEIR_CONTAINER(cmd, struct call, cmd);

    c->fault = fault;
    c->reply = redis_reply_ref(reply);
    c->r->done++;
}

static void submit(struct real *r, struct call *c, const struct redis_arg *argv, size_t argc)
{
    *c = (struct call){.r = r,
                       .cmd = {.done = on_done, .deadline_ms = redis_now_ms() + PATIENCE_MS}};
    assert_int_equal(redis_conn_submit(r->conn, &c->cmd, argv, argc, 0), REDIS_FAULT_NONE);
}

/* SET and GET of so many bytes, the value from a blob. */
static void round_trip(struct real *r, size_t len)
{
    struct weir_blob *blob = weir_blob_new(len);
    struct redis_arg set[] = {redis_arg_str("SET"), redis_arg_str("k"),
                              redis_arg_slice((struct weir_slice){blob, 0, (uint32_t)len})};
    struct redis_arg get[] = {redis_arg_str("GET"), redis_arg_str("k")};
    struct call a, b;

    for (size_t i = 0; i < len; i++)
        blob->bytes[i] = (char)(i * 7 + i / 251);
    r->done = 0;
    submit(r, &a, set, 3);
    submit(r, &b, get, 2);
    UNTIL(r, r->done == 2);
    assert_true(redis_reply_is_status(a.reply, "OK"));
    assert_int_equal(b.fault, REDIS_FAULT_NONE);
    assert_int_equal(b.reply->kind, REDIS_KIND_BULK);
    assert_int_equal(b.reply->text.len, len);
    assert_memory_equal(b.reply->text.ptr, blob->bytes, len);
    redis_reply_unref(a.reply);
    redis_reply_unref(b.reply);
    weir_blob_unref(blob);
}

/* Many at once: each reply must reach its own command. */
static void pipeline(struct real *r)
{
    static struct call calls[PIPELINED];
    char text[16];

    r->done = 0;
    for (int i = 0; i < PIPELINED; i++) {
        struct redis_arg echo[] = {redis_arg_str("ECHO"), redis_arg(WEIR_SPAN_NONE)};

        snprintf(text, sizeof text, "%d", i);
        echo[1] = redis_arg_str(text);
        submit(r, &calls[i], echo, 2);
    }
    UNTIL(r, r->done == PIPELINED);
    for (int i = 0; i < PIPELINED; i++) {
        int64_t n;

        assert_true(redis_reply_number(calls[i].reply, &n) && n == i);
        redis_reply_unref(calls[i].reply);
    }
}

static void is_fine(struct real *r)
{
    assert_string_equal(r->up ? "" : r->why, "");
    round_trip(r, 10);
    round_trip(r, 1000);
    round_trip(r, 262080);
    round_trip(r, 2000000);
    pipeline(r);
}

static void plain_connections_work(void **state)
{
    struct real *r = *state;

    connect_to(r, "127.0.0.1", r->port, NULL, false);
    is_fine(r);
    connect_to(r, "localhost", r->port, NULL, false);
    is_fine(r);
    connect_to(r, r->path, 0, NULL, false);
    is_fine(r);
}

static void ipv6_works(void **state)
{
    struct real *r = *state;
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool here = fd >= 0 && bind(fd, (void *)&a, sizeof a) == 0;
    struct redis_conn_stats s;

    if (fd >= 0)
        close(fd);
    if (!here) /* a machine without it */
        skip();
    connect_to(r, "::1", r->port, NULL, false);
    is_fine(r);
    redis_conn_stats(r->conn, &s);
    assert_memory_equal(s.peer, "[::1]:", 6);
}

static void an_acl_user_is_let_in_with_his_password_alone(void **state)
{
    struct real *r = *state;

    r->settings.username = "weir";
    r->settings.password = "secret";
    connect_to(r, "127.0.0.1", r->port, NULL, false);
    is_fine(r);
    r->settings.password = "guess";
    connect_to(r, "127.0.0.1", r->port, NULL, false);
    assert_int_equal(r->fault, REDIS_FAULT_AUTH);
    assert_non_null(strstr(r->why, "WRONGPASS"));
    r->settings.username = r->settings.password = NULL;
}

static void tls_works_and_is_verified(void **state)
{
    struct real *r = *state;
    struct redis_tls_settings s = {.on = true, .ca_file = r->cert};
    struct redis_tls *tls = redis_tls_new(&s, NULL);

    assert_non_null(tls);
    connect_to(r, "127.0.0.1", r->tls_port, tls, false); /* among its addresses */
    is_fine(r);
    connect_to(r, "localhost", r->tls_port, tls, false); /* not among its names */
    assert_int_equal(r->fault, REDIS_FAULT_TLS);
    assert_non_null(strstr(r->why, "certificate: "));
    redis_conn_free(r->conn);
    r->conn = NULL;
    redis_tls_free(tls);

    s.server_name = "redis.test";
    s.cert_file = r->cert;
    s.key_file = r->key;
    tls = redis_tls_new(&s, NULL);
    connect_to(r, "localhost", r->tls_port, tls, false);
    is_fine(r);
    r->settings.connect_timeout_ms = 200;
    connect_to(r, "127.0.0.1", r->port, tls, false); /* takes the handshake for half a command */
    r->settings.connect_timeout_ms = 5000;
    assert_int_equal(r->fault, REDIS_FAULT_TLS);
    assert_non_null(strstr(r->why, "does that port speak TLS?"));
    redis_conn_free(r->conn);
    r->conn = NULL;
    redis_tls_free(tls);

    s = (struct redis_tls_settings){.on = true}; /* what the system trusts */
    tls = redis_tls_new(&s, NULL);
    connect_to(r, "127.0.0.1", r->tls_port, tls, false);
    assert_int_equal(r->fault, REDIS_FAULT_TLS);
    redis_conn_free(r->conn);
    r->conn = NULL;
    redis_tls_free(tls);
}

static void plain_to_a_tls_port_fails(void **state)
{
    struct real *r = *state;

    connect_to(r, "127.0.0.1", r->tls_port, NULL, false);
    assert_false(r->up);
    assert_int_not_equal(r->fault, REDIS_FAULT_NONE);
}

static void tls_files_that_are_none_are_named(void **state)
{
    struct real *r = *state;
    struct redis_tls_settings s = {.on = true, .ca_file = "/nowhere.pem"};
    struct weir_err err = {0};

    assert_null(redis_tls_new(&s, &err));
    assert_non_null(strstr(err.detail, "/nowhere.pem"));
    s = (struct redis_tls_settings){.on = true, .ca_file = r->cert, .cert_file = r->cert};
    assert_null(redis_tls_new(&s, &err));
    s.key_file = r->cert;
    assert_null(redis_tls_new(&s, &err));
}

static void a_subscriber_hears_what_is_published(void **state)
{
    struct real *r = *state;
    struct redis_arg subscribe[] = {redis_arg_str("SSUBSCRIBE"), redis_arg_str("c")};
    struct redis_arg publish[] = {redis_arg_str("SPUBLISH"), redis_arg_str("c"),
                                  redis_arg_str("hi")};
    struct redis_conn *subscriber;
    struct call c;

    r->settings.ping_interval_ms = 20;
    r->settings.silence_max_ms = 3000;
    connect_to(r, "127.0.0.1", r->port, NULL, true);
    assert_int_equal(redis_conn_send(r->conn, subscribe, 2), REDIS_FAULT_NONE);
    UNTIL(r, r->pushes == 1);
    subscriber = r->conn;
    r->conn = NULL;
    r->settings.ping_interval_ms = 10000;
    connect_to(r, "127.0.0.1", r->port, NULL, false);
    submit(r, &c, publish, 3);
    UNTIL(r, r->pushes == 2 && c.reply != NULL);
    redis_reply_unref(c.reply);
    /* PING is answered otherwise while subscribed, and is no push. */
    for (struct redis_conn_stats s = {0}; s.replies < 4;) {
        turn(r);
        redis_conn_stats(subscriber, &s);
        assert_int_equal(s.state, REDIS_UP);
    }
    assert_int_equal(r->pushes, 2);
    redis_conn_free(subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_connections_work),
        cmocka_unit_test(ipv6_works),
        cmocka_unit_test(an_acl_user_is_let_in_with_his_password_alone),
        cmocka_unit_test(tls_works_and_is_verified),
        cmocka_unit_test(plain_to_a_tls_port_fails),
        cmocka_unit_test(tls_files_that_are_none_are_named),
        cmocka_unit_test(a_subscriber_hears_what_is_published),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
