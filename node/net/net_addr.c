#include "net_addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir/span.h"

static bool parse_unix(const char *path, struct net_addr *out, struct weir_err *err)
{
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof out->sa.un.sun_path)
        return weir_failf(err, WEIR_E_CONFIG, "address: parse", 0,
                          "a Unix socket path has 1 to %zu bytes", sizeof out->sa.un.sun_path - 1);
    out->sa.un.sun_family = AF_UNIX;
    memcpy(out->sa.un.sun_path, path, len + 1);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return true;
}

static bool parse_ip(const char *host, size_t len, bool bracketed, uint16_t port,
                     struct net_addr *out)
{
    char text[INET6_ADDRSTRLEN];

    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    if (len == 0 || bracketed) {
        out->sa.in6.sin6_family = AF_INET6;
        out->sa.in6.sin6_port = htons(port);
        out->len = sizeof out->sa.in6;
        return len == 0 || inet_pton(AF_INET6, text, &out->sa.in6.sin6_addr) == 1;
    }
    out->sa.in.sin_family = AF_INET;
    out->sa.in.sin_port = htons(port);
    out->len = sizeof out->sa.in;
    return inet_pton(AF_INET, text, &out->sa.in.sin_addr) == 1;
}

bool net_addr_parse(const char *text, struct net_addr *out, struct weir_err *err)
{
    const char *colon = strrchr(text, ':');
    unsigned long long port = 0;
    const char *host = text;
    size_t len;
    bool bracketed;

    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out, err);
    if (colon == NULL || !weir_span_u64(weir_span_str(colon + 1), 65535, &port))
        goto bad;
    len = (size_t)(colon - text);
    bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (bracketed) {
        host++;
        len -= 2;
    }
    if ((bracketed && len == 0) || !parse_ip(host, len, bracketed, (uint16_t)port, out))
        goto bad;
    return true;
bad:
    return weir_failf(err, WEIR_E_CONFIG, "address: parse", 0,
                      "\"%s\" is not like 127.0.0.1:8080, [::1]:8080, :8080 or unix:/run/weir.sock",
                      text);
}

const char *net_addr_text(const struct net_addr *a, char buf[NET_TEXT_MAX])
{
    char ip[INET6_ADDRSTRLEN] = "?";

    switch (a->sa.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->sa.in.sin_addr, ip, sizeof ip);
        snprintf(buf, NET_TEXT_MAX, "%s:%u", ip, ntohs(a->sa.in.sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &a->sa.in6.sin6_addr, ip, sizeof ip);
        snprintf(buf, NET_TEXT_MAX, "[%s]:%u", ip, ntohs(a->sa.in6.sin6_port));
        break;
    case AF_UNIX:
        snprintf(buf, NET_TEXT_MAX, "unix:%s", a->sa.un.sun_path);
        break;
    default:
        snprintf(buf, NET_TEXT_MAX, "?");
    }
    return buf;
}

void net_peer_from(struct net_peer *p, const struct net_addr *a)
{
    memset(p, 0, sizeof *p);
    p->family = (uint8_t)a->sa.any.sa_family;
    if (p->family == AF_INET) {
        p->port = ntohs(a->sa.in.sin_port);
        memcpy(p->ip, &a->sa.in.sin_addr, 4);
    } else if (p->family == AF_INET6) {
        p->port = ntohs(a->sa.in6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&a->sa.in6.sin6_addr)) {
            p->family = AF_INET; /* one client, one name, whichever socket it came through */
            memcpy(p->ip, a->sa.in6.sin6_addr.s6_addr + 12, 4);
        } else {
            memcpy(p->ip, &a->sa.in6.sin6_addr, 16);
        }
    } else {
        p->family = AF_UNIX;
    }
}

/* Every forwarded request and every log line asks for this one: no format string. */
static size_t ipv4_text(const uint8_t ip[4], char *buf)
{
    char *at = buf;

    for (int i = 0; i < 4; i++) {
        unsigned n = ip[i];

        if (n >= 100)
            *at++ = (char)('0' + n / 100);
        if (n >= 10)
            *at++ = (char)('0' + n / 10 % 10);
        *at++ = (char)('0' + n % 10);
        *at++ = i < 3 ? '.' : '\0';
    }
    return (size_t)(at - buf) - 1;
}

size_t net_peer_text(const struct net_peer *p, char buf[NET_TEXT_MAX])
{
    if (p->family == AF_INET)
        return ipv4_text(p->ip, buf);
    if (p->family == AF_UNIX)
        memcpy(buf, "unix", 5);
    else if (inet_ntop(p->family, p->ip, buf, NET_TEXT_MAX) == NULL)
        memcpy(buf, "?", 2);
    return strlen(buf);
}

void net_peer_sockaddr(const struct net_peer *p, union net_sockaddr *out)
{
    memset(out, 0, sizeof *out);
    out->any.sa_family = p->family;
    if (p->family == AF_INET) {
        out->in.sin_port = htons(p->port);
        memcpy(&out->in.sin_addr, p->ip, 4);
    } else if (p->family == AF_INET6) {
        out->in6.sin6_port = htons(p->port);
        memcpy(&out->in6.sin6_addr, p->ip, 16);
    }
}
