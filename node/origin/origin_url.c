#include "origin_url.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include "weir/arena.h"
#include "weir/span.h"

#define HTTP_PORT           80
#define HTTPS_PORT          443
#define WEIGHT_MAX          1000
#define MAX_CONNECTIONS_MAX 1000000
#define HOST_NAME_MAX_LEN   253 /* RFC 1035 2.3.4 less the root label */
#define LABEL_MAX_LEN       63
#define SHOWN_MAX           60 /* of a foreign word in an error detail */

static bool refuse(struct weir_err *err, struct weir_span word, const char *why)
{
    int len = (int)(word.len < SHOWN_MAX ? word.len : SHOWN_MAX);

    return weir_failf(err, WEIR_E_CONFIG, "origin: read", 0, "'%.*s': %s", len, word.ptr, why);
}

static bool keep(struct weir_arena *arena, struct weir_span word, const char **out,
                 struct weir_err *err)
{
    *out = weir_arena_dup(arena, word).ptr;
    return *out != NULL || weir_fail(err, WEIR_E_MEMORY, "origin: read", 0);
}

/* The next word of *rest, which it leaves after the word; empty at the end. */
static struct weir_span next_word(struct weir_span *rest)
{
    struct weir_span word;
    size_t from = 0, to;

    while (from < rest->len && (rest->ptr[from] == ' ' || rest->ptr[from] == '\t'))
        from++;
    for (to = from; to < rest->len && rest->ptr[to] != ' ' && rest->ptr[to] != '\t';)
        to++;
    word = weir_span(rest->ptr + from, to - from);
    *rest = weir_span(rest->ptr + to, rest->len - to);
    return word;
}

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (weir_ascii_lower(c) >= 'a' && weir_ascii_lower(c) <= 'z') ||
           c == '-' || c == '_';
}

/* Labels of letters, digits, '-' and '_' (container names have it); covers IPv4 literals. */
static bool is_host_name(struct weir_span host)
{
    size_t label = 0;

    if (host.len == 0 || host.len > HOST_NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == '.' && label == 0)
            return false;
        label = host.ptr[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX_LEN || (label > 0 && !is_name_char(host.ptr[i])))
            return false;
    }
    return true;
}

/* A last label of digits alone can only be meant as IPv4 (RFC 1123 2.1): then it has to be one. */
static bool looks_like_ipv4(struct weir_span host)
{
    size_t from = host.len;

    while (from > 0 && host.ptr[from - 1] != '.')
        from--;
    for (size_t i = from; i < host.len; i++)
        if (host.ptr[i] < '0' || host.ptr[i] > '9')
            return false;
    return from < host.len;
}

static bool is_address(int family, struct weir_span host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr any;

    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(family, text, &any) == 1;
}

static bool read_port(struct weir_span url, struct weir_span port, struct origin_settings *out,
                      struct weir_err *err)
{
    unsigned long long value;

    if (!weir_span_u64(port, UINT16_MAX, &value) || value == 0)
        return refuse(err, url, "the port is a number from 1 to 65535");
    out->port = (uint16_t)value;
    return true;
}

/* "host", "host:port", "[v6]" or "[v6]:port" -> host without brackets, port. */
static bool read_authority(struct weir_span url, struct weir_span text, struct weir_arena *arena,
                           struct origin_settings *out, struct weir_err *err)
{
    const bool bracketed = text.len > 0 && text.ptr[0] == '[';
    const char *end = memchr(text.ptr, bracketed ? ']' : ':', text.len);
    const size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
    struct weir_span host = weir_span(text.ptr + bracketed, len - bracketed);
    struct weir_span rest = weir_span(text.ptr + len, text.len - len);

    if (bracketed) {
        if (end == NULL || !is_address(AF_INET6, host))
            return refuse(err, url, "an IPv6 address is expected between [ and ]");
        rest = weir_span(rest.ptr + 1, rest.len - 1);
        if (rest.len > 0 && rest.ptr[0] != ':')
            return refuse(err, url, "only :port may follow the ]");
    } else if (!is_host_name(host) || (looks_like_ipv4(host) && !is_address(AF_INET, host))) {
        return refuse(err, url, "a host name or address is expected after the ://");
    }
    if (rest.len > 0 && !read_port(url, weir_span(rest.ptr + 1, rest.len - 1), out, err))
        return false;
    return keep(arena, host, &out->host, err);
}

static bool read_http(struct weir_span url, struct weir_span text, struct weir_arena *arena,
                      struct origin_settings *out, struct weir_err *err)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '/')
        text.len--;
    /* Said apart since both are common habits, copied from a browser or another proxy. */
    if (memchr(text.ptr, '@', text.len) != NULL)
        return refuse(err, url, "an origin has no user information");
    if (memchr(text.ptr, '/', text.len) != NULL || memchr(text.ptr, '?', text.len) != NULL)
        return refuse(err, url, "an origin has no path: rewrite paths in a route");
    out->port = out->tls ? HTTPS_PORT : HTTP_PORT;
    return read_authority(url, text, arena, out, err);
}

static bool read_unix(struct weir_span url, struct weir_span path, struct weir_arena *arena,
                      struct origin_settings *out, struct weir_err *err)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return refuse(err, url, "an absolute path is expected after unix:");
    if (path.len >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return refuse(err, url, "the path of a Unix socket has at most 107 bytes");
    return keep(arena, path, &out->unix_path, err);
}

/* True, and *rest set, if text starts with the prefix in any case. */
static bool after(struct weir_span text, struct weir_span prefix, struct weir_span *rest)
{
    if (text.len < prefix.len || !weir_span_ieq(weir_span(text.ptr, prefix.len), prefix))
        return false;
    *rest = weir_span(text.ptr + prefix.len, text.len - prefix.len);
    return true;
}

static bool read_url(struct weir_span url, struct weir_arena *arena, struct origin_settings *out,
                     struct weir_err *err)
{
    struct weir_span rest = WEIR_SPAN_NONE;

    if (url.len == 0)
        return weir_failf(err, WEIR_E_CONFIG, "origin: read", 0,
                          "empty: http://host:port or unix:/path is expected");
    if (!keep(arena, url, &out->url, err))
        return false;
    out->tls = after(url, WEIR_SPAN_LIT("https://"), &rest);
    out->h2c = !out->tls && after(url, WEIR_SPAN_LIT("h2c://"), &rest);
    if (out->tls || out->h2c || after(url, WEIR_SPAN_LIT("http://"), &rest))
        return read_http(url, rest, arena, out, err);
    if (after(url, WEIR_SPAN_LIT("unix:"), &rest))
        return read_unix(url, rest, arena, out, err);
    return refuse(err, url,
                  "http://host:port, https://host, h2c://host:port or unix:/path is expected");
}

static bool read_number(struct weir_span word, struct weir_span text, uint32_t max, uint32_t *out,
                        struct weir_err *err)
{
    unsigned long long value;

    if (!weir_span_u64(text, max, &value) || value == 0)
        return weir_failf(err, WEIR_E_CONFIG, "origin: read", 0,
                          "'%.*s': a number from 1 to %u is expected",
                          (int)(word.len < SHOWN_MAX ? word.len : SHOWN_MAX), word.ptr, max);
    *out = (uint32_t)value;
    return true;
}

/* 0 stands for "not given yet" in both numbers, since neither may be given as 0. */
static bool read_option(struct weir_span word, struct origin_settings *out, struct weir_err *err)
{
    struct weir_span value;
    bool again;

    if (after(word, WEIR_SPAN_LIT("weight="), &value)) {
        again = out->weight != 0;
        if (!read_number(word, value, WEIGHT_MAX, &out->weight, err))
            return false;
    } else if (after(word, WEIR_SPAN_LIT("max_connections="), &value)) {
        again = out->max_connections != 0;
        if (!read_number(word, value, MAX_CONNECTIONS_MAX, &out->max_connections, err))
            return false;
    } else if (weir_span_ieq(word, WEIR_SPAN_LIT("backup"))) {
        again = out->backup;
        out->backup = true;
    } else {
        return refuse(err, word, "unknown option: weight=, max_connections= or backup is expected");
    }
    return !again || refuse(err, word, "given twice");
}

bool origin_settings_parse(const char *text, struct weir_arena *arena, struct origin_settings *out,
                           struct weir_err *err)
{
    struct weir_span rest = weir_span_str(text);
    struct weir_span word;

    memset(out, 0, sizeof(*out));
    if (!read_url(next_word(&rest), arena, out, err))
        return false;
    for (word = next_word(&rest); word.len > 0; word = next_word(&rest))
        if (!read_option(word, out, err))
            return false;
    if (out->weight == 0)
        out->weight = 1;
    return true;
}
