#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "weir/alloc.h"
#include "netset.h"

static bool has(const struct netset *set, const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (strcmp(text, "unix") == 0)
        return netset_has(set, (const struct sockaddr *)&un);
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return netset_has(set, (const struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return netset_has(set, (const struct sockaddr *)&in6);
}

static struct netset *compiled(const char *a, const char *b, const char *c)
{
    const char *words[] = {a, b, c};
    struct weir_err err = {0};
    size_t count = 0;
    struct netset *set;

    while (count < 3 && words[count] != NULL)
        count++;
    set = netset_compile(words, count, &err);
    if (set == NULL)
        fail_msg("%s", err.detail);
    return set;
}

static void a_network_holds_its_first_and_last_address_and_no_neighbour(void **state)
{
    struct netset *set = compiled("10.1.0.0/16", "2001:db8:1::/48", NULL);

    (void)state;
    assert_true(has(set, "10.1.0.0"));
    assert_true(has(set, "10.1.255.255"));
    assert_false(has(set, "10.0.255.255"));
    assert_false(has(set, "10.2.0.0"));
    assert_true(has(set, "2001:db8:1::"));
    assert_true(has(set, "2001:db8:1:ffff:ffff:ffff:ffff:ffff"));
    assert_false(has(set, "2001:db8:2::"));
    assert_false(has(set, "2001:db8:0:ffff::"));
    netset_free(set);
}

static void an_address_without_prefix_is_only_itself(void **state)
{
    struct netset *set = compiled("192.0.2.7", "::1", NULL);

    (void)state;
    assert_true(has(set, "192.0.2.7"));
    assert_false(has(set, "192.0.2.8"));
    assert_true(has(set, "::1"));
    assert_false(has(set, "::2"));
    netset_free(set);
}

static void a_mapped_address_is_its_ipv4_address(void **state)
{
    struct netset *set = compiled("10.0.0.0/8", "::ffff:192.0.2.0/120", NULL);

    (void)state;
    assert_true(has(set, "::ffff:10.9.9.9"));
    assert_false(has(set, "::ffff:11.0.0.0"));
    assert_true(has(set, "192.0.2.200"));
    assert_true(has(set, "::ffff:192.0.2.200"));
    netset_free(set);
}

static void all_of_one_family_is_none_of_the_other(void **state)
{
    struct netset *six = compiled("::/0", NULL, NULL), *four = compiled("0.0.0.0/0", NULL, NULL);

    (void)state;
    assert_true(has(six, "2001:db8::1"));
    assert_false(has(six, "192.0.2.1"));
    assert_false(has(six, "::ffff:192.0.2.1"));
    assert_true(has(four, "255.255.255.255"));
    assert_true(has(four, "::ffff:0.0.0.0"));
    assert_false(has(four, "::1"));
    netset_free(six);
    netset_free(four);
}

static void unix_peers_match_only_the_word_unix(void **state)
{
    struct netset *all = compiled("0.0.0.0/0", "::/0", NULL), *local = compiled("unix", NULL, NULL);

    (void)state;
    assert_false(has(all, "unix"));
    assert_true(has(local, "unix"));
    assert_false(has(local, "127.0.0.1"));
    netset_free(all);
    netset_free(local);
}

static void nothing_is_in_an_empty_set_and_no_address_in_any(void **state)
{
    struct netset *none = compiled(NULL, NULL, NULL), *all = compiled("0.0.0.0/0", NULL, NULL);
    struct sockaddr odd = {.sa_family = AF_UNSPEC};

    (void)state;
    assert_false(has(none, "127.0.0.1"));
    assert_false(netset_has(NULL, &odd));
    assert_false(netset_has(all, NULL));
    assert_false(netset_has(all, &odd));
    netset_free(none);
    netset_free(all);
}

static void nested_and_repeated_networks_are_joined(void **state)
{
    struct netset *set = compiled("10.1.2.0/24", "10.0.0.0/8", "10.1.2.3");

    (void)state;
    assert_true(has(set, "10.0.0.0"));
    assert_true(has(set, "10.1.2.3"));
    assert_true(has(set, "10.255.255.255"));
    assert_false(has(set, "11.0.0.0"));
    netset_free(set);
    set = compiled("10.0.0.0", "10.0.0.0/8", "10.0.0.0/30"); /* the same begin */
    assert_true(has(set, "10.200.0.1"));
    netset_free(set);
}

static void every_network_of_many_is_found(void **state)
{
    struct netset *set = netset_new(NULL);
    char text[32];

    (void)state;
    for (unsigned i = 0; i < 4096; i++) { /* every second /24 of 10.0.0.0/11, back to front */
        unsigned n = 4095 - i;

        snprintf(text, sizeof(text), "10.%u.%u.0/24", n / 128, n % 128 * 2);
        assert_true(netset_add(set, text, NULL));
    }
    netset_seal(set);
    for (unsigned n = 0; n < 8192; n++) {
        snprintf(text, sizeof(text), "10.%u.%u.77", n / 256, n % 256);
        assert_int_equal(has(set, text), n % 2 == 0);
    }
    netset_free(set);
}

static void a_bad_word_is_named_and_leaves_the_set_alone(void **state)
{
    static const char *const bad[] = {
        "",
        "10.0.0",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/08",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.256",
        "010.0.0.1",
        "::/129",
        "fe80::1%eth0",
        "example.org",
        "Unix",
        "10.0.0.1/8",
        "2001:db8::1/32",
        " 10.0.0.1",
        "::ffff:10.0.0.1/100",
        "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
    };
    struct netset *set = netset_new(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct weir_err err = {0};

        assert_false(netset_add(set, bad[i], &err));
        assert_int_equal(err.code, WEIR_E_CONFIG);
        assert_true(err.detail[0] == '\'');
    }
    netset_seal(set);
    assert_false(has(set, "10.0.0.1"));
    netset_free(set);
}

static void host_bits_are_refused_with_the_network_that_was_meant(void **state)
{
    struct netset *set = netset_new(NULL);
    struct weir_err err = {0};

    (void)state;
    assert_false(netset_add(set, "10.1.2.3/8", &err));
    assert_non_null(strstr(err.detail, "the network is 10.0.0.0/8"));
    netset_free(set);
}

#ifdef WEIR_FAULTS
static void every_failed_allocation_is_reported(void **state)
{
    const char *words[] = {"10.0.0.0/8", "::1", "unix", "192.0.2.0/24"};
    struct netset *set = NULL;

    (void)state;
    for (unsigned long n = 1; set == NULL; n++) {
        struct weir_err err = {0};

        weir_alloc_fail_at(n);
        set = netset_compile(words, 4, &err);
        weir_alloc_fail_at(0);
        assert_true(set != NULL || err.code == WEIR_E_MEMORY);
    }
    assert_true(has(set, "192.0.2.1"));
    netset_free(set);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_holds_its_first_and_last_address_and_no_neighbour),
        cmocka_unit_test(an_address_without_prefix_is_only_itself),
        cmocka_unit_test(a_mapped_address_is_its_ipv4_address),
        cmocka_unit_test(all_of_one_family_is_none_of_the_other),
        cmocka_unit_test(unix_peers_match_only_the_word_unix),
        cmocka_unit_test(nothing_is_in_an_empty_set_and_no_address_in_any),
        cmocka_unit_test(nested_and_repeated_networks_are_joined),
        cmocka_unit_test(every_network_of_many_is_found),
        cmocka_unit_test(a_bad_word_is_named_and_leaves_the_set_alone),
        cmocka_unit_test(host_bits_are_refused_with_the_network_that_was_meant),
#ifdef WEIR_FAULTS
        cmocka_unit_test(every_failed_allocation_is_reported),
#endif
    };

    return cmocka_run_group_tests_name("netset", tests, NULL, NULL);
}
