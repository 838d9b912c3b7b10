#include "net_proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"

/* In memory of exactly its size, so that a sanitizer sees what is read behind it. */
static enum net_proxy_result parse(const char *bytes, size_t len, struct net_proxy *p)
{
    struct weir_err err = {0};
    char *copy = malloc(len > 0 ? len : 1);
    enum net_proxy_result r;

    memcpy(copy, bytes, len);
    r = net_proxy_parse(copy, len, p, &err);
    assert_int_equal(r == NET_PROXY_BAD, err.code != WEIR_OK);
    free(copy);
    return r;
}

/* Whole at `bytes` and nowhere before, whatever comes behind. */
static void whole(const char *header, size_t len, struct net_proxy *p)
{
    char longer[400];

    for (size_t i = 0; i < len; i++)
        assert_int_equal(parse(header, i, p), NET_PROXY_MORE);
    assert_int_equal(parse(header, len, p), NET_PROXY_DONE);
    assert_int_equal(p->bytes, len);
    memcpy(longer, header, len);
    memcpy(longer + len, "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(parse(longer, len + 16, p), NET_PROXY_DONE);
    assert_int_equal(p->bytes, len);
}

#define WHOLE(text, p) whole(text, sizeof(text) - 1, p)

static void expect(const struct net_peer *peer, const char *ip, unsigned port)
{
    char text[NET_TEXT_MAX];

    net_peer_text(peer, text);
    assert_string_equal(text, ip);
    assert_int_equal(peer->port, port);
}

static void lines_of_version_1(void **state)
{
    struct net_proxy p;

    (void)state;
    WHOLE("PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n", &p);
    assert_true(p.known);
    expect(&p.from, "192.0.2.7", 56324);
    expect(&p.to, "203.0.113.1", 443);
    WHOLE("PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n", &p);
    expect(&p.from, "2001:db8::7", 0);
    expect(&p.to, "2001:db8::1", 65535);
    WHOLE("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", &p);
    expect(&p.from, "192.0.2.7", 1);
    assert_int_equal(p.from.family, AF_INET);
    WHOLE("PROXY UNKNOWN\r\n", &p);
    assert_false(p.known);
    WHOLE("PROXY UNKNOWN ffff:f:ffff  whatever\r\n", &p);
    assert_false(p.known);
}

static void what_is_not_quite_version_1_is_refused(void **state)
{
    static const char *const wrong[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.7 203.0.113.1 1 2\r\n",
        "PROXY  TCP4 192.0.2.7 203.0.113.1 1 2\r\n",
        "PROXY TCP5 192.0.2.7 203.0.113.1 1 2\r\n",
        "PROXY TCP4  192.0.2.7 203.0.113.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 1  2\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 1 \r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 1\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1\r\n",
        "PROXY TCP4 192.0.2.7\r\n",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.07 203.0.113.1 1 2\r\n",
        "PROXY TCP4 192.0.2 203.0.113.1 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 203.0.113.1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 65536 2\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 1 2\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 1 2\rX\n",
        "PROXY TCP4 192.0.2.7 203.0.113.1 1 +2\r\n",
        "PROXY TCP4 192.0.2.7\t203.0.113.1 1 2\r\n",
    };
    struct net_proxy p;
    char longest[120];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (parse(wrong[i], strlen(wrong[i]), &p) != NET_PROXY_BAD)
            fail_msg("taken: %s", wrong[i]);
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "PROXY UNKNOWN ", 14);
    assert_int_equal(parse(longest, 106, &p), NET_PROXY_MORE);
    assert_int_equal(parse(longest, 107, &p), NET_PROXY_BAD);
    memcpy(longest + 105, "\r\n", 2);
    assert_int_equal(parse(longest, 107, &p), NET_PROXY_DONE);
    longest[105] = 'x';
    memcpy(longest + 106, "\r\n", 2);
    assert_int_equal(parse(longest, 108, &p), NET_PROXY_BAD);
}

static void headers_of_version_2(void **state)
{
    static const char tcp4[] = V2 "\x21\x11\0\x0c"
                                  "\xc0\0\x02\x07"
                                  "\xcb\0\x71\x01"
                                  "\xdc\x04\x01\xbb";
    static const char tcp6[] = V2 "\x21\x21\0\x24"
                                  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                                  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                  "\0\x01\xff\xff";
    char path[16 + 216] = V2 "\x21\x31\0\xd8";
    struct net_proxy p;

    (void)state;
    WHOLE(tcp4, &p);
    assert_true(p.known);
    expect(&p.from, "192.0.2.7", 56324);
    expect(&p.to, "203.0.113.1", 443);
    WHOLE(tcp6, &p);
    expect(&p.from, "2001:db8::7", 1);
    expect(&p.to, "2001:db8::1", 65535);
    memset(path + 16, 'p', 216);
    whole(path, sizeof path, &p);
    assert_true(p.known);
    assert_int_equal(p.from.family, AF_UNIX);
    assert_int_equal(sizeof path, NET_PROXY_LOOK_MAX);
    WHOLE(V2 "\x20\0\0\0", &p); /* LOCAL */
    assert_false(p.known);
    WHOLE(V2 "\x21\0\0\0", &p); /* UNSPEC */
    assert_false(p.known);
}

static void what_stands_behind_the_addresses_is_counted_and_not_read(void **state)
{
    static const char tlvs[] = V2 "\x21\x11\x10\x0c"
                                  "\xc0\0\x02\x07"
                                  "\xcb\0\x71\x01"
                                  "\xdc\x04\x01\xbb";
    static const char local[] = V2 "\x20\xee\xff\xff";
    struct net_proxy p;

    (void)state;
    assert_int_equal(parse(tlvs, sizeof tlvs - 1, &p), NET_PROXY_DONE);
    assert_int_equal(p.bytes, 16 + 0x100c);
    expect(&p.from, "192.0.2.7", 56324);
    assert_int_equal(parse(local, sizeof local - 1, &p), NET_PROXY_DONE);
    assert_int_equal(p.bytes, 16 + 0xffff);
    assert_false(p.known);
}

static void what_is_not_quite_version_2_is_refused(void **state)
{
    static const char *const wrong[] = {
        V2 "\x11\x11\0\x0c", /* version 1 */
        V2 "\x22\x11\0\x0c", /* an unknown command */
        V2 "\x21\x12\0\x0c", /* datagrams */
        V2 "\x21\x41\0\x0c", /* an unknown family */
        V2 "\x21\x11\0\x0b", /* too short */
        V2 "\x21\x21\0\x23", V2 "\x21\x31\0\xd7",
    };
    struct net_proxy p;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(parse(wrong[i], 16, &p), NET_PROXY_BAD);
    assert_int_equal(parse("\r\n\r\n\0\r\nQUIX", 11, &p), NET_PROXY_BAD);
    assert_int_equal(parse("\r\nGET", 5, &p), NET_PROXY_BAD);
}

static bool same(const struct net_peer *a, const struct net_peer *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
}

static void what_is_written_is_read(void **state)
{
    struct net_peer four = {AF_INET, 1234, {192, 0, 2, 7}};
    struct net_peer six = {AF_INET6, 443, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    struct net_peer path = {AF_UNIX, 0, {0}};
    const struct net_peer *peers[] = {&four, &six, &path, NULL};
    char buf[NET_PROXY_OUT_MAX];
    struct net_proxy p;
    size_t len;

    (void)state;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            for (int version = 1; version <= 2; version++) {
                len = version == 1 ? net_proxy_write_v1(buf, peers[i], peers[k])
                                   : net_proxy_write_v2(buf, peers[i], peers[k]);
                whole(buf, len, &p);
                assert_int_equal(p.known, i < 2 && k < 2);
                if (!p.known)
                    continue;
                assert_true(same(&p.from, peers[i]));
                assert_true(same(&p.to, peers[k]));
            }
    len = net_proxy_write_v1(buf, &four, &four);
    assert_int_equal(len, strlen("PROXY TCP4 192.0.2.7 192.0.2.7 1234 1234\r\n"));
    assert_memory_equal(buf, "PROXY TCP4 192.0.2.7 192.0.2.7 1234 1234\r\n", len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_version_1),
        cmocka_unit_test(what_is_not_quite_version_1_is_refused),
        cmocka_unit_test(headers_of_version_2),
        cmocka_unit_test(what_stands_behind_the_addresses_is_counted_and_not_read),
        cmocka_unit_test(what_is_not_quite_version_2_is_refused),
        cmocka_unit_test(what_is_written_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
