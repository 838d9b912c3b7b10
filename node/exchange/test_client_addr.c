#include "client_addr.h"

#include "test_exchange.h"

static void assert_client(struct made *m, const char *fields, const char *client)
{
    char request[8192], text[NET_TEXT_MAX];

    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
    made_request(m, request);
    m->x.client_addr = m->peer;
    m->x.peer_trusted = false;
    client_addr_find(&m->x);
    net_peer_text(&m->x.client_addr, text);
    if (strcmp(text, client) != 0)
        fail_msg("%s: %s is not %s", fields, text, client);
}

static void an_untrusted_peer_is_the_client_whatever_it_says(void **state)
{
    struct made m;

    (void)state;
    made_open(&m);
    assert_client(&m, "X-Forwarded-For: 203.0.113.1\r\n", "192.0.2.7"); /* nobody is trusted */
    assert_false(m.x.peer_trusted);
    made_trust(&m, "198.51.100.0/24");
    assert_client(&m, "X-Forwarded-For: 203.0.113.1\r\n", "192.0.2.7");
    assert_false(m.x.peer_trusted);
    made_close(&m);
}

static void a_trusted_peers_word_is_read_from_its_right_end(void **state)
{
    static const char *const rows[][2] = {
        {"", "192.0.2.7"},
        {"X-Forwarded-For: 203.0.113.1\r\n", "203.0.113.1"},
        {"X-Forwarded-For: 6.6.6.6, 203.0.113.1\r\n", "203.0.113.1"},
        {"X-Forwarded-For: 6.6.6.6,203.0.113.1 , 192.0.2.8\r\n", "203.0.113.1"},
        {"X-Forwarded-For: 192.0.2.9, 192.0.2.8\r\n", "192.0.2.9"}, /* trusted to the end */
        {"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.1, 192.0.2.8\r\n", "203.0.113.1"},
        {"X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: 192.0.2.8\r\n", "203.0.113.1"},
        {"X-Forwarded-For: 203.0.113.1:4711\r\n", "203.0.113.1"},
        {"X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
        {"X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1"},
        {"X-Forwarded-For: [2001:db8::1]:4711\r\n", "2001:db8::1"},
        {"X-Forwarded-For: ::ffff:203.0.113.1\r\n", "203.0.113.1"},
        /* Rubbish ends the chain: what is known so far stands. */
        {"X-Forwarded-For: unknown\r\n", "192.0.2.7"},
        {"X-Forwarded-For: 203.0.113.1, unknown, 192.0.2.8\r\n", "192.0.2.8"},
        {"X-Forwarded-For: 203.0.113.1,\r\n", "192.0.2.7"},
        {"X-Forwarded-For: 203.0.113.1 6.6.6.6\r\n", "192.0.2.7"},
        {"X-Forwarded-For: [203.0.113.1\r\n", "192.0.2.7"},
        {"X-Forwarded-For: []\r\n", "192.0.2.7"},
        {"X-Forwarded-For: 203.0.113\r\n", "192.0.2.7"},
        {"X-Forwarded-For: 0203.0.113.1\r\n", "192.0.2.7"},
        {"X-Forwarded-For: 2001:db8::1%eth0\r\n", "192.0.2.7"},
        {"X-Forwarded-For: "
         "1111111111111111111111111111111111111111111111111111111111111111111111111111\r\n",
         "192.0.2.7"},
    };
    struct made m;

    (void)state;
    made_open(&m);
    made_trust(&m, "192.0.2.0/24");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_client(&m, rows[i][0], rows[i][1]);
        assert_true(m.x.peer_trusted);
    }
    made_close(&m);
}

/* A proxy of ours may add a line of its own behind any number of the client's. */
static void many_lines_do_not_hide_the_last_one(void **state)
{
    char fields[4096];
    struct made m;

    (void)state;
    made_open(&m);
    made_trust(&m, "192.0.2.0/24");
    for (int lines = 0; lines < 90; lines++) {
        size_t n = 0;

        for (int i = 0; i < lines; i++)
            n += (size_t)sprintf(fields + n, "X-Forwarded-For: 6.6.6.6\r\n");
        sprintf(fields + n, "X-Forwarded-For: 203.0.113.1\r\n");
        assert_client(&m, fields, "203.0.113.1");
    }
    made_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_untrusted_peer_is_the_client_whatever_it_says),
        cmocka_unit_test(a_trusted_peers_word_is_read_from_its_right_end),
        cmocka_unit_test(many_lines_do_not_hide_the_last_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
