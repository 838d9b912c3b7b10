#include "net_scores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>

#define NOW 5000

static struct weir_hash_secret secret;

static struct net_peer peer(const char *text)
{
    struct net_peer p = {0};

    p.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    assert_int_equal(inet_pton(p.family, text, p.ip), 1);
    return p;
}

static int make(void **state)
{
    assert_true(weir_hash_secret_draw(&secret, NULL));
    *state = net_scores_new(&secret, NULL);
    return *state == NULL;
}

static int drop(void **state)
{
    net_scores_free(*state);
    return 0;
}

static void points_add_up_over_connections_and_are_forgiven(void **state)
{
    struct net_peer a = peer("192.0.2.1"), b = peer("192.0.2.2");

    assert_int_equal(net_scores_add(*state, &a, 500, 100, NOW), 500);
    a.port = 77;
    assert_int_equal(net_scores_add(*state, &a, 500, 100, NOW), 1000);
    assert_int_equal(net_scores_add(*state, &b, 1, 100, NOW), 1);
    assert_int_equal(net_scores_add(*state, &a, 0, 100, NOW + 4000), 600);
    assert_int_equal(net_scores_add(*state, &a, 0, 100, NOW + 60000), 0);
    assert_int_equal(net_scores_add(*state, &a, 7, 100, NOW + 60000), 7);
}

static void one_customer_of_ipv6_is_one_client(void **state)
{
    struct net_peer a = peer("2001:db8:1:2::1"), b = peer("2001:db8:1:2:ffff::9"),
                    c = peer("2001:db8:1:3::1");

    net_scores_add(*state, &a, 5, 1, NOW);
    assert_int_equal(net_scores_add(*state, &b, 0, 1, NOW), 5);
    assert_int_equal(net_scores_add(*state, &c, 0, 1, NOW), 0);
}

static void a_unix_socket_has_no_score(void **state)
{
    struct net_peer u = {.family = AF_UNIX};

    assert_int_equal(net_scores_add(*state, &u, 100, 1, NOW), 0);
    assert_int_equal(net_scores_add(*state, &u, 0, 1, NOW), 0);
}

static void who_makes_most_trouble_stays_in_a_full_table(void **state)
{
    struct net_peer bad = peer("203.0.113.9"), other = peer("10.0.0.0");

    net_scores_add(*state, &bad, 100000, 1, NOW);
    for (unsigned i = 0; i < 100000; i++) {
        memcpy(other.ip, &i, sizeof i);
        net_scores_add(*state, &other, 1 + i % 50, 1, NOW);
    }
    assert_int_equal(net_scores_add(*state, &bad, 0, 1, NOW), 100000);
}

static void no_number_overflows(void **state)
{
    struct net_peer a = peer("192.0.2.1");

    for (unsigned i = 0; i < 100; i++)
        assert_true(net_scores_add(*state, &a, UINT32_MAX, 0, i & 1 ? 0 : INT64_MAX) == 1000000);
    assert_int_equal(net_scores_add(*state, &a, 0, UINT32_MAX, INT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(points_add_up_over_connections_and_are_forgiven, make,
                                        drop),
        cmocka_unit_test_setup_teardown(one_customer_of_ipv6_is_one_client, make, drop),
        cmocka_unit_test_setup_teardown(a_unix_socket_has_no_score, make, drop),
        cmocka_unit_test_setup_teardown(who_makes_most_trouble_stays_in_a_full_table, make, drop),
        cmocka_unit_test_setup_teardown(no_number_overflows, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
