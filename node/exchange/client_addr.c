#include "client_addr.h"

#include <arpa/inet.h>
#include <string.h>

#include "netset.h"

#define LINES_MAX                                                                                  \
    16 /* the trusted proxies' own lines are the last ones; more before them are let be */

static bool trusted(const struct weir_exchange *x, const struct net_peer *p)
{
    union net_sockaddr sa;

    net_peer_sockaddr(p, &sa);
    return netset_has(x->site->site->trusted, &sa.any);
}

/* "192.0.2.7", "192.0.2.7:1234", "2001:db8::1", "[2001:db8::1]:1234". */
static bool parse_address(struct weir_span text, struct net_peer *out)
{
    char buf[INET6_ADDRSTRLEN];
    struct net_addr a = {0};
    const char *colon;

    if (text.len > 1 && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);

        if (end == NULL)
            return false;
        text = weir_span(text.ptr + 1, (size_t)(end - text.ptr) - 1);
    } else {
        colon = memchr(text.ptr, ':', text.len);
        if (colon != NULL &&
            memchr(colon + 1, ':', text.len - (size_t)(colon + 1 - text.ptr)) == NULL)
            text.len = (size_t)(colon - text.ptr); /* one colon: IPv4 with a port */
    }
    if (text.len == 0 || text.len >= sizeof buf)
        return false;
    memcpy(buf, text.ptr, text.len);
    buf[text.len] = '\0';
    if (inet_pton(AF_INET, buf, &a.sa.in.sin_addr) == 1)
        a.sa.in.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, buf, &a.sa.in6.sin6_addr) == 1)
        a.sa.in6.sin6_family = AF_INET6;
    else
        return false;
    net_peer_from(out, &a);
    return true;
}

/* Walks one line from its right end. True when the client was found, or the chain of trust ends. */
static bool walk_line(struct weir_exchange *x, struct weir_span line)
{
    while (line.len > 0) {
        size_t at = line.len;
        struct net_peer hop;

        while (at > 0 && line.ptr[at - 1] != ',')
            at--;
        if (!parse_address(weir_span_trim(weir_span(line.ptr + at, line.len - at)), &hop))
            return true; /* "unknown" or rubbish: what we know so far stands */
        x->client_addr = hop;
        if (!trusted(x, &hop))
            return true;
        line.len = at > 0 ? at - 1 : 0;
    }
    return false;
}

void client_addr_find(struct weir_exchange *x)
{
    const struct http_field *line;
    const struct http_field *lines[LINES_MAX]; /* the last ones, in a ring */
    unsigned n = 0, first;

    if (x->site->site->source.forward->trusted_count == 0)
        return;
    x->peer_trusted = trusted(x, x->peer);
    if (!x->peer_trusted)
        return;
    if (http_head_has(&x->req, HTTP_F_X_FORWARDED_PROTO) &&
        !http_head_repeats(&x->req, HTTP_F_X_FORWARDED_PROTO))
        x->secure = weir_span_ieq(http_head_value(&x->req, HTTP_F_X_FORWARDED_PROTO),
                                  WEIR_SPAN_LIT("https"));
    for (line = http_head_first(&x->req, HTTP_F_X_FORWARDED_FOR); line != NULL;
         line = http_head_next(&x->req, line))
        lines[n++ % LINES_MAX] = line;
    first = n > LINES_MAX ? n - LINES_MAX : 0;
    while (n > first)
        if (walk_line(x, lines[--n % LINES_MAX]->value))
            return;
}
