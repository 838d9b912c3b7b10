/*
 * One connection against a Redis that the test plays itself: a listening socket, what must come in
 * on it, what is said on it.
 */
#include "redis_conn.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "redis_settings.h"
#include "test_redis_dump.h"
#include "weir/alloc.h"
#include "weir/container.h"

#define PATIENCE_MS 10000
#define COMMANDS    16

struct bench;

struct call {
    struct redis_command cmd;
    struct bench *b;
    char name;
    void (*then)(struct call *c); /* called by done() */
};

/* Everything of one test. */
struct bench {
    struct event_base *base;
    struct event *alarm; /* so that a turn ends although nothing happens */
    struct redis_loop *loop;
    struct redis_settings settings;
    struct redis_endpoint to;
    struct redis_conn *conn;
    int listening, fd; /* the server's ends */
    struct dump log;   /* what was called back: "up ", "a:1 ", "b!timeout ", "down!closed " */
    char why[200];
    struct call calls[COMMANDS];
    void (*on_up)(struct bench *b), (*on_down)(struct bench *b), (*on_push)(struct bench *b);
    bool calling; /* one of our functions is on the stack: nothing may be called back */
};

static void note(struct bench *b, const char *text)
{
    assert_false(b->calling);
    dump_bytes(&b->log, text, strlen(text));
}

static void on_up(struct redis_conn *conn, void *arg)
{
    struct bench *b = arg;

    assert_int_equal(redis_conn_state(conn), REDIS_UP);
    note(b, "up ");
    if (b->on_up != NULL)
        b->on_up(b);
}

static void on_down(struct redis_conn *conn, enum redis_fault fault, const char *why, void *arg)
{
    struct bench *b = arg;
    char text[40];

    assert_int_equal(redis_conn_state(conn), REDIS_DOWN);
    snprintf(text, sizeof text, "down!%s ", redis_fault_name(fault));
    snprintf(b->why, sizeof b->why, "%s", why);
    note(b, text);
    if (b->on_down != NULL)
        b->on_down(b);
}

static void on_push(struct redis_conn *conn, struct redis_reply *reply, void *arg)
{
    struct bench *b = arg;

    (void)conn;
    note(b, "push");
    dump_reply(&b->log, reply);
    if (b->on_push != NULL)
        b->on_push(b);
}

static const struct redis_conn_events events = {on_up, on_down, on_push};

static void on_done(struct redis_command *cmd, struct redis_reply *reply, enum redis_fault fault)
{
    struct call *c = WEIR_CONTAINER(cmd, struct call, cmd);
    char text[40];

    assert_true(redis_command_idle(cmd));
    assert_true((reply == NULL) == (fault != REDIS_FAULT_NONE));
    snprintf(text, sizeof text, "%c!%s ", c->name, redis_fault_name(fault));
    if (reply == NULL) {
        note(c->b, text);
    } else {
        text[1] = '\0';
        note(c->b, text);
        dump_reply(&c->b->log, reply);
    }
    if (c->then != NULL)
        c->then(c);
}

/* ---- the test's hands ---- */

static void turn(struct bench *b)
{
    struct timeval tick = {0, 1000};

    evtimer_add(b->alarm, &tick);
    event_base_loop(b->base, EVLOOP_ONCE);
}

/* Turns the loop until the claim holds. */
#define UNTIL(b, claim)                                                                            \
    do {                                                                                           \
        int64_t end_ms = redis_now_ms() + PATIENCE_MS;                                             \
                                                                                                   \
        while (!(claim)) {                                                                         \
            turn(b);                                                                               \
            if (redis_now_ms() > end_ms)                                                           \
                fail_msg("waited in vain for %s; log: %s %s", #claim, (b)->log.text, (b)->why);    \
        }                                                                                          \
    } while (0)

static bool logged(struct bench *b, const char *text)
{
    return strstr(b->log.text, text) != NULL;
}

static void clear(struct bench *b)
{
    b->log.len = 0;
    dump_bytes(&b->log, "", 0);
}

/* Turns until the log is exactly this, and makes sure that nothing follows. */
static void log_is(struct bench *b, const char *want)
{
    UNTIL(b, b->log.len >= strlen(want));
    turn(b);
    assert_string_equal(b->log.text, want);
    clear(b);
}

static void accept_one(struct bench *b)
{
    UNTIL(b, (b->fd = accept4(b->listening, NULL, NULL, SOCK_NONBLOCK)) >= 0);
}

static void say_bytes(struct bench *b, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(b->fd, bytes, len, MSG_NOSIGNAL);

        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            turn(b);
            continue;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void say(struct bench *b, const char *text)
{
    say_bytes(b, text, strlen(text));
}

/* The server must receive this next. */
static void hears(struct bench *b, const char *want)
{
    size_t len = strlen(want), got = 0;
    char *bytes = malloc(len + 1);

    while (got < len) {
        ssize_t n = -1;

        UNTIL(b, (n = recv(b->fd, bytes + got, len - got, 0)) >= 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    bytes[len] = '\0';
    assert_string_equal(bytes, want);
    free(bytes);
}

static bool hears_end(struct bench *b)
{
    char byte;
    ssize_t n = recv(b->fd, &byte, 1, 0);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

#define HELLO "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$4\r\nweir\r\n"
#define GET_K "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"

static struct redis_conn *new_conn(struct bench *b)
{
    b->calling = true;
    b->conn = redis_conn_new(b->loop, &b->to, &events, b);
    b->calling = false;
    return b->conn;
}

static void go_up(struct bench *b)
{
    assert_non_null(new_conn(b));
    accept_one(b);
    hears(b, HELLO);
    say(b, "+OK\r\n");
    log_is(b, "up ");
}

static void free_conn(struct bench *b)
{
    b->calling = true;
    redis_conn_free(b->conn);
    b->calling = false;
    b->conn = NULL;
}

static enum redis_fault get(struct bench *b, char name, int within_ms, unsigned flags)
{
    struct redis_arg argv[] = {redis_arg_str("GET"), redis_arg_str("k")};
    struct call *c = &b->calls[name - 'a'];
    bool outer = b->calling;
    enum redis_fault fault;

    c->cmd.done = on_done;
    c->cmd.deadline_ms = within_ms == 0 ? INT64_MAX : redis_now_ms() + within_ms;
    b->calling = true;
    fault = redis_conn_submit(b->conn, &c->cmd, argv, 2, flags);
    b->calling = outer;
    return fault;
}

static void cancel(struct bench *b, char name)
{
    b->calling = true;
    redis_command_cancel(&b->calls[name - 'a'].cmd);
    b->calling = false;
}

static void ignore_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static int listen_on(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (void *)&a, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (void *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct weir_err err;

    b->base = event_base_new();
    b->alarm = evtimer_new(b->base, ignore_alarm, NULL);
    b->loop = redis_loop_new(b->base, &err);
    b->settings = redis_settings_default();
    b->settings.connect_timeout_ms = 5000;
    b->fd = -1;
    b->listening = listen_on(&b->to.port);
    b->to.host = "127.0.0.1";
    b->to.settings = &b->settings;
    for (int i = 0; i < COMMANDS; i++)
        b->calls[i] = (struct call){.b = b, .name = (char)('a' + i)};
    clear(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    redis_conn_free(b->conn);
    redis_loop_free(b->loop);
    for (int i = 0; i < COMMANDS; i++)
        redis_reply_unref(b->calls[i].cmd.reply);
    if (b->fd >= 0)
        close(b->fd);
    close(b->listening);
    event_free(b->alarm);
    event_base_free(b->base);
    free(b->log.text);
    free(b);
    return 0;
}

/* ---- replies ---- */

static void replies_come_in_the_order_of_the_commands(void **state)
{
    struct bench *b = *state;

    go_up(b);
    get(b, 'a', 0, 0);
    get(b, 'b', 0, 0);
    get(b, 'c', 0, 0);
    hears(b, GET_K GET_K GET_K);
    say(b, ":1\r\n$1\r\nx\r\n-ERR no\r\n");
    log_is(b, "a:1 b$x c-ERR no ");
}

static void commands_may_be_given_before_the_connection_is_up(void **state)
{
    struct bench *b = *state;

    new_conn(b);
    get(b, 'a', 0, 0);
    accept_one(b);
    get(b, 'b', 0, 0);
    hears(b, HELLO);
    get(b, 'c', 0, 0);
    say(b, "+OK\r\n");
    hears(b, GET_K GET_K GET_K);
    say(b, ":1\r\n:2\r\n:3\r\n");
    log_is(b, "up a:1 b:2 c:3 ");
}

static void a_reply_may_come_byte_by_byte(void **state)
{
    struct bench *b = *state;
    const char text[] = "*2\r\n$3\r\nabc\r\n*1\r\n:-1\r\n";

    go_up(b);
    get(b, 'a', 0, 0);
    hears(b, GET_K);
    for (const char *p = text; *p != '\0'; p++) {
        say_bytes(b, p, 1);
        turn(b);
    }
    log_is(b, "a[$abc [:-1 ]]");
}

static void a_large_reply_is_received_in_its_blob(void **state)
{
    struct bench *b = *state;
    size_t len = 300000;
    char *body = malloc(len), head[32];

    for (size_t i = 0; i < len; i++)
        body[i] = (char)('a' + i % 23);
    go_up(b);
    get(b, 'a', 0, 0);
    get(b, 'b', 0, 0);
    get(b, 'c', 0, 0);
    hears(b, GET_K GET_K GET_K);
    snprintf(head, sizeof head, "$%zu\r\n", len);
    for (int i = 0; i < 2; i++) {
        say(b, head);
        say_bytes(b, body, len);
        say(b, "\r\n");
    }
    say(b, ":3\r\n");
    UNTIL(b, logged(b, "c:3 "));
    assert_int_equal(b->log.len, 2 * (len + 3) + 4);
    assert_memory_equal(b->log.text + 2, body, len);
    assert_memory_equal(b->log.text + len + 5, body, len);
    free(body);
}

static void a_large_argument_is_sent_from_its_blob(void **state)
{
    struct bench *b = *state;
    struct weir_blob *blob = weir_blob_new(100000);
    struct call *c = &b->calls[0];
    struct redis_arg argv[] = {redis_arg_str("SET"),
                               redis_arg_str("k"),
                               redis_arg_str("head-"),
                               redis_arg_more(
                                   redis_arg_slice((struct weir_slice){blob, 1000, 90000})),
                               redis_arg_more(redis_arg_slice((struct weir_slice){blob, 0, 10})),
                               redis_arg_more(redis_arg_str("-tail")),
                               redis_arg_str("")};
    char *want;

    memset(blob->bytes, 'x', 100000);
    go_up(b);
    c->cmd = (struct redis_command){.done = on_done, .deadline_ms = INT64_MAX};
    assert_int_equal(redis_conn_submit(b->conn, &c->cmd, argv, 7, 0), REDIS_FAULT_NONE);
    assert_true(atomic_load(&blob->refs) > 1);
    assert_true(asprintf(&want,
                         "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$90020\r\nhead-%.*s-tail\r\n$0\r\n\r\n",
                         90010, blob->bytes) > 0);
    assert_int_equal(redis_args_bytes(argv, 7), strlen(want));
    hears(b, want);
    say(b, "+OK\r\n");
    log_is(b, "a+OK ");
    assert_int_equal(atomic_load(&blob->refs), 1);
    weir_blob_unref(blob);
    free(want);
}

static void commands_of_one_turn_go_out_together(void **state)
{
    struct bench *b = *state;
    char bytes[sizeof(GET_K GET_K GET_K)];

    go_up(b);
    get(b, 'a', 0, 0);
    get(b, 'b', 0, 0);
    get(b, 'c', 0, 0);
    assert_int_equal(recv(b->fd, bytes, sizeof bytes, 0), -1); /* not from inside the call */
    turn(b);
    assert_int_equal(recv(b->fd, bytes, sizeof bytes, 0), sizeof bytes - 1);
    free_conn(b);
    log_is(b, "a!closed b!closed c!closed ");
}

static void asking_stands_right_before_its_command(void **state)
{
    struct bench *b = *state;

    go_up(b);
    get(b, 'a', 0, 0);
    get(b, 'b', 0, REDIS_ASKING);
    get(b, 'c', 0, 0);
    hears(b, GET_K "*1\r\n$6\r\nASKING\r\n" GET_K GET_K);
    assert_int_equal(redis_conn_in_flight(b->conn), 4);
    say(b, ":1\r\n+OK\r\n:2\r\n:3\r\n");
    log_is(b, "a:1 b:2 c:3 ");
    assert_int_equal(redis_conn_in_flight(b->conn), 0);
}

/* ---- hello ---- */

static void authentication_comes_before_everything(void **state)
{
    struct bench *b = *state;

    b->settings.username = "weir";
    b->settings.password = "secret";
    b->to.replica = true;
    new_conn(b);
    get(b, 'a', 0, 0);
    accept_one(b);
    hears(b, "*3\r\n$4\r\nAUTH\r\n$4\r\nweir\r\n$6\r\nsecret\r\n" HELLO "*1\r\n$8\r\nREADONLY\r\n");
    say(b, "+OK\r\n-NOPERM no names\r\n");
    turn(b);
    assert_int_equal(redis_conn_state(b->conn), REDIS_HELLO);
    say(b, "-ERR This instance has cluster support disabled\r\n");
    hears(b, GET_K);
    log_is(b, "up ");
}

static void a_refused_password_is_named(void **state)
{
    struct bench *b = *state;

    b->settings.password = "wrong";
    b->settings.client_name = NULL;
    new_conn(b);
    get(b, 'a', 0, 0);
    accept_one(b);
    hears(b, "*2\r\n$4\r\nAUTH\r\n$5\r\nwrong\r\n");
    say(b, "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    log_is(b, "down!auth a!auth ");
    assert_non_null(strstr(b->why, "WRONGPASS invalid"));
    UNTIL(b, hears_end(b));
}

static void a_missing_password_is_named(void **state)
{
    struct bench *b = *state;

    new_conn(b);
    accept_one(b);
    hears(b, HELLO);
    say(b, "-NOAUTH Authentication required.\r\n");
    log_is(b, "down!auth ");
    assert_non_null(strstr(b->why, "NOAUTH"));
}

static void a_connection_too_many_is_no_matter_of_passwords(void **state)
{
    struct bench *b = *state;

    b->settings.password = "right";
    new_conn(b);
    get(b, 'a', 0, 0);
    accept_one(b);
    say(b, "-ERR max number of clients reached\r\n");
    close(b->fd);
    b->fd = -1;
    log_is(b, "down!connect a!connect ");
}

static void nothing_listens_there(void **state)
{
    struct bench *b = *state;

    close(b->listening);
    b->listening = -1;
    new_conn(b);
    assert_int_equal(get(b, 'a', 0, 0) == REDIS_FAULT_NONE,
                     redis_conn_state(b->conn) != REDIS_DOWN);
    UNTIL(b, logged(b, "down!connect "));
    assert_non_null(strstr(b->why, "refused"));
    assert_int_equal(get(b, 'b', 0, 0), REDIS_FAULT_CLOSED);
    b->listening = listen_on(&b->to.port);
}

static void a_name_of_the_hosts_file_is_found(void **state)
{
    struct bench *b = *state;

    b->to.host = "localhost"; /* ::1 as well, where nobody listens */
    go_up(b);
}

static void a_name_that_is_none_fails(void **state)
{
    struct bench *b = *state;

    b->to.host = "/nowhere/at/all.sock";
    new_conn(b);
    log_is(b, "down!connect ");
    free_conn(b);
    b->to.host = "no such name";
    b->settings.connect_timeout_ms = 50;
    new_conn(b);
    log_is(b, "down!connect ");
    free_conn(b);
    b->settings.connect_timeout_ms = 5000;
    new_conn(b);
    free_conn(b); /* while it is looked up */
    turn(b);
}

static void who_accepts_and_never_answers_is_left(void **state)
{
    struct bench *b = *state;

    b->settings.connect_timeout_ms = 300;
    new_conn(b);
    get(b, 'a', 10, 0);
    get(b, 'b', 0, 0);
    accept_one(b);
    hears(b, HELLO);
    log_is(b, "a!timeout down!connect b!connect ");
    assert_non_null(strstr(b->why, "no answer"));
    UNTIL(b, hears_end(b));
}

/* ---- time-outs ---- */

/* Nothing is sent but what the test asks for: a look may fall anywhere, and asks whether replies
 * are in step after a time-out. */
static void go_up_unwatched(struct bench *b)
{
    b->settings.ping_interval_ms = b->settings.silence_max_ms = b->settings.look_max_ms = 3600000;
    go_up(b);
}

static void a_command_that_times_out_keeps_its_place(void **state)
{
    struct bench *b = *state;
    struct redis_conn_stats s;

    go_up_unwatched(b);
    get(b, 'a', 5, 0);
    get(b, 'b', 0, 0);
    hears(b, GET_K GET_K);
    log_is(b, "a!timeout ");
    redis_conn_stats(b->conn, &s);
    assert_int_equal(s.in_flight, 2);
    assert_int_equal(s.abandoned, 1);
    assert_int_equal(s.timeouts, 1);
    get(b, 'a', 0, 0); /* the same one again, behind its own tombstone */
    hears(b, GET_K);
    say(b, ":1\r\n:2\r\n:3\r\n");
    log_is(b, "b:2 a:3 ");
    redis_conn_stats(b->conn, &s);
    assert_int_equal(s.in_flight + s.abandoned + s.strikes, 0);
}

static void deadlines_are_kept_to_the_millisecond(void **state)
{
    struct bench *b = *state;
    int64_t began_us;

    go_up_unwatched(b);
    b->settings.timeouts_max = 100;
    for (int wait_ms = 1; wait_ms < 40; wait_ms += 7) {
        struct call *c = &b->calls[0];

        began_us = redis_now_us();
        get(b, 'a', wait_ms, 0);
        UNTIL(b, logged(b, "a!timeout "));
        assert_true(redis_now_us() >= c->cmd.deadline_ms * 1000); /* never early */
        assert_true(redis_now_us() - began_us < (wait_ms + 3000) * 1000);
        clear(b);
    }
}

static void again(struct call *c)
{
    if (redis_conn_state(c->b->conn) != REDIS_DOWN)
        get(c->b, c->name, 5, 0);
}

static void three_time_outs_in_a_row_close_the_connection(void **state)
{
    struct bench *b = *state;

    go_up_unwatched(b);
    b->calls[0].then = again;
    get(b, 'a', 5, 0);
    get(b, 'b', 0, 0);
    log_is(b, "a!timeout a!timeout a!timeout down!timeout b!closed ");
    hears(b, GET_K GET_K GET_K GET_K);
    UNTIL(b, hears_end(b));
}

static void time_outs_of_one_pause_are_one(void **state)
{
    struct bench *b = *state;

    go_up_unwatched(b);
    for (char name = 'a'; name < 'a' + COMMANDS; name++)
        get(b, name, 5, 0);
    UNTIL(b, b->log.len == COMMANDS * strlen("a!timeout "));
    turn(b);
    assert_int_equal(redis_conn_state(b->conn), REDIS_UP);
}

static void a_reply_ends_the_row_of_time_outs(void **state)
{
    struct bench *b = *state;

    go_up_unwatched(b);
    for (int i = 0; i < 6; i++) {
        get(b, 'a', 3, 0);
        hears(b, GET_K);
        log_is(b, "a!timeout ");
        if (i % 2 == 1)
            say(b, ":1\r\n:1\r\n");
        UNTIL(b, i % 2 == 0 || redis_conn_in_flight(b->conn) == 0);
    }
    assert_int_equal(redis_conn_state(b->conn), REDIS_UP);
}

static void a_redis_that_is_slow_but_speaks_is_kept(void **state)
{
    struct bench *b = *state;

    go_up_unwatched(b);
    get(b, 'b', 0, 0);
    say(b, "$1000\r\n");
    for (int i = 0; i < 6; i++) {
        get(b, 'a', 30, 0);
        turn(b);
        say(b, "x");
        log_is(b, "a!timeout ");
    }
    assert_int_equal(redis_conn_state(b->conn), REDIS_UP);
}

#define ECHO_1 "*2\r\n$4\r\nECHO\r\n$6\r\nweir-1\r\n"
#define ECHO_2 "*2\r\n$4\r\nECHO\r\n$6\r\nweir-2\r\n"

/* One reply got lost: each one that comes belongs to the command before. */
static void a_connection_that_is_out_of_step_is_left(void **state)
{
    struct bench *b = *state;

    b->settings.ping_interval_ms = 20; /* looks every 10 ms */
    go_up(b);
    get(b, 'a', 3, 0);
    log_is(b, "a!timeout ");
    hears(b, GET_K ECHO_1);
    get(b, 'b', 0, 0);
    say(b, "$6\r\nweir-1\r\n:2\r\n");
    log_is(b, "down!protocol b!protocol ");
}

static void a_connection_that_is_late_but_in_step_is_kept(void **state)
{
    struct bench *b = *state;

    b->settings.ping_interval_ms = 20;
    go_up(b);
    get(b, 'a', 3, 0);
    log_is(b, "a!timeout ");
    hears(b, GET_K ECHO_1);
    say(b, ":1\r\n$6\r\nweir-1\r\n");
    UNTIL(b, redis_conn_in_flight(b->conn) == 0);
    clear(b);
    get(b, 'b', 3, 0);
    log_is(b, "b!timeout ");
    hears(b, GET_K ECHO_2);
    say(b, ":1\r\n-NOPERM not for you\r\n"); /* which proves nothing */
    UNTIL(b, redis_conn_in_flight(b->conn) == 0);
    assert_int_equal(redis_conn_state(b->conn), REDIS_UP);
}

static void a_silent_redis_is_left_even_if_nobody_waits(void **state)
{
    struct bench *b = *state;

    b->settings.silence_max_ms = 40;
    go_up(b);
    get(b, 'a', 0, 0);
    cancel(b, 'a');
    log_is(b, "down!timeout ");
}

static void an_idle_connection_is_pinged(void **state)
{
    struct bench *b = *state;

    b->settings.ping_interval_ms = 20;
    b->settings.silence_max_ms = 500;
    go_up(b);
    for (int i = 0; i < 2; i++) {
        hears(b, "*1\r\n$4\r\nPING\r\n");
        say(b, "+PONG\r\n");
    }
    hears(b, "*1\r\n$4\r\nPING\r\n");
    log_is(b, "down!timeout "); /* to that one, no answer */
}

/* ---- ends ---- */

static void a_close_in_the_middle_of_a_reply_ends_all(void **state)
{
    struct bench *b = *state;

    go_up(b);
    get(b, 'a', 0, 0);
    get(b, 'b', 0, 0);
    get(b, 'c', 0, 0);
    hears(b, GET_K GET_K GET_K);
    say(b, ":1\r\n$10\r\nabc");
    close(b->fd);
    b->fd = -1;
    log_is(b, "a:1 down!closed b!closed c!closed ");
    assert_int_equal(get(b, 'a', 0, 0), REDIS_FAULT_CLOSED);
}

static void garbage_ends_the_connection(void **state)
{
    struct bench *b = *state;

    go_up(b);
    get(b, 'a', 0, 0);
    get(b, 'b', 0, 0);
    hears(b, GET_K GET_K);
    say(b, ":1\r\nHTTP/1.1 200 OK\r\n");
    log_is(b, "a:1 down!protocol b!protocol ");
}

static void a_reply_too_large_ends_the_connection(void **state)
{
    struct bench *b = *state;

    b->settings.bulk_max_bytes = 1000;
    go_up(b);
    get(b, 'a', 0, 0);
    hears(b, GET_K);
    say(b, "$1001\r\n");
    log_is(b, "down!protocol a!protocol ");
}

static void a_reply_that_nobody_asked_for_ends_the_connection(void **state)
{
    struct bench *b = *state;

    go_up(b);
    say(b, "+OK\r\n");
    log_is(b, "down!protocol ");
}

/* ---- caps ---- */

static void too_many_in_flight_are_refused_at_once(void **state)
{
    struct bench *b = *state;
    struct redis_conn_stats s;

    b->settings.in_flight_max = 3;
    go_up(b);
    assert_int_equal(get(b, 'a', 0, 0), REDIS_FAULT_NONE);
    assert_int_equal(get(b, 'b', 0, REDIS_ASKING), REDIS_FAULT_NONE);
    assert_int_equal(get(b, 'c', 0, 0), REDIS_FAULT_FULL);
    cancel(b, 'a'); /* a tombstone counts */
    assert_int_equal(get(b, 'c', 0, 0), REDIS_FAULT_FULL);
    hears(b, GET_K "*1\r\n$6\r\nASKING\r\n" GET_K);
    say(b, ":1\r\n");
    UNTIL(b, redis_conn_in_flight(b->conn) == 2);
    assert_int_equal(get(b, 'c', 0, REDIS_ASKING), REDIS_FAULT_FULL);
    assert_int_equal(get(b, 'c', 0, 0), REDIS_FAULT_NONE);
    say(b, "+OK\r\n:2\r\n:3\r\n");
    log_is(b, "b:2 c:3 ");
    redis_conn_stats(b->conn, &s);
    assert_int_equal(s.refused, 3);
}

static void too_many_bytes_are_refused_at_once(void **state)
{
    struct bench *b = *state;
    struct weir_blob *blob = weir_blob_new(1 << 20);
    struct redis_arg argv[] = {redis_arg_str("SET"), redis_arg_str("k"),
                               redis_arg_slice((struct weir_slice){blob, 0, 1 << 20})};
    enum redis_fault fault = REDIS_FAULT_NONE;
    struct redis_conn_stats s;
    int sent;

    memset(blob->bytes, 'x', 1 << 20);
    b->settings.queued_max_bytes = 2 << 20;
    go_up(b);
    for (sent = 0; sent < COMMANDS && fault == REDIS_FAULT_NONE; sent++) {
        b->calls[sent].cmd.done = on_done;
        b->calls[sent].cmd.deadline_ms = INT64_MAX;
        fault = redis_conn_submit(b->conn, &b->calls[sent].cmd, argv, 3, 0);
        turn(b); /* the kernel takes some, the server nothing */
    }
    assert_int_equal(fault, REDIS_FAULT_FULL);
    assert_true(sent > 1 && sent < COMMANDS);
    redis_conn_stats(b->conn, &s);
    assert_true(s.queued_bytes <= 2 << 20);
    /* Then the server reads on, and gets all of it. */
    for (uint64_t got = 0, all = redis_args_bytes(argv, 3) * (uint64_t)(sent - 1); got < all;) {
        static char sink[1 << 16];
        ssize_t n = -1;

        UNTIL(b, (n = recv(b->fd, sink, sizeof sink, 0)) >= 0);
        got += (uint64_t)n;
    }
    redis_conn_stats(b->conn, &s);
    assert_int_equal(s.queued_bytes, 0);
    assert_int_equal(atomic_load(&blob->refs), 1);
    weir_blob_unref(blob);
}

/* ---- cancelling and freeing ---- */

static void a_command_can_be_cancelled_in_every_state(void **state)
{
    struct bench *b = *state;

    cancel(b, 'a'); /* idle */
    new_conn(b);
    get(b, 'a', 3, 0);
    cancel(b, 'a'); /* before it is sent */
    cancel(b, 'a');
    accept_one(b);
    hears(b, HELLO);
    say(b, "+OK\r\n");
    hears(b, GET_K);
    get(b, 'b', 0, 0);
    get(b, 'c', 0, 0);
    hears(b, GET_K GET_K);
    cancel(b, 'b'); /* under way */
    say(b, ":1\r\n:2\r\n:3\r\n");
    log_is(b, "up c:3 ");
    get(b, 'd', 0, 0);
    get(b, 'e', 0, 0);
    free_conn(b);
    cancel(b, 'd'); /* completed, and not told yet */
    log_is(b, "e!closed ");
}

static void cancel_next(struct call *c)
{
    cancel(c->b, (char)(c->name + 1));
}

static void a_done_may_cancel_what_is_done_as_well(void **state)
{
    struct bench *b = *state;

    go_up(b);
    b->calls[0].then = cancel_next;
    get(b, 'a', 0, 0);
    get(b, 'b', 0, 0);
    get(b, 'c', 0, 0);
    hears(b, GET_K GET_K GET_K);
    say(b, ":1\r\n:2\r\n:3\r\n");
    log_is(b, "a:1 c:3 ");
}

static void get_next(struct call *c)
{
    get(c->b, (char)(c->name + 1), 0, 0);
}

static void free_there(struct call *c)
{
    free_conn(c->b);
}

static void a_done_may_ask_for_more_or_free_the_connection(void **state)
{
    struct bench *b = *state;

    go_up(b);
    b->calls[0].then = get_next;
    b->calls[2].then = free_there;
    get(b, 'a', 0, 0);
    get(b, 'c', 0, 0);
    hears(b, GET_K GET_K);
    say(b, ":1\r\n:2\r\n");
    log_is(b, "a:1 c:2 b!closed ");
    assert_null(b->conn);
}

static void free_up(struct bench *b)
{
    free_conn(b);
}

static void up_and_down_may_free_the_connection(void **state)
{
    struct bench *b = *state;

    b->on_up = free_up;
    new_conn(b);
    get(b, 'a', 0, 0);
    accept_one(b);
    hears(b, HELLO);
    say(b, "+OK\r\n");
    log_is(b, "up a!closed ");
    close(b->fd);
    b->on_up = NULL;
    b->on_down = free_up;
    go_up(b);
    get(b, 'a', 0, 0);
    close(b->fd);
    b->fd = -1;
    log_is(b, "down!closed a!closed ");
    assert_null(b->conn);
}

static void after_free_nothing_of_the_connection_is_called(void **state)
{
    struct bench *b = *state;

    new_conn(b);
    get(b, 'a', 0, 0);
    free_conn(b);
    log_is(b, "a!connect ");
    new_conn(b);
    accept_one(b);
    b->fd = (close(b->fd), -1);
    accept_one(b);
    hears(b, HELLO);
    say(b, "+OK\r\n");
    UNTIL(b, redis_conn_state(b->conn) == REDIS_UP || b->log.len > 0);
    clear(b);
    get(b, 'a', 0, 0);
    hears(b, GET_K);
    say(b, ":1\r\n");
    shutdown(b->fd, SHUT_WR);
    free_conn(b);
    log_is(b, "a!closed ");
}

static void the_loop_may_go_with_completions_pending(void **state)
{
    struct bench *b = *state;

    go_up(b);
    get(b, 'a', 0, 0);
    free_conn(b);
    redis_loop_free(b->loop);
    assert_true(redis_command_idle(&b->calls[0].cmd));
    b->loop = redis_loop_new(b->base, NULL);
    turn(b);
    assert_string_equal(b->log.text, "");
}

/* ---- subscribers ---- */

static void what_is_published_is_pushed(void **state)
{
    struct bench *b = *state;
    struct redis_arg argv[] = {redis_arg_str("SSUBSCRIBE"), redis_arg_str("c")};

    b->to.subscriber = true;
    b->settings.ping_interval_ms = 30;
    new_conn(b);
    assert_int_equal(redis_conn_send(b->conn, argv, 2), REDIS_FAULT_NONE);
    accept_one(b);
    hears(b, HELLO);
    say(b, "+OK\r\n");
    hears(b, "*2\r\n$10\r\nSSUBSCRIBE\r\n$1\r\nc\r\n");
    say(b, "*3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$"
           "2\r\nhi\r\n");
    log_is(b, "up push[$ssubscribe $c :1 ]push[$smessage $c $hi ]");
    hears(b, "*1\r\n$4\r\nPING\r\n");
    say(b, "*2\r\n$4\r\npong\r\n$0\r\n\r\n-MOVED 1 a:1\r\n");
    log_is(b, "push-MOVED 1 a:1 ");
    hears(b, "*1\r\n$4\r\nPING\r\n"); /* and the answer to the first one was heard */
    b->on_push = free_up;
    say(b, "*3\r\n$12\r\nsunsubscribe\r\n$1\r\nc\r\n:0\r\n*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$"
           "2\r\nhi\r\n");
    log_is(b, "push[$sunsubscribe $c :0 ]");
    assert_null(b->conn);
}

#ifdef WEIR_FAULTS
/* A whole life: connect, a small and a large command, replies, the end. */
static void live(struct bench *b)
{
    struct weir_blob *blob = weir_blob_new(5000);
    struct redis_arg argv[] = {redis_arg_str("SET"), redis_arg_str("k"), {.text = {"", 0}}};
    struct call *c = &b->calls[1];

    if (blob != NULL)
        argv[2] = redis_arg_slice((struct weir_slice){blob, 0, 5000});
    c->cmd.done = on_done;
    c->cmd.deadline_ms = INT64_MAX;
    if (new_conn(b) != NULL) {
        get(b, 'a', 0, 0);
        if (redis_conn_submit(b->conn, &c->cmd, argv, 3, 0) != REDIS_FAULT_NONE)
            note(b, "b!refused ");
        accept_one(b);
        say(b, "+OK\r\n:1\r\n$2\r\nxy\r\n");
        while (redis_conn_state(b->conn) != REDIS_DOWN && redis_conn_in_flight(b->conn) > 0)
            turn(b);
        free_conn(b);
        turn(b);
        close(b->fd);
        b->fd = -1;
    }
    weir_blob_unref(blob);
}

static void memory_that_fails_ends_a_command_or_the_connection(void **state)
{
    struct bench *b = *state;
    bool untouched = false;

    for (unsigned long n = 1; !untouched; n++) {
        clear(b);
        weir_alloc_fail_at(n);
        live(b);
        untouched = !weir_alloc_failed();
        weir_alloc_fail_at(0);
        for (int i = 0; i < 2; i++)
            assert_true(redis_command_idle(&b->calls[i].cmd));
        if (untouched)
            assert_true(logged(b, "a:1 b$xy "));
    }
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies_come_in_the_order_of_the_commands),
        TEST(commands_may_be_given_before_the_connection_is_up),
        TEST(a_reply_may_come_byte_by_byte),
        TEST(a_large_reply_is_received_in_its_blob),
        TEST(a_large_argument_is_sent_from_its_blob),
        TEST(commands_of_one_turn_go_out_together),
        TEST(asking_stands_right_before_its_command),
        TEST(authentication_comes_before_everything),
        TEST(a_refused_password_is_named),
        TEST(a_missing_password_is_named),
        TEST(a_connection_too_many_is_no_matter_of_passwords),
        TEST(nothing_listens_there),
        TEST(a_name_of_the_hosts_file_is_found),
        TEST(a_name_that_is_none_fails),
        TEST(who_accepts_and_never_answers_is_left),
        TEST(a_command_that_times_out_keeps_its_place),
        TEST(deadlines_are_kept_to_the_millisecond),
        TEST(three_time_outs_in_a_row_close_the_connection),
        TEST(time_outs_of_one_pause_are_one),
        TEST(a_reply_ends_the_row_of_time_outs),
        TEST(a_redis_that_is_slow_but_speaks_is_kept),
        TEST(a_connection_that_is_out_of_step_is_left),
        TEST(a_connection_that_is_late_but_in_step_is_kept),
        TEST(a_silent_redis_is_left_even_if_nobody_waits),
        TEST(an_idle_connection_is_pinged),
        TEST(a_close_in_the_middle_of_a_reply_ends_all),
        TEST(garbage_ends_the_connection),
        TEST(a_reply_too_large_ends_the_connection),
        TEST(a_reply_that_nobody_asked_for_ends_the_connection),
        TEST(too_many_in_flight_are_refused_at_once),
        TEST(too_many_bytes_are_refused_at_once),
        TEST(a_command_can_be_cancelled_in_every_state),
        TEST(a_done_may_cancel_what_is_done_as_well),
        TEST(a_done_may_ask_for_more_or_free_the_connection),
        TEST(up_and_down_may_free_the_connection),
        TEST(after_free_nothing_of_the_connection_is_called),
        TEST(the_loop_may_go_with_completions_pending),
        TEST(what_is_published_is_pushed),
#ifdef WEIR_FAULTS
        TEST(memory_that_fails_ends_a_command_or_the_connection),
#endif
    };

#ifdef WEIR_FAULTS
    event_set_mem_functions(weir_malloc, weir_realloc, free);
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
