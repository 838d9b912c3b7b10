#include "redis_conn.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "redis_format.h"
#include "redis_loop_own.h"
#include "redis_names.h"
#include "redis_settings.h"
#include "redis_wire.h"
#include "weir/alloc.h"
#include "weir/container.h"

#define WHY_MAX    256
#define CHECK_TEXT 24

/* What a reply is for, in the order the commands went out. */
struct place {
    struct redis_command *cmd; /* NULL: nobody waits for it (any more) */
    int64_t sent_us;
    bool abandoned; /* somebody did */
    uint32_t check; /* number of a check(); 0: none */
};

/* The commands of HELLO, in the order they are sent. */
enum step { STEP_AUTH, STEP_NAME, STEP_READONLY, STEP_PING, STEPS };

struct redis_conn {
    struct redis_loop *loop;
    const struct redis_settings *settings;
    const struct redis_conn_events *events; /* NULL once freed */
    void *arg;
    bool replica, subscriber, freed;
    enum redis_state state;
    char *host;
    uint16_t port;

    struct redis_lookup *lookup; /* NULL = none under way */
    struct redis_wire wire;
    struct redis_reader *reader;
    struct evbuffer *out;   /* commands; held back until UP */
    struct evbuffer *hello; /* AUTH and what follows it */
    enum step steps[STEPS]; /* whose replies are awaited in HELLO */
    unsigned step, step_count;

    struct place *line; /* a ring; places are counted on, line_mask + 1 is a power of two */
    uint32_t line_mask, first, last;
    unsigned abandoned;

    struct redis_timer timer; /* CONNECTING, HELLO: the deadline. UP: looks for silence */
    int64_t heard_us;         /* when bytes came last */
    int64_t ping_us;          /* a subscriber's PING without an answer; 0 = none */
    unsigned strikes;         /* time-outs in a row ... */
    int64_t strike_us;        /* ... the last one of them */
    bool doubted;             /* a command timed out since the last check() */
    uint32_t checks;          /* numbers given out */

    struct redis_later tell; /* events */
    bool tell_up, tell_down;
    enum redis_fault down_fault;
    char why[WHY_MAX];
    struct redis_later flush, bury;

    int64_t up_since_us, last_reply_us;
    uint32_t rtt_us;
    uint64_t commands, replies, timeouts, refused;
};

const char *redis_fault_name(enum redis_fault f)
{
    static const char *const names[] = {
        [REDIS_FAULT_NONE] = "none",         [REDIS_FAULT_TIMEOUT] = "timeout",
        [REDIS_FAULT_CLOSED] = "closed",     [REDIS_FAULT_CONNECT] = "connect",
        [REDIS_FAULT_TLS] = "tls",           [REDIS_FAULT_AUTH] = "auth",
        [REDIS_FAULT_PROTOCOL] = "protocol", [REDIS_FAULT_FULL] = "full",
        [REDIS_FAULT_MEMORY] = "memory",
    };

    return names[f];
}

bool redis_fault_unsent(enum redis_fault f)
{
    return f == REDIS_FAULT_CONNECT || f == REDIS_FAULT_TLS || f == REDIS_FAULT_AUTH ||
           f == REDIS_FAULT_FULL;
}

/* ---- the ends of a command ---- */

static void run_done(struct redis_later *l)
{
    struct redis_command *cmd = WEIR_CONTAINER(l, struct redis_command, later);
    struct redis_reply *reply = cmd->reply;

    cmd->reply = NULL;
    cmd->done(cmd, reply, cmd->fault);
    redis_reply_unref(reply);
}

/* Takes reply. cmd has left the line, or is about to. */
static void complete(struct redis_command *cmd, struct redis_reply *reply, enum redis_fault fault)
{
    redis_timer_stop(&cmd->timer);
    cmd->conn = NULL;
    cmd->reply = reply;
    cmd->fault = fault;
    cmd->later.run = run_done;
    redis_later(cmd->loop, &cmd->later);
}

static struct place *place_at(struct redis_conn *conn, uint32_t at)
{
    return &conn->line[at & conn->line_mask];
}

/* Its reply will come, or the end of the connection: until then its place is taken. */
static void abandon(struct redis_command *cmd)
{
    struct redis_conn *conn = cmd->conn;
    struct place *p = place_at(conn, cmd->place);

    p->cmd = NULL;
    p->abandoned = true;
    conn->abandoned++;
    cmd->conn = NULL;
}

void redis_command_cancel(struct redis_command *cmd)
{
    if (cmd->conn != NULL) {
        redis_timer_stop(&cmd->timer);
        abandon(cmd);
    } else if (cmd->later.at != NULL) {
        redis_later_cancel(cmd->loop, &cmd->later);
        redis_reply_unref(cmd->reply);
        cmd->reply = NULL;
    }
}

/* ---- going down ---- */

static void run_tell(struct redis_later *l)
{
    struct redis_conn *conn = WEIR_CONTAINER(l, struct redis_conn, tell);
    bool up = conn->tell_up && conn->state == REDIS_UP, down = conn->tell_down;

    conn->tell_up = conn->tell_down = false;
    if (up && conn->events->up != NULL)
        conn->events->up(conn, conn->arg);
    if (down && conn->events->down != NULL)
        conn->events->down(conn, conn->down_fault, conn->why, conn->arg);
}

/* Lets go of everything but the memory of the connection itself. */
static void shut(struct redis_conn *conn)
{
    redis_lookup_cancel(conn->lookup);
    conn->lookup = NULL;
    redis_timer_stop(&conn->timer);
    redis_wire_close(&conn->wire);
    redis_loop_take_back(conn->loop, REDIS_QUEUE_FLUSH, &conn->flush);
    evbuffer_drain(conn->out, evbuffer_get_length(conn->out));
}

static void complete_all(struct redis_conn *conn, enum redis_fault fault)
{
    for (; conn->first != conn->last; conn->first++) {
        struct place *p = place_at(conn, conn->first);

        if (p->cmd != NULL)
            complete(p->cmd, NULL, fault);
    }
    conn->abandoned = 0;
}

/* What happened to commands that never went out is not what happened to those that did. */
static enum redis_fault fault_of_commands(const struct redis_conn *conn, enum redis_fault fault)
{
    if (conn->up_since_us == 0)
        return redis_fault_unsent(fault) ? fault : REDIS_FAULT_CONNECT;
    return fault == REDIS_FAULT_PROTOCOL || fault == REDIS_FAULT_MEMORY ? fault
                                                                        : REDIS_FAULT_CLOSED;
}

static void go_down(struct redis_conn *conn, enum redis_fault fault, const char *why)
{
    if (conn->state == REDIS_DOWN)
        return;
    shut(conn);
    if (fault == REDIS_FAULT_CLOSED && conn->up_since_us == 0)
        fault = REDIS_FAULT_CONNECT;
    conn->down_fault = fault;
    snprintf(conn->why, sizeof conn->why, "%s", why);
    conn->tell_down = true;
    redis_later(conn->loop, &conn->tell);
    complete_all(conn, fault_of_commands(conn, fault));
    conn->state = REDIS_DOWN;
}

/* ---- time-outs and silence ---- */

/* Time-outs of commands that were on their way together are one: a pause of Redis must not close a
 * connection because it was busy. Nor must slowness, while anything comes. */
static void strike(struct redis_conn *conn, int64_t sent_us)
{
    char why[WHY_MAX];

    if (conn->heard_us > sent_us) {
        conn->strikes = 0;
        return;
    }
    if (conn->strikes > 0 && sent_us < conn->strike_us)
        return;
    conn->strikes++;
    conn->strike_us = redis_now_us();
    if (conn->strikes < conn->settings->timeouts_max)
        return;
    snprintf(why, sizeof why, "%u time-outs in a row", conn->strikes);
    go_down(conn, REDIS_FAULT_TIMEOUT, why);
}

static void on_deadline(struct redis_timer *t)
{
    struct redis_command *cmd = WEIR_CONTAINER(t, struct redis_command, timer);
    struct redis_conn *conn = cmd->conn;
    int64_t sent_us = place_at(conn, cmd->place)->sent_us;

    conn->timeouts++;
    conn->doubted = true;
    abandon(cmd);
    complete(cmd, NULL, REDIS_FAULT_TIMEOUT);
    if (conn->state == REDIS_UP)
        strike(conn, sent_us);
}

static void put_off_flush(struct redis_conn *conn)
{
    if (conn->state == REDIS_UP)
        redis_loop_put_off(conn->loop, REDIS_QUEUE_FLUSH, &conn->flush);
}

static void ping(struct redis_conn *conn, int64_t now_us)
{
    struct redis_arg argv[] = {redis_arg_str("PING")};

    if (!redis_format(conn->out, argv, 1))
        return; /* the next tick tries again */
    if (conn->subscriber)
        conn->ping_us = now_us;
    else
        *place_at(conn, conn->last++) = (struct place){.sent_us = now_us};
    put_off_flush(conn);
}

/*
 * Where a reply got lost on its way each one that comes is taken for that of the command before:
 * the connection is alive, and never gets better. So after a time-out it is asked for something
 * that nothing else answers.
 */
static struct weir_span check_text(uint32_t number, char text[CHECK_TEXT])
{
    return weir_span(text, (size_t)snprintf(text, CHECK_TEXT, "weir-%u", number));
}

static void check(struct redis_conn *conn, int64_t now_us)
{
    char text[CHECK_TEXT];
    uint32_t number = ++conn->checks == 0 ? ++conn->checks : conn->checks;
    struct redis_arg argv[] = {redis_arg_str("ECHO"), redis_arg(check_text(number, text))};

    if (conn->last - conn->first >= conn->settings->in_flight_max ||
        !redis_format(conn->out, argv, 2))
        return; /* the next tick tries again */
    conn->doubted = false;
    *place_at(conn, conn->last++) = (struct place){.sent_us = now_us, .check = number};
    put_off_flush(conn);
}

/* An error tells nothing: it may be that user's permissions. */
static bool in_step(const struct redis_reply *reply, uint32_t number)
{
    char text[CHECK_TEXT];
    struct weir_span said;

    return redis_reply_is_error(reply, NULL) ||
           (redis_reply_text(reply, &said) && weir_span_eq(said, check_text(number, text)));
}

/* Since when an answer is awaited; 0 = none is. */
static int64_t awaited_since_us(struct redis_conn *conn)
{
    if (conn->subscriber)
        return conn->ping_us;
    return conn->first != conn->last ? place_at(conn, conn->first)->sent_us : 0;
}

static void start_tick(struct redis_conn *conn, int64_t now_us)
{
    int64_t step_ms = conn->settings->silence_max_ms / 2, now_ms = now_us / 1000;

    if (step_ms > conn->settings->ping_interval_ms / 2)
        step_ms = conn->settings->ping_interval_ms / 2;
    if (step_ms > conn->settings->look_max_ms)
        step_ms = conn->settings->look_max_ms;
    if (step_ms < 1)
        step_ms = 1;
    /* On whole steps, so that all connections of a loop wake it together. */
    redis_timer_start(conn->loop, &conn->timer, (now_ms / step_ms + 1) * step_ms);
}

static void on_tick(struct redis_conn *conn)
{
    int64_t now_us = redis_now_us(), since_us = awaited_since_us(conn);
    int64_t quiet_us = now_us - (since_us > conn->heard_us ? since_us : conn->heard_us);

    if (since_us != 0 && quiet_us >= (int64_t)conn->settings->silence_max_ms * 1000) {
        go_down(conn, REDIS_FAULT_TIMEOUT, "no answer, nor anything else");
        return;
    }
    if (conn->doubted && !conn->subscriber)
        check(conn, now_us);
    else if (since_us == 0 && quiet_us >= (int64_t)conn->settings->ping_interval_ms * 1000)
        ping(conn, now_us);
    start_tick(conn, now_us);
}

static void on_timer(struct redis_timer *t)
{
    struct redis_conn *conn = WEIR_CONTAINER(t, struct redis_conn, timer);
    bool handshake = conn->state == REDIS_CONNECTING && conn->wire.bev != NULL;

    if (conn->state == REDIS_UP)
        on_tick(conn);
    else
        go_down(conn, handshake ? REDIS_FAULT_TLS : REDIS_FAULT_CONNECT,
                conn->state == REDIS_HELLO ? "no answer to AUTH or the first command in time"
                : conn->lookup != NULL     ? "the name did not resolve in time"
                : handshake                ? "no TLS handshake in time: does that port speak TLS?"
                                           : "no connection in time");
}

/* ---- hello ---- */

static bool add_step(struct redis_conn *conn, enum step step, const struct redis_arg *argv,
                     size_t argc)
{
    conn->steps[conn->step_count++] = step;
    return redis_format(conn->hello, argv, argc);
}

static bool write_hello(struct redis_conn *conn)
{
    const struct redis_settings *s = conn->settings;
    struct redis_arg auth[3] = {redis_arg_str("AUTH")};
    struct redis_arg name[3] = {redis_arg_str("CLIENT"), redis_arg_str("SETNAME")};
    struct redis_arg word;
    size_t n = 1;
    bool ok = true;

    if (s->password != NULL) {
        if (s->username != NULL && s->username[0] != '\0')
            auth[n++] = redis_arg_str(s->username);
        auth[n++] = redis_arg_str(s->password);
        ok = add_step(conn, STEP_AUTH, auth, n);
    }
    if (ok && s->client_name != NULL) {
        name[2] = redis_arg_str(s->client_name);
        ok = add_step(conn, STEP_NAME, name, 3);
    }
    if (ok && conn->replica) {
        word = redis_arg_str("READONLY");
        ok = add_step(conn, STEP_READONLY, &word, 1);
    }
    /* Whether Redis answers, and without a password, must be known before it is trusted. */
    if (ok && conn->step_count == 0) {
        word = redis_arg_str("PING");
        ok = add_step(conn, STEP_PING, &word, 1);
    }
    return ok;
}

static void on_open(void *arg)
{
    struct redis_conn *conn = arg;

    conn->state = REDIS_HELLO;
    if (!write_hello(conn))
        go_down(conn, REDIS_FAULT_MEMORY, "out of memory");
    else
        redis_wire_write(&conn->wire, conn->hello);
}

static void go_up(struct redis_conn *conn, int64_t now_us)
{
    conn->state = REDIS_UP;
    conn->up_since_us = now_us;
    /* Silence and time-outs count from here for what has waited. */
    for (uint32_t at = conn->first; at != conn->last; at++)
        place_at(conn, at)->sent_us = now_us;
    conn->tell_up = true;
    redis_later(conn->loop, &conn->tell);
    put_off_flush(conn);
    start_tick(conn, now_us);
}

/* Borrows reply. A name that may not be set, or a READONLY that a single Redis does not know, is no
 * reason to do without it. */
static void on_step(struct redis_conn *conn, const struct redis_reply *reply, int64_t now_us)
{
    enum step step = conn->steps[conn->step++];
    char text[WHY_MAX];

    if (redis_reply_is_error(reply, NULL)) {
        redis_reply_str(reply, text, sizeof text);
        if (redis_reply_is_error(reply, "NOAUTH") || redis_reply_is_error(reply, "WRONGPASS")) {
            go_down(conn, REDIS_FAULT_AUTH, text);
            return;
        }
        /* What Redis says before anything was asked, to a connection too many or to one from
         * elsewhere in protected mode. */
        if (strncmp(text, "ERR max number of clients", 25) == 0 ||
            redis_reply_is_error(reply, "DENIED")) {
            go_down(conn, REDIS_FAULT_CONNECT, text);
            return;
        }
        if (step == STEP_AUTH) {
            go_down(conn, REDIS_FAULT_AUTH, text);
            return;
        }
    }
    if (conn->step == conn->step_count)
        go_up(conn, now_us);
}

/* ---- replies ---- */

static bool is_push(const struct redis_reply *r)
{
    static const char *const words[] = {"message",     "smessage",     "pmessage",
                                        "subscribe",   "ssubscribe",   "psubscribe",
                                        "unsubscribe", "sunsubscribe", "punsubscribe"};
    struct weir_span word;

    if (redis_reply_is_error(r, NULL))
        return true;
    if (!redis_reply_text(redis_reply_at(r, 0), &word))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (weir_span_ieq(word, weir_span_str(words[i])))
            return true;
    return false;
}

/* Borrows reply. A push, or the answer to PING: +PONG, or ["pong", ""] while subscribed. */
static void on_subscriber_reply(struct redis_conn *conn, struct redis_reply *reply)
{
    if (!is_push(reply)) {
        conn->ping_us = 0;
        return;
    }
    if (conn->events->push != NULL)
        conn->events->push(conn, reply, conn->arg);
}

/* Takes reply. */
static void on_command_reply(struct redis_conn *conn, struct redis_reply *reply, int64_t now_us)
{
    struct place *p;

    if (conn->first == conn->last) {
        redis_reply_unref(reply);
        go_down(conn, REDIS_FAULT_PROTOCOL, "a reply that nobody asked for");
        return;
    }
    p = place_at(conn, conn->first++);
    conn->rtt_us = conn->rtt_us == 0
                       ? (uint32_t)(now_us - p->sent_us)
                       : conn->rtt_us + (uint32_t)((now_us - p->sent_us - conn->rtt_us) / 8);
    conn->strikes = 0;
    if (p->cmd != NULL) {
        complete(p->cmd, reply, REDIS_FAULT_NONE);
        return;
    }
    conn->abandoned -= p->abandoned;
    if (p->check != 0 && !in_step(reply, p->check))
        go_down(conn, REDIS_FAULT_PROTOCOL, "its answers are out of step");
    redis_reply_unref(reply);
}

/* Takes reply. */
static void on_reply(struct redis_conn *conn, struct redis_reply *reply, int64_t now_us)
{
    conn->replies++;
    conn->last_reply_us = now_us;
    if (conn->state == REDIS_UP && !conn->subscriber) {
        on_command_reply(conn, reply, now_us);
        return;
    }
    if (conn->state == REDIS_HELLO)
        on_step(conn, reply, now_us);
    else
        on_subscriber_reply(conn, reply);
    redis_reply_unref(reply);
}

static bool on_bytes(struct weir_span in, void *arg)
{
    struct redis_conn *conn = arg;
    int64_t now_us = redis_now_us();
    struct redis_reply *reply;
    struct weir_err err = {0};
    enum redis_read found;

    conn->heard_us = now_us;
    while ((found = redis_reader_next(conn->reader, &in, &reply, &err)) == REDIS_READ_REPLY) {
        on_reply(conn, reply, now_us);
        if (conn->state == REDIS_DOWN)
            return false;
    }
    if (found == REDIS_READ_MORE)
        return true;
    go_down(conn, found == REDIS_READ_BAD ? REDIS_FAULT_PROTOCOL : REDIS_FAULT_MEMORY,
            found == REDIS_READ_BAD ? err.detail : "out of memory");
    return false;
}

static void on_lost(enum redis_fault fault, const char *why, void *arg)
{
    struct redis_conn *conn = arg;

    if (conn->state != REDIS_HELLO || conn->replies > 0)
        go_down(conn, fault, why);
    /* In TLS 1.3 a server refuses our certificate, or that there is none, after our handshake. The
     * alert that says so may get lost in the reset of the connection. */
    else if (conn->wire.tls != NULL)
        go_down(conn, REDIS_FAULT_TLS,
                strncmp(why, "TLS: ", 5) == 0
                    ? why
                    : "closed before it answered anything: does it want a certificate?");
    /* A server that wants TLS takes our first command for a handshake, and leaves. */
    else
        go_down(conn, REDIS_FAULT_CONNECT,
                "closed before it answered anything: does that port want TLS?");
}

static const struct redis_wire_events wire_events = {.open = on_open,
                                                     .bytes = on_bytes,
                                                     .lost = on_lost};

/* ---- commands ---- */

static void run_flush(struct redis_later *l)
{
    struct redis_conn *conn = WEIR_CONTAINER(l, struct redis_conn, flush);

    redis_wire_write(&conn->wire, conn->out);
}

static size_t queued_bytes(const struct redis_conn *conn)
{
    return evbuffer_get_length(conn->out) + redis_wire_queued(&conn->wire);
}

/* Adds the command, and ASKING before it, or nothing. */
static enum redis_fault enqueue(struct redis_conn *conn, const struct redis_arg *argv, size_t argc,
                                bool asking)
{
    static const char asking_text[] = "*1\r\n$6\r\nASKING\r\n";

    if (conn->state == REDIS_DOWN)
        return REDIS_FAULT_CLOSED;
    if (queued_bytes(conn) + redis_args_bytes(argv, argc) > conn->settings->queued_max_bytes ||
        (!conn->subscriber &&
         conn->last - conn->first + 1 + asking > conn->settings->in_flight_max)) {
        conn->refused++;
        return REDIS_FAULT_FULL;
    }
    if (!asking)
        return redis_format(conn->out, argv, argc) ? REDIS_FAULT_NONE : REDIS_FAULT_MEMORY;
    if (evbuffer_add(conn->out, asking_text, sizeof asking_text - 1) != 0)
        return REDIS_FAULT_MEMORY;
    *place_at(conn, conn->last++) = (struct place){.sent_us = redis_now_us()};
    if (redis_format(conn->out, argv, argc))
        return REDIS_FAULT_NONE;
    /* ASKING goes alone, and does no harm: it holds for the next command, which the node answers
     * either way. */
    put_off_flush(conn);
    return REDIS_FAULT_MEMORY;
}

enum redis_fault redis_conn_submit(struct redis_conn *conn, struct redis_command *cmd,
                                   const struct redis_arg *argv, size_t argc, unsigned flags)
{
    enum redis_fault fault;

    assert(!conn->freed && !conn->subscriber && redis_command_idle(cmd));
    fault = enqueue(conn, argv, argc, (flags & REDIS_ASKING) != 0);
    if (fault != REDIS_FAULT_NONE)
        return fault;
    conn->commands++;
    cmd->conn = conn;
    cmd->loop = conn->loop;
    cmd->reply = NULL;
    cmd->place = conn->last;
    *place_at(conn, conn->last++) = (struct place){.cmd = cmd, .sent_us = redis_now_us()};
    if (cmd->deadline_ms != INT64_MAX) {
        cmd->timer.fire = on_deadline;
        redis_timer_start(conn->loop, &cmd->timer, cmd->deadline_ms);
    }
    put_off_flush(conn);
    return REDIS_FAULT_NONE;
}

enum redis_fault redis_conn_send(struct redis_conn *conn, const struct redis_arg *argv, size_t argc)
{
    enum redis_fault fault;

    assert(!conn->freed && conn->subscriber);
    fault = enqueue(conn, argv, argc, false);
    if (fault != REDIS_FAULT_NONE)
        return fault;
    conn->commands++;
    put_off_flush(conn);
    return REDIS_FAULT_NONE;
}

/* ---- beginning and end ---- */

static void on_found(const struct redis_sockaddr *found, unsigned count, const char *reason,
                     void *arg)
{
    struct redis_conn *conn = arg;
    char why[WHY_MAX];

    conn->lookup = NULL;
    if (count > 0) {
        redis_wire_connect(&conn->wire, found, count, conn->timer.due_ms);
        return;
    }
    snprintf(why, sizeof why, "%s: %s", conn->host, reason);
    go_down(conn, REDIS_FAULT_CONNECT, why);
}

static void release(struct redis_conn *conn)
{
    redis_reader_free(conn->reader);
    if (conn->out != NULL)
        evbuffer_free(conn->out);
    if (conn->hello != NULL)
        evbuffer_free(conn->hello);
    weir_free(conn->line);
    weir_free(conn->host);
    weir_free(conn);
}

static void run_bury(struct redis_later *l)
{
    release(WEIR_CONTAINER(l, struct redis_conn, bury));
}

/* Places for all commands in flight, and a PING. */
static bool make_line(struct redis_conn *conn)
{
    size_t size = 2;

    while (size < (size_t)conn->settings->in_flight_max + 1)
        size *= 2;
    conn->line = weir_calloc(size, sizeof *conn->line);
    conn->line_mask = (uint32_t)size - 1;
    return conn->line != NULL;
}

static bool make(struct redis_conn *conn, const char *host)
{
    const struct redis_settings *s = conn->settings;
    struct redis_limits limits = {s->bulk_max_bytes, s->reply_max_bytes};

    conn->host = weir_strndup(host, strlen(host));
    conn->reader = redis_reader_new(&limits);
    conn->out = evbuffer_new();
    conn->hello = evbuffer_new();
    return conn->host != NULL && conn->reader != NULL && conn->out != NULL && conn->hello != NULL &&
           make_line(conn);
}

struct redis_conn *redis_conn_new(struct redis_loop *loop, const struct redis_endpoint *to,
                                  const struct redis_conn_events *events, void *arg)
{
    struct redis_conn *conn = weir_calloc(1, sizeof *conn);

    if (conn == NULL)
        return NULL;
    conn->loop = loop;
    conn->settings = to->settings;
    conn->events = events;
    conn->arg = arg;
    conn->replica = to->replica;
    conn->subscriber = to->subscriber;
    conn->port = to->port;
    conn->tell.run = run_tell;
    conn->flush.run = run_flush;
    conn->bury.run = run_bury;
    conn->timer.fire = on_timer;
    if (!make(conn, to->host)) {
        release(conn);
        return NULL;
    }
    conn->wire = (struct redis_wire){.loop = loop,
                                     .events = &wire_events,
                                     .arg = conn,
                                     .reader = conn->reader,
                                     .tls = to->tls,
                                     .host = conn->host};
    redis_wire_init(&conn->wire);
    loop->connections++;
    redis_timer_start(loop, &conn->timer, redis_now_ms() + conn->settings->connect_timeout_ms);
    conn->lookup = redis_lookup_start(loop, conn->host, conn->port, on_found, conn);
    return conn;
}

void redis_conn_free(struct redis_conn *conn)
{
    if (conn == NULL)
        return;
    assert(!conn->freed);
    conn->freed = true;
    if (conn->state != REDIS_DOWN) {
        shut(conn);
        complete_all(conn, fault_of_commands(conn, REDIS_FAULT_CLOSED));
        conn->state = REDIS_DOWN;
    }
    conn->events = NULL;
    redis_later_cancel(conn->loop, &conn->tell);
    conn->loop->connections--;
    /* A caller up the stack may be reading from it. */
    redis_loop_put_off(conn->loop, REDIS_QUEUE_BURY, &conn->bury);
}

enum redis_state redis_conn_state(const struct redis_conn *conn)
{
    return conn->state;
}

unsigned redis_conn_in_flight(const struct redis_conn *conn)
{
    return conn->last - conn->first;
}

void redis_conn_stats(const struct redis_conn *conn, struct redis_conn_stats *out)
{
    const struct redis_wire *w = &conn->wire;

    *out = (struct redis_conn_stats){
        .state = conn->state,
        .up_since_ms = conn->up_since_us / 1000,
        .last_reply_ms = conn->last_reply_us / 1000,
        .rtt_us = conn->rtt_us,
        .in_flight = conn->last - conn->first,
        .abandoned = conn->abandoned,
        .strikes = conn->strikes,
        .queued_bytes = queued_bytes(conn),
        .commands = conn->commands,
        .replies = conn->replies,
        .timeouts = conn->timeouts,
        .refused = conn->refused,
        .bytes_in = w->bytes_in,
        .bytes_out = w->bytes_out,
    };
    if (w->count > 0)
        redis_sockaddr_str(&w->to[w->current], out->peer, sizeof out->peer);
}
