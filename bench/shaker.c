/*
 * shaker.c - the load under TLS that wrk and h2load cannot make. TLS 1.3 alone.
 *
 *     bench_shaker full PORT PATH SECONDS AT_ONCE      a full handshake for every request
 *     bench_shaker resumed PORT PATH SECONDS AT_ONCE   each with the newest ticket
 *     bench_shaker idle PORT PATH CONNECTIONS          one request on each, then silence until
 * standard input ends
 *
 * Each of AT_ONCE threads makes one connection after the other, waiting for it: simple, and the
 * server has enough to do. The first two print one line of JSON as bench_visitor does, and how many
 * handshakes were resumed. idle prints "ready N" when all have been answered. No certificate is
 * verified.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench_net.h"

#define AT_ONCE_MAX 256
#define US_MAX      1000000 /* latencies beyond a second are counted as one */
#define ANSWER_S    10

struct load {
    SSL_CTX *tls;
    uint16_t port;
    char request[512];
    int request_len;
    bool resumes;
    int64_t end_ns;
};

struct shaker {
    const struct load *load;
    pthread_t thread;
    SSL_SESSION *ticket;
    uint64_t requests, errors, resumed;
    uint32_t *latency; /* count by microsecond */
};

static void die_tls(const char *what)
{
    fprintf(stderr, "%s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static SSL *shake(const struct load *l, SSL_SESSION *ticket)
{
    const struct timeval limit = {ANSWER_S, 0};
    const int fd = connect_to(l->port, true);
    SSL *ssl = SSL_new(l->tls);

    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        die_tls("SSL_new");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (ticket != NULL) { /* a copy, for OpenSSL uses each but once */
        SSL_SESSION *copy = SSL_SESSION_dup(ticket);

        SSL_set_session(ssl, copy);
        SSL_SESSION_free(copy);
    }
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             (void *)(uintptr_t) "localhost");
    if (SSL_connect(ssl) == 1 && SSL_write(ssl, l->request, l->request_len) == l->request_len)
        return ssl;
    ERR_clear_error();
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static void hang_up(SSL *ssl)
{
    const int fd = SSL_get_fd(ssl);

    ERR_clear_error();
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN); /* else OpenSSL takes the ticket for spoilt */
    SSL_free(ssl);
    close(fd);
}

/* The end of the response in `head`, 0 while it is not known. */
static size_t whole_length(const char *head)
{
    const char *end = strstr(head, "\r\n\r\n");
    const char *line = head;

    if (end == NULL)
        return 0;
    for (; line < end; line = strstr(line, "\r\n") + 2)
        if (strncasecmp(line, "content-length:", 15) == 0)
            return (size_t)(end + 4 - head) + strtoul(line + 15, NULL, 10);
    return 0;
}

/* Reads one response; true: a whole one with status 200. */
static bool answered(SSL *ssl)
{
    char buffer[32768];
    size_t got = 0, due = 0;
    bool ok = false;
    int n;

    while ((n = SSL_read(ssl, buffer + (due > 0 ? 0 : got),
                         (int)(sizeof buffer - 1 - (due > 0 ? 0 : got)))) > 0) {
        got += (size_t)n;
        if (due == 0) {
            buffer[got] = '\0';
            due = whole_length(buffer);
            ok = due > 0 && memcmp(buffer + 8, " 200", 4) == 0;
        }
        if (due > 0 && got >= due)
            return ok && got == due;
    }
    return false;
}

/* The newest, if one came with the response. */
static void keep_ticket(struct shaker *s, SSL *ssl)
{
    SSL_SESSION *got = SSL_get1_session(ssl);

    if (got == NULL || !SSL_SESSION_is_resumable(got)) {
        SSL_SESSION_free(got);
        return;
    }
    SSL_SESSION_free(s->ticket);
    s->ticket = got;
}

static void one(struct shaker *s)
{
    const int64_t began = now_ns();
    SSL *ssl = shake(s->load, s->ticket);
    int64_t us;

    if (ssl == NULL || !answered(ssl)) {
        s->errors++;
        if (ssl != NULL)
            hang_up(ssl);
        return;
    }
    us = (now_ns() - began) / 1000;
    s->requests++;
    s->resumed += SSL_session_reused(ssl) == 1;
    s->latency[us < US_MAX ? us : US_MAX - 1]++;
    if (s->load->resumes)
        keep_ticket(s, ssl);
    hang_up(ssl);
}

static void *run(void *arg)
{
    struct shaker *s = arg;

    while (now_ns() < s->load->end_ns)
        one(s);
    SSL_SESSION_free(s->ticket);
    return NULL;
}

static uint64_t percentile(const struct shaker *all, unsigned long count, uint64_t total,
                           double part)
{
    uint64_t seen = 0;

    for (uint32_t us = 0; us < US_MAX; us++) {
        for (unsigned long i = 0; i < count; i++)
            seen += all[i].latency[us];
        if ((double)seen >= (double)total * part)
            return us;
    }
    return US_MAX;
}

static void handshakes(struct load *l, unsigned long seconds, unsigned long at_once)
{
    static struct shaker all[AT_ONCE_MAX];
    const int64_t began = now_ns();
    uint64_t requests = 0, errors = 0, resumed = 0;

    l->end_ns = began + (int64_t)seconds * 1000000000;
    for (unsigned long i = 0; i < at_once; i++) {
        all[i].load = l;
        all[i].latency = calloc(US_MAX, sizeof(*all[i].latency));
        if (all[i].latency == NULL || pthread_create(&all[i].thread, NULL, run, &all[i]) != 0)
            die("thread");
    }
    for (unsigned long i = 0; i < at_once; i++) {
        pthread_join(all[i].thread, NULL);
        requests += all[i].requests;
        errors += all[i].errors;
        resumed += all[i].resumed;
    }
    printf("{\"requests\": %llu, \"errors\": %llu, \"resumed\": %llu, \"seconds\": %.6f, "
           "\"p50_us\": %llu, \"p99_us\": %llu}\n",
           (unsigned long long)requests, (unsigned long long)errors, (unsigned long long)resumed,
           (double)(now_ns() - began) / 1e9,
           (unsigned long long)percentile(all, at_once, requests, 0.5),
           (unsigned long long)percentile(all, at_once, requests, 0.99));
}

static void idle(const struct load *l, unsigned long connections)
{
    char byte;

    for (unsigned long i = 0; i < connections; i++) {
        SSL *ssl = shake(l, NULL);

        if (ssl == NULL || !answered(ssl)) {
            fprintf(stderr, "idle: no answer on connection %lu\n", i);
            exit(1);
        } /* kept, and never looked at again */
    }
    printf("ready %lu\n", connections);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    _exit(0);
}

static SSL_CTX *client(void)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

    if (tls == NULL || SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1)
        die_tls("SSL_CTX_new");
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    return tls;
}

int main(int argc, char **argv)
{
    const struct rlimit many = {65536, 65536};
    const bool idles = argc == 5 && strcmp(argv[1], "idle") == 0;
    const bool full = argc == 6 && strcmp(argv[1], "full") == 0;
    struct load l = {.resumes = argc == 6 && strcmp(argv[1], "resumed") == 0};

    if (!idles && !full && !l.resumes) {
        fprintf(stderr, "usage: bench_shaker full|resumed PORT PATH SECONDS AT_ONCE\n"
                        "       bench_shaker idle PORT PATH CONNECTIONS\n");
        return 2;
    }
    setrlimit(RLIMIT_NOFILE, &many);
    l.tls = client();
    l.port = (uint16_t)number(argv[2], UINT16_MAX, "port");
    l.request_len = snprintf(l.request, sizeof l.request,
                             "GET %.200s HTTP/1.1\r\nHost: localhost:%s\r\n\r\n", argv[3], argv[2]);
    if (idles)
        idle(&l, number(argv[4], 50000, "connections"));
    else
        handshakes(&l, number(argv[4], 3600, "seconds"), number(argv[5], AT_ONCE_MAX, "at once"));
    return 0;
}
