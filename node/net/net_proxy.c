#include "net_proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define V1_MAX    107 /* with its CRLF; the longest that can be, says the document */
#define V2_FIXED  16
#define V2_LOCAL  0x20
#define V2_PROXY  0x21
#define V2_UNSPEC 0x00
#define V2_TCP4   0x11
#define V2_TCP6   0x21
#define V2_UNIX   0x31

static const char v1_start[6] = "PROXY ";
static const char v2_start[12] = "\r\n\r\n\0\r\nQUIT\n";

static enum net_proxy_result bad(struct weir_err *err, const char *why)
{
    weir_failf(err, WEIR_E_BAD_REQUEST, "PROXY header", 0, "%s", why);
    return NET_PROXY_BAD;
}

/* ---- version 1: one line ---- */

/* Takes the word up to the next space, or to the end. false: it is empty or too long. */
static bool take_word(const char **at, const char *end, char *word, size_t cap)
{
    const char *stop = memchr(*at, ' ', (size_t)(end - *at));
    size_t len = (size_t)((stop != NULL ? stop : end) - *at);

    if (len == 0 || len >= cap)
        return false;
    memcpy(word, *at, len);
    word[len] = '\0';
    *at += len + (stop != NULL);
    return true;
}

static bool take_address(const char **at, const char *end, int family, struct net_addr *a)
{
    char word[INET6_ADDRSTRLEN];

    memset(a, 0, sizeof *a);
    a->sa.any.sa_family = (sa_family_t)family;
    return take_word(at, end, word, sizeof word) &&
           inet_pton(family, word,
                     family == AF_INET ? (void *)&a->sa.in.sin_addr
                                       : (void *)&a->sa.in6.sin6_addr) == 1;
}

static bool take_port(const char **at, const char *end, struct net_addr *a)
{
    char word[6];
    unsigned port = 0;

    if (!take_word(at, end, word, sizeof word) || (word[0] == '0' && word[1] != '\0'))
        return false;
    for (const char *c = word; *c != '\0'; c++) {
        if (*c < '0' || *c > '9')
            return false;
        port = port * 10 + (unsigned)(*c - '0');
    }
    if (port > 65535)
        return false;
    if (a->sa.any.sa_family == AF_INET)
        a->sa.in.sin_port = htons((uint16_t)port);
    else
        a->sa.in6.sin6_port = htons((uint16_t)port);
    return true;
}

/* The line without its CRLF, behind "PROXY ". */
static enum net_proxy_result read_line(const char *at, const char *end, struct net_proxy *p,
                                       struct weir_err *err)
{
    char family[8];
    struct net_addr from, to;
    int which;

    if (!take_word(&at, end, family, sizeof family))
        return bad(err, "no family");
    if (strcmp(family, "UNKNOWN") == 0)
        return NET_PROXY_DONE; /* whatever follows is to be ignored */
    if (strcmp(family, "TCP4") == 0)
        which = AF_INET;
    else if (strcmp(family, "TCP6") == 0)
        which = AF_INET6;
    else
        return bad(err, "unknown family");
    if (!take_address(&at, end, which, &from) || !take_address(&at, end, which, &to))
        return bad(err, "invalid address");
    if (!take_port(&at, end, &from) || end[-1] == ' ' || !take_port(&at, end, &to) || at != end ||
        end[-1] == ' ')
        return bad(err, "invalid port");
    net_peer_from(&p->from, &from);
    net_peer_from(&p->to, &to);
    p->known = true;
    return NET_PROXY_DONE;
}

static enum net_proxy_result parse_v1(const char *bytes, size_t len, struct net_proxy *p,
                                      struct weir_err *err)
{
    size_t n = len < V1_MAX ? len : V1_MAX;

    for (size_t i = sizeof v1_start; i < n; i++) {
        if (bytes[i] == '\n')
            return bad(err, "a line without CR");
        if (bytes[i] != '\r')
            continue;
        if (i + 1 == n)
            return n < V1_MAX ? NET_PROXY_MORE : bad(err, "too long");
        if (bytes[i + 1] != '\n')
            return bad(err, "CR without LF");
        p->bytes = (uint32_t)i + 2;
        return read_line(bytes + sizeof v1_start, bytes + i, p, err);
    }
    return n < V1_MAX ? NET_PROXY_MORE : bad(err, "too long");
}

/* ---- version 2: bytes ---- */

static void read_v2_addresses(const unsigned char *at, int family, struct net_proxy *p)
{
    struct net_addr from, to;

    memset(&from, 0, sizeof from);
    memset(&to, 0, sizeof to);
    from.sa.any.sa_family = to.sa.any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        memcpy(&from.sa.in.sin_addr, at, 4);
        memcpy(&to.sa.in.sin_addr, at + 4, 4);
        memcpy(&from.sa.in.sin_port, at + 8, 2);
        memcpy(&to.sa.in.sin_port, at + 10, 2);
    } else if (family == AF_INET6) {
        memcpy(&from.sa.in6.sin6_addr, at, 16);
        memcpy(&to.sa.in6.sin6_addr, at + 16, 16);
        memcpy(&from.sa.in6.sin6_port, at + 32, 2);
        memcpy(&to.sa.in6.sin6_port, at + 34, 2);
    }
    net_peer_from(&p->from, &from);
    net_peer_from(&p->to, &to);
    p->known = true;
}

static enum net_proxy_result parse_v2(const unsigned char *bytes, size_t len, struct net_proxy *p,
                                      struct weir_err *err)
{
    size_t announced, needed;
    int family;

    if (len >= 13 && bytes[12] != V2_LOCAL && bytes[12] != V2_PROXY)
        return bad(err, "unknown version or command");
    if (len < V2_FIXED)
        return NET_PROXY_MORE;
    announced = (size_t)bytes[14] << 8 | bytes[15];
    p->bytes = (uint32_t)(V2_FIXED + announced);
    if (bytes[12] == V2_LOCAL || bytes[13] == V2_UNSPEC)
        return NET_PROXY_DONE; /* all else is to be ignored */
    switch (bytes[13]) {
    case V2_TCP4:
        family = AF_INET;
        needed = 12;
        break;
    case V2_TCP6:
        family = AF_INET6;
        needed = 36;
        break;
    case V2_UNIX:
        family = AF_UNIX;
        needed = 216;
        break;
    default:
        return bad(err, "not a stream of a known family");
    }
    if (announced < needed)
        return bad(err, "too short for its addresses");
    if (len < V2_FIXED + needed)
        return NET_PROXY_MORE;
    read_v2_addresses(bytes + V2_FIXED, family, p);
    return NET_PROXY_DONE;
}

enum net_proxy_result net_proxy_parse(const void *bytes, size_t len, struct net_proxy *p,
                                      struct weir_err *err)
{
    const char *text = bytes;

    memset(p, 0, sizeof *p);
    if (len == 0)
        return NET_PROXY_MORE;
    if (memcmp(text, v2_start, len < sizeof v2_start ? len : sizeof v2_start) == 0)
        return len < sizeof v2_start ? NET_PROXY_MORE : parse_v2(bytes, len, p, err);
    if (memcmp(text, v1_start, len < sizeof v1_start ? len : sizeof v1_start) == 0)
        return len < sizeof v1_start ? NET_PROXY_MORE : parse_v1(text, len, p, err);
    return bad(err, "there is none");
}

/* ---- writing ---- */

static bool has_address(const struct net_peer *p)
{
    return p != NULL && (p->family == AF_INET || p->family == AF_INET6);
}

static void ip6_of(const struct net_peer *p, uint8_t out[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (p->family == AF_INET6) {
        memcpy(out, p->ip, 16);
    } else {
        memcpy(out, mapped, 12);
        memcpy(out + 12, p->ip, 4);
    }
}

size_t net_proxy_write_v1(char buf[NET_PROXY_OUT_MAX], const struct net_peer *from,
                          const struct net_peer *to)
{
    char from_text[INET6_ADDRSTRLEN], to_text[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    bool v4;

    if (!has_address(from) || !has_address(to))
        return (size_t)snprintf(buf, NET_PROXY_OUT_MAX, "PROXY UNKNOWN\r\n");
    v4 = from->family == AF_INET && to->family == AF_INET;
    if (v4) {
        inet_ntop(AF_INET, from->ip, from_text, sizeof from_text);
        inet_ntop(AF_INET, to->ip, to_text, sizeof to_text);
    } else {
        ip6_of(from, ip);
        inet_ntop(AF_INET6, ip, from_text, sizeof from_text);
        ip6_of(to, ip);
        inet_ntop(AF_INET6, ip, to_text, sizeof to_text);
    }
    return (size_t)snprintf(buf, NET_PROXY_OUT_MAX, "PROXY %s %s %s %u %u\r\n",
                            v4 ? "TCP4" : "TCP6", from_text, to_text, from->port, to->port);
}

static void put_port(char *at, uint16_t port)
{
    at[0] = (char)(port >> 8);
    at[1] = (char)(port & 0xff);
}

size_t net_proxy_write_v2(char buf[NET_PROXY_OUT_MAX], const struct net_peer *from,
                          const struct net_peer *to)
{
    uint8_t *ip = (uint8_t *)buf + V2_FIXED;

    memcpy(buf, v2_start, sizeof v2_start);
    memset(buf + sizeof v2_start, 0, V2_FIXED - sizeof v2_start);
    if (!has_address(from) || !has_address(to)) {
        buf[12] = V2_LOCAL;
        return V2_FIXED;
    }
    buf[12] = V2_PROXY;
    if (from->family == AF_INET && to->family == AF_INET) {
        buf[13] = V2_TCP4;
        buf[15] = 12;
        memcpy(ip, from->ip, 4);
        memcpy(ip + 4, to->ip, 4);
    } else {
        buf[13] = V2_TCP6;
        buf[15] = 36;
        ip6_of(from, ip);
        ip6_of(to, ip + 16);
    }
    put_port(buf + V2_FIXED + buf[15] - 4, from->port);
    put_port(buf + V2_FIXED + buf[15] - 2, to->port);
    return V2_FIXED + (size_t)buf[15];
}
