#include "http_target.h"

#include <arpa/inet.h>

#include "http_char.h"

static const char where_target[] = "http: request target";
static const char where_host[] = "http: host";

#define HOST_MAX       255
#define PORT_DIGITS    5
#define HTTP_PORT_DEF  80
#define HTTPS_PORT_DEF 443

/* ---- host[:port] ---- */

static bool bad_host(struct weir_err *err, const char *what)
{
    return weir_failf(err, WEIR_E_BAD_HOST, where_host, 0, "%s", what);
}

/* What a host is made of, before it is written anew. */
struct host_parts {
    struct weir_span host; /* as written, brackets included */
    uint16_t port;         /* 0: none */
    bool normal;           /* host needs no rewriting */
    char v6[INET6_ADDRSTRLEN + 2];
};

/* 1 to 65535, no leading zero: "080" is read as 80 by one and as 0 or 64 by another. */
static bool parse_port(struct weir_span digits, uint16_t *port)
{
    unsigned long long value;

    if (digits.len == 0 || digits.len > PORT_DIGITS || digits.ptr[0] == '0' ||
        !weir_span_u64(digits, 65535, &value))
        return false;
    *port = (uint16_t)value;
    return true;
}

/* Brackets around an IPv6 address; *host becomes its canonical text (RFC 5952), so that one address
 * has one key. */
static bool parse_v6(struct host_parts *p)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t len = p->host.len - 2;

    if (p->host.len < 4 || len >= sizeof(text))
        return false;
    memcpy(text, p->host.ptr + 1, len);
    text[len] = '\0';
    if (strlen(text) != len || inet_pton(AF_INET6, text, &address) != 1)
        return false;
    p->v6[0] = '[';
    if (inet_ntop(AF_INET6, &address, p->v6 + 1, INET6_ADDRSTRLEN) == NULL)
        return false;
    len = strlen(p->v6);
    p->v6[len++] = ']';
    p->normal = weir_span_eq(p->host, weir_span(p->v6, len));
    if (!p->normal)
        p->host = weir_span(p->v6, len);
    return true;
}

/* Labels of allowed bytes, none empty; a single final dot is the same name and goes. */
static bool parse_name(struct host_parts *p)
{
    struct weir_span s = p->host;

    p->normal = true;
    if (s.len > 1 && s.ptr[s.len - 1] == '.') {
        p->host.len = --s.len;
        p->normal = false;
    }
    if (s.len == 0 || s.len > HOST_MAX || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!http_char_is(s.ptr[i], HTTP_C_HOST) || (s.ptr[i] == '.' && s.ptr[i - 1] == '.'))
            return false;
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')
            p->normal = false;
    }
    return true;
}

static bool split_host(struct weir_span text, struct host_parts *p, struct weir_err *err)
{
    bool v6 = text.len > 0 && text.ptr[0] == '[';
    const char *end = text.len > 0 ? memchr(text.ptr, v6 ? ']' : ':', text.len) : NULL;
    size_t n = end != NULL ? (size_t)(end - text.ptr) + v6 : text.len;

    p->host = weir_span(text.ptr, n);
    p->port = 0;
    if (v6 && end == NULL)
        return bad_host(err, "bracket not closed");
    if (v6 ? !parse_v6(p) : !parse_name(p))
        return bad_host(err, v6 ? "invalid IPv6 address" : "invalid name");
    if (n < text.len && (text.ptr[n] != ':' ||
                         !parse_port(weir_span(text.ptr + n + 1, text.len - n - 1), &p->port)))
        return bad_host(err, "invalid port");
    return true;
}

/* Lower-case host, then ":port" unless it is the default, in the arena. */
static bool write_authority(const struct host_parts *p, struct weir_arena *a,
                            struct http_target *out, struct weir_err *err)
{
    char *at = weir_arena_alloc(a, p->host.len + 1 + PORT_DIGITS);
    size_t len = p->host.len;
    unsigned divisor = 10000;

    if (at == NULL)
        return weir_fail(err, WEIR_E_MEMORY, where_host, 0);
    for (size_t i = 0; i < len; i++)
        at[i] = weir_ascii_lower(p->host.ptr[i]);
    out->host = weir_span(at, len);
    if (out->port != 0) {
        at[len++] = ':';
        while (out->port / divisor == 0)
            divisor /= 10;
        for (; divisor > 0; divisor /= 10)
            at[len++] = (char)('0' + out->port / divisor % 10);
    }
    out->authority = weir_span(at, len);
    return true;
}

bool http_authority_parse(struct weir_span text, struct weir_arena *a, struct http_target *out,
                          struct weir_err *err)
{
    struct host_parts p = {.normal = false};

    if (!split_host(text, &p, err))
        return false;
    out->port = p.port == (out->https ? HTTPS_PORT_DEF : HTTP_PORT_DEF) ? 0 : p.port;
    if (!p.normal)
        return write_authority(&p, a, out, err);
    out->host = p.host;
    out->authority = out->port != 0 ? text : p.host;
    return true;
}

/* ---- path[?query] ---- */

static bool bad_target(struct weir_err *err, const char *what)
{
    return weir_failf(err, WEIR_E_BAD_TARGET, where_target, 0, "%s", what);
}

/* The byte that "%xy" at s[i] stands for, or -1. */
static int escaped(struct weir_span s, size_t i)
{
    if (s.len - i < 3 || !http_char_is(s.ptr[i + 1], HTTP_C_HEX) ||
        !http_char_is(s.ptr[i + 2], HTTP_C_HEX))
        return -1;
    return (int)(http_char_hex(s.ptr[i + 1]) << 4 | http_char_hex(s.ptr[i + 2]));
}

/* A '.' behind a '/' that begins the segment "." or "..". */
static bool dot_segment(struct weir_span s, size_t i)
{
    i += i + 1 < s.len && s.ptr[i + 1] == '.';
    return i + 1 == s.len || s.ptr[i + 1] == '/';
}

/* Judges one escape. NULL, or what is wrong; *normal becomes false if it has a shorter or
 * upper-case form. */
static const char *judge_escape(struct weir_span s, size_t i, bool *normal)
{
    int byte = escaped(s, i);

    if (byte < 0)
        return "invalid percent-encoding in the path";
    if (byte < 0x20 || byte == 0x7f)
        return "encoded control in the path";
    if (http_char_is((char)byte, HTTP_C_UNRESERVED) || s.ptr[i + 1] >= 'a' || s.ptr[i + 2] >= 'a')
        *normal = false;
    return NULL;
}

/* NULL, or what is wrong with the path; *normal: it can be used as it is. Most paths end here. */
static const char *judge_path(struct weir_span s, bool *normal)
{
    *normal = true;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (c == '%') {
            const char *fault = judge_escape(s, i, normal);

            if (fault != NULL)
                return fault;
            i += 2;
        } else if (c == '\\' || !http_char_is(c, HTTP_C_TARGET)) {
            return "invalid byte in the path";
        } else if (c == '.' && s.ptr[i - 1] == '/' && dot_segment(s, i)) {
            *normal = false; /* s begins with '/', so there is a byte before every dot */
        }
    }
    return NULL;
}

/* Writes the path with its escapes in normal form; returns the length, never more than before. */
static size_t write_escapes(char *out, struct weir_span s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned byte;

        if (s.ptr[i] != '%') {
            out[n++] = s.ptr[i];
            continue;
        }
        byte = (unsigned)escaped(s, i) & 0xff; /* judge_path() found it valid */
        i += 2;
        if (http_char_is((char)byte, HTTP_C_UNRESERVED)) {
            out[n++] = (char)byte;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[byte >> 4];
        out[n++] = hex[byte & 15];
    }
    return n;
}

static size_t segment_length(const char *p, size_t len)
{
    const char *slash = memchr(p, '/', len);

    return slash != NULL ? (size_t)(slash - p) : len;
}

/* Takes the last segment with its slash off p[0..len). */
static size_t pop_segment(const char *p, size_t len)
{
    do
        len--;
    while (p[len] != '/');
    return len;
}

/* RFC 3986 5.2.4 in place, but a ".." with nothing left to remove is an error: false. */
static bool remove_dot_segments(char *p, size_t *len)
{
    size_t kept = 0, at = 0;

    while (at < *len) { /* at a '/' */
        size_t n = segment_length(p + at + 1, *len - at - 1);
        bool last = at + 1 + n == *len;
        bool one = n == 1 && p[at + 1] == '.';
        bool two = n == 2 && p[at + 1] == '.' && p[at + 2] == '.';

        if (two && kept == 0)
            return false;
        if (two)
            kept = pop_segment(p, kept);
        if (!one && !two) {
            memmove(p + kept, p + at, n + 1);
            kept += n + 1;
        } else if (last) {
            p[kept++] = '/';
        }
        at += n + 1;
    }
    *len = kept;
    return true;
}

/* path (already judged) and query into the arena, normalised. */
static bool write_origin_form(struct weir_span path, struct weir_span query, struct weir_arena *a,
                              struct http_target *out, struct weir_err *err)
{
    char *text = weir_arena_alloc(a, path.len + 1 + query.len);
    size_t len;

    if (text == NULL)
        return weir_fail(err, WEIR_E_MEMORY, where_target, 0);
    len = write_escapes(text, path);
    if (!remove_dot_segments(text, &len))
        return bad_target(err, "path climbs above the root");
    out->path = weir_span(text, len);
    out->query = query;
    if (query.ptr != NULL) {
        text[len] = '?';
        memcpy(text + len + 1, query.ptr, query.len);
        out->query = weir_span(text + len + 1, query.len);
        len += 1 + query.len;
    }
    out->origin_form = weir_span(text, len);
    return true;
}

static bool query_ok(struct weir_span query)
{
    for (size_t i = 0; i < query.len; i++)
        if (!http_char_is(query.ptr[i], HTTP_C_TARGET))
            return false;
    return true;
}

bool http_origin_form_parse(struct weir_span text, struct weir_arena *a, struct http_target *out,
                            struct weir_err *err)
{
    const char *mark = text.len > 0 ? memchr(text.ptr, '?', text.len) : NULL;
    struct weir_span path = {text.ptr, mark != NULL ? (size_t)(mark - text.ptr) : text.len};
    struct weir_span query = WEIR_SPAN_NONE;
    const char *fault;
    bool normal;

    if (path.len == 0 || path.ptr[0] != '/')
        return bad_target(err, "path does not begin with a slash");
    if (mark != NULL)
        query = weir_span(mark + 1, text.len - path.len - 1);
    if (!query_ok(query))
        return bad_target(err, "invalid byte in the query");
    fault = judge_path(path, &normal);
    if (fault != NULL)
        return bad_target(err, fault);
    if (!normal)
        return write_origin_form(path, query, a, out, err);
    out->path = path;
    out->query = query;
    out->origin_form = text;
    return true;
}

/* ---- the four forms ---- */

static bool set_path(struct http_target *out, struct weir_span whole)
{
    out->path = whole;
    out->query = WEIR_SPAN_NONE;
    out->origin_form = whole;
    return true;
}

/* What follows the authority of an absolute-form: path[?query], either of which may be missing. */
static bool absolute_rest(const struct http_head *head, struct weir_span rest, struct weir_arena *a,
                          struct http_target *out, struct weir_err *err)
{
    char *text;

    if (rest.len == 0)
        return set_path(out, head->method_id == HTTP_M_OPTIONS ? WEIR_SPAN_LIT("*")
                                                               : WEIR_SPAN_LIT("/"));
    if (rest.ptr[0] == '/')
        return http_origin_form_parse(rest, a, out, err);
    text = weir_arena_alloc(a, rest.len + 1);
    if (text == NULL)
        return weir_fail(err, WEIR_E_MEMORY, where_target, 0);
    text[0] = '/';
    memcpy(text + 1, rest.ptr, rest.len);
    return http_origin_form_parse(weir_span(text, rest.len + 1), a, out, err);
}

static struct weir_span up_to_path(struct weir_span s)
{
    size_t n = 0;

    while (n < s.len && s.ptr[n] != '/' && s.ptr[n] != '?')
        n++;
    return weir_span(s.ptr, n);
}

static bool absolute_form(const struct http_head *head, struct weir_span text, struct weir_arena *a,
                          struct http_target *out, struct weir_err *err)
{
    struct weir_span authority = up_to_path(text);
    struct weir_span rest = {text.ptr + authority.len, text.len - authority.len};
    struct http_target host = {.https = out->https};

    if (!http_authority_parse(authority, a, out, err))
        return false;
    if (http_head_has(head, HTTP_F_HOST)) {
        if (!http_authority_parse(http_head_value(head, HTTP_F_HOST), a, &host, err))
            return false;
        if (!weir_span_eq(host.authority, out->authority))
            return bad_host(err, "Host differs from the target's authority");
    }
    return absolute_rest(head, rest, a, out, err);
}

static bool begins(struct weir_span s, struct weir_span prefix)
{
    return s.len >= prefix.len && weir_span_ieq(weir_span(s.ptr, prefix.len), prefix);
}

/* True and *rest behind "scheme://" for the two schemes there are. */
static bool strip_scheme(struct weir_span s, struct weir_span *rest, bool *https)
{
    size_t n;

    if (begins(s, WEIR_SPAN_LIT("http://")))
        n = sizeof("http://") - 1;
    else if (begins(s, WEIR_SPAN_LIT("https://")))
        n = sizeof("https://") - 1;
    else
        return false;
    *https = n == sizeof("https://") - 1;
    *rest = weir_span(s.ptr + n, s.len - n);
    return true;
}

static bool host_field(const struct http_head *head, struct weir_arena *a, struct http_target *out,
                       struct weir_err *err)
{
    if (!http_head_has(head, HTTP_F_HOST))
        return head->minor == 0 || bad_host(err, "HTTP/1.1 without Host");
    return http_authority_parse(http_head_value(head, HTTP_F_HOST), a, out, err);
}

bool http_target_parse(const struct http_head *head, bool secure, struct weir_arena *a,
                       struct http_target *out, struct weir_err *err)
{
    struct weir_span target = head->target, rest;

    *out = (struct http_target){.form = HTTP_TARGET_ORIGIN, .https = secure};
    if (http_head_repeats(head, HTTP_F_HOST))
        return bad_host(err, "Host repeated");
    if (target.len > 0 && target.ptr[0] == '/')
        return host_field(head, a, out, err) && http_origin_form_parse(target, a, out, err);
    if (strip_scheme(target, &rest, &out->https)) {
        out->form = HTTP_TARGET_ABSOLUTE;
        return absolute_form(head, rest, a, out, err);
    }
    if (weir_span_eq(target, WEIR_SPAN_LIT("*")) && head->method_id == HTTP_M_OPTIONS) {
        out->form = HTTP_TARGET_ASTERISK;
        return host_field(head, a, out, err) && set_path(out, target);
    }
    return bad_target(err, "neither path nor http(s) URI");
}
