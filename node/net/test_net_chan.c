#include "net_chan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_layer.h"

static void pair_of(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static void a_plain_channel_is_the_socket(void **state)
{
    struct iovec two[2] = {{(char[]){"hello "}, 6}, {(char[]){"there"}, 5}};
    struct net_chan c;
    char buf[32];
    int pair[2];

    (void)state;
    pair_of(pair);
    c = net_chan_plain(pair[0]);
    assert_int_equal(net_chan_send(&c, two, 2), 11);
    assert_int_equal(net_chan_send(&c, two, 1), 6);
    assert_int_equal(recv(pair[1], buf, sizeof buf, 0), 17);
    assert_memory_equal(buf, "hello therehello ", 17);
    assert_int_equal(net_chan_recv(&c, buf, sizeof buf), -1);
    assert_int_equal(errno, EAGAIN);
    assert_false(net_chan_pending(&c));
    assert_false(net_chan_unsent(&c));
    assert_int_equal(net_chan_flush(&c), 1);
    net_chan_shutdown(&c);
    assert_int_equal(recv(pair[1], buf, sizeof buf, 0), 0);
    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    assert_int_equal(net_chan_recv(&c, buf, sizeof buf), 1);
    close(pair[1]);
    assert_int_equal(net_chan_recv(&c, buf, sizeof buf), 0);
    net_chan_close(&c, false);
    assert_int_equal(c.fd, -1);
    net_chan_close(&c, false);
}

static void a_layer_takes_over_all_of_it(void **state)
{
    struct iovec word = {(char[]){"hello"}, 5};
    struct test_layer *layer;
    struct net_chan c;
    char buf[32];
    int pair[2], freed = 0;

    (void)state;
    pair_of(pair);
    layer = layer_new(pair[0], 3, LAYER_NO_LIMIT, 2, &freed);
    c = (struct net_chan){pair[0], &layer->layer};
    assert_int_equal(net_chan_send(&c, &word, 1), 5);
    assert_true(net_chan_unsent(&c));
    assert_int_equal(net_chan_flush(&c), 0);
    assert_int_equal(net_chan_flush(&c), 1);
    assert_false(net_chan_unsent(&c));
    assert_int_equal(recv(pair[1], buf, sizeof buf, 0), 5);
    layer_cipher(buf, 5);
    assert_memory_equal(buf, "hello", 5);
    layer_cipher(buf, 5);
    assert_int_equal(send(pair[1], buf, 5, 0), 5);
    assert_int_equal(net_chan_recv(&c, buf, sizeof buf), 3);
    assert_memory_equal(buf, "hel", 3);
    assert_true(net_chan_pending(&c));
    assert_int_equal(net_chan_recv(&c, buf, sizeof buf), 2);
    assert_false(net_chan_pending(&c));
    net_chan_close(&c, false);
    assert_int_equal(freed, 1);
    assert_int_equal(recv(pair[1], buf, sizeof buf, 0), 1);
    assert_int_equal((unsigned char)buf[0], LAYER_END);
    close(pair[1]);
}

static void what_broke_is_told_by_flush(void **state)
{
    struct iovec word = {(char[]){"hello"}, 5};
    struct test_layer *layer;
    struct net_chan c;
    int pair[2];

    (void)state;
    pair_of(pair);
    layer = layer_new(pair[0], LAYER_NO_LIMIT, LAYER_NO_LIMIT, 2, NULL);
    c = (struct net_chan){pair[0], &layer->layer};
    assert_int_equal(net_chan_send(&c, &word, 1), 5);
    close(pair[1]);
    assert_int_equal(net_chan_flush(&c), -1);
    net_chan_close(&c, true);
}

static void a_layer_outlives_the_socket_it_hung_up(void **state)
{
    struct test_layer *layer;
    struct net_chan c;
    char byte;
    int pair[2], freed = 0;

    (void)state;
    pair_of(pair);
    layer = layer_new(pair[0], 3, 3, 3, &freed);
    c = (struct net_chan){pair[0], &layer->layer};
    net_chan_hang_up(&c, false);
    assert_int_equal(c.fd, -1);
    assert_int_equal(freed, 0);
    assert_int_equal(layer->farewells, 1);
    net_chan_hang_up(&c, false);
    assert_int_equal(layer->farewells, 1);
    net_chan_close(&c, false);
    assert_int_equal(freed, 1);
    assert_int_equal(recv(pair[1], &byte, 1, 0), 1);
    assert_int_equal(recv(pair[1], &byte, 1, 0), 0);
    close(pair[1]);
}

static void a_reset_says_no_farewell(void **state)
{
    struct test_layer *layer;
    struct net_chan c;
    char byte;
    int pair[2];

    (void)state;
    pair_of(pair);
    layer = layer_new(pair[0], 3, 3, 3, NULL);
    c = (struct net_chan){pair[0], &layer->layer};
    net_chan_close(&c, true);
    assert_int_equal(recv(pair[1], &byte, 1, 0), 0);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_channel_is_the_socket),
        cmocka_unit_test(a_layer_takes_over_all_of_it),
        cmocka_unit_test(what_broke_is_told_by_flush),
        cmocka_unit_test(a_layer_outlives_the_socket_it_hung_up),
        cmocka_unit_test(a_reset_says_no_farewell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
