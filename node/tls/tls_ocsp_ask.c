#include "tls_ocsp_ask.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "tls_ocsp.h"

#define HEAD_MAX 8192
#define LOOK_MS  100 /* whether to give up */

struct place {
    char host[256], port[8], path[1024];
};

static bool why_not(char why[96], const char *what)
{
    snprintf(why, 96, "%s", what);
    return false;
}

static bool copy(char *out, size_t room, const char *from, size_t len)
{
    if (len >= room || memchr(from, '\0', len) != NULL)
        return false;
    for (size_t i = 0; i < len; i++)
        if (from[i] <= ' ' || from[i] == 0x7f) /* it goes into the head */
            return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return true;
}

static bool split(struct weir_span url, struct place *p)
{
    static const char scheme[] = "http://";
    size_t at = sizeof scheme - 1, host, colon;

    if (url.len < at || !weir_span_ieq(weir_span(url.ptr, at), weir_span_str(scheme)))
        return false;
    for (host = at; host < url.len && url.ptr[host] != '/'; host++)
        ;
    for (colon = host; colon > at && url.ptr[colon - 1] != ':' && url.ptr[colon - 1] != ']';)
        colon--;
    if (colon > at && url.ptr[colon - 1] == ':') {
        if (!copy(p->port, sizeof p->port, url.ptr + colon, host - colon))
            return false;
        colon--;
    } else {
        strcpy(p->port, "80");
        colon = host;
    }
    if (host < url.len ? !copy(p->path, sizeof p->path, url.ptr + host, url.len - host)
                       : !copy(p->path, sizeof p->path, "/", 1))
        return false;
    return copy(p->host, sizeof p->host, url.ptr + at, colon - at) && p->host[0] != '\0';
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct until {
    int64_t ms;
    const atomic_bool *stop;
};

/* false: the deadline has passed, or nobody wants to know any more. */
static bool wait_for(int fd, short events, const struct until *until)
{
    struct pollfd p = {fd, events, 0};
    int64_t left;

    while ((left = until->ms - now_ms()) > 0 && !atomic_load(until->stop)) {
        int n = poll(&p, 1, left < LOOK_MS ? (int)left : LOOK_MS);

        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}

static int connect_to(const struct addrinfo *a, const struct until *until)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    socklen_t size = sizeof error;

    if (fd < 0)
        return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && wait_for(fd, POLLOUT, until) &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
        return fd;
    close(fd);
    return -1;
}

static int reach(const struct place *p, const struct until *until)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char host[256];
    size_t len = strlen(p->host);
    int fd = -1;

    snprintf(host, sizeof host, "%s", p->host);
    if (host[0] == '[' && host[len - 1] == ']') {
        memmove(host, host + 1, len - 2);
        host[len - 2] = '\0';
    }
    if (getaddrinfo(host, p->port, &hints, &list) != 0)
        return -1;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_to(a, until);
    freeaddrinfo(list);
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t len, const struct until *until)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN ? !wait_for(fd, POLLOUT, until) : n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return true;
}

/* To the end. false: too late, too long, or broken off. */
static bool read_all(int fd, char *out, size_t room, size_t *len, const struct until *until)
{
    *len = 0;
    while (*len < room && wait_for(fd, POLLIN, until)) {
        ssize_t n = recv(fd, out + *len, room - *len, 0);

        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (n > 0)
            *len += (size_t)n;
    }
    return false;
}

/* Of the head, which ends with the line end of its last line; -1: there is none; -2: malformed. */
static long long announced_in(struct weir_span head)
{
    static const char name[] = "content-length:";
    const size_t name_len = sizeof name - 1;
    unsigned long long value;

    while (head.len > 0) {
        const char *end = memmem(head.ptr, head.len, "\r\n", 2);
        struct weir_span line = weir_span(head.ptr, end != NULL ? (size_t)(end - head.ptr) : 0);

        if (end == NULL)
            break;
        if (line.len > name_len &&
            weir_span_ieq(weir_span(line.ptr, name_len), weir_span_str(name)))
            return weir_span_u64(weir_span_trim(
                                     weir_span(line.ptr + name_len, line.len - name_len)),
                                 TLS_OCSP_MAX, &value)
                       ? (long long)value
                       : -2;
        head.ptr += line.len + 2;
        head.len -= line.len + 2;
    }
    return -1;
}

bool tls_ocsp_content(struct weir_span response, struct weir_span *content, char why[96])
{
    const char *end = memmem(response.ptr, response.len, "\r\n\r\n", 4);
    long long announced;
    size_t head;

    if (end == NULL || !weir_span_starts(response, WEIR_SPAN_LIT("HTTP/1.")))
        return why_not(why, "the responder does not answer in HTTP");
    head = (size_t)(end - response.ptr) + 2;
    if (head < 14 || memcmp(response.ptr + 8, " 200", 4) != 0) {
        snprintf(why, 96, "the responder answers with status %.3s",
                 head < 14 ? "" : response.ptr + 9);
        return false;
    }
    *content = weir_span(end + 4, response.len - head - 2);
    announced = announced_in(weir_span(response.ptr, head));
    if (announced == -2 || announced > (long long)content->len)
        return why_not(why, "the response is not whole");
    if (announced >= 0)
        content->len = (size_t)announced;
    return content->len > 0 || why_not(why, "the response is empty");
}

static bool talk(int fd, const struct place *p, struct weir_span request, const struct until *until,
                 char *room, size_t *got)
{
    char head[2048];
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/ocsp-request\r\n"
                       "Accept: application/ocsp-response\r\nContent-Length: %zu\r\n\r\n",
                       p->path, p->host, request.len);

    return len < (int)sizeof head && send_all(fd, head, (size_t)len, until) &&
           send_all(fd, request.ptr, request.len, until) &&
           read_all(fd, room, TLS_OCSP_MAX + HEAD_MAX, got, until);
}

bool tls_ocsp_ask(struct weir_span url, struct weir_span request,
                  const struct tls_ocsp_patience *patience, unsigned char *out, size_t *len,
                  char why[96])
{
    const struct until until = {now_ms() + patience->timeout_ms, patience->stop};
    struct weir_span content;
    struct place p;
    char *room;
    size_t got;
    bool ok;
    int fd;

    if (!split(url, &p))
        return why_not(why, "the responder's URL is not one of http");
    fd = reach(&p, &until);
    if (fd < 0)
        return why_not(why, "the responder cannot be reached");
    room = weir_malloc(TLS_OCSP_MAX + HEAD_MAX);
    ok = room != NULL && talk(fd, &p, request, &until, room, &got);
    close(fd);
    if (!ok)
        why_not(why, room == NULL ? "out of memory" : "the responder does not answer in time");
    else
        ok = tls_ocsp_content(weir_span(room, got), &content, why);
    if (ok && content.len > TLS_OCSP_MAX)
        ok = why_not(why, "the response is too long");
    if (ok)
        memcpy(out, content.ptr, *len = content.len);
    weir_free(room);
    return ok;
}
