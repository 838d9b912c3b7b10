#include "net_addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void what_is_parsed_is_printed_again(void **state)
{
    static const char *const rows[][2] = {
        {"127.0.0.1:8080", "127.0.0.1:8080"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"[::1]:80", "[::1]:80"},
        {"[2001:DB8::0:1]:443", "[2001:db8::1]:443"},
        {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1"},
        {":8080", "[::]:8080"},
        {"unix:/run/weir.sock", "unix:/run/weir.sock"},
        {"unix:a:1", "unix:a:1"},
    };
    char text[NET_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_addr a;

        assert_true(net_addr_parse(rows[i][0], &a, NULL));
        assert_string_equal(net_addr_text(&a, text), rows[i][1]);
    }
}

static void what_is_no_address_is_refused_and_named(void **state)
{
    static const char *const rows[] = {
        "",
        ":",
        "8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:80x",
        "127.0.0.1: 80",
        "127.1:80",
        "localhost:80",
        "::1:80",
        "[::1]",
        "[]:80",
        "[127.0.0.1]:80",
        "[::1%eth0]:80",
        "300.0.0.1:80",
        "127.0.0.1:080808080808080808080",
        "[::1:80",
        "::1]:80",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:80",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_addr a;
        struct weir_err err = {0};

        if (net_addr_parse(rows[i], &a, &err))
            fail_msg("\"%s\" was taken", rows[i]);
        assert_int_equal(err.code, WEIR_E_CONFIG);
        assert_non_null(strstr(err.detail, rows[i]));
    }
}

static void a_unix_path_has_room_for_its_end(void **state)
{
    char text[160] = "unix:";
    struct net_addr a;
    struct weir_err err = {0};

    (void)state;
    memset(text + 5, 'p', 107);
    assert_true(net_addr_parse(text, &a, NULL));
    assert_int_equal(strlen(a.sa.un.sun_path), 107);
    text[5 + 107] = 'p';
    assert_false(net_addr_parse(text, &a, &err));
    assert_int_equal(err.code, WEIR_E_CONFIG);
    assert_false(net_addr_parse("unix:", &a, &err));
}

static void a_peer_is_an_address_without_its_port(void **state)
{
    static const char *const rows[][2] = {
        {"192.0.2.7:1234", "192.0.2.7"},
        {"[2001:db8::1]:99", "2001:db8::1"},
        {"[::ffff:192.0.2.7]:99", "192.0.2.7"},
        {"unix:/x", "unix"},
    };
    char text[NET_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_addr a;
        struct net_peer p, q;
        union net_sockaddr sa;

        assert_true(net_addr_parse(rows[i][0], &a, NULL));
        net_peer_from(&p, &a);
        assert_int_equal(net_peer_text(&p, text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        net_peer_sockaddr(&p, &sa);
        memset(&a, 0, sizeof a);
        a.sa = sa;
        net_peer_from(&q, &a);
        assert_memory_equal(&p.ip, &q.ip, sizeof p.ip);
        assert_int_equal(p.port, q.port);
        assert_int_equal(p.family, q.family);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_parsed_is_printed_again),
        cmocka_unit_test(what_is_no_address_is_refused_and_named),
        cmocka_unit_test(a_unix_path_has_room_for_its_end),
        cmocka_unit_test(a_peer_is_an_address_without_its_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
