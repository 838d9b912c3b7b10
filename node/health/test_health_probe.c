/* Probes of scripted origins on loopback, all in one loop. */
#include "health_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "weir/container.h"
#include "origin_names.h"
#include "pattern.h"

#define CONNS       8
#define WATCHDOG_MS 10000
#define OK          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* ---- the origin ---- */

enum then { THEN_NOTHING, THEN_CLOSE, THEN_RESET };

struct script {
    const char *reply; /* NULL: not a word, and the request is not read */
    enum then then;
    bool trickle; /* a byte every few milliseconds, again and again */
};

struct world;

struct conn {
    struct world *w;
    struct event event, drip;
    int fd;
    char in[4096];
    size_t len;
};

struct world {
    struct net_loop loop;
    struct net_timer watchdog;
    bool late;
    int listener;
    struct event accepting;
    struct conn conn[CONNS];
    unsigned conns;
    struct script script;

    struct net_addr addr; /* of the listener */
    struct origin_settings origin;
    char host[64], path[64];
    struct origin_names *names;
    struct health_check check;
    struct health_transport *transport;
    struct health_probe probe;
    unsigned told;
    struct health_probe_result result;
    struct weir_work_pool *pool;
};

static void hang_up(struct conn *c, bool reset)
{
    struct linger now = {1, 0};

    if (c->fd < 0)
        return;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    event_del(&c->event);
    event_del(&c->drip);
    close(c->fd);
    c->fd = -1;
}

static void on_drip(evutil_socket_t fd, short what, void *arg)
{
    struct timeval soon = {0, 5000};
    struct conn *c = arg;

    (void)fd;
    (void)what;
    if (send(c->fd, "x", 1, MSG_NOSIGNAL) == 1)
        event_add(&c->drip, &soon);
}

static void on_conn(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    const struct script *s = &c->w->script;
    ssize_t n = recv(fd, c->in + c->len, sizeof(c->in) - 1 - c->len, 0);

    (void)what;
    if (n <= 0) {
        hang_up(c, false);
        return;
    }
    c->len += (size_t)n;
    c->in[c->len] = '\0';
    if (s->reply == NULL || strstr(c->in, "\r\n\r\n") == NULL)
        return;
    assert_int_equal(send(fd, s->reply, strlen(s->reply), MSG_NOSIGNAL), strlen(s->reply));
    if (s->trickle)
        on_drip(-1, 0, c);
    if (s->then != THEN_NOTHING)
        hang_up(c, s->then == THEN_RESET);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct world *w = arg;
    struct conn *c = &w->conn[w->conns++];

    (void)what;
    assert_true(w->conns <= CONNS);
    *c = (struct conn){.w = w, .fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    event_assign(&c->event, w->loop.base, c->fd, EV_READ | EV_PERSIST, on_conn, c);
    event_assign(&c->drip, w->loop.base, -1, 0, on_drip, c);
    event_add(&c->event, NULL);
}

/* ---- the world ---- */

static void on_watchdog(struct net_timer *t)
{
    struct world *w = WEIR_CONTAINER(t, struct world, watchdog);

    w->late = true;
    net_loop_stop(&w->loop);
}

static void on_done(struct health_probe *p, const struct health_probe_result *r)
{
    struct world *w = WEIR_CONTAINER(p, struct world, probe);

    assert_false(health_probe_under_way(p));
    w->told++;
    w->result = *r;
    net_loop_stop(&w->loop);
}

static void listen_at(struct world *w, const char *text, int backlog)
{
    assert_true(net_addr_parse(text, &w->addr, NULL));
    w->listener = socket(w->addr.sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->listener, &w->addr.sa.any, w->addr.len), 0);
    w->addr.len = sizeof(w->addr.sa);
    assert_int_equal(getsockname(w->listener, &w->addr.sa.any, &w->addr.len), 0);
    assert_int_equal(listen(w->listener, backlog), 0);
}

static void names_for(struct world *w, const char *host, const char *path, uint16_t port)
{
    w->origin = (struct origin_settings){.url = "http://under.test",
                                         .host = host,
                                         .unix_path = path,
                                         .port = port};
    origin_names_unref(w->names);
    w->names = origin_names_new(&w->origin, 1000, w->pool, &w->loop.box, NULL);
    assert_non_null(w->names);
    w->probe.names = w->names;
}

/* An origin at `text`, which is watched unless it is never to accept. */
static void serve(struct world *w, const char *text, bool accepts)
{
    listen_at(w, text, accepts ? 8 : 0);
    if (accepts) {
        event_assign(&w->accepting, w->loop.base, w->listener, EV_READ | EV_PERSIST, on_accept, w);
        event_add(&w->accepting, NULL);
    }
    if (w->addr.sa.any.sa_family == AF_UNIX)
        names_for(w, NULL, w->addr.sa.un.sun_path, 0);
    else
        names_for(w, w->addr.sa.any.sa_family == AF_INET ? "127.0.0.1" : "::1", NULL,
                  ntohs(w->addr.sa.in.sin_port));
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_true(net_loop_init(&w->loop, NULL));
    net_loop_enter(&w->loop);
    w->watchdog.fire = on_watchdog;
    w->transport = health_sockets_new(&w->loop, NULL);
    assert_non_null(w->transport);
    w->pool = weir_work_pool_new(1, NULL);
    assert_non_null(w->pool);
    w->check = (struct health_check){
        .kind = HEALTH_KIND_HTTP,
        .method = HTTP_M_GET,
        .request = WEIR_SPAN_LIT("GET /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        .timeout_ms = 5000,
    };
    assert_true(health_statuses_parse("200", &w->check.statuses));
    w->probe.check = &w->check;
    w->probe.done = on_done;
    w->listener = -1;
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < w->conns; i++)
        hang_up(&w->conn[i], false);
    if (event_initialized(&w->accepting))
        event_del(&w->accepting);
    if (w->listener >= 0)
        close(w->listener);
    if (w->path[0] != '\0')
        unlink(w->path);
    weir_work_pool_free(w->pool);
    weir_mailbox_drain(&w->loop.box);
    origin_names_unref(w->names);
    health_sockets_free(w->transport);
    net_loop_close(&w->loop);
    free(w);
    return 0;
}

static void run_loop(struct world *w)
{
    w->loop.stopping = false;
    net_timer_start(&w->loop, &w->watchdog, net_now_ms(&w->loop) + WATCHDOG_MS);
    net_loop_run(&w->loop);
    net_timer_stop(&w->loop, &w->watchdog);
    assert_false(w->late);
}

/* One probe from start to end; nothing of it is left. */
static enum health_reason probe(struct world *w)
{
    const unsigned before = w->told;

    weir_clock_update(&w->loop.clock);
    health_probe_start(w->transport, &w->probe);
    assert_int_equal(w->told, before); /* never from inside start */
    assert_true(health_probe_under_way(&w->probe));
    run_loop(w);
    assert_int_equal(w->told, before + 1);
    assert_int_equal(w->loop.timers, 0);
    return w->result.reason;
}

static enum health_reason probe_of(struct world *w, const char *reply, enum then then)
{
    w->script = (struct script){.reply = reply, .then = then};
    if (w->listener < 0)
        serve(w, "127.0.0.1:0", true);
    return probe(w);
}

/* ---- answers ---- */

static void an_origin_that_answers_is_well(void **state)
{
    struct world *w = *state;

    assert_int_equal(probe_of(w, OK, THEN_NOTHING), HEALTH_R_ANSWERED);
    assert_int_equal(w->result.status, 200);
    assert_int_equal(w->result.os, 0);
    assert_true(w->result.rtt_us > 0);
    assert_string_equal(w->conn[0].in, w->check.request.ptr);
    assert_int_equal(probe_of(w, "HTTP/1.0 200 OK\r\n\r\nok", THEN_CLOSE), HEALTH_R_ANSWERED);
    assert_int_equal(w->conns, 2); /* nothing is kept alive */
}

static void every_other_answer_has_its_reason(void **state)
{
    struct world *w = *state;

    assert_int_equal(probe_of(w, "HTTP/1.1 500 No\r\n\r\n", THEN_CLOSE), HEALTH_R_STATUS);
    assert_int_equal(w->result.status, 500);
    assert_int_equal(probe_of(w, "220 mail.example ESMTP\r\n", THEN_NOTHING), HEALTH_R_MALFORMED);
    assert_int_equal(w->result.status, 0);
    assert_int_equal(probe_of(w, "", THEN_CLOSE), HEALTH_R_CLOSED);
    assert_int_equal(probe_of(w, "", THEN_RESET), HEALTH_R_CLOSED);
    assert_int_equal(w->result.os, ECONNRESET);
    assert_int_equal(probe_of(w, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", THEN_CLOSE),
                     HEALTH_R_CLOSED);
}

static void a_body_is_looked_at(void **state)
{
    struct world *w = *state;

    w->check.body = pattern_compile("^o.$", NULL);
    assert_int_equal(probe_of(w, OK, THEN_NOTHING), HEALTH_R_ANSWERED);
    assert_int_equal(probe_of(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", THEN_NOTHING),
                     HEALTH_R_BODY);
    pattern_free(w->check.body);
}

/* ---- time ---- */

static void expect_end_at_the_deadline(struct world *w, enum health_reason expected)
{
    w->check.timeout_ms = 200;
    assert_int_equal(probe(w), expected);
    assert_true(w->result.rtt_us >= 190000);
    assert_true(w->result.rtt_us < 2000000);
}

static void a_silent_origin_has_until_the_deadline(void **state)
{
    struct world *w = *state;

    serve(w, "127.0.0.1:0", true);
    expect_end_at_the_deadline(w, HEALTH_R_TIMEOUT);
}

static void an_answer_that_trickles_has_no_longer(void **state)
{
    struct world *w = *state;

    serve(w, "127.0.0.1:0", true);
    w->script = (struct script){"HTTP/1.1 200 OK\r\nX-Long: ", THEN_NOTHING, true};
    expect_end_at_the_deadline(w, HEALTH_R_TIMEOUT);
    w->script =
        (struct script){"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", THEN_NOTHING, true};
    expect_end_at_the_deadline(w, HEALTH_R_TIMEOUT);
    assert_int_equal(w->result.status, 200);
}

static void nor_has_a_connection_that_does_not_come(void **state)
{
    struct world *w = *state;
    int full[4];

    serve(w, "127.0.0.1:0", false);
    for (int i = 0; i < 4; i++) { /* the kernel takes no more for it, and says nothing */
        full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(full[i], &w->addr.sa.any, w->addr.len);
    }
    expect_end_at_the_deadline(w, HEALTH_R_CONNECT);
    assert_int_equal(w->result.os, ETIMEDOUT);
    for (int i = 0; i < 4; i++)
        close(full[i]);
}

/* ---- connections ---- */

/* A port that was free a moment ago. */
static uint16_t dead_port(struct world *w)
{
    listen_at(w, "127.0.0.1:0", 1);
    close(w->listener);
    w->listener = -1;
    return ntohs(w->addr.sa.in.sin_port);
}

static void a_refused_connection_is_told_as_such(void **state)
{
    struct world *w = *state;

    names_for(w, "127.0.0.1", NULL, dead_port(w));
    assert_int_equal(probe(w), HEALTH_R_REFUSED);
    assert_int_equal(w->result.os, ECONNREFUSED);
    w->check.kind = HEALTH_KIND_TCP;
    assert_int_equal(probe(w), HEALTH_R_REFUSED);
}

static void over_tcp_a_connection_is_enough(void **state)
{
    struct world *w = *state;

    w->check.kind = HEALTH_KIND_TCP;
    assert_int_equal(probe_of(w, NULL, THEN_NOTHING), HEALTH_R_ANSWERED);
    assert_int_equal(w->result.status, 0);
}

static void another_port_is_asked_where_the_check_has_one(void **state)
{
    struct world *w = *state;
    uint16_t dead = dead_port(w);

    serve(w, "127.0.0.1:0", true);
    w->check.port = w->origin.port;
    names_for(w, "127.0.0.1", NULL, dead);
    assert_int_equal(probe_of(w, OK, THEN_NOTHING), HEALTH_R_ANSWERED);
}

static void ipv6_and_unix_sockets_are_asked_alike(void **state)
{
    struct world *w = *state;
    char text[80];

    snprintf(w->path, sizeof(w->path), "/tmp/weir-probe-%d.sock", (int)getpid());
    snprintf(text, sizeof(text), "unix:%s", w->path);
    names_for(w, NULL, w->path, 0);
    assert_int_equal(probe(w), HEALTH_R_REFUSED); /* no such file */
    serve(w, text, true);
    assert_int_equal(probe_of(w, OK, THEN_NOTHING), HEALTH_R_ANSWERED);
    event_del(&w->accepting);
    close(w->listener);
    assert_int_equal(probe(w), HEALTH_R_REFUSED); /* nobody listens */
    serve(w, "[::1]:0", true);
    assert_int_equal(probe_of(w, OK, THEN_NOTHING), HEALTH_R_ANSWERED);
}

static void a_unix_socket_that_is_full_is_no_connection(void **state)
{
    struct world *w = *state;
    char text[80];
    int full = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(w->path, sizeof(w->path), "/tmp/weir-probe-%d.sock", (int)getpid());
    snprintf(text, sizeof(text), "unix:%s", w->path);
    serve(w, text, false);
    assert_int_equal(connect(full, &w->addr.sa.any, w->addr.len), 0);
    assert_int_equal(probe(w), HEALTH_R_CONNECT);
    close(full);
}

/* ---- names ---- */

static void resolve(struct world *w)
{
    origin_names_turn(w->names, 0);
    while (!origin_names_settled(w->names)) {
        usleep(1000); /* the pool's thread asks the system */
        weir_mailbox_drain(&w->loop.box);
    }
}

static void a_name_that_does_not_resolve_is_told_as_such(void **state)
{
    struct world *w = *state;

    names_for(w, "no such name", NULL, 1);
    assert_int_equal(probe(w), HEALTH_R_LOCAL); /* nobody has looked yet */
    resolve(w);
    assert_int_equal(probe(w), HEALTH_R_NAME);
}

static void every_address_of_a_name_is_tried(void **state)
{
    struct world *w = *state;

    serve(w, "127.0.0.1:0", true); /* "localhost" is [::1], too, on most machines */
    names_for(w, "localhost", NULL, ntohs(w->addr.sa.in.sin_port));
    resolve(w);
    for (int i = 0; i < 3; i++) /* wherever the turn begins */
        assert_int_equal(probe_of(w, OK, THEN_NOTHING), HEALTH_R_ANSWERED);
}

/* ---- what is wrong here ---- */

static void without_a_descriptor_nothing_is_said_of_the_origin(void **state)
{
    struct world *w = *state;
    struct rlimit limit, none;

    serve(w, "127.0.0.1:0", true);
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    assert_int_equal(probe(w), HEALTH_R_LOCAL);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(w->result.os, EMFILE);
    assert_int_equal(probe_of(w, OK, THEN_NOTHING), HEALTH_R_ANSWERED);
}

#ifdef WEIR_FAULTS
static void nor_without_memory(void **state)
{
    struct world *w = *state;
    enum health_reason why = HEALTH_R_LOCAL;

    w->check.body = pattern_compile("ok", NULL);
    serve(w, "127.0.0.1:0", true);
    for (unsigned long n = 1; why == HEALTH_R_LOCAL; n++) {
        weir_alloc_fail_at(n);
        why = probe_of(w, OK, THEN_NOTHING);
        weir_alloc_fail_at(0);
        assert_true(n < CONNS);
    }
    assert_int_equal(why, HEALTH_R_ANSWERED);
    pattern_free(w->check.body);
}
#endif

/* ---- the end of a probe ---- */

static void stop_soon(struct net_timer *t)
{
    net_loop_stop(&WEIR_CONTAINER(t, struct world, watchdog)->loop);
}

/* Lets what might still come come. */
static void settle(struct world *w)
{
    w->loop.stopping = false;
    w->watchdog.fire = stop_soon;
    weir_clock_update(&w->loop.clock);
    net_timer_start(&w->loop, &w->watchdog, net_now_ms(&w->loop) + 50);
    net_loop_run(&w->loop);
}

static void a_cancelled_probe_tells_nothing(void **state)
{
    struct world *w = *state;

    w->script.reply = OK;
    health_probe_cancel(&w->probe); /* idle */
    serve(w, "127.0.0.1:0", true);
    health_probe_start(w->transport, &w->probe);
    health_probe_cancel(&w->probe);
    assert_false(health_probe_under_way(&w->probe));
    names_for(w, "not asked", NULL, 1); /* ends inside start */
    health_probe_start(w->transport, &w->probe);
    health_probe_cancel(&w->probe);
    settle(w);
    assert_int_equal(w->told, 0);
    assert_int_equal(w->loop.timers, 0);
}

static void cancel_later(struct net_timer *t)
{
    struct world *w = WEIR_CONTAINER(t, struct world, watchdog);

    health_probe_cancel(&w->probe);
    net_loop_stop(&w->loop);
}

static void also_while_it_waits_for_the_answer(void **state)
{
    struct world *w = *state;

    serve(w, "127.0.0.1:0", true);
    weir_clock_update(&w->loop.clock);
    health_probe_start(w->transport, &w->probe);
    w->watchdog.fire = cancel_later;
    net_timer_start(&w->loop, &w->watchdog, net_now_ms(&w->loop) + 50);
    net_loop_run(&w->loop);
    assert_int_equal(w->conns, 1);
    assert_true(w->conn[0].len > 0);
    settle(w);
    assert_int_equal(w->told, 0);
    assert_int_equal(w->conn[0].fd, -1); /* we have hung up */
}

struct own {
    struct health_probe probe;
    struct world *w;
    unsigned left;
};

static void again_or_free(struct health_probe *p, const struct health_probe_result *r)
{
    struct own *o = WEIR_CONTAINER(p, struct own, probe);
    struct world *w = o->w;

    assert_int_equal(r->reason, HEALTH_R_ANSWERED);
    w->told++;
    if (o->left-- > 0) {
        health_probe_start(w->transport, p);
        return;
    }
    free(o);
    net_loop_stop(&w->loop);
}

static void when_told_one_may_start_again_or_free(void **state)
{
    struct world *w = *state;
    struct own *o = calloc(1, sizeof(*o));

    w->script.reply = OK;
    serve(w, "127.0.0.1:0", true);
    o->probe = w->probe;
    o->probe.done = again_or_free;
    o->w = w;
    o->left = 3;
    weir_clock_update(&w->loop.clock);
    health_probe_start(w->transport, &o->probe);
    run_loop(w);
    assert_int_equal(w->told, 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_origin_that_answers_is_well),
        T(every_other_answer_has_its_reason),
        T(a_body_is_looked_at),
        T(a_silent_origin_has_until_the_deadline),
        T(an_answer_that_trickles_has_no_longer),
        T(nor_has_a_connection_that_does_not_come),
        T(a_refused_connection_is_told_as_such),
        T(over_tcp_a_connection_is_enough),
        T(another_port_is_asked_where_the_check_has_one),
        T(ipv6_and_unix_sockets_are_asked_alike),
        T(a_unix_socket_that_is_full_is_no_connection),
        T(a_name_that_does_not_resolve_is_told_as_such),
        T(every_address_of_a_name_is_tried),
        T(without_a_descriptor_nothing_is_said_of_the_origin),
#ifdef WEIR_FAULTS
        T(nor_without_memory),
#endif
        T(a_cancelled_probe_tells_nothing),
        T(also_while_it_waits_for_the_answer),
        T(when_told_one_may_start_again_or_free),
    };

    return cmocka_run_group_tests_name("health_probe", tests, NULL, NULL);
}
