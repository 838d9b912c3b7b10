#include "net_peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "weir/alloc.h"

static struct net_peer peer(const char *text)
{
    struct net_peer p = {0};

    p.family = strchr(text, ':') != NULL ? AF_INET6 : strchr(text, '.') != NULL ? AF_INET : AF_UNIX;
    if (p.family != AF_UNIX)
        assert_int_equal(inet_pton(p.family, text, p.ip), 1);
    return p;
}

static struct net_peers *open_peers(struct weir_hash_secret *secret)
{
    struct net_peers *p;

    assert_true(weir_hash_secret_draw(secret, NULL));
    p = net_peers_new(secret, NULL);
    assert_non_null(p);
    return p;
}

static void an_address_gets_its_share_and_no_more(void **state)
{
    struct weir_hash_secret secret;
    struct net_peers *p = open_peers(&secret);
    struct net_peer a = peer("192.0.2.1"), b = peer("192.0.2.2");

    (void)state;
    assert_int_equal(net_peers_enter(p, &a, 0, 2), NET_ADMITTED);
    assert_int_equal(net_peers_enter(p, &a, 0, 2), NET_ADMITTED);
    assert_int_equal(net_peers_enter(p, &a, 0, 2), NET_TOO_MANY_OF_CLIENT);
    assert_int_equal(net_peers_enter(p, &b, 0, 2), NET_ADMITTED);
    assert_int_equal(net_peers_count(p), 3);
    net_peers_leave(p, &a);
    assert_int_equal(net_peers_enter(p, &a, 0, 2), NET_ADMITTED);
    net_peers_leave(p, &a);
    net_peers_leave(p, &a);
    net_peers_leave(p, &b);
    assert_int_equal(net_peers_count(p), 0);
    net_peers_free(p);
}

static void a_full_node_admits_nobody_and_counts_nobody(void **state)
{
    struct weir_hash_secret secret;
    struct net_peers *p = open_peers(&secret);
    struct net_peer a = peer("192.0.2.1"), b = peer("unix");

    (void)state;
    assert_int_equal(net_peers_enter(p, &a, 1, 0), NET_ADMITTED);
    assert_int_equal(net_peers_enter(p, &b, 1, 0), NET_TOO_MANY);
    assert_int_equal(net_peers_enter(p, &a, 1, 0), NET_TOO_MANY);
    assert_int_equal(net_peers_count(p), 1);
    net_peers_leave(p, &a);
    assert_int_equal(net_peers_enter(p, &b, 1, 0), NET_ADMITTED);
    net_peers_leave(p, &b);
    net_peers_free(p);
}

static void an_ipv6_network_counts_as_one_client(void **state)
{
    struct weir_hash_secret secret;
    struct net_peers *p = open_peers(&secret);
    struct net_peer a = peer("2001:db8::1"), b = peer("2001:db8::ffff:2"),
                    c = peer("2001:db8:0:1::1");

    (void)state;
    assert_int_equal(net_peers_enter(p, &a, 0, 1), NET_ADMITTED);
    assert_int_equal(net_peers_enter(p, &b, 0, 1), NET_TOO_MANY_OF_CLIENT);
    assert_int_equal(net_peers_enter(p, &c, 0, 1), NET_ADMITTED);
    net_peers_leave(p, &a);
    net_peers_leave(p, &c);
    net_peers_free(p);
}

static void unix_sockets_have_no_share_of_their_own(void **state)
{
    struct weir_hash_secret secret;
    struct net_peers *p = open_peers(&secret);
    struct net_peer u = peer("unix");

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(net_peers_enter(p, &u, 100, 1), NET_ADMITTED);
    assert_int_equal(net_peers_count(p), 10);
    for (int i = 0; i < 10; i++)
        net_peers_leave(p, &u);
    net_peers_free(p);
}

#ifdef WEIR_FAULTS
static void without_memory_a_client_is_let_in_uncounted(void **state)
{
    struct weir_hash_secret secret;
    struct net_peers *p = open_peers(&secret);
    struct net_peer a = peer("192.0.2.1");

    (void)state;
    weir_alloc_fail_at(1);
    assert_int_equal(net_peers_enter(p, &a, 0, 1), NET_ADMITTED);
    assert_true(weir_alloc_failed());
    weir_alloc_fail_at(0);
    assert_int_equal(net_peers_enter(p, &a, 0, 1), NET_ADMITTED);
    net_peers_leave(p, &a);
    net_peers_leave(p, &a); /* the uncounted one */
    assert_int_equal(net_peers_count(p), 0);
    weir_alloc_fail_at(1);
    assert_null(net_peers_new(&secret, NULL));
    weir_alloc_fail_at(0);
    net_peers_free(p);
}
#endif

#define THREADS 4
#define ROUNDS  20000
#define SHARE   3

struct crowd {
    struct net_peers *peers;
    unsigned seed;
};

static void *come_and_go(void *arg)
{
    struct crowd *c = arg;
    struct net_peer in[16];
    unsigned n = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct net_peer p = {.family = AF_INET};

        c->seed = c->seed * 1103515245 + 12345;
        p.ip[3] = (uint8_t)((c->seed >> 16) % 8);
        if (n < 16 && (c->seed >> 8) % 2 == 0) {
            if (net_peers_enter(c->peers, &p, 40, SHARE) == NET_ADMITTED)
                in[n++] = p;
        } else if (n > 0) {
            net_peers_leave(c->peers, &in[--n]);
        }
    }
    while (n > 0)
        net_peers_leave(c->peers, &in[--n]);
    return NULL;
}

static void threads_that_come_and_go_leave_nothing_behind(void **state)
{
    struct weir_hash_secret secret;
    struct net_peers *p = open_peers(&secret);
    struct crowd crowd[THREADS];
    pthread_t thread[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){p, i + 1};
        assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, &crowd[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(net_peers_count(p), 0);
    for (uint8_t host = 0; host < 8; host++) { /* every share is free again */
        struct net_peer a = {.family = AF_INET, .ip = {0, 0, 0, host}};

        for (int i = 0; i < SHARE; i++)
            assert_int_equal(net_peers_enter(p, &a, 0, SHARE), NET_ADMITTED);
        assert_int_equal(net_peers_enter(p, &a, 0, SHARE), NET_TOO_MANY_OF_CLIENT);
        for (int i = 0; i < SHARE; i++)
            net_peers_leave(p, &a);
    }
    net_peers_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_gets_its_share_and_no_more),
        cmocka_unit_test(a_full_node_admits_nobody_and_counts_nobody),
        cmocka_unit_test(an_ipv6_network_counts_as_one_client),
        cmocka_unit_test(unix_sockets_have_no_share_of_their_own),
#ifdef WEIR_FAULTS
        cmocka_unit_test(without_memory_a_client_is_let_in_uncounted),
#endif
        cmocka_unit_test(threads_that_come_and_go_leave_nothing_behind),
    };

    net_peers_free(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
