#include "ctl_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "ctl_find.h"
#include "redis_settings.h"
#include "redis_tls.h"
#include "weir/address.h"

#define TIMEOUT_S 10
#define HOST_MAX  256

static const char where[] = "weirctl: node";

/* ---- TCP ---- */

struct url {
    bool tls;
    char host[HOST_MAX], port[8];
};

/* A node takes plain HTTP on loopback addresses alone, and elsewhere a token has no business in it.
 */
static bool may_be_plain(const char *host)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, host, &v4) == 1) /* and not a name that begins like one */
        return ntohl(v4.s_addr) >> 24 == 127;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

static bool split_url(const char *text, struct url *out, struct weir_err *err)
{
    static const struct weir_span https = WEIR_SPAN_LIT("https://"),
                                  http = WEIR_SPAN_LIT("http://");
    struct weir_span rest = weir_span_str(text), name, number;
    size_t scheme;

    out->tls = weir_span_starts(rest, https);
    scheme = out->tls ? https.len : http.len;
    if (!out->tls && !weir_span_starts(rest, http))
        return weir_failf(err, WEIR_E_CONFIG, where, 0, "%.100s: not https://host:port", text);
    rest = weir_span(rest.ptr + scheme, rest.len - scheme);
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    if (!weir_address_split(rest, &name, &number) || number.len == 0 || number.len > 5 ||
        name.len == 0 || name.len >= HOST_MAX)
        return weir_failf(err, WEIR_E_CONFIG, where, 0, "%.100s: not https://host:port", text);
    snprintf(out->host, HOST_MAX, "%.*s", (int)name.len, name.ptr);
    snprintf(out->port, sizeof out->port, "%.*s", (int)number.len, number.ptr);
    if (!out->tls && !may_be_plain(out->host))
        return weir_failf(err, WEIR_E_CONFIG, where, 0,
                          "%.100s: without TLS only to this host: https://host:port", text);
    return true;
}

static int try_address(const struct addrinfo *a)
{
    struct timeval timeout = {TIMEOUT_S, 0};
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    int keep;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout); /* of connect() too */
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    keep = errno == EINPROGRESS ? ETIMEDOUT : errno;
    close(fd);
    errno = keep;
    return -1;
}

static int connect_host(const char *host, const char *port, struct weir_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
    int trouble = getaddrinfo(host, port, &hints, &list), fd = -1;

    if (trouble != 0) {
        weir_failf(err, WEIR_E_FILE, where, 0, "%.80s: %s", host, gai_strerror(trouble));
        return -1;
    }
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = try_address(a);
    if (fd < 0)
        weir_failf(err, WEIR_E_FILE, where, errno, "%.80s:%s", host, port);
    freeaddrinfo(list);
    return fd;
}

/* ---- TLS ---- */

static bool tls_failed(const struct ctl_link *l, const char *host, struct weir_err *err)
{
    long verified = l->ssl != NULL ? SSL_get_verify_result(l->ssl) : X509_V_OK;
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    if (verified != X509_V_OK)
        reason = X509_verify_cert_error_string(verified);
    else if (reason == NULL)
        reason = errno == EAGAIN ? "no answer" : "it closes the connection";
    ERR_clear_error();
    return weir_failf(err, WEIR_E_FILE, where, 0, "%.60s: TLS: %.80s", host, reason);
}

static bool shake_hands(struct ctl_link *l, const struct ctl_place *p, const char *host,
                        struct weir_err *err)
{
    struct redis_tls_settings s = {.on = true,
                                   .ca_file = p->ca_file,
                                   .cert_file = p->cert_file,
                                   .key_file = p->key_file,
                                   .server_name = p->server_name};

    l->tls = redis_tls_new(&s, err);
    if (l->tls == NULL) {
        err->where = where; /* the same as toward Redis, but this is a node */
        return false;
    }
    l->ssl = redis_tls_session(l->tls, host);
    errno = 0;
    if (l->ssl == NULL || SSL_set_fd(l->ssl, l->fd) != 1 || SSL_connect(l->ssl) != 1)
        return tls_failed(l, host, err);
    return true;
}

static bool read_token(struct ctl_link *l, const char *file, struct weir_err *err)
{
    struct weir_err why = {0};

    if (!weir_secret_read(&l->token, file, &why))
        return weir_failf(err, why.code, where, why.os, "%.80s: %.60s", file, why.detail);
    if (strpbrk(l->token.bytes, "\r\n") != NULL || strlen(l->token.bytes) != l->token.len)
        return weir_failf(err, WEIR_E_CONFIG, where, 0, "%.80s: no token of one line", file);
    return true;
}

static bool open_url(struct ctl_link *l, const struct ctl_place *p, struct weir_err *err)
{
    struct url to;

    if ((p->token_file != NULL && !read_token(l, p->token_file, err)) ||
        !split_url(p->url, &to, err))
        return false;
    l->fd = connect_host(to.host, to.port, err);
    return l->fd >= 0 && (!to.tls || shake_hands(l, p, to.host, err));
}

bool ctl_link_open(struct ctl_link *l, const struct ctl_place *p, struct weir_err *err)
{
    char path[WEIR_ADMIN_PATH_MAX];

    *l = (struct ctl_link){.fd = -1};
    if (p->url == NULL)
        l->fd = ctl_connect(p->socket, path, err);
    if (p->url == NULL ? l->fd >= 0 : open_url(l, p, err)) {
        const struct timeval patience = {TIMEOUT_S + p->patience_s, 0};

        setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return true;
    }
    ctl_link_close(l);
    return false;
}

void ctl_link_close(struct ctl_link *l)
{
    SSL_free(l->ssl);
    redis_tls_free(l->tls);
    if (l->fd >= 0)
        close(l->fd);
    weir_secret_clear(&l->token);
    *l = (struct ctl_link){.fd = -1};
}

/* ---- bytes ---- */

static ssize_t send_some(struct ctl_link *l, const char *bytes, size_t len)
{
    if (l->ssl == NULL)
        return send(l->fd, bytes, len, MSG_NOSIGNAL);
    return SSL_write(l->ssl, bytes, len > 16384 ? 16384 : (int)len);
}

bool ctl_link_send(struct ctl_link *l, const char *bytes, size_t len, struct weir_err *err)
{
    while (len > 0) {
        ssize_t n = send_some(l, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return weir_fail(err, WEIR_E_FILE, where, errno);
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* What ends without TLS's own word for it is told by the message's length. */
static ssize_t receive_tls(struct ctl_link *l, char *bytes, size_t room)
{
    int n = SSL_read(l->ssl, bytes, room > 65536 ? 65536 : (int)room);
    int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(l->ssl, n);

    ERR_clear_error();
    if (n > 0)
        return n;
    return why == SSL_ERROR_ZERO_RETURN || why == SSL_ERROR_SSL ||
                   (why == SSL_ERROR_SYSCALL && errno == 0)
               ? 0
               : -1;
}

ssize_t ctl_link_receive(struct ctl_link *l, char *bytes, size_t room, struct weir_err *err)
{
    ssize_t n;

    do {
        errno = 0;
        n = l->ssl != NULL ? receive_tls(l, bytes, room) : recv(l->fd, bytes, room, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        weir_fail(err, WEIR_E_FILE, where, errno);
    return n;
}
