/*
 * HTTP/1 over a layer that holds bytes back on both ways: what it has is asked for, and what it has
 * taken is out before the connection goes on or ends.
 */
#include "test_node.h"

#include "test_layer.h"

#define BIG (300 * 1024)

struct front_stub {
    struct net_client client;
    struct test_node *node;
};

static void stub_close(struct net_client *client, bool reset)
{
    struct front_stub *f = (struct front_stub *)(void *)client;

    net_chan_close(&client->chan, reset);
    net_clients_leave(&f->node->clients, client);
}

static const struct net_client_ops stub_ops = {stub_close, NULL, NULL};

/* A client under a layer, let in and handed over as the front does. */
static struct test_layer *open_client(struct test_node *t, size_t give, size_t accept, size_t pass,
                                      int *freed, struct weir_span early)
{
    struct front_stub stub = {.client.ops = &stub_ops, .node = t};
    struct test_layer *layer;
    int pair[2];

    node_client_close(t);
    t->got_len = 0;
    t->client_eof = t->client_reset = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    t->client = pair[0];
    event_assign(&t->client_event, t->loop.base, t->client, EV_READ | EV_PERSIST, node_on_client,
                 t);
    event_add(&t->client_event, NULL);
    weir_clock_update(&t->loop.clock);
    layer = layer_new(pair[1], give, accept, pass, freed);
    stub.client.peer.family = AF_UNIX;
    assert_true(net_clients_enter(&t->clients, &stub.client, (struct net_clients_limits){16, 16}));
    stub.client.chan = (struct net_chan){pair[1], &layer->layer};
    assert_true(h1_server_take(&t->server, &stub.client, early));
    assert_int_equal(stub.client.chan.fd, -1);
    return layer;
}

static void say(struct test_node *t, const char *text, size_t len)
{
    char *coded = malloc(len);

    memcpy(coded, text, len);
    layer_cipher(coded, len);
    while (len > 0) {
        ssize_t n = send(t->client, coded, len, MSG_NOSIGNAL);

        if (n > 0) {
            len -= (size_t)n;
            memmove(coded, coded + n, len);
        } else {
            node_turn(t);
        }
    }
    free(coded);
}

/* Turns until so much has come, and reads it. */
static void hear(struct test_node *t, size_t len)
{
    while (t->got_len < len && !t->client_eof)
        node_turn(t);
    layer_cipher(t->got, t->got_len);
}

static unsigned count_of(const char *text, size_t len, const char *word)
{
    unsigned n = 0;
    const char *at = text;

    while ((at = memmem(at, len - (size_t)(at - text), word, strlen(word))) != NULL) {
        at++;
        n++;
    }
    return n;
}

static const struct script small = {
    .reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: max-age=60\r\n\r\nok"};

static void requests_that_wait_in_the_layer_are_served(void **state)
{
    static const char ask[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n"
                              "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct test_node t;
    int freed = 0;

    (void)state;
    node_init(&t);
    assert_true(node_start(&t));
    t.scripts = &small;
    t.script_count = 1;
    open_client(&t, 7, LAYER_NO_LIMIT, LAYER_NO_LIMIT, &freed, WEIR_SPAN_NONE);
    say(&t, ask, sizeof ask - 1);
    hear(&t, SIZE_MAX);
    assert_false(t.client_reset);
    assert_int_equal(count_of(t.got, t.got_len, "HTTP/1.1 200"), 3);
    assert_int_equal((unsigned char)t.got[t.got_len - 1], LAYER_END ^ LAYER_XOR);
    assert_int_equal(t.requests, 1);
    node_stop(&t);
    assert_int_equal(freed, 1);
    assert_int_equal(t.clients.count, 0);
}

static void bytes_read_before_begin_the_first_request(void **state)
{
    struct test_node t;

    (void)state;
    node_init(&t);
    assert_true(node_start(&t));
    t.scripts = &small;
    t.script_count = 1;
    open_client(&t, LAYER_NO_LIMIT, LAYER_NO_LIMIT, LAYER_NO_LIMIT, NULL,
                WEIR_SPAN_LIT("GET / HTTP/1.1\r\nHo"));
    say(&t, "st: x\r\nConnection: close\r\n\r\n", 28);
    hear(&t, SIZE_MAX);
    assert_int_equal(count_of(t.got, t.got_len, "HTTP/1.1 200"), 1);
    node_stop(&t);
}

static void content_and_the_request_behind_it_come_out_of_the_layer(void **state)
{
    static const char head[] = "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n";
    static const char next[] = "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    static const struct script answers[] = {{.reply =
                                                 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
                                            {.reply =
                                                 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}};
    static char body[60000];
    struct test_node t;

    (void)state;
    node_init(&t);
    assert_true(node_start(&t));
    t.scripts = answers;
    t.script_count = 2;
    memset(body, 'b', sizeof body);
    open_client(&t, LAYER_NO_LIMIT, LAYER_NO_LIMIT, LAYER_NO_LIMIT, NULL, WEIR_SPAN_NONE);
    say(&t, head, sizeof head - 1);
    say(&t, body, sizeof body);
    say(&t, next, sizeof next - 1);
    hear(&t, SIZE_MAX);
    assert_false(t.client_reset);
    assert_int_equal(count_of(t.got, t.got_len, "HTTP/1.1 200"), 2);
    assert_int_equal(t.requests, 2);
    node_stop(&t);
}

static void a_response_is_over_when_the_layer_has_sent_it(void **state)
{
    static char reply[BIG + 200];
    static struct script big;
    struct test_node t;
    size_t head;

    (void)state;
    head =
        (size_t)snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
    memset(reply + head, 'r', BIG);
    big = (struct script){.reply = reply, .len = head + BIG};
    node_init(&t);
    assert_true(node_start(&t));
    t.scripts = &big;
    t.script_count = 1;
    open_client(&t, LAYER_NO_LIMIT, 50000, 1777, NULL, WEIR_SPAN_NONE);
    say(&t, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 49);
    hear(&t, SIZE_MAX);
    assert_false(t.client_reset);
    assert_true(t.got_len > BIG);
    assert_memory_equal(t.got + t.got_len - BIG - 5, "\r\n\r\n", 4);
    assert_memory_equal(t.got + t.got_len - BIG - 1, reply + head, BIG);
    assert_int_equal((unsigned char)t.got[t.got_len - 1], LAYER_END ^ LAYER_XOR);
    node_stop(&t);
}

static void a_refusal_reaches_a_client_that_goes_on_sending(void **state)
{
    struct test_node t;
    char *flood = malloc(BIG);

    (void)state;
    node_init(&t);
    assert_true(node_start(&t));
    memset(flood, 'x', BIG);
    open_client(&t, 5000, LAYER_NO_LIMIT, LAYER_NO_LIMIT, NULL, WEIR_SPAN_NONE);
    say(&t, "BAD\r\n\r\n", 7);
    say(&t, flood, BIG);
    shutdown(t.client, SHUT_WR);
    hear(&t, SIZE_MAX);
    assert_int_equal(count_of(t.got, t.got_len, "HTTP/1.1 400"), 1);
    node_stop(&t);
    free(flood);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_wait_in_the_layer_are_served),
        cmocka_unit_test(bytes_read_before_begin_the_first_request),
        cmocka_unit_test(content_and_the_request_behind_it_come_out_of_the_layer),
        cmocka_unit_test(a_response_is_over_when_the_layer_has_sent_it),
        cmocka_unit_test(a_refusal_reaches_a_client_that_goes_on_sending),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
