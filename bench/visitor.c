/*
 * visitor.c - the load that wrk cannot make.
 *
 *     bench_visitor churn PORT PATH SECONDS AT_ONCE    a new connection for every request
 *     bench_visitor idle PORT PATH CONNECTIONS         one request on each, then silence until
 * standard input ends
 *
 * churn asks with "Connection: close" and waits for the server to close, so that no client port is
 * left in TIME_WAIT (wrk closes first and runs out of ports). It prints one line of JSON: requests,
 * errors, seconds and latency from connect to the end, in microseconds. idle prints "ready N" when
 * all have been answered.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_net.h"

#define EVENTS     256
#define BUFFER     65536
#define US_MAX     1000000 /* latencies beyond a second are counted as one */
#define IDLE_BATCH 200     /* connections that wait for an answer at a time */

struct visitor {
    int poll;
    uint16_t port;
    char request[512];
    size_t request_len;
    uint64_t requests, errors;
    uint32_t *latency; /* count by microsecond */
};

struct visit {
    int fd;
    bool sent;
    bool ok; /* the status line says 200 */
    int64_t began_ns;
    size_t got;
    size_t due; /* idle: bytes of the whole response, 0 while its head is not whole */
    char head[2048];
};

static void watch(struct visitor *w, struct visit *v, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = v};

    if (epoll_ctl(w->poll, op, v->fd, &e) != 0)
        die("epoll_ctl");
}

static void begin(struct visitor *w, struct visit *v)
{
    memset(v, 0, sizeof(*v));
    v->began_ns = now_ns();
    v->fd = connect_to(w->port, false);
    watch(w, v, EPOLL_CTL_ADD, EPOLLOUT);
}

/* The connection stands: ask. False if it does not. */
static bool ask(struct visitor *w, struct visit *v)
{
    if (send_some(v->fd, w->request, w->request_len) != 0)
        return false;
    v->sent = true;
    watch(w, v, EPOLL_CTL_MOD, EPOLLIN);
    return true;
}

/* Bytes read, 0 at the end, -1 when there is nothing now, -2 when it failed. Keeps the start as the
 * head. */
static ssize_t take(struct visit *v)
{
    static char buffer[BUFFER];
    const ssize_t len = recv(v->fd, buffer, sizeof(buffer), 0);

    if (len < 0)
        return errno == EAGAIN ? -1 : -2;
    if (v->got < sizeof(v->head) - 1) {
        const size_t room = sizeof(v->head) - 1 - v->got;

        memcpy(v->head + v->got, buffer, (size_t)len < room ? (size_t)len : room);
    }
    v->got += (size_t)len;
    v->ok = v->got > 12 && memcmp(v->head + 8, " 200", 4) == 0;
    return len;
}

static uint64_t percentile(const struct visitor *w, double part)
{
    const double goal = (double)w->requests * part;
    uint64_t seen = 0;

    for (uint32_t us = 0; us < US_MAX; us++)
        if ((double)(seen += w->latency[us]) >= goal)
            return us;
    return US_MAX;
}

static void ended(struct visitor *w, struct visit *v, bool whole)
{
    const int64_t us = (now_ns() - v->began_ns) / 1000;

    close(v->fd);
    if (whole && v->ok) {
        w->requests++;
        w->latency[us < US_MAX ? us : US_MAX - 1]++;
    } else {
        w->errors++;
    }
}

static void churn_one(struct visitor *w, struct visit *v)
{
    ssize_t len;

    if (!v->sent) {
        if (ask(w, v))
            return;
        ended(w, v, false);
    } else {
        while ((len = take(v)) > 0)
            ;
        if (len == -1)
            return;
        ended(w, v, len == 0);
    }
    begin(w, v);
}

static void churn(struct visitor *w, unsigned long seconds, unsigned long at_once)
{
    struct visit *visits = calloc(at_once, sizeof(*visits));
    struct epoll_event events[EVENTS];
    const int64_t began = now_ns(), end = began + (int64_t)seconds * 1000000000;
    int64_t now;

    w->latency = calloc(US_MAX, sizeof(*w->latency));
    if (visits == NULL || w->latency == NULL)
        die("calloc");
    for (unsigned long i = 0; i < at_once; i++)
        begin(w, &visits[i]);
    while ((now = now_ns()) < end) {
        const int n = epoll_wait(w->poll, events, EVENTS, 100);

        for (int i = 0; i < n; i++)
            churn_one(w, events[i].data.ptr);
    }
    printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"p50_us\": %llu, "
           "\"p99_us\": %llu}\n",
           (unsigned long long)w->requests, (unsigned long long)w->errors,
           (double)(now - began) / 1e9, (unsigned long long)percentile(w, 0.5),
           (unsigned long long)percentile(w, 0.99));
}

/* 0 while the head is not whole. */
static size_t whole_length(const struct visit *v)
{
    const char *end = strstr(v->head, "\r\n\r\n");
    const char *line = v->head;

    if (end == NULL)
        return 0;
    for (; line < end; line = strstr(line, "\r\n") + 2)
        if (strncasecmp(line, "content-length:", 15) == 0)
            return (size_t)(end + 4 - v->head) + strtoul(line + 15, NULL, 10);
    fprintf(stderr, "idle: a response without Content-Length\n");
    exit(1);
}

/* True when this connection has its answer. */
static bool idle_one(struct visitor *w, struct visit *v)
{
    ssize_t len;

    if (!v->sent) {
        if (!ask(w, v))
            die("send");
        return false;
    }
    while ((len = take(v)) > 0)
        ;
    if (v->due == 0)
        v->due = whole_length(v);
    if (v->due > 0 && v->got == v->due && v->ok) {
        if (epoll_ctl(w->poll, EPOLL_CTL_DEL, v->fd, NULL) != 0)
            die("epoll_ctl");
        return true;
    }
    if (len != -1) {
        fprintf(stderr, "idle: connection closed: %.100s\n", v->head);
        exit(1);
    }
    return false;
}

static void idle(struct visitor *w, unsigned long connections)
{
    struct visit *visits = calloc(connections, sizeof(*visits));
    struct epoll_event events[EVENTS];
    unsigned long begun = 0, answered = 0;
    char byte;

    if (visits == NULL)
        die("calloc");
    while (answered < connections) {
        int n;

        while (begun < connections && begun - answered < IDLE_BATCH)
            begin(w, &visits[begun++]);
        n = epoll_wait(w->poll, events, EVENTS, 10000);
        if (n <= 0) {
            fprintf(stderr, "idle: no answer for 10 s after %lu\n", answered);
            exit(1);
        }
        for (int i = 0; i < n; i++)
            answered += idle_one(w, events[i].data.ptr);
    }
    printf("ready %lu\n", answered);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

int main(int argc, char **argv)
{
    const struct rlimit many = {65536, 65536};
    struct visitor w = {0};
    const bool churns = argc == 6 && strcmp(argv[1], "churn") == 0;

    if (!churns && !(argc == 5 && strcmp(argv[1], "idle") == 0)) {
        fprintf(stderr, "usage: bench_visitor churn PORT PATH SECONDS AT_ONCE\n"
                        "       bench_visitor idle PORT PATH CONNECTIONS\n");
        return 2;
    }
    setrlimit(RLIMIT_NOFILE, &many);
    w.poll = epoll_create1(EPOLL_CLOEXEC);
    w.port = (uint16_t)number(argv[2], UINT16_MAX, "port");
    w.request_len = (size_t)snprintf(w.request, sizeof(w.request),
                                     "GET %.200s HTTP/1.1\r\n%sHost: 127.0.0.1:%s\r\n\r\n", argv[3],
                                     churns ? "Connection: close\r\n" : "", argv[2]);
    if (churns)
        churn(&w, number(argv[4], 3600, "seconds"), number(argv[5], 10000, "at once"));
    else
        idle(&w, number(argv[4], 50000, "connections"));
    return 0;
}
