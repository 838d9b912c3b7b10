#include "net_tunnel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "test_layer.h"

struct ends {
    struct net_loop loop;
    struct net_tunnel *tunnel;
    struct net_chan side; /* the client's, as its owner has it */
    int client, origin;   /* the tests' ends */
    int ended;
    struct net_tunnel_end end;
};

static void on_end(void *arg, const struct net_tunnel_end *end)
{
    struct ends *e = arg;

    e->ended++;
    e->end = *end;
    e->tunnel = NULL;
}

static void open_tunnel(struct ends *e, struct weir_span from_client, struct weir_span from_origin,
                        int64_t idle_ms)
{
    int a[2], b[2], small = 4096;

    memset(e, 0, sizeof *e);
    signal(SIGPIPE, SIG_IGN);
    assert_true(net_loop_init(&e->loop, NULL));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    setsockopt(b[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(a[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    e->client = a[0];
    e->origin = b[0];
    e->side = net_chan_plain(a[1]);
    e->tunnel = net_tunnel_start(&e->loop, &e->side, net_chan_plain(b[1]), from_client, from_origin,
                                 idle_ms, on_end, e);
    assert_non_null(e->tunnel);
    assert_int_equal(e->ended, 0);
}

/* Turns as long as something is to do. */
static void settle(struct ends *e)
{
    for (int i = 0; i < 8; i++) {
        e->loop.fresh = false;
        event_base_loop(e->loop.base, EVLOOP_NONBLOCK);
    }
    e->loop.stopping = true;
    net_loop_run(&e->loop); /* what is put off */
}

static void close_tunnel(struct ends *e)
{
    close(e->client);
    close(e->origin);
    settle(e);
    assert_int_equal(e->ended, 1);
    net_loop_close(&e->loop);
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect(int fd, const char *text)
{
    char buf[256];
    ssize_t n = recv(fd, buf, sizeof buf, 0);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, strlen(text));
}

static bool at_end(int fd)
{
    char c;

    return recv(fd, &c, 1, 0) == 0;
}

static void bytes_pass_both_ways_and_early_ones_go_first(void **state)
{
    struct ends e;

    (void)state;
    open_tunnel(&e, WEIR_SPAN_LIT("early "), WEIR_SPAN_LIT("hello "), 0);
    say(e.client, "client");
    say(e.origin, "origin");
    settle(&e);
    expect(e.origin, "early client");
    expect(e.client, "hello origin");
    assert_int_equal(e.ended, 0);
    close_tunnel(&e);
    assert_int_equal(e.end.bytes_in, 12);
    assert_int_equal(e.end.bytes_out, 12);
    assert_false(e.end.idle);
}

static void a_half_closed_side_still_receives(void **state)
{
    struct ends e;

    (void)state;
    open_tunnel(&e, WEIR_SPAN_NONE, WEIR_SPAN_NONE, 0);
    say(e.client, "last words");
    shutdown(e.client, SHUT_WR);
    settle(&e);
    expect(e.origin, "last words");
    assert_true(at_end(e.origin));
    assert_int_equal(e.ended, 0);
    say(e.origin, "answer");
    settle(&e);
    expect(e.client, "answer");
    shutdown(e.origin, SHUT_WR);
    settle(&e);
    assert_true(at_end(e.client));
    assert_int_equal(e.ended, 1);
    close_tunnel(&e);
}

static void an_end_travels_behind_the_bytes_before_it(void **state)
{
    enum { MUCH = 300000 };
    struct ends e;
    char *bytes = malloc(MUCH), *got = malloc(MUCH + 1);
    size_t sent = 0, received = 0;
    bool ended = false;

    (void)state;
    open_tunnel(&e, WEIR_SPAN_NONE, WEIR_SPAN_NONE, 0);
    for (size_t i = 0; i < MUCH; i++)
        bytes[i] = (char)(i * 31);
    while (!ended) {
        ssize_t n = sent < MUCH ? send(e.client, bytes + sent, MUCH - sent, MSG_NOSIGNAL) : 0;

        if (n > 0)
            sent += (size_t)n;
        if (sent == MUCH)
            shutdown(e.client, SHUT_WR);
        settle(&e);
        /* The slow side takes little at a time. */
        n = recv(e.origin, got + received, received + 5000 < MUCH ? 5000 : MUCH - received + 1, 0);
        if (n > 0)
            received += (size_t)n;
        ended = n == 0;
    }
    assert_int_equal(received, MUCH);
    assert_memory_equal(bytes, got, MUCH);
    shutdown(e.origin, SHUT_WR);
    settle(&e);
    assert_int_equal(e.ended, 1);
    assert_int_equal(e.end.bytes_in, MUCH);
    close_tunnel(&e);
    free(bytes);
    free(got);
}

static void a_side_that_takes_nothing_holds_the_other_back(void **state)
{
    struct ends e;
    char block[4096] = {0};
    size_t before, sent = 0;

    (void)state;
    open_tunnel(&e, WEIR_SPAN_NONE, WEIR_SPAN_NONE, 0);
    do {
        ssize_t n;

        before = sent;
        while ((n = send(e.client, block, sizeof block, MSG_NOSIGNAL)) > 0)
            sent += (size_t)n;
        settle(&e);
    } while (sent > before);
    /* What is on its way fits the sockets' buffers and the tunnel's one. */
    assert_true(sent < 4u << 20);
    say(e.origin, "still alive"); /* the other way is free */
    settle(&e);
    expect(e.client, "still alive");
    close_tunnel(&e);
}

static void a_side_that_fails_ends_the_tunnel(void **state)
{
    struct ends e;

    (void)state;
    open_tunnel(&e, WEIR_SPAN_NONE, WEIR_SPAN_NONE, 0);
    close(e.origin); /* both ways at once */
    e.origin = dup(e.client);
    say(e.client, "nobody hears");
    settle(&e);
    assert_int_equal(e.ended, 1);
    close_tunnel(&e);
}

static void silence_ends_the_tunnel_and_traffic_keeps_it(void **state)
{
    struct ends e;
    int64_t begun;

    (void)state;
    open_tunnel(&e, WEIR_SPAN_NONE, WEIR_SPAN_NONE, 60);
    begun = net_now_ms(&e.loop);
    while (!e.ended) {
        e.loop.stopping = true;
        e.loop.fresh = false;
        event_base_loop(e.loop.base, EVLOOP_ONCE);
        net_loop_run(&e.loop);
    }
    weir_clock_update(&e.loop.clock);
    assert_true(net_now_ms(&e.loop) - begun >= 60);
    assert_true(e.end.idle);
    assert_true(at_end(e.client) && at_end(e.origin));
    close_tunnel(&e);
}

static void an_aborted_tunnel_ends_once(void **state)
{
    struct ends e;

    (void)state;
    open_tunnel(&e, WEIR_SPAN_LIT("x"), WEIR_SPAN_NONE, 1000);
    net_tunnel_abort(e.tunnel);
    assert_int_equal(e.ended, 0); /* not inside the call */
    net_tunnel_abort(e.tunnel);
    settle(&e);
    assert_int_equal(e.ended, 1);
    close_tunnel(&e);
}

/* Under a layer no event tells of what it holds, nor of what it has not sent. */
static void a_layer_is_emptied_both_ways(void **state)
{
    static char many[20000], got[20000];
    struct ends e;
    struct test_layer *layer;
    int pair[2], other[2], freed = 0;
    size_t n = 0;

    (void)state;
    memset(&e, 0, sizeof e);
    memset(many, 'm', sizeof many);
    assert_true(net_loop_init(&e.loop, NULL));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, other), 0);
    e.client = pair[0];
    e.origin = other[0];
    layer = layer_new(pair[1], 7000, LAYER_NO_LIMIT, 3000, &freed);
    e.side = (struct net_chan){pair[1], &layer->layer};
    layer_cipher(many, sizeof many);
    assert_int_equal(send(e.client, many, sizeof many, 0), sizeof many);
    layer_cipher(many, sizeof many);
    assert_int_equal(send(e.origin, many, sizeof many, 0), sizeof many);
    e.tunnel = net_tunnel_start(&e.loop, &e.side, net_chan_plain(other[1]), WEIR_SPAN_NONE,
                                WEIR_SPAN_NONE, 0, on_end, &e);
    for (int i = 0; i < 10; i++)
        settle(&e);
    assert_int_equal(recv(e.origin, got, sizeof got, MSG_WAITALL), sizeof got);
    assert_memory_equal(got, many, sizeof got);
    for (int i = 0; i < 20 && n < sizeof got; i++) {
        ssize_t part = recv(e.client, got + n, sizeof got - n, 0);

        n += part > 0 ? (size_t)part : 0;
        settle(&e);
    }
    layer_cipher(got, sizeof got);
    assert_memory_equal(got, many, sizeof got);
    close(e.origin);
    settle(&e);
    assert_int_equal(layer->farewells, 1); /* the half-close, in the layer's words */
    close(e.client);
    settle(&e);
    assert_int_equal(e.ended, 1);
    assert_int_equal(freed, 0);
    net_chan_close(&e.side, false); /* the caller's */
    assert_int_equal(freed, 1);
    net_loop_close(&e.loop);
}

#ifdef WEIR_FAULTS
static void without_memory_the_descriptors_stay_the_callers(void **state)
{
    struct net_loop loop;
    struct net_chan client;
    int a[2];

    (void)state;
    assert_true(net_loop_init(&loop, NULL));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    weir_alloc_fail_at(1);
    client = net_chan_plain(a[0]);
    assert_null(net_tunnel_start(&loop, &client, net_chan_plain(a[1]), WEIR_SPAN_NONE,
                                 WEIR_SPAN_NONE, 0, on_end, NULL));
    weir_alloc_fail_at(0);
    assert_int_equal(close(a[0]), 0);
    assert_int_equal(close(a[1]), 0);
    net_loop_close(&loop);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways_and_early_ones_go_first),
        cmocka_unit_test(a_half_closed_side_still_receives),
        cmocka_unit_test(an_end_travels_behind_the_bytes_before_it),
        cmocka_unit_test(a_side_that_takes_nothing_holds_the_other_back),
        cmocka_unit_test(a_side_that_fails_ends_the_tunnel),
        cmocka_unit_test(silence_ends_the_tunnel_and_traffic_keeps_it),
        cmocka_unit_test(an_aborted_tunnel_ends_once),
        cmocka_unit_test(a_layer_is_emptied_both_ways),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_the_descriptors_stay_the_callers),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
