/*
 * bare.c - the limit: as little as a server on epoll can do, to hold real ones against.
 *
 *     bench_bare answer PORT BODY_BYTES CACHE_CONTROL [COUNT_FILE]   also the origin of every
 * scenario bench_bare relay PORT ORIGIN_PORT
 *
 * answer: one prebuilt response for whatever ends in an empty line; one recv, one send. With the
 * request field "Connection: close" first in the head it closes after the response. COUNT_FILE, if
 * given, holds the number of responses as a 64-bit word. relay: one kept-alive connection to the
 * origin for each from a client, bytes passed on as they come. Both: one thread, loopback, requests
 * without content.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench_net.h"

#define EVENTS   256
#define HEAD_MAX 512

static void watch(int poll, int op, int fd, uint32_t events, void *data)
{
    struct epoll_event e = {.events = events, .data.ptr = data};

    if (epoll_ctl(poll, op, fd, &e) != 0)
        die("epoll_ctl");
}

static int loop_on(uint16_t port, int *poll)
{
    const int listener = listen_on(port);

    *poll = epoll_create1(EPOLL_CLOEXEC);
    if (*poll < 0)
        die("epoll_create1");
    watch(*poll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL); /* NULL stands for the listener */
    return listener;
}

/* --- answer --- */

struct answer {
    int poll, listener;
    char *bytes;
    size_t len;
    uint64_t *count;
};

struct visit {
    int fd;
    unsigned matched; /* bytes of CR LF CR LF seen at the end of what was read */
    uint64_t owed;    /* bytes of responses not sent yet */
    bool closing;
    bool blocked; /* waits for room, reads nothing */
};

static void build_answer(struct answer *a, size_t body, const char *cache_control)
{
    char date[64], head[HEAD_MAX];
    const time_t now = time(NULL);
    int len;

    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    len = snprintf(head, sizeof(head),
                   "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain\r\n"
                   "Content-Length: %zu\r\nCache-Control: %.200s\r\n\r\n",
                   date, body, cache_control);
    a->len = (size_t)len + body;
    a->bytes = malloc(a->len);
    if (a->bytes == NULL)
        die("malloc");
    memcpy(a->bytes, head, (size_t)len);
    for (size_t i = 0; i < body; i++)
        a->bytes[(size_t)len + i] = (char)('a' + i % 26);
}

static void count_in(struct answer *a, const char *path)
{
    static uint64_t unseen;
    const int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    a->count = &unseen;
    if (path == NULL)
        return;
    if (fd < 0 || ftruncate(fd, sizeof(*a->count)) != 0)
        die(path);
    a->count = mmap(NULL, sizeof(*a->count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (a->count == MAP_FAILED)
        die("mmap");
}

static void leave(struct visit *v)
{
    close(v->fd);
    free(v);
}

/* Sends what is owed; false if the visit is over. */
static bool pay(struct answer *a, struct visit *v)
{
    while (v->owed > 0) {
        const size_t now = (v->owed - 1) % a->len + 1; /* the rest of the current response */
        const long left = send_some(v->fd, a->bytes + a->len - now, now);

        if (left < 0)
            return false;
        v->owed -= now - (size_t)left;
        if (left > 0)
            break;
        ++*a->count;
    }
    if (v->blocked != (v->owed > 0)) {
        v->blocked = v->owed > 0;
        watch(a->poll, EPOLL_CTL_MOD, v->fd, v->blocked ? EPOLLOUT : EPOLLIN, v);
    }
    return v->owed > 0 || !v->closing;
}

static unsigned heads_ended(struct visit *v, const char *bytes, size_t len)
{
    unsigned heads = 0;

    for (size_t i = 0; i < len; i++) {
        const char due = v->matched % 2 == 0 ? '\r' : '\n';

        v->matched = bytes[i] == due ? v->matched + 1 : bytes[i] == '\r';
        if (v->matched == 4) {
            v->matched = 0;
            heads++;
        }
    }
    return heads;
}

/* False if the visit is over. */
static bool serve(struct answer *a, struct visit *v)
{
    static char buffer[65536];
    const ssize_t len = recv(v->fd, buffer, sizeof(buffer), 0);
    unsigned heads;

    if (len <= 0)
        return len < 0 && errno == EAGAIN;
    /* The usual whole request needs no scan: the limit should be a limit. */
    if (v->matched == 0 && len > 4 && len < 1024 && memcmp(buffer + len - 4, "\r\n\r\n", 4) == 0 &&
        memmem(buffer, (size_t)len - 4, "\r\n\r\n", 4) == NULL)
        heads = 1;
    else
        heads = heads_ended(v, buffer, (size_t)len);
    if (memmem(buffer, (size_t)len < 200 ? (size_t)len : 200, "Connection: close", 17) != NULL)
        v->closing = true;
    v->owed += heads * a->len;
    return pay(a, v);
}

static void welcome(struct answer *a)
{
    int fd;

    while ((fd = accept_from(a->listener)) >= 0) {
        struct visit *v = calloc(1, sizeof(*v));

        if (v == NULL)
            die("calloc");
        v->fd = fd;
        watch(a->poll, EPOLL_CTL_ADD, fd, EPOLLIN, v);
    }
}

static void answer(uint16_t port, size_t body, const char *cache_control, const char *count_file)
{
    struct answer a = {0};
    struct epoll_event events[EVENTS];

    build_answer(&a, body, cache_control);
    count_in(&a, count_file);
    a.listener = loop_on(port, &a.poll);
    for (;;) {
        const int n = epoll_wait(a.poll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            struct visit *v = events[i].data.ptr;

            if (v == NULL)
                welcome(&a);
            else if (!(v->blocked ? pay(&a, v) : serve(&a, v)))
                leave(v);
        }
    }
}

/* --- relay --- */

struct pair;

struct end {
    struct pair *pair;
    struct end *other;
    int fd;
    char *held; /* bytes for this end that found no room; the other end is not read meanwhile */
    size_t held_at, held_len;
};

struct pair {
    struct end ends[2];
    struct pair *next_dead;
    bool dead;
};

struct relay {
    int poll, listener;
    uint16_t origin;
    struct pair *dead; /* freed after the batch: it may hold an event of the other end */
};

static void end_pair(struct relay *r, struct pair *p)
{
    if (p->dead)
        return;
    p->dead = true;
    p->next_dead = r->dead;
    r->dead = p;
    for (int i = 0; i < 2; i++) {
        close(p->ends[i].fd);
        free(p->ends[i].held);
    }
}

static void bury(struct relay *r)
{
    while (r->dead != NULL) {
        struct pair *p = r->dead;

        r->dead = p->next_dead;
        free(p);
    }
}

/* What is left goes behind; the end it came from is not read until it has gone. */
static void hold(struct relay *r, struct end *to, const char *bytes, size_t len)
{
    to->held = malloc(len);
    if (to->held == NULL)
        die("malloc");
    memcpy(to->held, bytes, len);
    to->held_at = 0;
    to->held_len = len;
    watch(r->poll, EPOLL_CTL_MOD, to->fd, EPOLLIN | EPOLLOUT, to);
    watch(r->poll, EPOLL_CTL_MOD, to->other->fd, to->other->held != NULL ? EPOLLOUT : 0, to->other);
}

static bool pass_on(struct relay *r, struct end *from)
{
    static char buffer[65536];
    const ssize_t len = recv(from->fd, buffer, sizeof(buffer), 0);
    long left;

    if (len <= 0)
        return len < 0 && errno == EAGAIN;
    left = send_some(from->other->fd, buffer, (size_t)len);
    if (left > 0)
        hold(r, from->other, buffer + len - left, (size_t)left);
    return left >= 0;
}

static bool flush_held(struct relay *r, struct end *to)
{
    const long left = send_some(to->fd, to->held + to->held_at, to->held_len - to->held_at);

    if (left < 0)
        return false;
    to->held_at = to->held_len - (size_t)left;
    if (left > 0)
        return true;
    free(to->held);
    to->held = NULL;
    watch(r->poll, EPOLL_CTL_MOD, to->fd, to->other->held != NULL ? 0 : EPOLLIN, to);
    watch(r->poll, EPOLL_CTL_MOD, to->other->fd, EPOLLIN | (to->other->held != NULL ? EPOLLOUT : 0),
          to->other);
    return true;
}

static void join(struct relay *r)
{
    int fd;

    while ((fd = accept_from(r->listener)) >= 0) {
        struct pair *p = calloc(1, sizeof(*p));

        if (p == NULL)
            die("calloc");
        p->ends[0] = (struct end){.pair = p, .other = &p->ends[1], .fd = fd};
        p->ends[1] =
            (struct end){.pair = p, .other = &p->ends[0], .fd = connect_to(r->origin, true)};
        if (fcntl(p->ends[1].fd, F_SETFL, O_NONBLOCK) != 0)
            die("fcntl");
        for (int i = 0; i < 2; i++)
            watch(r->poll, EPOLL_CTL_ADD, p->ends[i].fd, EPOLLIN, &p->ends[i]);
    }
}

static void relay(uint16_t port, uint16_t origin)
{
    struct relay r = {.origin = origin};
    struct epoll_event events[EVENTS];

    r.listener = loop_on(port, &r.poll);
    for (;;) {
        const int n = epoll_wait(r.poll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            struct end *e = events[i].data.ptr;
            bool ok = true;

            if (e == NULL) {
                join(&r);
                continue;
            }
            if (e->pair->dead)
                continue;
            if (e->held != NULL && (events[i].events & EPOLLOUT) != 0)
                ok = flush_held(&r, e);
            if (ok && e->other->held == NULL && (events[i].events & ~EPOLLOUT) != 0)
                ok = pass_on(&r, e);
            else if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0)
                ok = false; /* reported even when nothing is asked for */
            if (!ok)
                end_pair(&r, e->pair);
        }
        bury(&r);
    }
}

int main(int argc, char **argv)
{
    const struct rlimit many = {65536, 65536};

    setrlimit(RLIMIT_NOFILE, &many); /* as root; else what the shell gave */
    if (argc >= 5 && argc <= 6 && strcmp(argv[1], "answer") == 0)
        answer((uint16_t)number(argv[2], UINT16_MAX, "port"), number(argv[3], 1UL << 30, "bytes"),
               argv[4], argc == 6 ? argv[5] : NULL);
    if (argc == 4 && strcmp(argv[1], "relay") == 0)
        relay((uint16_t)number(argv[2], UINT16_MAX, "port"),
              (uint16_t)number(argv[3], UINT16_MAX, "origin port"));
    fprintf(stderr, "usage: bench_bare answer PORT BODY_BYTES CACHE_CONTROL [COUNT_FILE]\n"
                    "       bench_bare relay PORT ORIGIN_PORT\n");
    return 2;
}
