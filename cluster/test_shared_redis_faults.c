/* The engine against a Redis that answers whatever the test wants. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "redis_answer.h"
#include "redis_reply.h"
#include "redis_settings.h"
#include "shared_redis.h"
#include "test_shared_loop.h"
#include "weir/alloc.h"

/* ---- the Redis ---- */

struct fake {
    struct test_loop loop;
    struct evconnlistener *listener;
    char dir[64], path[80];
    const char *says;                               /* to whatever is no matter of the connection */
    enum after { GOES_ON, HANGS_UP, SILENT } after; /* on this connection, once that was said */
    unsigned asked;                                 /* how often it was said */
};

struct client {
    struct fake *fake;
    struct bufferevent *bev;
    struct redis_reader *reader;
    bool silent;
};

static void client_free(struct client *c)
{
    bufferevent_free(c->bev);
    redis_reader_free(c->reader);
    free(c);
}

static const struct {
    const char *command, *answer;
} matters_of_connections[] = {
    {"CLUSTER", "-ERR This instance has cluster support disabled\r\n"},
    {"CLIENT", "+OK\r\n"},
    {"PING", "+PONG\r\n"},
    {"READONLY", "+OK\r\n"},
    {"WAIT", ":1\r\n"},
};

/* False: the connection is gone. */
static bool obey(struct client *c, const struct redis_reply *command)
{
    struct weir_span name = WEIR_SPAN_NONE;

    if (c->silent)
        return true;
    redis_reply_text(redis_reply_at(command, 0), &name);
    for (size_t i = 0; i < sizeof matters_of_connections / sizeof matters_of_connections[0]; i++)
        if (weir_span_ieq(name, weir_span_str(matters_of_connections[i].command))) {
            const char *answer = matters_of_connections[i].answer;

            bufferevent_write(c->bev, answer, strlen(answer));
            return true;
        }
    c->fake->asked++;
    bufferevent_write(c->bev, c->fake->says, strlen(c->fake->says));
    c->silent = c->fake->after == SILENT;
    if (c->fake->after != HANGS_UP)
        return true;
    bufferevent_flush(c->bev, EV_WRITE, BEV_FINISHED);
    evbuffer_write(bufferevent_get_output(c->bev), bufferevent_getfd(c->bev));
    client_free(c);
    return false;
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct client *c = arg;
    struct evbuffer *input = bufferevent_get_input(bev);
    size_t len = evbuffer_get_length(input);
    char *bytes = malloc(len);
    struct weir_span in = weir_span(bytes, len);
    struct redis_reply *command;

    evbuffer_remove(input, bytes, len);
    while (redis_reader_next(c->reader, &in, &command, NULL) == REDIS_READ_REPLY) {
        bool lives = obey(c, command);

        redis_reply_unref(command);
        if (!lives)
            break;
    }
    free(bytes);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        client_free(arg);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *arg)
{
    const struct redis_limits limits = {.bulk_max_bytes = 4 << 20, .reply_max_bytes = 8 << 20};
    struct client *c = calloc(1, sizeof *c);

    (void)l;
    (void)sa;
    (void)len;
    c->fake = arg;
    c->reader = redis_reader_new(&limits);
    c->bev = bufferevent_socket_new(c->fake->loop.base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* ---- the engine before it ---- */

struct rig {
    struct fake fake;
    struct redis_address seed;
    struct redis_settings conn;
    struct redis_cluster_settings endpoint;
    struct shared_redis_settings settings;
    struct weir_shared *shared;
    struct shared_port *port;
};

static int start(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct shared_loop loop = test_loop_start(&r->fake.loop);

    strcpy(r->fake.dir, "/tmp/weir-test-fake-XXXXXX");
    assert_non_null(mkdtemp(r->fake.dir));
    snprintf(r->fake.path, sizeof r->fake.path, "%s/s", r->fake.dir);
    strcpy(at.sun_path, r->fake.path);
    r->fake.listener =
        evconnlistener_new_bind(r->fake.loop.base, on_accept, &r->fake, LEV_OPT_CLOSE_ON_FREE, -1,
                                (struct sockaddr *)&at, sizeof at);
    assert_non_null(r->fake.listener);
    strcpy(r->seed.host, r->fake.path);
    r->conn = redis_settings_default();
    r->conn.timeouts_max = 2;
    r->endpoint = (struct redis_cluster_settings){
        .name = "test",
        .seeds = &r->seed,
        .seed_count = 1,
        .conn = &r->conn,
        .breaker = {.in_a_row = 1000000, .least = 1000000}, /* it is to be asked again and again */
    };
    r->settings.endpoints[SHARED_CACHE] = r->settings.endpoints[SHARED_STATE] = &r->endpoint;
    r->shared = shared_redis_new(&r->settings, NULL);
    assert_non_null(r->shared);
    r->port = shared_port_new(r->shared, &loop, NULL);
    assert_non_null(r->port);
    *state = r;
    return 0;
}

static int stop(void **state)
{
    struct rig *r = *state;

    shared_port_free(r->port);
    shared_free(r->shared);
    evconnlistener_free(r->fake.listener);
    for (int i = 0; i < 3; i++) /* the fake sees its clients leave */
        event_base_loop(r->fake.loop.base, EVLOOP_NONBLOCK);
    event_base_free(r->fake.loop.base);
    unlink(r->fake.path);
    rmdir(r->fake.dir);
    free(r);
    return 0;
}

static void ask(struct shared_port *p, struct shared_call *c, enum redis_op op)
{
    const struct weir_span key = WEIR_SPAN_LIT("w1:{k}:m"), bytes = WEIR_SPAN_LIT("bytes");
    const struct shared_lease lease = {.key = WEIR_SPAN_LIT("w1:{k}:l"),
                                       .fence_key = WEIR_SPAN_LIT("w1:{k}:f"),
                                       .owner = WEIR_SPAN_LIT("me"),
                                       .channel = WEIR_SPAN_LIT("w1:{N}:ch"),
                                       .lease_ms = 3000,
                                       .fence_ttl_ms = 60000};
    const struct shared_log log = {.key = WEIR_SPAN_LIT("w1:{L}:log"),
                                   .channel = WEIR_SPAN_LIT("w1:{L}:ch"),
                                   .max = 100};
    const struct shared_board board = {.key = WEIR_SPAN_LIT("w1:{B}:b"),
                                       .channel = WEIR_SPAN_LIT("w1:{B}:ch")};
    const struct shared_post post = {.id = WEIR_SPAN_LIT("id"), .bytes = bytes};
    const struct shared_rate rate = {.key = key, .interval_us = 1000, .burst = 10};

    switch (op) {
    case REDIS_OP_GET:
        shared_get(p, c, key);
        break;
    case REDIS_OP_PUT:
        shared_put(p, c, key, NULL, 0, 1000);
        break;
    case REDIS_OP_PUT_FENCED:
        shared_put_fenced(p, c, key, lease.fence_key, 1, NULL, 0, 1000);
        break;
    case REDIS_OP_PUT_NEW:
        shared_put_new(p, c, key, NULL, 0, 1000);
        break;
    case REDIS_OP_REMOVE:
        shared_remove(p, c, key);
        break;
    case REDIS_OP_REMOVE_IF:
        shared_remove_if(p, c, key, 0, bytes);
        break;
    case REDIS_OP_TOUCH:
        shared_touch(p, c, key, 1000);
        break;
    case REDIS_OP_LEASE_TAKE:
        shared_lease_take(p, c, &lease);
        break;
    case REDIS_OP_LEASE_RENEW:
        shared_lease_renew(p, c, &lease);
        break;
    case REDIS_OP_LEASE_WAKE:
        shared_lease_wake(p, c, &lease, bytes);
        break;
    case REDIS_OP_LEASE_RELEASE:
        shared_lease_release(p, c, &lease, bytes);
        break;
    case REDIS_OP_LOG_APPEND:
        shared_log_append(p, c, &log, bytes);
        break;
    case REDIS_OP_LOG_OPEN:
        shared_log_open(p, c, &log);
        break;
    case REDIS_OP_LOG_READ:
        shared_log_read(p, c, &log, 0, 100);
        break;
    case REDIS_OP_BOARD_PUT:
        shared_board_put(p, c, &board, &post, 1, bytes);
        break;
    case REDIS_OP_BOARD_REMOVE:
        shared_board_remove(p, c, &board, &post.id, 1, bytes);
        break;
    case REDIS_OP_BOARD_READ:
        shared_board_read(p, c, &board);
        break;
    case REDIS_OP_TOKENS_TAKE:
        shared_tokens_take(p, c, &rate, 5);
        break;
    default:
        shared_hint(p, c, key, bytes);
    }
}

static const char *const sound[REDIS_OPS] = {
    [REDIS_OP_GET] = "$5\r\nhello\r\n",
    [REDIS_OP_PUT] = "+OK\r\n",
    [REDIS_OP_PUT_FENCED] = ":1\r\n",
    [REDIS_OP_PUT_NEW] = "+OK\r\n",
    [REDIS_OP_REMOVE] = ":1\r\n",
    [REDIS_OP_REMOVE_IF] = ":1\r\n",
    [REDIS_OP_TOUCH] = ":1\r\n",
    [REDIS_OP_LEASE_TAKE] = "*2\r\n:1\r\n:7\r\n",
    [REDIS_OP_LEASE_RENEW] = ":1\r\n",
    [REDIS_OP_LEASE_WAKE] = "*0\r\n",
    [REDIS_OP_LEASE_RELEASE] = "*0\r\n",
    [REDIS_OP_LOG_APPEND] = "$15\r\n1795439252094-9\r\n",
    [REDIS_OP_LOG_OPEN] = "$15\r\n1795439252094-9\r\n",
    [REDIS_OP_LOG_READ] = "*2\r\n$15\r\n1795439252094-9\r\n$3\r\n0-0\r\n",
    [REDIS_OP_BOARD_PUT] = ":1795439252094\r\n",
    [REDIS_OP_BOARD_REMOVE] = ":1795439252094\r\n",
    [REDIS_OP_BOARD_READ] = "*2\r\n:1795439252094\r\n*2\r\n$2\r\nid\r\n$9\r\n5 0 bytes\r\n",
    [REDIS_OP_TOKENS_TAKE] = "*3\r\n:5\r\n:5\r\n:0\r\n",
    [REDIS_OP_HINT] = ":3\r\n",
};

/* One question, and what becomes of it. */
static enum shared_result answer(struct rig *r, enum redis_op op, const char *says,
                                 enum after after, uint32_t timeout_ms)
{
    struct test_wait w;
    enum shared_result result;

    r->fake.says = says;
    r->fake.after = after;
    test_call(&w, &r->fake.loop)->timeout_ms = timeout_ms;
    ask(r->port, &w.call, op);
    assert_int_equal(w.told, 0); /* never from inside the call */
    result = test_answer(&w);
    assert_int_equal(w.told, 1);
    if (result != SHARED_OK) {
        assert_null(w.call.value.blob);
        assert_int_equal(w.call.number, 0);
        assert_int_equal(w.call.entry_count, 0);
    }
    shared_call_clear(&w.call);
    return result;
}

#define AGAIN_MS 30 /* where an answer may be lost, and another try makes it good */
#define AGAIN    100

/* ---- tests ---- */

static void sound_answers_are_understood(void **state)
{
    for (int op = 0; op < REDIS_OPS; op++)
        if (answer(*state, (enum redis_op)op, sound[op], GOES_ON, 2000) != SHARED_OK)
            fail_msg("%s", redis_op_name((enum redis_op)op));
}

static const struct {
    const char *wire;
    enum after after;
} odd[] = {
    {"$-1\r\n", GOES_ON},
    {"*-1\r\n", GOES_ON},
    {":-77\r\n", GOES_ON},
    {":99999999999999999999999\r\n", GOES_ON},
    {"+NO\r\n", GOES_ON},
    {"-ERR odd\r\n", GOES_ON},
    {"-WRONGTYPE Operation against a key\r\n", GOES_ON},
    {"-NOSCRIPT No matching script\r\n", GOES_ON},
    {"-MOVED 99999 nowhere\r\n", GOES_ON},
    {"-MOVED\r\n", GOES_ON},
    {"-ASK 1 ?:0\r\n", GOES_ON},
    {"*2\r\n:5\r\n$1\r\nx\r\n", GOES_ON},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", GOES_ON},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", GOES_ON},
    {"!!!\r\n", GOES_ON},
    {"$-5\r\n", GOES_ON},
    {"$99999999999\r\nx", GOES_ON},
    {"*99999999\r\n", GOES_ON},
    {"$100\r\ntoo short", HANGS_UP},
    {"*2\r\n:1\r\n", HANGS_UP},
    {"", HANGS_UP},
    {"$100\r\ntoo short", SILENT},
    {"*2\r\n:1\r\n", SILENT},
    {"", SILENT},
};

static void no_odd_answer_to_any_operation_is_taken_for_a_good_one(void **state)
{
    struct rig *r = *state;

    for (int op = 0; op < REDIS_OPS; op++)
        for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
            enum shared_result result = answer(r, (enum redis_op)op, odd[i].wire, odd[i].after,
                                               odd[i].after == SILENT ? AGAIN_MS : 2000);

            if (result == SHARED_OK)
                fail_msg("%s: %s", redis_op_name((enum redis_op)op), odd[i].wire);
            /* and then it works again: a connection that is out of step has been given up */
            for (int n = 0; answer(r, (enum redis_op)op, sound[op], GOES_ON, AGAIN_MS) != SHARED_OK;
                 n++)
                if (n == AGAIN)
                    fail_msg("%s after %s", redis_op_name((enum redis_op)op), odd[i].wire);
        }
}

static void more_tokens_than_were_wanted_are_none(void **state)
{
    struct rig *r = *state;

    assert_int_equal(answer(r, REDIS_OP_TOKENS_TAKE, "*3\r\n:6\r\n:4\r\n:0\r\n", GOES_ON, 2000),
                     SHARED_BAD);
}

static void nobody_is_told_after_cancelling(void **state)
{
    struct rig *r = *state;
    struct test_wait first, second;

    r->fake.says = "";
    for (int op = 0; op < REDIS_OPS; op++) {
        test_call(&first, &r->fake.loop);
        ask(r->port, &first.call, (enum redis_op)op);
        shared_cancel(r->port, &first.call);
        shared_cancel(r->port, &first.call);
        test_call(&second, &r->fake.loop)->timeout_ms = 20;
        ask(r->port, &second.call, (enum redis_op)op);
        assert_int_equal(test_answer(&second), SHARED_LATE);
        assert_int_equal(first.told, 0);
    }
}

static void waiters_hear_of_a_release_whose_asker_has_left(void **state)
{
    struct rig *r = *state;
    struct test_wait w;

    answer(r, REDIS_OP_GET, sound[REDIS_OP_GET], GOES_ON, 2000); /* connected */
    r->fake.says = "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n";
    r->fake.asked = 0;
    test_call(&w, &r->fake.loop);
    ask(r->port, &w.call, REDIS_OP_LEASE_RELEASE);
    shared_cancel(r->port, &w.call);
    while (r->fake.asked < 4) /* the release, and a hint for each */
        assert_int_equal(event_base_loop(r->fake.loop.base, EVLOOP_ONCE), 0);
    assert_int_equal(w.told, 0);
}

static void a_port_may_go_with_everything_under_way(void **state)
{
    struct rig *r = *state;
    struct test_wait w[REDIS_OPS];
    struct shared_loop loop = {.base = r->fake.loop.base,
                               .enter = test_enter,
                               .arg = &r->fake.loop,
                               .clock = &r->fake.loop.clock};

    r->fake.says = "";
    for (int turns = 0; turns < 4; turns++) {
        for (int op = 0; op < REDIS_OPS; op++)
            ask(r->port, test_call(&w[op], &r->fake.loop), (enum redis_op)op);
        for (int i = 0; i < turns; i++)
            event_base_loop(r->fake.loop.base, EVLOOP_NONBLOCK);
        shared_port_free(r->port);
        for (int op = 0; op < REDIS_OPS; op++)
            assert_int_equal(w[op].told, 0);
        r->port = shared_port_new(r->shared, &loop, NULL);
    }
}

#ifdef WEIR_FAULTS
/* Whatever allocation fails: told once, not taken for good unless it was, and the next one works.
 */
static void memory_may_fail_anywhere(void **state)
{
    struct rig *r = *state;
    bool untouched;

    for (int op = 0; op < REDIS_OPS; op++)
        for (unsigned long n = 1;; n++) {
            weir_alloc_fail_at(n);
            answer(r, (enum redis_op)op, sound[op], GOES_ON, AGAIN_MS);
            untouched = !weir_alloc_failed();
            weir_alloc_fail_at(0);
            for (int i = 0; answer(r, (enum redis_op)op, sound[op], GOES_ON, AGAIN_MS) != SHARED_OK;
                 i++)
                assert_true(i < AGAIN);
            if (untouched)
                break;
        }
}

static void a_port_may_fail_to_be_made(void **state)
{
    struct rig *r = *state;
    struct shared_loop loop = {.base = r->fake.loop.base, .clock = &r->fake.loop.clock};

    for (unsigned long n = 1;; n++) {
        struct shared_port *p;
        struct weir_err err = {0};
        bool failed;

        weir_alloc_fail_at(n);
        p = shared_port_new(r->shared, &loop, &err);
        failed = weir_alloc_failed();
        weir_alloc_fail_at(0);
        if (p == NULL)
            assert_int_equal(err.code, WEIR_E_MEMORY);
        shared_port_free(p);
        if (!failed)
            break;
    }
}
#endif

#define RIG(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(sound_answers_are_understood),
        RIG(no_odd_answer_to_any_operation_is_taken_for_a_good_one),
        RIG(more_tokens_than_were_wanted_are_none),
        RIG(nobody_is_told_after_cancelling),
        RIG(waiters_hear_of_a_release_whose_asker_has_left),
        RIG(a_port_may_go_with_everything_under_way),
#ifdef WEIR_FAULTS
        RIG(memory_may_fail_anywhere),
        RIG(a_port_may_fail_to_be_made),
#endif
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
