#include "http2_head.h"

#include <assert.h>

#include "http_char.h"
#include "http_scan.h"
#include "http_target.h"

static const char where_request[] = "http2: request";
static const char where_response[] = "http2: response";
static const char where_trailers[] = "http2: trailers";

#define FIELD_OVERHEAD 32 /* RFC 9113 6.5.2 */
#define COOKIE_MIN     256

static void begin(struct http2_head_in *in, struct http_head *head, struct weir_arena *arena,
                  const struct http_parse_limits *limits)
{
    *in = (struct http2_head_in){.head = head, .arena = arena, .limits = limits};
    http_head_reset(head);
}

void http2_head_request(struct http2_head_in *in, struct http_head *head, struct weir_arena *arena,
                        const struct http_parse_limits *limits)
{
    begin(in, head, arena, limits);
}

void http2_head_response(struct http2_head_in *in, struct http_head *head, struct weir_arena *arena,
                         const struct http_parse_limits *limits)
{
    begin(in, head, arena, limits);
    in->response = true;
}

void http2_head_trailers(struct http2_head_in *in, struct http_head *head, struct weir_arena *arena,
                         const struct http_parse_limits *limits, bool response)
{
    begin(in, head, arena, limits);
    in->response = response;
    in->trailers = true;
    in->pseudo_over = true;
}

/* ---- errors ---- */

static bool fail(const struct http2_head_in *in, enum weir_code code, const char *what,
                 struct weir_err *err)
{
    const char *where = in->trailers   ? where_trailers
                        : in->response ? where_response
                                       : where_request;

    return weir_failf(err, code, where, 0, "%s", what);
}

static bool malformed(const struct http2_head_in *in, const char *what, struct weir_err *err)
{
    return fail(in, in->response ? WEIR_E_RESPONSE_MALFORMED : WEIR_E_BAD_REQUEST, what, err);
}

static bool too_large(const struct http2_head_in *in, const char *what, struct weir_err *err)
{
    return fail(in, in->response ? WEIR_E_RESPONSE_HEAD_TOO_LARGE : WEIR_E_HEAD_TOO_LARGE, what,
                err);
}

static bool no_memory(const struct http2_head_in *in, struct weir_err *err)
{
    return fail(in, WEIR_E_MEMORY, "field section", err);
}

/* ---- bytes ---- */

/* A token without upper case (RFC 9113 8.2.1). */
static bool name_ok(struct weir_span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!http_char_is(name.ptr[i], HTTP_C_TOKEN) || (unsigned char)(name.ptr[i] - 'A') < 26)
            return false;
    return name.len > 0;
}

/* NULL, or what is wrong. */
static const char *value_fault(struct weir_span value)
{
    if (value.len == 0)
        return NULL;
    if (http_char_ows(value.ptr[0]) || http_char_ows(value.ptr[value.len - 1]))
        return "field value begins or ends with a space";
    return http_scan_value(value.ptr, value.len) == value.len ? NULL : "control in a field value";
}

static bool is_token(struct weir_span s)
{
    return s.len > 0 && http_scan_token(s.ptr, s.len) == s.len;
}

/* Empty values too get a pointer. */
static bool keep(struct http2_head_in *in, struct weir_span *to, struct weir_span value,
                 struct weir_err *err)
{
    if (value.len == 0) {
        *to = WEIR_SPAN_LIT("");
        return true;
    }
    *to = weir_arena_dup(in->arena, value);
    return to->ptr != NULL || no_memory(in, err);
}

/* ---- pseudo-header fields ---- */

static bool on_method(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    enum http_method id = http_method_parse(value);

    if (value.len > in->limits->method_bytes)
        return malformed(in, "method too long", err);
    if (!is_token(value))
        return malformed(in, "invalid byte in :method", err);
    in->head->method_id = id;
    if (id == HTTP_M_OTHER)
        return keep(in, &in->method, value, err);
    in->method = http_method_name(id);
    return true;
}

/* What a target of HTTP/1 may not hold would end it, or mean something else, once it is written
 * there. */
static bool on_path(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    if (value.len > in->limits->target_bytes)
        return fail(in, WEIR_E_TARGET_TOO_LONG, ":path too long", err);
    if (value.len == 0)
        return fail(in, WEIR_E_BAD_TARGET, "empty :path", err);
    if (http_scan_target(value.ptr, value.len) != value.len)
        return fail(in, WEIR_E_BAD_TARGET, "invalid byte in :path", err);
    return keep(in, &in->path, value, err);
}

static bool on_authority(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    if (value.len == 0 || http_scan_target(value.ptr, value.len) != value.len)
        return fail(in, WEIR_E_BAD_HOST, "invalid :authority", err);
    return keep(in, &in->authority, value, err);
}

static bool on_scheme(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    if (weir_span_ieq(value, WEIR_SPAN_LIT("https")))
        in->scheme = WEIR_SPAN_LIT("https");
    else if (weir_span_ieq(value, WEIR_SPAN_LIT("http")))
        in->scheme = WEIR_SPAN_LIT("http");
    else
        return malformed(in, ":scheme is neither http nor https", err);
    return true;
}

static bool on_protocol(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    if (!is_token(value))
        return malformed(in, "invalid :protocol", err);
    return keep(in, &in->protocol, value, err);
}

/* As in HTTP/1: 600 to 999 have no meaning, but are in use. 101 does not exist (RFC 9113 8.6). */
static bool on_status(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    unsigned long long status;

    if (value.len != 3 || !weir_span_u64(value, 999, &status) || status < 100)
        return malformed(in, ":status is not three digits", err);
    if (status == 101)
        return malformed(in, "101 in HTTP/2", err);
    in->head->status = (int)status;
    return keep(in, &in->status, value, err);
}

struct pseudo {
    struct weir_span name;
    bool response;
    size_t at; /* of its span */
    bool (*take)(struct http2_head_in *in, struct weir_span value, struct weir_err *err);
};

#define PSEUDO(name, response, member, take)                                                       \
    {                                                                                              \
        {name, sizeof(name) - 1}, response, offsetof(struct http2_head_in, member), take           \
    }

static const struct pseudo pseudos[] = {
    PSEUDO(":method", false, method, on_method),
    PSEUDO(":path", false, path, on_path),
    PSEUDO(":scheme", false, scheme, on_scheme),
    PSEUDO(":authority", false, authority, on_authority),
    PSEUDO(":protocol", false, protocol, on_protocol),
    PSEUDO(":status", true, status, on_status),
};

static bool on_pseudo(struct http2_head_in *in, struct weir_span name, struct weir_span value,
                      struct weir_err *err)
{
    if (in->trailers)
        return malformed(in, "pseudo-header field in trailers", err);
    if (in->pseudo_over)
        return malformed(in, "pseudo-header field after an ordinary one", err);
    for (size_t i = 0; i < sizeof(pseudos) / sizeof(pseudos[0]); i++) {
        const struct pseudo *p = &pseudos[i];
        const struct weir_span *had = (const void *)((const char *)in + p->at);

        if (p->response != in->response || !weir_span_eq(p->name, name))
            continue;
        if (had->ptr != NULL)
            return malformed(in, "pseudo-header field repeated", err);
        return p->take(in, value, err);
    }
    return malformed(in, "unknown pseudo-header field", err);
}

/* ---- ordinary fields ---- */

/* Appends a field whose bytes are kept. */
static bool put(struct http2_head_in *in, const struct http_field *f, struct weir_err *err)
{
    if (in->head->count < in->head->cap) {
        http_head_put(in->head, f);
        return true;
    }
    return http_head_add(in->head, in->arena, f->name, f->value) || no_memory(in, err);
}

/* Host has the first place, whatever comes first; without :authority its value is still to come. */
static bool end_pseudo(struct http2_head_in *in, struct weir_err *err)
{
    struct http_field host = {.name = http_field_name(HTTP_F_HOST), .id = HTTP_F_HOST};

    if (in->pseudo_over)
        return true;
    in->pseudo_over = true;
    if (in->response)
        return in->status.ptr != NULL || malformed(in, "no :status", err);
    host.flags = http_field_flags(HTTP_F_HOST, host.name);
    host.value = in->authority.ptr != NULL ? in->authority : WEIR_SPAN_LIT("");
    return put(in, &host, err);
}

static bool on_host(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    if (in->host.ptr != NULL)
        return fail(in, WEIR_E_BAD_HOST, "Host repeated", err);
    if (value.len == 0)
        return fail(in, WEIR_E_BAD_HOST, "empty Host", err);
    if (!keep(in, &in->host, value, err))
        return false;
    if (in->authority.ptr == NULL)
        in->head->fields[0].value = in->host;
    return true;
}

/*
 * Crumbs of cookies become one line again (RFC 9113 8.2.3), for HTTP/1 knows no others. The room
 * grows by doubling, so that many small ones cost no more than their bytes; these are counted, and
 * so bound their number. Empty ones say nothing, and would leave a space at the end.
 */
static bool more_cookie(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    struct weir_span *c = &in->cookie;
    size_t sep = c->len > 0 ? 2 : 0, len = c->len + sep + value.len;
    size_t cap = in->cookie_cap;
    char *bytes;

    if (value.len == 0)
        return true;
    if (len + sizeof("cookie: ") - 1 > in->limits->field_bytes)
        return too_large(in, "cookies too long", err);
    while (cap < len)
        cap = cap < COOKIE_MIN ? COOKIE_MIN : cap * 2;
    if (cap > in->cookie_cap) {
        bytes = weir_arena_alloc(in->arena, cap);
        if (bytes == NULL)
            return no_memory(in, err);
        memcpy(bytes, c->ptr, c->len);
        in->cookie_cap = cap;
    } else {
        bytes = (char *)((uintptr_t)c->ptr); /* ours: from the arena, once it has a cap */
    }
    memcpy(bytes + c->len, "; ", sep);
    memcpy(bytes + c->len + sep, value.ptr, value.len);
    *c = weir_span(bytes, len);
    in->head->fields[in->cookie_at].value = *c;
    return true;
}

/* Only for the connection, and only HTTP/1 has them: whoever reads one after us would be framed by
 * it (RFC 9113 8.2.2). */
static bool connection_specific(uint16_t id)
{
    return id == HTTP_F_CONNECTION || id == HTTP_F_KEEP_ALIVE || id == HTTP_F_PROXY_CONNECTION ||
           id == HTTP_F_TRANSFER_ENCODING || id == HTTP_F_UPGRADE;
}

static bool on_te(struct http2_head_in *in, struct weir_span value, struct weir_err *err)
{
    if (in->response || in->trailers || !weir_span_ieq(value, WEIR_SPAN_LIT("trailers")))
        return malformed(in, "te other than trailers", err);
    in->te_trailers = true;
    return true;
}

/* Name and value in one piece of the arena; known names need none. */
static bool keep_field(struct http2_head_in *in, struct http_field *f, struct weir_err *err)
{
    size_t name_len = f->id == HTTP_F_NONE ? f->name.len : 0;
    char *bytes;

    if (f->id != HTTP_F_NONE)
        f->name = http_field_name(f->id);
    if (name_len + f->value.len == 0) {
        f->value = WEIR_SPAN_LIT("");
        return true;
    }
    bytes = weir_arena_alloc(in->arena, name_len + f->value.len);
    if (bytes == NULL)
        return no_memory(in, err);
    if (f->value.len > 0)
        memcpy(bytes + name_len, f->value.ptr, f->value.len);
    f->value.ptr = bytes + name_len;
    if (name_len > 0) {
        memcpy(bytes, f->name.ptr, name_len);
        f->name.ptr = bytes;
    }
    return true;
}

/* What the line is as one of HTTP/1; false: refused. *more: it is to be appended. */
static bool judge(struct http2_head_in *in, const struct http_field *f, bool *more,
                  struct weir_err *err)
{
    bool request = !in->response && !in->trailers;

    *more = false;
    if (connection_specific(f->id))
        return malformed(in, "connection-specific field", err);
    if (f->id == HTTP_F_TE && !on_te(in, f->value, err))
        return false;
    if (request && f->id == HTTP_F_HOST)
        return on_host(in, f->value, err);
    if (request && f->id == HTTP_F_COOKIE && http_head_has(in->head, HTTP_F_COOKIE))
        return more_cookie(in, f->value, err);
    if (++in->lines > in->limits->fields)
        return too_large(in, "too many fields", err);
    if (f->id == HTTP_F_NONE && !in->limits->underscores &&
        memchr(f->name.ptr, '_', f->name.len) != NULL)
        in->head->dropped++;
    else
        *more = true;
    return true;
}

static bool on_field(struct http2_head_in *in, struct weir_span name, struct weir_span value,
                     struct weir_err *err)
{
    const char *fault = value_fault(value);
    struct http_field f = {.name = name, .value = value};
    bool more;

    if (!name_ok(name))
        return malformed(in, "invalid byte in a field name", err);
    if (fault != NULL)
        return malformed(in, fault, err);
    if (name.len + 2 + value.len > in->limits->field_bytes)
        return too_large(in, "field too long", err);
    if (!end_pseudo(in, err))
        return false;
    f.id = http_field_intern(name);
    f.flags = http_field_flags(f.id, name);
    if (!judge(in, &f, &more, err))
        return false;
    if (!more)
        return true;
    if (!keep_field(in, &f, err) || !put(in, &f, err))
        return false;
    if (f.id == HTTP_F_COOKIE && !in->response && !in->trailers) {
        in->cookie_at = in->head->count - 1;
        in->cookie = f.value;
    }
    return true;
}

bool http2_head_field(struct http2_head_in *in, struct weir_span name, struct weir_span value,
                      struct weir_err *err)
{
    size_t bytes = in->bytes + name.len + value.len + FIELD_OVERHEAD;

    if (bytes > in->limits->head_bytes)
        return too_large(in, "field section larger than allowed", err);
    in->bytes = (uint32_t)bytes;
    if (name.len > 0 && name.ptr[0] == ':')
        return on_pseudo(in, name, value, err);
    return on_field(in, name, value, err);
}

/* ---- requests, whole ---- */

/* :authority and Host, brought to one form, are the same. */
static bool same_host(struct http2_head_in *in, struct weir_err *err)
{
    struct http_target a = {.https = in->scheme.len == 5}, b = a;

    if (weir_span_eq(in->authority, in->host))
        return true;
    if (!http_authority_parse(in->authority, in->arena, &a, err) ||
        !http_authority_parse(in->host, in->arena, &b, err))
        return false;
    return weir_span_eq(a.authority, b.authority) ||
           fail(in, WEIR_E_BAD_HOST, "Host differs from :authority", err);
}

static bool check_host(struct http2_head_in *in, struct weir_err *err)
{
    if (in->authority.ptr == NULL && in->host.ptr == NULL)
        return fail(in, WEIR_E_BAD_HOST, "neither :authority nor Host", err);
    return in->authority.ptr == NULL || in->host.ptr == NULL || same_host(in, err);
}

static bool check_target(struct http2_head_in *in, struct weir_err *err)
{
    if (in->method.ptr == NULL || in->scheme.ptr == NULL || in->path.ptr == NULL)
        return malformed(in, "pseudo-header field missing", err);
    if (in->path.ptr[0] == '/' ||
        (in->head->method_id == HTTP_M_OPTIONS && weir_span_eq(in->path, WEIR_SPAN_LIT("*"))))
        return true;
    return fail(in, WEIR_E_BAD_TARGET, ":path does not begin with a slash", err);
}

/* RFC 8441 5.1: the handshake that the client would have sent in HTTP/1.1. The nonce has no use in
 * HTTP/2; one that came all the same gives way. */
static bool become_handshake(struct http2_head_in *in, bool ended, struct weir_err *err)
{
    struct http_head *h = in->head;

    if (!weir_span_eq(in->protocol, WEIR_SPAN_LIT("websocket")))
        return malformed(in, ":protocol is not websocket", err);
    if (ended || http_head_has(h, HTTP_F_CONTENT_LENGTH))
        return malformed(in, "CONNECT that cannot be a tunnel", err);
    assert(in->websocket_key.ptr != NULL);
    h->method_id = HTTP_M_GET;
    h->method = http_method_name(HTTP_M_GET);
    return (http_head_add_id(h, in->arena, HTTP_F_CONNECTION, WEIR_SPAN_LIT("upgrade")) &&
            http_head_add_id(h, in->arena, HTTP_F_UPGRADE, WEIR_SPAN_LIT("websocket")) &&
            http_head_set_id(h, in->arena, HTTP_F_SEC_WEBSOCKET_KEY, in->websocket_key)) ||
           no_memory(in, err);
}

/* Where the content ends: the stream says, not a field. */
static bool end_framing(struct http2_head_in *in, bool ended, struct http_framing *f,
                        struct weir_err *err)
{
    if (ended && f->length > 0)
        return fail(in, WEIR_E_BAD_LENGTH, "Content-Length without content", err);
    if (!ended && f->kind == HTTP_BODY_NONE && !f->upgrade)
        f->kind = HTTP_BODY_CHUNKED;
    f->expect_continue = !ended && http_head_has(in->head, HTTP_F_EXPECT) &&
                         (f->kind == HTTP_BODY_CHUNKED || f->length > 0);
    return true;
}

bool http2_head_request_end(struct http2_head_in *in, bool ended, bool extended_connect,
                            struct http_framing *framing, struct weir_err *err)
{
    bool connect = in->head->method_id == HTTP_M_CONNECT;

    if (!end_pseudo(in, err))
        return false;
    if (in->protocol.ptr != NULL && !(connect && extended_connect))
        return malformed(in, ":protocol not asked for", err);
    if (connect && in->protocol.ptr == NULL)
        return fail(in, WEIR_E_METHOD_NOT_ALLOWED, "CONNECT", err);
    if (!check_target(in, err) || !check_host(in, err))
        return false;
    in->head->method = in->method;
    in->head->target = in->path;
    if (connect && !become_handshake(in, ended, err))
        return false;
    if (!http_request_framing(in->head, framing, err))
        return false;
    if (connect && !framing->upgrade)
        return malformed(in, "no handshake of WebSocket, version 13", err);
    return end_framing(in, ended, framing, err);
}

/* ---- responses and trailers, whole ---- */

bool http2_head_response_end(struct http2_head_in *in, bool ended, enum http_method method,
                             struct http_framing *framing, struct weir_err *err)
{
    if (!end_pseudo(in, err))
        return false;
    in->head->reason = WEIR_SPAN_LIT("");
    if (ended && http_status_interim(in->head->status))
        return malformed(in, "interim response ends the stream", err);
    if (!http_response_framing(in->head, method, framing, err))
        return false;
    if (ended && framing->kind == HTTP_BODY_LENGTH && framing->length > 0)
        return malformed(in, "Content-Length without content", err);
    if (framing->kind == HTTP_BODY_CLOSE)
        framing->kind = ended ? HTTP_BODY_NONE : HTTP_BODY_CHUNKED;
    framing->keep_alive = true;
    return true;
}

bool http2_head_trailers_end(struct http2_head_in *in, struct weir_err *err)
{
    /* Every field was judged as it came, and what trailers may not say is not passed on. */
    (void)in;
    (void)err;
    return true;
}
