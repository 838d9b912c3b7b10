/*
 * fake_redis.h - for tests: scripted Redis nodes on the loop of the test itself.
 *
 * A rule is the beginning of a command, words joined by blanks, and what is answered to it, with
 * "\n" for CR LF. The newest rule that fits and has times left answers. Without one: PING, AUTH,
 * CLIENT, READONLY and ASKING are OK, CLUSTER SLOTS gives the node's map, SSUBSCRIBE and
 * SUNSUBSCRIBE are confirmed, and anything else gives the command itself, after the node's name:
 * "+a GET x". Of each node what it heard is kept.
 */
#ifndef FAKE_REDIS_H
#define FAKE_REDIS_H

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "redis_loop.h"
#include "redis_reply.h"

#define FAKE_RULES   64
#define FAKE_LINE    512
#define FAKE_HEARD   (1 << 16)
#define FAKE_CLIENTS 64

#define FAKE_SILENCE ((const char *)1) /* no answer, nor to anything after it from this client */
#define FAKE_CLOSE   ((const char *)2) /* closes the connection */

struct fake_rule {
    char command[FAKE_LINE];
    const char *answer;
    int times; /* left; -1: for ever */
    int used;
};

struct fake;

struct fake_client {
    struct fake *fake;
    struct bufferevent *bev;
    struct redis_reader *reader;
    bool silent;
    bool subscribed; /* sent an SSUBSCRIBE */
};

struct fake {
    struct event_base *base;
    const char *name;
    struct evconnlistener *listener;
    int port;
    struct fake_rule rules[FAKE_RULES];
    int rule_count;
    char slots[8192];       /* of CLUSTER SLOTS, as a rule has it */
    char heard[FAKE_HEARD]; /* commands, a line each */
    size_t heard_len;
    int accepted;
    struct fake_client *clients[FAKE_CLIENTS];
};

static inline void fake_rule(struct fake *f, const char *command, int times, const char *answer)
{
    struct fake_rule *r = &f->rules[f->rule_count++];

    assert(f->rule_count <= FAKE_RULES);
    snprintf(r->command, sizeof r->command, "%s", command);
    r->times = times;
    r->answer = answer > FAKE_CLOSE ? strdup(answer) : answer;
    r->used = 0;
}

static inline void fake_forget_rules(struct fake *f)
{
    for (int i = 0; i < f->rule_count; i++)
        if (f->rules[i].answer > FAKE_CLOSE)
            free((char *)(uintptr_t)f->rules[i].answer);
    f->rule_count = 0;
}

/* How many commands began with this. */
static inline int fake_heard(const struct fake *f, const char *command)
{
    int n = 0;

    for (const char *line = f->heard; *line != '\0'; line = strchr(line, '\n') + 1)
        n += strncmp(line, command, strlen(command)) == 0;
    return n;
}

static inline void fake_client_free(struct fake_client *c)
{
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (c->fake->clients[i] == c)
            c->fake->clients[i] = NULL;
    redis_reader_free(c->reader);
    bufferevent_free(c->bev);
    free(c);
}

static inline void fake_say(struct fake_client *c, const char *text)
{
    for (; *text != '\0'; text++)
        evbuffer_add(bufferevent_get_output(c->bev), *text == '\n' ? "\r\n" : text,
                     *text == '\n' ? 2 : 1);
}

static inline void fake_drop_clients(struct fake *f)
{
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (f->clients[i] != NULL)
            fake_client_free(f->clients[i]);
}

static inline const char *fake_usual(struct fake *f, const char *line, char *text, size_t size)
{
    static const char *const fine[] = {"AUTH", "CLIENT", "READONLY", "ASKING"};

    if (strncmp(line, "PING", 4) == 0)
        return "+PONG\n";
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (strncmp(line, fine[i], strlen(fine[i])) == 0)
            return "+OK\n";
    if (strncmp(line, "CLUSTER SLOTS", 13) == 0)
        return f->slots;
    if (strncmp(line, "SSUBSCRIBE ", 11) == 0 || strncmp(line, "SUNSUBSCRIBE ", 13) == 0) {
        const char *name = strchr(line, ' ') + 1;
        bool on = line[1] == 'S';

        snprintf(text, size, "*3\n$%d\n%s\n$%zu\n%s\n:1\n", on ? 10 : 12,
                 on ? "ssubscribe" : "sunsubscribe", strlen(name), name);
        return text;
    }
    snprintf(text, size, "+%s %s\n", f->name, line);
    return text;
}

/* false: the client is gone. */
static inline bool fake_answer(struct fake_client *c, const char *line)
{
    struct fake *f = c->fake;
    char text[2 * FAKE_LINE];
    const char *answer = NULL;

    if (f->heard_len + strlen(line) + 2 < FAKE_HEARD) /* a test that counts hears less than that */
        f->heard_len += (size_t)sprintf(f->heard + f->heard_len, "%s\n", line);
    for (int i = f->rule_count - 1; i >= 0 && answer == NULL; i--) {
        struct fake_rule *r = &f->rules[i];

        if (r->times == 0 || strncmp(line, r->command, strlen(r->command)) != 0)
            continue;
        r->times -= r->times > 0;
        r->used++;
        answer = r->answer;
    }
    if (answer == NULL)
        answer = fake_usual(f, line, text, sizeof text);
    if (answer == FAKE_CLOSE) {
        fake_client_free(c);
        return false;
    }
    c->subscribed |= strncmp(line, "SSUBSCRIBE ", 11) == 0;
    c->silent |= answer == FAKE_SILENCE;
    if (!c->silent)
        fake_say(c, answer);
    return true;
}

static inline void fake_line(const struct redis_reply *r, char *line, size_t size)
{
    size_t len = 0;

    line[0] = '\0';
    for (uint32_t i = 0; i < r->count && len < size - 1; i++) {
        int room = (int)(size - len - 2);
        int part = r->items[i].text.len < (size_t)room ? (int)r->items[i].text.len : room;

        len += (size_t)snprintf(line + len, size - len, "%s%.*s", i > 0 ? " " : "", part,
                                r->items[i].text.ptr);
    }
    for (char *c = line; *c != '\0'; c++)
        *c = *c == '\n' || *c == '\r' ? '_' : *c;
}

static inline void fake_read(struct bufferevent *bev, void *arg)
{
    struct fake_client *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    size_t len = evbuffer_get_length(in);
    char *bytes = malloc(len + 1);
    struct weir_span span = {bytes, len};
    struct redis_reply *reply;
    char line[FAKE_LINE];
    enum redis_read found = REDIS_READ_MORE;
    bool here = true;

    evbuffer_remove(in, bytes, len);
    while (here &&
           (found = redis_reader_next(c->reader, &span, &reply, NULL)) == REDIS_READ_REPLY) {
        fake_line(reply, line, sizeof line);
        redis_reply_unref(reply);
        here = fake_answer(c, line);
    }
    free(bytes);
    if (here && found != REDIS_READ_MORE)
        fake_client_free(c); /* without memory: an armed failure met us */
}

static inline void fake_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        fake_client_free(arg);
}

static inline void fake_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
                               int len, void *arg)
{
    const struct redis_limits limits = {1 << 24, 1 << 24};
    struct fake *f = arg;
    struct fake_client *c = calloc(1, sizeof *c);
    int i = 0;

    (void)l;
    (void)sa;
    (void)len;
    while (i < FAKE_CLIENTS && f->clients[i] != NULL)
        i++;
    assert(i < FAKE_CLIENTS);
    f->clients[i] = c;
    f->accepted++;
    c->fake = f;
    while ((c->reader = redis_reader_new(&limits)) == NULL)
        ; /* an armed failure (weir_alloc_fail_at) is not meant for us */
    c->bev = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(c->bev, fake_read, NULL, fake_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* port 0: a free one. Listens on 127.0.0.1, or on ::1. */
static inline void fake_listen(struct fake *f, bool v6)
{
    struct sockaddr_in v4_at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    struct sockaddr_in6 v6_at = {.sin6_family = AF_INET6,
                                 .sin6_port = htons((uint16_t)f->port),
                                 .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in6 got;
    socklen_t len = sizeof got;

    v4_at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->listener =
        evconnlistener_new_bind(f->base, fake_accept, f, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                64, v6 ? (struct sockaddr *)&v6_at : (struct sockaddr *)&v4_at,
                                v6 ? (int)sizeof v6_at : (int)sizeof v4_at);
    assert(f->listener != NULL);
    getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&got, &len);
    f->port = ntohs(got.sin6_port); /* at the same place in both */
}

static inline void fake_start(struct fake *f, struct event_base *base, const char *name)
{
    memset(f, 0, sizeof *f);
    f->base = base;
    f->name = name;
    snprintf(f->slots, sizeof f->slots, "*0\n");
    fake_listen(f, false);
}

/* Nobody is there any more: connections are refused, those that were there are closed. */
static inline void fake_vanish(struct fake *f)
{
    if (f->listener != NULL)
        evconnlistener_free(f->listener);
    f->listener = NULL;
    fake_drop_clients(f);
}

static inline void fake_return(struct fake *f)
{
    fake_listen(f, false);
}

static inline void fake_stop(struct fake *f)
{
    fake_vanish(f);
    fake_forget_rules(f);
}

#endif
