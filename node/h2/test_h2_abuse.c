/*
 * Floods as frames: each ends its connection with GOAWAY ENHANCE_YOUR_CALM and the reason, long
 * before it costs anything, and the node goes on.
 */
#include "test_h2.h"

#include <poll.h>

#include "net_scores.h"

static int64_t metric(const struct h2_node *t, enum weir_metric m)
{
    return atomic_load(&t->n.metrics->value[m]);
}

/* What the node has sent, past the session of the test's client: that one would object. */
static struct {
    unsigned char bytes[400000];
    size_t len;
    bool goaway;
    uint32_t error;
    char text[100];
} got;

static uint32_t word(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void find_goaway(void)
{
    size_t at = 0;

    while (got.len - at >= 9) {
        const unsigned char *f = got.bytes + at;
        size_t len = word(f) >> 8;

        if (got.len - at < 9 + len)
            break;
        if (f[3] == NGHTTP2_GOAWAY && len >= 8) {
            got.goaway = true;
            got.error = word(f + 13);
            snprintf(got.text, sizeof got.text, "%.*s", (int)len - 8, (const char *)f + 17);
        }
        at += 9 + len;
    }
    memmove(got.bytes, got.bytes + at, got.len - at);
    got.len -= at;
}

static void hear(struct h2_node *t)
{
    ssize_t n = recv(t->n.client, got.bytes + got.len, sizeof got.bytes - got.len, 0);

    if (n > 0)
        got.len += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        t->eof = true;
    find_goaway();
}

/* What was sent is read, and what is answered arrives. */
static void go_on(struct h2_node *t)
{
    while (!t->eof) {
        struct pollfd p[2] = {{t->n.client, POLLIN, 0}, {-1, POLLIN, 0}};

        if (t->n.clients.all != NULL)
            p[1].fd = t->n.clients.all->chan.fd;
        if (poll(p, 2, 0) <= 0)
            break;
        if (p[1].revents != 0)
            node_turn(&t->n);
        if (p[0].revents != 0)
            hear(t);
    }
}

static void raw(struct h2_node *t, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0 && !t->eof) {
        ssize_t n = send(t->n.client, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return;
        if (n < 0)
            go_on(t);
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static void frame(struct h2_node *t, uint8_t type, uint8_t flags, int32_t id, const void *payload,
                  size_t len)
{
    unsigned char bytes[9 + 8000] = {(unsigned char)(len >> 16),
                                     (unsigned char)(len >> 8),
                                     (unsigned char)len,
                                     type,
                                     flags,
                                     (unsigned char)(id >> 24),
                                     (unsigned char)(id >> 16),
                                     (unsigned char)(id >> 8),
                                     (unsigned char)id};

    assert_true(len <= 8000);
    if (len > 0)
        memcpy(bytes + 9, payload, len);
    raw(t, bytes, 9 + len);
}

/* GET / of "x", by entries of the static table. */
#define GET      "\x82\x86\x84\x01\x01x"
#define GET_LEN  6
#define ENDED    (NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM)
#define ID_OF(i) ((int32_t)(i)*2 + 1)

static void begin(struct h2_node *t)
{
    memset(&got, 0, sizeof got);
    h2_client_open(t);
    h2_deaf(t, true);
    h2_test_flush(t);
    go_on(t);
}

struct flood {
    enum weir_metric counter;
    const char *text;
    unsigned at_least, at_most; /* frames */
    void (*one)(struct h2_node *t, unsigned i);
};

static void reset(struct h2_node *t, unsigned i)
{
    frame(t, NGHTTP2_HEADERS, ENDED, ID_OF(i), GET, GET_LEN);
    frame(t, NGHTTP2_RST_STREAM, 0, ID_OF(i), "\0\0\0\x8", 4);
}

/* CVE-2025-8671: nothing but requests, and what makes us reset them. */
static void made_you_reset(struct h2_node *t, unsigned i)
{
    frame(t, NGHTTP2_HEADERS, ENDED, ID_OF(i), GET, GET_LEN);
    frame(t, NGHTTP2_WINDOW_UPDATE, 0, ID_OF(i), "\x7f\xff\xff\xff", 4);
}

static void malformed(struct h2_node *t, unsigned i)
{
    frame(t, NGHTTP2_HEADERS, ENDED, ID_OF(i), GET "\x40\x02te\x01x", GET_LEN + 6);
}

static void settings(struct h2_node *t, unsigned i)
{
    (void)i;
    frame(t, NGHTTP2_SETTINGS, 0, 0, "", 0);
}

static void ping(struct h2_node *t, unsigned i)
{
    frame(t, NGHTTP2_PING, i & 1 ? NGHTTP2_FLAG_ACK : 0, 0, "12345678", 8);
}

static void priority(struct h2_node *t, unsigned i)
{
    (void)i;
    frame(t, NGHTTP2_PRIORITY, 0, 3, "\0\0\0\0\1", 5);
}

static void priority_update(struct h2_node *t, unsigned i)
{
    (void)i;
    frame(t, NGHTTP2_PRIORITY_UPDATE, 0, 0, "\0\0\0\1u=1", 7);
}

static void update(struct h2_node *t, unsigned i)
{
    (void)i;
    frame(t, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
}

static void unknown(struct h2_node *t, unsigned i)
{
    (void)i;
    frame(t, 0xbb, 0, 0, "x", 1);
}

static void open_upload(struct h2_node *t, unsigned i)
{
    if (i == 0)
        frame(t, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\x83\x86\x84\x01\x01x", GET_LEN);
}

static void empty_data(struct h2_node *t, unsigned i)
{
    open_upload(t, i);
    frame(t, NGHTTP2_DATA, 0, 1, "", 0);
}

static void padding(struct h2_node *t, unsigned i)
{
    static const char pad[3] = {2, 0, 0};

    open_upload(t, i);
    frame(t, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, pad, 3);
}

static void continuation(struct h2_node *t, unsigned i)
{
    if (i == 0)
        frame(t, NGHTTP2_HEADERS, 0, 1, "\x82", 1);
    else
        frame(t, NGHTTP2_CONTINUATION, 0, 1, "\x10\1a\1b", 5);
}

static const struct flood floods[] = {
    {WEIR_M_h2_abuse_resets, "too many streams reset", 240, 260, reset},
    {WEIR_M_h2_abuse_faults, "too many faulty frames", 40, 60, made_you_reset},
    {WEIR_M_h2_abuse_faults, "too many faulty frames", 40, 60, malformed},
    {WEIR_M_h2_abuse_settings, "too many SETTINGS frames", 45, 60, settings},
    {WEIR_M_h2_abuse_pings, "too many PING frames", 480, 520, ping},
    {WEIR_M_h2_abuse_priorities, "too many priority frames", 480, 520, priority},
    {WEIR_M_h2_abuse_priorities, "too many priority frames", 480, 520, priority_update},
    {WEIR_M_h2_abuse_updates, "too many WINDOW_UPDATE frames", 950, 1100, update},
    {WEIR_M_h2_abuse_unknown, "too many frames of unknown types", 480, 520, unknown},
    {WEIR_M_h2_abuse_empty, "too many empty DATA frames", 190, 210, empty_data},
    {WEIR_M_h2_abuse_empty, "too many empty DATA frames", 190, 210, padding},
    {WEIR_M_h2_abuse_continuations, "too many CONTINUATION frames", 15, 20, continuation},
};

static void ends_at(const struct flood *f)
{
    struct h2_node t;
    unsigned n = 0;

    h2_node_init(&t);
    assert_true(h2_node_start(&t));
    begin(&t);
    while (!got.goaway && !t.eof && n < 5000) {
        f->one(&t, n++);
        go_on(&t);
    }
    assert_true(got.goaway);
    assert_int_equal(got.error, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(got.text, f->text);
    assert_in_range(n, f->at_least, f->at_most);
    assert_int_equal(metric(&t, f->counter), 1);
    assert_int_equal(metric(&t, WEIR_M_exchanges_open), 0);
    h2_node_stop(&t);
}

static void every_flood_ends_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof floods / sizeof floods[0]; i++)
        ends_at(&floods[i]);
}

/* One entry of the dynamic table, named again and again: a byte for 3 KiB. */
static void growth_by_compression_ends_the_connection(void **state)
{
    static char block[4000] = GET "\x40\x01z\x7f\xb9\x16"; /* a literal of 127 + 57 + 22 * 128 */
    const size_t literal = GET_LEN + 6 + 3000;
    struct h2_node t;
    unsigned n = 0;

    (void)state;
    memset(block + GET_LEN + 6, 'x', 3000);
    memset(block + literal, 0xbe, 20); /* the newest entry */
    h2_node_init(&t);
    assert_true(h2_node_start(&t));
    begin(&t);
    frame(&t, NGHTTP2_HEADERS, ENDED, 1, block, literal);
    memmove(block + GET_LEN, block + literal, 20);
    while (!got.goaway && !t.eof && n++ < 1000) {
        frame(&t, NGHTTP2_HEADERS, ENDED, ID_OF(n), block, GET_LEN + 20);
        go_on(&t);
    }
    assert_true(got.goaway);
    assert_string_equal(got.text, "field sections grow too much");
    assert_in_range(n, 5, 30);
    h2_node_stop(&t);
}

/* Connections end, the account of their address stays. */
static void many_connections_of_one_address_share_an_account(void **state)
{
    static struct h2_settings mild;
    struct weir_hash_secret secret;
    struct h2_node t;
    unsigned connections = 0;

    (void)state;
    mild = h2_settings_usual;
    mild.client_points = 2000;
    assert_true(weir_hash_secret_draw(&secret, NULL));
    h2_node_init(&t);
    t.n.http2 = &mild;
    assert_true(h2_node_start(&t));
    t.n.clients.scores = net_scores_new(&secret, NULL);
    do {
        begin(&t);
        t.n.clients.all->peer = (struct net_peer){.family = AF_INET, .ip = {192, 0, 2, 9}};
        for (unsigned i = 0; i < 100; i++) /* 200 points, well within */
            unknown(&t, i);
        go_on(&t);
        connections++;
    } while (!got.goaway && connections < 50);
    assert_true(got.goaway);
    assert_string_equal(got.text, "too much abuse from this address");
    assert_in_range(connections, 8, 14);
    assert_int_equal(metric(&t, WEIR_M_h2_abuse_address), 1);
    h2_client_close(&t);
    net_clients_abort(&t.n.clients);
    node_settle(&t.n);
    net_scores_free(t.n.clients.scores);
    t.n.clients.scores = NULL;
    h2_node_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flood_ends_with_its_reason),
        cmocka_unit_test(growth_by_compression_ends_the_connection),
        cmocka_unit_test(many_connections_of_one_address_share_an_account),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
